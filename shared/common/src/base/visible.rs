//! Texts for people that are not health information: the names of tenants, departments and keys.
//!
//! A name that looks like another one, or looks empty, misleads people who decide by it: in a list of keys, in a mail, in the
//! audit log. So every such name has this type, and the rule is in one place.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory as Category, GeneralCategoryGroup as Group},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::borrow::Cow;

/// A text of 1 to `MOST` visible characters, in NFC, with single spaces inside and none around.
///
/// These characters are refused: control and format characters (including those that change the direction of text, and the
/// joiners of Persian and Indic scripts and of emoji), separators of lines and paragraphs, variation selectors and tags, blank
/// letters, unassigned characters and those for private use. A text of combining marks only is refused, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VisibleText<const MOST: usize>(String);

/// The rule for schemas, as far as a pattern can express it: no control or format characters, no line separators, and at least
/// one character that is not a space.
const PATTERN: &str = concat!("^[^", hidden!(), "]*[^\\s", hidden!(), "][^", hidden!(), "]*$");

macro_rules! hidden {
    () => {
        r"\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufdd0-\ufdef\ufeff\uffa0\ufffc-\uffff"
    };
}
use hidden;

impl<const MOST: usize> VisibleText<MOST> {
    pub fn parse(text: &str) -> Option<Self> {
        let composed = ComposingNormalizerBorrowed::new_nfc().normalize(text);
        if !composed.chars().all(is_visible_or_space) {
            return None;
        }
        let single: Vec<_> = composed.split_whitespace().collect();
        let text = single.join(" ");
        let fits = (1..=MOST).contains(&text.chars().count()) && text.chars().any(has_ink);
        fits.then_some(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_inner(self) -> String {
        self.0
    }
}

fn is_visible_or_space(c: char) -> bool {
    // Characters that Unicode classifies as letters or symbols and that are nevertheless blank.
    const BLANK: [char; 6] = ['\u{2800}', '\u{fffc}', '\u{13441}', '\u{13442}', '\u{16fe4}', '\u{1d159}'];
    let refused = Group::Control
        .union(Group::Format)
        .union(Group::LineSeparator)
        .union(Group::ParagraphSeparator)
        .union(Group::PrivateUse)
        .union(Group::Surrogate)
        .union(Group::Unassigned);
    !refused.contains(CodePointMapData::<Category>::new().get(c))
        && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        && !BLANK.contains(&c)
}

/// Whether the character is visible by itself.
fn has_ink(c: char) -> bool {
    let inked = Group::Letter.union(Group::Number).union(Group::Punctuation).union(Group::Symbol);
    inked.contains(CodePointMapData::<Category>::new().get(c))
}

impl<'de, const MOST: usize> Deserialize<'de> for VisibleText<MOST> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let expected = || de::Error::custom(format!("expected a text of 1 to {MOST} characters, each of which can be seen"));
        Self::parse(&String::deserialize(d)?).ok_or_else(expected)
    }
}

impl<const MOST: usize> JsonSchema for VisibleText<MOST> {
    fn schema_name() -> Cow<'static, str> {
        format!("VisibleText{MOST}").into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": MOST, "pattern": PATTERN})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(given: &str) -> Option<String> {
        VisibleText::<20>::parse(given).map(VisibleText::into_inner)
    }

    #[test]
    fn names_in_any_script_are_accepted() {
        let text = |given| VisibleText::<40>::parse(given).map(VisibleText::into_inner);
        for name in [
            "Cardiology",
            "Acme Health, Inc.",
            "Kardiologie & Chirurgie",
            "Кардиология",
            "心臓内科",
            "심장내과",
            "قسم القلب",
            "קרדיולוגיה",
            "हृदय विभाग",
            "แผนกหัวใจ",
            "Ward 3½",
            "№ 7",
            "A/B (night) – 2",
            "🏥 Main",
            "é",
            "Q̃",
        ] {
            assert_eq!(text(name).as_deref(), Some(name), "{name}");
        }
    }

    #[test]
    fn name_has_one_normalised_form() {
        for (given, kept) in [
            ("  Cardiology ", "Cardiology"),
            ("Ward \u{a0} 3", "Ward 3"),
            ("\u{3000}心臓\u{2003}内科\u{2009}", "心臓 内科"),
            ("Cafe\u{301}", "Caf\u{e9}"),
            ("\u{212b}", "\u{c5}"),
        ] {
            assert_eq!(text(given).as_deref(), Some(kept), "{given:?}");
        }
        assert_eq!(text(&"e\u{301}".repeat(20)).unwrap().chars().count(), 20, "its length is that of its form");
        assert_eq!(text(&"x".repeat(21)), None);
    }

    #[test]
    fn name_with_invisible_characters_is_refused() {
        for hidden in [
            '\0',
            '\t',
            '\n',
            '\r',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9f}', // Cc
            '\u{ad}',
            '\u{600}',
            '\u{61c}',
            '\u{6dd}',
            '\u{70f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}', // Cf
            '\u{202a}',
            '\u{202b}',
            '\u{202c}',
            '\u{202d}',
            '\u{202e}',
            '\u{2060}',
            '\u{2061}',
            '\u{2066}',
            '\u{2067}',
            '\u{2068}',
            '\u{2069}',
            '\u{206a}',
            '\u{feff}',
            '\u{fff9}',
            '\u{fffb}',
            '\u{110bd}',
            '\u{13430}',
            '\u{1bca0}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e007f}',
            '\u{2028}',
            '\u{2029}', // Zl, Zp
            '\u{115f}',
            '\u{1160}',
            '\u{3164}',
            '\u{ffa0}',
            '\u{2800}',
            '\u{fffc}',
            '\u{34f}',
            '\u{17b4}',
            '\u{17b5}',
            '\u{1d159}',
            '\u{16fe4}',
            '\u{13441}',
            '\u{180b}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{e0100}',
            '\u{e01ef}', // variation selectors
            '\u{e000}',
            '\u{f8ff}',
            '\u{10fffd}',
            '\u{fdd0}',
            '\u{ffff}',
            '\u{378}',
            '\u{2065}',
            '\u{fff0}',
            '\u{e0fff}',
        ] {
            for name in [format!("Ward{hidden}3"), format!("{hidden}Ward"), format!("Ward{hidden}"), hidden.to_string()] {
                assert_eq!(text(&name), None, "U+{:04X}", u32::from(hidden));
            }
        }
        for empty in ["", " ", "\u{a0}\u{3000}", "\u{301}", " \u{301}\u{302} ", "\u{20dd}"] {
            assert_eq!(text(empty), None, "{empty:?}");
        }
    }

    proptest! {
        #[test]
        fn accepted_name_is_a_fixed_point(given in "\\PC{0,25}", any in ".{0,25}") {
            for given in [given, any] {
                if let Some(kept) = text(&given) {
                    prop_assert!(!kept.starts_with(' ') && !kept.ends_with(' ') && !kept.contains("  "));
                    prop_assert_eq!(text(&kept), Some(kept));
                }
            }
        }
    }
}
