//! The kinds of notifications, and the channels of each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The event, as far as a frame or an e-mail may show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    ShipmentCreated,
    ShipmentUpdated,
    ShipmentVoided,
    ShipmentStatusChanged,
    /// The carrier reports a problem with a parcel, or returns it.
    ShipmentException,
    /// The sealed audit log is inconsistent.
    AuditTamperDetected,
    /// The business associate agreement, which is required for health information, ends soon or has ended.
    BaaExpiring,
    /// The tenant is active again after a suspension.
    OrganizationReactivated,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::ShipmentCreated,
        Self::ShipmentUpdated,
        Self::ShipmentVoided,
        Self::ShipmentStatusChanged,
        Self::ShipmentException,
        Self::AuditTamperDetected,
        Self::BaaExpiring,
        Self::OrganizationReactivated,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ShipmentCreated => "shipment_created",
            Self::ShipmentUpdated => "shipment_updated",
            Self::ShipmentVoided => "shipment_voided",
            Self::ShipmentStatusChanged => "shipment_status_changed",
            Self::ShipmentException => "shipment_exception",
            Self::AuditTamperDetected => "audit_tamper_detected",
            Self::BaaExpiring => "baa_expiring",
            Self::OrganizationReactivated => "organization_reactivated",
        }
    }

    /// The words for an e-mail: `2 shipments with a problem`.
    pub const fn in_words(self, one: bool) -> &'static str {
        match (self, one) {
            (Self::ShipmentCreated, true) => "new shipment",
            (Self::ShipmentCreated, false) => "new shipments",
            (Self::ShipmentUpdated, true) => "changed shipment",
            (Self::ShipmentUpdated, false) => "changed shipments",
            (Self::ShipmentVoided, true) => "voided shipment",
            (Self::ShipmentVoided, false) => "voided shipments",
            (Self::ShipmentStatusChanged, true) => "change of a shipment's status",
            (Self::ShipmentStatusChanged, false) => "changes of shipments' status",
            (Self::ShipmentException, true) => "shipment with a problem",
            (Self::ShipmentException, false) => "shipments with a problem",
            (Self::AuditTamperDetected, true) => "alarm about the audit log",
            (Self::AuditTamperDetected, false) => "alarms about the audit log",
            (Self::BaaExpiring, true) => "reminder that the business associate agreement ends",
            (Self::BaaExpiring, false) => "reminders that the business associate agreement ends",
            (Self::OrganizationReactivated, true) => "return from suspension",
            (Self::OrganizationReactivated, false) => "returns from suspension",
        }
    }

    /// Whether it is sent immediately: it ignores quiet hours and the digest's hour, and cannot be switched off.
    pub const fn is_urgent(self) -> bool {
        matches!(self, Self::AuditTamperDetected)
    }

    /// The channels for users who have set none for this kind.
    pub const fn default_channels(self) -> Channels {
        match self {
            Self::ShipmentUpdated => Channels { in_app: true, push: false, email: false },
            Self::ShipmentCreated | Self::ShipmentVoided => Channels { in_app: true, push: true, email: false },
            Self::OrganizationReactivated => Channels { in_app: true, push: true, email: false },
            Self::ShipmentStatusChanged | Self::ShipmentException | Self::AuditTamperDetected | Self::BaaExpiring => {
                Channels::EVERY
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == s).ok_or(())
    }
}

impl common::base::telemetry::LogValue for Kind {
    fn log_value(&self) -> impl common::base::telemetry::TracingValue {
        self.as_str()
    }
}

/// The channels by which a kind reaches its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    /// In the list. Without it, no other channel is used.
    pub in_app: bool,
    /// A frame on each open socket.
    pub push: bool,
    /// In the next digest.
    pub email: bool,
}

impl Channels {
    pub const EVERY: Self = Self { in_app: true, push: true, email: true };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_round_trips_as_text() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert_eq!("shipment".parse::<Kind>(), Err(()));
    }

    #[test]
    fn kind_with_any_default_channel_is_in_the_list_by_default() {
        for kind in Kind::ALL {
            let Channels { in_app, push, email } = kind.default_channels();
            assert!(in_app || !(push || email), "{kind}");
        }
    }
}
