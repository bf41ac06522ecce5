//! A user's choice of notifications, channels and times.

use super::{Channels, Kind, QuietHours, Zone};
use common::base::FieldError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, str::FromStr};

/// A user's preferences. Members without a choice have the values of [`Preferences::default`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    /// Only the kinds that the user has set.
    pub channels: BTreeMap<Kind, Channels>,
    pub quiet_hours: Option<QuietHours>,
    pub digest: Digest,
    pub time_zone: Zone,
}

/// The frequency of e-mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    pub frequency: Frequency,
    /// The hour of a daily digest: 0 to 23.
    #[serde(default = "morning", deserialize_with = "hour")]
    #[schemars(range(min = 0, max = 23))]
    pub hour: i8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Frequency {
    Daily,
    Hourly,
    Off,
}

impl Frequency {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Hourly => "hourly",
            Self::Off => "off",
        }
    }
}

impl FromStr for Frequency {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        [Self::Daily, Self::Hourly, Self::Off].into_iter().find(|f| f.as_str() == s).ok_or(())
    }
}

const fn morning() -> i8 {
    8
}

fn hour<'de, D: serde::Deserializer<'de>>(d: D) -> Result<i8, D::Error> {
    let hour = i8::deserialize(d)?;
    if (0..24).contains(&hour) { Ok(hour) } else { Err(serde::de::Error::custom("expected an hour from 0 to 23")) }
}

impl Default for Preferences {
    fn default() -> Self {
        let digest = Digest { frequency: Frequency::Daily, hour: morning() };
        Self { channels: BTreeMap::new(), quiet_hours: None, digest, time_zone: Zone::utc() }
    }
}

impl Preferences {
    pub fn of(&self, kind: Kind) -> Channels {
        self.channels.get(&kind).copied().unwrap_or(kind.default_channels())
    }

    /// Checks combinations: each part may be valid while the parts do not fit together.
    pub fn check(&self) -> Result<(), Vec<FieldError>> {
        let mut errors = Vec::new();
        for (kind, channels) in &self.channels {
            let field = format!("channels.{kind}");
            if kind.is_urgent() && *channels != Channels::EVERY {
                errors.push(FieldError::new(field, "required_channel", "this kind cannot be switched off"));
            } else if !channels.in_app && (channels.push || channels.email) {
                errors.push(FieldError::new(field, "needs_in_app", "`push` and `email` require `in_app`"));
            }
        }
        if self.quiet_hours.is_some_and(|quiet| quiet.start == quiet.end) {
            errors.push(FieldError::new("quiet_hours.end", "empty_range", "expected a time other than `start`"));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SILENT: Channels = Channels { in_app: false, push: false, email: false };

    #[test]
    fn preference_without_a_choice_is_the_default() {
        let channels = [(Kind::ShipmentCreated, SILENT)].into();
        let wants = Preferences { channels, ..Preferences::default() };
        assert_eq!(wants.of(Kind::ShipmentCreated), SILENT);
        assert_eq!(wants.of(Kind::ShipmentVoided), Kind::ShipmentVoided.default_channels());
        assert_eq!(wants.check(), Ok(()));
    }

    #[test]
    fn alarm_cannot_be_switched_off_and_push_requires_the_list() {
        let pushed = Channels { push: true, ..SILENT };
        let channels = [(Kind::ShipmentCreated, pushed), (Kind::AuditTamperDetected, SILENT)].into();
        let noon = "12:00".parse().unwrap();
        let quiet_hours = Some(QuietHours { start: noon, end: noon });
        let wants = Preferences { channels, quiet_hours, ..Preferences::default() };
        let errors = wants.check().unwrap_err();
        let found: Vec<_> = errors.iter().map(|e| (e.field.as_str(), e.code)).collect();
        let expected = [
            ("channels.shipment_created", "needs_in_app"),
            ("channels.audit_tamper_detected", "required_channel"),
            ("quiet_hours.end", "empty_range"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn digest_hour_outside_0_to_23_is_refused() {
        for (hour, good) in [(0, true), (23, true), (24, false), (-1, false)] {
            let read = serde_json::from_value::<Digest>(json!({"frequency": "daily", "hour": hour}));
            assert_eq!(read.is_ok(), good, "{hour}");
        }
    }
}
