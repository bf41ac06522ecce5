//! The domain events of shipments. They contain only ids and codes.

use super::{Facts, ShipmentId, Status};
use common::{
    base::{Timestamp, UserId},
    store::{Event, Schema, Version},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The events that this domain publishes.
pub const EVENTS: &[Schema] =
    common::events![ShipmentCreated, ShipmentUpdated, ShipmentVoided, ShipmentStatusChanged, RefreshRequested, PollDue];

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ShipmentCreated {
    pub shipment_id: ShipmentId,
    pub status: Status,
    pub created_by: UserId,
    pub assigned_to: Option<UserId>,
    pub version: Version,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ShipmentUpdated {
    pub shipment_id: ShipmentId,
    pub assigned_to: Option<UserId>,
    /// Names of fields, never their values.
    pub changed: Vec<String>,
    pub version: Version,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ShipmentVoided {
    pub shipment_id: ShipmentId,
    pub assigned_to: Option<UserId>,
    pub version: Version,
}

/// The carrier reported another status of the parcel.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ShipmentStatusChanged {
    pub shipment_id: ShipmentId,
    pub from: Status,
    pub to: Status,
    pub assigned_to: Option<UserId>,
    pub created_by: UserId,
    pub version: Version,
}

/// A user requested an immediate poll of the carrier for a shipment.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RefreshRequested {
    pub shipment_id: ShipmentId,
    /// The due time that the request set. A later due time supersedes it.
    pub due_at: Timestamp,
}

/// Internal: a shipment is due for a poll.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PollDue {
    pub shipment_id: ShipmentId,
    /// The due time when the message was sent. The shipment may have been polled before the message arrives.
    pub due_at: Timestamp,
}

impl Event for ShipmentCreated {
    const SCHEMA: &'static str = "shipment.created";
}
impl Event for ShipmentUpdated {
    const SCHEMA: &'static str = "shipment.updated";
}
impl Event for ShipmentVoided {
    const SCHEMA: &'static str = "shipment.voided";
}

impl Event for ShipmentStatusChanged {
    const SCHEMA: &'static str = "shipment.status_changed";
}
impl Event for RefreshRequested {
    const SCHEMA: &'static str = "shipment.refresh_requested";
}
impl Event for PollDue {
    const SCHEMA: &'static str = "shipment.poll_due";
}

impl From<&Facts> for ShipmentCreated {
    fn from(facts: &Facts) -> Self {
        let Facts { id, status, created_by, assigned_to, version, .. } = *facts;
        Self { shipment_id: id, status, created_by, assigned_to, version }
    }
}

impl ShipmentUpdated {
    pub fn new(facts: &Facts, changed: Vec<&'static str>) -> Self {
        let changed = changed.into_iter().map(str::to_owned).collect();
        Self { shipment_id: facts.id, assigned_to: facts.assigned_to, changed, version: facts.version }
    }
}

impl From<&Facts> for ShipmentVoided {
    fn from(facts: &Facts) -> Self {
        Self { shipment_id: facts.id, assigned_to: facts.assigned_to, version: facts.version }
    }
}

impl ShipmentStatusChanged {
    pub fn new(facts: &Facts, from: Status) -> Self {
        let Facts { id, status, created_by, assigned_to, version, .. } = *facts;
        Self { shipment_id: id, from, to: status, assigned_to, created_by, version }
    }
}
