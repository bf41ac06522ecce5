//! The audit log's format: events, their canonical bytes, leaf hashes, the hash chain, and the Merkle tree over it. The crate is
//! pure: it has no clock, no storage and no other crate of this workspace. Ids come as text.
//!
//! An [`Event`] is written without `sequence`, `previous_hash` and `hash`. The one sealer of a tenant's log adds them: it seals a
//! [`Segment`] of events to follow a [`Head`], and the segment extends the head. Another function signs a [`Checkpoint`] of a
//! head. An auditor runs [`Leaf`], [`Head::extend`], [`checkpoint::Signed::verify`] and the [`merkle`] proofs.
//! `docs/audit-format.md` describes the same format in prose, byte by byte, for auditors who write their own verifier.
//!
//! The format does NOT protect events that are not sealed yet: they may be lost or altered without trace. If a whole log is
//! replaced by another consistent one, only a holder of an earlier checkpoint can detect it. The format does not prove that an
//! event is true.

pub mod canonical;
mod chain;
pub mod checkpoint;
mod event;
mod frontier;
mod hash;
mod head;
mod leaf;
mod line;
mod list;
pub mod merkle;
pub mod note;
mod scan;
pub mod segment;
mod text;
mod time;

pub use chain::{InvalidLeaf, chain, verify_chain, verify_leaf};
pub use checkpoint::{Checkpoint, Origin};
pub use event::{
    Actor, ActorType, Decision, Event, EventError, Format, MAX_EVENT_LEN, Outcome, Policy, Principal, PurposeOfUse, Resource,
    Severity,
};
pub use frontier::{Frontier, InvalidFrontier};
pub use hash::Hash;
pub use head::{Head, InvalidHead};
pub use leaf::Leaf;
pub use list::{AtMost, TooMany};
pub use note::VerifierKey;
pub use segment::{Breach, Broken, Segment};
pub use text::{EventType, InvalidText, Reason, UserAgent, Word};
pub use time::OccurredAt;
