//! Shipments: parcels that already have a UPS number, registered by a tenant, found again and looked after.
//!
//! A shipment's number, reference, recipient and contents are PHI: they are stored sealed, and found by search tokens. Its
//! number is claimed while it lives, so that a tenant registers a parcel once; voiding it frees the number. Buying labels
//! and asking the carrier are no part of this crate.

pub mod domain;
pub mod endpoints;
mod store;
pub mod tracking_number;
mod view;
mod work;
