//! Random bytes from the operating system, by aws-lc.

use std::time::Duration;

/// `N` random bytes.
///
/// If the generator fails, nothing safe can be done, so this panics and the pipeline answers 500.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    #[expect(clippy::expect_used, reason = "INVARIANT: aws-lc's generator aborts rather than fail once seeded")]
    aws_lc_rs::rand::fill(&mut out).expect("the system's random generator answers");
    out
}

/// Full jitter: up to 20, 40, 80, … milliseconds.
pub(crate) fn backoff(attempt: u32) -> Duration {
    let ceiling = 20u64 << attempt.min(6);
    Duration::from_millis(u64::from_le_bytes(bytes()) % ceiling)
}
