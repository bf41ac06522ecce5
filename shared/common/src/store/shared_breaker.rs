//! A gate before a service that others run: one token bucket for everybody, and a circuit breaker that everybody shares.
//!
//! Both are one item of the platform's, so that all functions slow down together. Entering is ONE conditional UpdateItem while the
//! gate is open: GCRA as in [`crate::store::rate_limit`], under the condition that nothing keeps the gate shut. What the service answers is
//! reported only where it matters: a success after failures, a failure, a refusal.
//!
//! | | |
//! |---|---|
//! | closed circuit | every call that the bucket has a token for may go |
//! | open, until `open_until` | none may |
//! | half-open, after it | one may, as a probe: whoever moves `open_until` on by a conditional write |
//!
//! A probe that succeeds closes the circuit. [`FAILURES`] failures in a row open it, for 15 seconds at first and twice as long each
//! time a probe fails, 15 minutes at most. A service that says "too many requests" opens it at once, for as long as it says. What
//! was asked before it opened neither closes it nor, however many there are, keeps it open for longer.

use crate::{
    aws::CircuitState,
    base::{Error, Result, TenantId, Timestamp},
    store::{
        dynamodb::{Db, Update},
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

/// So many failures in a row open the circuit.
pub(crate) const FAILURES: u32 = 5;
/// For so long a probe keeps others out.
const PROBE: Duration = Duration::from_secs(30);
const SHORTEST: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// How long a service may keep us out by its own word.
const MOST_OBEYED: Duration = Duration::from_secs(60 * 60);
/// So far two clocks may differ. What lies further ahead than it could be written was written by a clock that was wrong.
const SLACK: Duration = Duration::from_secs(60);
const SLACK_MICROS: i64 = 60_000_000;
/// How often entering is tried while others move the same item.
const STEPS: u32 = 6;
/// The item is forgotten when nobody has called for so long.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// One service's gate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    name: &'static str,
    per_minute: u32,
    /// How many calls may come at once.
    burst: u32,
}

/// Leave to make one call.
#[derive(Debug)]
#[must_use = "a call's end is reported: `succeeded`, `failed` or `refused`"]
pub(crate) struct Pass {
    /// Whether anything is on the item that a success takes away.
    troubled: bool,
    /// Where this call decides if the circuit closes: until when it keeps others out, in milliseconds.
    probe: Option<i64>,
}

/// No call may be made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shut {
    pub(crate) until: Timestamp,
}

impl Gate {
    pub(crate) const fn new(name: &'static str, per_minute: u32) -> Self {
        let per_minute = if per_minute == 0 { 1 } else { per_minute };
        // A whole minute's calls may come at once, as they come off a queue.
        Self { name, per_minute, burst: per_minute }
    }

    /// The same gate, for calls that are not to crowd out the others: they pass while half of a minute's are left, at least.
    pub(crate) const fn yielding(self) -> Self {
        Self { burst: self.per_minute.div_ceil(2), ..self }
    }

    fn key(self) -> Key {
        Key::new(format!("GATE#{}", self.name), "GATE")
    }

    /// Microseconds between two tokens.
    fn interval(self) -> i64 {
        60_000_000 / i64::from(self.per_minute)
    }

    fn tolerance(self) -> i64 {
        self.interval() * (i64::from(self.burst) - 1)
    }

    /// Takes a token, where the gate is open and has one. `busy` is what this process found the last time, and the first guess.
    pub(crate) async fn enter(self, db: &Db, now: Timestamp, busy: &AtomicBool) -> Result<Result<Pass, Shut>> {
        let mut branch = if busy.load(Ordering::Relaxed) { Branch::Busy } else { Branch::Idle };
        for _ in 0..STEPS {
            let old = match self.step(db, now, branch).await? {
                Ok(row) => {
                    busy.store(matches!(branch, Branch::Busy), Ordering::Relaxed);
                    let probe = matches!(branch, Branch::Probe { .. }).then(|| row.number("open_until")).transpose()?;
                    return Ok(Ok(Pass { troubled: row.maybe_number("failures").is_some(), probe }));
                }
                Err(old) => old,
            };
            branch = match self.judge(old.as_ref(), now) {
                Ok(branch) => branch,
                Err(shut) => return Ok(Err(shut)),
            };
        }
        // Everybody else got in between: they are at work, and this call can wait for the next minute.
        Ok(Err(Shut { until: now.plus(Duration::from_secs(1)) }))
    }

    async fn step(self, db: &Db, now: Timestamp, branch: Branch) -> Result<Result<Row, Option<Row>>> {
        let micros = now.as_millis().saturating_mul(1000);
        let mut values = vec![(":expires", seconds(now.plus(FORGOTTEN)))];
        let mut value = |name, n: i64| values.push((name, number(n)));
        let (set, condition) = match branch {
            Branch::Idle => {
                value(":tat", micros + self.interval());
                value(":now", micros);
                ("tat = :tat", "attribute_not_exists(open_until) AND (attribute_not_exists(tat) OR tat < :now)")
            }
            Branch::Busy => {
                value(":step", self.interval());
                value(":now", micros);
                value(":most", micros + self.tolerance());
                ("tat = tat + :step", "attribute_not_exists(open_until) AND tat BETWEEN :now AND :most")
            }
            Branch::Probe { seen } => {
                value(":tat", micros + self.interval());
                value(":seen", seen);
                value(":until", now.plus(PROBE).as_millis());
                ("tat = :tat, open_until = :until", "open_until = :seen")
            }
            Branch::Reset { seen } => {
                value(":tat", micros + self.interval());
                value(":seen", seen);
                ("tat = :tat", "attribute_not_exists(open_until) AND tat = :seen")
            }
        };
        let expression = format!("SET {set}, expires_at = :expires");
        let update = Update { expression: &expression, condition: Some(condition), names: &[], values };
        db.update(TenantId::PLATFORM, Table::Ephemera, &self.key(), update).await
    }

    /// What an item that refused a step says: which other step fits, or until when none does.
    fn judge(self, old: Option<&Row>, now: Timestamp) -> Result<Branch, Shut> {
        let micros = now.as_millis().saturating_mul(1000);
        let number = |name| old.and_then(|row| row.maybe_number(name));
        if let Some(seen) = number("open_until") {
            let until = Timestamp::from_millis(seen);
            let shut = until > now && until.since(now) <= MOST_OBEYED + SLACK;
            return if shut { Err(Shut { until }) } else { Ok(Branch::Probe { seen }) };
        }
        match number("tat") {
            None => Ok(Branch::Idle),
            Some(tat) if tat < micros => Ok(Branch::Idle),
            Some(tat) if tat <= micros + self.tolerance() => Ok(Branch::Busy),
            Some(tat) if tat > micros + self.tolerance() + self.interval() + SLACK_MICROS => Ok(Branch::Reset { seen: tat }),
            Some(tat) => Err(Shut { until: Timestamp::from_millis((tat - self.tolerance()).div_euclid(1000) + 1) }),
        }
    }

    /// How many calls may be made now: what the bucket holds, one where a probe is due, none while the circuit is open.
    pub(crate) async fn outlook(self, db: &Db, now: Timestamp) -> Result<u32> {
        Ok(self.look(db, now).await?.calls_left)
    }

    /// How the gate stands, for who wants to see it.
    pub(crate) async fn look(self, db: &Db, now: Timestamp) -> Result<GateState> {
        let row = db.get(TenantId::PLATFORM, Table::Ephemera, &self.key()).await?;
        Ok(self.stands(row.as_ref(), now))
    }

    fn stands(self, row: Option<&Row>, now: Timestamp) -> GateState {
        let judged = self.judge(row, now);
        let circuit = match (&judged, row.and_then(|row| row.maybe_number("open_until"))) {
            (Err(_), Some(_)) => CircuitState::Open,
            (Ok(Branch::Probe { .. }), _) => CircuitState::HalfOpen,
            _ => CircuitState::Closed,
        };
        let calls_left = match judged {
            Err(_) => 0,
            Ok(Branch::Probe { .. }) => 1,
            Ok(Branch::Idle | Branch::Reset { .. }) => self.per_minute,
            Ok(Branch::Busy) => {
                let micros = now.as_millis().saturating_mul(1000);
                let tat = row.and_then(|row| row.maybe_number("tat")).unwrap_or(micros);
                u32::try_from((micros + self.tolerance() - tat) / self.interval() + 1).unwrap_or(0).min(self.per_minute)
            }
        };
        GateState { name: self.name, circuit, calls_left }
    }

    /// The service answered. What was wrong is over, unless the circuit has been opened, or kept open for longer, since this call
    /// was let in.
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

    /// The service did not answer, or said that it is broken.
    pub(crate) async fn failed(self, db: &Db, pass: Pass, now: Timestamp) -> Result<()> {
        let (failures, probes) = self.count(db, &pass, now).await?;
        if pass.probe.is_some() || failures >= FAILURES {
            self.shut(db, now.plus(pause(probes))).await?;
        }
        Ok(())
    }

    /// The service said that we ask too much, and perhaps for how long we are to be quiet. Nobody calls it meanwhile.
    pub(crate) async fn refused(self, db: &Db, pass: Pass, now: Timestamp, retry_after: Option<Duration>) -> Result<Shut> {
        let (_, probes) = self.count(db, &pass, now).await?;
        let own = || pause(probes.saturating_add(1));
        let until = now.plus(retry_after.map_or_else(own, |wait| wait.clamp(Duration::from_secs(1), MOST_OBEYED)));
        self.shut(db, until).await?;
        Ok(Shut { until })
    }

    /// How many calls in a row have failed, and how many of them were probes.
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
        let row = counted.map_err(|_| Error::internal("gate"))?;
        let count = |name| Ok::<_, Error>(u32::try_from(row.number(name)?).unwrap_or(u32::MAX));
        Ok((count("failures")?, count("probes")?))
    }

    /// Keeps everybody out until then, or for longer where that has been said already.
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

/// A gate before a service that others run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GateState {
    pub name: &'static str,
    pub circuit: CircuitState,
    /// How many calls may be made now, by all together.
    pub calls_left: u32,
}

/// One way of entering, as it is written into an UpdateItem.
#[derive(Clone, Copy, Debug)]
enum Branch {
    Idle,
    Busy,
    Probe {
        seen: i64,
    },
    /// What is there was written by a clock that has since gone back.
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

    const GATE: Gate = Gate::new("test", 60);

    fn row(attributes: &[(&str, i64)]) -> Row {
        Row::new(attributes.iter().map(|(name, n)| ((*name).to_owned(), number(*n))).collect())
    }

    fn judged(attributes: &[(&str, i64)]) -> Result<Branch, Shut> {
        GATE.judge(Some(&row(attributes)), Timestamp::from_millis(1_000_000))
    }

    #[test]
    fn a_minutes_calls_may_come_at_once_and_then_one_a_second() {
        let now = 1_000_000_000;
        assert!(matches!(judged(&[]), Ok(Branch::Idle)));
        assert!(matches!(judged(&[("tat", now - 1)]), Ok(Branch::Idle)));
        assert!(matches!(judged(&[("tat", now + 59_000_000)]), Ok(Branch::Busy)));
        // An hour ahead: the clock went back.
        assert!(matches!(judged(&[("tat", now + 3_600_000_000)]), Ok(Branch::Reset { .. })));
        let spent = judged(&[("tat", now + 60_000_000)]).unwrap_err();
        assert_eq!(spent.until, Timestamp::from_millis(1_001_001));
    }

    #[test]
    fn who_yields_leaves_half_of_a_minute_to_the_others() {
        let now = Timestamp::from_millis(1_000_000);
        let ahead = |seconds: i64| row(&[("tat", 1_000_000_000 + seconds * 1_000_000)]);
        let yielding = |seconds| GATE.yielding().judge(Some(&ahead(seconds)), now);
        assert!(matches!(yielding(29), Ok(Branch::Busy)));
        assert_eq!(yielding(30).unwrap_err().until, Timestamp::from_millis(1_001_001));
        assert_eq!(GATE.stands(Some(&ahead(30)), now).calls_left, 30);
        // What the others have spent is no clock that went back.
        assert!(yielding(60).is_err());
        assert_eq!(Gate::new("one", 1).yielding().burst, 1);
    }

    #[test]
    fn an_open_circuit_lets_nobody_in_and_then_one() {
        assert_eq!(judged(&[("open_until", 1_000_001)]).unwrap_err().until, Timestamp::from_millis(1_000_001));
        assert!(matches!(judged(&[("open_until", 1_000_000), ("tat", 0)]), Ok(Branch::Probe { seen: 1_000_000 })));
        // Longer than anybody is kept out: the clock went back.
        assert!(matches!(judged(&[("open_until", 1_000_000 + 2 * 3_600_000)]), Ok(Branch::Probe { .. })));
    }

    #[test]
    fn it_is_shown_whether_it_is_shut_by_what_failed_or_by_what_was_spent() {
        let now = 1_000_000_000;
        let shown = |attributes: &[(&str, i64)]| {
            let GateState { circuit, calls_left, .. } = GATE.stands(Some(&row(attributes)), Timestamp::from_millis(1_000_000));
            (circuit, calls_left)
        };
        assert_eq!(shown(&[]), (CircuitState::Closed, 60));
        assert_eq!(shown(&[("tat", now + 30_000_000)]), (CircuitState::Closed, 30));
        assert_eq!(shown(&[("tat", now + 60_000_000)]), (CircuitState::Closed, 0));
        assert_eq!(shown(&[("open_until", 1_000_001), ("tat", now)]), (CircuitState::Open, 0));
        assert_eq!(shown(&[("open_until", 1_000_000), ("tat", now)]), (CircuitState::HalfOpen, 1));
    }

    #[test]
    fn pauses_double_up_to_a_quarter_of_an_hour() {
        assert_eq!([0, 1, 2, 5, 6, 99].map(pause).map(|d| d.as_secs()), [15, 30, 60, 480, 900, 900]);
    }
}
