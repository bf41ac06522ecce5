//! Cryptographic actions.

use aws_lc_rs::rand;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::blob::{self, Context, Header};
use super::super::error::{KmsError, Result};
use super::super::key::{Key, Signed, Usage};
use super::super::state::Store;
use super::Blob;

/// The longest input of Encrypt, Sign and GenerateMac, in bytes.
const MESSAGE_MAX: usize = 4096;

/// The longest output of GenerateDataKey and GenerateRandom, in bytes.
const RANDOM_MAX: usize = 1024;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Encrypt {
    key_id: String,
    plaintext: Blob,
    #[serde(default)]
    encryption_context: Context,
    encryption_algorithm: Option<String>,
}

pub(super) fn encrypt(store: &Store, input: Encrypt) -> Result<Value> {
    check_symmetric(input.encryption_algorithm.as_deref())?;
    check_message("plaintext", &input.plaintext.0)?;
    let key = store.usable(&input.key_id, Usage::Encrypt, "Encrypt")?;
    let sealed = seal(key, &input.encryption_context, &input.plaintext.0)?;
    Ok(json!({
        "KeyId": key.arn(),
        "CiphertextBlob": sealed,
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Decrypt {
    ciphertext_blob: Blob,
    key_id: Option<String>,
    #[serde(default)]
    encryption_context: Context,
    encryption_algorithm: Option<String>,
}

pub(super) fn decrypt(store: &Store, input: Decrypt) -> Result<Value> {
    check_symmetric(input.encryption_algorithm.as_deref())?;
    let (key, plaintext) = open(store, &input.ciphertext_blob, input.key_id.as_deref(), &input.encryption_context)?;
    Ok(json!({
        "KeyId": key.arn(),
        "Plaintext": plaintext,
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ReEncrypt {
    ciphertext_blob: Blob,
    source_key_id: Option<String>,
    #[serde(default)]
    source_encryption_context: Context,
    source_encryption_algorithm: Option<String>,
    destination_key_id: String,
    #[serde(default)]
    destination_encryption_context: Context,
    destination_encryption_algorithm: Option<String>,
}

pub(super) fn re_encrypt(store: &Store, input: ReEncrypt) -> Result<Value> {
    check_symmetric(input.source_encryption_algorithm.as_deref())?;
    check_symmetric(input.destination_encryption_algorithm.as_deref())?;
    let (source, plaintext) =
        open(store, &input.ciphertext_blob, input.source_key_id.as_deref(), &input.source_encryption_context)?;
    let destination = store.usable(&input.destination_key_id, Usage::Encrypt, "ReEncrypt")?;
    let sealed = seal(destination, &input.destination_encryption_context, &plaintext.0)?;
    Ok(json!({
        "CiphertextBlob": sealed,
        "SourceKeyId": source.arn(),
        "KeyId": destination.arn(),
        "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GenerateDataKey {
    key_id: String,
    #[serde(default)]
    encryption_context: Context,
    key_spec: Option<DataKeySpec>,
    number_of_bytes: Option<usize>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum DataKeySpec {
    #[serde(rename = "AES_128")]
    Aes128,
    #[serde(rename = "AES_256")]
    Aes256,
}

pub(super) fn generate_data_key(store: &Store, input: GenerateDataKey) -> Result<Value> {
    let (mut output, plaintext) = data_key(store, &input)?;
    output["Plaintext"] = json!(plaintext);
    Ok(output)
}

pub(super) fn generate_data_key_without_plaintext(store: &Store, input: GenerateDataKey) -> Result<Value> {
    data_key(store, &input).map(|(output, _)| output)
}

fn data_key(store: &Store, input: &GenerateDataKey) -> Result<(Value, Blob)> {
    let length = match (input.key_spec, input.number_of_bytes) {
        (Some(DataKeySpec::Aes128), None) => 16,
        (Some(DataKeySpec::Aes256), None) => 32,
        (None, Some(length)) => length,
        (None, None) | (Some(_), Some(_)) => {
            return Err(KmsError::validation("Please specify either number of bytes or key spec."));
        }
    };
    let key = store.usable(&input.key_id, Usage::Encrypt, "GenerateDataKey")?;
    let plaintext = random(length)?;
    let sealed = seal(key, &input.encryption_context, &plaintext.0)?;
    Ok((json!({ "KeyId": key.arn(), "CiphertextBlob": sealed }), plaintext))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GenerateRandom {
    number_of_bytes: usize,
}

pub(super) fn generate_random(input: GenerateRandom) -> Result<Value> {
    Ok(json!({ "Plaintext": random(input.number_of_bytes)? }))
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum MessageType {
    #[default]
    Raw,
    Digest,
}

impl MessageType {
    fn of(self, message: &Blob) -> Signed<'_> {
        match self {
            Self::Raw => Signed::Raw(&message.0),
            Self::Digest => Signed::Digest(&message.0),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Sign {
    key_id: String,
    message: Blob,
    #[serde(default)]
    message_type: MessageType,
    signing_algorithm: String,
}

pub(super) fn sign(store: &Store, input: Sign) -> Result<Value> {
    check_message("message", &input.message.0)?;
    let key = store.usable(&input.key_id, Usage::Sign, "Sign")?;
    check_algorithm(key, &input.signing_algorithm)?;
    let signature = Blob(key.sign(input.message_type.of(&input.message))?);
    Ok(json!({
        "KeyId": key.arn(),
        "Signature": signature,
        "SigningAlgorithm": input.signing_algorithm,
    }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Verify {
    key_id: String,
    message: Blob,
    #[serde(default)]
    message_type: MessageType,
    signature: Blob,
    signing_algorithm: String,
}

pub(super) fn verify(store: &Store, input: Verify) -> Result<Value> {
    check_message("message", &input.message.0)?;
    let key = store.usable(&input.key_id, Usage::Sign, "Verify")?;
    check_algorithm(key, &input.signing_algorithm)?;
    if !key.verify(input.message_type.of(&input.message), &input.signature.0)? {
        return Err(KmsError::new("KMSInvalidSignatureException", ""));
    }
    Ok(json!({
        "KeyId": key.arn(),
        "SignatureValid": true,
        "SigningAlgorithm": input.signing_algorithm,
    }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GenerateMac {
    key_id: String,
    message: Blob,
    mac_algorithm: String,
}

pub(super) fn generate_mac(store: &Store, input: GenerateMac) -> Result<Value> {
    check_message("message", &input.message.0)?;
    let key = store.usable(&input.key_id, Usage::Mac, "GenerateMac")?;
    check_algorithm(key, &input.mac_algorithm)?;
    Ok(json!({
        "KeyId": key.arn(),
        "Mac": Blob(key.mac(&input.message.0)?),
        "MacAlgorithm": input.mac_algorithm,
    }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct VerifyMac {
    key_id: String,
    message: Blob,
    mac: Blob,
    mac_algorithm: String,
}

pub(super) fn verify_mac(store: &Store, input: VerifyMac) -> Result<Value> {
    check_message("message", &input.message.0)?;
    let key = store.usable(&input.key_id, Usage::Mac, "VerifyMac")?;
    check_algorithm(key, &input.mac_algorithm)?;
    if !key.verify_mac(&input.message.0, &input.mac.0)? {
        return Err(KmsError::new("KMSInvalidMacException", ""));
    }
    Ok(json!({
        "KeyId": key.arn(),
        "MacValid": true,
        "MacAlgorithm": input.mac_algorithm,
    }))
}

fn seal(key: &Key, context: &Context, plaintext: &[u8]) -> Result<Blob> {
    let (version, material) = key.current()?;
    let header = Header { key: key.id, version };
    blob::seal(header, material.bytes(), context, plaintext).map(Blob)
}

/// Decrypts a ciphertext with the key that it names, which must be the `expected` one if the caller gives one.
fn open<'a>(store: &'a Store, ciphertext: &Blob, expected: Option<&str>, context: &Context) -> Result<(&'a Key, Blob)> {
    let expected = expected.map(|name| store.id(name)).transpose()?;
    let header = Header::read(&ciphertext.0)?;
    let name = header.key.to_string();
    if store.state.deleted.contains(&header.key) {
        return Err(KmsError::not_found(&format!("Key '{name}'")));
    }
    if !store.state.keys.contains_key(&header.key) {
        return Err(KmsError::invalid_ciphertext());
    }
    if expected.is_some_and(|expected| expected != header.key) {
        return Err(KmsError::new(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        ));
    }
    let key = store.usable(&name, Usage::Encrypt, "Decrypt")?;
    let material = usize::try_from(header.version)
        .ok()
        .and_then(|version| key.materials.get(version))
        .ok_or_else(KmsError::invalid_ciphertext)?;
    let plaintext = blob::open(material.bytes(), context, &ciphertext.0)?;
    Ok((key, Blob(plaintext)))
}

fn random(length: usize) -> Result<Blob> {
    if !(1..=RANDOM_MAX).contains(&length) {
        return Err(KmsError::validation(format!("NumberOfBytes must be between 1 and {RANDOM_MAX}")));
    }
    let mut bytes = vec![0; length];
    rand::fill(&mut bytes).map_err(|_| KmsError::internal("no random bytes"))?;
    Ok(Blob(bytes))
}

fn check_message(what: &str, bytes: &[u8]) -> Result<()> {
    if (1..=MESSAGE_MAX).contains(&bytes.len()) {
        Ok(())
    } else {
        Err(KmsError::validation(format!(
            "1 validation error detected: Value at '{what}' failed to satisfy constraint: Member must have length between 1 and {MESSAGE_MAX}"
        )))
    }
}

fn check_symmetric(algorithm: Option<&str>) -> Result<()> {
    match algorithm {
        None | Some("SYMMETRIC_DEFAULT") => Ok(()),
        Some(other) => Err(KmsError::validation(format!("`{other}` is not an encryption algorithm of this emulator"))),
    }
}

fn check_algorithm(key: &Key, algorithm: &str) -> Result<()> {
    if key.spec.algorithms().1.contains(&algorithm) {
        Ok(())
    } else {
        Err(KmsError::new(
            "InvalidKeyUsageException",
            format!("Algorithm {algorithm} is incompatible with key spec {:?}.", key.spec),
        ))
    }
}
