//! The business rules: the data of a shipment and the changes that it allows.

pub mod cadence;
pub mod destination;
mod events;
mod fair_share;
mod new_shipment;
mod news;
mod recipient;

pub use events::{EVENTS, PollDue, RefreshRequested, ShipmentCreated, ShipmentStatusChanged, ShipmentUpdated, ShipmentVoided};
pub use fair_share::fair_share;
pub use new_shipment::{GivenNumber, NewShipment, Registration};
pub use news::{Estimate, LastScan, Location, News, NewsPhi, Report, Scan, ScanPhi, ScanTime};
pub use recipient::{AddressInput, GivenRecipient, Recipient, RecipientInput};

use crate::tracking_number::TrackingNumber;
use common::{
    base::{Error, Result, Timestamp, UserId},
    request::Patch,
    store::Version,
};
use phi::{LongText, ShortText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

common::id! {
    /// A shipment.
    pub struct ShipmentId = "shp"
}

impl ShipmentId {
    /// When the shipment was registered: the time in its UUIDv7 (RFC 9562, section 5.7).
    pub fn created_at(&self) -> Timestamp {
        let mut millis = [0; 8];
        millis[2..].copy_from_slice(&self.uuid().as_bytes()[..6]);
        Timestamp::from_millis(i64::from_be_bytes(millis))
    }
}

/// The carrier of the parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum Carrier {
    #[serde(rename = "UPS")]
    Ups,
}

/// The last known status of a parcel. `UNKNOWN` until the carrier has answered; `VOIDED` is set only by the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    LabelCreated,
    PickedUp,
    InTransit,
    OutForDelivery,
    Delivered,
    Exception,
    Returned,
    Voided,
    Unknown,
}

impl Status {
    pub const ALL: [Self; 9] = [
        Self::LabelCreated,
        Self::PickedUp,
        Self::InTransit,
        Self::OutForDelivery,
        Self::Delivered,
        Self::Exception,
        Self::Returned,
        Self::Voided,
        Self::Unknown,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LabelCreated => "LABEL_CREATED",
            Self::PickedUp => "PICKED_UP",
            Self::InTransit => "IN_TRANSIT",
            Self::OutForDelivery => "OUT_FOR_DELIVERY",
            Self::Delivered => "DELIVERED",
            Self::Exception => "EXCEPTION",
            Self::Returned => "RETURNED",
            Self::Voided => "VOIDED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not one of [`Status::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAStatus;

impl FromStr for Status {
    type Err = NotAStatus;
    fn from_str(s: &str) -> Result<Self, NotAStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == s).ok_or(NotAStatus)
    }
}

phi::sealed_fields! {
    /// The PHI of a shipment.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ShipmentPhi in "shipments" {
        1 => tracking_number: TrackingNumber,
        2 => reference: Option<ShortText>,
        3 => recipient: Recipient,
        4 => contents: Option<LongText>,
    }
}

/// The data of a shipment that is readable without opening its PHI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub id: ShipmentId,
    pub status: Status,
    pub created_by: UserId,
    pub assigned_to: Option<UserId>,
    pub updated_at: Timestamp,
    pub version: Version,
}

/// A shipment, with its PHI open.
#[derive(Clone, Debug, PartialEq)]
pub struct Shipment {
    pub facts: Facts,
    pub phi: ShipmentPhi,
    /// The carrier's latest report.
    pub news: News,
}

common::input! {
    /// The fields to change: an absent field stays, null clears it. A recipient is replaced as a whole, and cannot be cleared.
    pub struct ShipmentPatch {
        patch reference: ShortText,
        #[schemars(with = "GivenRecipient")]
        patch recipient: GivenRecipient,
        patch contents: LongText,
        /// A member of the tenant.
        patch assigned_to: UserId,
    }
}

impl Facts {
    /// # Errors
    /// 409 `shipment_final` for a voided shipment: it cannot be changed any more.
    pub fn may_change(&self) -> Result<()> {
        match self.status {
            Status::Voided => Err(Error::conflict("shipment_final", "a voided shipment cannot be changed")),
            _ => Ok(()),
        }
    }

    /// A shipment can be voided in any carrier status, because voiding only says that the tenant no longer follows the parcel.
    ///
    /// # Errors
    /// 409 `already_voided`.
    pub fn may_be_voided(&self) -> Result<()> {
        match self.status {
            Status::Voided => Err(Error::conflict("already_voided", "the shipment is already voided")),
            _ => Ok(()),
        }
    }

    fn touch(&mut self, now: Timestamp) {
        self.updated_at = now;
        self.version = self.version.next();
    }
}

impl Shipment {
    pub fn register(new: Registration, by: UserId, now: Timestamp) -> Self {
        let facts = Facts {
            id: ShipmentId::new(now),
            status: Status::Unknown,
            created_by: by,
            assigned_to: new.assigned_to,
            updated_at: now,
            version: Version::FIRST,
        };
        Self { facts, phi: new.phi, news: News::default() }
    }

    /// Applies a patch, and returns the names of the fields that differ afterwards. If none differs, the version stays.
    ///
    /// # Errors
    /// 409 `shipment_final`; 422 if the patch clears the recipient.
    pub fn change(&mut self, patch: ShipmentPatch, now: Timestamp) -> Result<Vec<&'static str>> {
        self.facts.may_change()?;
        let before = self.clone();
        match patch.recipient {
            Patch::Keep => {}
            Patch::Clear => return Err(Error::invalid("recipient", "required", "a shipment must have a recipient")),
            Patch::Set(GivenRecipient(recipient)) => self.phi.recipient = recipient,
        }
        patch.reference.apply(&mut self.phi.reference);
        patch.contents.apply(&mut self.phi.contents);
        patch.assigned_to.apply(&mut self.facts.assigned_to);
        let differs = [
            ("reference", before.phi.reference != self.phi.reference),
            ("recipient", before.phi.recipient != self.phi.recipient),
            ("contents", before.phi.contents != self.phi.contents),
            ("assigned_to", before.facts.assigned_to != self.facts.assigned_to),
        ];
        let changed: Vec<_> = differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
        if !changed.is_empty() {
            self.facts.touch(now);
        }
        Ok(changed)
    }

    /// Voids the shipment. This is final.
    ///
    /// # Errors
    /// 409 `already_voided`.
    pub fn void(&mut self, now: Timestamp) -> Result<()> {
        self.facts.may_be_voided()?;
        self.facts.status = Status::Voided;
        self.facts.touch(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::{base::Uuid, request::input::FromJson};
    use phi::PhiText;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_millis(1_767_268_800_123);

    fn shipment() -> Shipment {
        let body = json!({
            "tracking_number": "1ZCIETST0111111114",
            "reference": "Order 7",
            "recipient": {"name": "Ada Test", "address": {"line1": "1 Way", "city": "Reno", "postal_code": "89501", "country": "US"}},
        });
        let new = Registration::from_json(body, "", &mut Vec::new()).unwrap();
        Shipment::register(new, UserId::from_uuid(Uuid::from_u128(1)), NOW)
    }

    fn patch(body: serde_json::Value) -> ShipmentPatch {
        ShipmentPatch::from_json(body, "", &mut Vec::new()).unwrap()
    }

    #[test]
    fn shipment_id_contains_the_time_of_registration() {
        assert_eq!(shipment().facts.id.created_at(), NOW);
    }

    #[test]
    fn every_status_has_one_name_in_json_and_in_the_table() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert_eq!("voided".parse::<Status>(), Err(NotAStatus));
    }

    #[test]
    fn version_increases_only_if_a_field_changes() {
        let mut shipment = shipment();
        for same in [json!({}), json!({"reference": "Order 7"}), json!({"contents": null, "assigned_to": null})] {
            assert_eq!(shipment.change(patch(same), NOW), Ok(vec![]));
            assert_eq!(shipment.facts.version, Version::FIRST);
        }
        let later = Timestamp::from_millis(NOW.as_millis() + 1);
        assert_eq!(
            shipment.change(patch(json!({"reference": null, "contents": "Pills"})), later),
            Ok(vec!["reference", "contents"])
        );
        assert_eq!((shipment.facts.version, shipment.facts.updated_at), (Version(2), later));
        assert_eq!(shipment.phi.reference, None);
    }

    #[test]
    fn patch_without_fields_is_accepted() {
        let schema = schemars::schema_for!(ShipmentPatch);
        assert_eq!(schema.get("required"), None, "{schema:?}");
    }

    #[test]
    fn recipient_can_be_replaced_but_not_cleared() {
        let mut shipment = shipment();
        assert_eq!(shipment.change(patch(json!({"recipient": null})), NOW).unwrap_err().status(), 422);
        let other =
            json!({"name": "Bo Test", "address": {"line1": "2 Way", "city": "Reno", "postal_code": "89501", "country": "US"}});
        assert_eq!(shipment.change(patch(json!({"recipient": other})), NOW), Ok(vec!["recipient"]));
        assert_eq!(shipment.phi.recipient.name.as_str(), "Bo Test");
    }

    #[test]
    fn shipment_in_any_status_can_be_voided_once() {
        for status in Status::ALL.into_iter().filter(|s| *s != Status::Voided) {
            let mut shipment = shipment();
            shipment.facts.status = status;
            shipment.void(NOW).unwrap();
            assert_eq!(shipment.facts.status, Status::Voided);
            assert_eq!(shipment.void(NOW).unwrap_err().code(), "already_voided");
            assert_eq!(shipment.change(patch(json!({"reference": "x"})), NOW).unwrap_err().code(), "shipment_final");
        }
    }
}
