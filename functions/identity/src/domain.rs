//! Second factors: their forms and their verification. The module is pure: time and stored state are parameters.

mod qr;
pub mod recovery;
pub mod totp;

pub use qr::svg;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory},
};
use zeroize::Zeroizing;

/// The number of bytes of a code that are examined: more than a valid code has in any spelling.
const LONGEST: usize = 256;

/// Removes from a code the characters that people, keyboards and clipboards add: white space, dashes and invisible characters.
/// Compatible forms (full-width digits) become plain ones, by NFKC. The result is empty if the text is too long.
fn typed(text: &str) -> Zeroizing<String> {
    if text.len() > LONGEST {
        return Zeroizing::default();
    }
    let plain = Zeroizing::new(ComposingNormalizerBorrowed::new_nfkc().normalize(text).into_owned());
    let (categories, ignorable) =
        (CodePointMapData::<GeneralCategory>::new(), CodePointSetData::new::<DefaultIgnorableCodePoint>());
    let passed_over = |c: char| {
        // Unicode classifies the minus sign as a symbol and not as a dash.
        c.is_whitespace() || c == '\u{2212}' || ignorable.contains(c) || categories.get(c) == GeneralCategory::DashPunctuation
    };
    Zeroizing::new(plain.chars().filter(|c| !passed_over(*c)).collect())
}

/// Implements input parsing for a code type. A text that is not a code is refused with 422 and does not count as a try. Neither
/// the error nor the schema quotes it. The schema has the form in which a code is shown, with spaces and dashes; the parser
/// accepts more (see [`typed`]).
macro_rules! code_input {
    ($Code:ident, $form:literal, $expected:literal) => {
        impl<'de> serde::Deserialize<'de> for $Code {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let refused = || serde::de::Error::custom($expected);
                let text = String::deserialize(d).map(zeroize::Zeroizing::new).map_err(|_| refused())?;
                Self::parse(&text).ok_or_else(refused)
            }
        }

        impl schemars::JsonSchema for $Code {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($Code).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string", "minLength": 6, "maxLength": crate::domain::LONGEST, "pattern": $form, "writeOnly": true,
                })
            }
        }
    };
}
use code_input;
