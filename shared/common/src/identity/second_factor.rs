//! A member's second factor, as it is stored: whoever tries a code takes a try first, and whoever gives a right one takes it with
//! the same transaction that lets them in. So no code works twice, and no number of callers at once gets more tries than one.
//!
//! | Partition | Sort | What |
//! |---|---|---|
//! | `MEMBER#<user>` | `MFA` | the sealed secret, the last step that was used, the recovery codes' hashes |
//! | *ephemera* `MFA_TRIES#<user>` | `TRIES` | codes that were tried since the last right one, and until when none may be |
//!
//! What a code is, and whether it is right, is its domain's to say.

use crate::{
    base::{Error, Result, SessionId, TenantId, Timestamp, UserId, budget::Budget},
    identity::{EndReason, Membership, session, session_end::Ending},
    request::{Need, Permit, Public, endpoint::declares, permit},
    store::{
        changes::{Condition, Edit, Op},
        dynamodb::{Db, Update},
        item::{Item, Key, Row, Table},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use phi::{Sealed, SealedFields};
use std::time::Duration;

/// Wrong codes in a row, after which nobody may try for a while.
const TRIES: u32 = 5;
/// For how long, the first time; twice as long each further time.
const FIRST_LOCK: Duration = Duration::from_secs(60);
/// And at most.
const LONGEST_LOCK: Duration = Duration::from_secs(60 * 60);
/// After so long nobody remembers wrong codes.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a try is taken while others take theirs.
const RACES: u32 = 8;

const ACTIVE: &str = "active";
const PENDING: &str = "pending";
/// The code of the refusal while nobody may try.
const LOCKED: &str = "second_factor_locked";

/// What is known of a second factor by whoever has taken a try.
#[derive(Clone, Debug)]
pub struct SecondFactor {
    tenant: TenantId,
    user: UserId,
    pub active: bool,
    sealed: Vec<u8>,
    /// The step of the last code that was used.
    pub last_step: Option<i64>,
    /// SHA-256 of each recovery code that is left.
    pub recovery: Vec<u8>,
    uses: i64,
}

/// What of it was used up.
#[derive(Clone, Debug)]
pub enum Spent {
    /// The code of a step.
    Step(i64),
    /// A recovery code: what is left of their hashes.
    Recovery(Vec<u8>),
}

pub(crate) fn key(user: UserId) -> Key {
    Key::new(format!("MEMBER#{user}"), "MFA")
}

fn tries_key(user: UserId) -> Key {
    Key::new(format!("MFA_TRIES#{user}"), "TRIES")
}

/// After a right code there were no wrong ones.
fn forgive(user: UserId) -> Op {
    Op::Delete { table: Table::Ephemera, key: tries_key(user), condition: None }
}

/// What somebody else is told who gives the same code at the same moment.
fn raced() -> Error {
    Error::conflict("changed", "the second factor has just been used or changed")
}

impl SecondFactor {
    fn of(tenant: TenantId, user: UserId, row: &Row) -> Result<Self> {
        Ok(Self {
            tenant,
            user,
            active: row.text("status")? == ACTIVE,
            sealed: row.bytes("sealed")?.to_vec(),
            last_step: row.maybe_number("last_step"),
            recovery: row.maybe_bytes("recovery").unwrap_or_default().to_vec(),
            uses: row.number("uses")?,
        })
    }

    /// That it is as it was read, and was used.
    fn edit(&self) -> Edit {
        let as_read = Condition::All(vec![Condition::Present, Condition::NumberIs("uses", self.uses)]);
        Edit::of(key(self.user)).number("uses", self.uses + 1).when(as_read)
    }

    fn spend(&self, spent: Spent) -> Op {
        let edit = match spent {
            Spent::Step(step) => self.edit().number("last_step", step),
            Spent::Recovery(left) => self.edit().bytes("recovery", left),
        };
        Op::Edit { table: Table::Records, edit }
    }

    fn read_sealed<T>(&self) -> Result<Sealed<T>> {
        Sealed::from_bytes(self.sealed.clone()).map_err(|_| Error::internal("second factor"))
    }
}

/// Takes a try: what there is to be compared with, if there is anything.
async fn take_try(db: &Db, tenant: TenantId, user: UserId, now: Timestamp) -> Result<Option<SecondFactor>> {
    let (factor_key, key) = (key(user), tries_key(user));
    let [factor, mut row] = db.get_each(tenant, [(Table::Records, &factor_key), (Table::Ephemera, &key)]).await?;
    let Some(factor) = factor else { return Ok(None) };
    let n = |v: i64| AttributeValue::N(v.to_string());
    for _ in 0..RACES {
        let number = |name| row.as_ref().and_then(|row: &Row| row.maybe_number(name)).unwrap_or(0);
        let seen = number("tries");
        // DynamoDB deletes late.
        let remembered = number("expires_at") > now.as_secs();
        let (tries, locked_until) = if remembered { (seen, number("locked_until")) } else { (0, 0) };
        if locked_until > now.as_millis() {
            let retry_after = Timestamp::from_millis(locked_until).since(now);
            let forgotten = Timestamp::from_millis(number("expires_at") * 1000).since(now);
            return Err(locked(retry_after, forgotten.max(retry_after)));
        }
        let first = i64::from(TRIES);
        let locked = if tries + 1 < first { 0 } else { now.plus(lock(tries + 1 - first)).as_millis() };
        let mut values = vec![(":next", n(tries + 1)), (":locked", n(locked)), (":forgotten", n(now.plus(FORGOTTEN).as_secs()))];
        if row.is_some() {
            values.push((":tries", n(seen)));
        }
        let update = Update {
            expression: "SET tries = :next, locked_until = :locked, expires_at = :forgotten",
            condition: Some(if row.is_some() { "tries = :tries" } else { "attribute_not_exists(pk)" }),
            values,
            ..Update::default()
        };
        match db.update(tenant, Table::Ephemera, &key, update).await? {
            Ok(_) => return SecondFactor::of(tenant, user, &factor).map(Some),
            // Somebody else has taken one meanwhile.
            Err(other) => row = other,
        }
    }
    Err(locked(Duration::from_secs(1), FORGOTTEN))
}

/// Nobody may try for a while. The tries are all there again when wrong codes are forgotten.
fn locked(retry_after: Duration, forgotten: Duration) -> Error {
    Error::RateLimited { code: LOCKED, retry_after, budget: Budget { limit: TRIES, remaining: 0, reset: forgotten } }
}

fn lock(times: i64) -> Duration {
    FIRST_LOCK.saturating_mul(1 << times.clamp(0, 6)).min(LONGEST_LOCK)
}

impl<E: crate::request::Endpoint> Permit<'_, E> {
    /// Takes a try at the caller's own second factor, if there is one.
    ///
    /// # Errors
    /// 429 `second_factor_locked` after five wrong codes in a row; 503.
    pub async fn try_second_factor(&self) -> Result<Option<SecondFactor>> {
        const { assert!(declares(E::NEEDS, Need::SecondFactor), "takes a try: add Need::SecondFactor to NEEDS") }
        let context = self.inner.context;
        take_try(&context.deps.db, context.principal.tenant(), context.principal.user(), context.now).await
    }

    /// What is sealed of it.
    ///
    /// # Errors
    /// 503 where the tenant's key is not in memory and KMS does not answer.
    pub async fn open_second_factor<T: SealedFields>(&self, factor: &SecondFactor) -> Result<T> {
        const { assert!(declares(E::NEEDS, Need::Seal), "opens a second factor: add Need::Seal to NEEDS") }
        permit::open(self.inner.context.deps, factor.tenant, key(factor.user).place(), &factor.read_sealed()?).await
    }

    /// Begins to enrol: an authenticator that counts for nothing until its first code is given. The commit is 409
    /// `totp_enrolled` where there is one that does.
    ///
    /// # Errors
    /// 503 as [`open_second_factor`](Self::open_second_factor).
    pub async fn enrol_second_factor<T: SealedFields>(&mut self, sealed: &T) -> Result<()> {
        let user = self.principal().user();
        let sealed = self.seal(key(user).place(), sealed).await?;
        let item = pending(user, sealed);
        let unless_active = Condition::Any(vec![Condition::Absent, Condition::Is("status", PENDING.to_owned())]);
        self.changes().put(Table::Records, item, unless_active, enrolled());
        Ok(())
    }

    /// From now on it counts, with these recovery codes.
    pub fn activate_second_factor(&mut self, factor: &SecondFactor, step: i64, recovery: Vec<u8>) {
        let edit = factor.edit().number("last_step", step).text("status", ACTIVE).bytes("recovery", recovery);
        self.changes().edit(edit, raced());
        self.changes().ops.push((forgive(factor.user), raced()));
    }

    /// Uses it up.
    pub fn spend_second_factor(&mut self, factor: &SecondFactor, spent: Spent) {
        self.changes().ops.extend([(factor.spend(spent), raced()), (forgive(factor.user), raced())]);
    }

    /// Other recovery codes than before. The commit is 409 where there is no second factor.
    pub fn replace_recovery_codes(&mut self, recovery: Vec<u8>) {
        let active = Condition::Is("status", ACTIVE.to_owned());
        let edit = Edit::of(key(self.principal().user())).bytes("recovery", recovery).add("uses", 1).when(active);
        self.changes().edit(edit, Error::conflict("totp_not_enrolled", "there is no second factor"));
    }

    /// Takes it away. The commit is 409 where there is none.
    pub fn remove_second_factor(&mut self) {
        let key = key(self.principal().user());
        let none = Error::conflict("totp_not_enrolled", "there is no second factor");
        self.changes().delete(key, Condition::Is("status", ACTIVE.to_owned()), none);
    }

    /// Says of the caller's session that a second factor was given in it now.
    pub fn stamp_second_factor(&mut self) {
        const { assert!(declares(E::NEEDS, Need::Sessions), "changes a session: add Need::Sessions to NEEDS") }
        let (user, session, now) = (self.principal().user(), self.principal().session(), self.now());
        let edit = Edit::of(session::key(user, session)).text("mfa_at", now);
        self.changes().ops.push((Op::Edit { table: Table::Ephemera, edit }, raced()));
    }
}

fn enrolled() -> Error {
    Error::conflict("totp_enrolled", "there is a second factor already: take it away first")
}

/// An authenticator that counts for nothing yet.
fn pending<T>(user: UserId, sealed: Sealed<T>) -> Item {
    let item = Item::new(key(user)).text("status", PENDING).bytes("sealed", sealed.into_bytes());
    item.number("uses", 0)
}

/// An authenticator that counts, as an operator hands it out.
pub(crate) fn handed_out<T>(user: UserId, sealed: Sealed<T>) -> Item {
    pending(user, sealed).text("status", ACTIVE)
}

/// What its secret is bound to.
pub(crate) fn place(user: UserId) -> String {
    key(user).place().to_owned()
}

impl<E: crate::request::PublicEndpoint> Public<'_, E> {
    /// Takes a try at the second factor of a member who is signing in.
    ///
    /// # Errors
    /// 429 `second_factor_locked` after five wrong codes in a row; 503.
    pub async fn try_second_factor(&self, member: &Membership) -> Result<Option<SecondFactor>> {
        const { assert!(declares(E::NEEDS, Need::SecondFactor), "takes a try: add Need::SecondFactor to NEEDS") }
        take_try(&self.deps.db, member.tenant, member.user, self.now).await.map(|factor| factor.filter(|f| f.active))
    }

    /// What is sealed of it.
    ///
    /// # Errors
    /// 503 where the tenant's key is not in memory and KMS does not answer.
    pub async fn open_second_factor<T: SealedFields>(&self, factor: &SecondFactor) -> Result<T> {
        const { assert!(declares(E::NEEDS, Need::Seal), "opens a second factor: add Need::Seal to NEEDS") }
        permit::open(self.deps, factor.tenant, key(factor.user).place(), &factor.read_sealed()?).await
    }

    /// Uses it up, with whatever else this request writes.
    pub fn spend_second_factor(&mut self, factor: &SecondFactor, spent: Spent) {
        let raced = Error::Unauthenticated(crate::base::AuthFailure::InvalidCredentials);
        let ops = [factor.spend(spent), forgive(factor.user)];
        self.ops.extend(ops.map(|op| (factor.tenant, op, raced.clone())));
    }

    /// When a second factor was enrolled in a session that is there for that; the session ends.
    ///
    /// # Errors
    /// 503.
    pub async fn enrolled_in(&mut self, member: &Membership, session: SessionId) -> Result<Option<Timestamp>> {
        let row = self.deps.db.get(member.tenant, Table::Ephemera, &session::key(member.user, session)).await?;
        let Some(at) = row.and_then(|row| row.maybe("mfa_at").transpose()).transpose()? else { return Ok(None) };
        let ending = Ending::of(member.user, session, EndReason::Enrolled);
        self.endings.push((ending, Error::internal("session")));
        Ok(Some(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_try_for_longer_each_time_up_to_an_hour() {
        assert_eq!([0, 1, 2, 5, 6, 90].map(lock).map(|d| d.as_secs()), [60, 120, 240, 1920, 3600, 3600]);
    }
}
