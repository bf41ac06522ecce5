//! The recipient of a parcel.

use common::{base::FieldError, request::input::FromJson};
use phi::{Address, CountryCode, Email, GivenPhone, PersonName, Phone, PostalCode, ShortText};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use std::borrow::Cow;

phi::phi_struct! {
    /// The recipient of a parcel.
    pub struct Recipient: "a recipient" {
        name: PersonName,
        phone: Option<Phone>,
        email: Option<Email>,
        address: Address,
    }
}

// The input forms of the two types. They are read field by field, so that one answer lists all errors.
common::input! {
    /// The recipient of a parcel.
    pub struct RecipientInput {
        required name: PersonName,
        /// Stored in E.164's form. A number without a country code belongs to the address's country.
        optional phone: GivenPhone,
        optional email: Email,
        required address: AddressInput,
    }
}
common::input! {
    /// A postal address.
    pub struct AddressInput {
        required line1: ShortText,
        optional line2: ShortText,
        required city: ShortText,
        /// State, province or region, in countries that have them.
        optional state: ShortText,
        /// Required in countries that have postal codes.
        optional postal_code: PostalCode,
        required country: CountryCode,
    }
}

/// A recipient whose phone number and postal code fit the country.
#[derive(Debug)]
pub struct GivenRecipient(pub Recipient);

impl FromJson for GivenRecipient {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let RecipientInput { name, phone, email, address } = RecipientInput::from_json(value, at, errors)?;
        let before = errors.len();
        let mut wrong = |field, code, message: String| errors.push(FieldError::new(format!("{at}.{field}"), code, message));
        match &address.postal_code {
            None if PostalCode::is_required_in(address.country) => {
                wrong("address.postal_code", "required", "addresses in this country have a postal code".to_owned());
            }
            None => {}
            Some(code) => {
                if let Err(error) = code.check_in(address.country) {
                    wrong("address.postal_code", "invalid", error.to_string());
                }
            }
        }
        let phone = match phone.map(|phone| phone.in_country(address.country)).transpose() {
            Ok(phone) => phone,
            Err(error) => {
                wrong("phone", "invalid", error.to_string());
                None
            }
        };
        let AddressInput { line1, line2, city, state, postal_code, country } = address;
        let address = Address { line1, line2, city, state, postal_code, country };
        (errors.len() == before).then_some(Self(Recipient { name, phone, email, address }))
    }
}

impl JsonSchema for GivenRecipient {
    fn schema_name() -> Cow<'static, str> {
        RecipientInput::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        RecipientInput::schema_id()
    }
    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        RecipientInput::json_schema(schemas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phi::PhiText;
    use serde_json::json;

    fn read(phone: Value, postal_code: Value, country: &str) -> Result<Recipient, Vec<(String, &'static str)>> {
        let address = json!({"line1": "1 Way", "city": "Town", "postal_code": postal_code, "country": country});
        let mut errors = Vec::new();
        let body = json!({"name": "Ada Test", "phone": phone, "address": address});
        let read = GivenRecipient::from_json(body, "recipient", &mut errors);
        read.map(|read| read.0).ok_or(errors.into_iter().map(|e| (e.field, e.code)).collect())
    }

    #[test]
    fn phone_number_gets_the_country_code_of_the_address() {
        let phone = |written: &str, code: &str, country| read(json!(written), json!(code), country).unwrap().phone.unwrap();
        assert_eq!(phone("(555) 010-4477", "89501", "US").as_str(), "+15550104477");
        assert_eq!(phone("020 7946 0958", "SW1A 1AA", "GB").as_str(), "+442079460958");
        assert_eq!(phone("+44 (0)20 7946 0958", "89501", "US").as_str(), "+442079460958");
        let wrong = || Err(vec![("recipient.phone".to_owned(), "invalid")]);
        assert_eq!(read(json!("+0000000"), json!("89501"), "US"), wrong());
        assert_eq!(read(json!("555010"), json!("89501"), "US"), wrong());
    }

    #[test]
    fn postal_code_is_required_and_checked_by_country() {
        let wrong = |code| Err(vec![("recipient.address.postal_code".to_owned(), code)]);
        assert_eq!(read(json!(null), json!(null), "US"), wrong("required"));
        assert_eq!(read(json!(null), json!("SW1A 1AA"), "US"), wrong("invalid"));
        assert_eq!(read(json!(null), json!("89501"), "CA"), wrong("invalid"));
        assert_eq!(read(json!(null), json!(null), "HK").unwrap().address.postal_code, None);
        assert!(read(json!(null), json!("999077"), "HK").unwrap().address.postal_code.is_some());
    }

    #[test]
    fn errors_of_phone_and_postal_code_are_reported_together() {
        let errors = read(json!("1234"), json!("x1"), "US").unwrap_err();
        assert_eq!(errors, [("recipient.address.postal_code".to_owned(), "invalid"), ("recipient.phone".to_owned(), "invalid")]);
    }

    /// A recipient that was sealed before phone numbers had one form and postal codes were checked.
    #[test]
    fn recipient_sealed_under_older_rules_still_opens() {
        for phone in ["5550104", "+4402079460958", "+0000000", "15550104477"] {
            let stored = json!({"name": "Ada Test", "phone": phone, "email": null, "address": {"line1": "1 Way", "line2": null,
                "city": "Town", "state": null, "postal_code": "SW1A 1AA", "country": "US"}});
            let recipient: Recipient = serde_json::from_value(stored).unwrap();
            assert_eq!(recipient.phone.unwrap().as_str(), phone);
            assert_eq!(recipient.address.postal_code.unwrap().as_str(), "SW1A 1AA");
        }
    }
}
