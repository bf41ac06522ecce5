//! The bearer token and its lifetime.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::fmt;
use zeroize::Zeroizing;

use crate::{Malformed, lax};

/// The longest lifetime that is accepted for a token.
const MAX_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// A bearer token, shared by all calls: UPS rate-limits clients that request a token for every call. `Debug` hides its text,
/// which is overwritten when dropped.
#[derive(Clone)]
pub struct Token {
    text: Zeroizing<String>,
    expires_at: Timestamp,
}

impl Token {
    /// Restores a token from storage.
    ///
    /// # Errors
    /// [`Malformed`] if it is empty, longer than 8 KiB, or not printable ASCII.
    pub fn new(text: Zeroizing<String>, expires_at: Timestamp) -> Result<Self, Malformed> {
        if (1..=8192).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self { text, expires_at })
        } else {
            Err(Malformed("the access token cannot be sent in a header"))
        }
    }

    /// Reads the answer of UPS's token endpoint. All its members are strings, including `expires_in` (seconds, such as `"14399"`)
    /// and `issued_at` (Unix time in milliseconds); numbers are accepted too. If `issued_at` is in the future, or so long ago
    /// that the token would have expired, one of the two clocks is wrong, and the lifetime is counted from `now`.
    pub(crate) fn parse(body: &[u8], now: Timestamp) -> Result<Self, Malformed> {
        let answer: TokenResponse =
            serde_json::from_slice(body).map_err(|_| Malformed("the token answer is not as documented"))?;
        let life = answer.expires_in.0.parse().ok().filter(|seconds| *seconds > 0);
        let life = SignedDuration::from_secs(life.ok_or(Malformed("the token has no lifetime"))?).min(MAX_LIFE);
        let issued = answer.issued_at.0.parse().ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let plausible = |issued: &Timestamp| *issued <= now && now.duration_since(*issued) < life;
        let expires_at = issued.filter(plausible).unwrap_or(now).checked_add(life);
        Self::new(answer.access_token.0, expires_at.map_err(|_| Malformed("the token's expiry is out of range"))?)
    }

    /// The token, which is a secret.
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Whether the token expires within `margin` of `now`, or has expired.
    pub fn ends_within(&self, margin: SignedDuration, now: Timestamp) -> bool {
        self.expires_at.duration_since(now) <= margin
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("text", &"[redacted]").field("expires_at", &self.expires_at).finish()
    }
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: lax::SecretText,
    #[serde(default)]
    expires_in: lax::Text,
    #[serde(default)]
    issued_at: lax::Text,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> Timestamp {
        "2026-01-31T09:30:00Z".parse().unwrap()
    }

    fn token(expires_in: &str, issued_at: &str) -> Result<Token, Malformed> {
        let body = format!(r#"{{"access_token":"synthetic","expires_in":{expires_in},"issued_at":{issued_at}}}"#);
        Token::parse(body.as_bytes(), now())
    }

    #[test]
    fn token_lifetime_is_read_from_strings_or_numbers() {
        let issued = now().as_millisecond() - 60_000;
        let expected = now() + SignedDuration::from_secs(14_399 - 60);
        for (life, issued) in
            [("\"14399\"", format!("\"{issued}\"")), ("14399", issued.to_string()), ("\" 14399 \"", issued.to_string())]
        {
            assert_eq!(token(life, &issued).unwrap().expires_at(), expected);
        }
    }

    #[test]
    fn token_lifetime_counts_from_now_if_clocks_disagree() {
        let full = now() + SignedDuration::from_secs(14_399);
        let ahead = (now().as_millisecond() + 5_000).to_string();
        let long_ago = (now().as_millisecond() - 14_399_000).to_string();
        for issued in [ahead.as_str(), long_ago.as_str(), "null", "\"\"", "\"yesterday\"", "-1", "99999999999999999"] {
            assert_eq!(token("\"14399\"", issued).unwrap().expires_at(), full, "`{issued}`");
        }
    }

    #[test]
    fn token_without_lifetime_or_text_is_malformed() {
        for life in ["null", "\"\"", "\"0\"", "\"-5\"", "\"soon\"", "[]"] {
            assert!(token(life, "null").is_err(), "`{life}`");
        }
        for body in ["", "{}", "[]", r#"{"access_token":null,"expires_in":"1"}"#, r#"{"access_token":"a b","expires_in":"1"}"#] {
            assert!(Token::parse(body.as_bytes(), now()).is_err(), "`{body}`");
        }
        assert_eq!(token("\"9999999999\"", "null").unwrap().expires_at(), now() + MAX_LIFE);
    }

    #[test]
    fn token_reports_its_expiry_and_hides_its_text() {
        let token = token("\"600\"", "null").unwrap();
        let minutes = SignedDuration::from_mins;
        assert!(!token.ends_within(minutes(5), now()));
        assert!(token.ends_within(minutes(5), now() + minutes(5)));
        assert!(token.ends_within(minutes(0), now() + minutes(10)));
        let shown = format!("{token:?}");
        assert!(shown.contains("[redacted]") && !shown.contains("synthetic"), "{shown}");
    }

    proptest! {
        #[test]
        fn arbitrary_token_answer_is_bounded_or_refused(body in any::<Vec<u8>>(), life in any::<i64>(), issued in any::<i64>(), now in any::<i32>()) {
            let now = Timestamp::from_second(now.into()).unwrap();
            let _ = Token::parse(&body, now);
            let body = format!(r#"{{"access_token":"synthetic","expires_in":"{life}","issued_at":{issued}}}"#);
            if let Ok(token) = Token::parse(body.as_bytes(), now) {
                prop_assert!(token.expires_at() > now && token.expires_at() <= now + MAX_LIFE);
            }
        }
    }
}
