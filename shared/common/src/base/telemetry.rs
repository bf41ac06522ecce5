//! One structured log line for each request, which contains only ids, codes, numbers and fixed names.
//!
//! Everything goes through `tracing`, and only by the functions and macros of this module, because these take [`LogValue`]s only.
//! Clippy refuses `tracing`'s own macros, and a test refuses any use of `tracing` elsewhere. [`Log`] is the subscriber: it writes the lines, and ignores the spans
//! and events of other crates, whose fields may contain data.

mod call;
mod layer;
mod record;

pub(crate) use call::CallSpan;
pub(crate) use layer::{END, LINE};
pub use layer::{Log, WideEvent};
pub(crate) use record::{end, event, line, no_line, one_line, record};

use serde::{Deserialize, Serialize};
use std::{fmt, io::Write};
pub use tracing::Value as TracingValue;

/// A value that may be in a log line. Ids, numbers, booleans and literals implement it; strings and PHI types do not, so that
/// text from a caller cannot be logged by accident.
///
/// ```
/// fn target<E: common::request::Endpoint>(scope: &common::request::Scope<'_, E>, count: usize) {
///     scope.log("shipments.count", count);
/// }
/// ```
/// ```compile_fail,E0277
/// fn target<E: common::request::Endpoint>(scope: &common::request::Scope<'_, E>, text: String) {
///     scope.log("shipment.note", text);
/// }
/// ```
/// ```compile_fail,E0521
/// fn target<E: common::request::Endpoint>(scope: &common::request::Scope<'_, E>, text: &str) {
///     scope.log("shipment.note", text);
/// }
/// ```
/// ```compile_fail,E0277
/// fn target<E: common::request::Endpoint>(scope: &common::request::Scope<'_, E>, email: phi::Email) {
///     scope.log("recipient.email", email);
/// }
/// ```
pub trait LogValue {
    fn log_value(&self) -> impl TracingValue;
}

impl LogValue for &'static str {
    fn log_value(&self) -> impl TracingValue {
        *self
    }
}

macro_rules! log_as_is {
    ($($t:ty),*) => {$(impl LogValue for $t { fn log_value(&self) -> impl TracingValue { *self } })*};
}
log_as_is!(bool, u16, u32, u64, i64, usize);

impl LogValue for crate::base::error::Cause {
    fn log_value(&self) -> impl TracingValue {
        self.as_str()
    }
}

impl LogValue for crate::base::error::Place {
    fn log_value(&self) -> impl TracingValue {
        self.to_string()
    }
}

impl LogValue for CorrelationId {
    fn log_value(&self) -> impl TracingValue {
        self.0.as_str()
    }
}

impl LogValue for crate::base::Timestamp {
    fn log_value(&self) -> impl TracingValue {
        self.to_string()
    }
}

impl<T: LogValue> LogValue for Option<T> {
    fn log_value(&self) -> impl TracingValue {
        self.as_ref().map(T::log_value)
    }
}

/// Identifies a caller's request in every line, event and record: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CorrelationId(String);

/// The text is not a correlation id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a correlation id is 1 to 64 of `A-Z a-z 0-9 . _ -`")]
pub struct NotACorrelationId;

impl TryFrom<String> for CorrelationId {
    type Error = NotACorrelationId;
    fn try_from(text: String) -> Result<Self, NotACorrelationId> {
        let fits =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if fits { Ok(Self(text)) } else { Err(NotACorrelationId) }
    }
}

impl CorrelationId {
    /// The caller's own id if it is well formed, otherwise a new one.
    pub fn from_header(value: Option<&str>, now: crate::base::Timestamp) -> Self {
        let own = value.and_then(|v| Self::try_from(v.to_owned()).ok());
        own.unwrap_or_else(|| Self::new(now))
    }
    pub(crate) fn new(now: crate::base::Timestamp) -> Self {
        Self(crate::base::id::uuid_v7(now).to_string())
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The destination of log lines: standard output in a function, a buffer in tests, a live view on a developer's machine.
pub trait LogSink: Send + Sync + fmt::Debug {
    fn write(&self, event: &WideEvent);
}

/// Standard output, which Lambda sends to CloudWatch Logs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stdout;

impl LogSink for Stdout {
    fn write(&self, event: &WideEvent) {
        // If the log cannot be written, the request must not fail.
        let _ = std::io::stdout().lock().write_all(event.to_line().as_bytes());
    }
}

/// Reduces the output of a panic to its location, because its message could contain data.
pub fn redact_panics() {
    std::panic::set_hook(Box::new(|info| {
        let at = info.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
        let line = serde_json::json!({"level": "error", "event": "panic", "at": at});
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    #[test]
    fn callers_correlation_id_is_kept_only_if_well_formed() {
        let of = |s| CorrelationId::from_header(s, Timestamp::from_millis(1)).to_string();
        assert_eq!(of(Some("req-1.A_b")), "req-1.A_b");
        for bad in [None, Some(""), Some("a b"), Some("a\"b"), Some("é"), Some(&*"x".repeat(65))] {
            assert_eq!(of(bad).len(), 36, "{bad:?}");
        }
    }
}
