//! Input: parsed into types whose values are always valid, with an error for every invalid field.

mod bounded;
mod place;
mod read;
mod roles;
mod strict;

pub use crate::base::number::plain_number;
pub use bounded::{Digits, Integer, Limit, PageSize, integer};
pub use place::{member, mistyped};
pub use roles::{role_list, roles};

use crate::{
    base::{Error, Result, error::FieldError},
    request::{headers::Header, http::Request},
};
use place::{join, plain, unknown};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::{borrow::Cow, collections::BTreeMap, str::FromStr};

/// An endpoint's input.
pub trait Input: Sized + Send + Sync {
    /// # Errors
    /// 400 if it is malformed, 422 with every invalid field, 404 for an invalid id in the path.
    fn parse(request: &Request) -> Result<Self>;
    /// Its part of the API's description.
    fn describe(schemas: &mut SchemaGenerator, into: &mut InputSchema);
    /// Whether it requires a body, which must be JSON.
    const HAS_BODY: bool = false;
    /// Whether it reads a body at all. If not, a request with a body is refused, so that no part of a request is ignored.
    const READS_BODY: bool = Self::HAS_BODY;
}

/// Schemas of an input's parts.
#[derive(Debug, Default)]
pub struct InputSchema {
    pub path: Vec<(&'static str, Schema)>,
    pub query: Option<Schema>,
    pub body: Option<Schema>,
}

/// No input.
impl Input for () {
    fn parse(request: &Request) -> Result<Self> {
        no_query(request)
    }
    fn describe(_: &mut SchemaGenerator, _: &mut InputSchema) {}
}

/// A JSON body.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: FromJson + JsonSchema + Send + Sync> Input for Json<T> {
    const HAS_BODY: bool = true;
    fn parse(request: &Request) -> Result<Self> {
        no_query(request)?;
        from_value(json_body(request)?).map(Self)
    }
    fn describe(schemas: &mut SchemaGenerator, into: &mut InputSchema) {
        into.body = Some(schemas.subschema_for::<T>());
    }
}

/// The query string, as an object of texts.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: FromJson + JsonSchema + Send + Sync> Input for Query<T> {
    fn parse(request: &Request) -> Result<Self> {
        if request.repeated_query {
            return Err(Error::bad_request("repeated_parameter", "a query parameter stands twice"));
        }
        let object: Map<_, _> = request.query.iter().map(|(k, v)| (k.clone(), Value::String(v.clone()))).collect();
        from_value(Value::Object(object)).map(Self)
    }
    fn describe(schemas: &mut SchemaGenerator, into: &mut InputSchema) {
        into.query = Some(schemas.root_schema_for::<T>());
    }
}

/// The id in the path. An invalid id is not found.
#[derive(Debug)]
pub struct Path<T>(pub T);

/// An id that is in a path as `{NAME}`.
pub trait PathId: FromStr + JsonSchema + Send + Sync {
    const NAME: &'static str;
}

impl PathId for crate::identity::ApiKeyId {
    const NAME: &'static str = "key_id";
}

impl PathId for crate::base::SessionId {
    const NAME: &'static str = "session_id";
}
impl PathId for crate::base::TenantId {
    const NAME: &'static str = "tenant_id";
}
impl<T: PathId> Input for Path<T> {
    fn parse(request: &Request) -> Result<Self> {
        no_query(request)?;
        id(request).map(Self)
    }
    fn describe(schemas: &mut SchemaGenerator, into: &mut InputSchema) {
        into.path.push((T::NAME, schemas.subschema_for::<T>()));
    }
}

impl<P: PathId, T: FromJson + JsonSchema + Send + Sync> Input for (Path<P>, Json<T>) {
    const HAS_BODY: bool = true;
    fn parse(request: &Request) -> Result<Self> {
        Ok((Path(id(request)?), Json::parse(request)?))
    }
    fn describe(schemas: &mut SchemaGenerator, into: &mut InputSchema) {
        Path::<P>::describe(schemas, into);
        Json::<T>::describe(schemas, into);
    }
}

impl<P: PathId, T: FromJson + JsonSchema + Send + Sync> Input for (Path<P>, Query<T>) {
    fn parse(request: &Request) -> Result<Self> {
        Ok((Path(id(request)?), Query::parse(request)?))
    }
    fn describe(schemas: &mut SchemaGenerator, into: &mut InputSchema) {
        into.path.push((P::NAME, schemas.subschema_for::<P>()));
        Query::<T>::describe(schemas, into);
    }
}

impl<A: PathId, B: PathId> Input for (Path<A>, Path<B>) {
    fn parse(request: &Request) -> Result<Self> {
        no_query(request)?;
        Ok((Path(id(request)?), Path(id(request)?)))
    }
    fn describe(schemas: &mut SchemaGenerator, into: &mut InputSchema) {
        Path::<A>::describe(schemas, into);
        Path::<B>::describe(schemas, into);
    }
}

impl<A: PathId, B: PathId, T: FromJson + JsonSchema + Send + Sync> Input for (Path<A>, Path<B>, Json<T>) {
    const HAS_BODY: bool = true;
    fn parse(request: &Request) -> Result<Self> {
        Ok((Path(id(request)?), Path(id(request)?), Json::parse(request)?))
    }
    fn describe(schemas: &mut SchemaGenerator, into: &mut InputSchema) {
        <(Path<A>, Path<B>)>::describe(schemas, into);
        Json::<T>::describe(schemas, into);
    }
}

impl PathId for crate::base::UserId {
    const NAME: &'static str = "user_id";
}

/// A role has the same name in a path as in the API's bodies. An unknown role is not found.
impl PathId for crate::base::Role {
    const NAME: &'static str = "role";
}

fn id<T: PathId>(request: &Request) -> Result<T> {
    request.path.get(T::NAME).and_then(|text| text.parse().ok()).ok_or(Error::NotFound)
}

/// The input of `E` from a request.
///
/// # Errors
/// Like [`Input::parse`]; 422 `unexpected_body` for a body that it does not read.
pub(crate) fn parse<I: Input>(request: &Request) -> Result<I> {
    if !I::READS_BODY {
        no_body(request)?;
    }
    I::parse(request)
}

/// An empty body, or an object without members: some clients cannot send an empty body, and both contain nothing.
fn no_body(request: &Request) -> Result<()> {
    let bytes = request.body.as_ref().map_err(Clone::clone)?;
    let says_nothing = bytes.trim_ascii().is_empty() || strict_json(bytes).is_ok_and(|body| body == Value::Object(Map::new()));
    if says_nothing { Ok(()) } else { Err(Error::UnexpectedBody) }
}

fn no_query(request: &Request) -> Result<()> {
    let errors: Vec<_> = request.query.keys().map(|name| unknown("", name)).take(MOST_ERRORS).collect();
    if errors.is_empty() { Ok(()) } else { Err(Error::Invalid(errors)) }
}

fn json_body(request: &Request) -> Result<Value> {
    let media_type = request.header(Header::ContentType).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    // A comma means that two headers were joined, and the second may have another type.
    if !essence.eq_ignore_ascii_case("application/json") || media_type.contains(',') {
        return Err(Error::UnsupportedMediaType);
    }
    let bytes = request.body.as_ref().map_err(Clone::clone)?;
    strict_json(bytes)
}

/// [`strict::json`] of a body.
pub(crate) fn strict_json(bytes: &[u8]) -> Result<Value> {
    strict::json(bytes).map_err(|strict::Malformed| Error::bad_request("malformed_json", "the body is not valid JSON"))
}

/// The largest number of errors in an answer: it must fit into Lambda's response for any input.
const MOST_ERRORS: usize = 100;

/// Reads an input, or one item of a batch.
///
/// # Errors
/// 422 with every invalid field, at most a hundred.
pub fn from_value<T: FromJson>(value: Value) -> Result<T> {
    let mut errors = Vec::new();
    match T::from_json(value, "", &mut errors) {
        Some(input) if errors.is_empty() => Ok(input),
        _ => {
            errors.truncate(MOST_ERRORS);
            Err(Error::Invalid(errors))
        }
    }
}

/// Parses itself from JSON and reports all errors, not only the first.
///
/// Types that deserialise are read as one leaf; objects declared by [`input!`](crate::request::input) are read field by field.
pub trait FromJson: Sized {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self>;
}

impl<T: DeserializeOwned> FromJson for T {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        read::read(value, at).map_err(|e| errors.push(e)).ok()
    }
}

/// An array whose items are read separately, so that all errors are reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T: FromJson> FromJson for List<T> {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let Value::Array(items) = value else {
            errors.push(mistyped(at, "an array", &value));
            return None;
        };
        let before = errors.len();
        let mut read = Vec::with_capacity(items.len().min(MOST_ERRORS));
        for (i, item) in items.into_iter().enumerate() {
            read.extend(T::from_json(item, &join(at, &i.to_string()), errors));
            if errors.len() > MOST_ERRORS {
                return None;
            }
        }
        (errors.len() == before).then_some(Self(read))
    }
}

/// An object whose members' names are values, each of which is read separately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries<K, V>(pub BTreeMap<K, V>);

impl<K: FromStr + Ord, V: FromJson> FromJson for Entries<K, V> {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let Value::Object(members) = value else {
            errors.push(mistyped(at, "an object", &value));
            return None;
        };
        let before = errors.len();
        let mut read = BTreeMap::new();
        for (name, value) in members {
            match name.parse() {
                Ok(key) => read.extend(V::from_json(value, &join(at, plain(&name)), errors).map(|value| (key, value))),
                Err(_) => errors.push(unknown(at, &name)),
            }
            if errors.len() > MOST_ERRORS {
                return None;
            }
        }
        (errors.len() == before).then_some(Self(read))
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        Vec::<T>::schema_name()
    }
    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        Vec::<T>::json_schema(schemas)
    }
}

impl<K, V: JsonSchema> JsonSchema for Entries<K, V> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        BTreeMap::<String, V>::schema_name()
    }
    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, V>::json_schema(schemas)
    }
}

/// An object's members, which are taken one by one.
#[derive(Debug)]
pub struct Fields<'a> {
    at: &'a str,
    members: BTreeMap<String, Value>,
    errors: &'a mut Vec<FieldError>,
}

impl<'a> Fields<'a> {
    #[doc(hidden)]
    pub fn of(value: Value, at: &'a str, errors: &'a mut Vec<FieldError>) -> Option<Self> {
        match value {
            Value::Object(members) => Some(Self { at, members: members.into_iter().collect(), errors }),
            other => {
                errors.push(mistyped(at, "an object", &other));
                None
            }
        }
    }
    fn path(&self, name: &str) -> String {
        join(self.at, name)
    }
    #[doc(hidden)]
    pub fn required<T: FromJson>(&mut self, name: &str) -> Option<T> {
        let path = self.path(name);
        match self.members.remove(name) {
            None => {
                self.errors.push(FieldError::new(path, "required", "this field is required"));
                None
            }
            Some(value) => T::from_json(value, &path, self.errors),
        }
    }
    /// `Some(None)` if it is absent or null.
    #[doc(hidden)]
    pub fn optional<T: FromJson>(&mut self, name: &str) -> Option<Option<T>> {
        let path = self.path(name);
        match self.members.remove(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => T::from_json(value, &path, self.errors).map(Some),
        }
    }
    /// A field of a patch: absent is [`Patch::Keep`], null is [`Patch::Clear`].
    #[doc(hidden)]
    pub fn patch<T: FromJson>(&mut self, name: &str) -> Option<Patch<T>> {
        let path = self.path(name);
        match self.members.remove(name) {
            None => Some(Patch::Keep),
            Some(Value::Null) => Some(Patch::Clear),
            Some(value) => T::from_json(value, &path, self.errors).map(Patch::Set),
        }
    }
    #[doc(hidden)]
    pub fn finish(self) {
        self.errors.extend(self.members.keys().take(MOST_ERRORS).map(|name| unknown(self.at, name)));
    }
}

/// The effect of a patch on a field (RFC 7396: absent keeps, null clears).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T> Patch<T> {
    /// Applies it to an optional field.
    pub fn apply(self, to: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *to = None,
            Self::Set(value) => *to = Some(value),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Patch<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Patch_{}", T::schema_name()).into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(schemas)
    }
}

/// A field's name in JSON: `type` of `r#type`.
#[doc(hidden)]
pub fn name(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}

/// A derived schema requires every field that is not an `Option`, but a field of a patch may be absent.
#[doc(hidden)]
pub fn patches_are_optional(schema: &mut Schema, fields: &[(&str, &'static str)]) {
    let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) else { return };
    required.retain(|name| !fields.iter().any(|(how, field)| *how == "patch" && name == self::name(field)));
    if required.is_empty() {
        schema.remove("required");
    }
}

/// Declares an object of input: its fields are `required`, `optional` or (in a patch) `patch`; others are refused.
///
/// ```
/// common::input! {
///     /// A greeting.
///     pub struct Greeting { required name: String, optional mood: String }
/// }
/// ```
#[macro_export]
macro_rules! input {
    ($(#[$doc:meta])* $vis:vis struct $Name:ident { $($(#[$fdoc:meta])* $how:ident $field:ident: $T:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, ::schemars::JsonSchema)]
        #[schemars(
            deny_unknown_fields,
            transform = |schema: &mut ::schemars::Schema| $crate::request::input::patches_are_optional(schema, &[$((stringify!($how), stringify!($field))),*]),
        )]
        $vis struct $Name { $($(#[$fdoc])* $vis $field: $crate::input_field!(type $how $T)),* }

        impl $crate::request::input::FromJson for $Name {
            fn from_json(value: ::serde_json::Value, at: &str, errors: &mut ::std::vec::Vec<$crate::base::FieldError>) -> ::std::option::Option<Self> {
                let mut fields = $crate::request::input::Fields::of(value, at, errors)?;
                // Every field is read before the first failure ends the parsing.
                $(let $field = fields.$how::<$T>($crate::request::input::name(stringify!($field)));)*
                fields.finish();
                ::std::option::Option::Some(Self { $($field: $field?),* })
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! input_field {
    (type required $T:ty) => { $T };
    (type optional $T:ty) => { ::std::option::Option<$T> };
    (type patch $T:ty) => { $crate::request::input::Patch<$T> };
}
