//! The interface that the caller implements: it sends a request to UPS.

use std::future::Future;

/// The largest answer that is read, in bytes: 1 MiB.
pub const MAX_ANSWER: usize = 1024 * 1024;

/// Sends requests to UPS.
///
/// An implementation sends each request once, within its own timeout. It follows no redirect, because `Authorization` would be
/// sent along. It gives up on a body larger than [`MAX_ANSWER`]. It neither logs nor keeps its data: a path holds a tracking
/// number, a header a secret, an answer PHI.
pub trait Transport: Send + Sync {
    /// Sends `request` and returns its answer, for any status.
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> impl Future<Output = Result<http::Response<Vec<u8>>, TransportError>> + Send;
}

/// The reason why there is no answer. UPS may have carried out the request nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    #[error("no answer within the timeout")]
    Timeout,
    #[error("no connection")]
    Unreachable,
    #[error("the answer is larger than 1 MiB")]
    TooLarge,
}
