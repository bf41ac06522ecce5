//! Tokens with arbitrary content: no input causes a panic, and only the one valid token is accepted.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A JSON value of the kinds that claims have.
fn any_claim() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        ".{0,20}".prop_map(|s| json!(s)),
        Just(json!(null)),
        Just(json!([])),
        Just(json!({})),
    ]
}

proptest! {
    #[test]
    fn arbitrary_token_is_refused_without_panic(text in any::<String>()) {
        prop_assert!(verify(&text).is_err());
        prop_assert!(verifier().header(&text).is_err());
    }

    #[test]
    fn text_in_the_shape_of_a_token_is_refused_without_panic(text in "[A-Za-z0-9_=-]{0,40}(\\.[A-Za-z0-9_-]{0,40}){0,4}") {
        prop_assert!(verify(&text).is_err());
    }

    #[test]
    fn token_with_a_replaced_byte_is_refused(at in any::<prop::sample::Index>(), by in 0_u8..128) {
        let mut whole = token(&header(), &claims()).into_bytes();
        let at = at.index(whole.len());
        prop_assume!(whole[at] != by);
        whole[at] = by;
        prop_assert!(verify(&String::from_utf8(whole).unwrap()).is_err());
    }

    #[test]
    fn token_cut_anywhere_is_refused(at in any::<prop::sample::Index>()) {
        let whole = token(&header(), &claims());
        prop_assert!(verify(&whole[..at.index(whole.len())]).is_err());
    }

    #[test]
    fn signed_token_with_any_content_never_panics(header in any::<Vec<u8>>(), payload in any::<Vec<u8>>()) {
        prop_assert!(verify(&signed_by(pool_key(), header, payload)).is_err());
    }

    #[test]
    fn accepted_token_is_within_its_validity(exp in any_claim(), iat in any_claim(), now in any::<i64>()) {
        let claims = with(with(claims(), "exp", exp), "iat", iat);
        if let Ok(accepted) = verifier().verify(&token(&header(), &claims), &pool_key().public(), now) {
            prop_assert!(now < accepted.exp && accepted.iat <= now.saturating_add(LEEWAY_SECONDS));
        }
    }
}
