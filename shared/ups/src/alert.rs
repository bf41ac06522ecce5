//! The pushes of UPS's Track Alert service.

use serde::Deserialize;

use crate::{
    Malformed, Number, Reading, When,
    lax::{self, Lax, Text},
    when::TimeFields,
};

/// The largest push that is read, in bytes: 64 KiB. Only a delivery photo makes a push larger, and we do not subscribe to photos.
pub const MAX_ALERT: usize = 64 * 1024;

/// The `User-Agent` of a push. It proves nothing.
pub const ALERT_USER_AGENT: &str = "UPSPubSubTrackingService";

/// A push: it hints that something happened to a package. It has no signature, so it is only a reason to query UPS. Receiver,
/// photo and place are not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackAlert {
    pub number: Number,
    /// The status type as UPS sent it. May be empty.
    pub kind: String,
    /// The code in letters, such as `OT`. May be empty.
    pub code: String,
    /// The code in digits, such as `021`; UPS calls it `descriptionCode` here. May be empty.
    pub description_code: String,
    pub when: When,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Push {
    tracking_number: Text,
    local_activity_date: Text,
    local_activity_time: Text,
    gmt_activity_date: Text,
    gmt_activity_time: Text,
    gmt_offset: Text,
    activity_status: Lax<ActivityStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ActivityStatus {
    #[serde(rename = "type")]
    kind: Text,
    code: Text,
    description_code: Text,
}

impl TrackAlert {
    /// Reads a push's body. Only the tracking number is required.
    ///
    /// # Errors
    /// [`Malformed`] if it is larger than [`MAX_ALERT`], is not a JSON object, or has no tracking number.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        if body.len() > MAX_ALERT {
            return Err(Malformed("the push is too large"));
        }
        let push: Push = lax::object(body)?;
        let number = Number::parse(&push.tracking_number.0).map_err(|_| Malformed("the push has no tracking number"))?;
        let when = When::read(&TimeFields {
            date: &push.local_activity_date.0,
            time: &push.local_activity_time.0,
            gmt_date: &push.gmt_activity_date.0,
            gmt_time: &push.gmt_activity_time.0,
            gmt_offset: &push.gmt_offset.0,
        });
        let status = push.activity_status.or_default();
        Ok(Self {
            number,
            kind: status.kind.code(),
            code: status.code.code(),
            description_code: status.description_code.code(),
            when,
        })
    }

    /// The status that the push hints at.
    pub fn reading(&self) -> Reading {
        Reading::of(&self.kind, [&self.description_code, &self.code])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;
    use proptest::prelude::*;

    const DELIVERED: &str = r#"{"trackingNumber":"1ZCIETST0111111114","localActivityDate":"20240423","localActivityTime":"095004",
        "activityLocation":{"city":"SAMPLETOWN","stateProvince":"NC","postalCode":"28209","country":"US"},
        "activityStatus":{"type":"D","code":"FS","description":"Delivered","descriptionCode":"011"},
        "scheduledDeliveryDate":"","gmtActivityDate":"20240423","gmtActivityTime":"135004","actualDeliveryDate":"20240423",
        "deliveryPhoto":"c3ludGhldGlj","receivedBy":"Synthia Sample","unheardOf":{"a":[]}}"#;

    #[test]
    fn push_is_read_and_its_debug_hides_number_person_and_place() {
        let alert = TrackAlert::parse(DELIVERED.as_bytes()).unwrap();
        assert_eq!(alert.number.expose(), "1ZCIETST0111111114");
        assert_eq!(alert.reading(), Reading::Status(Status::Delivered));
        assert_eq!(alert.when, When::Instant("2024-04-23T13:50:04Z".parse().unwrap()));
        let shown = format!("{alert:?}");
        for secret in ["CIETST", "SAMPLETOWN", "28209", "Synthia", "c3lu"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn push_with_only_a_tracking_number_is_read() {
        let bare =
            br#"{"trackingNumber":"1ZCIETST0111111114 ","localActivityDate":"","gmtActivityDate":"","activityStatus":null}"#;
        let alert = TrackAlert::parse(bare).unwrap();
        assert_eq!((alert.reading(), alert.when), (Reading::Unknown, When::Unread(String::new())));
        let offset = br#"{"trackingNumber":"1ZCIETST0111111114","localActivityDate":"20240423","localActivityTime":"095004",
            "gmtOffset":"-04.00"}"#;
        let when = TrackAlert::parse(offset).unwrap().when;
        assert_eq!(when, When::Instant("2024-04-23T13:50:04Z".parse().unwrap()));
    }

    #[test]
    fn push_without_number_or_over_the_size_limit_is_refused() {
        for body in
            ["", "[]", "{}", r#"{"trackingNumber":null}"#, r#"{"trackingNumber":"../../etc"}"#, r#"{"trackingNumber":["1Z"]}"#]
        {
            assert!(TrackAlert::parse(body.as_bytes()).is_err(), "`{body}`");
        }
        let padded = |size: usize| format!("{DELIVERED}{}", " ".repeat(size - DELIVERED.len()));
        assert!(TrackAlert::parse(padded(65_536).as_bytes()).is_ok());
        assert!(TrackAlert::parse(padded(65_537).as_bytes()).is_err());
        let deep = |member: &str| {
            format!(r#"{{"trackingNumber":"1ZCIETST0111111114","{member}":{}{}}}"#, "[".repeat(20_000), "]".repeat(20_000))
        };
        assert!(TrackAlert::parse(deep("activityStatus").as_bytes()).is_err());
        assert!(TrackAlert::parse(deep("skipped").as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn arbitrary_push_is_read_or_refused_without_panic(body in any::<Vec<u8>>(), text in any::<String>(), part in "[ -~]{0,80}") {
            let _ = TrackAlert::parse(&body);
            let _ = TrackAlert::parse(serde_json::json!({"trackingNumber": text}).to_string().as_bytes());
            let _ = TrackAlert::parse(format!(r#"{{"trackingNumber":"1ZCIETST0111111114","activityStatus":{part}}}"#).as_bytes());
        }
    }
}
