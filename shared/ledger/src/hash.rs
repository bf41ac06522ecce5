use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::InvalidText;

/// A SHA-256 hash; as text, 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The `previous_hash` of the first event of a chain.
    pub const ZERO: Self = Self([0; 32]);

    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(&digest::digest(&digest::SHA256, bytes))
    }

    /// SHA-256 of `parts`, one after the other.
    pub(crate) fn of_parts<const N: usize>(parts: [&[u8]; N]) -> Self {
        // Copying short input costs less than a hash context.
        let (mut whole, mut len) = ([0; 2048], 0);
        for part in parts {
            match whole.get_mut(len..len + part.len()) {
                Some(place) => place.copy_from_slice(part),
                None => return Self::of_long_parts(parts),
            }
            len += part.len();
        }
        Self::of(&whole[..len])
    }

    fn of_long_parts<const N: usize>(parts: [&[u8]; N]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        parts.iter().for_each(|part| context.update(part));
        Self::from_digest(&context.finish())
    }

    fn from_digest(digest: &digest::Digest) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// # Errors
    /// [`InvalidText`] unless it is 64 digits, lower case.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        const REFUSED: InvalidText = InvalidText("a hash is 64 lower-case hexadecimal digits");
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| REFUSED)?;
        Self::from_digits(digits).ok_or(REFUSED)
    }

    pub(crate) fn from_digits(digits: &[u8; 64]) -> Option<Self> {
        let (mut bytes, mut right) = ([0; 32], true);
        let (eights, _) = digits.as_chunks::<8>();
        let (fours, _) = bytes.as_chunks_mut::<4>();
        for (four, eight) in fours.iter_mut().zip(eights) {
            let (value, is_hex) = eight_digits(u64::from_le_bytes(*eight));
            *four = value.to_le_bytes();
            right &= is_hex;
        }
        if right { Some(Self(bytes)) } else { None }
    }

    /// The text as bytes.
    pub(crate) fn to_digits(self) -> [u8; 64] {
        let mut digits = [0; 64];
        let (pairs, _) = digits.as_chunks_mut::<2>();
        for ([high, low], byte) in pairs.iter_mut().zip(self.0) {
            (*high, *low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]);
        }
        digits
    }
}

/// Decodes eight digits into four bytes, all at once, and checks that they are lower-case hexadecimal. No sum overflows its byte.
const fn eight_digits(text: u64) -> (u32, bool) {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // Letters have bit 6 set, and their low four bits are nine less than their value.
    let letters = text >> 6 & ONES;
    let values = (text & (ONES * 0xf)) + letters * 9;
    // The text was eight hexadecimal digits if all values are below 16 and print as the same text.
    let above_nine = (values + ONES * 0x76) >> 7 & ONES;
    let written = values + ONES * b'0' as u64 + above_nine * (b'a' - b'0' - 10) as u64;
    let is_hex = written == text && values & (ONES * 0xf0) == 0;
    // Joins each pair of values into one byte, then moves the bytes together.
    let pairs = (values << 4 | values >> 8) & 0x00ff_00ff_00ff_00ff;
    let pairs = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    ((pairs | pairs >> 16) as u32, is_hex)
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        Self::parse(text)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
