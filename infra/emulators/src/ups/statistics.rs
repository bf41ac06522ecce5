//! What was asked of the stand-in, for tests that count.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::fault::Endpoint;

/// What happened since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Calls, whatever their answer.
    pub calls: BTreeMap<Endpoint, u64>,
    /// Calls that were being answered at the same time, at most. A token's endpoint with more than one here was not asked in
    /// single flight.
    pub max_concurrent: BTreeMap<Endpoint, u64>,
    /// Calls answered by each HTTP status; a dropped connection counts as the answer that was lost.
    pub answers: BTreeMap<u16, u64>,
    /// The most calls within any one second of the stand-in's clock.
    pub busiest_second: u64,
    /// Track Alerts that the webhook took.
    pub pushes_taken: u64,
    /// Times that a Track Alert was sent and not taken.
    pub pushes_refused: u64,
    /// Track Alerts given up, after every attempt was refused.
    pub pushes_given_up: u64,
    /// Tokens fetched from the webhook's side.
    pub webhook_tokens: u64,
}

impl Statistics {
    /// Calls of one endpoint.
    #[must_use]
    pub fn calls(&self, endpoint: Endpoint) -> u64 {
        self.calls.get(&endpoint).copied().unwrap_or(0)
    }

    /// Calls of one endpoint that overlapped, at most.
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
    under_way: BTreeMap<Endpoint, u64>,
    /// The clock's times of the calls of the last second, oldest first.
    last_second: VecDeque<i64>,
}

impl Counters {
    pub(super) fn begin(&mut self, endpoint: Endpoint, now: i64) {
        *self.totals.calls.entry(endpoint).or_default() += 1;
        let under_way = self.under_way.entry(endpoint).or_default();
        *under_way += 1;
        let most = self.totals.max_concurrent.entry(endpoint).or_default();
        *most = (*most).max(*under_way);
        if self.last_second.back().is_some_and(|last| now < *last) {
            // A clock that went back starts anew.
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
        if let Some(under_way) = self.under_way.get_mut(&endpoint) {
            *under_way = under_way.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_any_second() {
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
        assert_eq!(counters.totals.busiest_second, 4, "a clock that went back starts anew");
        assert_eq!(counters.totals.max_concurrent(Endpoint::Token), 4);
    }
}
