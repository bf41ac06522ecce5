use serde_json::{Map, Value};

use super::unsupported;
use crate::Error;

/// A resource's properties, each to be taken once: what nobody took is a property that the local stack would ignore.
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
            _ => return Err(unsupported(resource, "its properties are no map")),
        };
        Ok(Self { resource: resource.to_owned(), left })
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name)
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, Error> {
        match self.take(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(unsupported(&self.resource, format!("`{name}` is missing or no string"))),
        }
    }

    /// Moves properties whose names and shapes the API shares with CloudFormation.
    pub(super) fn move_to(&mut self, input: &mut Value, names: &[&str]) {
        for name in names {
            if let Some(value) = self.take(name) {
                input[*name] = value;
            }
        }
    }

    /// Drops properties that change nothing on one machine.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.left.remove(*name);
        }
    }

    /// Refuses what is left.
    pub(super) fn finish(self) -> Result<(), Error> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(unsupported(&self.resource, format!("property `{name}` is not known to the local stack"))),
        }
    }
}

/// A flag as a template may write it: a parameter's value is always a string.
pub(super) fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(value.as_str() == Some("true"))
}
