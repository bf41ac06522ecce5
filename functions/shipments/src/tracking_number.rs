//! UPS tracking numbers of the 1Z kind: `1Z`, shipper (6), service (2), package (7), check digit (1).
//!
//! The check digit is computed over the 15 characters between `1Z` and it. A digit counts as itself, a letter as its
//! ASCII code less 63, modulo 10; characters in even places count twice, and no digits are folded:
//! `check = (10 - sum mod 10) mod 10`.
//!
//! So it misses some slips. In an odd place (the first, the third, …), a character taken for another of the same
//! value modulo 10 passes; in an even place, one of the same value modulo 5. Between two digits that is a
//! difference of five in an even place: 0 and 5, 1 and 6, 2 and 7, 3 and 8, 4 and 9. Letters share values with one
//! another and with digits: A, K, U and 2; B, L, V and 3; and so on.

use phi::{InvalidValue, PhiText};

/// Characters in a number.
const LENGTH: usize = 18;

/// The longest text that is looked at, in bytes: a number with a space between any two characters, and some around.
const MAX_TEXT_BYTES: usize = 64;

/// A number in the 1Z form, in capitals and without spaces. Its check digit is right, or was let pass.
///
/// It is PHI. Parsing takes any text in the 1Z form, because it reads back what was stored; text from a caller goes through
/// [`TrackingNumber::classify`].
#[derive(Clone, PartialEq, Eq)]
pub struct TrackingNumber(String);

impl PhiText for TrackingNumber {
    const EXPECTED: &'static str = "a UPS tracking number: `1Z`, 15 letters or digits, and a check digit";
    const LENGTH: std::ops::RangeInclusive<usize> = LENGTH..=MAX_TEXT_BYTES;

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

/// What some text is, as a UPS tracking number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Classified {
    /// A number whose check digit is right.
    Valid(TrackingNumber),
    /// A number in the right form with another last digit than `expected`. UPS's own documents show such a
    /// number, so a caller may insist.
    BadCheckDigit {
        /// The number as given.
        number: TrackingNumber,
        /// The digit that would make it right.
        expected: char,
    },
    /// Anything else.
    NotUps,
}

impl TrackingNumber {
    /// Classifies `text`, in which ASCII white space and letter case are of no consequence.
    pub fn classify(text: &str) -> Classified {
        if text.len() > MAX_TEXT_BYTES {
            return Classified::NotUps;
        }
        let number = Self::normalised(text);
        let Some(expected) = number.strip_prefix("1Z").and_then(expected_check_digit) else {
            return Classified::NotUps;
        };
        let right = number.ends_with(expected);
        let number = Self(number);
        if right { Classified::Valid(number) } else { Classified::BadCheckDigit { number, expected } }
    }

    /// `text` in capitals and without ASCII white space: the one spelling that is stored and searched for. It need not
    /// be a number.
    pub fn normalised(text: &str) -> String {
        text.chars().filter(|c| !c.is_ascii_whitespace()).map(|c| c.to_ascii_uppercase()).collect()
    }
}

/// The check digit that belongs to what stands after `1Z`, or nothing if it is not 15 letters or digits and a digit.
fn expected_check_digit(rest: &str) -> Option<char> {
    let (check, body) = rest.as_bytes().split_last()?;
    if rest.len() != LENGTH - 2 || !check.is_ascii_digit() {
        return None;
    }
    let mut sum = 0;
    for (index, &character) in body.iter().enumerate() {
        let weight = if index % 2 == 0 { 1 } else { 2 };
        sum += weight * value(character)?;
    }
    char::from_digit((10 - sum % 10) % 10, 10)
}

/// What a character counts for in the check digit.
fn value(character: u8) -> Option<u32> {
    match character {
        b'0'..=b'9' => Some(u32::from(character - b'0')),
        b'A'..=b'Z' => Some(u32::from(character - 63) % 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: [&str; 2] = ["1ZCIETST0111111114", "1ZCIETST0422222228"];
    const ALPHABET: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    fn valid(text: &str) -> TrackingNumber {
        match TrackingNumber::classify(text) {
            Classified::Valid(number) => number,
            other => panic!("`{text}` is {other:?}"),
        }
    }

    /// The number with these 15 characters and the check digit that belongs to them.
    fn complete(body: &str) -> String {
        match TrackingNumber::classify(&format!("1Z{body}0")) {
            Classified::Valid(number) => number.as_str().to_owned(),
            Classified::BadCheckDigit { expected, .. } => format!("1Z{body}{expected}"),
            Classified::NotUps => panic!("`{body}` is no body"),
        }
    }

    /// The rule for one character taken for another, as the module's documentation states it.
    fn slip_passes(place: usize, from: char, to: char) -> bool {
        let counts = |c: char| c.to_digit(10).unwrap_or_else(|| (u32::from(c) - 63) % 10);
        let modulus = if place % 2 == 1 { 10 } else { 5 };
        counts(from) % modulus == counts(to) % modulus
    }

    #[test]
    fn published_test_numbers_are_valid() {
        for text in GOOD {
            assert_eq!(valid(text).as_str(), text);
        }
    }

    #[test]
    fn the_carriers_own_example_has_a_bad_check_digit() {
        let Classified::BadCheckDigit { number, expected } = TrackingNumber::classify("1Z1234567891234551") else {
            panic!("it has the right form and the wrong digit");
        };
        assert_eq!((number.as_str(), expected), ("1Z1234567891234551", '6'));
        assert_eq!(valid("1Z1234567891234556").as_str(), "1Z1234567891234556");
    }

    #[test]
    fn spaces_and_letter_case_are_of_no_consequence() {
        for text in [" 1z ciets t01 1111 1114\t", "1zciETst0111111114\r\n", "1 Z C I E T S T 0 1 1 1 1 1 1 1 1 4"] {
            assert_eq!(valid(text).as_str(), GOOD[0]);
            assert_eq!(TrackingNumber::normalised(text), GOOD[0]);
        }
    }

    #[test]
    fn other_lengths_prefixes_and_characters_are_not_ups() {
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
    fn look_alikes_from_outside_ascii_are_not_ups() {
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
    fn debug_output_hides_the_number() {
        let classified = [TrackingNumber::classify(GOOD[0]), TrackingNumber::classify("1Z1234567891234551")];
        let shown = format!("{classified:?}");
        assert!(!shown.contains("1Z"), "{shown}");
        assert!(shown.contains("[phi]"), "{shown}");
    }

    #[test]
    fn what_was_stored_is_read_back_even_with_a_bad_check_digit() {
        for text in [GOOD[0], "1Z1234567891234551"] {
            let read: TrackingNumber = serde_json::from_value(text.into()).unwrap();
            assert_eq!(read.as_str(), text);
        }
        assert!(serde_json::from_value::<TrackingNumber>("9400111899223197428490".into()).is_err());
    }

    #[test]
    fn every_single_slip_is_caught_or_is_one_of_those_documented() {
        let good = GOOD[0];
        for place in 1..=15 {
            for to in ALPHABET.chars() {
                let at = place + 1;
                let from = char::from(good.as_bytes()[at]);
                let slipped = format!("{}{to}{}", &good[..at], &good[at + 1..]);
                let passes = matches!(TrackingNumber::classify(&slipped), Classified::Valid(_));
                assert_eq!(passes, slip_passes(place, from, to), "{from} for {to} in place {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_body_with_its_check_digit_is_valid(body in "[0-9A-Z]{15}") {
            let text = complete(&body);
            let number = valid(&text);
            prop_assert_eq!(number.as_str(), &text);
        }

        #[test]
        fn exactly_one_check_digit_is_right(body in "[0-9A-Z]{15}") {
            let right = complete(&body);
            for digit in '0'..='9' {
                let text = format!("1Z{body}{digit}");
                match TrackingNumber::classify(&text) {
                    Classified::Valid(number) => prop_assert_eq!(number.as_str(), &right),
                    Classified::BadCheckDigit { number, expected } => {
                        prop_assert_eq!(number.as_str(), &text);
                        prop_assert!(right.ends_with(expected));
                        prop_assert_ne!(digit, expected);
                    }
                    Classified::NotUps => prop_assert!(false, "{} has the right form", text),
                }
            }
        }

        #[test]
        fn a_wrong_digit_in_an_odd_place_is_always_caught_and_in_an_even_one_unless_off_by_five(
            body in "[0-9]{15}",
            place in 1_usize..=15,
            by in 1_u32..10,
        ) {
            let good = complete(&body);
            let digit = good.as_bytes()[place + 1];
            let wrong = char::from_digit((u32::from(digit - b'0') + by) % 10, 10).unwrap();
            let slipped = format!("{}{wrong}{}", &good[..place + 1], &good[place + 2..]);
            let caught = matches!(TrackingNumber::classify(&slipped), Classified::BadCheckDigit { .. });
            prop_assert_eq!(caught, place % 2 == 1 || by != 5);
        }

        #[test]
        fn arbitrary_text_never_panics_and_only_the_1z_form_is_a_number(text in any::<String>()) {
            if TrackingNumber::classify(&text) != Classified::NotUps {
                let number = TrackingNumber::normalised(&text);
                prop_assert!(number.starts_with("1Z") && number.len() == LENGTH && number.is_ascii());
            }
        }

        #[test]
        fn text_near_the_1z_form_never_panics(text in "1[Zz][0-9A-Za-z \u{660}-\u{669}\u{ff10}-\u{ff19}]{0,18}") {
            let classified = TrackingNumber::classify(&text);
            if !text.is_ascii() {
                prop_assert_eq!(classified, Classified::NotUps);
            }
        }

        #[test]
        fn normalising_twice_changes_nothing(text in any::<String>()) {
            let once = TrackingNumber::normalised(&text);
            prop_assert_eq!(TrackingNumber::normalised(&once), once);
        }
    }
}
