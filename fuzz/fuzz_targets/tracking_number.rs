//! However a number is written, what it is normalised to is classified alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shipments::tracking_number::TrackingNumber;

fuzz_target!(|text: &str| {
    let normalised = TrackingNumber::normalised(text);
    assert_eq!(TrackingNumber::normalised(&normalised), normalised);
    assert_eq!(
        std::mem::discriminant(&TrackingNumber::classify(text)),
        std::mem::discriminant(&TrackingNumber::classify(&normalised))
    );
});
