//! Value types. A value of these types has been parsed. Each type prints redacted, and defines its normalisation for search in
//! one place.

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

/// The reason why a text is not a value of its type. It names the expected form and never quotes the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct InvalidValue(pub &'static str);

/// A value that is one text. [`phi_text!`](crate::phi_text) builds on this trait.
pub trait PhiText: Sized {
    /// A description of the type that completes "expected …", in error messages and in the API's description.
    const EXPECTED: &'static str;
    /// Bounds of the accepted text, in Unicode scalar values, for the API's schema.
    const LENGTH: std::ops::RangeInclusive<usize>;
    /// A JSON Schema keyword that describes the form further, with its value, for the API's schema.
    const FORM: Option<(&'static str, &'static str)> = None;

    /// # Errors
    /// [`InvalidValue`].
    fn parse(text: &str) -> Result<Self, InvalidValue>;

    /// The plaintext.
    fn as_str(&self) -> &str;
}

/// The texts that [`printable`] accepts, as a pattern: at least one character that is not white space.
pub(crate) const PRINTABLE: (&str, &str) = (
    "pattern",
    r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffd-\uffff]*[^\s\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffd-\uffff][^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffd-\uffff]*$",
);

/// Trims the text and accepts it if it has `length` characters and all of them print. Control characters, line breaks and
/// bidirectional overrides (which make a text look like a different one) are refused.
pub(crate) fn printable(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<&str> {
    let text = text.trim();
    // The byte length is checked first, so that the characters of a huge text are not counted.
    if text.len() > length.end().saturating_mul(4) || !length.contains(&text.chars().count()) {
        return None;
    }
    let prints =
        |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().all(prints).then_some(text)
}

/// Version 2 of the normalisation for search: Unicode's NFKC and full case folding (`CaseFolding.txt`, C and F), repeated until
/// neither changes the text. Every run of white space becomes one space. This is part of the format of search tokens:
/// docs/encryption.md.
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

/// Version 1: lower case, and every run of white space becomes one space. Texts in different Unicode compositions differ. Never
/// edit it, because stored tokens were made by it.
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

/// Replaces the hidden part of a masked value; it has the same length for every hidden part.
pub(crate) const MASK: &str = "***";
