//! JSON as a caller sends it. It needs nothing of AWS, so that a fuzzer builds it by itself.

use serde_json::{Map, Number, Value};
use std::borrow::Cow;

/// It is no JSON, or an object names a member twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// JSON in which no object names a member twice: two readers of such a body could see two different requests. A number without a
/// fraction is an integer however it is written, as JSON Schema has it: `7.0`, `1e2`.
///
/// # Errors
/// [`Malformed`].
pub(super) fn json(bytes: &[u8]) -> Result<Value, Malformed> {
    struct Strict(Value);
    impl<'de> serde::Deserialize<'de> for Strict {
        fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            d.deserialize_any(Visitor).map(Strict)
        }
    }
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Value;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("JSON")
        }
        fn visit_unit<E>(self) -> Result<Value, E> {
            Ok(Value::Null)
        }
        fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
            Ok(v.into())
        }
        fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
            Ok(v.into())
        }
        fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
            Ok(v.into())
        }
        fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
            Ok(integer(v).map_or_else(|| v.into(), Value::Number))
        }
        fn visit_str<E>(self, v: &str) -> Result<Value, E> {
            Ok(v.into())
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
            let mut items = Vec::new();
            while let Some(Strict(item)) = seq.next_element()? {
                items.push(item);
            }
            Ok(Value::Array(items))
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
            let mut object = Map::new();
            while let Some((name, Strict(value))) = map.next_entry::<Cow<'de, str>, Strict>()? {
                if object.insert(name.into_owned(), value).is_some() {
                    return Err(serde::de::Error::custom("duplicate member"));
                }
            }
            Ok(Value::Object(object))
        }
    }
    serde_json::from_slice::<Strict>(bytes).map(|Strict(v)| v).map_err(|_| Malformed)
}

/// The integer that a floating-point number is, if it is one that 64 bits hold.
fn integer(v: f64) -> Option<Number> {
    // The bounds are powers of two, and exact; the cast of a number within them, without a fraction, is exact too.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds, and without a fraction")]
    match v {
        _ if v.fract() != 0.0 => None,
        0.0..18_446_744_073_709_551_616.0 => Some(Number::from(v as u64)),
        -9_223_372_036_854_775_808.0..0.0 => Some(Number::from(v as i64)),
        _ => None,
    }
}
