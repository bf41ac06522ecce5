//! One service's guard, which every attempt passes.

use super::{
    Breaker, CircuitState, Policy,
    budget::Budget,
    circuit::{Admission, CallOutcome, Circuit},
};
use crate::base::{Clock, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The time for which an attempt waits for a free slot.
const WAIT: Duration = Duration::from_millis(500);

/// The reason why an attempt was not made. The service was not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub(crate) enum Refused {
    /// The deadline of the work has passed.
    Late,
    /// The limit of concurrent attempts is reached.
    Full,
    /// The circuit is open.
    Open,
    /// The retry budget is spent.
    Spent,
}

impl Refused {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Late => "deadline passed",
            Self::Full => "too many calls at once",
            Self::Open => "circuit open",
            Self::Spent => "retry budget spent",
        }
    }
}

/// The state of the calls to one service, in the process that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ServiceState {
    pub name: &'static str,
    /// Null if all processes share a circuit breaker, which is listed separately.
    pub circuit: Option<CircuitState>,
    /// The number of running attempts.
    pub in_flight: usize,
    /// The limit of running attempts.
    pub at_once: usize,
    /// The number of retries that are left.
    pub retries_left: u32,
}

#[derive(Debug)]
pub(super) struct Guard {
    policy: Policy,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    circuit: Circuit,
    budget: Budget,
}

impl Guard {
    pub(super) fn new(policy: Policy, clock: Arc<dyn Clock>) -> Self {
        Self { places: Arc::new(Semaphore::new(policy.at_once)), policy, clock, state: Mutex::default() }
    }

    pub(super) fn state(&self) -> ServiceState {
        let Policy { name, at_once, circuit, .. } = self.policy;
        let state = self.lock();
        ServiceState {
            name,
            circuit: (circuit == Breaker::Process).then(|| state.circuit.state(self.clock.now())),
            in_flight: at_once.saturating_sub(self.places.available_permits()),
            at_once,
            retries_left: state.budget.left(),
        }
    }

    /// The timeout of an attempt now, and whether it is shorter than the service's policy grants.
    pub(super) fn time(&self, deadline: Option<Timestamp>) -> (Duration, bool) {
        let left = deadline.map(|end| end.since(self.clock.now())).filter(|left| *left < self.policy.attempt);
        (left.unwrap_or(self.policy.attempt), left.is_some())
    }

    /// Admits one attempt. The first attempt of a call adds to the retry budget.
    pub(super) async fn enter(self: Arc<Self>, is_retry: bool, deadline: Option<Timestamp>) -> Result<Entered, Refused> {
        let in_time = || deadline.is_none_or(|end| self.clock.now() < end);
        if !in_time() {
            return Err(Refused::Late);
        }
        let (left, _) = self.time(deadline);
        let place = tokio::time::timeout(WAIT.min(left), self.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(Refused::Full) };
        if !in_time() {
            return Err(Refused::Late);
        }
        let admission = self.admit(is_retry)?;
        Ok(Entered { guard: self, admission, outcome: CallOutcome::Unknown, _place: place })
    }

    fn admit(&self, is_retry: bool) -> Result<Admission, Refused> {
        let mut state = self.lock();
        if is_retry && state.budget.left() == 0 {
            return Err(Refused::Spent);
        }
        let admission = match self.policy.circuit {
            Breaker::Process => state.circuit.admit(self.clock.now()).ok_or(Refused::Open)?,
            Breaker::Shared => Admission::Call,
        };
        if is_retry {
            let _ = state.budget.spend();
        } else {
            state.budget.earn();
        }
        Ok(admission)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running attempt. If it is dropped without a result, it does not change the circuit.
#[derive(Debug)]
pub(super) struct Entered {
    guard: Arc<Guard>,
    admission: Admission,
    outcome: CallOutcome,
    _place: OwnedSemaphorePermit,
}

impl Entered {
    pub(super) fn ended(mut self, outcome: CallOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let now = self.guard.clock.now();
        self.guard.lock().circuit.ended(self.admission, self.outcome, now);
    }
}
