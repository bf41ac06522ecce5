//! The audit log's format: events, their canonical bytes, leaf hashes, the hash chain, and the Merkle tree over it. Pure: no
//! clock, no storage, no other crate of this workspace; ids come as text.
//!
//! An [`Event`] is written without `sequence`, `previous_hash` and `hash`. The one sealer of a tenant's log gives them: a
//! [`Segment`] of events is sealed to follow a [`Head`], which it moves. A [`Checkpoint`] of a head is signed elsewhere. [`Leaf`],
//! [`Head::extend`], [`checkpoint::Signed::verify`] and the [`merkle`] proofs are what an auditor runs. `docs/audit-format.md` is the same in
//! prose, byte by byte, for those who verify with a program of their own.
//!
//! What the format does NOT protect: events that are not sealed yet may be lost or altered unnoticed; a whole log replaced by
//! another consistent one is noticed only by who kept a checkpoint of the first; it says nothing of whether an event is
//! true.

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
