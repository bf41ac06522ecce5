//! Lists of roles, from those that an endpoint offers.

use super::place::{join, mistyped};
use crate::base::{Role, error::FieldError};
use schemars::{Schema, json_schema};
use serde_json::Value;

/// Reads a list of roles at a path of a body: each must be `offered`, and none may be repeated.
pub fn roles(value: Value, at: &str, offered: &[Role], errors: &mut Vec<FieldError>) -> Option<Vec<Role>> {
    let Value::Array(items) = value else {
        errors.push(mistyped(at, "an array", &value));
        return None;
    };
    let names: Vec<_> = offered.iter().map(|role| format!("`{role}`")).collect();
    let expected = format!("one of {}", names.join(", "));
    let (before, mut read) = (errors.len(), Vec::new());
    for (i, item) in items.into_iter().enumerate() {
        let place = join(at, &i.to_string());
        match item.as_str().map(str::parse::<Role>) {
            None => errors.push(mistyped(&place, &expected, &item)),
            Some(Err(())) => errors.push(FieldError::new(place, "invalid", format!("expected {expected}"))),
            Some(Ok(role)) if !offered.contains(&role) => {
                errors.push(FieldError::new(place, "not_for_people", format!("expected {expected}")));
            }
            Some(Ok(role)) if read.contains(&role) => {
                errors.push(FieldError::new(place, "repeated", "this role is repeated"));
            }
            Some(Ok(role)) => read.push(role),
        }
        if errors.len() > super::MOST_ERRORS {
            return None;
        }
    }
    (errors.len() == before).then_some(read)
}

/// The schema of the lists that [`roles`] accepts, with at least `least` roles.
pub fn role_list(offered: &[Role], least: usize) -> Schema {
    json_schema!({
        "type": "array", "minItems": least, "maxItems": offered.len(), "uniqueItems": true,
        "items": {"type": "string", "enum": offered},
    })
}
