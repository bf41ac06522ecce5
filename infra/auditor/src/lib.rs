//! What an auditor runs: proves that a tenant's audit log is complete and unaltered, from a bundle of files, with no account, no
//! network and no other crate of this workspace than the log's format.
//!
//! [`verify`] walks a [`Source`] segment by segment and holds one at a time, so that memory does not grow with the log. [`Directory`]
//! is a bundle on disk; [`Writer`] makes one. `docs/audit-format.md` has the bundle's layout, the findings and the exit codes, for
//! those who verify with a program of their own.
//!
//! What a verified log does NOT show: that its events are true, that there are none which were not sealed, and, without a checkpoint
//! that the auditor kept from before, that nobody was ever shown another one. [`Report`] says so each time.

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
pub use verify::{Kept, Wanted, verify};
