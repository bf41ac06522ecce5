//! The path of a value in a body, and the errors about it.

use crate::base::error::FieldError;
use serde_json::Value;

/// The error for a value of another JSON type.
pub fn mistyped(at: &str, expected: &str, given: &Value) -> FieldError {
    FieldError::new(at, "invalid", format!("expected {expected}, got {}", kind_of(given)))
}

pub(super) const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The path of a member, or of an item by its index from 0: `recipient.address.city`, `networks.3`.
pub(super) fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// A member's name in a form that an error may repeat. The caller chose the name, so it could be anything.
pub(super) fn plain(name: &str) -> &str {
    let plain = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if plain { name } else { "(unnamed)" }
}

/// The path of a member whose name the caller chose.
pub fn member(at: &str, name: &str) -> String {
    join(at, plain(name))
}

pub(super) fn unknown(at: &str, name: &str) -> FieldError {
    FieldError::new(member(at, name), "unknown_field", "no such field")
}
