//! Changes of a membership and, in the same transaction, of every session that copied it. So a revoked role or a disabled account
//! takes effect at the next request, and of two concurrent changes one gets an error.

use crate::{
    background::{Background, CONTENDED, Delivery},
    base::{Error, Grant, Result, SessionId, SessionKind, Timestamp, UserId, need::needs},
    identity::{
        EndReason, Membership, admin_count, membership,
        open_sessions::{OpenSession, unended},
        second_factor, session, sign_in_epoch,
    },
    request::{Operation, Work},
    store::{
        changes::{Condition, Edit, Ending, Op},
        item::{Table, Version},
    },
};

/// The error for a change of a user whom another request has just changed.
pub(crate) const CHANGED: Error = Error::conflict("changed", "the user has just been changed by somebody else");

/// The changes of a membership. Members that are `None` stay.
#[derive(Clone, Debug, Default)]
pub struct MemberChange {
    pub active: Option<bool>,
    pub grants: Option<Vec<Grant>>,
    /// `Some(None)` clears the department.
    pub department: Option<Option<String>>,
    pub mfa_enrolled: Option<bool>,
    /// The session in which a second factor was just given, if the factor changes. The user's other sessions end.
    pub mfa_given_in: Option<SessionId>,
    /// The new sealed record, if it changes.
    pub sealed: Option<Vec<u8>>,
}

/// A user's live sessions, newest first, without idle ones.
pub(crate) async fn live<E: Operation>(work: &Work<'_, E>, user: UserId) -> Result<Vec<OpenSession>> {
    let context = work.context;
    let (deps, now) = (context.deps, context.now);
    let idle = deps.gates.of(context.tenant).await?.settings.idle(deps.config.session_idle);
    let mut live = unended(&deps.db, context.tenant, user, now).await?;
    live.retain(|session| !session::idled(session.kind, session.last_seen, idle, now));
    live.sort_by_key(|session| std::cmp::Reverse(session.created_at));
    Ok(live)
}

impl<E: Operation> Work<'_, E> {
    /// A member of the scope's tenant, active or not.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn member(&self, user: UserId) -> Result<Option<Membership>> {
        needs!(E, Read);
        membership::of(&self.context.deps.db, self.context.tenant, user).await
    }

    /// A user's live sessions, newest first.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn sessions(&self, user: UserId) -> Result<Vec<OpenSession>> {
        needs!(E, Sessions);
        live(self, user).await
    }

    /// Changes a member that was read before, and the copies in their sessions. If the member is no longer active, the
    /// sessions end. Returns the membership's next version.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer. The commit is 409 `changed` if another request was faster.
    pub async fn change_member(&mut self, member: &Membership, change: MemberChange) -> Result<Version> {
        needs!(E, Write, Sessions);
        let next = Version(member.version).next();
        let mut edit = Edit::of(membership::key(member.user))
            .number("version", next.0)
            .when(Condition::All(vec![Condition::Present, Condition::VersionIs(Version(member.version))]));
        // The attributes that sessions copy.
        let mut copies = Vec::new();
        if let Some(grants) = &change.grants {
            copies.push(("grants", Grant::replace(&member.grants, grants.clone()).to_text()));
        }
        let copy = |mut edit: Edit| {
            for (name, value) in &copies {
                edit = edit.text(name, value);
            }
            if let Some(enrolled) = change.mfa_enrolled {
                edit = edit.number("mfa_enrolled", enrolled);
            }
            match &change.department {
                Some(Some(department)) => edit.text("department", department),
                Some(None) => edit.remove("department"),
                None => edit,
            }
        };
        edit = copy(edit);
        if let Some(active) = change.active {
            edit = edit.text("status", membership::status(active, member.invited));
        }
        let grants = change.grants.as_deref().unwrap_or(&member.grants);
        let arrived = change.active.unwrap_or(member.active) && !member.invited;
        let administers = admin_count::counts(arrived, grants);
        let administered = admin_count::counts(member.has_arrived(), &member.grants);
        if let Some((edit, or)) = admin_count::change(administered, administers) {
            self.effects.changes.edit(edit, or);
        }
        if let Some(sealed) = change.sealed.clone() {
            edit = edit.bytes("sealed", sealed);
        }
        let ends = change.active == Some(false);
        let sessions = self.all_sessions(member.user, ends).await?;
        self.effects.changes.edit(edit, CHANGED);
        for session in &sessions {
            let reason = match change.mfa_given_in {
                _ if ends => Some(EndReason::UserDisabled),
                // The other sessions have not given the factor, and would stay without it until they end.
                Some(given_in) if given_in != session.session => Some(EndReason::SecondFactorActivated),
                _ => None,
            };
            if let Some(reason) = reason {
                self.effects.changes.end_session(Ending::of(member.user, session.session, reason), CHANGED);
                continue;
            }
            let edit = Edit::of(session::key(member.user, session.session)).number("membership_version", next.0);
            let mut edit = copy(edit);
            if change.mfa_given_in == Some(session.session) {
                edit = edit.text("mfa_at", self.context.now);
            } else if change.mfa_enrolled == Some(false) {
                edit = edit.remove("mfa_at");
            }
            self.effects.changes.ops.push((Op::Edit { table: Table::Ephemera, edit }, CHANGED));
        }
        Ok(next)
    }

    /// Deletes a member that was read before; only an empty item remains. Their sessions end. A consumer of the event
    /// deletes their data outside the tenant.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer. The commit is 409 `changed` if another request was faster, 409 `last_admin` if no
    /// administrator would remain.
    pub async fn remove_member(&mut self, member: &Membership) -> Result<()> {
        needs!(E, Write, Sessions);
        let version = Version(member.version);
        let as_it_was = Condition::All(vec![Condition::Present, Condition::VersionIs(version)]);
        self.effects.changes.edit(membership::tombstone(member.user, version.next(), self.context.now).when(as_it_was), CHANGED);
        if let Some((edit, or)) = admin_count::change(admin_count::counts(member.has_arrived(), &member.grants), false) {
            self.effects.changes.edit(edit, or);
        }
        for key in [second_factor::key(member.user), membership::entry_key(member.user)] {
            self.effects.changes.ops.push((Op::Delete { table: Table::Records, key, condition: None }, CHANGED));
        }
        for session in self.all_sessions(member.user, true).await? {
            let ending = Ending::of(member.user, session.session, EndReason::UserDeleted);
            self.effects.changes.end_session(ending, Error::NotFound);
        }
        Ok(())
    }

    /// Ends a user's sessions except one, and pending sign-ins; returns the number of sessions.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn end_sessions(&mut self, user: UserId, except: Option<SessionId>, reason: EndReason) -> Result<usize> {
        needs!(E, Write, Sessions);
        let sessions = self.all_sessions(user, true).await?;
        let ending: Vec<_> = sessions.iter().map(|session| session.session).filter(|id| Some(*id) != except).collect();
        for session in &ending {
            self.effects.changes.end_session(Ending::of(user, *session, reason), Error::NotFound);
        }
        Ok(ending.len())
    }

    /// Ends one session of a user. An ended session is unchanged.
    ///
    /// # Errors
    /// 404 if there is none; 503.
    pub async fn end_session_of(&mut self, user: UserId, session: SessionId, reason: EndReason) -> Result<()> {
        needs!(E, Write, Sessions);
        let (deps, tenant) = (self.context.deps, self.context.tenant);
        let row = deps.db.get(tenant, Table::Ephemera, &session::key(user, session)).await?.ok_or(Error::NotFound)?;
        if session::has_ended(&row)? {
            // Nothing changes, but the commit still checks that the caller is permitted.
            let check = Op::Check { table: Table::Ephemera, key: session::key(user, session), condition: Condition::Present };
            self.effects.changes.ops.push((check, Error::NotFound));
        } else {
            self.effects.changes.end_session(Ending::of(user, session, reason), Error::NotFound);
        }
        Ok(())
    }

    /// All of a user's sessions at the time of the commit: a session that is opened meanwhile makes the commit fail. If they
    /// `end`, pending sign-ins become invalid.
    async fn all_sessions(&mut self, user: UserId, end: bool) -> Result<Vec<OpenSession>> {
        let (deps, tenant) = (self.context.deps, self.context.tenant);
        let opened = sign_in_epoch::opened(&deps.db, tenant, user).await?;
        let now = deps.clock.now();
        let sessions = unended(&deps.db, tenant, user, now).await?;
        let op = if end { sign_in_epoch::invalidate(user, now, opened) } else { sign_in_epoch::unchanged(user, opened) };
        self.effects.changes.ops.push((op, CHANGED));
        Ok(sessions)
    }
}

impl<B: Background> Delivery<'_, B> {
    /// Ends a user's sessions that were opened before a moment; returns their number. Sessions of API keys stay, because revoking
    /// a key is explicit and an end cannot be undone.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn end_sessions_before(&mut self, user: UserId, moment: Timestamp, reason: EndReason) -> Result<usize> {
        needs!(B, Write, Sessions);
        let (deps, tenant, now) = (self.job.deps, self.job.tenant, self.job.now);
        let mut ended = 0;
        let before = |open: &&OpenSession| open.kind != SessionKind::ApiKey && open.created_at < moment;
        for open in unended(&deps.db, tenant, user, now).await?.iter().filter(before) {
            self.changes.end_session(Ending::of(user, open.session, reason), CONTENDED);
            ended += 1;
        }
        Ok(ended)
    }

    /// Ends a user's sessions and pending sign-ins, after their password was removed.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn shut_out(&mut self, user: UserId) -> Result<()> {
        let (deps, tenant) = (self.job.deps, self.job.tenant);
        let now = deps.clock.now();
        let opened = sign_in_epoch::opened(&deps.db, tenant, user).await?;
        self.end_sessions_before(user, now, EndReason::PasswordReset).await?;
        self.changes.ops.push((sign_in_epoch::invalidate(user, now, opened), CONTENDED));
        Ok(())
    }
}
