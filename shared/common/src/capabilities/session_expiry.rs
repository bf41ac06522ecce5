//! Ending sessions that are idle or too old.

use crate::{
    background::{Background, CONTENDED, Delivery, Schedule, Tick},
    base::{AuthFailure, Result, SessionId, TenantId, UserId, need::needs},
    identity::{
        EndReason, refresh_token,
        session::{self},
        session_end::{LIST, next_look},
    },
    store::{
        changes::{Condition, Edit, Ending},
        dynamodb::Update,
        item::{Row, Table},
    },
};

impl<S: Schedule> Tick<'_, S> {
    /// Sessions that may be over, at most `most` of each tenant.
    ///
    /// # Errors
    /// As [`due`](Self::due).
    pub async fn sessions_due(&self, most: u32) -> Result<Vec<(TenantId, UserId, SessionId)>> {
        needs!(S, Sessions);
        let due = self.due_in(Table::Ephemera, LIST, most).await?;
        let of_item = |key: &crate::store::Key| {
            let user = key.place().strip_prefix("SESSIONS#")?.parse().ok()?;
            Some((user, key.sort().parse().ok()?))
        };
        // An unreadable item is skipped, so that it does not keep other sessions from ending.
        let sessions = |(tenant, items): (TenantId, Vec<crate::background::DueItem>)| {
            items.into_iter().filter_map(move |item| of_item(&item.key).map(|(user, session)| (tenant, user, session)))
        };
        Ok(due.into_iter().flat_map(sessions).collect())
    }
}

impl<B: Background> Delivery<'_, B> {
    /// Ends a session that is too old or idle, otherwise sets the time of its next check. Returns the reason if it ends.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer. The commit is contended if the session was used meanwhile.
    pub async fn expire_session(&mut self, user: UserId, session: SessionId) -> Result<Option<EndReason>> {
        needs!(B, Write, Sessions);
        let (deps, tenant, now) = (self.job.deps, self.job.tenant, self.job.now);
        let key = session::key(user, session);
        // The list may be stale.
        let Some(row) = deps.db.get(tenant, Table::Ephemera, &key).await? else { return Ok(None) };
        if session::has_ended(&row)? {
            // An older version did not take it off the list.
            deps.db.edit(tenant, Table::Ephemera, &Edit::of(key).not_due()).await?;
            return Ok(None);
        }
        let idle = deps.gates.of(tenant).await?.settings.idle(deps.config.session_idle);
        let reason = match session::ended(&row, idle, now)? {
            Some(AuthFailure::SessionExpired) => Some(EndReason::Expired),
            Some(AuthFailure::SessionIdle) => Some(EndReason::Idle),
            // A kind of session that this version does not know stays, too; a newer version handles it.
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

    /// Ensures that a session whose end was published has ended, and removes its refresh tokens.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub(crate) async fn see_ended(&self, user: UserId, session: SessionId) -> Result<()> {
        let (deps, tenant) = (self.job.deps, self.job.tenant);
        // Older versions published an end first, and stored it afterwards.
        deps.db.edit(tenant, Table::Ephemera, &session::end(user, session)).await?;
        let forget =
            Update { expression: "REMOVE pool_token, successor", condition: Some("attribute_exists(pk)"), ..Update::default() };
        deps.db.update(tenant, Table::Ephemera, &session::refresh_key(session), forget).await.map(drop)
    }
}

/// The condition that the session was not used, ended or shortened since.
fn as_read(row: &Row) -> Result<Condition> {
    Ok(Condition::All(vec![
        session::is_live(),
        Condition::NumberIs("last_seen", row.number("last_seen")?),
        Condition::NumberIs("ends_at", row.number("ends_at")?),
    ]))
}
