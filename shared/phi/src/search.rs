use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::KeyVersion;

const LABEL: &[u8] = b"cloister/search/v1";

/// A tenant's search key. It is not derived from a branch key, so rotating one never affects the other.
///
/// AWS-LC wipes it when it is dropped.
pub struct SearchKey {
    version: KeyVersion,
    expand: hmac::Key,
}

/// A search key for one field: the same text in two fields, or in two tenants, gives unrelated tokens.
pub struct FieldSearchKey {
    version: KeyVersion,
    key: hmac::Key,
}

impl SearchKey {
    pub fn new(version: KeyVersion, bytes: Zeroizing<[u8; 32]>) -> Self {
        Self { version, expand: hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice()) }
    }

    pub fn version(&self) -> KeyVersion {
        self.version
    }

    /// HMAC-SHA-256(search key; label, tenant, field, key version); the length of each item (u64, big-endian) precedes it.
    /// `field` is a name of the schema, such as `tracking_number`.
    pub fn field(&self, tenant: &str, field: &'static str) -> FieldSearchKey {
        let version = self.version.get().to_be_bytes();
        let mut context = hmac::Context::with_key(&self.expand);
        for item in [LABEL, tenant.as_bytes(), field.as_bytes(), &version] {
            context.update(&(item.len() as u64).to_be_bytes());
            context.update(item);
        }
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(context.sign().as_ref());
        FieldSearchKey { version: self.version, key: hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice()) }
    }
}

impl FieldSearchKey {
    /// HMAC-SHA-256 over the value's normalised form. Each value type's `normalised()` defines which texts are equal in a search.
    pub fn token(&self, normalised: &str) -> SearchToken {
        let mut mac = [0; 32];
        mac.copy_from_slice(hmac::sign(&self.key, normalised.as_bytes()).as_ref());
        SearchToken { version: self.version, mac }
    }
}

impl fmt::Debug for SearchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SearchKey").field("version", &self.version.get()).finish_non_exhaustive()
    }
}

impl fmt::Debug for FieldSearchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldSearchKey").field("version", &self.version.get()).finish_non_exhaustive()
    }
}

/// A blind index: equal values of one field of one tenant have equal tokens. As text, `v1.` and the 32 bytes of the
/// HMAC in base64url, where 1 is the version of the search key.
///
/// It reveals equality, and so frequency, to everyone who can read the table. It does not reveal the value without the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SearchToken {
    version: KeyVersion,
    mac: [u8; 32],
}

impl SearchToken {
    pub fn version(&self) -> KeyVersion {
        self.version
    }

    /// # Errors
    /// [`InvalidToken`] for anything that `Display` does not write.
    pub fn parse(text: &str) -> Result<Self, InvalidToken> {
        let (version, mac) = text.strip_prefix('v').and_then(|rest| rest.split_once('.')).ok_or(InvalidToken)?;
        // A token has exactly one text: `u32::from_str` alone would also accept `+1` and `01`.
        if !version.starts_with(|c: char| matches!(c, '1'..='9')) {
            return Err(InvalidToken);
        }
        let version = version.parse().ok().and_then(KeyVersion::new).ok_or(InvalidToken)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok().and_then(|mac| mac.try_into().ok()).ok_or(InvalidToken)?;
        Ok(Self { version, mac })
    }
}

impl fmt::Display for SearchToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.version, URL_SAFE_NO_PAD.encode(self.mac))
    }
}

impl FromStr for SearchToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        Self::parse(text)
    }
}

impl Serialize for SearchToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SearchToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The text is not a search token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a search token")]
pub struct InvalidToken;
