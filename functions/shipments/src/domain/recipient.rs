//! Whom a parcel goes to.

use common::{FieldError, input::FromJson};
use phi::{Address, CountryCode, Email, GivenPhone, PersonName, Phone, PostalCode, ShortText};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use std::borrow::Cow;

phi::phi_struct! {
    /// Whom a parcel goes to.
    pub struct Recipient: "a recipient" {
        name: PersonName,
        phone: Option<Phone>,
        email: Option<Email>,
        address: Address,
    }
}

// The same two as a caller sends them: read field by field, so that everything that is wrong is said at once.
common::input! {
    /// Whom a parcel goes to.
    pub struct RecipientInput {
        required name: PersonName,
        /// Stored in E.164's form. One without a country code is a number of the address's country.
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
        /// State, province or region, where the country has them.
        optional state: ShortText,
        /// Required where the country has them.
        optional postal_code: PostalCode,
        required country: CountryCode,
    }
}

/// A recipient whose phone and postal code are such as their country has.
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
    fn a_phone_number_is_completed_by_the_country_of_the_address() {
        let phone = |written: &str, code: &str, country| read(json!(written), json!(code), country).unwrap().phone.unwrap();
        assert_eq!(phone("(555) 010-4477", "89501", "US").as_str(), "+15550104477");
        assert_eq!(phone("020 7946 0958", "SW1A 1AA", "GB").as_str(), "+442079460958");
        assert_eq!(phone("+44 (0)20 7946 0958", "89501", "US").as_str(), "+442079460958");
        let wrong = || Err(vec![("recipient.phone".to_owned(), "invalid")]);
        assert_eq!(read(json!("+0000000"), json!("89501"), "US"), wrong());
        assert_eq!(read(json!("555010"), json!("89501"), "US"), wrong());
    }

    #[test]
    fn a_postal_code_is_required_where_the_country_has_them_and_fits_it() {
        let wrong = |code| Err(vec![("recipient.address.postal_code".to_owned(), code)]);
        assert_eq!(read(json!(null), json!(null), "US"), wrong("required"));
        assert_eq!(read(json!(null), json!("SW1A 1AA"), "US"), wrong("invalid"));
        assert_eq!(read(json!(null), json!("89501"), "CA"), wrong("invalid"));
        assert_eq!(read(json!(null), json!(null), "HK").unwrap().address.postal_code, None);
        assert!(read(json!(null), json!("999077"), "HK").unwrap().address.postal_code.is_some());
    }

    #[test]
    fn both_are_said_at_once() {
        let errors = read(json!("1234"), json!("x1"), "US").unwrap_err();
        assert_eq!(errors, [("recipient.address.postal_code".to_owned(), "invalid"), ("recipient.phone".to_owned(), "invalid")]);
    }

    /// What was sealed before phones had one form and countries their postal codes.
    #[test]
    fn recipients_that_were_sealed_before_still_open() {
        for phone in ["5550104", "+4402079460958", "+0000000", "15550104477"] {
            let stored = json!({"name": "Ada Test", "phone": phone, "email": null, "address": {"line1": "1 Way", "line2": null,
                "city": "Town", "state": null, "postal_code": "SW1A 1AA", "country": "US"}});
            let recipient: Recipient = serde_json::from_value(stored).unwrap();
            assert_eq!(recipient.phone.unwrap().as_str(), phone);
            assert_eq!(recipient.address.postal_code.unwrap().as_str(), "SW1A 1AA");
        }
    }
}
