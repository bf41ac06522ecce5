//! Tracking numbers: the form of a number that UPS can be queried for, and the check digit of the 1Z kind.
//!
//! A 1Z number is `1Z`, shipper (6), service (2), package (7), check digit (1). The check digit is computed over the 15
//! characters between `1Z` and itself. A digit counts as its value, a letter as its ASCII code less 63, modulo 10. Characters in
//! even places count twice, and the digits of a product are not added up: `check = (10 - sum mod 10) mod 10`.
//!
//! So it misses some typing errors. In an odd place (the first, the third, …), it accepts another character of the same value
//! modulo 10; in an even place, one of the same value modulo 5. Two digits differ by five in an even place: 0 and 5, 1 and 6, 2
//! and 7, 3 and 8, 4 and 9. Letters share values with one another and with digits: A, K, U and 2; B, L, V and 3.

use std::fmt;
use zeroize::Zeroizing;

/// Characters in a 1Z number.
const LENGTH: usize = 18;

/// The longest text that is examined, in bytes: a number with a space between any two characters, and some around it.
const MAX_TEXT_BYTES: usize = 64;

/// The result of checking a text as a UPS tracking number of the 1Z kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classified {
    /// A number with the right check digit.
    Valid,
    /// A number in the right form, whose last digit is not `expected`. UPS's own documents contain such a number, so a caller may
    /// insist on it.
    BadCheckDigit {
        /// The digit that would make the number valid.
        expected: char,
    },
    /// Anything else.
    NotUps,
}

/// Classifies `text`, ignoring ASCII white space and letter case.
pub fn classify(text: &str) -> Classified {
    if text.len() > MAX_TEXT_BYTES {
        return Classified::NotUps;
    }
    let number = normalised(text);
    match number.strip_prefix("1Z").and_then(expected_check_digit) {
        Some(expected) if number.ends_with(expected) => Classified::Valid,
        Some(expected) => Classified::BadCheckDigit { expected },
        None => Classified::NotUps,
    }
}

/// `text` in capitals and without ASCII white space: the one spelling of a number. The text need not be a number.
pub fn normalised(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_whitespace()).map(|c| c.to_ascii_uppercase()).collect()
}

/// The check digit for the text after `1Z`; `None` if that is not 15 letters or digits and a digit.
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

/// The value of a character in the check digit.
fn value(character: u8) -> Option<u32> {
    match character {
        b'0'..=b'9' => Some(u32::from(character - b'0')),
        b'A'..=b'Z' => Some(u32::from(character - 63) % 10),
        _ => None,
    }
}

/// A number that UPS can be queried for: 7 to 34 capitals and digits, so that it needs no escape in a path. PHI: `Debug` hides
/// it, it has neither `Display` nor `Serialize`, and it is overwritten when dropped.
///
/// ```compile_fail
/// println!("{}", ups::Number::parse("1ZCIETST0111111114").unwrap());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Number(Zeroizing<String>);

/// The text cannot be a tracking number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 7 to 34 letters and digits")]
pub struct NotANumber;

impl Number {
    /// Normalises `text` and accepts it if UPS's API would. [`classify`] checks the check digit.
    ///
    /// # Errors
    /// [`NotANumber`].
    pub fn parse(text: &str) -> Result<Self, NotANumber> {
        if text.len() > 2 * MAX_TEXT_BYTES {
            return Err(NotANumber);
        }
        let number = Zeroizing::new(normalised(text));
        if (7..=34).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_alphanumeric()) {
            Ok(Self(number))
        } else {
            Err(NotANumber)
        }
    }

    /// The number, which is PHI.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[number]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: [&str; 2] = ["1ZCIETST0111111114", "1ZCIETST0422222228"];
    const ALPHABET: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    /// The number with these 15 characters and their check digit.
    fn complete(body: &str) -> String {
        match classify(&format!("1Z{body}0")) {
            Classified::Valid => format!("1Z{body}0"),
            Classified::BadCheckDigit { expected } => format!("1Z{body}{expected}"),
            Classified::NotUps => panic!("`{body}` is not 15 letters and digits"),
        }
    }

    #[test]
    fn published_test_numbers_are_valid() {
        for text in GOOD {
            assert_eq!(classify(text), Classified::Valid);
        }
    }

    #[test]
    fn example_number_of_ups_has_a_bad_check_digit() {
        assert_eq!(classify("1Z1234567891234551"), Classified::BadCheckDigit { expected: '6' });
        assert_eq!(classify("1Z1234567891234556"), Classified::Valid);
    }

    #[test]
    fn spaces_and_letter_case_are_ignored() {
        for text in [" 1z ciets t01 1111 1114\t", "1zciETst0111111114\r\n", "1 Z C I E T S T 0 1 1 1 1 1 1 1 1 4"] {
            assert_eq!(classify(text), Classified::Valid);
            assert_eq!(Number::parse(text).unwrap().expose(), GOOD[0]);
        }
    }

    #[test]
    fn text_of_other_length_prefix_or_script_is_not_ups() {
        let others = [
            "",
            "1Z",
            "1ZCIETST011111111",
            "1ZCIETST01111111144",
            "2ZCIETST0111111114",
            "1ZCIETST-111111114",
            "1ZCIETST011111111A",
            "9400111899223197428490",
            "１ＺＣＩＥＴＳＴ０１１１１１１１１４",
            "1ZCIETST٠111111114",
            "1ZСIETST0111111114",
            "1ZCIETſT0111111114",
            "1ZCIETST\u{200b}0111111114",
        ];
        for text in others {
            assert_eq!(classify(text), Classified::NotUps, "`{text}`");
        }
        let spaced = |bytes: usize| format!("{:bytes$}", GOOD[0]);
        assert_eq!(classify(&spaced(MAX_TEXT_BYTES)), Classified::Valid);
        assert_eq!(classify(&spaced(MAX_TEXT_BYTES + 1)), Classified::NotUps);
        // The text of a number to query may be twice as long.
        assert!(Number::parse(&spaced(2 * MAX_TEXT_BYTES)).is_ok());
        assert_eq!(Number::parse(&spaced(2 * MAX_TEXT_BYTES + 1)), Err(NotANumber));
    }

    #[test]
    fn number_fits_a_path_without_escapes_and_its_debug_is_redacted() {
        for text in ["", "1Z1234", "1ZCIETST/../11114", "1ZCIETST01111?a=b", "1ZCIETST%2F1111", "a".repeat(35).as_str()] {
            assert_eq!(Number::parse(text), Err(NotANumber), "`{text}`");
        }
        assert_eq!(format!("{:?}", Number::parse(GOOD[0]).unwrap()), "[number]");
    }

    #[test]
    fn every_single_typing_error_is_caught_unless_documented() {
        let counts = |c: char| c.to_digit(10).unwrap_or_else(|| (u32::from(c) - 63) % 10);
        let good = GOOD[0];
        for place in 1..=15 {
            let modulus = if place % 2 == 1 { 10 } else { 5 };
            for to in ALPHABET.chars() {
                let at = place + 1;
                let from = char::from(good.as_bytes()[at]);
                let slipped = format!("{}{to}{}", &good[..at], &good[at + 1..]);
                let passes = classify(&slipped) == Classified::Valid;
                assert_eq!(passes, counts(from) % modulus == counts(to) % modulus, "{from} for {to} in place {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn exactly_one_check_digit_is_valid(body in "[0-9A-Z]{15}") {
            let right = complete(&body);
            for digit in '0'..='9' {
                let text = format!("1Z{body}{digit}");
                match classify(&text) {
                    Classified::Valid => prop_assert_eq!(&text, &right),
                    Classified::BadCheckDigit { expected } => prop_assert!(right.ends_with(expected) && digit != expected),
                    Classified::NotUps => prop_assert!(false, "{} has the right form", text),
                }
            }
        }

        #[test]
        fn arbitrary_text_is_ups_only_in_the_1z_form(text in any::<String>()) {
            let number = normalised(&text);
            prop_assert_eq!(normalised(&number), number.clone());
            prop_assert!(Number::parse(&text).is_ok_and(|n| n.expose() == number) || Number::parse(&text).is_err());
            if classify(&text) != Classified::NotUps {
                prop_assert!(number.starts_with("1Z") && number.len() == LENGTH && number.is_ascii());
            }
        }

        #[test]
        fn text_near_the_1z_form_is_ups_only_if_ascii(text in "1[Zz][0-9A-Za-z \u{660}-\u{669}\u{ff10}-\u{ff19}]{0,18}") {
            let classified = classify(&text);
            prop_assert!(text.is_ascii() || classified == Classified::NotUps);
        }
    }
}
