//! Recovery codes: a user writes them down for the case that the authenticator is lost. Each works once.

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use common::base::random;
use std::fmt;
use zeroize::Zeroizing;

/// The number of codes that a user gets.
pub const CODES: usize = 10;
/// Crockford's base32: digits and letters that are hard to confuse.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Sixteen characters of five bits: eighty bits, which cannot be guessed.
const LENGTH: usize = 16;

/// One code. Its `Debug` is redacted, and only its SHA-256 is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    fn generate() -> Self {
        let code = random::bytes::<LENGTH>().iter().map(|b| char::from(ALPHABET[usize::from(b % 32)])).collect();
        Self(Zeroizing::new(code))
    }

    /// Parses a code as a person types it: in any case, with or without dashes and spaces (`super::typed`), with `o` for
    /// zero and `i` or `l` for one.
    pub fn parse(text: &str) -> Option<Self> {
        let typed = super::typed(text);
        let plain = typed.chars().map(|c| match c.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        });
        let code: Zeroizing<String> = Zeroizing::new(plain.collect());
        let good = code.len() == LENGTH && code.bytes().all(|b| ALPHABET.contains(&b));
        good.then_some(Self(code))
    }

    /// `xxxx-xxxx-xxxx-xxxx`.
    pub fn to_text(&self) -> String {
        let parts: Vec<_> = self.0.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
        parts.join("-")
    }

    fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref());
        hash
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

super::code_input!(RecoveryCode, "^([ -]*[0-9A-TV-Za-tv-z]){16}[ -]*$", "expected a recovery code: 16 letters and digits");

/// New codes, and their stored form: the concatenated hashes.
pub fn generate() -> (Vec<RecoveryCode>, Vec<u8>) {
    let codes: Vec<_> = (0..CODES).map(|_| RecoveryCode::generate()).collect();
    let hashes = codes.iter().flat_map(|code| code.hash()).collect();
    (codes, hashes)
}

/// The hashes without that of `code`, if it is among them. All hashes are compared, so that the time does not depend on the
/// position.
pub fn spend(hashes: &[u8], code: &RecoveryCode) -> Option<Vec<u8>> {
    let given = code.hash();
    let mut left = Vec::with_capacity(hashes.len());
    let mut found = false;
    for hash in hashes.chunks_exact(32) {
        let same = verify_slices_are_equal(hash, &given).is_ok();
        if same && !found {
            found = true;
        } else {
            left.extend_from_slice(hash);
        }
    }
    found.then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_of_ten_recovery_codes_works_once() {
        let (codes, mut hashes) = generate();
        assert_eq!((codes.len(), hashes.len()), (10, 320));
        for code in codes.iter().rev() {
            hashes = spend(&hashes, code).unwrap();
            assert_eq!(spend(&hashes, code), None);
        }
        assert!(hashes.is_empty());
        let (others, _) = generate();
        assert!(codes.iter().all(|code| !others.contains(code)));
    }

    #[test]
    fn recovery_code_is_accepted_in_any_spelling() {
        let code = RecoveryCode::parse("0123-4567-89ab-cdef").unwrap();
        for same in [
            "0123456789ABCDEF",
            " o123 4567 89ab cdef ",
            "OI23-4567-89AB-CDEF",
            "0l23456789abcdef",
            "0123\u{a0}4567\u{2013}89ab\u{2011}cdef\n",
            "０１２３-4567-89ａｂ-cdef",
        ] {
            assert_eq!(RecoveryCode::parse(same).as_ref(), Some(&code), "{same}");
        }
        for wrong in [
            "",
            "0123-4567-89ab-cde",
            "0123-4567-89ab-cdeff",
            "0123-4567-89ab-cdeu",
            "0123_4567_89ab_cdef",
            "0123-4567-89ab-cdéf",
        ] {
            assert_eq!(RecoveryCode::parse(wrong), None, "{wrong}");
        }
        assert_eq!((code.to_text().as_str(), format!("{code:?}").as_str()), ("0123-4567-89ab-cdef", "[secret]"));
    }

    proptest! {
        #[test]
        fn parser_never_panics_and_accepted_codes_round_trip(text in ".{0,80}") {
            if let Some(code) = RecoveryCode::parse(&text) {
                prop_assert_eq!(RecoveryCode::parse(&code.to_text()), Some(code));
            }
        }
    }
}
