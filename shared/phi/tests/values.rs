//! Value types: what they take, what they keep, and that nothing of it shows.

use phi::{Address, CountryCode, Email, LongText, PersonName, PhiText, Phone, PostalCode, ShortText};
use proptest::prelude::*;

fn accepts<T: PhiText>(cases: &[(&str, &str)]) {
    for (text, kept) in cases {
        assert_eq!(T::parse(text).unwrap_or_else(|e| panic!("`{text}`: {e}")).as_str(), *kept);
    }
}

fn refuses<T: PhiText>(cases: &[&str]) {
    for text in cases {
        let error = T::parse(text).err().unwrap_or_else(|| panic!("`{text}` was taken"));
        assert_eq!(error.to_string(), format!("expected {}", T::EXPECTED));
    }
}

#[test]
fn names() {
    let longest = "é".repeat(200);
    accepts::<PersonName>(&[(" Ada Lovelace ", "Ada Lovelace"), ("佐藤", "佐藤"), (&longest, &longest)]);
    refuses::<PersonName>(&["", "   ", "Ada\nLovelace", "Ada\0", "Ada\u{202e}ecalevoL", "Ada\u{2028}L", &"é".repeat(201)]);
    let name = PersonName::parse("  Ada  LOVELACE ").unwrap();
    assert_eq!(name.normalised(), "ada lovelace");
    assert_eq!(name.masked(), "A*** L***");
}

#[test]
fn phone_numbers() {
    accepts::<Phone>(&[
        ("+1 (555) 010-4477", "+15550104477"),
        ("555.010.4477", "5550104477"),
        ("5550104", "5550104"),
        ("+999999999999999", "+999999999999999"),
    ]);
    refuses::<Phone>(&[
        "",
        "+",
        "555010",
        "1234567890123456",
        "555-010-4477 x9",
        "+1+5550104477",
        "٥٥٥٠١٠٤٤",
        "tel:5550104",
        &"1 ".repeat(400),
    ]);
    let phone = Phone::parse("+1 555 010 4477").unwrap();
    assert_eq!(phone.normalised(), "+15550104477");
    assert_eq!(phone.masked(), "***4477");
}

#[test]
fn e_mail_addresses() {
    accepts::<Email>(&[
        ("Ada@Example.COM", "Ada@example.com"),
        (" a.b+c_d@mail.example.org ", "a.b+c_d@mail.example.org"),
        ("a@b.c", "a@b.c"),
        ("x@xn--bcher-kva.example", "x@xn--bcher-kva.example"),
    ]);
    let local = "l".repeat(65);
    let label = "d".repeat(64);
    refuses::<Email>(&[
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@example",
        "a@b@example.com",
        "a b@example.com",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        "a@-example.com",
        "a@example-.com",
        "a@example..com",
        "a@.com",
        "a@example.com.",
        "\"a b\"@example.com",
        "a@[192.0.2.1]",
        "a@192.0.2.1",
        "ädä@example.com",
        "a@exämple.com",
        "a@exam_ple.com",
        "a\n@example.com",
        "<a@example.com>",
        &format!("{local}@example.com"),
        &format!("a@{label}.com"),
        &format!("a@{}com", "d.".repeat(126)),
    ]);
    let email = Email::parse("Ada.L@Example.com").unwrap();
    assert_eq!(email.normalised(), "ada.l@example.com");
    assert_eq!(email.masked(), "A***@example.com");
}

#[test]
fn bounded_texts() {
    let (short, long) = ("x".repeat(100), "x".repeat(500));
    accepts::<ShortText>(&[(" PO 4711 ", "PO 4711"), (&short, &short)]);
    accepts::<LongText>(&[(&long, &long)]);
    refuses::<ShortText>(&["", " ", "a\tb", "a\r\nb", &"x".repeat(101)]);
    refuses::<LongText>(&["", &"x".repeat(501)]);
    assert_eq!(ShortText::parse("PO  Ä-4711").unwrap().normalised(), "po ä-4711");
    assert_eq!(ShortText::parse("PO-12345678").unwrap().masked(), "***5678");
    assert_eq!(ShortText::parse("PO-1234").unwrap().masked(), "***");
}

#[test]
fn postal_codes_and_countries() {
    accepts::<PostalCode>(&[("94016", "94016"), ("sw1a 1aa", "SW1A 1AA"), ("94016-0001", "94016-0001")]);
    refuses::<PostalCode>(&["", "1", "94016#", "1234567890123", "９４０１６"]);
    accepts::<CountryCode>(&[("US", "US"), ("CA", "CA"), ("ZW", "ZW")]);
    refuses::<CountryCode>(&["", "us", "USA", "XX", "UK", "S ", "U", "AD AE", " US"]);
}

const ADDRESS: &str =
    r#"{"line1":"1 Infirmary Way","line2":null,"city":"Springfield","state":"CA","postal_code":"94016","country":"US"}"#;

#[test]
fn addresses() {
    let address: Address = serde_json::from_str(ADDRESS).unwrap();
    assert_eq!(address.city.as_str(), "Springfield");
    assert_eq!(address.masked(), "CA, US");
    let without: Address =
        serde_json::from_str(&ADDRESS.replace("\"line2\":null,", "").replace("\"state\":\"CA\",", "")).unwrap();
    assert_eq!((without.line2.as_ref(), without.masked().as_str()), (None, "US"));
    for (altered, said) in [
        (ADDRESS.replace("\"city\"", "\"town\""), "unknown field `town`"),
        (ADDRESS.replace(",\"country\":\"US\"", ""), "missing field `country`"),
        (ADDRESS.replace("\"US\"", "\"Springfield\""), "expected an ISO 3166-1 country code"),
        (ADDRESS.replace("\"line2\":null", "\"city\":\"X\""), "duplicate field `city`"),
    ] {
        let error = serde_json::from_str::<Address>(&altered).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn no_error_quotes_the_value() {
    fn check<T: serde::de::DeserializeOwned>() {
        let wrong = [
            "5550104477",
            "-5550104477",
            "5550104477.5",
            "true",
            "\"555\\n0104477\"",
            "[5550104477]",
            "{\"a\":5550104477}",
            "null",
            "99999999999999999999",
        ];
        for json in wrong {
            let Err(error) = serde_json::from_str::<T>(json) else { panic!("`{json}` was taken") };
            let error = error.to_string();
            assert!(!error.contains("555") && !error.contains("999") && !error.contains("true"), "{error}");
            assert!(error.contains("expected"), "{error}");
        }
    }
    check::<PersonName>();
    check::<Phone>();
    check::<Email>();
    check::<ShortText>();
    check::<CountryCode>();
    for json in ["\"1 Infirmary Way\"", "94016", "true", "[\"1 Infirmary Way\"]"] {
        let error = serde_json::from_str::<Address>(json).unwrap_err().to_string();
        assert!(!error.contains("Infirmary") && !error.contains("94016") && error.contains("an address"), "{error}");
    }
}

#[test]
fn debug_shows_no_value() {
    let address: Address = serde_json::from_str(ADDRESS).unwrap();
    assert_eq!(format!("{address:?}"), "Address([phi])");
    assert_eq!(format!("{:?}", PersonName::parse("Ada")), "Ok(PersonName([phi]))");
    assert_eq!(format!("{:?}", Some(Phone::parse("5550104477").unwrap())), "Some(Phone([phi]))");
    assert_eq!(format!("{:?}", LongText::parse("a wig").unwrap()), "Text([phi])");
}

#[test]
fn schemas_say_type_and_bounds() {
    let schema = serde_json::to_value(schemars::schema_for!(PersonName)).unwrap();
    assert_eq!((&schema["type"], &schema["minLength"], &schema["maxLength"]), (&"string".into(), &1.into(), &200.into()));
    let schema = serde_json::to_value(schemars::schema_for!(Address)).unwrap();
    assert_eq!(schema["required"], serde_json::json!(["line1", "city", "postal_code", "country"]));
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["country"]["maxLength"], 2);
}

proptest! {
    #[test]
    fn any_text_parses_to_a_fixed_point_or_not_at_all(text in "\\PC{0,40}|[ -~]{0,40}|[a-z.@+0-9 ()-]{0,30}") {
        fn fixed<T: PhiText>(text: &str) -> Result<(), TestCaseError> {
            if let Ok(value) = T::parse(text) {
                let kept = value.as_str();
                let again = T::parse(kept).ok();
                prop_assert_eq!(again.as_ref().map(T::as_str), Some(kept));
            }
            Ok(())
        }
        fixed::<PersonName>(&text)?;
        fixed::<Phone>(&text)?;
        fixed::<Email>(&text)?;
        fixed::<ShortText>(&text)?;
        fixed::<PostalCode>(&text)?;
        fixed::<CountryCode>(&text)?;
    }

    #[test]
    fn normalising_and_masking_never_panic(text in "\\PC{0,40}") {
        if let Ok(name) = PersonName::parse(&text) { prop_assert!(!name.masked().is_empty() && !name.normalised().is_empty()); }
        if let Ok(text) = ShortText::parse(&text) { prop_assert!(text.masked().starts_with("***") && !text.normalised().is_empty()); }
        if let Ok(phone) = Phone::parse(&text) { prop_assert_eq!(phone.masked().len(), 7); }
        if let Ok(email) = Email::parse(&text) { prop_assert!(email.masked().contains("***@")); }
    }
}
