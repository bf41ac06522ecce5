//! Whatever UPS answers or pushes is read or refused, and a history means the same in any order.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| ups::fuzzing::answer(body));
