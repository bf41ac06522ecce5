//! A shipment as a caller sees it.

use crate::{
    domain::{Carrier, Facts, LastScan, News, NewsPhi, Recipient, Shipment, ShipmentId, ShipmentPhi, Status},
    tracking_number::TrackingNumber,
};
use common::{Endpoint, Permit, Result, Timestamp, UserId, Version};
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
    pub status_description: Disclosed<Option<LongText>>,
    /// When the carrier expects to deliver.
    pub eta: Option<Timestamp>,
    /// The newest of the carrier's events.
    pub last_event: Option<LastEvent>,
    /// When the carrier last answered. Told where one shipment is asked for, not in lists.
    pub last_carrier_poll_at: Option<Timestamp>,
    pub recipient: Disclosed<Recipient>,
    /// Left out where the policy does not show it to the caller, for the purpose that they state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<Disclosed<Option<LongText>>>,
    /// What was left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<&'static str>,
    pub created_by: UserId,
    pub assigned_to: Option<UserId>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: Version,
}

/// Something that the carrier says happened to a parcel.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LastEvent {
    /// Up to 14 hours off where the carrier does not tell the time zone.
    pub occurred_at: Timestamp,
    pub status: Status,
    pub description: Disclosed<Option<LongText>>,
}

impl From<Shipment> for ShipmentView {
    fn from(Shipment { facts, phi, news }: Shipment) -> Self {
        let Facts { id, status, created_by, assigned_to, updated_at, version } = facts;
        let News { eta, last_event, phi: NewsPhi { status_description, last_event_description } } = news;
        let ShipmentPhi { tracking_number, reference, recipient, contents } = phi;
        Self {
            shipment_id: id,
            tracking_number: tracking_number.disclose(),
            carrier: Carrier::Ups,
            reference: reference.disclose(),
            status,
            status_description: status_description.disclose(),
            eta,
            last_event: last_event.map(|LastScan { occurred_at, status }| LastEvent {
                occurred_at,
                status,
                description: last_event_description.disclose(),
            }),
            last_carrier_poll_at: None,
            recipient: recipient.disclose(),
            contents: Some(contents.disclose()),
            redacted: Vec::new(),
            created_by,
            assigned_to,
            created_at: id.created_at(),
            updated_at,
            version,
        }
    }
}

impl ShipmentView {
    /// The same, as far as the policy shows it.
    pub(crate) fn shown<E: Endpoint>(self, cx: &Permit<'_, E>) -> Result<Self> {
        if cx.shows("shipments", "contents")? {
            return Ok(self);
        }
        Ok(Self { contents: None, redacted: vec!["contents"], ..self })
    }

    /// The same, with when the carrier last answered.
    #[must_use]
    pub(crate) fn polled(self, at: Option<Timestamp>) -> Self {
        Self { last_carrier_poll_at: at, ..self }
    }
}

/// One page of a list, newest first. A list is eventually consistent: it may miss what was written within the last second.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShipmentPage {
    pub items: Vec<ShipmentView>,
    /// Where the next page starts. The page that it leads to may be empty; null says that there is none.
    pub next_cursor: Option<String>,
}
