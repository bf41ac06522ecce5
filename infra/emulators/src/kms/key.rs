//! One KMS key: its usage, its state, and its secret material.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::{KmsError, Result};
use crate::{ACCOUNT, REGION};

/// The key's type, as in `KeySpec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) enum Spec {
    #[default]
    #[serde(rename = "SYMMETRIC_DEFAULT")]
    Symmetric,
    #[serde(rename = "ECC_NIST_P256")]
    P256,
    #[serde(rename = "ECC_NIST_EDWARDS25519")]
    Ed25519,
    #[serde(rename = "HMAC_256")]
    Hmac256,
}

/// The key's usage, as in `KeyUsage`. Each spec here has only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Usage {
    #[serde(rename = "ENCRYPT_DECRYPT")]
    Encrypt,
    #[serde(rename = "SIGN_VERIFY")]
    Sign,
    #[serde(rename = "GENERATE_VERIFY_MAC")]
    Mac,
}

impl Spec {
    pub(super) fn usage(self) -> Usage {
        match self {
            Self::Symmetric => Usage::Encrypt,
            Self::P256 | Self::Ed25519 => Usage::Sign,
            Self::Hmac256 => Usage::Mac,
        }
    }

    /// The metadata field with the key's algorithms, and the algorithms.
    pub(super) fn algorithms(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Symmetric => ("EncryptionAlgorithms", &["SYMMETRIC_DEFAULT"]),
            Self::P256 => ("SigningAlgorithms", &["ECDSA_SHA_256"]),
            Self::Ed25519 => ("SigningAlgorithms", &["ED25519_SHA_512"]),
            Self::Hmac256 => ("MacAlgorithms", &["HMAC_SHA_256"]),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum KeyState {
    Enabled,
    Disabled,
    PendingDeletion,
}

/// Secret bytes, base64 in the state file: a symmetric key's 32 bytes, or a key pair's PKCS #8.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Material(Vec<u8>);

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Material(..)")
    }
}

impl TryFrom<String> for Material {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self)
    }
}

impl From<Material> for String {
    fn from(material: Material) -> Self {
        STANDARD.encode(material.0)
    }
}

impl Material {
    pub(super) fn generate(spec: Spec) -> Result<Self> {
        let random = SystemRandom::new();
        let failed = |_| KmsError::internal("key generation failed");
        let bytes = match spec {
            Spec::Symmetric | Spec::Hmac256 => {
                let mut bytes = vec![0; 32];
                rand::fill(&mut bytes).map_err(failed)?;
                bytes
            }
            Spec::P256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(failed)?.as_ref().to_vec()
            }
            Spec::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?.as_ref().to_vec(),
        };
        Ok(Self(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The data to sign: the message, or its SHA-256 digest.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signed<'a> {
    Raw(&'a [u8]),
    Digest(&'a [u8]),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) id: Uuid,
    pub(super) description: String,
    pub(super) spec: Spec,
    pub(super) state: KeyState,
    /// Seconds since the epoch.
    pub(super) created: u64,
    /// Seconds since the epoch; set if and only if the state is `PendingDeletion`.
    pub(super) deletion: Option<u64>,
    pub(super) rotates_yearly: bool,
    pub(super) tags: BTreeMap<String, String>,
    /// Oldest first. The last one encrypts; a ciphertext contains the version that decrypts it.
    pub(super) materials: Vec<Material>,
    /// The creation time of each material after the first, in seconds since the epoch.
    pub(super) rotations: Vec<u64>,
}

impl Key {
    pub(super) fn arn(&self) -> String {
        format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{}", self.id)
    }

    /// The current material, and its version.
    pub(super) fn current(&self) -> Result<(u32, &Material)> {
        let missing = || KmsError::internal("the key has no material");
        let material = self.materials.last().ok_or_else(missing)?;
        let version = u32::try_from(self.materials.len() - 1).map_err(|_| missing())?;
        Ok((version, material))
    }

    pub(super) fn sign(&self, message: Signed<'_>) -> Result<Vec<u8>> {
        let (_, material) = self.current()?;
        let broken = || KmsError::internal("stored key pair is unreadable");
        let signature = match (self.spec, message) {
            (Spec::P256, message) => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, material.bytes()).map_err(|_| broken())?;
                match message {
                    Signed::Raw(bytes) => pair.sign(&SystemRandom::new(), bytes),
                    Signed::Digest(bytes) => pair.sign_digest(&sha256(bytes)?),
                }
                .map_err(|_| KmsError::internal("signing failed"))?
            }
            (Spec::Ed25519, Signed::Raw(bytes)) => {
                Ed25519KeyPair::from_pkcs8(material.bytes()).map_err(|_| broken())?.sign(bytes)
            }
            (Spec::Ed25519, Signed::Digest(_)) => return Err(only_raw()),
            (Spec::Symmetric | Spec::Hmac256, _) => return Err(self.wrong_usage("Sign")),
        };
        Ok(signature.as_ref().to_vec())
    }

    pub(super) fn verify(&self, message: Signed<'_>, signature: &[u8]) -> Result<bool> {
        let key = self.public_point()?;
        let valid = match (self.spec, message) {
            (Spec::P256, message) => {
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
                match message {
                    Signed::Raw(bytes) => key.verify(bytes, signature),
                    Signed::Digest(bytes) => key.verify_digest(&sha256(bytes)?, signature),
                }
            }
            (Spec::Ed25519, Signed::Raw(bytes)) => UnparsedPublicKey::new(&ED25519, key).verify(bytes, signature),
            (Spec::Ed25519, Signed::Digest(_)) => return Err(only_raw()),
            (Spec::Symmetric | Spec::Hmac256, _) => return Err(self.wrong_usage("Verify")),
        };
        Ok(valid.is_ok())
    }

    /// The public key as DER `SubjectPublicKeyInfo` (RFC 5280).
    pub(super) fn public_key(&self) -> Result<Vec<u8>> {
        let (_, material) = self.current()?;
        let broken = || KmsError::internal("stored key pair is unreadable");
        let der: PublicKeyX509Der<'_> = match self.spec {
            Spec::P256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, material.bytes())
                .map_err(|_| broken())?
                .public_key()
                .as_der(),
            Spec::Ed25519 => Ed25519KeyPair::from_pkcs8(material.bytes()).map_err(|_| broken())?.public_key().as_der(),
            Spec::Symmetric | Spec::Hmac256 => {
                return Err(KmsError::new("UnsupportedOperationException", format!("{} has no public key.", self.arn())));
            }
        }
        .map_err(|_| broken())?;
        Ok(der.as_ref().to_vec())
    }

    pub(super) fn mac(&self, message: &[u8]) -> Result<Vec<u8>> {
        let (_, material) = self.current()?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, material.bytes());
        Ok(hmac::sign(&key, message).as_ref().to_vec())
    }

    pub(super) fn verify_mac(&self, message: &[u8], mac: &[u8]) -> Result<bool> {
        let (_, material) = self.current()?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, material.bytes());
        Ok(hmac::verify(&key, message, mac).is_ok())
    }

    pub(super) fn wrong_usage(&self, action: &str) -> KmsError {
        KmsError::new(
            "InvalidKeyUsageException",
            format!("{} key usage is {:?} which is not valid for {action}.", self.arn(), self.spec.usage()),
        )
    }

    fn public_point(&self) -> Result<Vec<u8>> {
        let (_, material) = self.current()?;
        let broken = || KmsError::internal("stored key pair is unreadable");
        match self.spec {
            Spec::P256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, material.bytes())
                .map(|pair| pair.public_key().as_ref().to_vec())
                .map_err(|_| broken()),
            Spec::Ed25519 => {
                Ed25519KeyPair::from_pkcs8(material.bytes()).map(|pair| pair.public_key().as_ref().to_vec()).map_err(|_| broken())
            }
            Spec::Symmetric | Spec::Hmac256 => Err(self.wrong_usage("Verify")),
        }
    }
}

fn sha256(bytes: &[u8]) -> Result<Digest> {
    Digest::import_less_safe(bytes, &SHA256)
        .map_err(|_| KmsError::validation("Digest is invalid length for algorithm ECDSA_SHA_256."))
}

fn only_raw() -> KmsError {
    KmsError::validation("ED25519_SHA_512 takes MessageType RAW only.")
}
