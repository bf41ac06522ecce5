//! Event patterns of a pipe's filter criteria.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-event-filtering.html>

use serde_json::Value;

/// A parsed filter. An unsupported operator is refused when the stack starts; otherwise it would match nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern(Vec<(String, Node)>);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Object(Pattern),
    AnyOf(Vec<Matcher>),
}

#[derive(Clone, Debug, PartialEq)]
enum Matcher {
    Exactly(Value),
    Prefix(String),
    Suffix(String),
    AnythingBut(Vec<Value>),
    Exists(bool),
}

impl Pattern {
    /// # Errors
    /// Names the unsupported part.
    pub(crate) fn parse(pattern: &Value) -> Result<Self, String> {
        let map = pattern.as_object().ok_or_else(|| format!("the pattern {pattern} is not an object"))?;
        let nodes = map.iter().map(|(name, value)| match value {
            Value::Object(_) => Ok((name.clone(), Node::Object(Self::parse(value)?))),
            Value::Array(items) if name != "$or" => {
                Ok((name.clone(), Node::AnyOf(items.iter().map(Matcher::parse).collect::<Result<_, _>>()?)))
            }
            _ => Err(format!("the local stack does not support `{name}` in a pattern")),
        });
        nodes.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn matches(&self, event: &Value) -> bool {
        self.0.iter().all(|(name, node)| match (node, event.get(name)) {
            (Node::Object(pattern), found) => pattern.matches(found.unwrap_or(&Value::Null)),
            (Node::AnyOf(matchers), Some(Value::Array(items))) => {
                matchers.iter().any(|m| items.iter().any(|item| m.matches(Some(item))))
            }
            (Node::AnyOf(matchers), found) => matchers.iter().any(|m| m.matches(found)),
        })
    }
}

impl Matcher {
    fn parse(value: &Value) -> Result<Self, String> {
        let Value::Object(map) = value else { return Ok(Self::Exactly(value.clone())) };
        let unknown = || format!("the local stack does not support the filter {value}");
        let mut pairs = map.iter();
        let (Some((operator, operand)), None) = (pairs.next(), pairs.next()) else { return Err(unknown()) };
        match (operator.as_str(), operand) {
            ("prefix", Value::String(text)) => Ok(Self::Prefix(text.clone())),
            ("suffix", Value::String(text)) => Ok(Self::Suffix(text.clone())),
            ("exists", Value::Bool(exists)) => Ok(Self::Exists(*exists)),
            ("anything-but", Value::Array(these)) => Ok(Self::AnythingBut(these.clone())),
            ("anything-but", this @ (Value::String(_) | Value::Number(_))) => Ok(Self::AnythingBut(vec![this.clone()])),
            _ => Err(unknown()),
        }
    }

    fn matches(&self, found: Option<&Value>) -> bool {
        match (self, found) {
            (Self::Exists(wanted), found) => found.is_some() == *wanted,
            (_, None) => false,
            (Self::Exactly(value), Some(found)) => value == found,
            (Self::Prefix(start), Some(found)) => found.as_str().is_some_and(|text| text.starts_with(start)),
            (Self::Suffix(end), Some(found)) => found.as_str().is_some_and(|text| text.ends_with(end)),
            (Self::AnythingBut(these), Some(found)) => !these.contains(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn record_matches_if_every_named_field_has_one_of_its_values() {
        let record =
            json!({ "eventName": "MODIFY", "dynamodb": { "NewImage": { "kind": { "S": "audit" } } }, "list": ["a", "b"] });
        for (pattern, fits) in [
            (json!({ "eventName": ["INSERT", "MODIFY"] }), true),
            (json!({ "eventName": ["INSERT"] }), false),
            (json!({ "eventName": ["MODIFY"], "dynamodb": { "NewImage": { "kind": { "S": ["audit"] } } } }), true),
            (json!({ "dynamodb": { "NewImage": { "kind": { "S": ["event"] } } } }), false),
            (json!({ "dynamodb": { "OldImage": { "kind": { "S": ["audit"] } } } }), false),
            (json!({ "dynamodb": { "NewImage": { "wake": { "S": [{ "exists": false }] } } } }), true),
            (json!({ "dynamodb": { "NewImage": { "kind": { "S": [{ "exists": true }] } } } }), true),
            (json!({ "eventName": [{ "prefix": "MOD" }] }), true),
            (json!({ "eventName": [{ "suffix": "MOD" }] }), false),
            (json!({ "eventName": [{ "anything-but": ["REMOVE"] }] }), true),
            (json!({ "eventName": [{ "anything-but": "MODIFY" }] }), false),
            (json!({ "list": ["b"] }), true),
            (json!({ "list": ["c"] }), false),
        ] {
            assert_eq!(Pattern::parse(&pattern).unwrap().matches(&record), fits, "{pattern}");
        }
    }

    #[test]
    fn unsupported_operator_is_refused() {
        for pattern in [
            json!({ "a": [{ "cidr": "10.0.0.0/8" }] }),
            json!({ "a": [{ "prefix": "x", "suffix": "y" }] }),
            json!({ "a": "b" }),
            json!({ "$or": [{ "a": ["b"] }] }),
            json!([]),
        ] {
            assert!(Pattern::parse(&pattern).is_err(), "{pattern}");
        }
    }
}
