//! The protection of an external service: one token bucket and one circuit breaker that all functions share.
//!
//! Both are one item of the platform's, so that all functions slow down together. Entering is ONE conditional UpdateItem while
//! the circuit is closed: a step of a [`Gcra`], on condition that the circuit is not open. The service's
//! answer is stored only if it matters: a success after failures, a failure, a refusal.
//!
//! | State | Effect |
//! |---|---|
//! | closed | every call with a token from the bucket may be made |
//! | open, until `open_until` | no call may be made |
//! | half-open, afterwards | one call may be made, as a probe: by the caller who moves `open_until` on by a conditional write |
//!
//! A successful probe closes the circuit. [`FAILURES`] consecutive failures open it, for 15 seconds at first and twice as long
//! each time a probe fails, at most 15 minutes. If the service answers "too many requests", it opens at once, for the time that
//! the service asks for. Calls that began before it opened neither close it nor, in any number, keep it open for longer.

use crate::{
    aws::CircuitState,
    base::{Error, Result, TenantId, Timestamp},
    store::{
        dynamodb::{Db, Outcome, Update},
        gcra::{self, Gcra, micros},
        item::{Key, Row, Table},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// The number of consecutive failures that open the circuit.
pub(crate) const FAILURES: u32 = 5;
/// The time for which a probe excludes other calls.
const PROBE: Duration = Duration::from_secs(30);
const SHORTEST: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// The longest pause that the service may ask for.
const MOST_OBEYED: Duration = Duration::from_secs(60 * 60);
/// The largest expected difference between two clocks. A time beyond that was written by a wrong clock.
const SLACK: Duration = Duration::from_secs(60);
const SLACK_MICROS: i64 = 60_000_000;
/// The number of tries to enter while others change the same item.
const STEPS: u32 = 6;
/// The item is deleted after this time without calls.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// The protection of one service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedBreaker {
    name: &'static str,
    per_minute: u32,
    /// The number of calls that may be made at the same time.
    burst: u32,
}

/// The permission to make one call.
#[derive(Debug)]
#[must_use = "a call's end is reported: `succeeded`, `failed` or `refused`"]
pub(crate) struct Pass {
    /// Whether the item has failures that a success removes.
    troubled: bool,
    /// If this call is a probe: until when it excludes others, in milliseconds.
    probe: Option<i64>,
}

/// No call may be made before this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shut {
    pub(crate) until: Timestamp,
}

/// Whether a call may be made.
#[derive(Debug)]
pub(crate) enum Entry {
    Pass(Pass),
    Shut(Shut),
}

impl SharedBreaker {
    pub(crate) const fn new(name: &'static str, per_minute: u32) -> Self {
        let per_minute = if per_minute == 0 { 1 } else { per_minute };
        // A whole minute's calls may be made at the same time, because they come from a queue.
        Self { name, per_minute, burst: per_minute }
    }

    /// The same protection for calls of lower priority: they are made only while at least half of a minute's calls are left.
    pub(crate) const fn yielding(self) -> Self {
        Self { burst: self.per_minute.div_ceil(2), ..self }
    }

    fn key(self) -> Key {
        Key::new(format!("GATE#{}", self.name), "GATE")
    }

    fn bucket(self) -> Gcra {
        Gcra { attribute: "tat", interval: 60_000_000 / i64::from(self.per_minute), burst: self.burst }
    }

    /// Takes a token, if the circuit is closed and the bucket has one. `busy` is this process's last branch, which is tried
    /// first.
    pub(crate) async fn enter(self, db: &Db, now: Timestamp, busy: &AtomicBool) -> Result<Entry> {
        let mut branch = Branch::Closed(if busy.load(Ordering::Relaxed) { gcra::Branch::Busy } else { gcra::Branch::Idle });
        for _ in 0..STEPS {
            let old = match self.step(db, now, branch).await? {
                Outcome::Done(row) => {
                    busy.store(matches!(branch, Branch::Closed(gcra::Branch::Busy)), Ordering::Relaxed);
                    let probe = matches!(branch, Branch::Probe { .. }).then(|| row.number("open_until")).transpose()?;
                    return Ok(Entry::Pass(Pass { troubled: row.maybe_number("failures").is_some(), probe }));
                }
                Outcome::Refused(old) => old,
            };
            branch = match self.judge(old.as_ref(), now) {
                Ok(branch) => branch,
                Err(shut) => return Ok(Entry::Shut(shut)),
            };
        }
        // Others were faster in every try. The service is in use, so this call can wait.
        Ok(Entry::Shut(Shut { until: now.plus(Duration::from_secs(1)) }))
    }

    async fn step(self, db: &Db, now: Timestamp, branch: Branch) -> Result<Outcome> {
        let bucket = self.bucket();
        let restart = (":tat", number(micros(now) + bucket.interval));
        let (set, condition, mut values) = match branch {
            Branch::Closed(branch) => {
                let gcra::Step { set, condition, values } = bucket.step(1, branch, now);
                (set, format!("attribute_not_exists(open_until) AND {condition}"), values)
            }
            Branch::Probe { seen } => (
                "#tat = :tat, open_until = :until",
                "open_until = :seen".to_owned(),
                vec![restart, (":seen", number(seen)), (":until", number(now.plus(PROBE).as_millis()))],
            ),
            Branch::Reset { seen } => (
                "#tat = :tat",
                "attribute_not_exists(open_until) AND #tat = :seen".to_owned(),
                vec![restart, (":seen", number(seen))],
            ),
        };
        values.push((":expires", seconds(now.plus(FORGOTTEN))));
        let update = Update {
            expression: &format!("SET {set}, expires_at = :expires"),
            condition: Some(&condition),
            names: &[("#tat", bucket.attribute)],
            values,
        };
        db.update(TenantId::PLATFORM, Table::Ephemera, &self.key(), update).await
    }

    /// The state according to an item that refused a step: the branch to try next, or the time until which no call may be made.
    fn judge(self, old: Option<&Row>, now: Timestamp) -> Result<Branch, Shut> {
        let Some(row) = old else { return Ok(Branch::Closed(gcra::Branch::Idle)) };
        if let Some(seen) = row.maybe_number("open_until") {
            let until = Timestamp::from_millis(seen);
            let shut = until > now && until.since(now) <= MOST_OBEYED + SLACK;
            return if shut { Err(Shut { until }) } else { Ok(Branch::Probe { seen }) };
        }
        let bucket = self.bucket();
        bucket.judge(1, row, now).map(Branch::Closed).or_else(|from| match bucket.tat(row) {
            Some(seen) if from > micros(now) + bucket.interval + SLACK_MICROS => Ok(Branch::Reset { seen }),
            _ => Err(Shut { until: Timestamp::from_millis(from.div_euclid(1000) + 1) }),
        })
    }

    /// The number of calls that may be made now: the tokens in the bucket, one if a probe is due, none while the circuit is open.
    pub(crate) async fn outlook(self, db: &Db, now: Timestamp) -> Result<u32> {
        Ok(self.look(db, now).await?.calls_left)
    }

    /// The state, for display.
    pub(crate) async fn look(self, db: &Db, now: Timestamp) -> Result<BreakerState> {
        let row = db.get(TenantId::PLATFORM, Table::Ephemera, &self.key()).await?;
        Ok(self.stands(row.as_ref(), now))
    }

    fn stands(self, row: Option<&Row>, now: Timestamp) -> BreakerState {
        let judged = self.judge(row, now);
        let circuit = match (&judged, row.and_then(|row| row.maybe_number("open_until"))) {
            (Err(_), Some(_)) => CircuitState::Open,
            (Ok(Branch::Probe { .. }), _) => CircuitState::HalfOpen,
            _ => CircuitState::Closed,
        };
        let calls_left = match judged {
            Err(_) => 0,
            Ok(Branch::Probe { .. }) => 1,
            Ok(Branch::Closed(gcra::Branch::Idle) | Branch::Reset { .. }) => self.per_minute,
            Ok(Branch::Closed(gcra::Branch::Busy)) => row.map_or(0, |row| self.bucket().left(row, now)).min(self.per_minute),
        };
        BreakerState { name: self.name, circuit, calls_left }
    }

    /// Records that the service answered. Earlier failures are removed, unless the circuit has been opened, or its pause
    /// extended, since this call was admitted.
    pub(crate) async fn succeeded(self, db: &Db, pass: Pass) -> Result<()> {
        let update = match pass {
            Pass { probe: Some(until), .. } => Update {
                expression: "REMOVE open_until, failures, probes",
                condition: Some("open_until = :until"),
                values: vec![(":until", number(until))],
                ..Update::default()
            },
            Pass { troubled: true, .. } => Update {
                expression: "REMOVE failures, probes",
                condition: Some("attribute_not_exists(open_until)"),
                ..Update::default()
            },
            Pass { .. } => return Ok(()),
        };
        db.update(TenantId::PLATFORM, Table::Ephemera, &self.key(), update).await.map(drop)
    }

    /// Records that the service did not answer, or reported a fault.
    pub(crate) async fn failed(self, db: &Db, pass: Pass, now: Timestamp) -> Result<()> {
        let (failures, probes) = self.count(db, &pass, now).await?;
        if pass.probe.is_some() || failures >= FAILURES {
            self.shut(db, now.plus(pause(probes))).await?;
        }
        Ok(())
    }

    /// Records that the service refused the call because of too many calls, perhaps with a time to wait. No function calls it
    /// until then.
    pub(crate) async fn refused(self, db: &Db, pass: Pass, now: Timestamp, retry_after: Option<Duration>) -> Result<Shut> {
        let (_, probes) = self.count(db, &pass, now).await?;
        let own = || pause(probes.saturating_add(1));
        let until = now.plus(retry_after.map_or_else(own, |wait| wait.clamp(Duration::from_secs(1), MOST_OBEYED)));
        self.shut(db, until).await?;
        Ok(Shut { until })
    }

    /// The number of consecutive failed calls, and the number of probes among them.
    async fn count(self, db: &Db, pass: &Pass, now: Timestamp) -> Result<(u32, u32)> {
        let update = Update {
            expression: "SET expires_at = :expires ADD failures :one, probes :probe",
            values: vec![
                (":expires", seconds(now.plus(FORGOTTEN))),
                (":one", number(1)),
                (":probe", number(i64::from(pass.probe.is_some()))),
            ],
            ..Update::default()
        };
        let counted = db.update(TenantId::PLATFORM, Table::Ephemera, &self.key(), update).await?;
        let row = counted.done_or(Error::internal("gate"))?;
        let count = |name| Ok::<_, Error>(u32::try_from(row.number(name)?).unwrap_or(u32::MAX));
        Ok((count("failures")?, count("probes")?))
    }

    /// Opens the circuit until then, or for longer if a longer pause is stored already.
    async fn shut(self, db: &Db, until: Timestamp) -> Result<()> {
        let update = Update {
            expression: "SET open_until = :until",
            condition: Some("attribute_not_exists(open_until) OR open_until < :until"),
            values: vec![(":until", number(until.as_millis()))],
            ..Update::default()
        };
        db.update(TenantId::PLATFORM, Table::Ephemera, &self.key(), update).await.map(drop)
    }
}

/// The protection of an external service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "GateState")]
pub struct BreakerState {
    pub name: &'static str,
    pub circuit: CircuitState,
    /// The number of calls that all functions together may make now.
    pub calls_left: u32,
}

/// One branch of entering, in the form of an UpdateItem.
#[derive(Clone, Copy, Debug)]
enum Branch {
    Closed(gcra::Branch),
    Probe {
        seen: i64,
    },
    /// The stored time was written by a clock that has since gone back.
    Reset {
        seen: i64,
    },
}

fn pause(doublings: u32) -> Duration {
    SHORTEST.saturating_mul(1 << doublings.min(6)).min(LONGEST)
}

fn number(n: i64) -> AttributeValue {
    AttributeValue::N(n.to_string())
}

fn seconds(t: Timestamp) -> AttributeValue {
    number(t.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKER: SharedBreaker = SharedBreaker::new("test", 60);

    fn row(attributes: &[(&str, i64)]) -> Row {
        Row::new(attributes.iter().map(|(name, n)| ((*name).to_owned(), number(*n))).collect())
    }

    fn judged(attributes: &[(&str, i64)]) -> Result<Branch, Shut> {
        BREAKER.judge(Some(&row(attributes)), Timestamp::from_millis(1_000_000))
    }

    #[test]
    fn burst_of_a_minutes_calls_is_allowed_then_one_a_second() {
        let now = 1_000_000_000;
        assert!(matches!(judged(&[]), Ok(Branch::Closed(gcra::Branch::Idle))));
        assert!(matches!(judged(&[("tat", now - 1)]), Ok(Branch::Closed(gcra::Branch::Idle))));
        assert!(matches!(judged(&[("tat", now + 59_000_000)]), Ok(Branch::Closed(gcra::Branch::Busy))));
        // An hour ahead, so the clock went back.
        assert!(matches!(judged(&[("tat", now + 3_600_000_000)]), Ok(Branch::Reset { .. })));
        let spent = judged(&[("tat", now + 60_000_000)]).unwrap_err();
        assert_eq!(spent.until, Timestamp::from_millis(1_001_001));
    }

    #[test]
    fn yielding_calls_leave_half_of_a_minute_to_the_others() {
        let now = Timestamp::from_millis(1_000_000);
        let ahead = |seconds: i64| row(&[("tat", 1_000_000_000 + seconds * 1_000_000)]);
        let yielding = |seconds| BREAKER.yielding().judge(Some(&ahead(seconds)), now);
        assert!(matches!(yielding(29), Ok(Branch::Closed(gcra::Branch::Busy))));
        assert_eq!(yielding(30).unwrap_err().until, Timestamp::from_millis(1_001_001));
        assert_eq!(BREAKER.stands(Some(&ahead(30)), now).calls_left, 30);
        // Tokens that others have spent do not mean that the clock went back.
        assert!(yielding(60).is_err());
        assert_eq!(SharedBreaker::new("one", 1).yielding().burst, 1);
    }

    #[test]
    fn open_circuit_refuses_all_calls_and_then_admits_a_probe() {
        assert_eq!(judged(&[("open_until", 1_000_001)]).unwrap_err().until, Timestamp::from_millis(1_000_001));
        assert!(matches!(judged(&[("open_until", 1_000_000), ("tat", 0)]), Ok(Branch::Probe { seen: 1_000_000 })));
        // Longer than the longest pause, so the clock went back.
        assert!(matches!(judged(&[("open_until", 1_000_000 + 2 * 3_600_000)]), Ok(Branch::Probe { .. })));
    }

    #[test]
    fn state_shows_an_open_circuit_or_an_empty_bucket() {
        let now = 1_000_000_000;
        let shown = |attributes: &[(&str, i64)]| {
            let BreakerState { circuit, calls_left, .. } =
                BREAKER.stands(Some(&row(attributes)), Timestamp::from_millis(1_000_000));
            (circuit, calls_left)
        };
        assert_eq!(shown(&[]), (CircuitState::Closed, 60));
        assert_eq!(shown(&[("tat", now + 30_000_000)]), (CircuitState::Closed, 30));
        assert_eq!(shown(&[("tat", now + 60_000_000)]), (CircuitState::Closed, 0));
        assert_eq!(shown(&[("open_until", 1_000_001), ("tat", now)]), (CircuitState::Open, 0));
        assert_eq!(shown(&[("open_until", 1_000_000), ("tat", now)]), (CircuitState::HalfOpen, 1));
    }

    #[test]
    fn pause_doubles_up_to_fifteen_minutes() {
        assert_eq!([0, 1, 2, 5, 6, 99].map(pause).map(|d| d.as_secs()), [15, 30, 60, 480, 900, 900]);
    }
}
