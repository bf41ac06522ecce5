//! The business associate agreement with a tenant (45 CFR 164.504(e)): its term, its signatory, and the hash of its document.

use common::{
    base::{Error, FieldError, Result, Timestamp},
    identity::BaaTerm,
};
use phi::PersonName;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// A longer term is probably a typing error.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// SHA-256 of the signed document: 64 hexadecimal digits, stored in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct DocumentHash(#[schemars(length(equal = 64), regex(pattern = "^[0-9a-fA-F]{64}$"))] String);

impl DocumentHash {
    fn parse(text: &str) -> Option<Self> {
        (text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| Self(text.to_ascii_lowercase()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for DocumentHash {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).ok_or_else(|| serde::de::Error::custom("expected 64 hexadecimal digits"))
    }
}

/// An agreement that is signed and has not ended.
#[derive(Clone, Debug)]
pub struct Agreement {
    pub term: BaaTerm,
    pub signatory: PersonName,
    pub document: DocumentHash,
}

impl Agreement {
    /// # Errors
    /// 422 with each invalid time: signed in the future, already ended, ended before it was signed, or more than ten years later.
    pub fn new(term: BaaTerm, signatory: PersonName, document: DocumentHash, now: Timestamp) -> Result<Self> {
        let BaaTerm { signed_at, expires_at } = term;
        let mut errors = Vec::new();
        let mut wrong = |field, code, message: &str| errors.push(FieldError::new(field, code, message));
        if signed_at > now {
            wrong("signed_at", "in_the_future", "expected a time in the past");
        }
        if expires_at <= signed_at {
            wrong("expires_at", "empty_range", "expected a time later than `signed_at`");
        } else if expires_at <= now {
            wrong("expires_at", "in_the_past", "expected a time in the future");
        } else if expires_at.since(signed_at) > LONGEST {
            wrong("expires_at", "too_far", "expected a time at most ten years after `signed_at`");
        }
        if errors.is_empty() { Ok(Self { term, signatory, document }) } else { Err(Error::Invalid(errors)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phi::PhiText;

    const DAY: i64 = 24 * 60 * 60 * 1000;
    const NOW: i64 = 20_000 * DAY;

    fn codes(signed: i64, expires: i64) -> Vec<(String, &'static str)> {
        let term = BaaTerm { signed_at: Timestamp::from_millis(signed), expires_at: Timestamp::from_millis(expires) };
        let document = DocumentHash::parse(&"aB".repeat(32)).unwrap();
        let name = PersonName::parse("Ada Sample").unwrap();
        match Agreement::new(term, name, document, Timestamp::from_millis(NOW)) {
            Ok(agreement) => {
                assert_eq!((agreement.term, agreement.document.as_str()), (term, "ab".repeat(32).as_str()));
                Vec::new()
            }
            Err(Error::Invalid(errors)) => errors.into_iter().map(|error| (error.field, error.code)).collect(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn agreement_with_an_invalid_term_is_refused() {
        let wrong = |field: &str, code| vec![(field.to_owned(), code)];
        assert_eq!(codes(NOW - DAY, NOW + 365 * DAY), []);
        assert_eq!(codes(NOW, NOW + 3_660 * DAY), []);
        assert_eq!(codes(NOW + 1, NOW + DAY), wrong("signed_at", "in_the_future"));
        assert_eq!(codes(NOW - DAY, NOW), wrong("expires_at", "in_the_past"));
        assert_eq!(codes(NOW - DAY, NOW - DAY), wrong("expires_at", "empty_range"));
        assert_eq!(codes(NOW - DAY, NOW - 2 * DAY), wrong("expires_at", "empty_range"));
        assert_eq!(codes(NOW, NOW + 3_661 * DAY), wrong("expires_at", "too_far"));
    }

    #[test]
    fn document_hash_other_than_64_hex_digits_is_refused() {
        for none in ["", &"a".repeat(63), &"a".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(DocumentHash::parse(none), None, "{none:?}");
        }
    }
}
