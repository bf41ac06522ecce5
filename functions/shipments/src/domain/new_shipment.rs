//! The input that registers a shipment.

use super::{GivenRecipient, ShipmentPhi};
use crate::tracking_number::{Classified, TrackingNumber};
use common::{
    base::{FieldError, UserId},
    request::input::FromJson,
};
use phi::{LongText, PhiText, ShortText};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use std::borrow::Cow;

common::input! {
    /// A parcel that already has a UPS number.
    pub struct NewShipment {
        required tracking_number: GivenNumber,
        /// Registers the number even if its check digit is wrong, because the numbers of some real parcels are.
        optional accept_tracking_number: bool,
        optional reference: ShortText,
        required recipient: GivenRecipient,
        optional contents: LongText,
        /// A member of the tenant.
        optional assigned_to: UserId,
    }
}

/// A [`NewShipment`] whose check digit is right, or whose caller set `accept_tracking_number`.
#[derive(Debug)]
pub struct Registration {
    pub phi: ShipmentPhi,
    pub assigned_to: Option<UserId>,
}

impl FromJson for Registration {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        // Read before the other fields, which may not parse, so that one answer lists all errors.
        let insists = value.get("accept_tracking_number") == Some(&Value::Bool(true));
        let number = value.get("tracking_number").and_then(Value::as_str).map(TrackingNumber::classify);
        if matches!(number, Some(Classified::BadCheckDigit { .. })) && !insists {
            let field = if at.is_empty() { "tracking_number".to_owned() } else { format!("{at}.tracking_number") };
            let message = "the check digit is wrong; send `accept_tracking_number` to register the number anyway";
            errors.push(FieldError::new(field, "bad_check_digit", message));
        }
        let new = NewShipment::from_json(value, at, errors)?;
        let phi = ShipmentPhi {
            tracking_number: new.tracking_number.0,
            reference: new.reference,
            recipient: new.recipient.0,
            contents: new.contents,
        };
        Some(Self { phi, assigned_to: new.assigned_to })
    }
}

impl JsonSchema for Registration {
    fn schema_name() -> Cow<'static, str> {
        NewShipment::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        NewShipment::schema_id()
    }
    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        NewShipment::json_schema(schemas)
    }
}

/// A text in the form of a UPS number, with any check digit. Other texts are `not_ups`.
#[derive(Debug, JsonSchema)]
#[schemars(inline)]
pub struct GivenNumber(pub TrackingNumber);

impl FromJson for GivenNumber {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let text = String::from_json(value, at, errors)?;
        let number = TrackingNumber::parse(&text);
        number.map(Self).map_err(|e| errors.push(FieldError::new(at, "not_ups", e.to_string()))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn errors_of(body: Value) -> Vec<(String, &'static str)> {
        let mut errors = Vec::new();
        let parsed = Registration::from_json(body, "", &mut errors);
        assert!(parsed.is_some() || !errors.is_empty());
        errors.into_iter().map(|e| (e.field, e.code)).collect()
    }

    fn body(number: &str) -> Value {
        let address = json!({"line1": "1 Way", "city": "Reno", "postal_code": "89501", "country": "US"});
        json!({"tracking_number": number, "recipient": {"name": "Ada Test", "address": address}})
    }

    #[test]
    fn wrong_check_digit_is_accepted_only_with_accept_tracking_number() {
        let mut doubtful = body("1Z1234567891234551");
        let refused = [("tracking_number".to_owned(), "bad_check_digit")];
        assert_eq!(errors_of(doubtful.clone()), refused);
        doubtful["accept_tracking_number"] = json!(false);
        assert_eq!(errors_of(doubtful.clone()), refused);
        doubtful["accept_tracking_number"] = json!(true);
        assert_eq!(errors_of(doubtful), []);
    }

    #[test]
    fn text_that_is_not_a_ups_number_is_refused_even_if_accepted_by_flag() {
        let mut other = body("9400111899223197428490");
        other["accept_tracking_number"] = json!(true);
        assert_eq!(errors_of(other), [("tracking_number".to_owned(), "not_ups")]);
    }

    #[test]
    fn error_messages_do_not_repeat_the_input() {
        let mut errors = Vec::new();
        let mut sent = body("SECRETNUMBER");
        sent["recipient"]["name"] = json!("");
        sent["recipient"]["phone"] = json!("SECRETPHONE");
        sent["recipient"]["address"]["country"] = json!("SECRETLAND");
        sent["contents"] = json!(5_551_234);
        assert!(Registration::from_json(sent, "", &mut errors).is_none());
        assert_eq!(errors.len(), 5);
        let text = serde_json::to_string(&errors).unwrap();
        assert!(!text.contains("SECRET") && !text.contains("5551234"), "{text}");
    }
}
