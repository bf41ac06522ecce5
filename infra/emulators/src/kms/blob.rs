//! The ciphertext blob, and the associated data of an encryption context.
//!
//! ```text
//! 0      1 byte    format, 1
//! 1     16 bytes   key id
//! 17     4 bytes   version of the key's material, big-endian, from 0
//! 21    12 bytes   nonce
//! 33     n bytes   AES-256-GCM ciphertext
//! 33+n  16 bytes   tag
//! ```
//! Associated data: bytes 0 to 20, then the context's pairs in the order of their names, each name and value preceded by its
//! length (4 bytes, big-endian). AWS documents no format; callers treat the blob as opaque.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use uuid::Uuid;

use super::error::{KmsError, Result};

/// An encryption context. It is sorted, so that the caller's order does not matter.
pub(super) type Context = BTreeMap<String, String>;

const FORMAT: u8 = 1;
const HEADER_LEN: usize = 21;
const TAG_LEN: usize = 16;

/// The readable part of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) key: Uuid,
    pub(super) version: u32,
}

impl Header {
    pub(super) fn read(blob: &[u8]) -> Result<Self> {
        let header: &[u8; HEADER_LEN] = blob
            .first_chunk()
            .filter(|_| blob.len() >= HEADER_LEN + NONCE_LEN + TAG_LEN)
            .ok_or_else(KmsError::invalid_ciphertext)?;
        let [FORMAT, rest @ ..] = header else {
            return Err(KmsError::invalid_ciphertext());
        };
        let mut key = [0; 16];
        let mut version = [0; 4];
        key.copy_from_slice(&rest[..16]);
        version.copy_from_slice(&rest[16..]);
        Ok(Self { key: Uuid::from_bytes(key), version: u32::from_be_bytes(version) })
    }

    fn write(self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend(self.key.as_bytes());
        bytes.extend(self.version.to_be_bytes());
        bytes
    }
}

pub(super) fn seal(header: Header, material: &[u8], context: &Context, plaintext: &[u8]) -> Result<Vec<u8>> {
    let mut blob = header.write();
    let aad = associated(&blob, context);
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).map_err(|_| KmsError::internal("no random bytes"))?;
    let mut sealed = plaintext.to_vec();
    aes(material)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut sealed)
        .map_err(|_| KmsError::internal("sealing failed"))?;
    blob.extend(nonce);
    blob.extend(sealed);
    Ok(blob)
}

/// Decrypts a blob whose header has been read. Every failure gives the same error.
pub(super) fn open(material: &[u8], context: &Context, blob: &[u8]) -> Result<Vec<u8>> {
    let refused = KmsError::invalid_ciphertext;
    let (header, rest) = blob.split_at_checked(HEADER_LEN).ok_or_else(refused)?;
    let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or_else(refused)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
    let mut buffer = sealed.to_vec();
    let plaintext =
        aes(material)?.open_in_place(nonce, Aad::from(associated(header, context)), &mut buffer).map_err(|_| refused())?;
    Ok(plaintext.to_vec())
}

fn aes(material: &[u8]) -> Result<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, material)
        .map(LessSafeKey::new)
        .map_err(|_| KmsError::internal("stored key material is not 32 bytes"))
}

fn associated(header: &[u8], context: &Context) -> Vec<u8> {
    let mut bytes = header.to_vec();
    for text in context.iter().flat_map(|(name, value)| [name, value]) {
        // INVARIANT: a request's body is limited to 2 MB, far below 4 GB.
        bytes.extend((text.len() as u32).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(pairs: &[(&str, &str)]) -> Context {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let header = Header { key: Uuid::from_bytes([7; 16]), version: 3 };
        let material = [9; 32];
        let blob = seal(header, &material, &context(&[("tenant", "a")]), b"text").unwrap();
        assert_eq!(Header::read(&blob).unwrap(), header);
        for bit in 0..blob.len() * 8 {
            let mut tampered = blob.clone();
            tampered[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&material, &context(&[("tenant", "a")]), &tampered).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn contexts_with_equal_concatenations_are_different() {
        let header = Header { key: Uuid::from_bytes([7; 16]), version: 0 };
        let material = [9; 32];
        let blob = seal(header, &material, &context(&[("ab", "c")]), b"text").unwrap();
        assert!(open(&material, &context(&[("a", "bc")]), &blob).is_err());
        assert!(open(&material, &context(&[]), &blob).is_err());
        assert_eq!(open(&material, &context(&[("ab", "c")]), &blob).unwrap(), b"text");
    }

    #[test]
    fn truncated_blob_is_refused() {
        let header = Header { key: Uuid::from_bytes([7; 16]), version: 0 };
        let blob = seal(header, &[9; 32], &Context::new(), b"").unwrap();
        for length in 0..blob.len() {
            assert!(Header::read(&blob[..length]).is_err(), "{length} bytes");
        }
    }
}
