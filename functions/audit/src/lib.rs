//! The audit log after the event: sealed into segments that nobody can take back, signed, watched, and shown to those who may
//! see it.
//!
//! What happened lies among the unsealed events of its tenant until [`consumers::SealAudit`] gives it its place.
//! [`schedules::SignCheckpoint`] signs where the log has come to, after it has read again what is new;
//! [`schedules::VerifyAudit`] reads samples of what is old. Both raise a finding where the log is not what it was. The format,
//! and what an auditor verifies without us, is in `ledger` and `docs/audit-format.md`.

pub mod consumers;
pub mod endpoints;
mod events;
#[cfg(test)]
mod fixture;
pub mod schedules;
mod walk;

pub use events::{EVENTS, TamperDetected};
