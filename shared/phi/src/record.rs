use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, Nonce};
use zeroize::{Zeroize, Zeroizing};

use crate::disclosure::{PhiValue, Plain};
use crate::format::{COMMITMENT_LEN, Frame, SALT_LEN, TAG_LEN, Writer};
use crate::place::Binding;
use crate::{FieldNumber, FieldSpec, KeyVersion, OpenError, SealError, SealedBytes, keep_unknown};

/// Seals the fields of one write of one record. [`finish`](Self::finish) consumes it and it cannot be cloned, so its key, and
/// each nonce with it, serves only one write.
pub struct RecordSealer {
    key: LessSafeKey,
    binding: Binding,
    record: Writer,
    last: Option<FieldNumber>,
    scratch: Scratch,
    /// From the previous record: the fields that this version does not know, and the fields of which it may not know every
    /// member.
    unknown: BTreeMap<FieldNumber, Zeroizing<Vec<u8>>>,
    before: BTreeMap<FieldNumber, Zeroizing<Vec<u8>>>,
}

impl RecordSealer {
    pub(crate) fn new(
        key: LessSafeKey,
        binding: Binding,
        version: KeyVersion,
        salt: &[u8; SALT_LEN],
        commitment: &[u8; COMMITMENT_LEN],
    ) -> Self {
        let record = Writer::new(version, salt, commitment);
        let (unknown, before) = (BTreeMap::new(), BTreeMap::new());
        Self { key, binding, record, last: None, scratch: Scratch::default(), unknown, before }
    }

    /// # Errors
    /// [`SealError::FieldOrder`] unless `number` is above every number before it; [`SealError::FieldTooLong`] from 4 GiB.
    pub fn field(&mut self, number: FieldNumber, plaintext: &[u8]) -> Result<(), SealError> {
        if self.last >= Some(number) {
            return Err(SealError::FieldOrder);
        }
        while let Some(entry) = self.unknown.first_entry().filter(|entry| *entry.key() < number) {
            let (number, plaintext) = entry.remove_entry();
            self.write(number, &plaintext)?;
        }
        self.write(number, plaintext)
    }

    fn write(&mut self, number: FieldNumber, plaintext: &[u8]) -> Result<(), SealError> {
        let (ciphertext, tag) = self.record.field(number, plaintext.len()).ok_or(SealError::FieldTooLong)?;
        self.last = Some(number);
        let aad = self.binding.field(number);
        self.key
            .seal_out_of_place_scatter(nonce(number.get()), aad, plaintext, ciphertext, &[], tag)
            .map_err(|_| SealError::Library)
    }

    /// Seals `value` as JSON. An absent value (`None`) adds no bytes.
    ///
    /// # Errors
    /// As [`field`](Self::field); [`SealError::Encode`] when `value` does not serialise.
    pub fn value<T: PhiValue>(&mut self, number: FieldNumber, value: &T) -> Result<(), SealError> {
        if value.is_absent() {
            return Ok(());
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.0.clear();
        match self.before.remove(&number) {
            Some(before) => write_over(&mut scratch, &before, value)?,
            None => serde_json::to_writer(&mut scratch, &Plain(value)).map_err(|_| SealError::Encode)?,
        }
        let sealed = self.field(number, &scratch.0);
        self.scratch = scratch;
        sealed
    }

    /// Keeps the data of `opened` that `known` does not list: whole fields, and unknown members of known fields that are objects.
    pub(crate) fn keep(&mut self, opened: &RecordOpener<'_>, known: &[FieldSpec]) -> Result<(), SealError> {
        for number in opened.numbers() {
            let plaintext = opened.field(number).ok().flatten().ok_or(SealError::Before)?;
            if !known.iter().any(|field| field.number == number) {
                self.unknown.insert(number, plaintext);
            } else if plaintext.first() == Some(&b'{') {
                self.before.insert(number, plaintext);
            }
        }
        Ok(())
    }

    /// # Errors
    /// [`SealError::Library`] when AWS-LC fails.
    pub fn finish(mut self) -> Result<SealedBytes, SealError> {
        for (number, plaintext) in std::mem::take(&mut self.unknown) {
            self.write(number, &plaintext)?;
        }
        let aad = self.binding.field_set(self.record.numbers());
        self.key
            .seal_out_of_place_scatter(nonce(0), aad, &[], &mut [], &[], self.record.set_tag())
            .map_err(|_| SealError::Library)?;
        Ok(self.record.finish())
    }
}

impl fmt::Debug for RecordSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordSealer")
    }
}

/// Writes `value` together with those members of the object `before` that its type does not know.
fn write_over<T: PhiValue>(out: &mut Scratch, before: &[u8], value: &T) -> Result<(), SealError> {
    let known: T = serde_json::from_slice(before).map_err(|_| SealError::Before)?;
    let mut read = Scratch::default();
    serde_json::to_writer(&mut read, &Plain(&known)).map_err(|_| SealError::Encode)?;
    if read.0.as_slice() == before {
        // The usual case. It copies nothing into memory that would not be wiped.
        return serde_json::to_writer(out, &Plain(value)).map_err(|_| SealError::Encode);
    }
    let json = |bytes: &[u8]| serde_json::from_slice(bytes).map_err(|_| SealError::Before);
    let mut new = serde_json::to_value(Plain(value)).map_err(|_| SealError::Encode)?;
    keep_unknown(&json(before)?, &json(&read.0)?, &mut new);
    serde_json::to_writer(out, &new).map_err(|_| SealError::Encode)
}

/// Opens the fields of one record whose key and set of fields have been verified.
pub struct RecordOpener<'a> {
    key: LessSafeKey,
    binding: RefCell<Binding>,
    sealed: &'a SealedBytes,
    /// The plaintext of one value at a time. A record needs one allocation, which is wiped once.
    scratch: Cell<Zeroizing<Vec<u8>>>,
}

impl<'a> RecordOpener<'a> {
    pub(crate) fn new(key: LessSafeKey, mut binding: Binding, sealed: &'a SealedBytes) -> Result<Self, OpenError> {
        let aad = binding.field_set(sealed.frames().map(|frame| frame.number));
        key.open_separate_gather(nonce(0), aad, &[], sealed.set_tag(), &mut []).map_err(|_| OpenError)?;
        Ok(Self { key, binding: RefCell::new(binding), sealed, scratch: Cell::default() })
    }

    pub fn has(&self, number: FieldNumber) -> bool {
        self.find(number).is_some()
    }

    /// The plaintext of a field, wiped when dropped; `None` when the record was written without the field.
    ///
    /// # Errors
    /// [`OpenError`] when the field is not the one that was sealed at this place.
    pub fn field(&self, number: FieldNumber) -> Result<Option<Zeroizing<Vec<u8>>>, OpenError> {
        let mut plaintext = Zeroizing::default();
        Ok(self.field_into(number, &mut plaintext)?.then_some(plaintext))
    }

    /// Like [`field`](Self::field), into a buffer that serves many fields. Returns whether the record has the field. Afterwards
    /// the buffer holds only the plaintext of this field; it is empty if the field is missing or an error occurred.
    ///
    /// # Errors
    /// As [`field`](Self::field).
    pub fn field_into(&self, number: FieldNumber, plaintext: &mut Zeroizing<Vec<u8>>) -> Result<bool, OpenError> {
        let Some(frame) = self.find(number) else {
            plaintext.clear();
            return Ok(false);
        };
        resize(plaintext, frame.ciphertext.len(), |plaintext| plaintext.zeroize());
        let mut binding = self.binding.try_borrow_mut().map_err(|_| OpenError)?;
        let aad = binding.field(number);
        let opened =
            self.key.open_separate_gather(nonce(number.get()), aad, frame.ciphertext, frame.tag, plaintext.as_mut_slice());
        opened.map(|()| true).map_err(|_| {
            plaintext.zeroize();
            OpenError
        })
    }

    /// A value that [`RecordSealer::value`] sealed.
    ///
    /// # Errors
    /// [`OpenError`] as [`field`](Self::field), and when the plaintext is not a `T`, or the field is missing and `T` has no
    /// absent value.
    pub fn value<T: PhiValue>(&self, number: FieldNumber) -> Result<T, OpenError> {
        let mut plaintext = self.scratch.take();
        let value = match self.field_into(number, &mut plaintext)? {
            true => serde_json::from_slice(&plaintext).map_err(|_| OpenError),
            false => T::absent().ok_or(OpenError),
        };
        self.scratch.set(plaintext);
        value
    }

    /// The numbers of all fields, known and unknown.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = FieldNumber> {
        self.sealed.frames().map(|frame| frame.number)
    }

    fn find(&self, number: FieldNumber) -> Option<Frame<'a>> {
        self.sealed.frames().find(|frame| frame.number == number)
    }
}

impl fmt::Debug for RecordOpener<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordOpener")
    }
}

/// The deterministic 96-bit nonce of a field: its number, big-endian.
fn nonce(number: u16) -> Nonce {
    debug_assert_eq!(AES_256_GCM.tag_len(), TAG_LEN);
    let mut bytes = [0; 12];
    bytes[10..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// The plaintext of a field that is being written. Growing wipes the old memory, which `Vec` would not do.
#[derive(Default)]
struct Scratch(Zeroizing<Vec<u8>>);

impl io::Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        append(&mut self.0, bytes, |plaintext| plaintext.zeroize());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sets the length of `plaintext`. When `Vec` grows, it leaves the plaintext of earlier fields in the old memory, so that is
/// wiped first.
fn resize(plaintext: &mut Vec<u8>, len: usize, wipe: impl FnOnce(&mut Vec<u8>)) {
    if plaintext.capacity() < len {
        wipe(plaintext);
    }
    plaintext.resize(len, 0);
}

/// Appends to `plaintext`. If it must move to larger memory, it wipes the old memory.
fn append(plaintext: &mut Vec<u8>, bytes: &[u8], wipe: impl FnOnce(&mut Vec<u8>)) {
    let needed = plaintext.len().saturating_add(bytes.len());
    if needed > plaintext.capacity() {
        let mut larger = Vec::with_capacity(needed.max(2 * plaintext.capacity()).max(256));
        larger.extend_from_slice(plaintext);
        wipe(plaintext);
        *plaintext = larger;
    }
    plaintext.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// The old buffer is wiped before it is freed, while it still holds the plaintext.
    #[test]
    fn buffer_is_wiped_before_it_moves_to_larger_memory() {
        for grow in [append_a_hundred as fn(&mut Vec<u8>, &mut Vec<Vec<u8>>), resize_to_a_hundred] {
            let mut plaintext = Vec::with_capacity(4);
            plaintext.extend_from_slice(b"phi");
            let (at, mut wiped) = (plaintext.as_ptr(), Vec::new());
            grow(&mut plaintext, &mut wiped);
            assert_eq!(wiped, [b"phi"], "wiped once, and before the move");
            assert_ne!(plaintext.as_ptr(), at);
            assert!(plaintext.len() >= 100);
        }
    }

    fn append_a_hundred(plaintext: &mut Vec<u8>, wiped: &mut Vec<Vec<u8>>) {
        append(plaintext, &[1; 100], |buffer| wiped.push(std::mem::take(buffer)));
        assert_eq!(&plaintext[..4], b"phi\x01");
    }

    fn resize_to_a_hundred(plaintext: &mut Vec<u8>, wiped: &mut Vec<Vec<u8>>) {
        resize(plaintext, 100, |buffer| wiped.push(std::mem::take(buffer)));
        assert_eq!(*plaintext, [0; 100]);
    }

    #[test]
    fn buffer_with_enough_capacity_is_not_wiped() {
        let mut plaintext = Vec::with_capacity(16);
        append(&mut plaintext, b"phi", |_| panic!("the capacity is enough"));
        resize(&mut plaintext, 8, |_| panic!("the capacity is enough"));
        assert_eq!(plaintext, b"phi\0\0\0\0\0");
        let room = vec![1; plaintext.capacity() - 8];
        append(&mut plaintext, &room, |_| panic!("the capacity is just enough"));
        assert_eq!(plaintext.len(), plaintext.capacity());
    }

    #[test]
    fn scratch_keeps_everything_that_is_written_to_it() {
        let mut scratch = Scratch::default();
        for n in 0..200_u8 {
            scratch.write_all(&[n; 7]).unwrap();
        }
        assert!(scratch.0.chunks(7).zip(0..).all(|(chunk, n)| chunk == [n; 7]));
    }
}
