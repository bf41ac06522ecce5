use aws_lc_rs::aead::Aad;

use crate::format::{FORMAT, FieldNumber, SALT_LEN};
use crate::{KeyVersion, SealError};

const LABEL: &[u8] = b"cloister/record/v1";
/// Offset of the associated data in [`Binding`]: after the label.
const AAD_AT: usize = 2 + LABEL.len();

/// The location of a record. A sealed record opens only at its own place.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub tenant: &'a str,
    pub table: &'a str,
    pub record: &'a str,
}

impl Place<'_> {
    /// Longest tenant, table or record name, in bytes.
    pub const MAX_PART: usize = 128;
}

/// The data to which every key and every field of one record is bound, in one allocation a record. It holds the input of the key
/// derivation first. The associated data, which begins with the same place, then overwrites the end of that input.
pub(crate) struct Binding {
    bytes: Vec<u8>,
    number_at: usize,
    field_end: usize,
}

impl Binding {
    /// Also returns the result of `derive` on the input of the key derivation: label, tenant, table, record, key version, salt.
    pub(crate) fn new<T>(
        place: &Place<'_>,
        version: KeyVersion,
        salt: &[u8; SALT_LEN],
        derive: impl FnOnce(&[u8]) -> T,
    ) -> Result<(Self, T), SealError> {
        let version = version.get().to_be_bytes();
        let parts = [place.tenant, place.table, place.record];
        if parts.iter().any(|part| part.is_empty() || part.len() > Place::MAX_PART) {
            return Err(SealError::Place);
        }
        let parts_len: usize = parts.iter().map(|part| 2 + part.len()).sum();
        // Space for the salt. The numbers of 20 fields fit into the same space afterwards.
        let mut bytes = Vec::with_capacity(AAD_AT + parts_len + 64);
        push(&mut bytes, LABEL)?;
        for part in parts {
            push(&mut bytes, part.as_bytes())?;
        }
        let place_end = bytes.len();
        push(&mut bytes, &version)?;
        push(&mut bytes, salt)?;
        let derived = derive(&bytes);

        bytes.truncate(place_end);
        push(&mut bytes, &[0, 0])?;
        push(&mut bytes, &version)?;
        push(&mut bytes, &[FORMAT])?;
        Ok((Self { number_at: place_end + 2, field_end: bytes.len(), bytes }, derived))
    }

    /// The associated data of a field: tenant, table, record, field number, key version, format version.
    pub(crate) fn field(&mut self, number: FieldNumber) -> Aad<&[u8]> {
        self.number(number.get());
        Aad::from(&self.bytes[AAD_AT..self.field_end])
    }

    /// The associated data of the field-set tag: that of a field with the number 0, then the count of the fields (u16), then
    /// their numbers. No field has the number 0, so no field has the same associated data.
    pub(crate) fn field_set(&mut self, numbers: impl Iterator<Item = FieldNumber>) -> Aad<&[u8]> {
        self.number(0);
        let count_at = self.field_end;
        self.bytes.truncate(count_at);
        self.bytes.extend_from_slice(&[0, 0]);
        let mut count: u16 = 0;
        for number in numbers {
            // INVARIANT: numbers ascend from 1 to 65535, so there are at most 65535 of them.
            count = count.saturating_add(1);
            self.bytes.extend_from_slice(&number.get().to_be_bytes());
        }
        self.bytes[count_at..count_at + 2].copy_from_slice(&count.to_be_bytes());
        Aad::from(&self.bytes[AAD_AT..])
    }

    fn number(&mut self, number: u16) {
        self.bytes[self.number_at..self.number_at + 2].copy_from_slice(&number.to_be_bytes());
    }
}

/// Appends an item after its length, so that two different lists of items never give the same bytes.
fn push(bytes: &mut Vec<u8>, item: &[u8]) -> Result<(), SealError> {
    let len = u16::try_from(item.len()).map_err(|_| SealError::Place)?;
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(item);
    Ok(())
}
