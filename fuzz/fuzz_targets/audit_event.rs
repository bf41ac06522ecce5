//! Parsing and verifying a leaf of the audit log does not panic. A hash that parses is printed unchanged.
#![no_main]

use ledger::{Event, Hash};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(event) = Event::parse(bytes) {
        let _ = ledger::verify_leaf(&event);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(hash) = Hash::parse(text)
    {
        assert_eq!(hash.to_string(), text);
    }
});
