//! A shipment as a caller sees it.

use crate::{
    domain::{Carrier, Facts, Recipient, Shipment, ShipmentId, ShipmentPhi, Status},
    tracking_number::TrackingNumber,
};
use common::{Timestamp, UserId, Version};
use phi::{Disclosed, LongText, PhiValue, ShortText};
use schemars::JsonSchema;
use serde::Serialize;

/// A shipment.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Shipment")]
pub struct ShipmentView {
    pub shipment_id: ShipmentId,
    pub tracking_number: Disclosed<TrackingNumber>,
    pub carrier: Carrier,
    pub reference: Disclosed<Option<ShortText>>,
    pub status: Status,
    /// The carrier's own words.
    pub status_description: Option<String>,
    /// When the carrier expects to deliver.
    pub eta: Option<Timestamp>,
    /// The newest of the carrier's events.
    pub last_event: Option<LastEvent>,
    /// When the carrier was last asked.
    pub last_carrier_poll_at: Option<Timestamp>,
    pub recipient: Disclosed<Recipient>,
    pub contents: Disclosed<Option<LongText>>,
    pub created_by: UserId,
    pub assigned_to: Option<UserId>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: Version,
}

/// Something that the carrier says happened to a parcel.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LastEvent {
    pub occurred_at: Timestamp,
    pub status: Status,
    pub description: String,
}

impl From<Shipment> for ShipmentView {
    fn from(Shipment { facts, phi }: Shipment) -> Self {
        let Facts { id, status, created_by, assigned_to, updated_at, version } = facts;
        let ShipmentPhi { tracking_number, reference, recipient, contents } = phi;
        Self {
            shipment_id: id,
            tracking_number: tracking_number.disclose(),
            carrier: Carrier::Ups,
            reference: reference.disclose(),
            status,
            // The carrier has not been asked.
            status_description: None,
            eta: None,
            last_event: None,
            last_carrier_poll_at: None,
            recipient: recipient.disclose(),
            contents: contents.disclose(),
            created_by,
            assigned_to,
            created_at: id.created_at(),
            updated_at,
            version,
        }
    }
}

/// One page of a list, newest first. A list is eventually consistent: it may miss what was written within the last second.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShipmentPage {
    pub items: Vec<ShipmentView>,
    /// Where the next page starts. The page that it leads to may be empty; null says that there is none.
    pub next_cursor: Option<String>,
}
