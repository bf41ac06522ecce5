//! A user's sessions, as their user and their administrators see them.

use crate::{
    base::{Result, SessionId, SessionKind, TenantId, Timestamp, UserId},
    identity::session,
    store::{
        dynamodb::{Db, Query},
        item::{Row, Table},
    },
};

/// How many sessions a user has at most: a transaction changes them all.
pub(crate) const MOST_SESSIONS: usize = 20;

/// A session, as its user and their administrators see it.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenSession {
    pub session: SessionId,
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

impl OpenSession {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            session: row.parse("sk")?,
            // Of a kind that this version does not know it can be said that it is there, and it can be ended.
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

/// A user's sessions that have not ended, the last used first. Those that idled out are among them: by a setting that changes,
/// they would be live again, as they were.
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
