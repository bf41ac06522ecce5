//! The one error type, and the one place where it becomes HTTP (RFC 9457, problem+json).

use crate::base::{budget::Budget, telemetry::CorrelationId};
use serde::Serialize;
use std::time::Duration;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request did not do what it asked. What a caller sees of it is in [`Error::problem`]; causes stay in the log.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The request is not well-formed: `code` says how.
    #[error("{detail}")]
    BadRequest { code: &'static str, detail: &'static str },
    #[error("credentials are missing or not valid")]
    Unauthenticated(AuthFailure),
    #[error("{0}")]
    Forbidden(Refusal),
    /// Not there, or not to be seen: the two look alike.
    #[error("not found")]
    NotFound,
    #[error("{detail}")]
    Conflict { code: &'static str, detail: &'static str },
    /// `If-Match` names another version than the item's.
    #[error("the item has changed since the version in `If-Match`")]
    Stale,
    /// An update without `If-Match`.
    #[error("an update names the version that it changes: send `If-Match`")]
    VersionRequired,
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body must be `application/json`")]
    UnsupportedMediaType,
    /// What was said in the body would be lost.
    #[error("this endpoint takes no body")]
    UnexpectedBody,
    #[error("the request has {} invalid field(s)", .0.len())]
    Invalid(Vec<FieldError>),
    /// The `Idempotency-Key` was used for another request, for another purpose, or while the caller could do other things than now.
    #[error("the idempotency key was used with another request, purpose of use or authority")]
    IdempotencyMismatch,
    /// Asked too often. `code` names the limit, and `budget` is what is left of it.
    #[error("too many requests")]
    RateLimited { code: &'static str, retry_after: Duration, budget: Budget },
    /// A service that we stand on did not answer, and nothing was done.
    #[error("`{service}` is unavailable")]
    Unavailable { service: &'static str, cause: Cause },
    #[error("internal error")]
    Internal { what: &'static str, cause: Cause },
}

/// Why a credential was refused. For the audit log; the caller is told nothing but 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthFailure {
    /// The authorizer's context is absent or unreadable.
    NoPrincipal,
    TokenExpired,
    /// No session of that name, or one that has ended.
    NoSession,
    SessionIdle,
    SessionExpired,
    /// The e-mail and password do not fit.
    InvalidCredentials,
    /// The password that is to be replaced is another.
    InvalidPassword,
    /// The answer to a challenge does not fit, or its sign-in is over.
    InvalidAnswer,
    /// The token out of a mail is none, was used, or is too old.
    InvalidResetToken,
    /// So many wrong passwords that nobody is let in for a while, whatever they say. The caller hears what a wrong password
    /// hears.
    AccountLocked,
    InvalidRefreshToken,
    /// A refresh token that had been used was presented again: its session is ended.
    RefreshTokenReused,
    /// The membership behind the session is gone or disabled.
    NoMembership,
    /// What looks like an API key is none.
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

    /// What the caller is told, where they are told which credential did not fit.
    const fn detail(self) -> Option<&'static str> {
        match self {
            Self::InvalidCredentials | Self::AccountLocked => Some("the e-mail or the password is not right"),
            Self::InvalidPassword => Some("the current password is not right"),
            Self::InvalidAnswer => Some("the answer to the challenge is not right, or the sign-in that waits for it is over"),
            Self::InvalidResetToken => Some("the token is not right, was used before, or is too old"),
            _ => None,
        }
    }
}

/// Why an authenticated caller may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("your roles do not allow this")]
    Policy,
    #[error("this tenant is not active")]
    TenantInactive,
    /// The answer of a public endpoint to a caller whose credential is right but who may not enter now.
    #[error("sign-in is not possible for this account")]
    SignIn,
    #[error("this needs a second factor: sign in with one, or enrol one")]
    MfaRequired,
    #[error("this session may only enrol a second factor")]
    EnrolmentOnly,
    #[error("this needs a second factor given in the last ten minutes: send its code to `POST /v1/mfa/verify`")]
    StepUpRequired,
    #[error("no business associate agreement is in force, and without one there is no health information")]
    BaaRequired,
    #[error("this is not possible from here")]
    NetworkNotAllowed,
    /// Of somebody who has signed in; before, it is an [`AuthFailure`].
    #[error("the code is not right, or was used before")]
    InvalidCode,
}

impl Refusal {
    /// What a policy may give as its `@code`.
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

/// One field that was wrong. Neither `code` nor `message` repeats what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Dotted path from the body's root, as `recipient.address.country`; an item of an array by its index from 0, as `networks.3`.
    pub field: String,
    pub code: &'static str,
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), code, message: message.into() }
    }
}

/// What an operator needs to know of a failure, without the data it happened to.
///
/// Messages of other crates can carry items or PHI; a cause is therefore a word of ours and a service's error code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cause(String);

impl Cause {
    /// `code`: an error code or a fixed word. Anything else a service may have put there is cut.
    pub fn code(code: &str) -> Self {
        Self(code.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | ':')).take(80).collect())
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Error {
    pub const fn bad_request(code: &'static str, detail: &'static str) -> Self {
        Self::BadRequest { code, detail }
    }
    pub const fn conflict(code: &'static str, detail: &'static str) -> Self {
        Self::Conflict { code, detail }
    }
    pub fn internal(what: &'static str) -> Self {
        Self::Internal { what, cause: Cause::default() }
    }
    pub fn invalid(field: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, code, message)])
    }
    pub const fn unauthenticated() -> Self {
        Self::Unauthenticated(AuthFailure::NoPrincipal)
    }

    pub const fn status(&self) -> u16 {
        match self {
            Self::BadRequest { .. } => 400,
            Self::Unauthenticated(_) => 401,
            Self::Forbidden(_) => 403,
            Self::NotFound => 404,
            Self::Conflict { .. } => 409,
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

    /// Stable: clients branch on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest { code, .. } | Self::Conflict { code, .. } | Self::RateLimited { code, .. } => code,
            Self::Unauthenticated(failure) if failure.detail().is_some() => "invalid_credentials",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden(refusal) => refusal.code(),
            Self::NotFound => "not_found",
            Self::Stale => "precondition_failed",
            Self::VersionRequired => "precondition_required",
            Self::TooLarge { .. } => "payload_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::UnexpectedBody => "unexpected_body",
            Self::Invalid(errors) => match errors.as_slice() {
                // A combination of filters that no index serves, and a list that would shut its author out, have codes of their own.
                [FieldError { code: code @ ("filter_combination" | "would_lock_out"), .. }] => code,
                _ => "validation_failed",
            },
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::Internal { .. } => "internal",
            Self::Unavailable { .. } => "dependency_unavailable",
        }
    }

    /// The reason on the audit record: the code, or what lies behind it where the caller is not told.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unauthenticated(failure) => failure.code(),
            other => other.code(),
        }
    }

    /// Its code and cause, for operators: words of ours and services' error codes.
    pub(crate) fn said(&self) -> String {
        match self {
            Self::Internal { what, cause } => format!("internal: {what} {}", cause.as_str()).trim_end().to_owned(),
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

/// RFC 9457, with our members `code`, `correlation_id` and `errors`.
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

/// Why a token was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefused {
    /// For the audit log; the caller hears 401.
    Because(&'static str),
    /// It could not be told: the keys are out of reach.
    Unavailable,
}
