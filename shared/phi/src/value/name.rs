use super::{InvalidValue, MASK, PRINTABLE, PhiText, folded, printable};

/// A person's name as one text, in the form that a carrier prints.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonName(String);

impl PhiText for PersonName {
    const EXPECTED: &'static str = "a name of 1 to 200 characters";
    const LENGTH: std::ops::RangeInclusive<usize> = 1..=200;
    const FORM: Option<(&'static str, &'static str)> = Some(PRINTABLE);

    fn parse(text: &str) -> Result<Self, InvalidValue> {
        printable(text, Self::LENGTH).map(|text| Self(text.to_owned())).ok_or(InvalidValue(Self::EXPECTED))
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

crate::phi_text!(PersonName);

impl PersonName {
    /// NFKC and full case folding, single spaces.
    pub fn normalised(&self) -> String {
        folded(&self.0)
    }

    /// Initials: `Ada Lovelace` is `A*** L***`.
    pub fn masked(&self) -> String {
        let initials = self.0.split_whitespace().filter_map(|word| word.chars().next());
        initials.map(|initial| format!("{initial}{MASK}")).collect::<Vec<_>>().join(" ")
    }
}
