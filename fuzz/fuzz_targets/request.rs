//! A body is JSON to us exactly where it is JSON and names no member twice; cursors, versions and refresh tokens are taken or
//! refused.
#![no_main]

use common::{RefreshToken, fuzzing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let theirs = serde_json::from_slice::<serde_json::Value>(bytes);
    if let Ok(ours) = fuzzing::body(bytes) {
        assert_eq!(Some(ours), theirs.ok());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert!(!fuzzing::opens_as_cursor(text), "a forged cursor opened");
    fuzzing::if_match(text);
    if let Ok(token) = RefreshToken::parse(text) {
        assert_eq!(token.to_text(), text);
    }
});
