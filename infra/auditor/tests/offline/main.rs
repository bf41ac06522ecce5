//! Tests the auditor's command with bundles on disk: an intact bundle is verified, and each manipulation is detected and located.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod command;
mod example;
mod made;
mod statements;
mod tampered;
