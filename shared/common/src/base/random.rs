//! Random bytes, from the operating system by way of aws-lc.

/// `N` random bytes.
///
/// A generator that cannot answer leaves nothing safe to do: this panics, and the pipeline answers 500.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    #[expect(clippy::expect_used, reason = "INVARIANT: aws-lc's generator aborts rather than fail once seeded")]
    aws_lc_rs::rand::fill(&mut out).expect("the system's random generator answers");
    out
}
