//! Arbitrary input from callers: every parser accepts or refuses it, and none panics. `fuzz/` tests the same for ids and times
//! for longer.

use crate::{
    base::{Error, EventId, Principal, Purpose, SessionId, TenantId, Timestamp, UserId, telemetry::CorrelationId},
    identity::RefreshToken,
    request::{
        Data, Operation, Route, Sample,
        http::Request,
        idempotency::Claim,
        if_match::ExpectedVersion,
        input::{self, FromJson, Input, Json, Limit, Query, strict_json},
    },
    store::{TableQuery, Version, cursor, dynamodb::Position, item::Index},
};
use phi::{KeyVersion, SearchKey};
use proptest::prelude::*;
use serde_json::{Value, json};

crate::input! {
    /// One field of each kind.
    struct Everything { required name: String, optional page: Limit, patch note: String }
}

struct Keyed;

impl Operation for Keyed {
    const NAME: &'static str = "keyed";
    const SUMMARY: &'static str = "Takes an idempotency key";
    const ROUTE: Route = Route::post("/v1/keyed");
    const DATA: Data = Data::NoPhi;
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = ();
}

fn key(fill: u8) -> SearchKey {
    SearchKey::new(KeyVersion::FIRST, zeroize::Zeroizing::new([fill; 32]))
}

fn list() -> TableQuery {
    TableQuery::index(Index::All, "SHIPMENTS")
}

fn cursor_of(tenant: &str) -> String {
    cursor::seal(&Position("SHIPMENT#1".into(), "SHIPMENT".into(), "shp_1".into()), &key(1), tenant, &list()).unwrap()
}

fn opens(text: &str, fill: u8, tenant: &str, query: &TableQuery) -> bool {
    match cursor::open(text, &key(fill), tenant, query) {
        Ok(_) => true,
        Err(e) => {
            assert_eq!(e.status(), 422);
            false
        }
    }
}

/// JSON of any shape, four deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let names = prop_oneof![Just("name".to_owned()), Just("page".to_owned()), Just("note".to_owned()), ".{0,6}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..6).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// The same JSON, in which each number without a fraction is an integer, within 64 bits.
fn with_integers(value: Value) -> Value {
    match value {
        Value::Number(n) if n.is_f64() => {
            let exact = n.as_f64().filter(|v| v.fract() == 0.0).map(|v| format!("{v:.0}"));
            let integer = exact.and_then(|v| v.parse::<i128>().ok()).and_then(serde_json::Number::from_i128);
            Value::Number(integer.unwrap_or(n))
        }
        Value::Array(items) => items.into_iter().map(with_integers).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, with_integers(value))).collect(),
        other => other,
    }
}

fn event(fields: Value) -> Request {
    let mut event = json!({
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json"},
        "multiValueHeaders": {"Content-Type": ["application/json"]},
        "requestContext": {"httpMethod": "POST"},
    });
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Request::read(serde_json::from_value(event).unwrap(), crate::request::BODY_LIMIT)
}

#[test]
fn cursor_opens_only_for_its_tenant_key_and_list() {
    let cursor = cursor_of("ten_a");
    assert!(opens(&cursor, 1, "ten_a", &list()));
    assert!(!opens(&cursor, 1, "ten_b", &list()), "another tenant");
    assert!(!opens(&cursor, 2, "ten_a", &list()), "another key");
    assert!(!opens(&cursor, 1, "ten_a", &TableQuery::index(Index::Status, "SHIPMENTS")), "another index");
    assert!(!opens(&cursor, 1, "ten_a", &TableQuery::index(Index::All, "PATIENTS")), "another partition");
    assert!(!opens(&cursor, 1, "ten_a", &list().between("a", "b")), "another range");
}

#[test]
fn altered_or_cut_cursor_is_refused() {
    let cursor = cursor_of("ten_a");
    for at in 0..cursor.len() {
        assert!(!opens(&cursor[..at], 1, "ten_a", &list()), "cut at {at}");
        for bit in 0..7 {
            let mut bytes = cursor.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            assert!(!opens(&String::from_utf8(bytes).unwrap(), 1, "ten_a", &list()), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn if_match_is_a_quoted_or_bare_version_or_any() {
    for (text, expected) in
        [("*", ExpectedVersion::Any), ("\"3\"", ExpectedVersion::Is(Version(3))), (" 3 ", ExpectedVersion::Is(Version(3)))]
    {
        assert_eq!(ExpectedVersion::parse(text), Ok(expected), "{text}");
    }
    for text in [
        "\"01\"",
        "01",
        "\"00\"",
        "\"3 \"",
        "\" 3\"",
        "\"*\"",
        "*, *",
        "w/\"3\"",
        "'3'",
        "\"3\",\"3\"",
        "\"0x3\"",
        "\"3.0\"",
        "\"3e0\"",
    ] {
        assert_eq!(ExpectedVersion::parse(text).map_err(|e| e.status()), Err(400), "{text}");
    }
    for text in ["", "\"", "\"\"", "\"3", "3\"", "\"\"3\"\"", "W/\"3\"", "\"3\", \"4\"", "-1", "+1", "٣", "99999999999999999999"]
    {
        assert_eq!(ExpectedVersion::parse(text).map_err(|e| e.status()), Err(400), "{text}");
    }
}

#[test]
fn number_in_a_query_is_accepted_only_in_its_canonical_text() {
    let limit = |text: &str| serde_json::from_value::<crate::request::Limit>(text.into()).ok().map(|limit| limit.0);
    assert_eq!((limit("1"), limit("100")), (Some(1), Some(100)));
    for other in ["+5", "05", "5.0", "5e0", " 5", "5 ", "0x5", "５", "٥", "1_0", "", "-5", "0", "101", "4294967297"] {
        assert_eq!(limit(other), None, "{other:?}");
    }
    assert_eq!(crate::base::number::plain_number::<u64>("0"), Some(0));
    assert_eq!(crate::base::number::plain_number::<u64>("00"), None);
}

#[test]
fn purpose_role_and_status_have_one_text() {
    for other in ["treat", "Treat", " TREAT", "TREAT ", "TREATMENT", "TREAT,HPAYMT", ""] {
        assert!(other.parse::<Purpose>().is_err(), "{other:?}");
    }
    for other in ["Tenant_Admin", "tenant-admin", "TENANT_ADMIN", " viewer", ""] {
        assert!(other.parse::<crate::base::Role>().is_err(), "{other:?}");
    }
}

#[test]
fn object_with_a_repeated_member_at_any_depth_is_refused() {
    for twice in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"a":2}}]"#, r#"{"a":1,"\u0061":2}"#] {
        assert!(strict_json(twice.as_bytes()).is_err(), "{twice}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(strict_json(deep.as_bytes()).is_err(), "nesting does not exhaust the stack");
}

proptest! {
    #[test]
    fn parsed_id_prints_the_same_text(text in prop_oneof![any::<String>(), "(ten|usr|ses|evt)_[0-9a-fA-F-]{30,36}"]) {
        let spellings = [
            text.parse::<TenantId>().ok().map(|id| id.to_string()),
            text.parse::<UserId>().ok().map(|id| id.to_string()),
            text.parse::<SessionId>().ok().map(|id| id.to_string()),
            text.parse::<EventId>().ok().map(|id| id.to_string()),
        ];
        prop_assert!(spellings.into_iter().flatten().all(|spelling| spelling == text));
        let _ = text.parse::<Purpose>();
    }

    #[test]
    fn parsed_time_round_trips(text in prop_oneof![
        any::<String>(),
        "[0-9+-]{1,7}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2})(\\[[A-Za-z/]{0,9}\\])?",
    ]) {
        if let Ok(time) = text.parse::<Timestamp>() {
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }

    #[test]
    fn arbitrary_text_is_not_a_cursor(text in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{0,200}"]) {
        prop_assert!(!opens(&text, 1, "ten_a", &list()));
    }

    #[test]
    fn arbitrary_if_match_is_accepted_or_refused(text in any::<String>()) {
        if let Err(e) = ExpectedVersion::parse(&text) {
            prop_assert_eq!(e.status(), 400);
        }
    }

    #[test]
    fn refresh_token_has_one_text(text in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{106,108}"]) {
        match RefreshToken::parse(&text) {
            Ok(token) => prop_assert_eq!(token.to_text(), text),
            Err(e) => prop_assert_eq!(e.status(), 401),
        }
    }

    #[test]
    fn correlation_id_is_always_a_valid_header_value(text in any::<String>()) {
        let id = CorrelationId::from_header(Some(&text), Timestamp::from_millis(1));
        prop_assert!(id.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')));
        prop_assert!((1..=64).contains(&id.as_str().len()));
    }

    #[test]
    fn strict_json_accepts_valid_json(value in any_json()) {
        let text = serde_json::to_vec(&value).unwrap();
        prop_assert_eq!(strict_json(&text).unwrap(), with_integers(serde_json::from_slice(&text).unwrap()));
    }

    #[test]
    fn bytes_that_are_not_json_are_a_bad_request(bytes in any::<Vec<u8>>()) {
        match (strict_json(&bytes), serde_json::from_slice::<Value>(&bytes)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, with_integers(theirs)),
            (Err(e), _) => prop_assert_eq!(e.status(), 400),
            (Ok(_), Err(_)) => prop_assert!(false, "strict JSON is JSON"),
        }
    }

    #[test]
    fn any_body_is_parsed_or_refused_with_its_errors(value in any_json()) {
        let mut errors = Vec::new();
        let read = Everything::from_json(value.clone(), "", &mut errors).filter(|_| errors.is_empty());
        let whole = Json::<Everything>::parse(&event(json!({"body": value.to_string()})));
        match (read, whole) {
            (Some(read), Ok(Json(whole))) => {
                prop_assert_eq!((json!(read.name), read.page, &read.note), (value["name"].clone(), whole.page, &whole.note));
                prop_assert!(read.page.is_none_or(|Limit(n)| (1..=100).contains(&n)));
            }
            (None, Err(Error::Invalid(said))) => prop_assert_eq!(said, errors),
            (read, whole) => prop_assert!(false, "{read:?} and {whole:?}"),
        }
    }

    #[test]
    fn any_event_is_parsed_or_refused(
        body in any::<String>(),
        is_base64 in any::<bool>(),
        query in prop::collection::btree_map(".{0,6}", ".{0,12}", 0..4),
        key in "[ -~]{0,12}",
    ) {
        let request = event(json!({
            "body": body,
            "isBase64Encoded": is_base64,
            "queryStringParameters": query,
            "multiValueHeaders": {"Content-Type": ["application/json"], "Idempotency-Key": [key]},
        }));
        let who = Principal::imagined(TenantId::PLATFORM, UserId::from_uuid(crate::base::Uuid::nil()), Vec::new());
        let claim = Claim::of::<Keyed>(&request, &who, None).map(drop);
        let json = Json::<Everything>::parse(&request).map(drop);
        let query = Query::<Everything>::parse(&request).map(drop);
        for refused in [claim, json, query, input::parse::<()>(&request)].into_iter().filter_map(Result::err) {
            let expected = matches!(
                refused,
                Error::BadRequest { .. } | Error::Invalid(_) | Error::TooLarge { .. } | Error::UnexpectedBody
            );
            prop_assert!(expected, "{refused:?}");
        }
    }
}
