//! Values that are shown once: secrets that an answer returns to their owner.
//!
//! The type of a secret keeps it out of every record. [`Issued`] can be serialised only into an endpoint's answer. An answer that
//! contains one is marked, so that the pipeline does not store its body. A new endpoint needs no code for this.

use crate::base::{Error, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer, ser::Error as _};
use std::{borrow::Cow, cell::Cell, fmt};

thread_local! {
    /// During the serialisation of an answer on this thread: whether it contains a secret.
    static ANSWER: Cell<Option<bool>> = const { Cell::new(None) };
}

/// A secret for its owner. Its `Debug` is redacted.
pub struct Issued(String);

impl Issued {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Serialize for Issued {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if ANSWER.get().is_none() {
            return Err(S::Error::custom("a secret is serialised into an answer only"));
        }
        ANSWER.set(Some(true));
        s.serialize_str(&self.0)
    }
}

impl JsonSchema for Issued {
    fn schema_name() -> Cow<'static, str> {
        "Token".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "readOnly": true, "x-shown-once": true})
    }
}

/// An answer's body, and whether it contains a secret.
///
/// # Errors
/// Internal if it cannot be serialised.
pub(crate) fn body_of(answer: &impl Serialize) -> Result<(Vec<u8>, bool)> {
    let around = ANSWER.replace(Some(false));
    let body = serde_json::to_vec(answer);
    let issues = ANSWER.replace(around) == Some(true);
    body.map(|body| (body, issues)).map_err(|_| Error::internal("output"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Serialize)]
    struct Nested {
        codes: Vec<Option<Issued>>,
        #[serde(flatten)]
        others: BTreeMap<&'static str, Issued>,
    }

    #[test]
    fn answer_is_marked_only_if_it_contains_a_secret_at_any_depth() {
        let secret = || Issued::new("correct horse");
        let nested = |codes, others| body_of(&[Nested { codes, others }]).unwrap();
        assert_eq!(nested(vec![None], BTreeMap::new()), (br#"[{"codes":[null]}]"#.to_vec(), false));
        assert_eq!(nested(vec![None, Some(secret())], BTreeMap::new()).0, br#"[{"codes":[null,"correct horse"]}]"#);
        assert!(nested(vec![Some(secret())], BTreeMap::new()).1);
        assert!(nested(vec![], BTreeMap::from([("key", secret())])).1);
        assert!(!body_of(&"correct horse").unwrap().1, "the mark does not outlive its answer");
    }

    #[test]
    fn secret_is_serialised_only_into_an_answer_and_never_printed() {
        let secret = Issued::new("correct horse");
        assert!(serde_json::to_string(&secret).is_err() && serde_json::to_value([&secret]).is_err());
        assert_eq!(format!("{secret:?}"), "[secret]");
    }
}
