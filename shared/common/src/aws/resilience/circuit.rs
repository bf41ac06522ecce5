//! A circuit breaker for one process and one service.
//!
//! | State | Effect |
//! |---|---|
//! | closed | every call may be made |
//! | open | no call may be made: all calls have failed, [`FAILURES`] times and for [`LASTING`] |
//! | half-open | the pause is over: one call may be made, as a probe |
//!
//! Both the number and the duration are required, so that one short fault does not open the circuit: eight concurrent calls that
//! fail together show no more than one of them. A successful probe closes the circuit. A failed one doubles the pause, from a
//! second up to half a minute. A dropped one has no effect. Calls that began before the circuit opened neither close it nor keep
//! it open for longer.
//!
//! A refusal, a failed condition or a throttle (4xx) is an answer: the service works. A failure is a missing answer, or a 5xx.

use crate::base::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

pub(super) const FAILURES: u32 = 5;
pub(super) const LASTING: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// Every call may be made.
    Closed,
    /// The result of one call decides whether it closes.
    HalfOpen,
    /// The service has failed and is not called for a while.
    Open,
}

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallOutcome {
    Answered,
    Failed,
    /// The caller was dropped before the end of the call.
    Unknown,
}

/// The permission to make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Call,
    /// Its result decides whether the circuit closes.
    Probe,
}

#[derive(Debug, Default)]
pub(super) struct Circuit {
    /// The number of consecutive failures, and the time of the first.
    failures: u32,
    since: Option<Timestamp>,
    open_until: Option<Timestamp>,
    probing: bool,
    /// The number of consecutive times that it has opened.
    opened: u32,
}

impl Circuit {
    pub(super) fn state(&self, now: Timestamp) -> CircuitState {
        match self.open_until {
            None => CircuitState::Closed,
            Some(until) if is_ahead(until, now) => CircuitState::Open,
            Some(_) => CircuitState::HalfOpen,
        }
    }

    pub(super) fn admit(&mut self, now: Timestamp) -> Option<Admission> {
        match self.state(now) {
            CircuitState::Closed => Some(Admission::Call),
            CircuitState::HalfOpen if !self.probing => {
                self.probing = true;
                Some(Admission::Probe)
            }
            CircuitState::HalfOpen | CircuitState::Open => None,
        }
    }

    pub(super) fn ended(&mut self, admission: Admission, outcome: CallOutcome, now: Timestamp) {
        match (admission, outcome) {
            (Admission::Probe, CallOutcome::Unknown) => self.probing = false,
            (Admission::Probe, CallOutcome::Answered) => *self = Self::default(),
            (Admission::Probe, CallOutcome::Failed) => self.open(now),
            // The call began before the circuit opened.
            (Admission::Call, _) if self.open_until.is_some() => {}
            (Admission::Call, CallOutcome::Unknown) => {}
            (Admission::Call, CallOutcome::Answered) => (self.failures, self.since) = (0, None),
            (Admission::Call, CallOutcome::Failed) => {
                self.failures = self.failures.saturating_add(1);
                let since = self.since.map_or(now, |since| since.min(now));
                self.since = Some(since);
                if self.failures >= FAILURES && now.since(since) >= LASTING {
                    self.open(now);
                }
            }
        }
    }

    fn open(&mut self, now: Timestamp) {
        let pause = SHORTEST.saturating_mul(1 << self.opened.min(5)).min(LONGEST);
        self.opened = self.opened.saturating_add(1);
        self.open_until = Some(now.plus(pause));
        self.probing = false;
    }
}

/// A time further ahead than the longest pause was written by a clock that has since gone back.
fn is_ahead(until: Timestamp, now: Timestamp) -> bool {
    until > now && until.since(now) <= LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + ms)
    }

    /// A circuit that opened at 1,000, after failures since 0.
    fn opened() -> Circuit {
        let mut circuit = Circuit::default();
        for ms in [0, 10, 20, 30, 1000] {
            assert_eq!(circuit.admit(at(ms)), Some(Admission::Call), "{ms}");
            circuit.ended(Admission::Call, CallOutcome::Failed, at(ms));
        }
        circuit
    }

    #[test]
    fn circuit_opens_after_five_failures_over_a_second() {
        let mut circuit = opened();
        assert_eq!(circuit.state(at(1000)), CircuitState::Open);
        assert_eq!(circuit.admit(at(1999)), None);
    }

    #[test]
    fn many_simultaneous_failures_do_not_open_the_circuit() {
        let mut circuit = Circuit::default();
        for _ in 0..1000 {
            circuit.ended(Admission::Call, CallOutcome::Failed, at(999));
        }
        assert_eq!(circuit.state(at(999)), CircuitState::Closed);
    }

    #[test]
    fn few_or_interrupted_failures_do_not_open_the_circuit() {
        let mut circuit = Circuit::default();
        for n in 0..4 {
            circuit.ended(Admission::Call, CallOutcome::Failed, at(n * 60_000));
        }
        assert_eq!(circuit.state(at(240_000)), CircuitState::Closed);
        circuit.ended(Admission::Call, CallOutcome::Answered, at(240_000));
        for n in 5..9 {
            circuit.ended(Admission::Call, CallOutcome::Failed, at(n * 60_000));
        }
        assert_eq!(circuit.state(at(540_000)), CircuitState::Closed);
    }

    #[test]
    fn successful_probe_after_the_pause_closes_the_circuit() {
        let mut circuit = opened();
        assert_eq!(circuit.state(at(2000)), CircuitState::HalfOpen);
        assert_eq!(circuit.admit(at(2000)), Some(Admission::Probe));
        assert_eq!(circuit.admit(at(2000)), None, "one at a time");
        circuit.ended(Admission::Probe, CallOutcome::Answered, at(2001));
        assert_eq!(circuit.state(at(2001)), CircuitState::Closed);
        circuit.ended(Admission::Call, CallOutcome::Failed, at(2002));
        assert_eq!(circuit.state(at(2002)), CircuitState::Closed, "what was before is forgotten");
    }

    #[test]
    fn failed_probe_doubles_the_pause_up_to_half_a_minute() {
        let mut circuit = opened();
        let mut now = 2000;
        for pause in [2000, 4000, 8000, 16_000, 30_000, 30_000] {
            assert_eq!(circuit.admit(at(now)), Some(Admission::Probe));
            circuit.ended(Admission::Probe, CallOutcome::Failed, at(now));
            assert_eq!(circuit.admit(at(now + pause - 1)), None, "{pause}");
            now += pause;
        }
    }

    #[test]
    fn dropped_probe_allows_another_probe() {
        let mut circuit = opened();
        assert_eq!(circuit.admit(at(2000)), Some(Admission::Probe));
        circuit.ended(Admission::Probe, CallOutcome::Unknown, at(2000));
        assert_eq!(circuit.admit(at(2000)), Some(Admission::Probe));
    }

    #[test]
    fn calls_from_before_the_opening_are_ignored() {
        let mut circuit = opened();
        circuit.ended(Admission::Call, CallOutcome::Answered, at(1100));
        assert_eq!(circuit.state(at(1100)), CircuitState::Open);
        circuit.ended(Admission::Call, CallOutcome::Failed, at(1900));
        assert_eq!(circuit.state(at(2000)), CircuitState::HalfOpen, "no later than it was");
    }

    #[test]
    fn clock_set_back_does_not_keep_the_circuit_open() {
        let mut circuit = opened();
        assert_eq!(circuit.admit(at(-3_600_000)), Some(Admission::Probe));
    }
}
