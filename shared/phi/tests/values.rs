//! Value types: the inputs that they accept, the values that they keep, and that errors and `Debug` show none of it.

use phi::{Address, CountryCode, Disclosed, Email, GivenPhone, LongText, PersonName, Phi, PhiText, Phone, PostalCode, ShortText};
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
fn names_are_trimmed_and_bounded() {
    let longest = "é".repeat(200);
    accepts::<PersonName>(&[(" Ada Lovelace ", "Ada Lovelace"), ("佐藤", "佐藤"), (&longest, &longest)]);
    refuses::<PersonName>(&["", "   ", "Ada\nLovelace", "Ada\0", "Ada\u{202e}ecalevoL", "Ada\u{2028}L", &"é".repeat(201)]);
    let name = PersonName::parse("  Ada  LOVELACE ").unwrap();
    assert_eq!(name.normalised(), "ada lovelace");
    assert_eq!(name.masked(), "A*** L***");
}

#[test]
fn stored_phone_numbers_are_parsed_and_masked() {
    accepts::<Phone>(&[
        ("+1 (555) 010-4477", "+15550104477"),
        ("555.010.4477", "5550104477"),
        ("5550104", "5550104"),
        ("+999999999999999", "+999999999999999"),
        (&format!("555{}0104", " ".repeat(25)), "5550104"),
    ]);
    refuses::<Phone>(&[
        &format!("555{}0104", " ".repeat(26)),
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

/// The number as written, the country where it is dialled, and E.164.
#[test]
fn phone_numbers_are_converted_to_e164_by_country() {
    let numbers = [
        ("+44 (0)20 7946 0958", "US", "+442079460958"),
        ("+44 020 7946 0958", "US", "+442079460958"),
        ("020 7946 0958", "GB", "+442079460958"),
        ("(020) 7946 0958", "GB", "+442079460958"),
        ("0044 20 7946 0958", "DE", "+442079460958"),
        ("011 44 20 7946 0958", "US", "+442079460958"),
        ("+49 (0) 30 901820", "US", "+4930901820"),
        ("030/901820", "DE", "+4930901820"),
        ("+7 (8) 495 123 45 67", "US", "+74951234567"),
        ("+33 (0)1 42 68 53 00", "US", "+33142685300"),
        ("01 42 68 53 00", "FR", "+33142685300"),
        ("+61 (0)2 9374 4000", "US", "+61293744000"),
        // Area codes that begin with the digit of the trunk prefix.
        ("+7 (812) 123-45-67", "US", "+78121234567"),
        ("+7 800 555 35 35", "RU", "+78005553535"),
        ("8 812 123 45 67", "RU", "+78121234567"),
        // In Italy the leading zero belongs to the number.
        ("+39 06 1234 5678", "US", "+390612345678"),
        ("06 1234 5678", "IT", "+390612345678"),
        ("+1 (555) 010-4477", "DE", "+15550104477"),
        ("555.010.4477", "US", "+15550104477"),
        ("1-555-010-4477", "US", "+15550104477"),
        ("555 010 4477", "CA", "+15550104477"),
        ("+376 312 345", "US", "+376312345"),
        ("312345", "AD", "+376312345"),
        ("+870 773 111 632", "US", "+870773111632"),
        ("+800 1234 5678", "US", "+80012345678"),
        ("\u{ff0b}\u{ff14}\u{ff14}\u{3000}\u{ff12}\u{ff10} 7946 0958", "US", "+442079460958"),
        ("+44\u{a0}20\u{2011}7946\u{2013}0958", "US", "+442079460958"),
        // Numbers in the form that address books give.
        ("\u{202a}+44 20 7946 0958\u{202c}", "US", "+442079460958"),
        ("\u{2068}030\u{2060}/\u{200b}901820\u{2069}\u{feff}", "DE", "+4930901820"),
    ];
    for (written, country, expected) in numbers {
        let given = GivenPhone::parse(written).unwrap_or_else(|e| panic!("`{written}`: {e}"));
        let phone = given.in_country(CountryCode::parse(country).unwrap()).unwrap_or_else(|e| panic!("`{written}`: {e}"));
        assert_eq!(phone.as_str(), expected, "`{written}` in {country}");
        // A number in E.164's form is unchanged in any country.
        let again = GivenPhone::parse(phone.as_str()).unwrap().in_country(CountryCode::parse("AQ").unwrap()).unwrap();
        assert_eq!((&again, Phone::parse(expected).unwrap()), (&phone, phone.clone()));
    }
    let none = [
        ("+0000000", "US"),
        ("+44 (0)20 7946 095", "US"),
        ("+61 (0)2 9374 400", "US"),
        ("+1 0123456789", "US"),
        ("+43 1000", "US"),
        ("0000000", "US"),
        ("00000000000", "US"),
        ("+999 999 999 999", "US"),
        ("+1 555 010 447", "US"),
        ("+1 555 010 44778", "US"),
        ("5550104", "US"),
        ("+44 20 7946", "GB"),
        ("123456789012345678", "US"),
        ("+1234567890123456", "US"),
        // In this region no number can be dialled without a country code.
        ("12345678", "AQ"),
        ("(((())))1234-----", "US"),
    ];
    for (written, country) in none {
        let given = GivenPhone::parse(written).unwrap_or_else(|e| panic!("`{written}`: {e}"));
        assert!(given.in_country(CountryCode::parse(country).unwrap()).is_err(), "`{written}` in {country}");
    }
    refuses::<GivenPhone>(&[
        "",
        "+",
        "123",
        "555-010-4477 x9",
        "1-800-FLOWERS",
        "+1+5550104477",
        "٥٥٥٠١٠٤٤",
        "tel:5550104",
        &"1 ".repeat(400),
        &format!("{}1234", " ".repeat(125)),
    ]);
    // The length limit applies to the text as written, including white space and full-width digits.
    let wide = "\u{ff11}".repeat(18);
    accepts::<GivenPhone>(&[(&wide, &"1".repeat(18)), (&format!("{}1234", " ".repeat(124)), "1234")]);
    // Numbers that were sealed under older rules are not valid input any more, but still open.
    accepts::<Phone>(&[("+4402079460958", "+4402079460958"), ("+0000000", "+0000000")]);
}

#[test]
fn texts_are_normalised_for_search_by_nfkc_and_full_case_folding() {
    let same = [
        ["STRASSE 7", "Straße 7", "strasse\u{3000} 7", "STRAẞE 7"],
        ["ΟΔΥΣΣΕΎΣ", "οδυσσεύς", "Οδυσσεύσ", "ΟΔΥΣΣΕΥ\u{301}Σ"],
        ["Zoë", "Zoe\u{308}", "ZOË", "ZOE\u{308}"],
        ["ＰＯ　４７１１", "PO 4711", "po\u{a0}4711", "ℙO 4711"],
        ["ﬁle №5", "FILE No5", "file no5", "ＦＩＬＥ NO5"],
        ["Å1", "Å1", "A\u{30a}1", "å1"],
        ["ŉabc", "ʼNABC", "ʼnabc", "\u{2bc}nabc"],
        ["ꭰ", "Ꭰ", "ꭰ", "Ꭰ"],
        ["ᾳ", "ΑΙ", "αι", "ᾼ"],
        ["カﾞ", "ガ", "カ\u{3099}", "ｶﾞ"],
    ];
    for group in same {
        let normalised = group.map(|text| ShortText::parse(text).unwrap().normalised());
        assert!(normalised.iter().all(|text| *text == normalised[0]), "{group:?}: {normalised:?}");
    }
    let vectors = [
        ("  Straße   7 ", "strasse 7", "straße 7"),
        ("ΟΔΥΣΣΕΎΣ", "οδυσσεύσ", "οδυσσεύσ"),
        ("Ordre ﬁn № ５", "ordre fin no 5", "ordre ﬁn № ５"),
        ("İstanbul", "i\u{307}stanbul", "i\u{307}stanbul"),
        ("PO  Ä-4711", "po ä-4711", "po ä-4711"),
    ];
    for (text, version_2, version_1) in vectors {
        let text = ShortText::parse(text).unwrap();
        assert_eq!((text.normalised().as_str(), text.normalised_v1().as_str()), (version_2, version_1));
    }
    // A dotless i is a different letter, and accents are kept.
    for (a, b) in [("ısı", "isi"), ("resume", "résumé"), ("ab", "a b")] {
        assert_ne!(ShortText::parse(a).unwrap().normalised(), ShortText::parse(b).unwrap().normalised());
    }
}

#[test]
fn email_addresses_are_parsed_and_masked() {
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
fn texts_outside_their_bounds_are_refused() {
    let (short, long, widest) = ("x".repeat(100), "x".repeat(500), "\u{1f4e6}".repeat(100));
    accepts::<ShortText>(&[(" PO 4711 ", "PO 4711"), (&short, &short), (&widest, &widest)]);
    accepts::<LongText>(&[(&long, &long)]);
    refuses::<ShortText>(&["", " ", "a\tb", "a\r\nb", &"x".repeat(101), &"\u{1f4e6}".repeat(101)]);
    refuses::<LongText>(&["", &"x".repeat(501)]);
    for (said, length) in [(ShortText::EXPECTED, ShortText::LENGTH), (LongText::EXPECTED, LongText::LENGTH)] {
        assert_eq!(said, format!("a text of {} to {} characters on one line", length.start(), length.end()));
    }
    assert_eq!(ShortText::parse("PO  Ä-4711").unwrap().normalised(), "po ä-4711");
    assert_eq!(ShortText::parse("PO-12345678").unwrap().masked(), "***5678");
    assert_eq!(ShortText::parse("PO-1234").unwrap().masked(), "***");
}

#[test]
fn postal_codes_and_countries_are_parsed() {
    accepts::<PostalCode>(&[("94016", "94016"), ("sw1a 1aa", "SW1A 1AA"), ("94016-0001", "94016-0001")]);
    refuses::<PostalCode>(&["", "1", "94016#", "1234567890123", "９４０１６"]);
    accepts::<CountryCode>(&[("US", "US"), ("CA", "CA"), ("ZW", "ZW")]);
    refuses::<CountryCode>(&["", "us", "USA", "XX", "UK", "S ", "U", "AD AE", " US"]);
}

const ADDRESS: &str =
    r#"{"line1":"1 Infirmary Way","line2":null,"city":"Springfield","state":"CA","postal_code":"94016","country":"US"}"#;

#[test]
fn addresses_are_parsed_with_all_required_members() {
    let address: Address = serde_json::from_str(ADDRESS).unwrap();
    assert_eq!(address.city.as_str(), "Springfield");
    assert_eq!(address.masked(), "CA, US");
    let without: Address =
        serde_json::from_str(&ADDRESS.replace("\"line2\":null,", "").replace("\"state\":\"CA\",", "")).unwrap();
    assert_eq!((without.line2.as_ref(), without.masked().as_str()), (None, "US"));
    // A member that a later version added.
    assert_eq!(serde_json::from_str::<Address>(&ADDRESS.replace('{', r#"{"unit":[1],"#)).unwrap(), address);
    for (altered, said) in [
        (ADDRESS.replace("\"city\"", "\"town\""), "missing field `city`"),
        (ADDRESS.replace(",\"country\":\"US\"", ""), "missing field `country`"),
        (ADDRESS.replace("\"US\"", "\"Springfield\""), "expected an ISO 3166-1 country code"),
        (ADDRESS.replace("\"line2\":null", "\"city\":\"X\""), "duplicate field `city`"),
    ] {
        let error = serde_json::from_str::<Address>(&altered).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn errors_never_quote_the_value() {
    fn check<T: serde::de::DeserializeOwned + PhiText>() {
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
            assert!(error.contains(&format!("expected {}", T::EXPECTED)), "{error}");
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
fn debug_of_values_is_redacted() {
    let address: Address = serde_json::from_str(ADDRESS).unwrap();
    assert_eq!(format!("{address:?}"), "Address([phi])");
    assert_eq!(format!("{:?}", PersonName::parse("Ada")), "Ok(PersonName([phi]))");
    assert_eq!(format!("{:?}", Some(Phone::parse("5550104477").unwrap())), "Some(Phone([phi]))");
    assert_eq!(format!("{:?}", LongText::parse("a wig").unwrap()), "Text([phi])");
}

#[test]
fn schemas_have_type_and_bounds() {
    let schema = serde_json::to_value(schemars::schema_for!(PersonName)).unwrap();
    assert_eq!((&schema["type"], &schema["minLength"], &schema["maxLength"]), (&"string".into(), &1.into(), &200.into()));
    let schema = serde_json::to_value(schemars::schema_for!(Address)).unwrap();
    assert_eq!(schema["required"], serde_json::json!(["line1", "city", "country"]));
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["country"]["maxLength"], 2);
}

#[test]
fn wrappers_have_the_schema_of_their_value() {
    use schemars::{JsonSchema, SchemaGenerator, schema_for};

    fn inside<T: JsonSchema>() -> (schemars::Schema, serde_json::Map<String, serde_json::Value>) {
        let mut generator = SchemaGenerator::default();
        (generator.subschema_for::<T>(), generator.definitions().clone())
    }
    // The schema of a name is inline; the schema of an address is defined once and referenced.
    assert_ne!(inside::<PersonName>().1.is_empty(), inside::<Address>().1.is_empty());
    assert_eq!(inside::<Phi<PersonName>>(), inside::<PersonName>());
    assert_eq!(inside::<Disclosed<PersonName>>(), inside::<PersonName>());
    assert_eq!(inside::<Phi<Address>>(), inside::<Address>());
    assert_eq!(inside::<Disclosed<Address>>(), inside::<Address>());
    assert_eq!(schema_for!(Phi<Address>), schema_for!(Address));
    assert_eq!(schema_for!(Disclosed<Address>), schema_for!(Address));
}

proptest! {
    #[test]
    fn parsing_any_text_is_idempotent_or_refused(text in "\\PC{0,40}|[ -~]{0,40}|[a-z.@+0-9 ()-]{0,30}") {
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
        fixed::<GivenPhone>(&text)?;
        fixed::<Email>(&text)?;
        fixed::<ShortText>(&text)?;
        fixed::<PostalCode>(&text)?;
        fixed::<CountryCode>(&text)?;
    }

    #[test]
    fn normalising_is_idempotent_and_case_insensitive(text in "\\PC{1,40}|[ßẞſςΣ\u{345}\u{301}\u{308}ﬁİı]{1,20}") {
        if let Ok(value) = ShortText::parse(&text) {
            let once = value.normalised();
            if let Ok(again) = phi::Text::<4000>::parse(&once) { prop_assert_eq!(again.normalised(), once); }
        }
    }

    #[test]
    fn any_phone_number_becomes_e164_or_is_refused(text in "\\+?[0-9 ()./-]{4,24}", country in "US|GB|DE|IT|AR|MX|BR|RU|CN|AQ|HM") {
        if let Ok(given) = GivenPhone::parse(&text)
            && let Ok(phone) = given.in_country(CountryCode::parse(&country).unwrap())
        {
            let text = phone.as_str();
            prop_assert!(text.starts_with('+') && (5..=16).contains(&text.len()) && !text.starts_with("+0"));
            prop_assert!(Phone::parse(text).is_ok_and(|stored| stored == phone), "the stored parser reads the result");
        }
    }

    #[test]
    fn normalising_and_masking_never_panic(text in "\\PC{0,40}") {
        if let Ok(name) = PersonName::parse(&text) { prop_assert!(!name.masked().is_empty() && !name.normalised().is_empty()); }
        if let Ok(text) = ShortText::parse(&text) { prop_assert!(text.masked().starts_with("***") && !text.normalised().is_empty()); }
        if let Ok(phone) = Phone::parse(&text) { prop_assert_eq!(phone.masked().len(), 7); }
        if let Ok(email) = Email::parse(&text) { prop_assert!(email.masked().contains("***@")); }
    }
}
