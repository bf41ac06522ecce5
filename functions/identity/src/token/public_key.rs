//! One RSA public key with an id and sufficient strength.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use std::fmt;

/// The shortest modulus that RFC 7518, section 3.3, and SP 800-131A allow.
const MIN_MODULUS_BITS: usize = 2048;

/// The longest modulus that is accepted, because verification time grows with its length.
const MAX_MODULUS_BITS: usize = 4096;

/// 65537, the exponent that every current issuer uses. Other exponents have no advantage, and small ones are weak.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// An RSA key that verifies RS256 signatures, with the id that its issuer gave it.
///
/// A value has an id, a modulus of 2048 to 4096 bits and the exponent 65537.
#[derive(Clone)]
pub struct PublicKey {
    kid: String,
    key: DecodingKey,
}

/// The reason why key material is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// The key has no id.
    #[error("the key has no id")]
    NoKid,
    /// Modulus or exponent is not base64url without padding.
    #[error("the key is not base64url")]
    Encoding,
    /// The modulus is outside 2048 to 4096 bits, is even, or has leading zeros.
    #[error("the modulus is not an odd number of 2048 to 4096 bits")]
    Modulus,
    /// The exponent is not 65537.
    #[error("the exponent is not 65537")]
    Exponent,
}

impl PublicKey {
    /// Reads `n` and `e` in the form of a JWK: base64url, big-endian, without padding (RFC 7518, section 6.3.1).
    pub fn from_components(kid: &str, n: &str, e: &str) -> Result<Self, KeyRefused> {
        if kid.is_empty() {
            return Err(KeyRefused::NoKid);
        }
        let n = URL_SAFE_NO_PAD.decode(n).map_err(|_| KeyRefused::Encoding)?;
        let e = URL_SAFE_NO_PAD.decode(e).map_err(|_| KeyRefused::Encoding)?;
        let (Some(first), Some(last)) = (n.first(), n.last()) else {
            return Err(KeyRefused::Modulus);
        };
        let bits = n.len() * 8 - first.leading_zeros() as usize;
        if *first == 0 || last % 2 == 0 || !(MIN_MODULUS_BITS..=MAX_MODULUS_BITS).contains(&bits) {
            return Err(KeyRefused::Modulus);
        }
        if e != EXPONENT {
            return Err(KeyRefused::Exponent);
        }
        Ok(Self { kid: kid.to_owned(), key: DecodingKey::from_rsa_raw_components(&n, &e) })
    }

    /// The id by which a token's header refers to this key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Whether `signature` (base64url) is this key's RS256 signature of `message`.
    pub(super) fn signed(&self, message: &[u8], signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, message, &self.key, Algorithm::RS256).unwrap_or(false)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modulus(bytes: usize, first: u8, last: u8) -> String {
        let mut n = vec![0x5a; bytes];
        n[0] = first;
        n[bytes - 1] = last;
        URL_SAFE_NO_PAD.encode(n)
    }

    #[test]
    fn modulus_outside_2048_to_4096_bits_is_refused() {
        let refused = [
            modulus(128, 0xc0, 1),
            modulus(255, 0xff, 1),
            modulus(256, 0x7f, 1),
            modulus(513, 0x01, 1),
            modulus(256, 0xc0, 2),
            modulus(257, 0x00, 1),
            String::new(),
        ];
        for n in refused {
            assert_eq!(PublicKey::from_components("k", &n, "AQAB").unwrap_err(), KeyRefused::Modulus);
        }
        for n in [modulus(256, 0x80, 1), modulus(384, 0xff, 1), modulus(512, 0xff, 1)] {
            assert_eq!(PublicKey::from_components("k", &n, "AQAB").unwrap().kid(), "k");
        }
    }

    #[test]
    fn exponent_other_than_65537_is_refused() {
        for e in ["Aw", "AAEAAQ", "AQAA", ""] {
            let refused = PublicKey::from_components("k", &modulus(256, 0xc0, 1), e);
            assert_eq!(refused.unwrap_err(), KeyRefused::Exponent, "{e}");
        }
    }

    #[test]
    fn key_without_id_or_in_another_alphabet_is_refused() {
        let n = modulus(256, 0xc0, 1);
        assert_eq!(PublicKey::from_components("", &n, "AQAB").unwrap_err(), KeyRefused::NoKid);
        for (n, e) in [(format!("{n}="), "AQAB"), ("+/+/".to_owned(), "AQAB"), (n, "AQAB=")] {
            assert_eq!(PublicKey::from_components("k", &n, e).unwrap_err(), KeyRefused::Encoding);
        }
    }
}
