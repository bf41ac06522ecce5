//! Counters of the emulator's calls, for tests.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::fault::Endpoint;

/// The counters since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Calls with any answer.
    pub calls: BTreeMap<Endpoint, u64>,
    /// The most calls in progress at the same time. More than one at the token endpoint means that the caller has no single
    /// flight.
    pub max_concurrent: BTreeMap<Endpoint, u64>,
    /// Calls by the HTTP status of their answer; a dropped connection counts as the answer that was lost.
    pub answers: BTreeMap<u16, u64>,
    /// The most calls within any one second of the emulator's clock.
    pub busiest_second: u64,
    /// Track Alerts that the webhook accepted.
    pub pushes_taken: u64,
    /// Attempts to send a Track Alert that failed.
    pub pushes_refused: u64,
    /// Track Alerts that were dropped after every attempt failed.
    pub pushes_given_up: u64,
    /// Tokens obtained from the webhook's token endpoint.
    pub webhook_tokens: u64,
}

impl Statistics {
    /// Calls of one endpoint.
    #[must_use]
    pub fn calls(&self, endpoint: Endpoint) -> u64 {
        self.calls.get(&endpoint).copied().unwrap_or(0)
    }

    /// The most overlapping calls of one endpoint.
    #[must_use]
    pub fn max_concurrent(&self, endpoint: Endpoint) -> u64 {
        self.max_concurrent.get(&endpoint).copied().unwrap_or(0)
    }

    /// Answers of one HTTP status.
    #[must_use]
    pub fn answers(&self, status: u16) -> u64 {
        self.answers.get(&status).copied().unwrap_or(0)
    }
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) totals: Statistics,
    running: BTreeMap<Endpoint, u64>,
    /// The times of the last second's calls by the emulator's clock, oldest first.
    last_second: VecDeque<i64>,
}

impl Counters {
    pub(super) fn begin(&mut self, endpoint: Endpoint, now: i64) {
        *self.totals.calls.entry(endpoint).or_default() += 1;
        let running = self.running.entry(endpoint).or_default();
        *running += 1;
        let most = self.totals.max_concurrent.entry(endpoint).or_default();
        *most = (*most).max(*running);
        if self.last_second.back().is_some_and(|last| now < *last) {
            // If the clock went back, start again.
            self.last_second.clear();
        }
        while self.last_second.pop_front_if(|at| now - *at >= 1000).is_some() {}
        self.last_second.push_back(now);
        let within = u64::try_from(self.last_second.len()).unwrap_or(u64::MAX);
        self.totals.busiest_second = self.totals.busiest_second.max(within);
    }

    pub(super) fn answered(&mut self, status: u16) {
        *self.totals.answers.entry(status).or_default() += 1;
    }

    pub(super) fn end(&mut self, endpoint: Endpoint) {
        if let Some(running) = self.running.get_mut(&endpoint) {
            *running = running.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busiest_second_may_begin_at_any_time() {
        let mut counters = Counters::default();
        for at in [0, 900, 1_000, 1_100, 1_899, 5_000] {
            counters.begin(Endpoint::Track, at);
            counters.end(Endpoint::Track);
        }
        assert_eq!(counters.totals.busiest_second, 4, "900, 1000, 1100 and 1899");
        assert_eq!(counters.totals.max_concurrent(Endpoint::Track), 1);
        for at in [0, 500, 999, 1_000] {
            counters.begin(Endpoint::Token, at);
        }
        assert_eq!(counters.totals.busiest_second, 4, "a clock that went back starts again");
        assert_eq!(counters.totals.max_concurrent(Endpoint::Token), 4);
    }
}
