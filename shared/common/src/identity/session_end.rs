//! How sessions end. There is one way: an [`Ending`] is committed with the session's end, its announcement (`session.ended`) and an
//! audit event (`session_ended`) that says why, in one transaction. Whoever ends a session names a reason, and the commit does the
//! rest; so no end is silent.
//!
//! A session whose time is up ends by nobody's request. Every live session is on a list, in the index of what is due, under the
//! earliest moment at which it can be over; a schedule looks at those whose moment has come, and ends them or moves their entry.
//! Requests do not move it: an entry is at most [`SHORTEST_IDLE`] away, and says only when to look.

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

/// The list of live sessions, in the index of what is due.
pub(crate) const LIST: &str = "SESSIONS";

/// The shortest idleness that a tenant can set. An entry is never further away, so that a setting that becomes shorter is seen.
const SHORTEST_IDLE: Duration = Duration::from_secs(5 * 60);

/// A session is over: what it holds open is to be closed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionEnded {
    pub user_id: UserId,
    pub session_id: SessionId,
    /// Why, as the audit event says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Event for SessionEnded {
    const SCHEMA: &'static str = "session.ended";
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its user signed out.
    SignedOut,
    /// Its user ended it from another session, or by its name.
    EndedByOwner,
    /// An administrator ended it.
    EndedByAdmin,
    /// Its user has signed in more often than a user may have sessions.
    TooManySessions,
    /// Nobody used it for as long as its tenant lets a session lie.
    Idle,
    /// It was as old as a session, or a key, may be.
    Expired,
    /// A refresh token was used twice.
    RefreshTokenReuse,
    PasswordChanged,
    PasswordReset,
    /// A second factor was activated, and it had not given one.
    SecondFactorActivated,
    /// A second factor was enrolled in it, which is all that it was for.
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

    /// What must hold of the session; replaces that it is there.
    pub(crate) fn when(self, when: Condition) -> Self {
        Self { when, ..self }
    }
}

/// When a session is looked at next: no later than it can be over.
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

/// When a session that is used now, and is on no list, is looked at.
pub(crate) fn first_look(idle: Duration, now: Timestamp) -> Timestamp {
    now.plus(idle.min(SHORTEST_IDLE))
}
