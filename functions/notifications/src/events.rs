//! What this domain hears: its own view of others' events, no more of each than it needs.

use common::{Event, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

common::id! {
    /// A shipment, of which this domain knows nothing but its id.
    pub struct ShipmentId = "shp"
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ShipmentCreated {
    pub shipment_id: ShipmentId,
    pub created_by: UserId,
    pub assigned_to: Option<UserId>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ShipmentUpdated {
    pub shipment_id: ShipmentId,
    pub assigned_to: Option<UserId>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ShipmentVoided {
    pub shipment_id: ShipmentId,
    pub assigned_to: Option<UserId>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ShipmentStatusChanged {
    pub shipment_id: ShipmentId,
    /// A status that is not known here is one that no trigger names.
    pub to: String,
    pub created_by: UserId,
    pub assigned_to: Option<UserId>,
}

/// The sealed log of a tenant does not agree with itself. Where, its auditors are told by the API.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AuditTamperDetected {}

/// The agreement without which there is no health information ends soon, or has ended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BaaExpiring {}

/// The tenant was suspended, and is active again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OrganizationReactivated {}

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
impl Event for AuditTamperDetected {
    const SCHEMA: &'static str = "audit.tamper_detected";
}
impl Event for BaaExpiring {
    const SCHEMA: &'static str = "organization.baa_expiring";
}
impl Event for OrganizationReactivated {
    const SCHEMA: &'static str = "organization.reactivated";
}

common::messages! {
    /// What notifications are made of.
    pub enum Heard {
        Created(ShipmentCreated),
        Updated(ShipmentUpdated),
        Voided(ShipmentVoided),
        StatusChanged(ShipmentStatusChanged),
        Tampered(AuditTamperDetected),
        BaaExpiring(BaaExpiring),
        Reactivated(OrganizationReactivated),
    }
}
