//! The audit log's format: events, their canonical bytes, leaf hashes, the hash chain, and the Merkle tree over it. Pure: no
//! clock, no storage, no other crate of this workspace; ids come as text.
//!
//! An [`Event`] is written without `sequence`, `previous_hash` and `hash`. The one sealer of a tenant's log gives them by
//! [`chain`]; [`verify_leaf`] and the [`merkle`] proofs are what an auditor runs. `docs/audit-format.md` is the same in
//! prose, byte by byte, for those who verify with a program of their own.
//!
//! What the format does NOT protect: events that are not sealed yet may be lost or altered unnoticed; a whole log replaced by
//! another consistent one is noticed only by who kept a checkpoint of the first; it says nothing of whether an event is
//! true.

pub mod canonical;
mod chain;
mod event;
mod hash;
mod list;
pub mod merkle;
mod text;
mod time;

pub use chain::{InvalidLeaf, chain, verify_chain, verify_leaf};
pub use event::{
    Actor, ActorType, Decision, Event, EventError, Format, MAX_EVENT_LEN, Outcome, Policy, Principal, PurposeOfUse, Resource,
    Severity,
};
pub use hash::Hash;
pub use list::{AtMost, TooMany};
pub use text::{EventType, InvalidText, Reason, UserAgent, Word};
pub use time::OccurredAt;
