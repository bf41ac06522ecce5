//! What is left of a budget, as the `RateLimit-*` headers and `Retry-After` say it.

use std::time::Duration;

/// What is left of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub limit: u32,
    pub remaining: u32,
    /// Until the budget is whole again. Never sooner than a caller who is refused may come back.
    pub reset: Duration,
}

impl Budget {
    /// That of a caller who may not call at all for a while.
    pub(crate) fn shut(self, retry_after: Duration) -> Self {
        Self { remaining: 0, reset: self.reset.max(retry_after), ..self }
    }
}

/// As headers say it: who comes back after so many seconds comes back late enough.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up() {
        for (micros, seconds) in [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2), (8_571_428, 9), (60_000_000, 60)]
        {
            assert_eq!(whole_seconds(Duration::from_micros(micros)), seconds, "{micros}");
        }
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
    }
}
