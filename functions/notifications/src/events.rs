//! The events that this domain consumes, each with only the members that it needs.

use common::{base::UserId, store::Event};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

common::id! {
    /// A shipment. This domain only uses its id.
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
    /// No trigger matches a status that is unknown here.
    pub to: String,
    pub created_by: UserId,
    pub assigned_to: Option<UserId>,
}

/// The sealed log of a tenant is inconsistent. The API shows its auditors where.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AuditTamperDetected {}

/// The business associate agreement, which is required for health information, ends soon or has ended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BaaExpiring {}

/// The tenant is active again after a suspension.
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
    /// The events that become notifications.
    pub enum TriggerEvent {
        Created(ShipmentCreated),
        Updated(ShipmentUpdated),
        Voided(ShipmentVoided),
        StatusChanged(ShipmentStatusChanged),
        Tampered(AuditTamperDetected),
        BaaExpiring(BaaExpiring),
        Reactivated(OrganizationReactivated),
    }
}
