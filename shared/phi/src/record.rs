use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, Nonce};
use zeroize::{Zeroize, Zeroizing};

use crate::disclosure::{PhiValue, Plain};
use crate::format::{COMMITMENT_LEN, Frame, SALT_LEN, TAG_LEN, Writer};
use crate::place::Binding;
use crate::{FieldNumber, KeyVersion, OpenError, SealError, SealedBytes};

/// Seals the fields of one write of one record. [`finish`](Self::finish) consumes it and it cannot be cloned, so its
/// key, and with it each nonce, serves one write only.
pub struct RecordSealer {
    key: LessSafeKey,
    binding: Binding,
    record: Writer,
    last: Option<FieldNumber>,
    scratch: Scratch,
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
        Self { key, binding, record, last: None, scratch: Scratch::default() }
    }

    /// # Errors
    /// [`SealError::FieldOrder`] unless `number` is above every number before it; [`SealError::FieldTooLong`] from 4 GiB.
    pub fn field(&mut self, number: FieldNumber, plaintext: &[u8]) -> Result<(), SealError> {
        if self.last >= Some(number) {
            return Err(SealError::FieldOrder);
        }
        let (ciphertext, tag) = self.record.field(number, plaintext.len()).ok_or(SealError::FieldTooLong)?;
        self.last = Some(number);
        let aad = self.binding.field(number);
        self.key
            .seal_out_of_place_scatter(nonce(number.get()), aad, plaintext, ciphertext, &[], tag)
            .map_err(|_| SealError::Library)
    }

    /// Seals `value` as JSON; an absent one (`None`) takes no room at all.
    ///
    /// # Errors
    /// As [`field`](Self::field); [`SealError::Encode`] when `value` does not serialise.
    pub fn value<T: PhiValue>(&mut self, number: FieldNumber, value: &T) -> Result<(), SealError> {
        if value.is_absent() {
            return Ok(());
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.0.clear();
        serde_json::to_writer(&mut scratch, &Plain(value)).map_err(|_| SealError::Encode)?;
        let sealed = self.field(number, &scratch.0);
        self.scratch = scratch;
        sealed
    }

    /// # Errors
    /// [`SealError::Library`] when AWS-LC fails.
    pub fn finish(mut self) -> Result<SealedBytes, SealError> {
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

/// Opens the fields of one record whose key and set of fields have been verified.
pub struct RecordOpener<'a> {
    key: LessSafeKey,
    binding: RefCell<Binding>,
    sealed: &'a SealedBytes,
    /// Plaintext of one value at a time, in one allocation a record, wiped once.
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

    /// The plaintext of a field, wiped when dropped; `None` when the record was written without it.
    ///
    /// # Errors
    /// [`OpenError`] when the field is not the one that was sealed here.
    pub fn field(&self, number: FieldNumber) -> Result<Option<Zeroizing<Vec<u8>>>, OpenError> {
        let mut plaintext = Zeroizing::default();
        Ok(self.field_into(number, &mut plaintext)?.then_some(plaintext))
    }

    /// As [`field`](Self::field), into a buffer that serves many fields; answers whether the record has the field. The buffer then holds its
    /// plaintext alone; without the field, or with an error, nothing.
    ///
    /// # Errors
    /// As [`field`](Self::field).
    pub fn field_into(&self, number: FieldNumber, plaintext: &mut Zeroizing<Vec<u8>>) -> Result<bool, OpenError> {
        let Some(frame) = self.find(number) else {
            plaintext.clear();
            return Ok(false);
        };
        let len = frame.ciphertext.len();
        if plaintext.capacity() < len {
            // Growing by itself would leave the plaintext of earlier fields behind.
            plaintext.zeroize();
        }
        plaintext.resize(len, 0);
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
    /// [`OpenError`] as [`field`](Self::field), and when the plaintext is not a `T`, or missing where a `T` cannot be.
    pub fn value<T: PhiValue>(&self, number: FieldNumber) -> Result<T, OpenError> {
        let mut plaintext = self.scratch.take();
        let value = match self.field_into(number, &mut plaintext)? {
            true => serde_json::from_slice(&plaintext).map_err(|_| OpenError),
            false => T::absent().ok_or(OpenError),
        };
        self.scratch.set(plaintext);
        value
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

/// Plaintext on its way into a field. Growing wipes what it leaves behind, which `Vec` would not.
#[derive(Default)]
struct Scratch(Zeroizing<Vec<u8>>);

impl io::Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut larger = Vec::with_capacity(needed.max(2 * self.0.capacity()).max(256));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            *self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
