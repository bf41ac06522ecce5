//! The one thing this crate is given: something that carries a request to UPS.

use std::future::Future;

/// The largest answer that is read, in bytes: 1 MiB.
pub const MAX_ANSWER: usize = 1024 * 1024;

/// Carries requests to UPS.
///
/// An implementation sends each request once, within a timeout of its own, follows no redirect (`Authorization` would go along),
/// gives up on a body larger than [`MAX_ANSWER`], and neither logs nor keeps what it carries: a path holds a tracking number, a
/// header a secret, an answer PHI.
pub trait Transport: Send + Sync {
    /// Sends `request` and gives its answer, whatever its status.
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> impl Future<Output = Result<http::Response<Vec<u8>>, TransportError>> + Send;
}

/// Why there is no answer. It may be that UPS has carried out the request nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    #[error("no answer in time")]
    Timeout,
    #[error("no connection")]
    Unreachable,
    #[error("the answer is larger than a mebibyte")]
    TooLarge,
}
