//! The remaining budget of a rate limit, as in the `RateLimit-*` headers and `Retry-After`.

use std::time::Duration;

/// The remaining budget of a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub limit: u32,
    pub remaining: u32,
    /// The time until the budget is full again. It is never shorter than the wait of a refused caller.
    pub reset: Duration,
}

impl Budget {
    /// The budget of a caller who may not call at all for a while.
    pub(crate) fn shut(self, retry_after: Duration) -> Self {
        Self { remaining: 0, reset: self.reset.max(retry_after), ..self }
    }
}

/// Rounded up for headers, so that a caller who waits this many seconds has waited long enough.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_is_rounded_up_to_seconds() {
        for (micros, seconds) in [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2), (8_571_428, 9), (60_000_000, 60)]
        {
            assert_eq!(whole_seconds(Duration::from_micros(micros)), seconds, "{micros}");
        }
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
    }
}
