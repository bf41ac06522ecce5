//! The auditor's verifier. It proves from a bundle of files that a tenant's audit log is complete and unaltered, without an
//! account or a network. Of this workspace's crates it uses only the log's format.
//!
//! [`verify`] reads a [`Source`] segment by segment and keeps one in memory, so that memory use does not grow with the log.
//! [`Directory`] is a bundle on disk; [`Writer`] makes one. `docs/audit-format.md` describes the bundle's layout, the findings
//! and the exit codes, for auditors who write their own verifier.
//!
//! A verified log does NOT prove that its events are true, or that every event was sealed. Without a checkpoint that the auditor
//! kept from before, it does not prove that all auditors were shown the same log. [`Report`] says so each time.

mod args;
mod bundle;
mod finding;
mod progress;
mod report;
mod source;
mod verify;

pub use args::{Checks, EXIT_CODES, VerifyArgs, run, verify_source};
pub use bundle::{InvalidManifest, Listed, Manifest, Range, Writer};
pub use finding::{Finding, Kind};
pub use progress::Progress;
pub use report::{Colour, Report};
pub use source::{Directory, Source, Unreadable, paths};
pub use verify::{EarlierCheckpoint, VerifyOptions, verify};
