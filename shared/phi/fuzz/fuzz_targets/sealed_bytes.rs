//! Whatever parses prints the same bytes, and nothing that was not sealed opens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phi::{BranchKey, FieldNumber, Place, SealedBytes, Zeroizing};

fuzz_target!(|bytes: &[u8]| {
    let Ok(sealed) = SealedBytes::parse(bytes.to_vec()) else { return };
    assert_eq!(sealed.as_bytes(), bytes);
    let key = BranchKey::new(sealed.key_version(), Zeroizing::new([7; 32]));
    let place = Place { tenant: "t", table: "t", record: "r" };
    if let Ok(opener) = key.opener(&place, &sealed) {
        let fields = (1..=u16::MAX).filter_map(FieldNumber::new).filter(|number| opener.has(*number)).count();
        panic!("a forged record of {fields} fields opened");
    }
});
