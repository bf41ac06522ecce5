//! Shipments: parcels that already have a UPS number, registered by a tenant, found again and looked after.
//!
//! A shipment's number, reference, recipient and contents are PHI: they are stored sealed, and found by search tokens. Its
//! number is claimed while it lives, so that a tenant registers a parcel once; voiding it frees the number. Buying labels is
//! no part of this crate.
//!
//! The carrier is asked about a shipment by itself until it has arrived: [`schedules`] say when, [`consumers`] ask and keep what is
//! new. How often is decided in [`domain::cadence`], for whom in [`domain::fair_share`].

mod carrier;
pub mod consumers;
pub mod domain;
pub mod endpoints;
mod polling;
pub mod schedules;
mod store;
pub mod tracking_number;
mod view;
mod work;
