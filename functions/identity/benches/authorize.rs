//! The cost of the authorizer's decision on a token, relative to the part that it cannot avoid: the bare RSA-2048 verification of
//! the same signature by aws-lc-rs. The pool's keys are cached, as they are in all but the first request of a process.
//!
//! A ratio is our time / raw time; each time is the best of many rounds, and the two sides alternate. `cargo bench -p identity
//! --bench authorize --profile release` measures it with the profile that is deployed.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at what it cannot do")]

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use identity::{
    jwks::{FetchError, FetchJwks, Jwks},
    token::Verifier,
};
use serde_json::json;
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const ROUNDS: u32 = 400;
const PER_ROUND: u32 = 100;
const TARGET: f64 = 2.0;
const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Synthetic";

/// The pool's key document.
struct Pool(Vec<u8>);

impl FetchJwks for Pool {
    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        Ok(self.0.clone())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    // RSAPublicKey of 2048 bits (RFC 8017, A.1.1): sequence header, integer header with a zero byte, modulus.
    let modulus = URL_SAFE_NO_PAD.encode(&pair.public_key().as_ref()[9..265]);
    let document = json!({"keys": [{"kid": "k1", "kty": "RSA", "use": "sig", "alg": "RS256", "n": modulus, "e": "AQAB"}]});
    let keys = Jwks::new(Pool(document.to_string().into_bytes()));
    let verifier = Verifier::new(ISSUER.to_owned(), "synthetic-client".to_owned());

    let (signed, signature) = token(&pair);
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&signature));
    let raw = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..PER_ROUND {
            let header = verifier.header(black_box(&token)).unwrap();
            let key = keys.key(&header.kid, NOW).await.unwrap();
            black_box(verifier.verify(&token, &key, NOW).unwrap());
        }
        best.0 = best.0.min(start.elapsed() / PER_ROUND);
        let start = Instant::now();
        for _ in 0..PER_ROUND {
            raw.verify(black_box(signed.as_bytes()), &signature).unwrap();
        }
        best.1 = best.1.min(start.elapsed() / PER_ROUND);
    }
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    let ratio = us(best.0) / us(best.1);
    println!("a token of {} bytes", token.len());
    println!("  decision {:.1} us, bare RSA-2048 verify {:.1} us: {ratio:.2} x", us(best.0), us(best.1));
    println!("  target: {TARGET} x at most: {}", if ratio <= TARGET { "met" } else { "missed" });
}

/// An access token in the form that Cognito writes: header and payload, and their signature.
fn token(pair: &KeyPair) -> (String, Vec<u8>) {
    let header = json!({"kid": "k1", "alg": "RS256"});
    let payload = json!({
        "sub": "0d3c5c0e-7d0b-4b8e-9b52-5d1b8a7e1c11", "cognito:groups": ["marketer"], "iss": ISSUER,
        "client_id": "synthetic-client", "origin_jti": "6f3a3a54-6c55-4a3b-a0b3-3b1c9f0b2a10",
        "event_id": "b7b6d1a8-38a2-4a37-a3c9-9d7c0f0a7f01", "token_use": "access", "scope": "openid",
        "auth_time": NOW - 60, "exp": NOW + 900, "iat": NOW - 60, "jti": "91b1c5b0-11f2-4d7a-8b1e-2a2b8ad0f3c7",
        "username": "usr_01997a2e51a07cc2a3a9a1f0c7b1d2e3",
    });
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(payload));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    (signed, signature)
}
