//! A shipment as a caller sees it.

use crate::{
    domain::{
        Carrier, Estimate, Facts, LastScan, News, NewsPhi, Recipient, Shipment, ShipmentId, ShipmentPhi, Status, destination,
    },
    tracking_number::TrackingNumber,
    work::Work,
};
use common::{Result, Timestamp, UserId, Version};
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
    /// The carrier's own words.
    pub status_description: Disclosed<Option<LongText>>,
    /// The instant by which the carrier expects to deliver. Null where it expects nothing, and where country, state and postal
    /// code do not tell the destination's time zone for certain: `estimated_delivery` has the local time then.
    pub eta: Option<Timestamp>,
    /// When the carrier expects to deliver, as it says it: in the destination's own time.
    pub estimated_delivery: Option<EstimatedDelivery>,
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

/// A day, and a window where the carrier tells one.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EstimatedDelivery {
    /// `2026-01-31`, of the destination's calendar.
    #[schemars(with = "String", extend("format" = "date"))]
    pub date: Date,
    /// `14:30:00`, by the destination's clocks.
    #[schemars(with = "Option<String>", extend("pattern" = LOCAL_TIME))]
    pub from: Option<Time>,
    /// `18:30:00`, by the destination's clocks. Null: by the end of the carrier's day.
    #[schemars(with = "Option<String>", extend("pattern" = LOCAL_TIME))]
    pub to: Option<Time>,
    /// The destination's time zone in the tz database, where it is certain.
    pub time_zone: Option<&'static str>,
}

/// The field that the policy does not show to everybody.
const CONTENTS: &str = "contents";
const LOCAL_TIME: &str = "^[0-2][0-9]:[0-5][0-9]:[0-5][0-9]$";

/// Something that the carrier says happened to a parcel.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LastEvent {
    /// Up to 14 hours off where the carrier does not tell the time zone.
    pub occurred_at: Timestamp,
    pub status: Status,
    pub description: Disclosed<Option<LongText>>,
}

impl ShipmentView {
    /// A shipment as far as the policy shows it to the caller. There is no other way to a view, be the answer to a read or to a write.
    pub(crate) fn shown(Shipment { facts, phi, news }: Shipment, cx: &impl Work) -> Result<Self> {
        let shows_contents = cx.shows(CONTENTS)?;
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
            // By the address of now: it may have been corrected since the carrier was asked.
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
