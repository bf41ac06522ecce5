use super::{InvalidValue, PhiText, ShortText, printable};

crate::phi_struct! {
    /// A postal address.
    pub struct Address: "an address" {
        line1: ShortText,
        line2: Option<ShortText>,
        city: ShortText,
        /// State, province or region, in countries that have them.
        state: Option<ShortText>,
        /// In countries that have postal codes.
        postal_code: Option<PostalCode>,
        country: CountryCode,
    }
}

impl Address {
    /// State and country: `CA, US`.
    pub fn masked(&self) -> String {
        match &self.state {
            Some(state) => format!("{}, {}", state.as_str(), self.country.as_str()),
            None => self.country.as_str().to_owned(),
        }
    }
}

/// A postal code of any country: 2 to 12 letters, digits, spaces and dashes; kept in upper case.
#[derive(Clone, PartialEq, Eq)]
pub struct PostalCode(String);

impl PhiText for PostalCode {
    const EXPECTED: &'static str = "a postal code of 2 to 12 letters, digits, spaces and dashes";
    const LENGTH: std::ops::RangeInclusive<usize> = 2..=12;
    const FORM: Option<(&'static str, &'static str)> = Some(("pattern", "^[0-9A-Za-z -]*$"));

    fn parse(text: &str) -> Result<Self, InvalidValue> {
        printable(text, Self::LENGTH)
            .filter(|text| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-')))
            .map(|text| Self(text.to_ascii_uppercase()))
            .ok_or(InvalidValue(Self::EXPECTED))
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

crate::phi_text!(PostalCode);

/// A country by its two upper-case letters, one of those that ISO 3166-1 assigns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CountryCode(&'static str);

impl PhiText for CountryCode {
    const EXPECTED: &'static str = "an ISO 3166-1 country code of two upper-case letters";
    const LENGTH: std::ops::RangeInclusive<usize> = 2..=2;
    const FORM: Option<(&'static str, &'static str)> = Some(("pattern", "^[A-Z]{2}$"));

    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let found = COUNTRIES.split_ascii_whitespace().find(|code| *code == text);
        found.map(Self).ok_or(InvalidValue(Self::EXPECTED))
    }

    fn as_str(&self) -> &str {
        self.0
    }
}

crate::phi_text!(CountryCode);

/// ISO 3166-1 alpha-2, officially assigned: 249 codes.
const COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
    KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU \
    MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW \
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ \
    UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_country_list_is_the_249_assigned_codes_in_order() {
        let codes: Vec<_> = COUNTRIES.split_ascii_whitespace().collect();
        assert_eq!(codes.len(), 249);
        assert!(codes.is_sorted());
    }
}
