use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::{InvalidValue, PhiText};

/// Deserialises a text value. serde's own errors quote a value of the wrong type (`invalid type: integer 5551234567`); these name
/// only the expected form. serde_json quotes the value before it calls the visitor unless it is called with `deserialize_any`.
///
/// # Errors
/// Those of the deserializer, and [`InvalidValue`].
pub fn text<'de, D: Deserializer<'de>, T: PhiText>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(TextVisitor(PhantomData))
}

/// Like [`text`], for a value that is an object.
///
/// # Errors
/// Those of the deserializer and of the fields.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D, expected: &'static str) -> Result<T, D::Error> {
    deserializer.deserialize_any(ObjectVisitor(expected, PhantomData))
}

macro_rules! refuse {
    ($($visit:ident: $type:ty),+; $expected:expr) => {
        $(fn $visit<E: Error>(self, _: $type) -> Result<Self::Value, E> {
            Err(E::custom(InvalidValue($expected(&self))))
        })+
    };
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: PhiText> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::parse(text).map_err(E::custom)
    }

    refuse! { visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128, visit_f64: f64, visit_bytes: &[u8]; |_: &Self| T::EXPECTED }
}

struct ObjectVisitor<T>(&'static str, PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }

    refuse! { visit_str: &str, visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128, visit_f64: f64, visit_bytes: &[u8]; |visitor: &Self| visitor.0 }
}
