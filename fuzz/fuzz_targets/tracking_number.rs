//! A tracking number and its normalised form are classified identically. A text that is too long is rejected even if the rest
//! without its spaces is short enough.
#![no_main]

use cloister_fuzz::tracking_number::{Classified, TrackingNumber};
use libfuzzer_sys::fuzz_target;
use phi::PhiText;

fuzz_target!(|text: &str| {
    let normalised = TrackingNumber::normalised(text);
    assert_eq!(TrackingNumber::normalised(&normalised), normalised);
    let (classified, again) = (TrackingNumber::classify(text), TrackingNumber::classify(&normalised));
    if text.len() <= *<TrackingNumber as PhiText>::LENGTH.end() {
        assert_eq!(classified, again);
    } else {
        assert_eq!(classified, Classified::NotUps);
    }
});
