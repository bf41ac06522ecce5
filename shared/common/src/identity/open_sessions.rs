//! A user's sessions, in the form for the user and their administrators.

use crate::{
    base::{Result, SessionId, SessionKind, TenantId, Timestamp, UserId},
    identity::session,
    store::{
        dynamodb::{Db, Query},
        item::{Row, Table},
    },
};

/// The largest number of a user's sessions, because one transaction changes all of them.
pub(crate) const MOST_SESSIONS: usize = 20;

/// A session, in the form for its user and their administrators.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenSession {
    pub session: SessionId,
    pub kind: SessionKind,
    pub created_at: Timestamp,
    pub last_seen: Timestamp,
    /// The time at which it ends, even if it is used.
    pub expires_at: Timestamp,
    /// The time at which its user last gave a second factor in it.
    pub mfa_at: Option<Timestamp>,
    /// The address and the device from which it was opened.
    pub ip: String,
    pub user_agent: String,
}

impl OpenSession {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            session: row.parse("sk")?,
            // A session of a kind that this version does not know can be listed and ended.
            kind: row.word("kind")?.unwrap_or_default(),
            created_at: row.parse("created_at")?,
            last_seen: Timestamp::from_millis(row.number("last_seen")?),
            expires_at: Timestamp::from_millis(row.number("ends_at")?),
            mfa_at: row.maybe("mfa_at")?,
            ip: row.text("ip")?.to_owned(),
            user_agent: row.text("user_agent")?.to_owned(),
        })
    }
}

/// A user's sessions that have not ended, the last used first. They include idle ones, because a longer setting would make them
/// live again.
pub(crate) async fn unended(db: &Db, tenant: TenantId, user: UserId, now: Timestamp) -> Result<Vec<OpenSession>> {
    let rows = db.query_all(tenant, &Query::partition(Table::Ephemera, session::partition(user))).await?;
    let mut open = Vec::new();
    for row in &rows {
        if session::over(row, now)?.is_none() {
            open.push(OpenSession::from_row(row)?);
        }
    }
    open.sort_by_key(|session| std::cmp::Reverse(session.last_seen));
    Ok(open)
}
