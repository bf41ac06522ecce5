//! The form in which a caller gets a user.

use common::{
    base::{Grant, Role, SessionId, SessionKind, Timestamp, UserId},
    capabilities::{SuppressedBecause, Suppression},
    identity::{MemberPii, Membership, OpenSession},
    store::Version,
};
use phi::{Disclosed, Email, PersonName, PhiValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// The user has not signed in yet.
    Invited,
    Active,
    Disabled,
}

/// A user.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "User")]
pub struct UserView {
    pub user_id: UserId,
    pub email: Disclosed<Email>,
    pub name: Disclosed<Option<PersonName>>,
    pub status: UserStatus,
    /// The roles that are valid now, if the user is active.
    pub roles: Vec<Role>,
    /// Every granted role with its term, including those that are not valid yet or no longer.
    pub grants: Vec<Grant>,
    /// The user's department in the tenant.
    pub department: Option<String>,
    /// Whether the user has a second factor.
    pub mfa_enrolled: bool,
    pub created_at: Timestamp,
    pub version: Version,
}

impl UserView {
    pub(crate) fn new(member: &Membership, pii: MemberPii, now: Timestamp) -> Self {
        let status = match member {
            member if !member.active => UserStatus::Disabled,
            member if member.invited => UserStatus::Invited,
            _ => UserStatus::Active,
        };
        Self {
            user_id: member.user,
            email: pii.email.disclose(),
            name: pii.name.disclose(),
            status,
            roles: member.roles(now).collect(),
            grants: member.grants.to_vec(),
            department: member.department.clone(),
            mfa_enrolled: member.mfa_enrolled,
            created_at: member.created_at,
            version: Version(member.version),
        }
    }
}

/// One page of users.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UserPage {
    pub items: Vec<UserView>,
    pub next_cursor: Option<String>,
}

/// A live session of a user.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionView {
    pub session_id: SessionId,
    pub kind: SessionKind,
    pub created_at: Timestamp,
    pub last_seen: Timestamp,
    /// The time at which it ends, even if it is used.
    pub expires_at: Timestamp,
    /// The time at which the user last gave a second factor in it.
    pub mfa_at: Option<Timestamp>,
    /// The address and the device from which it was opened.
    pub ip: String,
    pub user_agent: String,
}

impl From<OpenSession> for SessionView {
    fn from(session: OpenSession) -> Self {
        let OpenSession { session: session_id, kind, created_at, last_seen, expires_at, mfa_at, ip, user_agent } = session;
        Self { session_id, kind, created_at, last_seen, expires_at, mfa_at, ip, user_agent }
    }
}

/// A user's live sessions, newest first; at most twenty.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionList {
    pub items: Vec<SessionView>,
}

/// Whether we send mail to a user's address.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MailSuppression")]
pub struct MailSuppressionView {
    pub user_id: UserId,
    /// `bounced`: no mail is sent. `complained`: no notifications are sent; invitations, resets, alarms and checkpoints are sent.
    /// Null: all mail is sent.
    pub because: Option<SuppressedBecause>,
    pub since: Option<Timestamp>,
}

impl MailSuppressionView {
    pub(crate) fn of(user_id: UserId, found: Option<Suppression>) -> Self {
        Self { user_id, because: found.map(|found| found.because), since: found.map(|found| found.since) }
    }
}
