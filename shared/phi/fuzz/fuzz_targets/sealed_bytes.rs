//! Bytes that parse print as the same bytes. Of all inputs that resemble a sealed record, only the genuine record opens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phi::{BranchKey, FieldNumber, Place, SealedBytes, Zeroizing};

/// Sealed under the key and for the place below.
const GENUINE: &[u8] = include_bytes!("../seeds/sealed_bytes/sealed");

fuzz_target!(|bytes: &[u8]| {
    let Ok(sealed) = SealedBytes::parse(bytes.to_vec()) else {
        assert_ne!(bytes, GENUINE);
        return;
    };
    assert_eq!(sealed.as_bytes(), bytes);
    let key = BranchKey::new(sealed.key_version(), Zeroizing::new([7; 32]));
    let place = Place { tenant: "t", table: "t", record: "r" };
    // A forged record is refused when it is opened, or when one of its fields is read.
    let opened = key.opener(&place, &sealed).is_ok_and(|opener| {
        [1, 2, 9].into_iter().filter_map(FieldNumber::new).all(|number| opener.field(number).is_ok_and(|text| text.is_some()))
    });
    assert_eq!(opened, bytes == GENUINE);
});
