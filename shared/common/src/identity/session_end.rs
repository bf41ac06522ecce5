//! The end of sessions. There is only one way: an [`Ending`] is committed with the session's end, its event (`session.ended`) and
//! an audit event (`session_ended`) with the reason, in one transaction. The code that ends a session gives a reason, and the
//! commit does the rest, so that no end is missed by consumers or the audit log.
//!
//! A session that expires is ended without a request. Every live session is on a list, in the index of due items, with the
//! earliest time at which it can be over. A schedule checks the sessions whose time has come, and ends them or moves their entry.
//! Requests do not move the entry: it is at most [`SHORTEST_IDLE`] ahead, and only determines the time of the next check.

use crate::{
    base::{SessionId, SessionKind, Timestamp, UserId},
    store::{
        Event,
        changes::{Condition, Ending},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The list of live sessions, in the index of due items.
pub(crate) const LIST: &str = "SESSIONS";

/// The shortest idle time that a tenant can set. An entry is never further ahead, so that a shortened setting takes effect.
const SHORTEST_IDLE: Duration = Duration::from_secs(5 * 60);

/// A session has ended. Consumers close its resources.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionEnded {
    pub user_id: UserId,
    pub session_id: SessionId,
    /// The reason, as in the audit event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Event for SessionEnded {
    const SCHEMA: &'static str = "session.ended";
}

/// The reason why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its user signed out.
    SignedOut,
    /// Its user ended it, from another session or by its id.
    EndedByOwner,
    /// An administrator ended it.
    EndedByAdmin,
    /// Its user has reached the largest number of sessions.
    TooManySessions,
    /// It was not used for the tenant's idle time.
    Idle,
    /// It has reached the longest life of a session or key.
    Expired,
    /// A refresh token was reused.
    RefreshTokenReuse,
    PasswordChanged,
    PasswordReset,
    /// A second factor was activated, which it had not given.
    SecondFactorActivated,
    /// A second factor was enrolled in it, which was its only purpose.
    Enrolled,
    UserDisabled,
    UserDeleted,
    TenantSuspended,
    KeyRevoked,
    KeyRotated,
}

impl EndReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::EndedByOwner => "ended_by_owner",
            Self::EndedByAdmin => "ended_by_admin",
            Self::TooManySessions => "too_many_sessions",
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::RefreshTokenReuse => "refresh_token_reuse",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::SecondFactorActivated => "second_factor_activated",
            Self::Enrolled => "enrolled",
            Self::UserDisabled => "user_disabled",
            Self::UserDeleted => "user_deleted",
            Self::TenantSuspended => "tenant_suspended",
            Self::KeyRevoked => "key_revoked",
            Self::KeyRotated => "key_rotated",
        }
    }
}

impl Ending {
    pub(crate) const fn of(user: UserId, session: SessionId, reason: EndReason) -> Self {
        Self { user, session, reason: reason.as_str(), when: Condition::Present }
    }

    /// The condition on the session; it replaces the condition that the session exists.
    pub(crate) fn when(self, when: Condition) -> Self {
        Self { when, ..self }
    }
}

/// The time of a session's next check: not later than it can be over.
pub(crate) fn next_look(
    kind: SessionKind,
    last_seen: Timestamp,
    idle: Duration,
    ends_at: Timestamp,
    now: Timestamp,
) -> Timestamp {
    match kind {
        SessionKind::ApiKey => ends_at,
        SessionKind::Full | SessionKind::Enrolment => ends_at.min(last_seen.plus(idle)).min(now.plus(SHORTEST_IDLE)),
    }
}

/// The time of the check for a session that is used now and is not on the list.
pub(crate) fn first_look(idle: Duration, now: Timestamp) -> Timestamp {
    now.plus(idle.min(SHORTEST_IDLE))
}
