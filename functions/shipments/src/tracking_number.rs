//! UPS tracking numbers of the 1Z kind, as PHI. [`ups::classify`] documents the check digit and the typing errors that it misses.

use phi::{InvalidValue, PhiText};

/// Characters in a number.
const LENGTH: usize = 18;

/// The longest text that is examined, in bytes: a number with a space between any two characters, and some around it.
const MAX_TEXT_BYTES: usize = 64;

/// A number in the 1Z form, in capitals and without spaces. Its check digit is right, or the caller accepted a wrong one.
///
/// It is PHI. Parsing accepts any text in the 1Z form, because it reads back stored numbers; text from a caller goes through
/// [`TrackingNumber::classify`].
#[derive(Clone, PartialEq, Eq)]
pub struct TrackingNumber(String);

impl PhiText for TrackingNumber {
    const EXPECTED: &'static str = "a UPS tracking number: `1Z`, 15 letters or digits, and a check digit";
    const LENGTH: std::ops::RangeInclusive<usize> = LENGTH..=MAX_TEXT_BYTES;
    const FORM: Option<(&'static str, &'static str)> =
        Some(("pattern", r"^[ \t]*1[ \t]*[Zz]([ \t]*[0-9A-Za-z]){15}[ \t]*[0-9][ \t]*$"));

    fn parse(text: &str) -> Result<Self, InvalidValue> {
        match Self::classify(text) {
            Classified::Valid(number) | Classified::BadCheckDigit { number, .. } => Ok(number),
            Classified::NotUps => Err(InvalidValue(Self::EXPECTED)),
        }
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

phi::phi_text!(TrackingNumber);

/// The result of checking a text as a UPS tracking number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Classified {
    /// A number with the right check digit.
    Valid(TrackingNumber),
    /// A number in the right form, whose last digit is not `expected`. UPS's own documents contain such a number, so a caller may
    /// insist on it.
    BadCheckDigit {
        /// The number as it was given.
        number: TrackingNumber,
        /// The digit that would make the number valid.
        expected: char,
    },
    /// Anything else.
    NotUps,
}

impl TrackingNumber {
    /// Classifies `text`, ignoring ASCII white space and letter case.
    pub fn classify(text: &str) -> Classified {
        let number = || Self(Self::normalised(text));
        match ups::classify(text) {
            ups::Classified::Valid => Classified::Valid(number()),
            ups::Classified::BadCheckDigit { expected } => Classified::BadCheckDigit { number: number(), expected },
            ups::Classified::NotUps => Classified::NotUps,
        }
    }

    /// `text` in capitals and without ASCII white space: the one spelling that is stored and searched for. The text need not be a
    /// number.
    pub fn normalised(text: &str) -> String {
        ups::normalised(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 2] = ["1ZCIETST0111111114", "1ZCIETST0422222228"];

    fn valid(text: &str) -> TrackingNumber {
        match TrackingNumber::classify(text) {
            Classified::Valid(number) => number,
            other => panic!("`{text}` is {other:?}"),
        }
    }

    #[test]
    fn published_test_numbers_are_valid() {
        for text in GOOD {
            assert_eq!(valid(text).as_str(), text);
        }
    }

    #[test]
    fn example_number_of_ups_has_a_bad_check_digit() {
        let Classified::BadCheckDigit { number, expected } = TrackingNumber::classify("1Z1234567891234551") else {
            panic!("the number has the right form and a wrong check digit");
        };
        assert_eq!((number.as_str(), expected), ("1Z1234567891234551", '6'));
        assert_eq!(valid("1Z1234567891234556").as_str(), "1Z1234567891234556");
    }

    #[test]
    fn spaces_and_letter_case_are_ignored() {
        for text in [" 1z ciets t01 1111 1114\t", "1zciETst0111111114\r\n", "1 Z C I E T S T 0 1 1 1 1 1 1 1 1 4"] {
            assert_eq!(valid(text).as_str(), GOOD[0]);
            assert_eq!(TrackingNumber::normalised(text), GOOD[0]);
        }
    }

    #[test]
    fn text_of_other_length_prefix_or_characters_is_not_ups() {
        let others = [
            "",
            " ",
            "1",
            "1Z",
            "1ZCIETST011111111",
            "1ZCIETST01111111144",
            "2ZCIETST0111111114",
            "Z1CIETST0111111114",
            "1ZCIETST-111111114",
            "1ZCIETST011111111A",
            "1ZCIETST011111111\u{0}",
            "9400111899223197428490",
            "123456789012",
        ];
        for text in others {
            assert_eq!(TrackingNumber::classify(text), Classified::NotUps, "`{text}`");
        }
        let spaced = format!("{}{}", GOOD[0], " ".repeat(MAX_TEXT_BYTES));
        assert_eq!(TrackingNumber::classify(&spaced), Classified::NotUps);
    }

    #[test]
    fn non_ascii_look_alikes_are_not_ups() {
        let others = [
            "１ＺＣＩＥＴＳＴ０１１１１１１１１４",
            "1ZCIETST011111111４",
            "1ZCIETST٠111111114",
            "1Ζ CIETST0111111114",
            "1ZСIETST0111111114",
            "1ZCİETST0111111114",
            "1ZCıETST0111111114",
            "1ZCIETſT0111111114",
            "1ZCIETST\u{200b}0111111114",
            "1ZCIETST\u{a0}0111111114",
            "1ZCIETST0111111¹14",
            "💊💊💊💊💊💊💊💊",
        ];
        for text in others {
            assert_eq!(TrackingNumber::classify(text), Classified::NotUps, "`{text}`");
        }
    }

    #[test]
    fn debug_of_tracking_number_is_redacted() {
        let classified = [TrackingNumber::classify(GOOD[0]), TrackingNumber::classify("1Z1234567891234551")];
        let shown = format!("{classified:?}");
        assert!(!shown.contains("1Z"), "{shown}");
        assert!(shown.contains("[phi]"), "{shown}");
    }

    #[test]
    fn stored_number_with_a_bad_check_digit_is_read_back() {
        for text in [GOOD[0], "1Z1234567891234551"] {
            let read: TrackingNumber = serde_json::from_value(text.into()).unwrap();
            assert_eq!(read.as_str(), text);
        }
        assert!(serde_json::from_value::<TrackingNumber>("9400111899223197428490".into()).is_err());
    }
}
