//! The credentials of this client at UPS.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use serde::Deserialize;
use std::fmt;
use zeroize::Zeroizing;

use crate::lax::SecretText;

/// An application's client id and secret at UPS, and the account for which it acts. `Debug` shows none of them, and the secret is
/// overwritten when dropped.
#[derive(Clone)]
pub struct Credentials {
    client_id: String,
    client_secret: Zeroizing<String>,
    merchant_id: Option<String>,
}

/// A set of credentials cannot be read. The message does not quote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ups credentials: {0}")]
pub struct InvalidCredentials(&'static str);

impl Credentials {
    /// # Errors
    /// [`InvalidCredentials`] if a part is empty or too long or has characters other than printable ASCII, if the id has a colon
    /// (RFC 7617), or if the merchant id is not 6 to 10 letters and digits.
    pub fn new(
        client_id: String,
        client_secret: Zeroizing<String>,
        merchant_id: Option<String>,
    ) -> Result<Self, InvalidCredentials> {
        let plain = |text: &str| (1..=512).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if !plain(&client_id) || client_id.contains(':') {
            return Err(InvalidCredentials("the client id is invalid"));
        }
        if !plain(&client_secret) {
            return Err(InvalidCredentials("the client secret is invalid"));
        }
        let is_account = |text: &String| (6..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if !merchant_id.as_ref().is_none_or(is_account) {
            return Err(InvalidCredentials("the merchant id is invalid"));
        }
        Ok(Self { client_id, client_secret, merchant_id })
    }

    /// The value for HTTP Basic, marked as sensitive.
    pub(crate) fn authorization(&self) -> Result<HeaderValue, InvalidCredentials> {
        let pair = Zeroizing::new(format!("{}:{}", self.client_id, *self.client_secret));
        let text = Zeroizing::new(format!("Basic {}", *Zeroizing::new(STANDARD.encode(pair.as_bytes()))));
        let mut value = HeaderValue::from_str(&text).map_err(|_| InvalidCredentials("they do not form a valid header"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The account, for `x-merchant-id`.
    pub(crate) fn merchant_id(&self) -> Option<&str> {
        self.merchant_id.as_deref()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials([redacted])")
    }
}

/// The current credentials and, during a rotation, the previous ones, which work until UPS removes them.
///
/// Stored as a JSON object: `client_id`, `client_secret`, optionally `merchant_id`; during a rotation also
/// `previous_client_secret`, and `previous_client_id` if the id changed too.
#[derive(Clone, Debug)]
pub struct Secret {
    current: Credentials,
    previous: Option<Credentials>,
}

#[derive(Deserialize)]
struct Stored {
    client_id: String,
    client_secret: SecretText,
    merchant_id: Option<String>,
    previous_client_id: Option<String>,
    previous_client_secret: Option<SecretText>,
}

impl Secret {
    /// # Errors
    /// [`InvalidCredentials`] if it is not the object described above.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidCredentials> {
        let stored: Stored = serde_json::from_slice(json).map_err(|_| InvalidCredentials("not the expected json object"))?;
        let previous = match (stored.previous_client_id, stored.previous_client_secret) {
            (id, Some(secret)) => {
                Some(Credentials::new(id.unwrap_or_else(|| stored.client_id.clone()), secret.0, stored.merchant_id.clone())?)
            }
            (None, None) => None,
            (Some(_), None) => return Err(InvalidCredentials("the previous client id has no secret")),
        };
        Ok(Self { current: Credentials::new(stored.client_id, stored.client_secret.0, stored.merchant_id)?, previous })
    }

    /// The credentials in the order in which to try them: if UPS refuses one, try the next.
    pub fn candidates(&self) -> impl Iterator<Item = &Credentials> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_credentials_are_read_and_debug_is_redacted() {
        let secret = Secret::parse(br#"{"client_id":"synthetic-id","client_secret":"synthetic-value","merchant_id":"A1B2C3"}"#);
        let secret = secret.unwrap();
        assert_eq!(secret.candidates().count(), 1);
        let shown = format!("{secret:?}");
        assert_eq!(shown, "Secret { current: Credentials([redacted]), previous: None }");
        let header = secret.current.authorization().unwrap();
        assert!(header.is_sensitive());
        // base64 of `synthetic-id:synthetic-value`
        assert_eq!(header, "Basic c3ludGhldGljLWlkOnN5bnRoZXRpYy12YWx1ZQ==");
    }

    #[test]
    fn previous_credentials_are_second_candidate_during_rotation() {
        let secret = Secret::parse(br#"{"client_id":"new","client_secret":"b","previous_client_secret":"a"}"#).unwrap();
        let tried: Vec<_> = secret.candidates().map(|c| (c.client_id.as_str(), c.client_secret.as_str())).collect();
        assert_eq!(tried, [("new", "b"), ("new", "a")]);
        let both = br#"{"client_id":"new","client_secret":"b","previous_client_id":"old","previous_client_secret":"a"}"#;
        assert_eq!(Secret::parse(both).unwrap().candidates().nth(1).unwrap().client_id, "old");
    }

    #[test]
    fn invalid_stored_credentials_are_refused_without_quoting_them() {
        let refused = [
            "",
            "null",
            "{}",
            r#"{"client_id":"a:b","client_secret":"hush"}"#,
            r#"{"client_id":"","client_secret":"hush"}"#,
            r#"{"client_id":"a","client_secret":""}"#,
            r#"{"client_id":"a","client_secret":"hu\r\nsh"}"#,
            r#"{"client_id":"a","client_secret":"hush","merchant_id":"12"}"#,
            r#"{"client_id":"a","client_secret":"hush","merchant_id":"hush\n12"}"#,
            r#"{"client_id":"a","client_secret":"hush","previous_client_id":"b"}"#,
            r#"{"client_id":"a","client_secret":{"hush":1}}"#,
        ];
        for text in refused {
            let error = Secret::parse(text.as_bytes()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
        }
        // A member that only a later version knows must not stop calls to the carrier.
        assert!(Secret::parse(br#"{"client_id":"a","client_secret":"hush","other":"hush"}"#).is_ok());
    }
}
