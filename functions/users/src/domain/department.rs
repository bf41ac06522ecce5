//! Where in a tenant somebody works, in the tenant's own words.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A department's name: 1 to 100 characters, none of them a control character. Names that are equal are the same department.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Department(#[schemars(length(min = 1, max = 100), regex(pattern = common::input::VISIBLE))] String);

/// The text names no department.
const EXPECTED: &str = "expected a name of 1 to 100 characters";

impl Department {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }

    pub fn into_inner(self) -> String {
        self.0
    }
}

impl<'de> Deserialize<'de> for Department {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).ok_or_else(|| serde::de::Error::custom(EXPECTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_department_has_a_name_that_can_be_seen() {
        assert_eq!(Department::parse("  Cardiology ").unwrap().into_inner(), "Cardiology");
        for none in ["", "   ", "a\u{0}b", "a\nb", &"x".repeat(101)] {
            assert_eq!(Department::parse(none), None, "{none:?}");
        }
    }
}
