//! Bounded integers. The schema, the parser and the error message use the same two numbers.

use super::{FromJson, place::mistyped};
use crate::base::{error::FieldError, number::plain_number};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use std::borrow::Cow;

/// An integer from `LEAST` to `MOST` in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Integer<const LEAST: u32, const MOST: u32>(u32);

impl<const LEAST: u32, const MOST: u32> Integer<LEAST, MOST> {
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// An integer from `LEAST` to `MOST` in a query: in decimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digits<const LEAST: u64, const MOST: u64>(u64);

impl<const LEAST: u64, const MOST: u64> Digits<LEAST, MOST> {
    pub const fn get(self) -> u64 {
        self.0
    }
}

fn expected(least: impl Into<u64>, most: impl Into<u64>) -> String {
    format!("an integer from {} to {}", least.into(), most.into())
}

/// Reads an integer from `least` to `most` at a path of a body.
pub fn integer(value: &Value, at: &str, (least, most): (u32, u32), errors: &mut Vec<FieldError>) -> Option<u32> {
    let expected = expected(least, most);
    if !value.is_number() {
        errors.push(mistyped(at, &expected, value));
        return None;
    }
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| (least..=most).contains(number));
    if number.is_none() {
        let is_integer = value.as_f64().is_none_or(|number| number.fract() == 0.0);
        let code = if is_integer { "out_of_range" } else { "invalid" };
        errors.push(FieldError::new(at, code, format!("expected {expected}")));
    }
    number
}

impl<const LEAST: u32, const MOST: u32> FromJson for Integer<LEAST, MOST> {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        integer(&value, at, (LEAST, MOST), errors).map(Self)
    }
}

impl<'de, const LEAST: u64, const MOST: u64> Deserialize<'de> for Digits<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let number = plain_number(&String::deserialize(d)?).filter(|number| (LEAST..=MOST).contains(number));
        number.map(Self).ok_or_else(|| de::Error::custom(format!("expected {}", expected(LEAST, MOST))))
    }
}

/// The schema of an integer within bounds.
fn schema(least: impl Into<u64>, most: impl Into<u64>) -> Schema {
    json_schema!({"type": "integer", "minimum": least.into(), "maximum": most.into()})
}

impl<const LEAST: u32, const MOST: u32> JsonSchema for Integer<LEAST, MOST> {
    fn schema_name() -> Cow<'static, str> {
        format!("Integer{LEAST}To{MOST}").into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(LEAST, MOST)
    }
}

impl<const LEAST: u64, const MOST: u64> JsonSchema for Digits<LEAST, MOST> {
    fn schema_name() -> Cow<'static, str> {
        format!("Digits{LEAST}To{MOST}").into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(LEAST, MOST)
    }
}

/// The number of items on a page in a query: 1 to 100; 25 if absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub u32);

/// The same in a body, where it is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(pub Limit);

impl Default for Limit {
    fn default() -> Self {
        Self(25)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let Digits(limit) = Digits::<1, 100>::deserialize(d)?;
        u32::try_from(limit).map(Self).map_err(de::Error::custom)
    }
}

impl FromJson for PageSize {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        Integer::<1, 100>::from_json(value, at, errors).map(|Integer(limit)| Self(Limit(limit)))
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = schema(1u32, 100u32);
        schema.insert("default".to_owned(), Self::default().0.into());
        schema
    }
}

impl JsonSchema for PageSize {
    fn schema_name() -> Cow<'static, str> {
        Limit::schema_name()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        Limit::json_schema(schemas)
    }
}
