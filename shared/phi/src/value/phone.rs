use super::{InvalidValue, MASK, PhiText};

/// A telephone number: 7 to 15 digits (ITU-T E.164), a `+` before them if the country code is among them. Spaces, dots,
/// dashes and brackets are accepted and dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone(String);

impl PhiText for Phone {
    const EXPECTED: &'static str = "a phone number of 7 to 15 digits";
    const LENGTH: std::ops::RangeInclusive<usize> = 7..=32;
    const FORM: Option<(&'static str, &'static str)> = Some(("pattern", r"^\+?([ .()-]*[0-9]){7,15}[ .()-]*$"));

    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let refused = InvalidValue(Self::EXPECTED);
        let text = text.trim();
        if text.len() > *Self::LENGTH.end() {
            return Err(refused);
        }
        let (plus, rest) = match text.strip_prefix('+') {
            Some(rest) => ("+", rest),
            None => ("", text),
        };
        if !rest.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '(' | ')')) {
            return Err(refused);
        }
        let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
        if (7..=15).contains(&digits.len()) { Ok(Self(format!("{plus}{digits}"))) } else { Err(refused) }
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

crate::phi_text!(Phone);

impl Phone {
    /// The digits, and the `+` if it was given: with and without country code are two numbers.
    pub fn normalised(&self) -> String {
        self.0.clone()
    }

    /// The last 4 digits: `***4567`.
    pub fn masked(&self) -> String {
        format!("{MASK}{}", &self.0[self.0.len() - 4..])
    }
}
