//! Notifications: events are reported to the users that they concern, by the channels that each user chose.
//!
//! A table of [triggers] turns domain events into notifications. A user's notifications are numbered without a gap and stored
//! exactly once. The transaction that stores one also counts it as unread. They are pushed to open sockets immediately and
//! included in e-mail digests later. All of this data consists of ids and codes; a client reads the details through the API,
//! which evaluates its policy.

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
