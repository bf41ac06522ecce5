//! Organizations: the API's view of tenants, with the agreement, the settings and the administrators of each.
//!
//! A tenant's profile is one item in its own partition. Every request reads it (`common::identity::Tenant`, cached for a few seconds). This
//! domain writes it, and also stores attributes on it that requests do not read. Endpoints only change that item and emit an
//! event; [`consumers`] handle keys, sessions and waiting messages.

pub mod consumers;
pub mod domain;
pub mod endpoints;
pub mod schedules;
mod store;
mod view;
mod work;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
