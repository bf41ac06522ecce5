//! A value type parses its own output to the same value; normalising, masking and JSON never panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phi::{Address, CountryCode, Email, GivenPhone, LongText, PersonName, PhiText, Phone, PostalCode, ShortText};

fn parse<T: PhiText>(text: &str) -> Option<T> {
    let value = T::parse(text).ok()?;
    let again = T::parse(value.as_str()).ok();
    assert_eq!(again.as_ref().map(T::as_str), Some(value.as_str()));
    Some(value)
}

fuzz_target!(|text: &str| {
    parse::<PersonName>(text).map(|value| (value.normalised(), value.masked()));
    parse::<GivenPhone>(text);
    parse::<Phone>(text).map(|value| (value.normalised(), value.masked()));
    parse::<Email>(text).map(|value| (value.normalised(), value.masked()));
    parse::<ShortText>(text).map(|value| (value.normalised(), value.masked()));
    parse::<LongText>(text).map(|value| (value.normalised(), value.masked()));
    parse::<PostalCode>(text);
    parse::<CountryCode>(text);
    if let Ok(address) = serde_json::from_str::<Address>(text) {
        address.masked();
    }
});
