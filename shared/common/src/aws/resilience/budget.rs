//! The retry budget: a token bucket that calls fill and retries empty, so that retries do not triple the load on a failing
//! service.
//!
//! It works like gRPC's retry throttling and the standard mode of AWS's SDKs. The SDK's own bucket follows this one, but its
//! state cannot be read.

/// The cost of a retry. A call earns two.
const RETRY: u32 = 10;
const EARNED: u32 = 2;
/// Twenty retries in a row, after a time without any.
const FULL: u32 = 20 * RETRY;

#[derive(Debug)]
pub(super) struct Budget(u32);

impl Default for Budget {
    fn default() -> Self {
        Self(FULL)
    }
}

impl Budget {
    /// A call's first attempt.
    pub(super) fn earn(&mut self) {
        self.0 = FULL.min(self.0 + EARNED);
    }

    /// Takes a retry from the budget, if one is left.
    #[must_use]
    pub(super) fn spend(&mut self) -> bool {
        let left = self.0.checked_sub(RETRY);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    /// The number of retries left.
    pub(super) const fn left(&self) -> u32 {
        self.0 / RETRY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_retries_are_allowed_then_one_for_every_five_calls() {
        let mut budget = Budget::default();
        let spent = (0..100).filter(|_| budget.spend()).count();
        assert_eq!((spent, budget.left()), (20, 0));
        for _ in 0..4 {
            budget.earn();
            assert!(!budget.spend());
        }
        budget.earn();
        assert!(budget.spend());
        assert!(!budget.spend());
    }

    #[test]
    fn idle_time_saves_at_most_the_burst() {
        let mut budget = Budget::default();
        (0..10_000).for_each(|_| budget.earn());
        assert_eq!(budget.left(), 20);
    }
}
