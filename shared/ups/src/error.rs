//! Errors, grouped by the caller's possible reaction.

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use serde::Deserialize;
use std::{fmt, time::Duration};
use zeroize::Zeroizing;

use crate::{
    TransportError,
    lax::{self, Lax, List, Object, Text},
};

/// The longest wait that a `Retry-After` may ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The reason why a call has no result. It holds UPS's codes and HTTP's status, never a tracking number, a path, a message or
/// other text of an answer, so it may be logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The token has expired or is unknown (HTTP 401; 250002, 251004, UJ0001): get a new one and try once more. From
    /// [`Client::token`](crate::Client::token) it means that UPS refuses the credentials.
    #[error("unauthorized{}", with(.code))]
    Unauthorized { code: Option<Code> },

    /// The quota is used up (HTTP 429; 10429). UPS often does not give a time to wait.
    #[error("rate limited{}", with(.code))]
    RateLimited { code: Option<Code>, retry_after: Option<Duration> },

    /// UPS cannot answer now (HTTP 5xx and 408; 10004, VSS100), or was not reached: try again later. `status` is absent if no
    /// answer arrived.
    #[error("unavailable{}", with(.code))]
    Unavailable { status: Option<u16>, code: Option<Code>, retry_after: Option<Duration> },

    /// UPS refuses the request and would refuse it again: our code must be corrected.
    #[error("rejected with http status {status}{}", with(.code))]
    Rejected { status: u16, code: Option<Code> },

    /// The answer does not have the form that UPS documents.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

fn with(code: &Option<Code>) -> String {
    code.as_ref().map_or_else(String::new, |code| format!(" (code {code})"))
}

impl Error {
    /// Whether the same call may succeed later, without a change in our code.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::RateLimited { .. } | Self::Unavailable { .. })
    }

    /// UPS's code, if it gave one.
    pub fn code(&self) -> Option<&Code> {
        match self {
            Self::Unauthorized { code }
            | Self::RateLimited { code, .. }
            | Self::Unavailable { code, .. }
            | Self::Rejected { code, .. } => code.as_ref(),
            Self::Malformed(_) => None,
        }
    }

    /// The error that an answer represents, or `None` for a success. A code is more specific than the status, and counts under
    /// every status, including HTTP 200.
    pub(crate) fn of(answer: &http::Response<Zeroizing<Vec<u8>>>, now: Timestamp) -> Option<Self> {
        let status = answer.status();
        let codes = if status.is_success() && !may_hold_errors(answer.body()) { Vec::new() } else { codes(answer.body()) };
        let retry_after = || retry_after(answer.headers(), now);
        let named = |names: &[&str]| codes.iter().find(|code| names.contains(&code.as_str())).cloned();

        if let Some(code) = named(&["250002", "251004", "UJ0001"]) {
            return Some(Self::Unauthorized { code: Some(code) });
        }
        if let Some(code) = named(&["10429"]) {
            return Some(Self::RateLimited { code: Some(code), retry_after: retry_after() });
        }
        if let Some(code) = named(&["10004", "VSS100"]) {
            let status = (!status.is_success()).then_some(status.as_u16());
            return Some(Self::Unavailable { status, code: Some(code), retry_after: retry_after() });
        }
        let code = codes.into_iter().next();
        match status.as_u16() {
            200..=299 => code.map(|code| Self::Rejected { status: status.as_u16(), code: Some(code) }),
            401 => Some(Self::Unauthorized { code }),
            429 => Some(Self::RateLimited { code, retry_after: retry_after() }),
            408 | 500..=599 => Some(Self::Unavailable { status: Some(status.as_u16()), code, retry_after: retry_after() }),
            status => Some(Self::Rejected { status, code }),
        }
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Timeout | TransportError::Unreachable => {
                Self::Unavailable { status: None, code: None, retry_after: None }
            }
            TransportError::TooLarge => Malformed("the answer is too large").into(),
        }
    }
}

/// The fault in a text from UPS. It does not quote the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed: {0}")]
pub struct Malformed(pub &'static str);

/// A code of UPS's, such as `VSS220`: 1 to 16 capitals and digits. So it cannot hold text that identifies a person, and a
/// tracking number is longer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Code(String);

impl Code {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_code = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
        is_code.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    response: Lax<Errors>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Errors {
    errors: List<OneError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OneError {
    code: Text,
}

impl Object for OneError {}

/// The codes of an error's body. There are none if the body has none, or is a proxy's page instead of UPS's JSON.
fn codes(body: &[u8]) -> Vec<Code> {
    let refusal: Refusal = lax::object(body).unwrap_or_default();
    refusal.response.or_default().errors.0.iter().filter_map(|error| Code::parse(&error.code.0)).collect()
}

/// Avoids a second parse of most successful answers.
fn may_hold_errors(body: &[u8]) -> bool {
    body.windows(8).any(|window| window == b"\"errors\"")
}

/// RFC 9110, section 10.2.3: seconds, or a date. An unreadable value counts as absent, and a date in the past means no wait.
fn retry_after(headers: &http::HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.bytes().all(|b| b.is_ascii_digit()) {
        Duration::from_secs(text.parse().ok()?)
    } else {
        let date = DateTimeParser::new().parse_timestamp(text).ok()?;
        Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> Timestamp {
        "2026-01-31T09:30:00Z".parse().unwrap()
    }

    fn answer(status: u16, body: &str) -> http::Response<Zeroizing<Vec<u8>>> {
        http::Response::builder().status(status).body(Zeroizing::new(body.as_bytes().to_vec())).unwrap()
    }

    fn error(status: u16, code: &str) -> Option<Error> {
        Error::of(&answer(status, &format!(r#"{{"response":{{"errors":[{{"code":"{code}","message":"m"}}]}}}}"#)), now())
    }

    fn code(text: &str) -> Option<Code> {
        Some(Code::parse(text).unwrap())
    }

    #[test]
    fn expired_token_codes_are_unauthorized_under_any_status() {
        for name in ["250002", "251004", "UJ0001"] {
            for status in [200, 400, 401, 403, 500] {
                assert_eq!(error(status, name), Some(Error::Unauthorized { code: code(name) }), "{name} with {status}");
            }
        }
        assert_eq!(Error::of(&answer(401, ""), now()), Some(Error::Unauthorized { code: None }));
    }

    #[test]
    fn rate_limit_is_recognised_by_status_or_code_without_a_wait() {
        assert_eq!(error(429, "10429"), Some(Error::RateLimited { code: code("10429"), retry_after: None }));
        assert_eq!(error(403, "10429"), Some(Error::RateLimited { code: code("10429"), retry_after: None }));
        assert_eq!(Error::of(&answer(429, "slow down"), now()), Some(Error::RateLimited { code: None, retry_after: None }));
    }

    #[test]
    fn faults_of_ups_are_transient_and_rejections_are_not() {
        assert!(error(500, "10004").unwrap().is_transient());
        assert!(error(200, "10004").unwrap().is_transient());
        assert!(error(500, "VSS100").unwrap().is_transient());
        for status in [408, 500, 502, 503, 504, 599] {
            assert!(Error::of(&answer(status, "<html>"), now()).unwrap().is_transient(), "{status}");
        }
        assert!(Error::from(TransportError::Timeout).is_transient());
        assert!(Error::from(TransportError::Unreachable).is_transient());
        assert!(!Error::from(TransportError::TooLarge).is_transient());
        for (status, name) in [(400, "VSS220"), (403, "10401"), (405, "405"), (302, "1"), (200, "VSS000")] {
            assert_eq!(error(status, name), Some(Error::Rejected { status, code: code(name) }));
        }
        assert_eq!(Error::of(&answer(200, r#"{"trackResponse":{}}"#), now()), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_is_bounded() {
        let wait = |text: &str| {
            let mut answer = answer(429, "");
            answer.headers_mut().insert("retry-after", text.parse().unwrap());
            match Error::of(&answer, now()) {
                Some(Error::RateLimited { retry_after, .. }) => retry_after,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait(" 0 "), Some(Duration::ZERO));
        assert_eq!(wait("Sat, 31 Jan 2026 09:31:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(wait("Sat, 31 Jan 2026 09:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("86399"), Some(Duration::from_secs(86_399)));
        assert_eq!(wait("99999999999"), Some(Duration::from_secs(86_400)));
        for unread in ["soon", "-1", "1.5", "", "99999999999999999999999"] {
            assert_eq!(wait(unread), None, "`{unread}`");
        }
    }

    #[test]
    fn error_shows_a_code_and_no_other_text_of_the_answer() {
        let body = r#"{"response":{"errors":[{"code":"1ZCIETST0111111114","message":"1ZCIETST0111111114 of Synthia Sample"},
            {"code":"no person","message":""},{"code":"VSS310"}]}}"#;
        let error = Error::of(&answer(400, body), now()).unwrap();
        assert_eq!(error, Error::Rejected { status: 400, code: code("VSS310") });
        assert_eq!(error.to_string(), "rejected with http status 400 (code VSS310)");
        assert!(!format!("{error:?}").contains("CIETST"));
    }

    proptest! {
        #[test]
        fn any_answer_is_classified(status in 200_u16..1000, body in any::<Vec<u8>>(), header in "[ -~]{0,40}") {
            let mut answer = http::Response::builder().status(status).body(Zeroizing::new(body)).unwrap();
            answer.headers_mut().insert("retry-after", header.parse().unwrap());
            prop_assert!(status < 300 || Error::of(&answer, now()).is_some());
        }
    }
}
