//! Reads one value of an input by its type's own `Deserialize`.
//!
//! serde_json's messages name Rust's types, repeat the input, and do not say where in a value the fault is. The errors here have
//! the fault's dotted path (`digest.hour`, `networks.3`) and name JSON's types. Every text is checked here.
//!
//! Inside untagged, flattened and internally tagged types serde buffers the value, and the path would end at the buffer. No input
//! has such a type; a test checks every input.

use super::place::{join, kind_of, plain};
use crate::base::error::FieldError;
use serde::{
    Deserialize,
    de::{
        DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
        value::StringDeserializer,
    },
    forward_to_deserialize_any,
};
use serde_json::Value;
use std::fmt::{self, Display};

pub(super) fn read<T: for<'de> Deserialize<'de>>(value: Value, at: &str) -> Result<T, FieldError> {
    T::deserialize(Node { value, at: at.to_owned() }).map_err(|wrong| {
        let Wrong { at: place, code, message, .. } = wrong.at(at);
        FieldError::new(place.unwrap_or_default(), code, message)
    })
}

/// Whether a text may contain the character. U+0000 is refused, and so is U+FFFD: API Gateway replaces bytes that are not UTF-8
/// by it, so the original is lost. Unicode's noncharacters are refused, too (RFC 7493, section 2.1).
const fn is_text(c: char) -> bool {
    !matches!(c, '\0' | '\u{fffd}' | '\u{fdd0}'..='\u{fdef}') && (c as u32) & 0xfffe != 0xfffe
}

/// The fault of a value, and its path once it is known.
#[derive(Debug)]
struct Wrong {
    at: Option<String>,
    /// The member of the object at `at` that has the fault.
    member: Option<String>,
    code: &'static str,
    message: String,
}

impl Wrong {
    fn new(code: &'static str, message: String) -> Self {
        Self { at: None, member: None, code, message }
    }
    fn invalid(message: String) -> Self {
        Self::new("invalid", message)
    }
    fn no_such_member(name: &str) -> Self {
        Self { member: Some(plain(name).to_owned()), ..Self::new("unknown_field", "no such field".to_owned()) }
    }
    /// Sets the path, unless a deeper level has set it.
    fn at(mut self, at: &str) -> Self {
        if self.at.is_none() {
            self.at = Some(self.member.take().map_or_else(|| at.to_owned(), |member| join(at, &member)));
        }
        self
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

impl Error for Wrong {
    fn custom<T: Display>(message: T) -> Self {
        Self::invalid(message.to_string())
    }
    fn invalid_type(given: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid(format!("expected {expected}, got {}", named(given)))
    }
    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid(format!("expected {expected}"))
    }
    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::invalid(format!("expected {expected}"))
    }
    fn unknown_variant(_: &str, variants: &'static [&'static str]) -> Self {
        Self::invalid(format!("expected {}", one_of(variants)))
    }
    fn unknown_field(name: &str, _: &'static [&'static str]) -> Self {
        Self::no_such_member(name)
    }
    fn missing_field(name: &'static str) -> Self {
        Self { member: Some(name.to_owned()), ..Self::new("required", "this field is required".to_owned()) }
    }
}

fn named(given: Unexpected<'_>) -> &'static str {
    match given {
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Seq => "an array",
        Unexpected::Map => "an object",
        _ => "a string",
    }
}

fn one_of(variants: &[&str]) -> String {
    format!("one of {}", variants.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
}

/// A value and its path.
struct Node {
    value: Value,
    at: String,
}

impl Node {
    fn mistyped(&self, expected: &str) -> Wrong {
        Wrong::invalid(format!("expected {expected}, got {}", kind_of(&self.value))).at(&self.at)
    }

    fn typed<'de, V: Visitor<'de>>(self, fits: bool, expected: &str, visitor: V) -> Result<V::Value, Wrong> {
        if fits { self.deserialize_any(visitor) } else { Err(self.mistyped(expected)) }
    }

    fn integer<'de, V: Visitor<'de>>(self, bounds: (i128, i128), visitor: V) -> Result<V::Value, Wrong> {
        let (least, most) = bounds;
        let expected = format!("an integer from {least} to {most}");
        let Value::Number(number) = &self.value else { return Err(self.mistyped(&expected)) };
        // A number that is neither has a fraction, or is out of both ranges: `strict_json` has converted the others to integers.
        let number = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
        match number.filter(|number| (least..=most).contains(number)) {
            Some(_) => self.deserialize_any(visitor),
            None => Err(Wrong::invalid(format!("expected {expected}")).at(&self.at)),
        }
    }
}

macro_rules! integers {
    ($($method:ident: $type:ty),+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            self.integer((<$type>::MIN as i128, <$type>::MAX as i128), visitor)
        })+
    };
}

impl<'de> Deserializer<'de> for Node {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let Self { value, at } = self;
        let read = match value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (_, Some(number)) => visitor.visit_i64(number),
                _ => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) if !text.chars().all(is_text) => {
                Err(Wrong::invalid("expected text without U+0000, U+FFFD and noncharacters".to_owned()))
            }
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => visitor.visit_seq(Items { items: items.into_iter(), next: 0, at: &at }),
            Value::Object(members) => visitor.visit_map(Members { members: members.into_iter(), value: None, at: &at }),
        };
        read.map_err(|wrong| wrong.at(&at))
    }

    integers! {
        deserialize_i8: i8, deserialize_i16: i16, deserialize_i32: i32, deserialize_i64: i64,
        deserialize_u8: u8, deserialize_u16: u16, deserialize_u32: u32, deserialize_u64: u64
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let fits = self.value.is_boolean();
        self.typed(fits, "a boolean", visitor)
    }
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let fits = self.value.is_number();
        self.typed(fits, "a number", visitor)
    }
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_f64(visitor)
    }
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let fits = self.value.is_string();
        self.typed(fits, "a string", visitor)
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }
    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let fits = self.value.is_array();
        self.typed(fits, "an array", visitor)
    }
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_seq(visitor)
    }
    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_seq(visitor)
    }
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let fits = self.value.is_object();
        self.typed(fits, "an object", visitor)
    }
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_map(visitor)
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }
    /// Enums are read by name: no input has an enum whose variants hold values.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let Value::String(name) = self.value else { return Err(self.mistyped(&one_of(variants))) };
        visitor.visit_enum(Name(name)).map_err(|wrong| wrong.at(&self.at))
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct identifier ignored_any }
}

struct Name(String);

impl<'de> EnumAccess<'de> for Name {
    type Error = Wrong;
    type Variant = <StringDeserializer<Wrong> as EnumAccess<'de>>::Variant;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), Wrong> {
        IntoDeserializer::<Wrong>::into_deserializer(self.0).variant_seed(seed)
    }
}

struct Items<'a> {
    items: std::vec::IntoIter<Value>,
    next: usize,
    at: &'a str,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some(value) = self.items.next() else { return Ok(None) };
        let at = join(self.at, &self.next.to_string());
        self.next += 1;
        seed.deserialize(Node { value, at: at.clone() }).map(Some).map_err(|wrong| wrong.at(&at))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Members<'a> {
    members: serde_json::map::IntoIter,
    value: Option<(String, Value)>,
    at: &'a str,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        let Some((name, value)) = self.members.next() else { return Ok(None) };
        let key: StringDeserializer<Wrong> = name.clone().into_deserializer();
        let key = seed.deserialize(key).map_err(|_| Wrong::no_such_member(&name))?;
        self.value = Some((name, value));
        Ok(Some(key))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Wrong> {
        let (name, value) = self.value.take().ok_or_else(|| Wrong::custom("a value without a name"))?;
        let at = join(self.at, plain(&name));
        seed.deserialize(Node { value, at: at.clone() }).map_err(|wrong| wrong.at(&at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::Role, request::input::strict_json};
    use serde::de::DeserializeOwned;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        flag: bool,
        #[serde(default)]
        hour: Option<i8>,
        #[serde(default)]
        names: Vec<String>,
        #[serde(default)]
        roles: BTreeMap<Role, Vec<u16>>,
    }

    fn wrong<T: DeserializeOwned + std::fmt::Debug>(value: Value) -> (String, &'static str, String) {
        let FieldError { field, code, message } = read::<T>(value, "outer").unwrap_err();
        (field, code, message)
    }

    fn number<T: DeserializeOwned>(text: &str) -> Result<T, FieldError> {
        read(strict_json(text.as_bytes()).unwrap(), "n")
    }

    #[test]
    fn nested_fault_is_reported_with_its_dotted_path() {
        for (value, field, code, message) in [
            (json!(5), "outer", "invalid", "expected an object, got a number"),
            (json!([true]), "outer", "invalid", "expected an object, got an array"),
            (json!({}), "outer.flag", "required", "this field is required"),
            (json!({"flag": null}), "outer.flag", "invalid", "expected a boolean, got null"),
            (json!({"flag": "true"}), "outer.flag", "invalid", "expected a boolean, got a string"),
            (json!({"flag": true, "hour": {}}), "outer.hour", "invalid", "expected an integer from -128 to 127, got an object"),
            (json!({"flag": true, "hour": 128}), "outer.hour", "invalid", "expected an integer from -128 to 127"),
            (json!({"flag": true, "names": "a"}), "outer.names", "invalid", "expected an array, got a string"),
            (json!({"flag": true, "names": ["a", 4711]}), "outer.names.1", "invalid", "expected a string, got a number"),
            (json!({"flag": true, "more": 1}), "outer.more", "unknown_field", "no such field"),
            (json!({"flag": true, "a b": 1}), "outer.(unnamed)", "unknown_field", "no such field"),
            (json!({"flag": true, "roles": {"emperor": []}}), "outer.roles.emperor", "unknown_field", "no such field"),
            (
                json!({"flag": true, "roles": {"viewer": [1, 70_000]}}),
                "outer.roles.viewer.1",
                "invalid",
                "expected an integer from 0 to 65535",
            ),
        ] {
            assert_eq!(wrong::<Inner>(value.clone()), (field.to_owned(), code, message.to_owned()), "{value}");
        }
        let (_, _, message) = wrong::<Role>(json!(7));
        assert!(message.starts_with("expected one of `super_admin`, ") && message.ends_with(", got a number"), "{message}");
        let (_, _, message) = wrong::<Role>(json!("emperor"));
        assert!(message.starts_with("expected one of `super_admin`, ") && !message.contains("emperor"), "{message}");
    }

    #[test]
    fn integer_is_accepted_as_in_json_schema() {
        for (text, value) in
            [("7", 7), ("7.0", 7), ("7.000e0", 7), ("0.7e1", 7), ("-0", 0), ("-0.0", 0), ("1e2", 100), ("255.0", 255)]
        {
            assert_eq!(number::<u8>(text).ok(), Some(value), "{text}");
        }
        for text in ["7.5", "1e-1", "-1", "-1.0", "256", "256.0", "1e300", "18446744073709551616", "\"7\"", "null", "true"] {
            let refused = number::<u8>(text).unwrap_err();
            assert!(refused.message.starts_with("expected an integer from 0 to 255"), "{text}: {refused:?}");
        }
        assert_eq!(number::<u64>("18446744073709551615").ok(), Some(u64::MAX));
        assert_eq!(number::<u64>("1e19").ok(), Some(10_000_000_000_000_000_000));
        assert_eq!(number::<i64>("-9223372036854775808.0").ok(), Some(i64::MIN));
        for text in ["18446744073709551616", "1.8446744073709552e19"] {
            assert!(number::<u64>(text).is_err(), "{text}");
        }
        assert!(number::<i64>("-9.3e18").is_err());
        assert_eq!(number::<f64>("7.5").ok(), Some(7.5));
        assert_eq!(number::<f64>("7").ok(), Some(7.0));
    }

    #[test]
    fn text_with_replacement_character_is_refused() {
        for bad in ["\u{fffd}", "\0", "\u{fdd0}", "\u{fdef}", "\u{fffe}", "\u{ffff}", "\u{1fffe}", "\u{10ffff}"] {
            for text in [bad.to_owned(), format!("Ad{bad}a"), format!("Ada{bad}")] {
                let refused = read::<Vec<String>>(json!(["Ada", text]), "names").unwrap_err();
                assert_eq!((refused.field.as_str(), refused.code), ("names.1", "invalid"), "{text:?}");
                assert!(!refused.message.contains(bad));
            }
        }
        for good in ["\u{fffc}", "\u{fdcf}", "\u{fdf0}", "\u{1fffd}", "\u{10fffd}", "\u{d7ff}", "\u{e000}", "Zoë 漢字 \u{1f489}"]
        {
            assert_eq!(read::<String>(json!(good), "name").ok().as_deref(), Some(good));
        }
    }
}
