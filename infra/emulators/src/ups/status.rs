//! Statuses in UPS's form, and the names with which tests set them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A status in UPS's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `M`, `P`, `I`, `O`, `U`, `D`, `X`, `RS`, `MV`, or an undocumented one.
    #[serde(rename = "type")]
    pub kind: String,
    /// The scan's code, as `FS`.
    pub code: String,
    /// The three-digit detail code, as `011`.
    pub status_code: String,
    /// The description for people.
    pub description: String,
}

/// The platform's names for the statuses that it supports. If UPS documents no code, the code here is plausible: readers use only
/// a status's type, and for `OUT_FOR_DELIVERY` its detail code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Milestone {
    /// The shipper has created a label.
    LabelCreated,
    /// UPS has received the package.
    PickedUp,
    /// The package is on its way.
    InTransit,
    /// The package is on the last vehicle.
    OutForDelivery,
    /// The package is delivered.
    Delivered,
    /// The delivery has a problem.
    Exception,
    /// The package goes back to its sender.
    Returned,
}

impl Milestone {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::LabelCreated,
        Self::PickedUp,
        Self::InTransit,
        Self::OutForDelivery,
        Self::Delivered,
        Self::Exception,
        Self::Returned,
    ];

    /// The platform's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LabelCreated => "LABEL_CREATED",
            Self::PickedUp => "PICKED_UP",
            Self::InTransit => "IN_TRANSIT",
            Self::OutForDelivery => "OUT_FOR_DELIVERY",
            Self::Delivered => "DELIVERED",
            Self::Exception => "EXCEPTION",
            Self::Returned => "RETURNED",
        }
    }

    /// UPS's usual status at this point.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::LabelCreated => Status::new("M", "MP", "003", "Shipper created a label, UPS has not received the package yet."),
            Self::PickedUp => Status::new("P", "PU", "038", "Pickup Scan"),
            Self::InTransit => Status::new("I", "DP", "005", "Departed from Facility"),
            // The type `O` exists, but UPS usually sends `I` with the detail code 021.
            Self::OutForDelivery => Status::new("I", "OT", "021", "Out For Delivery Today"),
            Self::Delivered => Status::new("D", "FS", "011", "DELIVERED"),
            Self::Exception => Status::new("X", "7W", "052", "Severe weather conditions have delayed delivery."),
            Self::Returned => Status::new("RS", "RT", "035", "Returning to Sender"),
        }
    }
}

impl Status {
    pub(super) fn new(kind: &str, code: &str, status_code: &str, description: &str) -> Self {
        Self { kind: kind.into(), code: code.into(), status_code: status_code.into(), description: description.into() }
    }

    /// The short text that UPS shows on a phone.
    pub(super) fn simplified(&self) -> &str {
        match self.kind.as_str() {
            "M" => "Label Created",
            "P" => "We Have Your Package",
            "O" => "Out for Delivery",
            "D" if self.status_code == "034" => "Returned to Sender",
            "D" if self.status_code == "040" => "Ready for Customer Pickup",
            "I" if self.status_code == "021" => "Out for Delivery",
            "I" => "On the Way",
            "D" => "Delivered",
            "X" => "Delay",
            "RS" => "Returned to Sender",
            _ => "",
        }
    }
}

/// The text is neither a [`Milestone`]'s name nor `TYPE/CODE`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a status: give LABEL_CREATED, PICKED_UP, IN_TRANSIT, OUT_FOR_DELIVERY, DELIVERED, EXCEPTION, RETURNED, \
     or one of UPS's own as `TYPE/CODE` or `TYPE/CODE/STATUSCODE`"
)]
pub struct NotAStatus(pub String);

impl FromStr for Milestone {
    type Err = NotAStatus;

    fn from_str(text: &str) -> Result<Self, NotAStatus> {
        Self::ALL.into_iter().find(|milestone| milestone.as_str() == text).ok_or_else(|| NotAStatus(text.to_owned()))
    }
}

impl FromStr for Status {
    type Err = NotAStatus;

    fn from_str(text: &str) -> Result<Self, NotAStatus> {
        let word = |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let parts: Vec<&str> = text.split('/').collect();
        let (kind, code, status_code) = match parts[..] {
            [kind, code] => (kind, code, ""),
            [kind, code, status_code] if word(status_code) => (kind, code, status_code),
            _ => return Ok(text.parse::<Milestone>()?.status()),
        };
        if word(kind) && word(code) {
            Ok(Self::new(kind, code, status_code, &format!("Synthetic status {kind} {code}")))
        } else {
            Err(NotAStatus(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_raw_codes_are_statuses() {
        assert_eq!("DELIVERED".parse::<Status>().unwrap().code, "FS");
        assert_eq!("ZZ/Q9".parse::<Status>().unwrap(), Status::new("ZZ", "Q9", "", "Synthetic status ZZ Q9"));
        assert_eq!("I/OT/021".parse::<Status>().unwrap().simplified(), "Out for Delivery");
        for wrong in ["", "delivered", "/", "I/", "/OT", "I/OT/", "I/OT/021/1", "I / OT", "TOOLONG/1"] {
            assert_eq!(wrong.parse::<Status>(), Err(NotAStatus(wrong.to_owned())));
        }
    }
}
