//! Value types: a value that exists has been parsed. Each prints redacted, and is normalised for search in one place.

mod address;
mod email;
mod macros;
mod name;
mod phone;
mod postal;
mod quiet;
mod text;

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

pub use address::{Address, CountryCode, PostalCode};
pub use email::Email;
pub use name::PersonName;
pub use phone::{GivenPhone, Phone};
pub use quiet::{object, text};
pub use text::{LongText, ShortText, Text};

/// Why a text is not a value of its type: what was expected, never what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct InvalidValue(pub &'static str);

/// A value that is one text: what [`phi_text!`](crate::phi_text) builds on.
pub trait PhiText: Sized {
    /// What the type holds, as the end of "expected …": in error messages and in the API's description.
    const EXPECTED: &'static str;
    /// Bounds of the accepted text, in Unicode scalar values: for the API's schema.
    const LENGTH: std::ops::RangeInclusive<usize>;
    /// A keyword of JSON Schema that says more of its form, with its value, where one does: for the API's schema.
    const FORM: Option<(&'static str, &'static str)> = None;

    /// # Errors
    /// [`InvalidValue`].
    fn parse(text: &str) -> Result<Self, InvalidValue>;

    /// The plaintext.
    fn as_str(&self) -> &str;
}

/// What [`printable`] takes, as a pattern: one character at least that is no space.
pub(crate) const PRINTABLE: (&str, &str) = (
    "pattern",
    r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffd-\uffff]*[^\s\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffd-\uffff][^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffd-\uffff]*$",
);

/// Trims, and accepts `length` characters that all print: no control characters, line breaks or bidirectional
/// overrides (which make a text read as another).
pub(crate) fn printable(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<&str> {
    let text = text.trim();
    // Checked first, so that a huge text is not walked.
    if text.len() > length.end().saturating_mul(4) || !length.contains(&text.chars().count()) {
        return None;
    }
    let prints =
        |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().all(prints).then_some(text)
}

/// Version 2 of how texts are normalised for search: Unicode's NFKC and full case folding (`CaseFolding.txt`, C and F) until neither
/// changes anything, with every run of white space one space. Part of the format of search tokens: docs/encryption.md.
pub(crate) fn folded(text: &str) -> String {
    let mut folded = text.nfkc().collect::<String>();
    loop {
        let again: String = folded.nfd().default_case_fold().nfkc().collect();
        if again == folded {
            return folded.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        folded = again;
    }
}

/// Version 1: lower case, with every run of white space one space. Texts composed differently differ. Never edited: stored tokens
/// were made by it.
pub(crate) fn folded_v1(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.chars().flat_map(char::to_lowercase));
    }
    folded
}

/// What stands for the hidden part of a masked value; the same length whatever it hides.
pub(crate) const MASK: &str = "***";
