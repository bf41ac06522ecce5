//! Checkpoints: a tree's size and root, signed by the log, in the format of [C2SP
//! tlog-checkpoint](https://c2sp.org/tlog-checkpoint).
//!
//! A log's key has the name of its origin, `<deployment>/<tenant>`. One key pair may sign for all tenants of a deployment: the
//! key's id depends on the name, and the signed text contains the origin, so a checkpoint of one tenant does not verify for
//! another.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::note::{Note, NoteError};
use crate::{Hash, Head, InvalidText, VerifierKey, Word};

/// Identifies a log: `<deployment>/<tenant>`, such as `cloister.example/ten_01997a2e51a07cc2a3a9a1f0c7b1d2e4`. Printable ASCII
/// without spaces, quotes, `\` and `+`; the tenant has no `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    deployment: String,
    tenant_id: Word,
}

impl Origin {
    /// # Errors
    /// [`InvalidText`].
    pub fn new(deployment: impl Into<String>, tenant_id: Word) -> Result<Self, InvalidText> {
        let deployment = deployment.into();
        let fits = Word::parse(deployment.as_str()).is_ok_and(|word| !word.as_str().contains('+'));
        if fits && !tenant_id.as_str().contains(['/', '+']) {
            Ok(Self { deployment, tenant_id })
        } else {
            Err(InvalidText("expected an origin: `<deployment>/<tenant>`"))
        }
    }

    /// # Errors
    /// [`InvalidText`].
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let (deployment, tenant_id) = text.rsplit_once('/').ok_or(InvalidText("expected an origin: `<deployment>/<tenant>`"))?;
        Self::new(deployment, Word::parse(tenant_id)?)
    }

    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    pub const fn tenant_id(&self) -> &Word {
        &self.tenant_id
    }

    /// The key of this log, with the log's name.
    pub fn key(&self, public_key: [u8; 32]) -> VerifierKey {
        #[expect(clippy::expect_used, reason = "INVARIANT: an origin has no spaces and no `+`")]
        VerifierKey::new(self.to_string(), public_key).expect("an origin is a key's name")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.deployment, self.tenant_id)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The reason why bytes are not a checkpoint, or not a trustworthy one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error("not a checkpoint")]
    Malformed,
    #[error("the checkpoint is of the log `{0}`")]
    OtherOrigin(String),
    #[error("the key is named `{0}`")]
    OtherKey(String),
}

/// The state of a log: the number of its events, and the root of their tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: Origin,
    pub size: u64,
    pub root: Hash,
}

impl Checkpoint {
    /// The checkpoint of the log that ends with `head`.
    ///
    /// # Errors
    /// [`InvalidText`] for a deployment that cannot be part of an origin.
    pub fn of(deployment: &str, head: &Head) -> Result<Self, InvalidText> {
        Ok(Self { origin: Origin::new(deployment, head.tenant_id().clone())?, size: head.size(), root: head.root() })
    }

    /// Accepts only the three lines that [`Display`](fmt::Display) writes; extension lines are refused, because our checkpoints
    /// have none.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let root: [u8; 32] = STANDARD.decode(root).ok()?.try_into().ok()?;
        let parsed = Self { origin: Origin::parse(origin).ok()?, size: size.parse().ok()?, root: Hash::new(root) };
        (parsed.to_string() == text).then_some(parsed)
    }
}

/// The text that is signed: origin, size in decimal and root in base64, a line each.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }
}

/// A checkpoint to be signed by the holder of the private key: for example KMS, by Sign with `ED25519_SHA_512` and message type
/// `RAW`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    key: VerifierKey,
    text: String,
}

impl Unsigned {
    /// # Errors
    /// [`CheckpointError::OtherKey`] for a key that does not have the log's name.
    pub fn new(checkpoint: &Checkpoint, key: VerifierKey) -> Result<Self, CheckpointError> {
        if key.name() == checkpoint.origin.to_string() {
            Ok(Self { key, text: checkpoint.to_string() })
        } else {
            Err(CheckpointError::OtherKey(key.name().to_owned()))
        }
    }

    /// The message to sign.
    pub fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// # Errors
    /// [`NoteError::BadSignature`] when `signature` is not a signature of [`bytes`](Self::bytes) by the key.
    pub fn sign(self, signature: &[u8]) -> Result<Signed, NoteError> {
        Note::sign(&self.text, &self.key, signature).map(Signed)
    }
}

/// A signed checkpoint. Its content is untrusted until [`verify`](Self::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed(Note);

impl Signed {
    /// # Errors
    /// [`NoteError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        Note::parse(bytes).map(Self)
    }

    /// The checkpoint, if one of `keys` signed it and it belongs to the log `origin`.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn verify(&self, keys: &[VerifierKey], origin: &Origin) -> Result<Checkpoint, CheckpointError> {
        let checkpoint = Checkpoint::parse(self.0.verify(keys)?).ok_or(CheckpointError::Malformed)?;
        if checkpoint.origin == *origin {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::OtherOrigin(checkpoint.origin.to_string()))
        }
    }
}

/// The signed note, in the form in which it is stored and served.
impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
