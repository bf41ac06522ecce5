//! The form in which a caller gets a shipment.

use crate::{
    domain::{
        Carrier, Estimate, Facts, LastScan, News, NewsPhi, Recipient, Shipment, ShipmentId, ShipmentPhi, Status, destination,
    },
    tracking_number::TrackingNumber,
};
use common::{
    base::{Result, Timestamp, UserId},
    request::{Operation, Work},
    store::Version,
};
use jiff::civil::{Date, Time};
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
    /// The carrier's own description.
    pub status_description: Disclosed<Option<LongText>>,
    /// The instant by which the carrier expects to deliver. Null if the carrier gives no expected delivery, or if country, state
    /// and postal code do not determine the destination's time zone; then `estimated_delivery` has the local time.
    pub eta: Option<Timestamp>,
    /// The expected delivery as the carrier reports it, in the destination's local time.
    pub estimated_delivery: Option<EstimatedDelivery>,
    /// The newest of the carrier's events.
    pub last_event: Option<LastEvent>,
    /// The time of the carrier's last answer. Present when a single shipment is read, not in lists.
    pub last_carrier_poll_at: Option<Timestamp>,
    pub recipient: Disclosed<Recipient>,
    /// Absent if the policy does not show it to the caller for the stated purpose of use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<Disclosed<Option<LongText>>>,
    /// The names of the withheld fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<&'static str>,
    pub created_by: UserId,
    pub assigned_to: Option<UserId>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: Version,
}

/// A day, and a window if the carrier gives one.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EstimatedDelivery {
    /// `2026-01-31`, in the destination's calendar.
    #[schemars(with = "String", extend("format" = "date"))]
    pub date: Date,
    /// `14:30:00`, in the destination's local time.
    #[schemars(with = "Option<String>", extend("pattern" = LOCAL_TIME))]
    pub from: Option<Time>,
    /// `18:30:00`, in the destination's local time. Null means the end of the carrier's day.
    #[schemars(with = "Option<String>", extend("pattern" = LOCAL_TIME))]
    pub to: Option<Time>,
    /// The destination's time zone in the tz database, if it is certain.
    pub time_zone: Option<&'static str>,
}

/// The field that the policy does not show to every caller.
const CONTENTS: &str = "contents";
const LOCAL_TIME: &str = "^[0-2][0-9]:[0-5][0-9]:[0-5][0-9]$";

/// An event of a parcel, as the carrier reported it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LastEvent {
    /// Up to 14 hours off if the carrier does not give the time zone.
    pub occurred_at: Timestamp,
    pub status: Status,
    pub description: Disclosed<Option<LongText>>,
}

impl ShipmentView {
    /// The part of a shipment that the policy shows to the caller. Every answer, to reads and to writes, is made here.
    pub(crate) fn shown<E: Operation>(Shipment { facts, phi, news }: Shipment, cx: &Work<'_, E>) -> Result<Self> {
        let shows_contents = cx.shows("shipments", CONTENTS)?;
        let Facts { id, status, created_by, assigned_to, updated_at, version } = facts;
        let News { eta, estimate, last_event, phi: NewsPhi { status_description, last_event_description } } = news;
        let ShipmentPhi { tracking_number, reference, recipient, contents } = phi;
        let time_zone = destination::zone_name(&recipient.address);
        let zone = destination::zone(&recipient.address);
        Ok(Self {
            shipment_id: id,
            tracking_number: tracking_number.disclose(),
            carrier: Carrier::Ups,
            reference: reference.disclose(),
            status,
            status_description: status_description.disclose(),
            // The current address counts, because it may have been corrected since the last poll.
            eta: estimate.map_or(eta, |estimate| estimate.end_in(zone.as_ref()?)),
            estimated_delivery: estimate.map(|Estimate { date, from, to }| EstimatedDelivery { date, from, to, time_zone }),
            last_event: last_event.map(|LastScan { occurred_at, status }| LastEvent {
                occurred_at,
                status,
                description: last_event_description.disclose(),
            }),
            last_carrier_poll_at: None,
            recipient: recipient.disclose(),
            contents: shows_contents.then(|| contents.disclose()),
            redacted: if shows_contents { Vec::new() } else { vec![CONTENTS] },
            created_by,
            assigned_to,
            created_at: id.created_at(),
            updated_at,
            version,
        })
    }

    /// Like `shown`, with the time of the carrier's last answer.
    #[must_use]
    pub(crate) fn polled(self, at: Option<Timestamp>) -> Self {
        Self { last_carrier_poll_at: at, ..self }
    }
}

/// One page of a list, newest first. A list is eventually consistent: it may miss writes of the last second.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShipmentPage {
    pub items: Vec<ShipmentView>,
    /// The cursor of the next page. The next page may be empty; null means that there is none.
    pub next_cursor: Option<String>,
}
