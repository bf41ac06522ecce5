//! What other domains hear of shipments: ids and codes.

use super::{Facts, ShipmentId, Status};
use common::{Event, UserId, Version};
use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
pub struct ShipmentCreated {
    pub shipment_id: ShipmentId,
    pub status: Status,
    pub created_by: UserId,
    pub assigned_to: Option<UserId>,
    pub version: Version,
}

#[derive(Clone, Debug, Serialize)]
pub struct ShipmentUpdated {
    pub shipment_id: ShipmentId,
    pub assigned_to: Option<UserId>,
    /// Names of fields, never their values.
    pub changed: Vec<&'static str>,
    pub version: Version,
}

#[derive(Clone, Debug, Serialize)]
pub struct ShipmentVoided {
    pub shipment_id: ShipmentId,
    pub assigned_to: Option<UserId>,
    pub version: Version,
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

impl From<&Facts> for ShipmentCreated {
    fn from(facts: &Facts) -> Self {
        let Facts { id, status, created_by, assigned_to, version, .. } = *facts;
        Self { shipment_id: id, status, created_by, assigned_to, version }
    }
}

impl ShipmentUpdated {
    pub fn new(facts: &Facts, changed: Vec<&'static str>) -> Self {
        Self { shipment_id: facts.id, assigned_to: facts.assigned_to, changed, version: facts.version }
    }
}

impl From<&Facts> for ShipmentVoided {
    fn from(facts: &Facts) -> Self {
        Self { shipment_id: facts.id, assigned_to: facts.assigned_to, version: facts.version }
    }
}
