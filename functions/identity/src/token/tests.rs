mod arbitrary;

use aws_lc_rs::hmac;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

use super::test_keys::{TestKey, other_key, pool_key};
use super::*;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example01";
const CLIENT: &str = "example-client";

fn verifier() -> Verifier {
    Verifier::new(ISSUER.to_owned(), CLIENT.to_owned())
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": pool_key().kid})
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "client_id": CLIENT, "token_use": "access", "sub": "sub-1", "username": "usr_1",
        "origin_jti": "origin-1", "jti": "jti-1", "auth_time": NOW - 60, "iat": NOW - 10, "exp": NOW + 290,
        "version": 2, "scope": "none",
    })
}

/// `json` with one member set, or removed if `value` is null.
fn with(mut json: Value, name: &str, value: Value) -> Value {
    let members = json.as_object_mut().unwrap();
    match value {
        Value::Null => members.remove(name),
        value => members.insert(name.to_owned(), value),
    };
    json
}

fn unsigned(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

fn signed_by(key: &TestKey, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let message = unsigned(header, payload);
    let signature = URL_SAFE_NO_PAD.encode(key.rs256(&message));
    format!("{message}.{signature}")
}

fn token(header: &Value, claims: &Value) -> String {
    signed_by(pool_key(), header.to_string(), claims.to_string())
}

fn verify(token: &str) -> Result<AccessClaims, TokenError> {
    verifier().verify(token, &pool_key().public(), NOW)
}

fn refused_header(name: &str, value: Value) -> TokenError {
    let token = token(&with(header(), name, value), &claims());
    let why = verifier().header(&token).unwrap_err();
    assert_eq!(verify(&token), Err(why), "the header is refused before a key is searched");
    why
}

fn with_claim(name: &str, value: Value) -> Result<AccessClaims, TokenError> {
    verify(&token(&header(), &with(claims(), name, value)))
}

fn refused_claim(name: &str, value: Value) -> TokenError {
    with_claim(name, value).unwrap_err()
}

#[test]
fn access_token_of_the_pool_is_accepted() {
    let accepted = verify(&token(&header(), &claims())).unwrap();
    let expected = AccessClaims {
        sub: "sub-1".into(),
        username: "usr_1".into(),
        origin_jti: "origin-1".into(),
        jti: "jti-1".into(),
        exp: NOW + 290,
        iat: NOW - 10,
        auth_time: Some(NOW - 60),
        client_id: CLIENT.into(),
    };
    assert_eq!(accepted, expected);
    assert_eq!(with_claim("auth_time", Value::Null).unwrap().auth_time, None);
    assert_eq!(verifier().header(&token(&header(), &claims())).unwrap().kid, pool_key().kid);
}

#[test]
fn type_other_than_jwt_or_absent_is_refused() {
    assert!(verify(&token(&with(header(), "typ", json!("JWT")), &claims())).is_ok());
    for typ in [json!("at+jwt"), json!("jwt"), json!("JWS"), json!(""), json!(1), json!(["JWT"])] {
        assert_eq!(refused_header("typ", typ), TokenError::Typ);
    }
}

#[test]
fn alg_none_in_any_spelling_is_refused_signed_or_not() {
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        assert_eq!(refused_header("alg", json!(alg)), TokenError::Alg);
        let header = with(header(), "alg", json!(alg)).to_string();
        let bare = format!("{}.", unsigned(header, claims().to_string()));
        assert_eq!(verify(&bare), Err(TokenError::Alg));
    }
}

#[test]
fn algorithm_other_than_rs256_is_refused() {
    let others = ["HS256", "HS384", "HS512", "RS384", "RS512", "PS256", "PS384", "ES256", "EdDSA", "rs256", "RS256 "];
    for alg in others {
        assert_eq!(refused_header("alg", json!(alg)), TokenError::Alg, "{alg}");
    }
    for alg in [Value::Null, json!(["RS256"]), json!(256), json!({"RS256": true})] {
        assert_eq!(refused_header("alg", alg), TokenError::Alg);
    }
}

#[test]
fn hmac_with_any_form_of_the_public_key_is_refused() {
    let key = pool_key();
    let body = STANDARD.encode(key.spki_der());
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let secrets = [
        pem.clone().into_bytes(),
        pem.trim_end().as_bytes().to_vec(),
        key.spki_der(),
        key.pkcs1_der().to_vec(),
        key.modulus().to_vec(),
        URL_SAFE_NO_PAD.encode(key.modulus()).into_bytes(),
        key.jwk().to_string().into_bytes(),
    ];
    for secret in secrets {
        for (alg, expected) in [("HS256", TokenError::Alg), ("RS256", TokenError::Signature)] {
            let message = unsigned(with(header(), "alg", json!(alg)).to_string(), claims().to_string());
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
            let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
            assert_eq!(verify(&forged), Err(expected));
        }
    }
}

#[test]
fn signature_with_another_padding_is_refused() {
    let message = unsigned(header().to_string(), claims().to_string());
    let pss = format!("{message}.{}", URL_SAFE_NO_PAD.encode(pool_key().ps256(&message)));
    assert_eq!(verify(&pss), Err(TokenError::Signature));
}

#[test]
fn token_that_brings_its_own_key_is_refused() {
    let own = other_key();
    let url = json!("https://keys.example/jwks.json");
    let brought = [
        ("jwk", own.jwk()),
        ("jku", url.clone()),
        ("x5u", url),
        ("x5c", json!([STANDARD.encode(own.spki_der())])),
        ("x5t", json!("thumbprint")),
        ("x5t#S256", json!("thumbprint")),
    ];
    for (name, value) in brought {
        assert_eq!(refused_header(name, value.clone()), TokenError::EmbeddedKey, "{name}");
        let header = with(header(), name, value).to_string();
        let forged = signed_by(own, header, claims().to_string());
        assert_eq!(verify(&forged), Err(TokenError::EmbeddedKey), "{name}");
    }
}

#[test]
fn critical_extensions_are_refused_known_or_not() {
    for crit in [json!(["exp"]), json!(["b64"]), json!(["x-unknown"]), json!([]), json!("exp"), json!(false)] {
        assert_eq!(refused_header("crit", crit), TokenError::Crit);
    }
    for b64 in [true, false] {
        assert_eq!(refused_header("b64", json!(b64)), TokenError::Crit);
    }
}

#[test]
fn encrypted_compressed_and_nested_tokens_are_refused() {
    for (name, value) in [("enc", "A256GCM"), ("zip", "DEF"), ("cty", "JWT")] {
        assert_eq!(refused_header(name, json!(value)), TokenError::Nested);
    }
}

#[test]
fn missing_key_id_is_refused() {
    for kid in [Value::Null, json!(""), json!(1), json!([pool_key().kid])] {
        assert_eq!(refused_header("kid", kid), TokenError::KidMissing);
    }
}

#[test]
fn unknown_key_id_is_refused_even_if_the_signature_is_valid() {
    let token = token(&with(header(), "kid", json!("elsewhere")), &claims());
    assert_eq!(verify(&token), Err(TokenError::KidUnknown));
    let renamed = pool_key().public_as("elsewhere");
    assert!(verifier().verify(&token, &renamed, NOW).is_ok());
}

#[test]
fn token_of_another_pool_is_refused() {
    let issuer = json!("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example02");
    let payload = with(claims(), "iss", issuer.clone()).to_string();
    let theirs = with(header(), "kid", json!(other_key().kid)).to_string();
    let honest = signed_by(other_key(), theirs, &payload);
    assert_eq!(verify(&honest), Err(TokenError::KidUnknown));
    assert_eq!(verifier().verify(&honest, &other_key().public(), NOW), Err(TokenError::Issuer));
    let renamed = signed_by(other_key(), header().to_string(), &payload);
    assert_eq!(verify(&renamed), Err(TokenError::Signature));
    assert_eq!(refused_claim("iss", issuer), TokenError::Issuer);
}

#[test]
fn other_issuer_is_refused() {
    for iss in [format!("{ISSUER}/"), ISSUER.to_uppercase(), ISSUER[..ISSUER.len() - 1].to_owned()] {
        assert_eq!(refused_claim("iss", json!(iss)), TokenError::Issuer);
    }
    for iss in [Value::Null, json!([ISSUER]), json!("")] {
        assert_eq!(refused_claim("iss", iss), TokenError::Claim("iss"));
    }
}

#[test]
fn other_app_client_is_refused() {
    assert_eq!(refused_claim("client_id", json!("another-client")), TokenError::ClientId);
    for client in [Value::Null, json!([CLIENT])] {
        assert_eq!(refused_claim("client_id", client), TokenError::Claim("client_id"));
    }
    let audience = with(with(claims(), "client_id", Value::Null), "aud", json!(CLIENT));
    assert_eq!(verify(&token(&header(), &audience)), Err(TokenError::Claim("client_id")));
}

#[test]
fn audience_is_ignored() {
    assert!(with_claim("aud", json!("anything")).is_ok());
}

#[test]
fn id_token_is_refused() {
    let id_token = json!({
        "iss": ISSUER, "aud": CLIENT, "token_use": "id", "sub": "sub-1", "cognito:username": "usr_1",
        "origin_jti": "origin-1", "jti": "jti-1", "iat": NOW - 10, "exp": NOW + 290,
    });
    assert_eq!(verify(&token(&header(), &id_token)), Err(TokenError::TokenUse));
    for token_use in ["id", "refresh", "Access"] {
        assert_eq!(refused_claim("token_use", json!(token_use)), TokenError::TokenUse);
    }
    assert_eq!(refused_claim("token_use", Value::Null), TokenError::Claim("token_use"));
}

#[test]
fn missing_or_mistyped_claim_is_refused() {
    for name in ["sub", "username", "origin_jti", "jti"] {
        for value in [Value::Null, json!(""), json!(1), json!(["a"])] {
            assert_eq!(refused_claim(name, value), TokenError::Claim(name));
        }
    }
    for name in ["exp", "iat"] {
        for value in [Value::Null, json!("1900000000"), json!(1.9e9), json!(u64::MAX), json!([NOW])] {
            assert_eq!(refused_claim(name, value), TokenError::Claim(name));
        }
    }
    for name in ["nbf", "auth_time"] {
        assert_eq!(refused_claim(name, json!("soon")), TokenError::Claim(name));
    }
}

#[test]
fn token_is_refused_from_the_second_of_its_exp() {
    for exp in [NOW, NOW - 1, NOW - LEEWAY_SECONDS, 0, -1, i64::MIN] {
        assert_eq!(refused_claim("exp", json!(exp)), TokenError::Expired);
    }
    assert!(with_claim("exp", json!(NOW + 1)).is_ok());
}

#[test]
fn token_from_the_future_is_refused_beyond_the_leeway() {
    for (name, why) in [("iat", TokenError::IssuedInFuture), ("nbf", TokenError::NotYetValid)] {
        assert!(with_claim(name, json!(NOW + LEEWAY_SECONDS)).is_ok());
        for at in [NOW + LEEWAY_SECONDS + 1, i64::MAX] {
            assert_eq!(refused_claim(name, json!(at)), why);
        }
    }
}

#[test]
fn extreme_times_do_not_overflow() {
    let token = token(&header(), &with(claims(), "exp", json!(i64::MAX)));
    let key = pool_key().public();
    assert_eq!(verifier().verify(&token, &key, i64::MAX), Err(TokenError::Expired));
    assert_eq!(verifier().verify(&token, &key, i64::MIN), Err(TokenError::IssuedInFuture));
    assert!(verifier().verify(&token, &key, i64::MAX - 1).is_ok());
}

#[test]
fn duplicate_header_member_or_claim_is_refused() {
    let kid = pool_key().kid;
    let twice = format!(r#"{{"alg":"none","kid":"{kid}","alg":"RS256"}}"#);
    assert_eq!(verify(&signed_by(pool_key(), twice, claims().to_string())), Err(TokenError::DuplicateMember));
    for name in ["exp", "sub", "iss", "unknown"] {
        let members = with(claims(), "unknown", json!(1)).to_string();
        let twice = format!(r#"{},"{name}":{}}}"#, &members[..members.len() - 1], json!(NOW));
        let token = signed_by(pool_key(), header().to_string(), twice);
        assert_eq!(verify(&token), Err(TokenError::DuplicateMember), "{name}");
    }
}

#[test]
fn oversized_token_is_refused_before_parsing() {
    let padded = |length: usize| token(&header(), &with(claims(), "scope", json!("a".repeat(length))));
    assert!(verify(&padded(4_000)).is_ok());
    assert_eq!(verify(&padded(8_000)), Err(TokenError::TooLarge));
    assert_eq!(verifier().header(&".".repeat(MAX_TOKEN_BYTES + 1)), Err(TokenError::TooLarge));
    assert_eq!(verifier().header(&".".repeat(MAX_TOKEN_BYTES)), Err(TokenError::Malformed));
}

#[test]
fn segment_that_is_not_utf8_or_json_is_refused() {
    let kid = pool_key().kid.as_bytes();
    let header_bytes = [br#"{"alg":"RS256","kid":""#, kid, b"\xff\"}"].concat();
    assert_eq!(verify(&signed_by(pool_key(), header_bytes, "{}")), Err(TokenError::Malformed));
    for payload in [&b"{\"sub\":\"\xc3\x28\"}"[..], b"", b"null", b"[]", b"{", b"{}{}", b"\xef\xbb\xbf{}"] {
        let token = signed_by(pool_key(), header().to_string(), payload);
        assert_eq!(verify(&token), Err(TokenError::Malformed), "{payload:?}");
    }
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(2_000), "]".repeat(2_000));
    assert_eq!(verify(&signed_by(pool_key(), header().to_string(), deep)), Err(TokenError::Malformed));
}

#[test]
fn other_number_of_segments_is_refused() {
    let whole = token(&header(), &claims());
    let (message, signature) = whole.rsplit_once('.').unwrap();
    let head = message.split_once('.').unwrap().0;
    for bad in ["", ".", "..", head, message, &format!("{whole}."), &format!("{whole}.x"), &format!(".{whole}")] {
        assert_eq!(verify(bad), Err(TokenError::Malformed), "`{bad}`");
    }
    assert_eq!(verify(&format!("{message}.")), Err(TokenError::Signature));
    assert_eq!(verify(&format!("{head}..{signature}")), Err(TokenError::Signature));
}

#[test]
fn padding_white_space_and_other_alphabets_are_refused() {
    let whole = token(&header(), &claims());
    let (message, signature) = whole.rsplit_once('.').unwrap();
    let (head, payload) = message.split_once('.').unwrap();
    for bad_head in [format!("{head}="), format!(" {head}"), format!("{head}\n"), format!("+/{head}")] {
        assert_eq!(verify(&format!("{bad_head}.{payload}.{signature}")), Err(TokenError::Malformed));
    }
    for suffix in ["=", "==", " ", "\n", "A", "AA", "é"] {
        assert_eq!(verify(&format!("{whole}{suffix}")), Err(TokenError::Signature), "{suffix:?}");
    }
    let padded = format!("{}.{}", head, URL_SAFE.encode(format!("{}  ", claims())));
    let padded = format!("{}=", padded.trim_end_matches('='));
    let signature = URL_SAFE_NO_PAD.encode(pool_key().rs256(&padded));
    assert_eq!(verify(&format!("{padded}.{signature}")), Err(TokenError::Malformed));
}

#[test]
fn token_with_any_flipped_bit_is_refused() {
    let whole = token(&header(), &claims()).into_bytes();
    let key = pool_key().public();
    for at in 0..whole.len() {
        for bit in 0..7 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            let flipped = String::from_utf8(flipped).unwrap();
            assert!(verifier().verify(&flipped, &key, NOW).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn error_codes_are_stable_and_distinct() {
    use TokenError::*;
    let all = [
        TooLarge,
        Malformed,
        DuplicateMember,
        Alg,
        Typ,
        Crit,
        EmbeddedKey,
        Nested,
        KidMissing,
        KidUnknown,
        Signature,
        Claim("sub"),
        Issuer,
        ClientId,
        TokenUse,
        Expired,
        NotYetValid,
        IssuedInFuture,
    ];
    let codes = all.map(TokenError::code);
    let expected = [
        "too_large",
        "malformed",
        "duplicate_member",
        "alg",
        "typ",
        "crit",
        "embedded_key",
        "nested",
        "kid_missing",
        "kid_unknown",
        "signature",
        "claim",
        "iss",
        "client_id",
        "token_use",
        "expired",
        "nbf",
        "iat",
    ];
    assert_eq!(codes, expected);
}
