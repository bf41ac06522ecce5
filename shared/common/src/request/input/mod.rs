//! Input: parsed into types whose existence means that it is valid, with an error for every field that is not.

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

/// What an endpoint takes from a request.
pub trait Input: Sized + Send + Sync {
    /// # Errors
    /// 400 where it is not well-formed, 422 with every field that is not valid, 404 for an id in the path that is none.
    fn parse(request: &Request) -> Result<Self>;
    /// What the API's description says of it.
    fn describe(schemas: &mut SchemaGenerator, into: &mut InputSchema);
    /// Whether it has a body, which then must be JSON.
    const HAS_BODY: bool = false;
    /// Whether it reads a body at all. Where it does not, a request with one is refused, so that nothing a caller says is lost.
    const READS_BODY: bool = Self::HAS_BODY;
}

/// Schemas of an input's parts.
#[derive(Debug, Default)]
pub struct InputSchema {
    pub path: Vec<(&'static str, Schema)>,
    pub query: Option<Schema>,
    pub body: Option<Schema>,
}

/// Nothing at all.
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

/// The one id in the path. What is not an id is not found.
#[derive(Debug)]
pub struct Path<T>(pub T);

/// An id that stands in a path as `{NAME}`.
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

/// A role is named in a path as in the API's bodies. What is no role is not found.
impl PathId for crate::base::Role {
    const NAME: &'static str = "role";
}

fn id<T: PathId>(request: &Request) -> Result<T> {
    request.path.get(T::NAME).and_then(|text| text.parse().ok()).ok_or(Error::NotFound)
}

/// What `E` takes from a request.
///
/// # Errors
/// As [`Input::parse`]; 422 `unexpected_body` for a body that it does not read.
pub(crate) fn parse<I: Input>(request: &Request) -> Result<I> {
    if !I::READS_BODY {
        no_body(request)?;
    }
    I::parse(request)
}

/// Nothing, or an object without members: some clients cannot send nothing, and neither says anything.
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
    // A comma joins what were two headers: the second may name another type.
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

/// How many errors an answer names: an answer has to fit into a response of Lambda's, whatever was sent.
const MOST_ERRORS: usize = 100;

/// Reads an input, or one item of a batch.
///
/// # Errors
/// 422 with every field that is not valid, a hundred at most.
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

/// Reads itself from JSON and says everything that is wrong, not only the first thing.
///
/// Whatever deserialises is read as one leaf; objects declared by [`input!`](crate::request::input) are read field by field.
pub trait FromJson: Sized {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self>;
}

impl<T: DeserializeOwned> FromJson for T {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        read::read(value, at).map_err(|e| errors.push(e)).ok()
    }
}

/// An array whose items are each read by themselves, so that everything that is wrong is said.
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

/// An object whose members' names are values, each read by itself.
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

/// An object's members, taken one by one.
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
    /// `Some(None)` where it is absent or null.
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

/// What a patch does to a field (RFC 7396: absent keeps, null clears).
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

/// A derived schema requires every field that is not an `Option`; a field of a patch may be left out.
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
                // Every field is read before any failure ends the reading.
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
