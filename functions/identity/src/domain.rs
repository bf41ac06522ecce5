//! Second factors: what they are made of, and what is right. Pure: the time and the stored state come in.

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

/// How many bytes of a code are looked at: more than any that is right has, however it was typed.
const LONGEST: usize = 256;

/// A code without what people, keyboards and clipboards put into it: white space, dashes and invisible characters. Compatible forms
/// (full-width digits) become plain ones, as NFKC has them. Nothing is left of a text that is too long.
fn typed(text: &str) -> Zeroizing<String> {
    if text.len() > LONGEST {
        return Zeroizing::default();
    }
    let plain = Zeroizing::new(ComposingNormalizerBorrowed::new_nfkc().normalize(text).into_owned());
    let (categories, ignorable) =
        (CodePointMapData::<GeneralCategory>::new(), CodePointSetData::new::<DefaultIgnorableCodePoint>());
    let passed_over = |c: char| {
        // The minus sign is a symbol to Unicode.
        c.is_whitespace() || c == '\u{2212}' || ignorable.contains(c) || categories.get(c) == GeneralCategory::DashPunctuation
    };
    Zeroizing::new(plain.chars().filter(|c| !passed_over(*c)).collect())
}

/// Makes a code an input: what is no code at all is 422, before a try is taken. Neither the error nor the schema quotes it. The schema's
/// form is that of a code as it is shown, with spaces and dashes; more is taken (see [`typed`]).
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
