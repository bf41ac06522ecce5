use phonenumber::{
    country,
    metadata::{DATABASE, Descriptor, Descriptors},
};
use unicode_normalization::UnicodeNormalization;

use super::{CountryCode, InvalidValue, MASK, PhiText};

/// A telephone number. [`GivenPhone::in_country`] makes new numbers in ITU-T E.164's form, `+` and up to 15 digits.
///
/// Records sealed before that rule hold 7 to 15 digits, perhaps without a country code and with extra characters. This parser
/// reads sealed records and must not be used for input.
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
    /// The digits, and the `+` if it was given: the forms with and without country code are two different numbers.
    pub fn normalised(&self) -> String {
        self.0.clone()
    }

    /// The last 4 digits: `***4567`.
    pub fn masked(&self) -> String {
        format!("{MASK}{}", &self.0[self.0.len() - 4..])
    }
}

/// A telephone number as a person wrote it. It is ambiguous without a country.
#[derive(Clone, PartialEq, Eq)]
pub struct GivenPhone(String);

impl PhiText for GivenPhone {
    const EXPECTED: &'static str =
        "a phone number: digits with spaces, dots, dashes, slashes and brackets, and a `+` before a country code";
    const LENGTH: std::ops::RangeInclusive<usize> = 4..=32;
    const FORM: Option<(&'static str, &'static str)> = Some(("pattern", r"^\+?([ .()/-]*[0-9]){4,18}[ .()/-]*$"));

    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let refused = InvalidValue(Self::EXPECTED);
        if text.len() > 4 * Self::LENGTH.end() {
            return Err(refused);
        }
        // Full-width digits count as digits, and every kind of dash as a dash. Address books put direction marks around a number
        // and joiners inside it.
        let is_dash = |c: char| matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}');
        let is_mark = |c: &char| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        let text: String = text.nfkc().filter(|c| !is_mark(c)).map(|c| if is_dash(c) { '-' } else { c }).collect();
        let text = text.trim();
        let rest = text.strip_prefix('+').unwrap_or(text);
        let digits = rest.chars().filter(char::is_ascii_digit).count();
        let fits = rest.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '/' | '(' | ')'));
        let fits = fits && (4..=18).contains(&digits) && text.len() <= *Self::LENGTH.end();
        if fits { Ok(Self(text.to_owned())) } else { Err(refused) }
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

crate::phi_text!(GivenPhone);

impl GivenPhone {
    /// The number in E.164's form. A number that does not begin with `+` is one that is dialled in `country`: with or without its
    /// trunk prefix, or with the country's prefix for international calls. A trunk prefix after a country code, as in `+44
    /// (0)20`, is removed.
    ///
    /// The country code must exist. The number must have a valid length for that country and for a [`Phone`]: a short number that
    /// only the country's network can dial is refused. This does not check whether the number is assigned.
    ///
    /// # Errors
    /// [`InvalidValue`].
    pub fn in_country(&self, country: CountryCode) -> Result<Phone, InvalidValue> {
        let refused = InvalidValue("a phone number of that country, or one that begins with `+` and a country code");
        let region: Option<country::Id> = if self.0.starts_with('+') { None } else { country.as_str().parse().ok() };
        let number = phonenumber::parse(region, &self.0).map_err(|_| refused)?;
        let code = number.country().code();
        let regions = DATABASE.by_code(&code).unwrap_or_default();
        let trunk = regions.first().and_then(|region| region.national_prefix());
        // The library removes a trunk prefix also from numbers that begin with its digit (+7 812 …), and keeps one if the number
        // would be too short without it. So the code also tries the digits as written, and accepts no result that begins with a
        // trunk zero.
        let digits: String = self.0.chars().filter(char::is_ascii_digit).collect();
        let lead = if self.0.starts_with('+') { Some(code.to_string()) } else { trunk.map(str::to_owned) };
        let written = lead.and_then(|lead| digits.strip_prefix(&lead).map(str::to_owned));
        let fits = |number: &String| {
            !(trunk.is_some() && number.starts_with('0'))
                && regions.iter().any(|region| has_numbers_of(region.descriptors(), number.len()))
        };
        let number = [Some(number.national().to_string()), written].into_iter().flatten().find(fits).ok_or(refused)?;
        Phone::parse(&format!("+{code}{number}")).map_err(|_| refused)
    }
}

/// Whether a region has numbers with that many digits, of any kind that a person may have.
fn has_numbers_of(kinds: &Descriptors, digits: usize) -> bool {
    let kinds = [
        kinds.fixed_line(),
        kinds.mobile(),
        kinds.toll_free(),
        kinds.premium_rate(),
        kinds.shared_cost(),
        kinds.personal_number(),
        kinds.voip(),
        kinds.pager(),
        kinds.voicemail(),
    ];
    kinds.into_iter().flatten().flat_map(Descriptor::possible_length).any(|length| usize::from(*length) == digits)
}
