//! Strict parsing of a caller's JSON. It does not depend on AWS crates, so that a fuzzer can build it alone.

use serde_json::{Map, Number, Value};
use std::borrow::Cow;

/// The text is not JSON, or an object repeats a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// JSON in which no object repeats a member: two readers of such a body could see two different requests. A number without a
/// fraction is an integer in any notation, as in JSON Schema: `7.0`, `1e2`.
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

/// The integer that equals a floating-point number, if 64 bits can hold it.
fn integer(v: f64) -> Option<Number> {
    // The bounds are powers of two and exact. The cast of a number within them and without a fraction is exact, too.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds, and without a fraction")]
    match v {
        _ if v.fract() != 0.0 => None,
        0.0..18_446_744_073_709_551_616.0 => Some(Number::from(v as u64)),
        -9_223_372_036_854_775_808.0..0.0 => Some(Number::from(v as i64)),
        _ => None,
    }
}
