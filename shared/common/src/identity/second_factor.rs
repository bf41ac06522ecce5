//! The stored form of a member's second factor. A code is verified only after a try was taken, and a right code is used up in the
//! transaction that grants access. So no code works twice, and concurrent callers get no more tries than one caller.
//!
//! | Partition | Sort | Content |
//! |---|---|---|
//! | `MEMBER#<user>` | `MFA` | the sealed secret, the last used step, the recovery codes' hashes |
//! | *ephemera* `MFA_TRIES#<user>` | `TRIES` | the number of tries since the last right code, and the end of a lock |
//!
//! The identity domain defines codes and verifies them.

use crate::{
    base::{Error, Result, TenantId, Timestamp, UserId, budget::Budget},
    store::{
        changes::{Condition, Edit, Op},
        dynamodb::{Db, Outcome, Update},
        item::{Item, Key, Row, Table},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use phi::Sealed;
use std::time::Duration;

/// The number of consecutive wrong codes that cause a lock.
const TRIES: u32 = 5;
/// The duration of the first lock. Each further one is twice as long.
const FIRST_LOCK: Duration = Duration::from_secs(60);
/// The longest lock.
const LONGEST_LOCK: Duration = Duration::from_secs(60 * 60);
/// The time after which wrong codes are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);
/// The number of attempts to take a try while others take theirs.
const RACES: u32 = 8;

pub(crate) const ACTIVE: &str = "active";
pub(crate) const PENDING: &str = "pending";
/// The code of the error during a lock.
const LOCKED: &str = "second_factor_locked";

/// The data of a second factor for a caller who has taken a try.
#[derive(Clone, Debug)]
pub struct SecondFactor {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub active: bool,
    sealed: Vec<u8>,
    /// The step of the last used code.
    pub last_step: Option<i64>,
    /// SHA-256 of each remaining recovery code.
    pub recovery: Vec<u8>,
    uses: i64,
}

/// The used part of a second factor.
#[derive(Clone, Debug)]
pub enum Spent {
    /// The code of a step.
    Step(i64),
    /// A recovery code: the hashes of the remaining codes.
    Recovery(Vec<u8>),
}

pub(crate) fn key(user: UserId) -> Key {
    Key::new(format!("MEMBER#{user}"), "MFA")
}

fn tries_key(user: UserId) -> Key {
    Key::new(format!("MFA_TRIES#{user}"), "TRIES")
}

/// A right code resets the number of wrong ones.
pub(crate) fn forgive(user: UserId) -> Op {
    Op::Delete { table: Table::Ephemera, key: tries_key(user), condition: None }
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

    /// The condition that it is unchanged since it was read; the edit marks it as used.
    pub(crate) fn edit(&self) -> Edit {
        let as_read = Condition::All(vec![Condition::Present, Condition::NumberIs("uses", self.uses)]);
        Edit::of(key(self.user)).number("uses", self.uses + 1).when(as_read)
    }

    pub(crate) fn spend(&self, spent: Spent) -> Op {
        let edit = match spent {
            Spent::Step(step) => self.edit().number("last_step", step),
            Spent::Recovery(left) => self.edit().bytes("recovery", left),
        };
        Op::Edit { table: Table::Records, edit }
    }

    pub(crate) fn read_sealed<T>(&self) -> Result<Sealed<T>> {
        Sealed::from_bytes(self.sealed.clone()).map_err(|_| Error::internal("second factor"))
    }
}

/// Takes a try. Returns the data to verify a code, if there is a second factor.
pub(crate) async fn take_try(db: &Db, tenant: TenantId, user: UserId, now: Timestamp) -> Result<Option<SecondFactor>> {
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
            Outcome::Done(_) => return SecondFactor::of(tenant, user, &factor).map(Some),
            // A concurrent caller has taken a try.
            Outcome::Refused(other) => row = other,
        }
    }
    Err(locked(Duration::from_secs(1), FORGOTTEN))
}

/// The error during a lock. All tries are available again after wrong codes are forgotten.
fn locked(retry_after: Duration, forgotten: Duration) -> Error {
    Error::RateLimited { code: LOCKED, retry_after, budget: Budget { limit: TRIES, remaining: 0, reset: forgotten } }
}

fn lock(times: i64) -> Duration {
    FIRST_LOCK.saturating_mul(1 << times.clamp(0, 6)).min(LONGEST_LOCK)
}

/// An authenticator that is not active yet.
pub(crate) fn pending<T>(user: UserId, sealed: Sealed<T>) -> Item {
    let item = Item::new(key(user)).text("status", PENDING).bytes("sealed", sealed.into_bytes());
    item.number("uses", 0)
}

/// An active authenticator, as an operator issues it.
pub(crate) fn handed_out<T>(user: UserId, sealed: Sealed<T>) -> Item {
    pending(user, sealed).text("status", ACTIVE)
}

/// The place to which its secret is bound.
pub(crate) fn place(user: UserId) -> String {
    key(user).place().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_doubles_each_time_up_to_an_hour() {
        assert_eq!([0, 1, 2, 5, 6, 90].map(lock).map(|d| d.as_secs()), [60, 120, 240, 1920, 3600, 3600]);
    }
}
