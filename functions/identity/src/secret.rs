//! Passwords and tokens that callers send. They occur only in bodies, and their `Debug` is redacted.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use std::{borrow::Cow, fmt};
use zeroize::Zeroizing;

/// The longest secret that is accepted, in characters. This is the maximum of Cognito's passwords; our tokens are shorter.
const LONGEST: usize = 256;

/// A password or token from a caller: 1 to 256 characters. Wiped when dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        // The message must not quote the value.
        let refused = || D::Error::custom("expected a text of 1 to 256 characters");
        let text = String::deserialize(d).map(Zeroizing::new).map_err(|_| refused())?;
        if (1..=LONGEST).contains(&text.chars().count()) { Ok(Self(text)) } else { Err(refused()) }
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": LONGEST, "writeOnly": true})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_neither_printed_nor_quoted() {
        let secret: Secret = serde_json::from_str(r#""correct horse""#).unwrap();
        assert_eq!((secret.expose(), format!("{secret:?}").as_str()), ("correct horse", "[secret]"));
        for wrong in ["4711", r#""""#, &format!("\"{}\"", "4711".repeat(65))] {
            let refused = serde_json::from_str::<Secret>(wrong).unwrap_err().to_string();
            assert!(!refused.contains("4711"), "{refused}");
        }
    }
}
