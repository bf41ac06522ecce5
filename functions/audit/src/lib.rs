//! The audit log: events are sealed into immutable segments, signed, verified, and shown to callers who may see them.
//!
//! An event is among the unsealed events of its tenant until [`consumers::SealAudit`] seals it. [`schedules::SignCheckpoint`]
//! reads the new segments again and signs a checkpoint. [`schedules::VerifyAudit`] reads samples of old segments again. Both
//! raise a finding if the log was altered. The format and the auditor's own verification are in `ledger` and
//! `docs/audit-format.md`.

pub mod consumers;
pub mod endpoints;
mod events;
#[cfg(test)]
mod fixture;
pub mod schedules;
mod walk;

pub use events::{EVENTS, TamperDetected};
