//! The error type of requests. Only this module converts it to HTTP (RFC 9457, problem+json).

use crate::base::{budget::Budget, telemetry::CorrelationId};
use serde::Serialize;
use std::{fmt, panic::Location, time::Duration};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a request failed. [`Error::problem`] determines what the caller gets; causes stay in the log.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The request is malformed; `code` gives the reason.
    #[error("{detail}")]
    BadRequest { code: &'static str, detail: &'static str },
    #[error("credentials are missing or not valid")]
    Unauthenticated(AuthFailure),
    #[error("{0}")]
    Forbidden(Refusal),
    /// The item does not exist, or the caller may not see it. Both cases get the same answer.
    #[error("not found")]
    NotFound,
    #[error("{detail}")]
    Conflict { code: &'static str, detail: &'static str },
    /// Background work wrote on a condition that does not hold any more. It reads again.
    #[error("what was read has changed since")]
    Contended,
    /// The item has another version than `If-Match`.
    #[error("the item has changed since the version in `If-Match`")]
    Stale,
    /// An update without `If-Match`.
    #[error("an update must name the version that it changes: send `If-Match`")]
    VersionRequired,
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body must be `application/json`")]
    UnsupportedMediaType,
    /// The endpoint would ignore the body.
    #[error("this endpoint takes no body")]
    UnexpectedBody,
    #[error("the request has {} invalid field(s)", .0.len())]
    Invalid(Vec<FieldError>),
    /// The `Idempotency-Key` was used for another request, for another purpose, or when the caller had other permissions.
    #[error("the idempotency key was used with another request, purpose of use or authority")]
    IdempotencyMismatch,
    /// Too many requests. `code` identifies the limit, and `budget` is its remaining budget.
    #[error("too many requests")]
    RateLimited { code: &'static str, retry_after: Duration, budget: Budget },
    /// A service that the platform depends on did not answer, and nothing was done.
    #[error("`{service}` is unavailable")]
    Unavailable { service: &'static str, cause: Cause },
    #[error("internal error")]
    Internal { what: &'static str, cause: Cause, at: Place },
}

/// The reason why a credential was refused. It is for the audit log; the caller only gets 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthFailure {
    /// The authorizer's context is absent or unreadable.
    NoPrincipal,
    TokenExpired,
    /// There is no session with this id, or it has ended.
    NoSession,
    SessionIdle,
    SessionExpired,
    /// The e-mail and password do not match.
    InvalidCredentials,
    /// The given current password is wrong.
    InvalidPassword,
    /// The answer to a challenge is wrong, or its sign-in has ended.
    InvalidAnswer,
    /// The token from a mail is invalid, was used, or has expired.
    InvalidResetToken,
    /// The account is locked for a while after too many wrong passwords, even for the right one. The caller gets the answer of a
    /// wrong password.
    AccountLocked,
    InvalidRefreshToken,
    /// A used refresh token was presented again, so its session is ended.
    RefreshTokenReused,
    /// The membership of the session was deleted or disabled.
    NoMembership,
    /// The text looks like an API key and is not valid.
    InvalidApiKey,
    /// The request has `Authorization` twice.
    RepeatedCredentials,
}

impl AuthFailure {
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoPrincipal => "no_principal",
            Self::TokenExpired => "token_expired",
            Self::NoSession => "no_session",
            Self::SessionIdle => "session_idle",
            Self::SessionExpired => "session_expired",
            Self::InvalidCredentials | Self::InvalidPassword | Self::InvalidAnswer | Self::InvalidResetToken => {
                "invalid_credentials"
            }
            Self::AccountLocked => "account_locked",
            Self::InvalidRefreshToken => "invalid_refresh_token",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::NoMembership => "no_membership",
            Self::InvalidApiKey => "invalid_api_key",
            Self::RepeatedCredentials => "repeated_credentials",
        }
    }

    /// The detail for the caller, in the cases in which it tells which credential was wrong.
    const fn detail(self) -> Option<&'static str> {
        match self {
            Self::InvalidCredentials | Self::AccountLocked => Some("the e-mail or the password is wrong"),
            Self::InvalidPassword => Some("the current password is wrong"),
            Self::InvalidAnswer => Some("the answer to the challenge is wrong, or the pending sign-in has ended"),
            Self::InvalidResetToken => Some("the token is wrong, was used before, or has expired"),
            _ => None,
        }
    }
}

/// The reason why an authenticated caller is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("your roles do not allow this")]
    Policy,
    #[error("this tenant is not active")]
    TenantInactive,
    /// The answer of a public endpoint to a caller with valid credentials who may not sign in now.
    #[error("sign-in is not possible for this account")]
    SignIn,
    #[error("this needs a second factor: sign in with one, or enrol one")]
    MfaRequired,
    #[error("this session may only enrol a second factor")]
    EnrolmentOnly,
    #[error("this needs a second factor given in the last ten minutes: send its code to `POST /v1/mfa/verify`")]
    StepUpRequired,
    #[error("health information needs a business associate agreement in force")]
    BaaRequired,
    #[error("this is not permitted from your network")]
    NetworkNotAllowed,
    /// For a signed-in caller; before sign-in it is an [`AuthFailure`].
    #[error("the code is wrong, or was used before")]
    InvalidCode,
}

impl Refusal {
    /// The refusals that a policy may name by its `@code`.
    const BY_POLICY: [Self; 5] =
        [Self::MfaRequired, Self::EnrolmentOnly, Self::StepUpRequired, Self::BaaRequired, Self::NetworkNotAllowed];

    pub(crate) fn of_policy(code: &str) -> Option<Self> {
        Self::BY_POLICY.into_iter().find(|refusal| refusal.code() == code)
    }

    pub const fn code(self) -> &'static str {
        match self {
            Self::Policy => "forbidden",
            Self::TenantInactive => "tenant_inactive",
            Self::SignIn => "sign_in_refused",
            Self::MfaRequired => "mfa_required",
            Self::EnrolmentOnly => "enrolment_only",
            Self::StepUpRequired => "step_up_required",
            Self::BaaRequired => "baa_required",
            Self::NetworkNotAllowed => "network_not_allowed",
            Self::InvalidCode => "invalid_code",
        }
    }
}

/// One invalid field. Neither `code` nor `message` repeats the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Dotted path from the body's root, such as `recipient.address.country`; an item of an array has its index from 0, as in
    /// `networks.3`.
    pub field: String,
    pub code: &'static str,
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), code, message: message.into() }
    }
}

/// The cause of a failure for operators, without the affected data.
///
/// Messages of other crates may contain items or PHI, so a cause consists only of a fixed text and a service's error code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cause(String);

impl Cause {
    /// `code`: an error code or a fixed text. Other characters from a service are removed.
    pub fn code(code: &str) -> Self {
        Self(code.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | ':')).take(80).collect())
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The place in the code that made an error: file and line. Equal errors may come from different places.
#[derive(Clone, Copy, Debug)]
pub struct Place(&'static Location<'static>);

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.file(), self.0.line())
    }
}

impl Error {
    pub const fn bad_request(code: &'static str, detail: &'static str) -> Self {
        Self::BadRequest { code, detail }
    }
    pub const fn conflict(code: &'static str, detail: &'static str) -> Self {
        Self::Conflict { code, detail }
    }
    /// An error of our own code or configuration. It keeps the place of the caller, which the log shows.
    #[track_caller]
    pub fn internal(what: &'static str) -> Self {
        Self::internal_because(what, Cause::default())
    }
    #[track_caller]
    pub fn internal_because(what: &'static str, cause: Cause) -> Self {
        Self::Internal { what, cause, at: Place(Location::caller()) }
    }
    pub fn invalid(field: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, code, message)])
    }
    pub const fn unauthenticated() -> Self {
        Self::Unauthenticated(AuthFailure::NoPrincipal)
    }

    /// The place in the code that made an internal error.
    pub const fn place(&self) -> Option<Place> {
        match self {
            Self::Internal { at, .. } => Some(*at),
            _ => None,
        }
    }

    pub const fn status(&self) -> u16 {
        match self {
            Self::BadRequest { .. } => 400,
            Self::Unauthenticated(_) => 401,
            Self::Forbidden(_) => 403,
            Self::NotFound => 404,
            Self::Conflict { .. } | Self::Contended => 409,
            Self::Stale => 412,
            Self::TooLarge { .. } => 413,
            Self::UnsupportedMediaType => 415,
            Self::UnexpectedBody | Self::Invalid(_) | Self::IdempotencyMismatch => 422,
            Self::VersionRequired => 428,
            Self::RateLimited { .. } => 429,
            Self::Internal { .. } => 500,
            Self::Unavailable { .. } => 503,
        }
    }

    /// Stable, because clients branch on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest { code, .. } | Self::Conflict { code, .. } | Self::RateLimited { code, .. } => code,
            Self::Unauthenticated(failure) if failure.detail().is_some() => "invalid_credentials",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden(refusal) => refusal.code(),
            Self::NotFound => "not_found",
            Self::Contended => "contended",
            Self::Stale => "precondition_failed",
            Self::VersionRequired => "precondition_required",
            Self::TooLarge { .. } => "payload_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::UnexpectedBody => "unexpected_body",
            Self::Invalid(errors) => match errors.as_slice() {
                // A combination of filters without an index, and an allowlist that would lock its author out, have their own
                // codes.
                [FieldError { code: code @ ("filter_combination" | "would_lock_out"), .. }] => code,
                _ => "validation_failed",
            },
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::Internal { .. } => "internal",
            Self::Unavailable { .. } => "dependency_unavailable",
        }
    }

    /// The reason in the audit event: the code, or the real reason if the caller does not get it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unauthenticated(failure) => failure.code(),
            other => other.code(),
        }
    }

    /// Its code and cause for operators: fixed texts and services' error codes.
    pub(crate) fn said(&self) -> String {
        match self {
            Self::Internal { what, cause, .. } => format!("internal: {what} {}", cause.as_str()).trim_end().to_owned(),
            Self::Unavailable { service, cause } => format!("dependency_unavailable: {service} {}", cause.as_str()),
            other => other.reason().to_owned(),
        }
    }

    pub fn problem(&self, correlation_id: &CorrelationId) -> Problem {
        let code = self.code();
        Problem {
            r#type: format!("https://cloister.example/problems/{code}"),
            title: title(self.status()),
            status: self.status(),
            code,
            detail: match self {
                Self::Unauthenticated(failure) => failure.detail().map_or_else(|| self.to_string(), str::to_owned),
                other => other.to_string(),
            },
            correlation_id: correlation_id.to_string(),
            errors: match self {
                Self::Invalid(errors) => Some(errors.clone()),
                _ => None,
            },
        }
    }
}

const fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// A problem of RFC 9457, with our members `code`, `correlation_id` and `errors`.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    pub r#type: String,
    pub title: &'static str,
    pub status: u16,
    pub code: &'static str,
    pub detail: String,
    pub correlation_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<FieldError>>,
}

/// The reason why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefused {
    /// For the audit log; the caller gets 401.
    Because(&'static str),
    /// The token could not be verified, because the keys are not available.
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_error_knows_its_file_and_line() {
        let here = |error: &Error, line: u32| assert_eq!(error.place().unwrap().to_string(), format!("{}:{line}", file!()));
        let made = Error::internal("test");
        here(&made, line!() - 1);
        let missing: Result<()> = None.ok_or(Error::internal("test"));
        here(&missing.unwrap_err(), line!() - 1);
        let mapped = "x".parse::<u8>().map_err(|_| Error::internal_because("test", Cause::code("parse")));
        here(&mapped.unwrap_err(), line!() - 1);
        assert!(Error::NotFound.place().is_none());
    }

    #[test]
    fn equal_errors_may_come_from_different_places() {
        let one = Error::internal("test");
        let other = Error::internal("test");
        assert_ne!(one.place().map(|at| at.to_string()), other.place().map(|at| at.to_string()));
        assert_eq!(one, other);
        assert_ne!(one, Error::internal("other"));
    }
}
