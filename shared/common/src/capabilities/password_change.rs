//! Changes of passwords. Cognito stores them, and a call to Cognito cannot be part of our transaction, so a change takes three
//! steps.
//!
//! 1. One transaction claims the change for this request, marks a reset's token as used, and writes an audit event.
//! 2. Cognito sets the password.
//! 3. The request's own commit ends the user's sessions, and removes claim and token.
//!
//! If Cognito refuses the password, the token becomes valid again. An interrupted request leaves its claim: for thirty seconds no
//! other request sets this user's password. After that, the same token or the same request completes the change. The schedule
//! that ends sessions ends those that were opened until then.
//!
//! | Partition | Sort | Content |
//! |---|---|---|
//! | *ephemera* `PASSWORD#<user>` | `CHANGE` | the request that sets a password, the end of its claim, the session that stays,
//! the reason why others end |

use crate::{
    audit::{
        activity::Activity,
        event::{Record, Who},
    },
    aws::cognito::Cognito,
    background::{Background, CONTENDED, Delivery, Schedule, Tick},
    base::{AuthFailure, Error, EventId, Result, SessionId, TenantId, Timestamp, UserId, Uuid, need::needs},
    capabilities::{members::CHANGED, password_reset},
    identity::{EndReason, Membership, open_sessions, sign_in_epoch},
    request::{Deps, Endpoint, Permit, Public, PublicEndpoint},
    store::{
        changes::{Condition, Edit, Ending, Op},
        item::{Item, Key, Row, Table},
        transaction::Unit,
    },
};
use std::time::Duration;

/// The list of changes that may have been interrupted, in the index of due items.
const LIST: &str = "PASSWORDS";
/// The time for which no other request sets the password. It is longer than a request may take.
const CLAIMED: Duration = Duration::from_secs(30);
/// The time for which an interrupted change is kept.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
/// The reason of the sessions' end, if the schedule has to end them.
const REASON: &str = "reason";
/// The audit event of the first step.
const BEGUN: &str = "password_change_begun";
/// The error for a concurrent request.
const IN_PROGRESS: Error =
    Error::conflict("password_change_in_progress", "another request is setting this password: try again in half a minute");

fn key(user: UserId) -> Key {
    Key::new(format!("PASSWORD#{user}"), "CHANGE")
}

/// A change that this request has claimed.
#[derive(Debug)]
struct Claim {
    tenant: TenantId,
    user: UserId,
    id: String,
    /// The reason why sessions end.
    reason: EndReason,
    /// The reset's token, if there is one.
    token: Option<Key>,
    /// Whether an interrupted request may have set the password already.
    resumed: bool,
    /// Whether the sessions of such a request are not ended yet. Then the schedule has to end them, whatever the result of this
    /// request.
    unsettled: bool,
}

/// The result of a change at Cognito.
enum Set {
    Done,
    Weak,
    /// The given current password is wrong.
    Wrong,
}

impl Claim {
    fn is_mine(&self) -> Condition {
        Condition::Is("claim", self.id.clone())
    }

    /// The first step's operations.
    fn take(&self, session: Option<SessionId>, now: Timestamp) -> Vec<(TenantId, Op, Error)> {
        let until = now.plus(CLAIMED);
        let item = Item::new(key(self.user))
            .text("claim", &self.id)
            .maybe("session_id", session.filter(|_| !self.unsettled))
            .text(REASON, self.reason.as_str())
            .number("claimed_until", until.as_millis())
            .number("until", until.as_millis())
            .number("expires_at", now.plus(REMEMBERED).as_secs())
            .due(LIST, until);
        let free = Condition::Any(vec![Condition::Absent, Condition::AtMost("claimed_until", now.as_millis())]);
        let mut ops = vec![(self.tenant, Op::Put { table: Table::Ephemera, item, condition: Some(free) }, IN_PROGRESS)];
        if let Some(token) = &self.token {
            let edit = Edit::of(token.clone()).text("claim", &self.id).number("claimed_until", until.as_millis());
            let unclaimed =
                Condition::Any(vec![Condition::Missing("claimed_until"), Condition::AtMost("claimed_until", now.as_millis())]);
            let edit = edit.when(Condition::All(vec![Condition::Present, unclaimed]));
            ops.push((TenantId::PLATFORM, Op::Edit { table: Table::Ephemera, edit }, IN_PROGRESS));
        }
        ops
    }

    /// The operations of the last step: the change is complete, and the token is removed.
    fn settle(&self) -> Vec<(TenantId, Op, Error)> {
        let delete = |tenant, key| {
            let op = Op::Delete { table: Table::Ephemera, key, condition: Some(self.is_mine()) };
            (tenant, op, CHANGED)
        };
        let token = self.token.clone().map(|token| delete(TenantId::PLATFORM, token));
        [delete(self.tenant, key(self.user))].into_iter().chain(token).collect()
    }

    /// The operations after a refusal: nothing was set, and the old state is restored.
    fn undo(&self) -> Vec<(TenantId, Op, Error)> {
        let mut ops = self.settle();
        if let Some(token) = &self.token {
            let edit = Edit::of(token.clone()).remove("claim").remove("claimed_until").when(self.is_mine());
            ops.truncate(1);
            ops.push((TenantId::PLATFORM, Op::Edit { table: Table::Ephemera, edit }, CHANGED));
        }
        ops
    }

    /// The operations if it is unknown whether the password was set. A retry need not wait; without a retry, the schedule ends
    /// the sessions.
    fn release(&self, now: Timestamp) -> Vec<(TenantId, Op, Error)> {
        let free = |tenant, key| {
            let edit = Edit::of(key).number("claimed_until", now.as_millis()).when(self.is_mine());
            (tenant, Op::Edit { table: Table::Ephemera, edit }, CHANGED)
        };
        let token = self.token.clone().map(|token| free(TenantId::PLATFORM, token));
        [free(self.tenant, key(self.user))].into_iter().chain(token).collect()
    }

    /// The second step.
    async fn set(&self, cognito: &Cognito, current: Option<&str>, new: &str) -> Result<Set> {
        if self.resumed && cognito.is_password(self.user, new).await? {
            return Ok(Set::Done);
        }
        if let Some(current) = current
            && !cognito.is_password(self.user, current).await?
        {
            return Ok(Set::Wrong);
        }
        Ok(if cognito.set_password(self.user, new).await? { Set::Done } else { Set::Weak })
    }
}

fn unit(ops: Vec<(TenantId, Op, Error)>) -> Unit {
    let mut unit = Unit::default();
    for (tenant, op, or) in ops {
        unit.push(tenant, op, or);
    }
    unit
}

/// The audit event of the first step, which is not the event of the request.
fn begun<'a>(activity: &'a Activity<'a>, tenant: TenantId, who: Who) -> Record<'a> {
    Record { id: EventId::new(activity.now), tenant, status: 202, ..Record::of(activity, BEGUN, who) }
}

impl<E: PublicEndpoint> Public<'_, E> {
    /// Sets the password of the user of a mailed token, and ends all their access. False if the password does not meet the pool's
    /// rules.
    ///
    /// # Errors
    /// 401 if the token is invalid, used or expired, or the user is not an active member any more; 403 if their tenant is not
    /// active; 409 while another request sets it; 503. After a 503 the same request completes the change.
    pub async fn reset_password(&mut self, token: &str, new: &str) -> Result<bool> {
        needs!(E, Passwords, Sessions);
        let (member, token, tried) = self.find_reset(token).await?;
        let (tenant, user) = (member.tenant, member.user);
        let (deps, deadline) = (self.deps, self.activity.deadline);
        let before = deps.db.get(tenant, Table::Ephemera, &key(user)).await?;
        let unsettled = before.as_ref().is_some_and(is_unsettled);
        let reason = reason_of(before.as_ref(), EndReason::PasswordReset);
        let claim = Claim { tenant, user, id: claim_id(), reason, token: Some(token), resumed: tried || unsettled, unsettled };
        let mut begin = unit(claim.take(None, self.now()));
        let who = self.known_user();
        let record = begun(&self.activity, tenant, who);
        begin.push(tenant, record.op()?, Error::internal("audit event exists"));
        begin.commit(&deps.db, deadline).await?;
        let cognito = self.cognito()?;
        let undone = match claim.set(cognito, None, new).await {
            Ok(Set::Done) => {
                self.writes.ops.extend(claim.settle());
                self.shut_out(&member).await?;
                return Ok(true);
            }
            Ok(Set::Weak | Set::Wrong) => Ok(false),
            Err(error) => Err(error),
        };
        give_back(&claim, undone, deps, deadline).await
    }
}

/// Called after the second step has failed. If this call fails too, the claim expires.
async fn give_back(claim: &Claim, undone: Result<bool>, deps: &Deps, deadline: Timestamp) -> Result<bool> {
    let known = undone.as_ref().err().is_none_or(|error| error.status() < 500);
    let ops = if known && !claim.unsettled { claim.undo() } else { claim.release(deps.clock.now()) };
    let _ = unit(ops).commit(&deps.db, deadline).await;
    undone
}

/// Whether a change that may have been interrupted is still on the schedule's list.
fn is_unsettled(row: &Row) -> bool {
    row.maybe_text(crate::store::Index::Due.attribute()).is_some()
}

/// The reason of the sessions' end for a claim that follows `before`. While the earlier change is unsettled, the schedule ends
/// the sessions for that one; a later successful request ends them itself.
fn reason_of(before: Option<&Row>, own: EndReason) -> EndReason {
    match before.filter(|row| is_unsettled(row)) {
        // Older versions did not store it.
        Some(row) if row.maybe_text(REASON) == Some(EndReason::PasswordReset.as_str()) => EndReason::PasswordReset,
        Some(_) => EndReason::PasswordChanged,
        None => own,
    }
}

fn claim_id() -> String {
    Uuid::from_bytes(crate::base::random::bytes()).simple().to_string()
}

impl<E: Endpoint> Permit<'_, E> {
    /// Sets the caller's own password, if `current` is right. False if `new` does not meet the pool's rules. Their other sessions
    /// end, and so do pending sign-ins.
    ///
    /// # Errors
    /// 401 if `current` is wrong; 409 while another request sets it; 503. After a 503 the same request completes the change.
    pub async fn change_password(&mut self, current: &str, new: &str) -> Result<bool> {
        let cognito = self.cognito()?;
        let context = self.context;
        let (deps, tenant, user) = (context.deps, context.principal.tenant(), context.principal.user());
        let session = context.principal.session();
        let before = deps.db.get(tenant, Table::Ephemera, &key(user)).await?;
        let unsettled = before.as_ref().is_some_and(is_unsettled);
        let reason = reason_of(before.as_ref(), EndReason::PasswordChanged);
        let claim = Claim { tenant, user, id: claim_id(), reason, token: None, resumed: before.is_some(), unsettled };
        let mut begin = unit(claim.take(Some(session), context.now));
        let who = Who::user(&context.principal, context.request);
        let record = begun(&context.activity, tenant, who);
        begin.push(tenant, record.op()?, Error::internal("audit event exists"));
        begin.commit(&deps.db, context.deadline).await?;
        let undone = match claim.set(cognito, Some(current), new).await {
            Ok(Set::Done) => {
                // The sessions end only now, because until here the old password opened sessions.
                self.end_sessions(user, Some(session), EndReason::PasswordChanged).await?;
                self.changes().ops.extend(claim.settle().into_iter().map(|(_, op, or)| (op, or)));
                return Ok(true);
            }
            Ok(Set::Weak) => Ok(false),
            Ok(Set::Wrong) => Err(Error::Unauthenticated(AuthFailure::InvalidPassword)),
            Err(error) => Err(error),
        };
        give_back(&claim, undone, deps, context.deadline).await
    }
}

impl<S: Schedule> Tick<'_, S> {
    /// Users whose password change may have been interrupted, at most `most` of each tenant.
    ///
    /// # Errors
    /// As [`due`](Self::due).
    pub async fn password_changes_due(&self, most: u32) -> Result<Vec<(TenantId, UserId)>> {
        needs!(S, Sessions);
        let due = self.due_in(Table::Ephemera, LIST, most).await?;
        let user = |key: &Key| key.place().strip_prefix("PASSWORD#")?.parse().ok();
        let users = |(tenant, items): (TenantId, Vec<crate::background::DueItem>)| {
            items.into_iter().filter_map(move |item| user(&item.key).map(|user| (tenant, user)))
        };
        Ok(due.into_iter().flat_map(users).collect())
    }
}

impl<B: Background> Delivery<'_, B> {
    /// Ends the sessions of a password that an interrupted request has, or may have, replaced. Returns their number.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn settle_password_change(&mut self, user: UserId) -> Result<usize> {
        needs!(B, Write, Sessions);
        let (deps, tenant, now) = (self.job.deps, self.job.tenant, self.job.now);
        let row = deps.db.get(tenant, Table::Ephemera, &key(user)).await?;
        let cut_off = |row: &Row| row.maybe_number("until").is_some_and(|until| until <= now.as_millis());
        let Some(row) = row.filter(|row| cut_off(row) && is_unsettled(row)) else {
            return Ok(0);
        };
        let (until, kept) = (Timestamp::from_millis(row.number("until")?), row.maybe::<SessionId>("session_id")?);
        let opened = sign_in_epoch::opened(&deps.db, tenant, user).await?;
        let open = open_sessions::unended(&deps.db, tenant, user, now).await?;
        let by_the_old_one = open.iter().filter(|open| open.created_at < until && Some(open.session) != kept);
        let (mut ended, reason) = (0, reason_of(Some(&row), EndReason::PasswordChanged));
        for open in by_the_old_one {
            self.changes.end_session(Ending::of(user, open.session, reason), CONTENDED);
            ended += 1;
        }
        self.changes.ops.push((sign_in_epoch::invalidate(user, until, opened), CONTENDED));
        let settled = Edit::of(key(user)).not_due().when(Condition::Is("claim", row.text("claim")?.to_owned()));
        self.changes.ops.push((Op::Edit { table: Table::Ephemera, edit: settled }, CONTENDED));
        Ok(ended)
    }
}

impl<E: PublicEndpoint> Public<'_, E> {
    /// The user of a reset token, the token's key, and whether a request has tried it.
    async fn find_reset(&mut self, token: &str) -> Result<(Membership, Key, bool)> {
        let refused = || Error::Unauthenticated(AuthFailure::InvalidCredentials);
        let key = password_reset::key(token);
        let row = self.deps.db.get(TenantId::PLATFORM, Table::Ephemera, &key).await?.ok_or_else(refused)?;
        if row.number("good_until")? <= self.now().as_millis() {
            return Err(refused());
        }
        let member = self.member(row.parse("user_id")?).await?;
        Ok((member, key, row.maybe_text("claim").is_some()))
    }
}
