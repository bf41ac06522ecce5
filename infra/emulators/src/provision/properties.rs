use serde_json::{Map, Value};

use super::unsupported;
use crate::Error;

/// A resource's properties. Each is taken once, and one that is left over is a property that the local stack would ignore.
#[derive(Debug)]
pub(super) struct Properties {
    resource: String,
    left: Map<String, Value>,
}

impl Properties {
    pub(super) fn new(resource: &str, value: Value) -> Result<Self, Error> {
        let left = match value {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            _ => return Err(unsupported(resource, "its properties are not a map")),
        };
        Ok(Self { resource: resource.to_owned(), left })
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name)
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, Error> {
        match self.take(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(unsupported(&self.resource, format!("`{name}` is missing or not a string"))),
        }
    }

    /// Moves properties whose names and shapes are equal in the API and in CloudFormation.
    pub(super) fn move_to(&mut self, input: &mut Value, names: &[&str]) {
        for name in names {
            if let Some(value) = self.take(name) {
                input[*name] = value;
            }
        }
    }

    /// Drops properties that have no effect locally.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.left.remove(*name);
        }
    }

    /// Refuses properties that are left over.
    pub(super) fn finish(self) -> Result<(), Error> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(unsupported(&self.resource, format!("the local stack does not support the property `{name}`"))),
        }
    }
}

/// A boolean; a parameter's value is always a string.
pub(super) fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(value.as_str() == Some("true"))
}
