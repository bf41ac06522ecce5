//! A user as a caller sees them.

use common::{
    Grant, MemberPii, Membership, OpenSession, Role, SessionId, SessionKind, SuppressedBecause, Suppression, Timestamp, UserId,
    Version,
};
use phi::{Disclosed, Email, PersonName, PhiValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far somebody has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// Has not signed in yet.
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
    /// What the user may act as now, where they may act.
    pub roles: Vec<Role>,
    /// Every role that was given, with its time: those that are not valid yet, or no longer, too.
    pub grants: Vec<Grant>,
    /// Where in the tenant they work.
    pub department: Option<String>,
    /// Whether they sign in with a second factor.
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
    /// When it ends, however busy it is.
    pub expires_at: Timestamp,
    /// When its user last gave a second factor in it.
    pub mfa_at: Option<Timestamp>,
    /// Where it was opened from, and with what.
    pub ip: String,
    pub user_agent: String,
}

impl From<OpenSession> for SessionView {
    fn from(session: OpenSession) -> Self {
        let OpenSession { session: session_id, kind, created_at, last_seen, expires_at, mfa_at, ip, user_agent } = session;
        Self { session_id, kind, created_at, last_seen, expires_at, mfa_at, ip, user_agent }
    }
}

/// A user's live sessions, newest first. There are twenty at most.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionList {
    pub items: Vec<SessionView>,
}

/// Whether a user's address gets our mail.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MailSuppression")]
pub struct MailSuppressionView {
    pub user_id: UserId,
    /// `bounced`: no mail is sent. `complained`: no notifications are sent; invitations, resets, alarms and checkpoints are.
    /// Nothing where all mail is sent.
    pub because: Option<SuppressedBecause>,
    pub since: Option<Timestamp>,
}

impl MailSuppressionView {
    pub(crate) fn of(user_id: UserId, found: Option<Suppression>) -> Self {
        Self { user_id, because: found.map(|found| found.because), since: found.map(|found| found.since) }
    }
}
