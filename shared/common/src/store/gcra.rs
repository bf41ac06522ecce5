//! GCRA, the generic cell rate algorithm (ITU-T I.371), on one number of an item.
//!
//! That number, `tat`, is the time at which the budget is full again, in microseconds. A call is allowed while `tat` is at most
//! the whole budget minus the call's price after now, and moves `tat` on by the price. DynamoDB cannot evaluate `max(tat, now)`,
//! so there are two branches: idle (`tat < now`: start over) and busy. The code tries one first; if its condition fails, the old
//! item decides.

use crate::{base::Timestamp, store::item::Row};
use aws_sdk_dynamodb::types::AttributeValue;

/// A budget of calls, as a number on an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gcra {
    /// The attribute that holds the number.
    pub(crate) attribute: &'static str,
    /// The time after which one more call is allowed, in microseconds. So a rate that does not divide its period has no noticeable
    /// rounding error.
    pub(crate) interval: i64,
    /// The number of calls that may come at the same time.
    pub(crate) burst: u32,
}

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

/// The parts of an UpdateItem that takes one call from a budget. `#tat` is the attribute, `:tat_now` is now.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) set: &'static str,
    pub(crate) condition: &'static str,
    pub(crate) values: Vec<(&'static str, AttributeValue)>,
}

impl Gcra {
    /// The part of the budget that a call with the cost of `cost` ordinary calls takes, at most the whole budget.
    const fn price(self, cost: u32) -> i64 {
        let cost = if cost > self.burst { self.burst } else { cost };
        self.interval * cost as i64
    }

    /// The largest allowed distance of `tat` from now before a call of `cost`.
    const fn most_before(self, cost: u32) -> i64 {
        self.interval * self.burst as i64 - self.price(cost)
    }

    pub(crate) fn step(self, cost: u32, branch: Branch, now: Timestamp) -> Step {
        let (now, price) = (micros(now), self.price(cost));
        let n = |v: i64| AttributeValue::N(v.to_string());
        match branch {
            Branch::Idle => Step {
                set: "#tat = :tat_new",
                condition: "(attribute_not_exists(#tat) OR #tat < :tat_now)",
                values: vec![(":tat_new", n(now + price)), (":tat_now", n(now))],
            },
            Branch::Busy => Step {
                set: "#tat = #tat + :tat_step",
                condition: "#tat BETWEEN :tat_now AND :tat_most",
                values: vec![(":tat_step", n(price)), (":tat_now", n(now)), (":tat_most", n(now + self.most_before(cost)))],
            },
        }
    }

    /// The branch in which a call is allowed, or the time from which it is, in microseconds.
    ///
    /// # Errors
    /// The budget has too little left.
    pub(crate) fn judge(self, cost: u32, row: &Row, now: Timestamp) -> Result<Branch, i64> {
        match self.tat(row) {
            None => Ok(Branch::Idle),
            Some(tat) if tat < micros(now) => Ok(Branch::Idle),
            Some(tat) if tat <= micros(now) + self.most_before(cost) => Ok(Branch::Busy),
            Some(tat) => Err(tat - self.most_before(cost)),
        }
    }

    /// The time until the budget is full, in microseconds.
    pub(crate) fn used(self, row: &Row, now: Timestamp) -> i64 {
        self.tat(row).map_or(0, |tat| (tat - micros(now)).max(0))
    }

    /// The number of calls that are left.
    pub(crate) fn left(self, row: &Row, now: Timestamp) -> u32 {
        let left = self.interval * i64::from(self.burst) - self.used(row, now);
        u32::try_from(left.max(0) / self.interval).unwrap_or(0)
    }

    pub(crate) fn tat(self, row: &Row) -> Option<i64> {
        row.maybe_number(self.attribute)
    }
}

pub(crate) const fn micros(t: Timestamp) -> i64 {
    t.as_millis().saturating_mul(1000)
}
