//! A token has exactly one text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phi::SearchToken;

fuzz_target!(|text: &str| {
    if let Ok(token) = SearchToken::parse(text) {
        assert_eq!(token.to_string(), text);
    }
});
