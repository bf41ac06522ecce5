//! Organizations: tenants as the API knows them, with what was agreed with each, what each has chosen, and who administers it.
//!
//! A tenant's profile is one item in its own partition, read by every request's gate (`common::Tenant`); this domain writes it, and
//! keeps on it what the gate need not know. Endpoints only change that item and say so. Keys, sessions and messages that wait are
//! [`consumers`]' business.

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
