//! The JWK Set document of a user pool (RFC 7517, section 5), limited in size and parsed strictly.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use crate::token::PublicKey;

/// The longest document that is read, in bytes. Cognito's is about 1 KB.
pub const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// The largest number of keys in a document. Cognito lists two.
pub const MAX_KEYS: usize = 20;

/// The reason why a whole document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Longer than [`MAX_DOCUMENT_BYTES`].
    #[error("the key document is too long")]
    TooLarge,
    /// Not `{"keys":[…]}`.
    #[error("the key document is malformed")]
    Malformed,
    /// It lists more than [`MAX_KEYS`] keys.
    #[error("the key document lists too many keys")]
    TooManyKeys,
    /// Two usable keys have the same id.
    #[error("the key document lists an id twice")]
    DuplicateKid,
    /// No key in it is usable.
    #[error("the key document lists no usable key")]
    NoUsableKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct RsaKey {
    kid: String,
    kty: String,
    #[serde(rename = "use")]
    usage: String,
    alg: String,
    n: String,
    e: String,
}

/// Reads the RSA keys for RS256 signatures. Keys of other kinds are skipped, as RFC 7517 requires, and so are weak keys. At least
/// one key must remain.
pub fn parse(document: &[u8]) -> Result<Vec<PublicKey>, DocumentError> {
    if document.len() > MAX_DOCUMENT_BYTES {
        return Err(DocumentError::TooLarge);
    }
    let document: Document = serde_json::from_slice(document).map_err(|_| DocumentError::Malformed)?;
    if document.keys.len() > MAX_KEYS {
        return Err(DocumentError::TooManyKeys);
    }
    let keys: Vec<PublicKey> = document.keys.into_iter().filter_map(usable).collect();
    let mut kids = HashSet::new();
    if !keys.iter().all(|key| kids.insert(key.kid())) {
        return Err(DocumentError::DuplicateKid);
    }
    if keys.is_empty() {
        return Err(DocumentError::NoUsableKey);
    }
    Ok(keys)
}

fn usable(jwk: Value) -> Option<PublicKey> {
    let jwk: RsaKey = serde_json::from_value(jwk).ok()?;
    if jwk.kty != "RSA" || jwk.usage != "sig" || jwk.alg != "RS256" {
        return None;
    }
    PublicKey::from_components(&jwk.kid, &jwk.n, &jwk.e).ok()
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::token::test_keys::{other_key, pool_key};

    fn parse_keys(keys: Value) -> Result<Vec<PublicKey>, DocumentError> {
        parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn changed(name: &str, value: Value) -> Value {
        let mut jwk = other_key().jwk();
        jwk[name] = value;
        jwk
    }

    #[test]
    fn keys_of_a_pool_are_read() {
        let keys = parse_keys(json!([pool_key().jwk(), other_key().jwk()])).unwrap();
        let kids: Vec<_> = keys.iter().map(PublicKey::kid).collect();
        assert_eq!(kids, [pool_key().kid, other_key().kid]);
    }

    #[test]
    fn keys_of_another_kind_and_weak_keys_are_skipped() {
        let weak = URL_SAFE_NO_PAD.encode([0xc1; 128]);
        let others = [
            changed("kty", json!("EC")),
            changed("kty", json!("oct")),
            changed("use", json!("enc")),
            changed("use", json!(null)),
            changed("alg", json!("RS512")),
            changed("alg", json!("HS256")),
            changed("alg", json!(null)),
            changed("kid", json!("")),
            changed("kid", json!(7)),
            changed("n", json!(weak)),
            changed("n", json!("not base64url!")),
            changed("e", json!("Aw")),
            json!("a string"),
            json!({}),
        ];
        for other in others {
            assert_eq!(parse_keys(json!([other])).unwrap_err(), DocumentError::NoUsableKey, "{other}");
            let keys = parse_keys(json!([other, pool_key().jwk()])).unwrap();
            assert_eq!(keys.len(), 1, "{other}");
        }
    }

    #[test]
    fn document_with_a_repeated_id_is_refused() {
        let renamed = changed("kid", json!(pool_key().kid));
        let twice = parse_keys(json!([pool_key().jwk(), renamed]));
        assert_eq!(twice.unwrap_err(), DocumentError::DuplicateKid);
    }

    #[test]
    fn document_with_too_many_keys_or_bytes_is_refused() {
        let many = |count| json!((0..count).map(|i| changed("kid", json!(format!("k{i}")))).collect::<Vec<_>>());
        assert_eq!(parse_keys(many(MAX_KEYS)).unwrap().len(), MAX_KEYS);
        assert_eq!(parse_keys(many(MAX_KEYS + 1)).unwrap_err(), DocumentError::TooManyKeys);

        let mut document = json!({"keys": [pool_key().jwk()]}).to_string().into_bytes();
        document.resize(MAX_DOCUMENT_BYTES, b' ');
        assert_eq!(parse(&document).unwrap().len(), 1);
        document.push(b' ');
        assert_eq!(parse(&document).unwrap_err(), DocumentError::TooLarge);
    }

    #[test]
    fn document_that_is_not_a_key_set_is_refused() {
        let empty = parse(br#"{"keys":[]}"#).unwrap_err();
        assert_eq!(empty, DocumentError::NoUsableKey);
        for bad in [&b""[..], b"{}", b"[]", br#"{"keys":{}}"#, br#"{"keys":[],"keys":[]}"#, b"<html>", b"\xff"] {
            assert_eq!(parse(bad).unwrap_err(), DocumentError::Malformed, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_document_is_refused_without_panic(bytes in any::<Vec<u8>>()) {
            prop_assert!(parse(&bytes).is_err());
        }

        #[test]
        fn damaged_document_never_panics_or_exceeds_its_limits(
            at in any::<prop::sample::Index>(),
            by in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut document = json!({"keys": [pool_key().jwk(), other_key().jwk()]}).to_string().into_bytes();
            prop_assert!(parse(&document[..cut.index(document.len())]).is_err());
            let at = at.index(document.len());
            document[at] = by;
            if let Ok(keys) = parse(&document) {
                prop_assert!((1..=2).contains(&keys.len()));
            }
        }
    }
}
