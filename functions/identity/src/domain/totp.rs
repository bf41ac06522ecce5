//! Time-based one-time passwords (RFC 6238): SHA-1, six digits, thirty seconds, which every authenticator app supports.

use common::base::{Timestamp, random};
use phi::PhiValue;
use serde::{Deserialize, Deserializer, Serializer, de};
use std::fmt;
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

/// The secret's length for a new authenticator. RFC 4226, R6, recommends 160 bits.
const BYTES: usize = 20;
const STEP: u64 = 30;

/// A code as a person typed it: six digits. Its `Debug` is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpCode(Zeroizing<String>);

impl TotpCode {
    /// Accepts the groups that authenticators show, and the changes that keyboards and clipboards make: see
    /// `super::typed`.
    pub fn parse(text: &str) -> Option<Self> {
        let code = super::typed(text);
        (code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit())).then_some(Self(code))
    }
}

impl fmt::Debug for TotpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

super::code_input!(TotpCode, "^([ -]*[0-9]){6}[ -]*$", "expected six digits");

/// The secret that the authenticator and the server share. Its `Debug` is redacted, and it is sealed like PHI.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret(Zeroizing<[u8; BYTES]>);

/// The reason why a code was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is not the code of the current, the previous or the next step.
    Wrong,
    /// It is valid, but it or a code of a later step was used before.
    Replayed,
}

impl TotpSecret {
    pub fn generate() -> Self {
        Self(Zeroizing::new(random::bytes()))
    }

    /// The form for typing it into an authenticator: base32 (RFC 4648), without padding.
    pub fn to_base32(&self) -> String {
        Secret::from(self.0.to_vec()).to_base32()
    }

    /// The URI that an authenticator reads from a QR code.
    ///
    /// Source: the Key URI format of Google Authenticator, which other apps adopted.
    pub fn uri(&self, issuer: &str, account: &str) -> String {
        let (issuer, account) = (percent(issuer), percent(account));
        let secret = self.to_base32();
        format!("otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period={STEP}")
    }

    /// The step of a valid code: the current step, the previous or the next one, and later than `last`.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn verify(&self, TotpCode(code): &TotpCode, now: Timestamp, last: Option<i64>) -> Result<i64, Refused> {
        let now = u64::try_from(now.as_secs()).map_err(|_| Refused::Wrong)?;
        let step = self.totp().check(code.as_str(), now).ok_or(Refused::Wrong)?;
        let step = i64::try_from(step).map_err(|_| Refused::Wrong)?;
        if last.is_some_and(|last| step <= last) { Err(Refused::Replayed) } else { Ok(step) }
    }

    /// The code at a time: the one that an authenticator shows.
    pub fn code_at(&self, now: Timestamp) -> String {
        self.totp().generate(u64::try_from(now.as_secs()).unwrap_or(0)).to_string()
    }

    // The checks of `build` are not needed, because the parameters are constant.
    fn totp(&self) -> Totp {
        Builder::new().with_secret(self.0.to_vec()).build_noncompliant()
    }
}

/// Percent-encodes everything except unreserved characters (RFC 3986).
fn percent(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl PhiValue for TotpSecret {
    fn serialize_plain<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.to_base32())
    }
}

impl<'de> Deserialize<'de> for TotpSecret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let refused = || de::Error::custom("expected a secret in base32");
        let text = String::deserialize(d).map(Zeroizing::new)?;
        let secret = Secret::try_from_base32(text.as_str()).map_err(|_| refused())?;
        secret.as_ref().try_into().map(|bytes| Self(Zeroizing::new(bytes))).map_err(|_| refused())
    }
}

phi::sealed_fields! {
    /// The stored data of an authenticator.
    #[derive(Clone, Debug)]
    pub struct Authenticator in "second_factors" {
        1 => secret: TotpSecret,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The key of RFC 4226, appendix D, and RFC 6238, appendix B.
    fn published() -> TotpSecret {
        TotpSecret(Zeroizing::new(*b"12345678901234567890"))
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    #[test]
    fn codes_match_the_vectors_of_rfc_6238() {
        // Appendix B has eight digits; the last six are those of a six-digit code.
        let vectors = [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ];
        for (secs, code) in vectors {
            assert_eq!(published().code_at(at(secs)), code[2..], "{secs}");
            assert_eq!(published().verify(&given(&code[2..]), at(secs), None), Ok(secs / 30), "{secs}");
        }
    }

    #[test]
    fn codes_match_the_vectors_of_rfc_4226() {
        let vectors = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (counter, code) in (0..).zip(vectors) {
            assert_eq!(published().code_at(at(counter * 30)), code);
        }
    }

    #[test]
    fn code_is_valid_once_within_one_step_before_and_after() {
        let (secret, code) = (published(), given(&published().code_at(at(3000))));
        for now in [2970, 2999, 3000, 3029, 3059] {
            assert_eq!(secret.verify(&code, at(now), None), Ok(100), "{now}");
        }
        for now in [2969, 3060] {
            assert_eq!(secret.verify(&code, at(now), None), Err(Refused::Wrong), "{now}");
        }
        assert_eq!(secret.verify(&code, at(3000), Some(100)), Err(Refused::Replayed));
        assert_eq!(secret.verify(&code, at(3000), Some(101)), Err(Refused::Replayed), "a code of a later step was used");
        assert_eq!(secret.verify(&code, at(3000), Some(99)), Ok(100));
    }

    fn given(code: &str) -> TotpCode {
        TotpCode::parse(code).unwrap()
    }

    #[test]
    fn text_that_is_not_six_digits_is_refused() {
        for wrong in
            ["", " ", "28708", "2870822", "28708a", "+28708", "-87082", "287,082", "287.082", "287_082", "0x2870", "٢٨٧٠٨٢"]
        {
            assert_eq!(TotpCode::parse(wrong), None, "{wrong}");
            assert!(serde_json::from_value::<TotpCode>(wrong.into()).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<TotpCode>("287082").is_err(), "a number has lost its leading zeros");
        assert_eq!(format!("{:?}", given("287082")), "[secret]");
    }

    #[test]
    fn totp_code_is_accepted_in_any_spelling() {
        for same in [
            "287 082",
            "287-082",
            " 287082 ",
            "28 70 82",
            "2-8-7-0-8-2",
            "287\u{a0}082",
            "287\u{202f}082",
            "287\u{2009}082",
            "287\u{3000}082",
            "287\t082\n",
            "287\u{2011}082",
            "287\u{2013}082",
            "287\u{2014}082",
            "287\u{2212}082",
            "287\u{ff0d}082",
            "287\u{ad}082",
            "287\u{200b}082",
            "\u{feff}287082",
            "\u{202a}287082\u{202c}",
            "２８７０８２",
            "２８７　０８２",
        ] {
            assert_eq!(TotpCode::parse(same), Some(given("287082")), "{same:?}");
            assert_eq!(published().verify(&given(same), at(59), None), Ok(1), "{same:?}");
        }
    }

    #[test]
    fn code_before_1970_is_refused() {
        let code = given(&published().code_at(at(59)));
        assert_eq!(published().verify(&code, at(-3000), None), Err(Refused::Wrong), "before there were steps");
    }

    #[test]
    fn uri_contains_issuer_account_and_parameters() {
        assert_eq!(
            published().uri("Acme & Co", "ada@acme.example"),
            "otpauth://totp/Acme%20%26%20Co:ada%40acme.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme%20%26%20Co\
             &algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(format!("{:?}", published()), "[secret]");
    }

    proptest! {
        #[test]
        fn verifying_a_code_of_another_secret_never_panics(secs in 0i64..4_000_000_000) {
            let (mine, theirs) = (TotpSecret::generate(), TotpSecret::generate());
            prop_assert!(mine.verify(&given(&mine.code_at(at(secs))), at(secs), None).is_ok());
            // By chance, about three codes of a million are valid.
            let _ = mine.verify(&given(&theirs.code_at(at(secs))), at(secs), None);
        }

        #[test]
        fn verifying_any_code_never_panics(code in ".{0,12}", digits in "[0-9]{6}", secs: i32) {
            let _ = TotpCode::parse(&code);
            let _ = published().verify(&given(&digits), at(secs.into()), Some(7));
        }
    }
}
