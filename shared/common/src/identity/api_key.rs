//! API keys: credentials for programs. A program with a key acts as its own member, with its own session. So the rules of
//! people's requests apply to it, too: one update of the session in each request, limits, grants, revocation, audit.
//!
//! | Partition | Sort | Content |
//! |---|---|---|
//! | `MEMBER#<user>` | `MEMBERSHIP` | the member as which the key acts: active or not, and a version |
//! | *ephemera* `SESSIONS#<user>` | `<session>` | scopes, purposes, networks, end, limits: one item for each secret |
//! | *platform* `API_KEY#<hash>` | `SECRET` | the key of this secret |
//!
//! A key's text is `clo_live_`, 65 digits of base 62 (the key's id and 32 random bytes) and 6 of their CRC-32. So the pattern
//! `clo_live_[0-9A-Za-z]{71}` finds leaked keys, the checksum distinguishes them from random text, and the id identifies the key.

use crate::{
    base::{AuthFailure, Error, Identity, Kept, KeyBounds, Result, TenantId, Timestamp, UserId, Uuid, digest::hash, random},
    store::{
        dynamodb::Db,
        item::{Key, Table},
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt;
use zeroize::Zeroizing;

const PREFIX: &str = "clo_live_";
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^65 > 2^384.
const PAYLOAD: usize = 65;
/// 62^6 > 2^32.
const CHECKSUM: usize = 6;
const BYTES: usize = 16 + 32;

crate::id! {
    /// An API key. Its UUID is that of the member as which it acts.
    pub struct ApiKeyId = "key"
}

impl ApiKeyId {
    /// The member as which it acts. Its changes have this member's name.
    pub const fn user(&self) -> UserId {
        UserId::from_uuid(*self.uuid())
    }
}

/// A key's text in memory. Its `Debug` is redacted, and only its hash is stored.
pub struct ApiKeyText {
    pub id: ApiKeyId,
    bytes: Zeroizing<[u8; BYTES]>,
}

/// The text is not a key: it has another length or alphabet, or a wrong checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Debug for ApiKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyText({})", self.id)
    }
}

impl ApiKeyText {
    pub(crate) fn new(id: ApiKeyId) -> Self {
        let mut bytes = Zeroizing::new([0; BYTES]);
        bytes[..16].copy_from_slice(id.uuid().as_bytes());
        bytes[16..].copy_from_slice(&random::bytes::<32>());
        Self { id, bytes }
    }

    pub fn to_text(&self) -> String {
        let payload = to_base62(&self.bytes[..], PAYLOAD);
        let checksum = to_base62(&crc32(payload.as_bytes()).to_be_bytes(), CHECKSUM);
        format!("{PREFIX}{payload}{checksum}")
    }

    /// # Errors
    /// [`Malformed`].
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let digits = text.strip_prefix(PREFIX).filter(|d| d.len() == PAYLOAD + CHECKSUM && d.is_ascii()).ok_or(Malformed)?;
        let (payload, checksum) = digits.split_at(PAYLOAD);
        let expected = from_base62::<4>(checksum).ok_or(Malformed)?;
        if u32::from_be_bytes(*expected) != crc32(payload.as_bytes()) {
            return Err(Malformed);
        }
        let bytes = from_base62::<BYTES>(payload).ok_or(Malformed)?;
        let uuid = Uuid::from_slice(&bytes[..16]).map_err(|_| Malformed)?;
        Ok(Self { id: ApiKeyId::from_uuid(uuid), bytes })
    }

    /// Its last four characters, which distinguish it from others and grant nothing.
    pub fn hint(&self) -> String {
        let text = Zeroizing::new(self.to_text());
        text[text.len() - 4..].to_owned()
    }

    pub(crate) fn key(&self) -> Key {
        Key::new(format!("API_KEY#{}", URL_SAFE_NO_PAD.encode(hash(&[&self.bytes[..]]))), "SECRET")
    }
}

/// Fixed width, most significant digit first.
fn to_base62(bytes: &[u8], width: usize) -> String {
    let mut number = Zeroizing::new(bytes.to_vec());
    let mut digits = vec![b'0'; width];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in number.iter_mut() {
            let value = rest << 8 | u32::from(*byte);
            // INVARIANT: the rest is below 62, so the quotient of 62 * 256 by 62 fits into a byte.
            *byte = (value / 62) as u8;
            rest = value % 62;
        }
        *digit = DIGITS[rest as usize];
    }
    digits.iter().map(|b| char::from(*b)).collect()
}

/// The number that `text` represents, if it fits into `N` bytes.
fn from_base62<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    for digit in text.bytes() {
        let mut carry = u32::try_from(DIGITS.iter().position(|d| *d == digit)?).ok()?;
        for byte in bytes.iter_mut().rev() {
            let value = u32::from(*byte) * 62 + carry;
            *byte = (value & 0xff) as u8;
            carry = value >> 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(bytes)
}

/// CRC-32 as in ISO-HDLC, Ethernet and zip: reflected, polynomial 0xEDB88320.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    };
    !bytes.iter().fold(u32::MAX, step)
}

/// The identity of a key's text; `None` if the token is not a key.
///
/// # Errors
/// 401 if it is a key and is malformed or unknown.
pub(crate) async fn identify(db: &Db, token: &str) -> Result<Option<Identity>> {
    if !token.starts_with(PREFIX) {
        return Ok(None);
    }
    let refused = || Error::Unauthenticated(AuthFailure::InvalidApiKey);
    let text = ApiKeyText::parse(token).map_err(|Malformed| refused())?;
    let row = db.get(TenantId::PLATFORM, Table::Records, &text.key()).await?.ok_or_else(refused)?;
    Ok(Some(Identity {
        tenant: row.parse("tenant_id")?,
        user: text.id.user(),
        session: row.parse("session_id")?,
        expires_at: Timestamp::from_millis(row.number("ends_at")?),
    }))
}

/// The terms of a key's secret, and its expiry.
#[derive(Clone, Debug)]
pub struct KeyTerms {
    pub bounds: Kept<KeyBounds>,
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn checksum_is_crc_32() {
        // The check value of the CRC catalogue's CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn key_matches_its_pattern_and_its_debug_is_redacted() {
        let key = ApiKeyText::new(ApiKeyId::from_uuid(Uuid::from_bytes([7; 16])));
        let text = key.to_text();
        let digits = text.strip_prefix("clo_live_").unwrap();
        assert!(digits.len() == 71 && digits.bytes().all(|b| b.is_ascii_alphanumeric()), "{text}");
        assert!(!format!("{key:?}").contains(&text[20..40]));
        assert!(text.ends_with(&key.hint()));
    }

    #[test]
    fn base_62_round_trips_known_values() {
        assert_eq!(to_base62(&[0, 0, 0, 61], 6), "00000z");
        assert_eq!(to_base62(&[0, 0, 0, 62], 6), "000010");
        assert_eq!(to_base62(&[0xff; 4], 6), "4gfFC3");
        assert_eq!(from_base62::<4>("4gfFC3").as_deref(), Some(&[0xff; 4]));
        assert!(from_base62::<4>("4gfFC4").is_none() && from_base62::<4>("00-000").is_none());
    }

    proptest! {
        #[test]
        fn key_text_round_trips_and_altered_text_is_refused(uuid: [u8; 16], at in 9_usize..80, with in "[0-9A-Za-z]") {
            let key = ApiKeyText::new(ApiKeyId::from_uuid(Uuid::from_bytes(uuid)));
            let text = key.to_text();
            let read = ApiKeyText::parse(&text).unwrap();
            prop_assert_eq!((read.id, read.to_text(), read.key()), (key.id, text.clone(), key.key()));
            let mut other = text.clone();
            other.replace_range(at..=at, &with);
            // A CRC detects every change of one character.
            prop_assert_eq!(ApiKeyText::parse(&other).is_ok(), other == text);
        }

        #[test]
        fn parsing_any_key_text_never_panics(text in ".{0,90}", digits in "[0-9A-Za-z]{71}") {
            let _ = ApiKeyText::parse(&text);
            let _ = ApiKeyText::parse(&format!("clo_live_{digits}"));
        }
    }
}
