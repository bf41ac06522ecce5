//! The span of a call to AWS or the carrier.

use super::layer::CALL;
use crate::base::error::Cause;
use tracing::{Level, Span, field::Empty};

/// A running call to a service. It is part of the current work, whose line contains the call, its duration and its outcome. A
/// call that is dropped before its end has the outcome `dropped`.
#[derive(Debug)]
pub(crate) struct CallSpan(Span);

impl CallSpan {
    pub(crate) fn begin(service: &'static str, operation: &Cause) -> Self {
        let operation = operation.as_str();
        Self(tracing::span!(target: CALL, Level::INFO, "call", service, operation, attempts = Empty, outcome = Empty))
    }

    /// `attempts` is the number of attempts that were made.
    pub(crate) fn ended(&self, attempts: u32, outcome: &Cause) {
        self.0.record("attempts", attempts);
        self.0.record("outcome", outcome.as_str());
    }
}
