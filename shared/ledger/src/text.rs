use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text does not have the form that its member of the event requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidText(pub &'static str);

macro_rules! as_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// An id, a field's name or a code: 1 to 128 printable ASCII characters without space, `"` and `\`. Ordinary sentences do not
/// fit, so no free text reaches the log through a word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(Cow<'static, str>);

impl Word {
    /// Longest word, in bytes.
    pub const MAX_LEN: usize = 128;

    /// # Errors
    /// [`InvalidText`].
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidText> {
        let text = text.into();
        if is_word(text.as_bytes()) {
            Ok(Self(Cow::Owned(text)))
        } else {
            Err(InvalidText("expected 1 to 128 printable ASCII characters without spaces and quotes"))
        }
    }

    /// For literals: `const CREATE: Word = Word::literal("createShipment");`
    ///
    /// # Panics
    /// When the literal is not a word; in a `const`, this is a compile error.
    pub const fn literal(text: &'static str) -> Self {
        assert!(is_word(text.as_bytes()), "not a word");
        Self(Cow::Borrowed(text))
    }

    /// Converts a text to a word: `_` replaces every character that is not allowed, the text is cut to 128 characters, and the
    /// empty text becomes `_`. For external texts that must be recorded in any form, and for ids that are known to fit.
    pub fn clean(text: &str) -> Self {
        let clean = |c: char| if c.is_ascii() && is_word_byte(c as u8) { c } else { '_' };
        let text: String = text.chars().take(Self::MAX_LEN).map(clean).collect();
        Self(if text.is_empty() { Cow::Borrowed("_") } else { Cow::Owned(text) })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

as_text!(Word);

impl From<EventType> for Word {
    fn from(event_type: EventType) -> Self {
        Self(event_type.0)
    }
}

const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

const fn is_word(text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        if !is_word_byte(text[at]) {
            return false;
        }
        at += 1;
    }
    !text.is_empty() && text.len() <= Word::MAX_LEN
}

/// The kind of event: `noun.verb`, such as `shipment.created`; lower-case letters, digits and `_`, at most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Cow<'static, str>);

impl EventType {
    /// # Errors
    /// [`InvalidText`].
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidText> {
        let text = text.into();
        if is_noun_verb(text.as_bytes()) {
            Ok(Self(Cow::Owned(text)))
        } else {
            Err(InvalidText("expected an event type such as `shipment.created`"))
        }
    }

    /// For literals, like [`Word::literal`].
    ///
    /// # Panics
    /// When the literal is not `noun.verb`; in a `const`, this is a compile error.
    pub const fn literal(text: &'static str) -> Self {
        assert!(is_noun_verb(text.as_bytes()), "not `noun.verb`");
        Self(Cow::Borrowed(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

as_text!(EventType);

/// Whether `text` is an IPv6 address in the form of RFC 5952 section 4. That is the output of `Ipv6Addr`, except for addresses
/// that stand for an IPv4 address and print with dots.
pub(crate) fn is_rfc_5952(text: &[u8]) -> bool {
    let (mut segments, mut count, mut gap, mut rest) = ([0_u16; 8], 0, None, text);
    if let Some(after) = rest.strip_prefix(b"::") {
        (gap, rest) = (Some(0), after);
    }
    while !rest.is_empty() || gap != Some(count) {
        let digits = rest.iter().take(4).take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).count();
        let (group, after) = rest.split_at(digits);
        if count == segments.len() || digits == 0 || (digits > 1 && group.starts_with(b"0")) {
            return false;
        }
        let value = |byte: &u8| u16::from(if *byte < b'a' { byte - b'0' } else { byte - b'a' + 10 });
        segments[count] = group.iter().fold(0, |segment, digit| segment << 4 | value(digit));
        count += 1;
        rest = after;
        if rest.is_empty() {
            break;
        }
        if let Some(after) = rest.strip_prefix(b"::") {
            if gap.replace(count).is_some() {
                return false;
            }
            rest = after;
        } else if let Some(after) = rest.strip_prefix(b":").filter(|after| !after.is_empty()) {
            rest = after;
        } else {
            return false;
        }
    }
    let left_out = segments.len() - count;
    let shortened = gap.map_or(0..0, |gap| gap..gap + left_out);
    if gap.is_some() != (left_out > 0) {
        return false;
    }
    segments[shortened.start..].rotate_right(left_out);
    // The first of the longest runs of at least two zeros.
    let (mut zeros, mut run) = (0..0, 0..0);
    for (n, segment) in segments.iter().enumerate() {
        run = if *segment != 0 { n + 1..n + 1 } else { run.start..n + 1 };
        if run.len() > zeros.len().max(1) {
            zeros = run.clone();
        }
    }
    zeros == shortened && !segments.starts_with(&[0, 0, 0, 0, 0, 0xffff])
}

/// Two names with one dot between them; each begins with a letter.
pub(crate) const fn is_noun_verb(text: &[u8]) -> bool {
    let (mut dots, mut begins, mut at) = (0, true, 0);
    while at < text.len() {
        match text[at] {
            b'a'..=b'z' => begins = false,
            b'0'..=b'9' | b'_' if !begins => {}
            b'.' if !begins => {
                dots += 1;
                begins = true;
            }
            _ => return false,
        }
        at += 1;
    }
    dots == 1 && !begins && text.len() <= 64
}

/// A client's `User-Agent`. The caller controls its content, so it is cut and cleaned before it is stored for years.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserAgent(String);

impl UserAgent {
    /// Longest stored text, in bytes.
    pub const MAX_LEN: usize = 256;

    /// The header's text with `?` for every character that is not printable ASCII, trimmed and cut; `None` when nothing remains.
    pub fn clean(header: &str) -> Option<Self> {
        let clean = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
        let text: String = header.trim().chars().take(Self::MAX_LEN).map(clean).collect();
        let text = text.trim();
        if text.is_empty() { None } else { Some(Self(text.to_owned())) }
    }

    /// Accepts a text that [`clean`](Self::clean) would leave unchanged.
    ///
    /// # Errors
    /// [`InvalidText`].
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidText> {
        let text = text.into();
        match Self::clean(&text) {
            Some(clean) if clean.0 == text => Ok(clean),
            _ => Err(InvalidText("expected 1 to 256 printable ASCII characters")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

as_text!(UserAgent);

/// The reason: a code, or a person's words, sealed. Its text is the code, or `sealed`, a space and base64url without padding. A
/// code has no space, so the two cannot be confused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Such as `stale_version`.
    Code(Word),
    /// A sealed record (the format of `docs/encryption.md`), which this crate cannot open.
    Sealed(Vec<u8>),
}

impl Reason {
    /// Longest sealed text, in bytes.
    pub const MAX_SEALED: usize = 8 * 1024;
    const PREFIX: &str = "sealed ";

    /// # Errors
    /// [`InvalidText`] when `record` is longer than [`MAX_SEALED`](Self::MAX_SEALED), or empty.
    pub fn sealed(record: Vec<u8>) -> Result<Self, InvalidText> {
        if record.is_empty() || record.len() > Self::MAX_SEALED {
            return Err(InvalidText("expected 1 to 8192 sealed bytes"));
        }
        Ok(Self::Sealed(record))
    }

    /// # Errors
    /// [`InvalidText`].
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        match text.strip_prefix(Self::PREFIX) {
            Some(sealed) => {
                let record = URL_SAFE_NO_PAD.decode(sealed);
                Self::sealed(record.map_err(|_| InvalidText("expected base64url after `sealed`"))?)
            }
            None => Word::parse(text).map(Self::Code),
        }
    }

    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Code(code) => Cow::Borrowed(code.as_str()),
            Self::Sealed(record) => Cow::Owned(format!("{}{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(record))),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ipv6_addresses_are_accepted_as_they_print(
            segments in prop::array::uniform8(prop_oneof![Just(0_u16), Just(0), Just(0xffff), Just(0x20), any::<u16>()]),
            other in prop::array::uniform8(prop_oneof![Just(0_u16), Just(1)]),
        ) {
            let (address, other) = (Ipv6Addr::from(segments), Ipv6Addr::from(other));
            for address in [address, other] {
                let (text, mapped) = (address.to_string(), address.to_ipv4_mapped().is_some());
                let whole = address.segments().map(|segment| format!("{segment:x}")).join(":");
                prop_assert_eq!(is_rfc_5952(text.as_bytes()), !mapped, "{}", address);
                prop_assert_eq!(is_rfc_5952(whole.as_bytes()), whole == text && !mapped, "{}", whole);
            }
        }

        #[test]
        fn ipv6_address_in_another_form_than_printed_is_refused(text in "[0-3af:]{0,12}|(0:|1:|::|ffff:|10:|01:){0,9}[0-9a-g]{0,2}") {
            let address: Option<Ipv6Addr> = text.parse().ok();
            let prints_so = address.is_some_and(|address| address.to_string() == text && address.to_ipv4_mapped().is_none());
            prop_assert_eq!(is_rfc_5952(text.as_bytes()), prints_so, "{}", text);
        }
    }

    #[test]
    fn ipv4_mapped_address_in_hexadecimal_is_refused() {
        for text in ["::ffff:102:304", "::ffff:a0b:c0d", "::ffff:0:0"] {
            assert!(!is_rfc_5952(text.as_bytes()), "{text}");
        }
        for text in ["::fffe:102:304", "::ffff", "::ffff:102", "1::ffff:102:304", "::ffff:1:102:304"] {
            assert!(is_rfc_5952(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn ipv6_address_with_needless_double_colon_is_refused() {
        for text in ["::1:2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "1:2:3:4:5:6:7:8::", "::ffff:1:2:3:4:5:6:7", "1:2:3:4:5:6:7", ""] {
            assert!(!is_rfc_5952(text.as_bytes()), "{text}");
        }
        for text in ["1:2:3:4:5:6:7:8", "::3:4:5:6:7:8", "1:2:3:4:5:6::", "::"] {
            assert!(is_rfc_5952(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn word_with_space_quote_or_non_ascii_letter_is_refused() {
        for text in ["shp_1", "a", "arn:aws:kms:us-east-1:1:key/k", "x".repeat(128).as_str()] {
            assert_eq!(Word::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "two words", "a\"b", "a\\b", "é", "tab\t", "x".repeat(129).as_str()] {
            assert!(Word::parse(text).is_err(), "`{text}`");
        }
    }

    #[test]
    fn cleaning_any_text_returns_a_word() {
        assert_eq!(Word::clean("GET /x \u{1f600}\n").as_str(), "GET_/x___");
        assert_eq!(Word::clean("").as_str(), "_");
        assert_eq!(Word::clean(&"é".repeat(500)).as_str(), "_".repeat(128));
    }

    #[test]
    fn event_type_that_is_not_noun_dot_verb_is_refused() {
        for text in ["shipment.created", "api_key.rotated", "a1.b2"] {
            assert_eq!(EventType::parse(text).unwrap().as_str(), text);
        }
        for text in [
            "",
            ".",
            "shipment",
            "shipment.",
            ".created",
            "a.b.c",
            "A.b",
            "a b.c",
            "1a.b",
            "a._b",
            &format!("a.{}", "b".repeat(63)),
        ] {
            assert!(EventType::parse(text).is_err(), "`{text}`");
        }
    }

    #[test]
    fn user_agent_is_cut_and_cleaned() {
        assert_eq!(UserAgent::clean(" curl/8\r\nX: \u{202e}y ").unwrap().as_str(), "curl/8??X: ?y");
        assert_eq!(UserAgent::clean(&"a".repeat(9000)).unwrap().as_str().len(), 256);
        assert_eq!(UserAgent::clean(" \t"), None);
        assert!(UserAgent::parse("a\nb").is_err() && UserAgent::parse(" a").is_err());
    }

    #[test]
    fn reason_that_is_neither_code_nor_sealed_is_refused() {
        let sealed = Reason::sealed(vec![1, 2, 3]).unwrap();
        assert_eq!(serde_json::to_string(&sealed).unwrap(), r#""sealed AQID""#);
        assert_eq!(Reason::parse("sealed AQID"), Ok(sealed));
        assert_eq!(Reason::parse("stale_version"), Ok(Reason::Code(Word::literal("stale_version"))));
        for text in ["patient asked for it", "sealed ", "sealed A", "sealed AQID=", "sealed AQI D", ""] {
            assert!(Reason::parse(text).is_err(), "`{text}`");
        }
        assert!(Reason::sealed(vec![0; 8192]).is_ok() && Reason::sealed(vec![0; 8193]).is_err());
    }
}
