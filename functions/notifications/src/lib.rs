//! Notifications: what has happened, told to those whom it concerns, in the way that they want.
//!
//! Domain events become notifications by a table of [triggers]. A user's notifications are numbered without a gap, and kept
//! exactly once; unread ones are counted where they are stored, in one transaction. They go on to open sockets at once and
//! into digests by e-mail later. All of it holds ids and codes: what has happened to whom is read through the API, after its
//! policy.

pub mod consumers;
pub mod domain;
pub mod endpoints;
mod events;
mod frames;
mod mail;
pub mod schedules;
pub mod sockets;
mod store;
pub mod triggers;
mod view;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
