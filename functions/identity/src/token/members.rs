//! Parses a JSON object strictly: a repeated member is refused.
//!
//! Parsers differ in which of two equal names counts (RFC 8259, section 4), so a token with a repeated member could mean one
//! thing here and another elsewhere. RFC 7515, section 4, and RFC 7519, section 4, allow refusing it.

use std::collections::{BTreeMap, btree_map::Entry};
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The members of one JSON object. Only the names of the outermost object are checked to be unique.
#[derive(Debug)]
pub(super) struct Members(BTreeMap<String, Value>);

/// The reason why bytes are not the members of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotMembers {
    /// Not UTF-8, not JSON, not an object, or followed by something else.
    Malformed,
    /// A name occurs twice.
    Duplicate,
}

impl Members {
    /// Reads exactly one object from `json`.
    pub(super) fn parse(json: &[u8]) -> Result<Self, NotMembers> {
        let pairs: Pairs = serde_json::from_slice(json).map_err(|_| NotMembers::Malformed)?;
        let mut members = BTreeMap::new();
        for (name, value) in pairs.0 {
            match members.entry(name) {
                Entry::Vacant(free) => free.insert(value),
                Entry::Occupied(_) => return Err(NotMembers::Duplicate),
            };
        }
        Ok(Self(members))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn contains_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.0.contains_key(*name))
    }

    /// The member as a text that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The member as an integer, such as seconds since 1970. Fractions and numbers in quotes are refused.
    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(Value::as_i64)
    }
}

struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_name_in_another_escaping_is_refused() {
        let twice = br#"{"iss":"a","\u0069ss":"b"}"#;
        assert_eq!(Members::parse(twice).unwrap_err(), NotMembers::Duplicate);
    }

    #[test]
    fn text_other_than_one_object_is_refused() {
        for json in [&b""[..], b"null", b"[]", b"1", b"{} {}", b"{},", b"{\"a\":1", b"{\"a\":\"\xff\"}"] {
            assert_eq!(Members::parse(json).unwrap_err(), NotMembers::Malformed, "{json:?}");
        }
    }

    #[test]
    fn fraction_or_empty_text_is_refused() {
        let members = Members::parse(br#"{"a":1.0,"b":"1","c":1e3,"d":9223372036854775808,"e":-1,"f":""}"#).unwrap();
        let integers: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| members.integer(name)).into();
        assert_eq!(integers, [None, None, None, None, Some(-1)]);
        assert_eq!(members.text("f"), None);
    }
}
