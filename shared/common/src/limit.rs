//! Rate limits: GCRA, the generic cell rate algorithm (ITU-T I.371), as one number on an item.
//!
//! That number, `tat`, is the time at which the caller's budget would be whole again. A call is allowed while
//! `tat <= now + tolerance`, and moves it by one emission interval. DynamoDB cannot say `max(tat, now)`, so there are two
//! branches: idle (`tat < now`: start over) and busy. We guess one; where the guess was wrong the old item decides.

use crate::{
    Error, Result, TenantId, Timestamp,
    db::{Db, Update},
    table::{Key, Row, Table},
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::time::Duration;

/// So many calls in so much time. All of them may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub name: &'static str,
    /// The attribute that holds this profile's `tat`.
    attribute: &'static str,
    pub calls: u32,
    pub per: Duration,
}

impl RateLimit {
    pub const API_DEFAULT: Self = Self::new("api_default", "tat_api_default", 60, 60);
    pub const API_STRICT: Self = Self::new("api_strict", "tat_api_strict", 10, 60);
    pub const API_RELAXED: Self = Self::new("api_relaxed", "tat_api_relaxed", 120, 60);
    /// What a partner's service sends by itself, from few addresses.
    pub const WEBHOOK: Self = Self::new("webhook", "tat_webhook", 3000, 60);
    pub const AUTH_LOGIN: Self = Self::new("auth_login", "tat_auth_login", 5, 15 * 60);
    pub const PASSWORD_RESET: Self = Self::new("password_reset", "tat_password_reset", 3, 60 * 60);
    pub const EXPORT: Self = Self::new("export", "tat_export", 10, 60 * 60);
    /// Frames from all the sockets of a session.
    pub const SOCKET: Self = Self::new("socket", "tat_socket", 120, 60);
    pub const ASSESSMENT: Self = Self::new("assessment", "tat_assessment", 30, 60);

    const fn new(name: &'static str, attribute: &'static str, calls: u32, per_secs: u64) -> Self {
        Self { name, attribute, calls, per: Duration::from_secs(per_secs) }
    }

    /// Microseconds, so that a limit that does not divide its period loses nothing that can be seen.
    const fn interval(self) -> i64 {
        (self.per.as_micros() / self.calls as u128) as i64
    }
    const fn tolerance(self) -> i64 {
        self.interval() * (self.calls as i64 - 1)
    }
}

/// What is left of a caller's budget, for the `RateLimit-*` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub limit: u32,
    pub remaining: u32,
    /// Until the budget is whole again.
    pub reset: Duration,
}

impl Budget {
    fn of(limit: RateLimit, tat: i64, now: i64) -> Self {
        let used = (tat - now).max(0);
        let left = (limit.interval() * i64::from(limit.calls) - used).max(0) / limit.interval();
        Self {
            limit: limit.calls,
            remaining: u32::try_from(left).unwrap_or(0),
            reset: Duration::from_micros(u64::try_from(used).unwrap_or(0)),
        }
    }
    pub(crate) fn exhausted(limit: RateLimit, retry_after: Duration) -> Self {
        Self { limit: limit.calls, remaining: 0, reset: retry_after }
    }
}

/// One side of the algorithm, as it is written into an UpdateItem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Branch {
    Idle,
    Busy,
}

impl Branch {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Idle => Self::Busy,
            Self::Busy => Self::Idle,
        }
    }
}

/// The parts of an UpdateItem that take one call from a budget: `#tat` is the attribute.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) attribute: &'static str,
    pub(crate) set: &'static str,
    pub(crate) condition: &'static str,
    pub(crate) values: Vec<(&'static str, AttributeValue)>,
}

impl Step {
    pub(crate) fn new(limit: RateLimit, branch: Branch, now: Timestamp) -> Self {
        let now = micros(now);
        let n = |v: i64| AttributeValue::N(v.to_string());
        let (set, condition, values) = match branch {
            Branch::Idle => (
                "#tat = :new_tat",
                "(attribute_not_exists(#tat) OR #tat < :tat_now)",
                vec![(":new_tat", n(now + limit.interval())), (":tat_now", n(now))],
            ),
            Branch::Busy => (
                "#tat = #tat + :tat_step",
                "#tat BETWEEN :tat_now AND :tat_most",
                vec![(":tat_step", n(limit.interval())), (":tat_now", n(now)), (":tat_most", n(now + limit.tolerance()))],
            ),
        };
        Self { attribute: limit.attribute, set, condition, values }
    }
}

/// What an item that refused a step says of the limit.
pub(crate) enum Verdict {
    Allowed(Branch),
    Exhausted { retry_after: Duration },
}

pub(crate) fn judge(limit: RateLimit, row: &Row, now: Timestamp) -> Verdict {
    let now = micros(now);
    match row.maybe_number(limit.attribute) {
        None => Verdict::Allowed(Branch::Idle),
        Some(tat) if tat < now => Verdict::Allowed(Branch::Idle),
        Some(tat) if tat <= now + limit.tolerance() => Verdict::Allowed(Branch::Busy),
        Some(tat) => {
            Verdict::Exhausted { retry_after: Duration::from_micros(u64::try_from(tat - now - limit.tolerance()).unwrap_or(0)) }
        }
    }
}

pub(crate) fn budget(limit: RateLimit, row: &Row, now: Timestamp) -> Budget {
    Budget::of(limit, row.maybe_number(limit.attribute).unwrap_or(0), micros(now))
}

/// How often a step is tried while others move the same number.
pub(crate) const STEPS: u32 = 6;

fn micros(t: Timestamp) -> i64 {
    t.as_millis().saturating_mul(1000)
}

/// Takes one call from the budget of a caller who has not signed in: an address, or an e-mail's token.
pub(crate) async fn before_sign_in(db: &Db, limit: RateLimit, caller: &str, now: Timestamp) -> Result<Budget> {
    let key = Key::new(format!("LIMIT#{}#{caller}", limit.name), "LIMIT");
    let mut branch = Branch::Idle;
    // The guess, the other branch, and again for racers who moved the number in between.
    for _ in 0..STEPS {
        let mut step = Step::new(limit, branch, now);
        step.values.push((":expires_at", AttributeValue::N(now.plus(limit.per * 2).as_secs().to_string())));
        let update = Update {
            expression: &format!("SET {}, expires_at = :expires_at", step.set),
            condition: Some(step.condition),
            names: &[("#tat", step.attribute)],
            values: step.values,
        };
        match db.update(TenantId::PLATFORM, Table::Ephemera, &key, update).await? {
            Ok(row) => return Ok(budget(limit, &row, now)),
            Err(old) => match old.as_ref().map_or(Verdict::Allowed(Branch::Idle), |row| judge(limit, row, now)) {
                Verdict::Allowed(actual) => branch = if actual == branch { branch.other() } else { actual },
                Verdict::Exhausted { retry_after } => return Err(Error::RateLimited { retry_after }),
            },
        }
    }
    Err(Error::RateLimited { retry_after: Duration::from_secs(1) })
}
