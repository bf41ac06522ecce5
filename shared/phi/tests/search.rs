//! Search tokens are equal only for equal values of one field of one tenant.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use phi::{InvalidToken, KeyVersion, SearchKey, SearchToken, Zeroizing};
use proptest::prelude::*;

fn key(version: u32, first: u8) -> SearchKey {
    let bytes = std::array::from_fn(|n| first + n as u8);
    SearchKey::new(KeyVersion::new(version).unwrap(), Zeroizing::new(bytes))
}

#[test]
fn token_equals_the_frozen_vector() {
    // An independent implementation in another language made this token from docs/encryption.md.
    let token = key(7, 0).field("ten_a", "tracking_number").token("1z12345e0205271688");
    assert_eq!(token.to_string(), "v7.qirwKF81bhiKHTNT4tWvYQ9L9kHP63yM_tjPWeN6fxo");
}

#[test]
fn token_changes_with_key_version_tenant_field_and_value() {
    let token = |key: &SearchKey, tenant, field, value| key.field(tenant, field).token(value);
    let first = key(1, 0);
    let tokens = [
        token(&first, "ten_a", "reference", "r-1"),
        token(&first, "ten_a", "reference", "r-2"),
        token(&first, "ten_a", "tracking_number", "r-1"),
        token(&first, "ten_b", "reference", "r-1"),
        token(&first, "ten_ar", "eference", "r-1"),
        token(&key(2, 0), "ten_a", "reference", "r-1"),
        token(&key(1, 1), "ten_a", "reference", "r-1"),
    ];
    let macs: std::collections::HashSet<_> = tokens.iter().map(|token| token.to_string()[3..].to_owned()).collect();
    assert_eq!(macs.len(), tokens.len());
    assert_eq!(tokens[0], token(&key(1, 0), "ten_a", "reference", "r-1"));
}

#[test]
fn token_parses_only_from_its_one_text() {
    let text = key(1, 0).field("ten_a", "reference").token("r-1").to_string();
    let mac = &text[3..];
    assert_eq!((&text[..3], mac.len()), ("v1.", 43));
    let others = [
        mac.to_owned(),
        format!("v.{mac}"),
        format!("v0.{mac}"),
        format!("v01.{mac}"),
        format!("v+1.{mac}"),
        format!("v4294967296.{mac}"),
        format!("V1.{mac}"),
        format!("v1.{mac}="),
        format!("v1.{mac}A"),
        format!("v1.{}", &mac[1..]),
        format!(" {text}"),
        format!("v1.{}", mac.replace(|c: char| c.is_ascii_lowercase(), "+")),
        String::new(),
    ];
    for other in others {
        assert_eq!(SearchToken::parse(&other), Err(InvalidToken), "`{other}`");
    }
    // The last character carries 4 bits. If the parser ignored the other 2 bits, one token would have several texts.
    let last = mac.chars().next_back().unwrap();
    let twins = ('a'..='z').chain('A'..='Z').chain('0'..='9').filter(|c| *c != last);
    let same = twins.filter(|c| SearchToken::parse(&format!("v1.{}{c}", &mac[..42])).is_ok_and(|twin| twin.to_string() == text));
    assert_eq!(same.count(), 0);
}

#[test]
fn token_serialises_as_its_text() {
    let token = key(1, 0).field("ten_a", "reference").token("r-1");
    let json = serde_json::to_string(&token).unwrap();
    assert_eq!(json, format!("\"{token}\""));
    assert_eq!(serde_json::from_str::<SearchToken>(&json).unwrap(), token);
}

#[test]
fn debug_of_search_keys_shows_no_secret() {
    let key = key(3, 0);
    assert_eq!(format!("{key:?}"), "SearchKey { version: 3, .. }");
    assert_eq!(format!("{:?}", key.field("ten_a", "f")), "FieldSearchKey { version: 3, .. }");
}

proptest! {
    #[test]
    fn tokens_round_trip(version in 1..=u32::MAX, secret: [u8; 32], value in "\\PC*") {
        let key = SearchKey::new(KeyVersion::new(version).unwrap(), Zeroizing::new(secret));
        let token = key.field("ten_a", "reference").token(&value);
        prop_assert_eq!(SearchToken::parse(&token.to_string()), Ok(token));
        prop_assert_eq!(token.version(), key.version());
    }

    #[test]
    fn parsed_token_prints_the_same_text(text in "v?[0-9+]{0,11}\\.?[A-Za-z0-9_=-]{40,45}|\\PC*") {
        if let Ok(token) = SearchToken::parse(&text) {
            prop_assert_eq!(token.to_string(), text);
        }
    }
}
