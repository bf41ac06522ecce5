//! Everything that a function needs, and the pipelines that no function can bypass. Each folder is a layer. A module uses its own
//! layer and those above it in this table:
//!
//! | Layer | Contains |
//! |---|---|
//! | [`base`] | ids, time, errors, settings, callers, needs |
//! | [`aws`] | clients of AWS and of the carrier, and the guards of their calls |
//! | [`store`] | items, changes, transactions, tenants' keys, the outbox, limits and breakers that a table counts |
//! | [`identity`] | tenants, memberships, sessions and what they sign in by: their items and rules |
//! | [`policy`] | decisions by Cedar's policies |
//! | [`audit`] | audit events, and what a piece of work gathers for them |
//! | [`request`] | from the gateway's event to one commit and the answer: start at `request/pipeline.rs` and at [`request::Endpoint`] |
//! | [`background`] | consumers, schedules, sockets |
//! | [`capabilities`] | what a permit or a delivery can do, a file for each subject |
//! | [`run`] | Lambda's entry points, init, operators' tools |
//!
//! A test reads the import graph and fails when a module uses a later layer. `cargo xtask rooms` prints the graph's figures.

#[cfg(test)]
mod arbitrary;

pub mod audit;
pub mod aws;
pub mod background;
pub mod base;
pub mod capabilities;
pub mod identity;
pub mod policy;
pub mod request;
pub mod run;
pub mod store;

pub use run::lambda;
