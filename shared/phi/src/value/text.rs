use super::{InvalidValue, MASK, PRINTABLE, PhiText, folded, folded_v1, printable};

/// One line of text, 1 to `MAX` characters, trimmed.
#[derive(Clone, PartialEq, Eq)]
pub struct Text<const MAX: usize>(String);

/// A reference, a line of an address, a city.
pub type ShortText = Text<100>;

/// A description, such as the contents of a parcel.
pub type LongText = Text<500>;

impl<const MAX: usize> PhiText for Text<MAX> {
    const EXPECTED: &'static str = match MAX {
        100 => "a text of 1 to 100 characters on one line",
        500 => "a text of 1 to 500 characters on one line",
        _ => "a short text on one line",
    };
    const LENGTH: std::ops::RangeInclusive<usize> = 1..=MAX;
    const FORM: Option<(&'static str, &'static str)> = Some(PRINTABLE);

    fn parse(text: &str) -> Result<Self, InvalidValue> {
        printable(text, Self::LENGTH).map(|text| Self(text.to_owned())).ok_or(InvalidValue(Self::EXPECTED))
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

crate::phi_text!(Text<const MAX: usize>);

impl<const MAX: usize> Text<MAX> {
    /// The form in which texts are compared in a search: version 2, NFKC and full case folding, single spaces.
    pub fn normalised(&self) -> String {
        folded(&self.0)
    }

    /// The form of version 1: lower case and single spaces. Records that were stored under version 1 are found by it.
    pub fn normalised_v1(&self) -> String {
        folded_v1(&self.0)
    }

    /// The last 4 characters if there are at least 8, otherwise only the mask.
    pub fn masked(&self) -> String {
        let count = self.0.chars().count();
        let shown = if count >= 8 { 4 } else { 0 };
        MASK.chars().chain(self.0.chars().skip(count - shown)).collect()
    }
}
