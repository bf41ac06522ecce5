//! How sessions end. There is one way: an [`Ending`] is committed with the session's end, its announcement (`session.ended`) and an
//! audit event (`session_ended`) that says why, in one transaction. Whoever ends a session names a reason, and the commit does the
//! rest; so no end is silent.
//!
//! A session whose time is up ends by nobody's request. Every live session is on a list, in the index of what is due, under the
//! earliest moment at which it can be over; a schedule looks at those whose moment has come, and ends them or moves their entry.
//! Requests do not move it: an entry is at most [`SHORTEST_IDLE`] away, and says only when to look.

use crate::{
    audit::event::Record,
    background::{Background, CONTENDED, Delivery, Ground, Schedule, Tick},
    base::{Error, EventId, Result, SessionId, SessionKind, TenantId, Timestamp, UserId, error::AuthFailure},
    identity::{refresh_token, session},
    request::{Need, commit::Unit, endpoint::declares},
    store::{
        Event,
        changes::{Condition, Edit, Op},
        dynamodb::Update,
        item::{Row, Table},
        outbox::{DomainEvent, Envelope},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// The list of live sessions, in the index of what is due.
pub(crate) const LIST: &str = "SESSIONS";

/// The shortest idleness that a tenant can set. An entry is never further away, so that a setting that becomes shorter is seen.
const SHORTEST_IDLE: Duration = Duration::from_secs(5 * 60);

/// The audit event of an end.
const RECORD: &str = "session_ended";

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

/// A session that ends with the transaction in which this is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ending {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    reason: EndReason,
    when: Condition,
}

impl Ending {
    pub(crate) const fn of(user: UserId, session: SessionId, reason: EndReason) -> Self {
        Self { user, session, reason, when: Condition::Present }
    }

    /// What must hold of the session; replaces that it is there.
    fn when(self, when: Condition) -> Self {
        Self { when, ..self }
    }

    /// The end, and its announcement, for the transaction whose audit event is `cause`.
    fn ops(&self, tenant: TenantId, cause: &Record<'_>) -> Result<[Op; 2]> {
        let reason = self.reason.as_str().to_owned();
        let told = DomainEvent::from(SessionEnded { user_id: self.user, session_id: self.session, reason: Some(reason) });
        let envelope = Envelope {
            id: EventId::new(cause.now),
            tenant_id: tenant,
            actor: cause.who.id.clone().unwrap_or_else(|| cause.name.to_owned()),
            on_behalf_of: cause.on_behalf_of.map(str::to_owned),
            cause: cause.id,
            correlation_id: cause.correlation_id.clone(),
            schema: told.schema.to_owned(),
            version: told.version,
            occurred_at: cause.now,
            payload: told.payload,
        };
        let end =
            Edit::of(session::key(self.user, self.session)).text("status", session::ENDED).not_due().when(self.when.clone());
        Ok([
            Op::Edit { table: Table::Ephemera, edit: end },
            Op::Put { table: Table::Ledger, item: envelope.into_item()?, condition: Some(Condition::Absent) },
        ])
    }
}

/// Puts the ends of a tenant's sessions into the transaction whose audit event is `cause`: each with its announcement, and an audit
/// event for each reason that there is.
pub(crate) fn end(unit: &mut Unit, tenant: TenantId, endings: Vec<(Ending, Error)>, cause: &Record<'_>) -> Result<()> {
    let mut resources: BTreeMap<&'static str, Vec<(String, String)>> = BTreeMap::new();
    for (ending, or) in endings {
        let [end, told] = ending.ops(tenant, cause)?;
        unit.push(tenant, end, or);
        unit.push(tenant, told, Error::internal("domain event"));
        let ended = resources.entry(ending.reason.as_str()).or_insert_with(|| vec![("User".to_owned(), ending.user.to_string())]);
        ended.push(("Session".to_owned(), ending.session.to_string()));
    }
    for (reason, resources) in resources {
        let record = Record {
            id: EventId::new(cause.now),
            tenant,
            name: RECORD,
            who: cause.who.clone(),
            action: None,
            resources,
            disclosed: Vec::new(),
            redacted: Vec::new(),
            purpose: None,
            status: 200,
            reason: Some(reason),
            decided: None,
            changes: &["status"],
            ..*cause
        };
        unit.push(tenant, record.op()?, Error::internal("audit event exists"));
    }
    Ok(())
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

impl<S: Schedule> Tick<'_, S> {
    /// Sessions that may be over, `most` of each tenant at most.
    ///
    /// # Errors
    /// As [`due`](Self::due).
    pub async fn sessions_due(&self, most: u32) -> Result<Vec<(TenantId, UserId, SessionId)>> {
        const { assert!(declares(S::NEEDS, Need::Sessions), "looks at sessions: add Need::Sessions to NEEDS") }
        let due = self.due_in(Table::Ephemera, LIST, most).await?;
        let of_item = |key: &crate::store::Key| {
            let user = key.place().strip_prefix("SESSIONS#")?.parse().ok()?;
            Some((user, key.sort().parse().ok()?))
        };
        // What is none of ours is nobody's session: it must not keep the others from ending.
        let sessions = |(tenant, items): (TenantId, Vec<crate::background::DueItem>)| {
            items.into_iter().filter_map(move |item| of_item(&item.key).map(|(user, session)| (tenant, user, session)))
        };
        Ok(due.into_iter().flat_map(sessions).collect())
    }
}

impl<B: Background> Delivery<'_, B> {
    /// Ends a session that is over by its age or its idleness, or has it looked at again when it can be: why it ends, if it does.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer. The commit is contended where the session was used meanwhile.
    pub async fn expire_session(&mut self, user: UserId, session: SessionId) -> Result<Option<EndReason>> {
        const { assert!(declares(B::NEEDS, Need::Write), "changes items: add Need::Write to NEEDS") }
        const { assert!(declares(B::NEEDS, Need::Sessions), "ends a session: add Need::Sessions to NEEDS") }
        let Ground { deps, tenant, now, .. } = *self.ground;
        let key = session::key(user, session);
        // The list may lag behind.
        let Some(row) = deps.db.get(tenant, Table::Ephemera, &key).await? else { return Ok(None) };
        if session::has_ended(&row)? {
            // A function of before did not take it off the list.
            deps.db.edit(tenant, Table::Ephemera, &Edit::of(key).not_due()).await?;
            return Ok(None);
        }
        let idle = deps.gates.of(tenant).await?.settings.idle(deps.config.session_idle);
        let reason = match session::ended(&row, idle, now)? {
            Some(AuthFailure::SessionExpired) => Some(EndReason::Expired),
            Some(AuthFailure::SessionIdle) => Some(EndReason::Idle),
            // Also of a kind that this version does not know: who does looks at it.
            Some(_) | None => None,
        };
        let Some(reason) = reason else {
            let next =
                next_look(row.word("kind")?.unwrap_or_default(), session::last_seen(&row)?, idle, session::ends_at(&row)?, now);
            deps.db.edit(tenant, Table::Ephemera, &Edit::of(key).due(LIST, next).when(session::is_live())).await?;
            refresh_token::forget_successor(&deps.db, tenant, session, now).await?;
            return Ok(None);
        };
        self.changes.end_session(Ending::of(user, session, reason).when(as_read(&row)?), CONTENDED);
        Ok(Some(reason))
    }

    /// Makes sure that a session which was announced to have ended has ended, and takes away what its refresh tokens opened.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer.
    pub(crate) async fn see_ended(&self, user: UserId, session: SessionId) -> Result<()> {
        let Ground { deps, tenant, .. } = *self.ground;
        // Functions of before announced an end first, and made it afterwards.
        let end = Edit::of(session::key(user, session)).text("status", session::ENDED).not_due();
        deps.db.edit(tenant, Table::Ephemera, &end).await?;
        let forget =
            Update { expression: "REMOVE pool_token, successor", condition: Some("attribute_exists(pk)"), ..Update::default() };
        deps.db.update(tenant, Table::Ephemera, &session::refresh_key(session), forget).await.map(drop)
    }
}

/// That nobody has used, ended or shortened the session since.
fn as_read(row: &Row) -> Result<Condition> {
    Ok(Condition::All(vec![
        session::is_live(),
        Condition::NumberIs("last_seen", row.number("last_seen")?),
        Condition::NumberIs("ends_at", row.number("ends_at")?),
    ]))
}
