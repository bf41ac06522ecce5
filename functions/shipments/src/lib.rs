//! Shipments: parcels that already have a UPS number. A tenant registers them, finds them and follows them.
//!
//! A shipment's number, reference, recipient and contents are PHI: they are stored sealed, and found by search tokens. A shipment
//! claims its number until it is voided, so that a tenant registers a parcel only once. This crate does not buy labels.
//!
//! The carrier is polled automatically until a shipment has arrived: [`schedules`] queue the due shipments, and [`consumers`]
//! poll and store new data. [`domain::cadence`] determines how often, and [`domain::fair_share`] divides the quota between
//! tenants.

mod carrier;
pub mod consumers;
#[cfg(test)]
mod contributing;
pub mod domain;
pub mod endpoints;
mod polling;
pub mod schedules;
mod store;
pub mod tracking_number;
mod view;
mod work;
