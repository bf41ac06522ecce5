//! Whom a parcel goes to.

use phi::{Address, CountryCode, Email, PersonName, Phone, PostalCode, ShortText};

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
        optional phone: Phone,
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
        required postal_code: PostalCode,
        required country: CountryCode,
    }
}

impl From<RecipientInput> for Recipient {
    fn from(RecipientInput { name, phone, email, address }: RecipientInput) -> Self {
        let AddressInput { line1, line2, city, state, postal_code, country } = address;
        Self { name, phone, email, address: Address { line1, line2, city, state, postal_code, country } }
    }
}
