//! Signed notes: a text and its signatures, in the format of [C2SP signed-note](https://c2sp.org/signed-note), with Ed25519
//! signatures.
//!
//! A note does NOT show when it was signed, nor that the same key signed no other note. Use a text only after [`Note::verify`],
//! with a key that came by another way than the note.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Hash, InvalidText};

/// Signature type of Ed25519 (RFC 8032, PureEdDSA).
const ED25519_TYPE: u8 = 0x01;
/// The DER prefix of an Ed25519 public key in a SubjectPublicKeyInfo (RFC 8410 section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The reason why bytes are not a note, or not a trustworthy one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("not a signed note")]
    Malformed,
    #[error("no signature by a known key; signed by {}", list(.0))]
    Unknown(Vec<String>),
    #[error("the signature by `{0}` does not match this text")]
    BadSignature(String),
}

fn list(signers: &[String]) -> String {
    signers.iter().map(|signer| format!("`{signer}`")).collect::<Vec<_>>().join(", ")
}

/// First four bytes of `SHA-256(name || "\n" || 0x01 || public key)`.
type KeyId = [u8; 4];

/// A public key and the name under which it signs. As text, `<name>+<id in hexadecimal>+<base64 of 0x01 and the key>`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: KeyId,
    key: [u8; 32],
}

impl VerifierKey {
    /// # Errors
    /// [`InvalidText`] for a name that is empty or has spaces, control characters or `+`.
    pub fn new(name: impl Into<String>, key: [u8; 32]) -> Result<Self, InvalidText> {
        let name = name.into();
        if !is_name(&name) {
            return Err(InvalidText("a key's name has no spaces and no `+`"));
        }
        let hash = Hash::of_parts([name.as_bytes(), b"\n", &[ED25519_TYPE], &key]);
        let [a, b, c, d, ..] = *hash.as_bytes();
        Ok(Self { name, id: [a, b, c, d], key })
    }

    /// Reads the DER of a SubjectPublicKeyInfo, which KMS's GetPublicKey returns.
    ///
    /// # Errors
    /// [`InvalidText`], also for a key that is not Ed25519.
    pub fn from_spki(name: impl Into<String>, der: &[u8]) -> Result<Self, InvalidText> {
        let key = der.strip_prefix(&SPKI_PREFIX).and_then(|key| key.try_into().ok());
        Self::new(name, key.ok_or(InvalidText("expected the DER of an Ed25519 public key"))?)
    }

    /// # Errors
    /// [`InvalidText`]: another form, another algorithm, or an id that does not match name and key.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        const REFUSED: InvalidText = InvalidText("expected an Ed25519 verifier key: `<name>+<id>+<base64>`");
        let (name, rest) = text.split_once('+').ok_or(REFUSED)?;
        let (_, key) = rest.split_once('+').ok_or(REFUSED)?;
        let key = STANDARD.decode(key).map_err(|_| REFUSED)?;
        let key = key.strip_prefix(&[ED25519_TYPE]).and_then(|key| key.try_into().ok()).ok_or(REFUSED)?;
        let parsed = Self::new(name, key)?;
        if parsed.to_string() == text { Ok(parsed) } else { Err(REFUSED) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name and id, `<name>+<id>`, for messages.
    pub fn label(&self) -> String {
        label(&self.name, self.id)
    }

    fn signed(&self, signature: &Signature) -> bool {
        self.name == signature.name && self.id == signature.id
    }

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.key).verify(text.as_bytes(), signature).is_ok()
    }
}

fn label(name: &str, id: KeyId) -> String {
    format!("{name}+{:08x}", u32::from_be_bytes(id))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = [ED25519_TYPE; 33];
        typed[1..].copy_from_slice(&self.key);
        write!(f, "{}+{}", self.label(), STANDARD.encode(typed))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        Self::parse(text)
    }
}

impl Serialize for VerifierKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VerifierKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A text with signatures that have not been verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    name: String,
    id: KeyId,
    bytes: Vec<u8>,
}

impl Note {
    /// Longest note, in bytes, signatures included.
    pub const MAX_LEN: usize = 64 * 1024;
    /// The largest number of signatures.
    pub const MAX_SIGNATURES: usize = 100;

    /// Adds to `text`, which ends with a newline, a signature that was made elsewhere.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] when it is not a signature of this text by `key`; [`NoteError::Malformed`] for a text that a
    /// note cannot have.
    pub fn sign(text: &str, key: &VerifierKey, signature: &[u8]) -> Result<Self, NoteError> {
        if !key.verifies(text, signature) {
            return Err(NoteError::BadSignature(key.label()));
        }
        let signature = Signature { name: key.name.clone(), id: key.id, bytes: signature.to_vec() };
        let note = Self { text: text.to_owned(), signatures: vec![signature] };
        if Self::parse(note.to_string().as_bytes())? == note { Ok(note) } else { Err(NoteError::Malformed) }
    }

    /// # Errors
    /// [`NoteError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        Self::read(bytes).ok_or(NoteError::Malformed)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let note = if bytes.len() <= Self::MAX_LEN { str::from_utf8(bytes).ok()? } else { return None };
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return None;
        }
        let end = note.rfind("\n\n")? + 1;
        let (text, lines) = (note.get(..end)?, note.get(end + 1..)?.strip_suffix('\n')?);
        let signatures: Vec<_> = lines.split('\n').take(Self::MAX_SIGNATURES + 1).map(Signature::parse).collect::<Option<_>>()?;
        (signatures.len() <= Self::MAX_SIGNATURES).then(|| Self { text: text.to_owned(), signatures })
    }

    /// The text, if one of `keys` signed it. Signatures by other keys are ignored, as the format requires. An invalid signature
    /// by one of `keys` is an error.
    ///
    /// # Errors
    /// [`NoteError::Unknown`], [`NoteError::BadSignature`].
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<&str, NoteError> {
        let mut known = false;
        for signature in &self.signatures {
            let mut claimed = keys.iter().filter(|key| key.signed(signature)).peekable();
            if claimed.peek().is_none() {
                continue;
            }
            if !claimed.any(|key| key.verifies(&self.text, &signature.bytes)) {
                return Err(NoteError::BadSignature(label(&signature.name, signature.id)));
            }
            known = true;
        }
        let signers = || self.signatures.iter().map(|signature| label(&signature.name, signature.id)).collect();
        if known { Ok(&self.text) } else { Err(NoteError::Unknown(signers())) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|Signature { name, id, bytes }| {
            writeln!(f, "\u{2014} {name} {}", STANDARD.encode([id.as_slice(), bytes].concat()))
        })
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let signature = STANDARD.decode(signature).ok()?;
        let (id, bytes) = signature.split_first_chunk::<4>()?;
        (is_name(name) && !bytes.is_empty()).then(|| Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
    }
}
