//! The names of a tenant: one for programs and one for people.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A tenant's unique and permanent name in the deployment: a DNS label (RFC 1123) of 3 to 40 characters, so that it can be part
/// of a host name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct TenantName(#[schemars(length(min = 3, max = 40), regex(pattern = "^[a-z][a-z0-9-]*[a-z0-9]$"))] String);

impl TenantName {
    fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let plain = bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
        let begins = bytes.first().is_some_and(u8::is_ascii_lowercase);
        let ends = bytes.last().is_some_and(|b| *b != b'-');
        ((3..=40).contains(&bytes.len()) && plain && begins && ends).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for TenantName {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let expected = "expected 3 to 40 of `a-z`, `0-9` and `-`, beginning with a letter and not ending with `-`";
        Self::parse(&String::deserialize(d)?).ok_or_else(|| serde::de::Error::custom(expected))
    }
}

/// The name for people.
pub type DisplayName = common::base::VisibleText<100>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_name_that_is_not_a_dns_label_is_refused() {
        for name in ["acme", "a1-b2", "abc", &"a".repeat(40)] {
            assert_eq!(TenantName::parse(name).unwrap().as_str(), name);
        }
        let long = "a".repeat(41);
        for none in
            ["", "ab", "1abc", "-abc", "abc-", "Abc", "a b", "a_b", "abc#def", "\u{430}cme", "acme\n", "xn\u{e9}", long.as_str()]
        {
            assert_eq!(TenantName::parse(none), None, "{none:?}");
        }
    }
}
