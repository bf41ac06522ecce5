//! Every answer and every push of UPS is parsed or rejected without a panic. A history has the same meaning in any order
//! of its moments.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| ups::fuzzing::answer(body));
