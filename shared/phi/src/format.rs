use std::fmt;
use std::num::NonZeroU16;

use crate::{KeyVersion, OpenError};

pub(crate) const FORMAT: u8 = 1;
pub(crate) const SALT_LEN: usize = 32;
pub(crate) const COMMITMENT_LEN: usize = 32;
pub(crate) const TAG_LEN: usize = 16;

/// A field's number in its schema: 1 to 65535. A number is never changed and never reused for another field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldNumber(NonZeroU16);

impl FieldNumber {
    /// `None` for 0, which the format reserves for the field-set tag.
    pub const fn new(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

/// Offsets of the header. The header is everything before the fields.
const VERSION_AT: usize = 1;
const SALT_AT: usize = VERSION_AT + 4;
const COMMITMENT_AT: usize = SALT_AT + SALT_LEN;
const SET_TAG_AT: usize = COMMITMENT_AT + COMMITMENT_LEN;
pub(crate) const HEADER_LEN: usize = SET_TAG_AT + TAG_LEN;
const FIELD_HEAD_LEN: usize = 2 + 4;

/// A record in the sealed format, version 1 (see the crate's page). A value of this type is well framed, but not yet authentic:
/// only opening it verifies that.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedBytes(Vec<u8>);

/// One field as it is laid out in the record.
pub(crate) struct Frame<'a> {
    pub(crate) number: FieldNumber,
    pub(crate) ciphertext: &'a [u8],
    pub(crate) tag: &'a [u8; TAG_LEN],
}

impl SealedBytes {
    /// The bytes that a record adds to its fields.
    pub const RECORD_OVERHEAD: usize = HEADER_LEN;
    /// The bytes that a field adds to its plaintext.
    pub const FIELD_OVERHEAD: usize = FIELD_HEAD_LEN + TAG_LEN;

    /// # Errors
    /// [`OpenError`] unless the bytes are exactly one record of format 1: not another version, not truncated, no length past the
    /// end, numbers ascending, nothing after the last field.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, OpenError> {
        if bytes.len() < HEADER_LEN || bytes[0] != FORMAT {
            return Err(OpenError);
        }
        read_version(&bytes).ok_or(OpenError)?;
        let mut rest = &bytes[HEADER_LEN..];
        let mut last = None;
        while !rest.is_empty() {
            let (frame, after) = split_frame(rest).ok_or(OpenError)?;
            if last >= Some(frame.number) {
                return Err(OpenError);
            }
            last = Some(frame.number);
            rest = after;
        }
        Ok(Self(bytes))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }

    /// The version of the branch key that opens the record. It is not authenticated until the record has been opened.
    pub fn key_version(&self) -> KeyVersion {
        // INVARIANT: `parse` and `Writer` admit only records whose version can be read here.
        read_version(&self.0).unwrap_or(KeyVersion::FIRST)
    }

    pub(crate) fn salt(&self) -> Result<&[u8; SALT_LEN], OpenError> {
        self.0[SALT_AT..].first_chunk().ok_or(OpenError)
    }

    pub(crate) fn commitment(&self) -> &[u8] {
        &self.0[COMMITMENT_AT..SET_TAG_AT]
    }

    pub(crate) fn set_tag(&self) -> &[u8] {
        &self.0[SET_TAG_AT..HEADER_LEN]
    }

    pub(crate) fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        frames(&self.0)
    }
}

impl fmt::Debug for SealedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedBytes({} bytes)", self.0.len())
    }
}

fn read_version(bytes: &[u8]) -> Option<KeyVersion> {
    let number = bytes.get(VERSION_AT..)?.first_chunk()?;
    KeyVersion::new(u32::from_be_bytes(*number))
}

fn split_frame(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    let number = FieldNumber::new(u16::from_be_bytes(*number))?;
    let (len, rest) = rest.split_first_chunk()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let (ciphertext, rest) = rest.split_at_checked(len)?;
    let (tag, rest) = rest.split_first_chunk()?;
    Some((Frame { number, ciphertext, tag }, rest))
}

fn frames(bytes: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let mut rest = bytes.get(HEADER_LEN..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (frame, after) = split_frame(rest)?;
        rest = after;
        Some(frame)
    })
}

/// Lays out a record, header first; the field-set tag is filled in last.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Holds a record of a dozen short fields without growing.
    const USUAL_LEN: usize = 2048;

    pub(crate) fn new(version: KeyVersion, salt: &[u8; SALT_LEN], commitment: &[u8; COMMITMENT_LEN]) -> Self {
        let mut bytes = Vec::with_capacity(Self::USUAL_LEN);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&version.get().to_be_bytes());
        bytes.extend_from_slice(salt);
        bytes.extend_from_slice(commitment);
        bytes.extend_from_slice(&[0; TAG_LEN]);
        Self(bytes)
    }

    /// Appends a field of `len` bytes and returns the space for its ciphertext and its tag. `None` when `len` does not fit the
    /// format.
    pub(crate) fn field(&mut self, number: FieldNumber, len: usize) -> Option<(&mut [u8], &mut [u8])> {
        let len_field = u32::try_from(len).ok()?;
        let start = self.0.len() + FIELD_HEAD_LEN;
        let end = start.checked_add(len)?.checked_add(TAG_LEN)?;
        self.0.extend_from_slice(&number.get().to_be_bytes());
        self.0.extend_from_slice(&len_field.to_be_bytes());
        self.0.resize(end, 0);
        Some(self.0[start..].split_at_mut(len))
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = FieldNumber> {
        frames(&self.0).map(|frame| frame.number)
    }

    pub(crate) fn set_tag(&mut self) -> &mut [u8] {
        &mut self.0[SET_TAG_AT..HEADER_LEN]
    }

    pub(crate) fn finish(self) -> SealedBytes {
        SealedBytes(self.0)
    }
}
