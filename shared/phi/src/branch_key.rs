use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, rand};
use zeroize::Zeroizing;

use crate::format::{COMMITMENT_LEN, SALT_LEN};
use crate::place::Binding;
use crate::record::{RecordOpener, RecordSealer};
use crate::{KeyVersion, OpenError, Place, SealError, SealedBytes};

/// One version of a tenant's branch key. Each record's own key is derived from it.
///
/// The constructor turns the 32 bytes into a ready HMAC-SHA-512 key and wipes them; AWS-LC wipes the HMAC key when this is
/// dropped.
pub struct BranchKey {
    version: KeyVersion,
    derive: hmac::Key,
}

/// The keys that a branch key and one salt give at one place.
struct Derived {
    key: LessSafeKey,
    commitment: [u8; COMMITMENT_LEN],
    binding: Binding,
}

impl BranchKey {
    pub fn new(version: KeyVersion, bytes: Zeroizing<[u8; 32]>) -> Self {
        let derive = hmac::Key::new(hmac::HMAC_SHA512, bytes.as_slice());
        Self { version, derive }
    }

    pub fn version(&self) -> KeyVersion {
        self.version
    }

    /// A sealer for one write of the record at `place`, under a key that no other write uses.
    ///
    /// # Errors
    /// [`SealError::Place`] for an empty or overlong part, [`SealError::Library`] when the system gives no random numbers.
    pub fn sealer(&self, place: &Place<'_>) -> Result<RecordSealer, SealError> {
        let mut salt = [0; SALT_LEN];
        rand::fill(&mut salt).map_err(|_| SealError::Library)?;
        self.sealer_with_salt(place, &salt)
    }

    /// Reusing a salt at one place reuses nonces, so only [`sealer`](Self::sealer) and known-answer tests call this.
    pub(crate) fn sealer_with_salt(&self, place: &Place<'_>, salt: &[u8; SALT_LEN]) -> Result<RecordSealer, SealError> {
        let Derived { key, commitment, binding } = self.derive(place, salt)?;
        Ok(RecordSealer::new(key, binding, self.version, salt, &commitment))
    }

    /// An opener for `sealed`. It first verifies that the key commitment and the set of fields were written at `place`.
    ///
    /// # Errors
    /// [`OpenError`] for another place, another key, or an altered record.
    pub fn opener<'a>(&self, place: &Place<'_>, sealed: &'a SealedBytes) -> Result<RecordOpener<'a>, OpenError> {
        if sealed.key_version() != self.version {
            return Err(OpenError);
        }
        let Derived { key, commitment, binding } = self.derive(place, sealed.salt()?).map_err(|_| OpenError)?;
        verify_slices_are_equal(&commitment, sealed.commitment()).map_err(|_| OpenError)?;
        RecordOpener::new(key, binding, sealed)
    }

    fn derive(&self, place: &Place<'_>, salt: &[u8; SALT_LEN]) -> Result<Derived, SealError> {
        let mut output = Zeroizing::new([0; 64]);
        let sign = |input: &[u8]| hmac::sign_to_buffer(&self.derive, input, output.as_mut_slice()).map(drop);
        let (binding, signed) = Binding::new(place, self.version, salt, sign)?;
        signed.map_err(|_| SealError::Library)?;
        let (key, commitment) = output.split_at(32);
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| SealError::Library)?;
        let commitment = *commitment.first_chunk().ok_or(SealError::Library)?;
        Ok(Derived { key: LessSafeKey::new(key), commitment, binding })
    }
}

impl fmt::Debug for BranchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BranchKey").field("version", &self.version.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FieldNumber, field_number};

    /// An independent implementation in another language made this record from docs/encryption.md: branch key 00 to 1f, version
    /// 7, salt a0 to bf; field 1 `"1Z12345E0205271688"` (a made-up number), field 2 empty, field 300 longer than two blocks.
    const RECORD: &str = concat!(
        "01",
        "00000007",
        "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf",
        "5e1ad21d68d0f0572aca916fbd0d50c5794d0ba8171675983c3d160def1b47c5",
        "658891788ddd66d1e1e863b8f72a6803",
        "0001",
        "00000014",
        "964ac5b433d6bf376824d8e70ac3312cb006441d",
        "b6a8bbaf8480954022fb134d8fadf6f2",
        "0002",
        "00000000",
        "838d67c020b8a034017d1358acd255d0",
        "012c",
        "00000026",
        "f75e65f77d59e07ae644312caea4465e37de2016f463dd1e96e8e09a87e5f28da3e98da2dd49",
        "5d67fc653c41b228331a463d263ee153",
    );

    const PLACE: Place<'_> = Place { tenant: "ten_a", table: "shipments", record: "shp_1" };
    const PLAINTEXTS: [(FieldNumber, &[u8]); 3] = [
        (field_number!(1), b"\"1Z12345E0205271688\""),
        (field_number!(2), b""),
        (field_number!(300), b"a plaintext of more than one AES block"),
    ];

    fn key() -> BranchKey {
        let bytes = std::array::from_fn(|n| n as u8);
        BranchKey::new(KeyVersion::new(7).unwrap(), Zeroizing::new(bytes))
    }

    #[test]
    fn sealing_produces_the_frozen_format() {
        let salt = std::array::from_fn(|n| 0xa0 + n as u8);
        let mut sealer = key().sealer_with_salt(&PLACE, &salt).unwrap();
        for (number, plaintext) in PLAINTEXTS {
            sealer.field(number, plaintext).unwrap();
        }
        let sealed = sealer.finish().unwrap();
        let hex: String = sealed.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, RECORD);
    }

    #[test]
    fn opening_reads_the_frozen_format() {
        let bytes = (0..RECORD.len()).step_by(2).map(|at| u8::from_str_radix(&RECORD[at..at + 2], 16).unwrap());
        let sealed = SealedBytes::parse(bytes.collect()).unwrap();
        let opener = key().opener(&PLACE, &sealed).unwrap();
        for (number, plaintext) in PLAINTEXTS {
            assert_eq!(opener.field(number).unwrap().unwrap().as_slice(), plaintext);
        }
    }
}
