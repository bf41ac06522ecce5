//! RSA keys for tests, generated in each process and never written to a file.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::PublicKey;

/// A signing key with an id.
#[derive(Debug)]
pub(crate) struct TestKey {
    pub(crate) kid: &'static str,
    pair: KeyPair,
}

/// The pool's key.
pub(crate) fn pool_key() -> &'static TestKey {
    static KEY: OnceLock<TestKey> = OnceLock::new();
    KEY.get_or_init(|| TestKey::generate("pool-key"))
}

/// A key that does not belong to the pool.
pub(crate) fn other_key() -> &'static TestKey {
    static KEY: OnceLock<TestKey> = OnceLock::new();
    KEY.get_or_init(|| TestKey::generate("other-key"))
}

impl TestKey {
    fn generate(kid: &'static str) -> Self {
        Self { kid, pair: KeyPair::generate(KeySize::Rsa2048).unwrap() }
    }

    pub(crate) fn public(&self) -> PublicKey {
        self.public_as(self.kid)
    }

    pub(crate) fn public_as(&self, kid: &str) -> PublicKey {
        PublicKey::from_components(kid, &URL_SAFE_NO_PAD.encode(self.modulus()), "AQAB").unwrap()
    }

    /// The key in the form of a pool's JWKS.
    pub(crate) fn jwk(&self) -> Value {
        let n = URL_SAFE_NO_PAD.encode(self.modulus());
        json!({"kid": self.kid, "kty": "RSA", "use": "sig", "alg": "RS256", "n": n, "e": "AQAB"})
    }

    pub(crate) fn modulus(&self) -> &[u8] {
        // RSAPublicKey of 2048 bits (RFC 8017, A.1.1): sequence header, integer header with a zero byte, modulus.
        &self.pkcs1_der()[9..265]
    }

    pub(crate) fn pkcs1_der(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    pub(crate) fn spki_der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().unwrap();
        der.as_ref().to_vec()
    }

    pub(crate) fn rs256(&self, message: &str) -> Vec<u8> {
        self.sign(&RSA_PKCS1_SHA256, message)
    }

    pub(crate) fn ps256(&self, message: &str) -> Vec<u8> {
        self.sign(&RSA_PSS_SHA256, message)
    }

    fn sign(&self, encoding: &'static dyn RsaEncoding, message: &str) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        signature
    }
}
