//! Ending sessions that are over.

use crate::{
    background::{Background, CONTENDED, Delivery, Ground, Schedule, Tick},
    base::{AuthFailure, Need, Result, SessionId, TenantId, UserId, need::declares},
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
