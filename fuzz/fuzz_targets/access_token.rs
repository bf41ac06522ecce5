//! The verifier rejects every unsigned text as a token. A key set that parses is within its bounds.
#![no_main]

use cloister_fuzz::{
    jwks,
    token::{PublicKey, Verifier},
};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// A modulus of 2048 bits. No private key for it exists.
static KEY: LazyLock<PublicKey> = LazyLock::new(|| {
    let modulus = format!("{}w", "z".repeat(341));
    PublicKey::from_components("k", &modulus, "AQAB").unwrap_or_else(|e| panic!("{e:?}"))
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(keys) = jwks::parse(bytes) {
        assert!(keys.len() <= jwks::MAX_KEYS);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let verifier = Verifier::new("https://issuer.example/pool".to_owned(), "client".to_owned());
    let _ = verifier.header(text);
    assert!(verifier.verify(text, &KEY, 0).is_err());
});
