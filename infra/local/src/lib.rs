//! The platform on one machine: every endpoint in this process, behind a gateway that sends it the events which API Gateway
//! would, over emulators of AWS.
//!
//! Handlers cannot tell it from AWS: they get the same events and read the same settings. It listens on loopback only, and
//! holds synthetic data only.

pub mod client;
mod error;
mod gateway;
mod handover;
mod ledger;
mod live;
mod seed;
mod stack;

pub use error::Error;
pub use handover::Handover;
pub use ledger::{AuditLog, Seen};
pub use live::{Observer, Served};
pub use seed::{PLATFORM, TENANTS, User};
pub use stack::{Data, Options, Stack};
