//! The form in which passwords are sent to the pool: RFC 8265's `OpaqueString`, so that a password is the same for every
//! keyboard.
//!
//! Spaces that are not ASCII become U+0020, and the text becomes NFC. A text with characters that RFC 8264's `FreeformClass` does
//! not allow is refused: control, invisible and unassigned characters. Case and width stay.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        CanonicalCombiningClass, DefaultIgnorableCodePoint, GeneralCategory as Category, HangulSyllableType, JoiningType,
        NoncharacterCodePoint, Script,
    },
};
use std::borrow::Cow;
use zeroize::Zeroizing;

/// The text is not a valid password under the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAPassword;

/// A password that is prepared by RFC 8265, section 4.2.2.
///
/// # Errors
/// If it is empty, or has a character that the profile does not allow.
pub(crate) fn prepared(password: &str) -> Result<Zeroizing<String>, NotAPassword> {
    check(password)?;
    let categories = CodePointMapData::<Category>::new();
    let space = |c: char| if categories.get(c) == Category::SpaceSeparator { ' ' } else { c };
    let spaced: Zeroizing<String> = Zeroizing::new(password.chars().map(space).collect());
    let prepared = match ComposingNormalizerBorrowed::new_nfc().normalize(&spaced) {
        Cow::Borrowed(_) => spaced.clone(),
        Cow::Owned(composed) => Zeroizing::new(composed),
    };
    // Composition may create a character that is not allowed at its position: U+0387 becomes U+00B7.
    check(&prepared)?;
    Ok(prepared)
}

fn check(password: &str) -> Result<(), NotAPassword> {
    let characters: Zeroizing<Vec<char>> = Zeroizing::new(password.chars().collect());
    let allowed = !characters.is_empty() && (0..characters.len()).all(|at| is_allowed(&characters, at));
    if allowed { Ok(()) } else { Err(NotAPassword) }
}

/// Whether a character is allowed at its position: RFC 8264, section 8, for the `FreeformClass`, in the order of its steps.
fn is_allowed(text: &[char], at: usize) -> bool {
    let c = text[at];
    match c {
        ' '..='~' => return true,
        // Section 9.6: exceptions.
        '\u{df}' | '\u{3c2}' | '\u{6fd}' | '\u{6fe}' | '\u{f0b}' | '\u{3007}' => return true,
        '\u{640}' | '\u{7fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}' => return false,
        '\u{200c}' | '\u{200d}' | '\u{b7}' | '\u{375}' | '\u{5f3}' | '\u{5f4}' | '\u{30fb}' => return fits_its_context(text, at),
        '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}' => return fits_its_context(text, at),
        _ => {}
    }
    let jamo = CodePointMapData::<HangulSyllableType>::new().get(c);
    let old_hangul = [HangulSyllableType::LeadingJamo, HangulSyllableType::VowelJamo, HangulSyllableType::TrailingJamo];
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c);
    if old_hangul.contains(&jamo) || ignorable || CodePointSetData::new::<NoncharacterCodePoint>().contains(c) {
        return false;
    }
    !matches!(
        CodePointMapData::<Category>::new().get(c),
        Category::Control
            | Category::Format
            | Category::Unassigned
            | Category::PrivateUse
            | Category::Surrogate
            | Category::LineSeparator
            | Category::ParagraphSeparator
    )
}

/// RFC 5892, appendix A: the joiners, and characters that are valid only beside certain others.
fn fits_its_context(text: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|at| text[at]);
    let after = text.get(at + 1).copied();
    let of_script = |c: Option<char>, script| c.is_some_and(|c| CodePointMapData::<Script>::new().get(c) == script);
    let combining = |c: char| CodePointMapData::<CanonicalCombiningClass>::new().get(c);
    let after_virama = before.is_some_and(|c| combining(c) == CanonicalCombiningClass::Virama);
    match text[at] {
        '\u{200d}' => after_virama,
        '\u{200c}' => after_virama || joins(text, at),
        '\u{b7}' => before == Some('l') && after == Some('l'),
        '\u{375}' => of_script(after, Script::Greek),
        '\u{5f3}' | '\u{5f4}' => of_script(before, Script::Hebrew),
        '\u{30fb}' => {
            text.iter().any(|c| [Script::Hiragana, Script::Katakana, Script::Han].iter().any(|s| of_script(Some(*c), *s)))
        }
        '\u{660}'..='\u{669}' => !text.iter().any(|c| ('\u{6f0}'..='\u{6f9}').contains(c)),
        _ => !text.iter().any(|c| ('\u{660}'..='\u{669}').contains(c)),
    }
}

/// Whether a non-joiner is between letters that would join: `(L|D) T* ZWNJ T* (R|D)`.
fn joins(text: &[char], at: usize) -> bool {
    let types = CodePointMapData::<JoiningType>::new();
    let visible = |c: &&char| types.get(**c) != JoiningType::Transparent;
    let joins =
        |c: Option<&char>, with: JoiningType| c.is_some_and(|c| [with, JoiningType::DualJoining].contains(&types.get(*c)));
    joins(text[..at].iter().rev().find(visible), JoiningType::LeftJoining)
        && joins(text[at + 1..].iter().find(visible), JoiningType::RightJoining)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(password: &str) -> Option<String> {
        prepared(password).ok().map(|prepared| prepared.as_str().to_owned())
    }

    #[test]
    fn examples_of_rfc_8265_are_prepared_as_published() {
        // Section 4.3, examples 1 to 7.
        for good in ["correct horse battery staple", "Correct Horse Battery Staple", "πßå", "Jack of ♦s"] {
            assert_eq!(text(good).as_deref(), Some(good));
        }
        assert_eq!(text("foo\u{1680}bar").as_deref(), Some("foo bar"));
        for bad in ["", "my cat is a \u{9}by"] {
            assert_eq!(text(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn password_is_the_same_in_any_composition() {
        for (one, other) in [
            ("Caf\u{e9}", "Cafe\u{301}"),
            ("\u{212b}ngstr\u{f6}m", "A\u{30a}ngstro\u{308}m"),
            ("\u{ac00}", "\u{ac00}"),
            ("\u{1e69}", "s\u{307}\u{323}"),
            ("\u{1e69}", "s\u{323}\u{307}"),
            ("Passw\u{f6}rd\u{a0}1", "Passwo\u{308}rd 1"),
            ("a\u{3000}b\u{2003}c\u{202f}d", "a b c d"),
        ] {
            assert_eq!(text(one), text(other), "{one:?}");
            assert!(text(one).is_some(), "{one:?}");
        }
        for (one, other) in
            [("a", "A"), ("a", "\u{ff41}"), ("\u{fb01}", "fi"), ("\u{17f}", "s"), ("a b", "a  b"), (" a", "a"), ("²", "2")]
        {
            assert_ne!(text(one), text(other), "{one:?}");
        }
    }

    #[test]
    fn password_with_invisible_characters_is_refused() {
        for bad in [
            "a\0",
            "a\n",
            "a\u{7f}",
            "a\u{85}",
            "a\u{ad}b",
            "a\u{200b}b",
            "\u{feff}a",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{2028}b",
            "a\u{2029}b",
            "\u{1100}",
            "\u{115f}",
            "\u{3164}",
            "\u{ffa0}",
            "\u{34f}",
            "a\u{fe0f}",
            "a\u{e0100}",
            "\u{e0041}",
            "\u{e000}",
            "\u{fdd0}",
            "\u{ffff}",
            "\u{378}",
            "\u{640}",
            "\u{303b}",
        ] {
            assert_eq!(text(bad), None, "{bad:?}");
        }
        for good in ["🐒", "🤷", "日本語", "नमस्ते", "a\u{2800}b", "ﬁ", "Ⅷ", "½"] {
            assert!(text(good).is_some(), "{good:?}");
        }
    }

    #[test]
    fn contextual_character_is_allowed_only_in_its_context() {
        for good in [
            "l\u{b7}l",
            "\u{375}\u{3b1}",
            "\u{5d0}\u{5f3}",
            "\u{5d0}\u{5f4}",
            "\u{30fb}\u{30a2}",
            "\u{65e5}\u{30fb}",
            "\u{660}\u{661}",
            "\u{6f0}\u{6f1}",
            "\u{915}\u{94d}\u{200d}\u{937}",
            "\u{915}\u{94d}\u{200c}\u{937}",
            "\u{628}\u{200c}\u{628}",
            "\u{645}\u{6cc}\u{200c}\u{62e}",
        ] {
            assert!(text(good).is_some(), "{good:?}");
        }
        for bad in [
            "a\u{b7}l",
            "\u{b7}",
            "\u{375}a",
            "\u{375}",
            "a\u{5f3}",
            "\u{5f4}",
            "\u{30fb}",
            "a\u{30fb}b",
            "\u{660}\u{6f0}",
            "a\u{200d}b",
            "\u{200c}",
            "\u{628}\u{200c}",
            "\u{627}\u{200c}\u{628}",
            "\u{200d}\u{937}",
        ] {
            assert_eq!(text(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn preparing_a_password_is_idempotent(password in "\\PC{0,30}") {
            if let Some(once) = text(&password) {
                prop_assert_eq!(text(&once), Some(once));
            }
        }

        #[test]
        fn ascii_password_is_unchanged(password in "[ -~]{1,40}") {
            prop_assert_eq!(text(&password), Some(password));
        }
    }
}
