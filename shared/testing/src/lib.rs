//! A whole backend for tests, with real parts: DynamoDB and KMS in this process, Cognito in a child process, and the functions as
//! they are deployed. A test gets an [`App`] of its own, moves its clock, and may inject faults into its calls.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

mod app;
mod bucket;
mod call;
mod clock;
mod deliveries;
mod dice;
mod kill;
mod log;
mod outside;
mod sockets;
mod sts;
mod wire;

pub use app::{App, PASSWORD, Tenant};
pub use bucket::ObjectVersion;
pub use call::{Answer, Call, Client, OWN_SESSION, find};
pub use clock::ManualClock;
pub use deliveries::Deliveries;
pub use dice::Dice;
pub use kill::{kill_after, polls};
pub use sts::{SignedCall, TenantSession};
pub use wire::{Calls, Fault, HeldCall, Wire};
