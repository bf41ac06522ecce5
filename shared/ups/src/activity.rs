//! One event in a package's history.

use serde::Deserialize;
use std::fmt;

use crate::{
    Reading, When, codes,
    lax::{Lax, Object, Text},
    when::TimeFields,
};

/// One activity as UPS reports it, without names, addresses and pictures. `Debug` hides its place and UPS's text.
#[derive(Clone, PartialEq, Eq)]
pub struct Activity {
    /// The status type as UPS sent it, such as `I`; at most 16 characters. May be empty.
    pub kind: String,
    /// The status code in digits, such as `021`. May be empty.
    pub status_code: String,
    /// The status code in letters, such as `OT`. May be empty.
    pub code: String,
    /// UPS's own text, at most 256 bytes. May be empty.
    pub description: String,
    pub when: When,
    /// PHI: the caller must seal it.
    pub location: Location,
}

impl Activity {
    /// The meaning of type and codes.
    pub fn reading(&self) -> Reading {
        Reading::of(&self.kind, [&self.status_code, &self.code])
    }

    /// The code in digits if there is one, otherwise the code in letters.
    pub(crate) fn any_code(&self) -> &str {
        if self.status_code.is_empty() { &self.code } else { &self.status_code }
    }

    /// The code that determined [`reading`](Self::reading). By itself it gives the same reading.
    pub(crate) fn telling_code(&self) -> &str {
        let known = |code: &&str| codes::meaning([code, ""]).is_some();
        [self.status_code.as_str(), &self.code].into_iter().find(known).unwrap_or(self.any_code())
    }

    /// The parts that identify this activity: type, codes, moment and place, in one spelling. UPS's text is not part of it,
    /// because it comes in several languages and UPS edits it. If UPS adds one of these parts later, the activity counts as a
    /// different one.
    pub fn identity(&self) -> Identity {
        let when = self.when.canonical();
        let place = [&self.location.city, &self.location.state, &self.location.country].map(|part| folded(part));
        let mut bytes = Vec::new();
        for part in [&self.kind, &self.status_code, &self.code, &when].into_iter().chain(&place) {
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Identity(bytes)
    }
}

/// One spelling for each place: UPS writes `Charlotte` and `CHARLOTTE`.
fn folded(text: &str) -> String {
    text.split_whitespace().map(str::to_uppercase).collect::<Vec<_>>().join(" ")
}

impl fmt::Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activity")
            .field("kind", &self.kind)
            .field("status_code", &self.status_code)
            .field("code", &self.code)
            .field("when", &self.when)
            .finish_non_exhaustive()
    }
}

/// The place of the activity: a town, no street. PHI: `Debug` hides it, and it has neither `Display` nor `Serialize`.
///
/// ```compile_fail
/// serde_json::to_string(&ups::Location::default());
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Location {
    pub city: String,
    pub state: String,
    pub country: String,
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[location]")
    }
}

/// An activity's canonical bytes: type, status code, code, moment, city, state, country. The length of each in bytes, as a
/// big-endian u32, precedes it, so that two activities have equal bytes only if all seven parts are equal.
///
/// The bytes contain a place, which is easy to guess. Make a key of them with a keyed hash, and never store them in the clear.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(Vec<u8>);

impl Identity {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[identity]")
    }
}

/// An activity of the Tracking API's answer. Members without a field here are not read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct WireActivity {
    date: Text,
    time: Text,
    gmt_date: Text,
    gmt_time: Text,
    gmt_offset: Text,
    location: Lax<WireLocation>,
    status: Lax<WireStatus>,
}

impl Object for WireActivity {}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireLocation {
    address: Lax<WireTown>,
}

/// An address, reduced to its town.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireTown {
    city: Text,
    state_province: Text,
    country: Text,
    country_code: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct WireStatus {
    #[serde(rename = "type")]
    pub(crate) kind: Text,
    pub(crate) status_code: Text,
    pub(crate) code: Text,
    pub(crate) description: Text,
}

impl From<WireActivity> for Activity {
    fn from(wire: WireActivity) -> Self {
        let when = When::read(&TimeFields {
            date: &wire.date.0,
            time: &wire.time.0,
            gmt_date: &wire.gmt_date.0,
            gmt_time: &wire.gmt_time.0,
            gmt_offset: &wire.gmt_offset.0,
        });
        let town = wire.location.or_default().address.or_default();
        let status = wire.status.or_default();
        let country = if town.country_code.0.is_empty() { town.country } else { town.country_code };
        Self {
            kind: status.kind.code(),
            status_code: status.status_code.code(),
            code: status.code.code(),
            description: status.description.0,
            when,
            location: Location { city: town.city.0, state: town.state_province.0, country: country.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn activity(json: &str) -> Activity {
        Activity::from(crate::lax::object::<WireActivity>(json.as_bytes()).unwrap())
    }

    #[test]
    fn activity_in_another_spelling_has_the_same_identity() {
        let one = activity(
            r#"{"date":"20240423","time":"034700","gmtDate":"20240423","gmtTime":"74700","gmtOffset":"-04:00",
                "location":{"address":{"city":"Charlotte ","stateProvince":"NC","country":"US"}},
                "status":{"type":"I ","code":"OT","statusCode":"021","description":"Out for Delivery"}}"#,
        );
        let same = activity(
            r#"{"gmtDate":"20240423","gmtTime":"07:47:00","new":[1],
                "location":{"address":{"city":"CHARLOTTE","stateProvince":"NC","countryCode":"US"},"slic":"1"},
                "status":{"type":"I","code":" OT","statusCode":"021","description":"En reparto"}}"#,
        );
        assert_eq!(one.identity(), same.identity());
        assert_ne!(one, same);
    }

    #[test]
    fn identity_differs_when_text_moves_between_parts() {
        let base = activity(r#"{"status":{"type":"I","code":"AB","statusCode":"C"}}"#);
        let other = activity(r#"{"status":{"type":"I","code":"A","statusCode":"CB"}}"#);
        assert_ne!(base.identity(), other.identity());
        let nul = "\0".repeat(4);
        let place = |city: &str, state: &str| Activity {
            location: Location { city: city.to_owned(), state: state.to_owned(), country: String::new() },
            ..base.clone()
        };
        assert_ne!(place(&nul, "").identity(), place("", &nul).identity());
    }

    #[test]
    fn identity_bytes_are_frozen() {
        let activity = activity(
            r#"{"gmtDate":"20240423","gmtTime":"74700","status":{"type":"I","code":"OT","statusCode":"021"},
                "location":{"address":{"city":"Sample  Town","stateProvince":"NC","country":"US"}}}"#,
        );
        let expected = b"\0\0\0\x01I\0\0\0\x03021\0\0\0\x02OT\0\0\0\x15i2024-04-23T07:47:00Z\
            \0\0\0\x0bSAMPLE TOWN\0\0\0\x02NC\0\0\0\x02US";
        assert_eq!(activity.identity().as_bytes(), expected);
        let local = |json: &str| String::from_utf8_lossy(self::activity(json).identity().as_bytes()).into_owned();
        assert!(local(r#"{"date":"20240423","time":"74700"}"#).contains("\x14l2024-04-23T07:47:00\0"));
        assert!(local(r#"{"date":"20240423"}"#).contains("\x0bd2024-04-23\0"));
        assert!(local(r#"{"date":"soon"}"#).contains("\x05usoon\0"));
    }

    #[test]
    fn debug_of_activity_hides_place_text_and_identity() {
        let activity =
            activity(r#"{"location":{"address":{"city":"Sampletown"}},"status":{"type":"D","description":"Left with Synthia"}}"#);
        let shown = format!("{activity:?} {:?} {:?}", activity.location, activity.identity());
        assert!(!shown.contains("Sampletown") && !shown.contains("Synthia"), "{shown}");
        assert!(shown.contains("kind: \"D\"") && shown.ends_with(" [location] [identity]"), "{shown}");
    }

    proptest! {
        #[test]
        fn identities_are_equal_only_if_all_seven_parts_are(
            one in prop::array::uniform6("[A-B]{0,2}"), other in prop::array::uniform6("[A-B]{0,2}"),
            (at, other_at) in (0_i64..2, 0_i64..2),
        ) {
            let make = |[kind, status_code, code, city, state, country]: [String; 6], at: i64| Activity {
                kind, status_code, code, description: String::new(),
                when: When::Instant(jiff::Timestamp::from_second(at).unwrap()),
                location: Location { city, state, country },
            };
            let (a, b) = (make(one, at), make(other, other_at));
            prop_assert_eq!(a.identity() == b.identity(), a == b);
        }
    }
}
