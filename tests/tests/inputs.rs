//! Input checks of every endpoint, at every place of its schema. The registry lists the endpoints, so a new one is tested without
//! a change here.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::{
    base::{Error, FieldError, Role},
    request::{AnyEndpoint, Kind, Method},
};
use serde_json::{Value, json};
use suite::{
    fixture::{self, Fixture},
    matrix::protected,
    people,
    schema::{OF_EACH_TYPE, Place, Schemas, read, with},
    state,
};
use testing::{App, Tenant};

/// The endpoints with a body of our own format. UPS's webhook reads its body only after it has checked the sender's token.
fn bodied() -> impl Iterator<Item = &'static AnyEndpoint> {
    registry::all().filter(|e| e.has_body && e.name != "ups_webhook")
}

fn sample(endpoint: &AnyEndpoint) -> Value {
    fixture::fresh(endpoint.sample.body.unwrap())
}

/// False for places inside a batch's items, which are read one by one and have a result each.
fn is_read(endpoint: &AnyEndpoint, place: &Place) -> bool {
    endpoint.kind != Kind::Batch || !place.path.contains('.')
}

/// The errors for a body with `value`, which is JSON, at a place.
fn said(endpoint: &AnyEndpoint, schemas: &Schemas, path: &str, value: &str) -> Vec<FieldError> {
    let body = with(sample(endpoint), path, json!("$here")).to_string().replace("\"$here\"", value);
    match read(endpoint, schemas, Some(body.as_bytes()), &[]) {
        Ok(()) => Vec::new(),
        Err(Error::Invalid(errors)) => errors,
        Err(other) => panic!("{} with {path} {value}: {other:?}", endpoint.name),
    }
}

/// The only error for a place. There must be none for the places that enclose it.
fn about<'a>(endpoint: &AnyEndpoint, path: &str, value: &str, errors: &'a [FieldError]) -> &'a FieldError {
    let of_it: Vec<_> = errors.iter().filter(|e| e.field == path).collect();
    let [error] = of_it[..] else { panic!("{} with {path} {value}: {errors:?}", endpoint.name) };
    let above = errors.iter().find(|e| e.field.is_empty() || path.starts_with(&format!("{}.", e.field)));
    assert!(above.is_none(), "{} with {path} {value}: {above:?}", endpoint.name);
    error
}

/// True if a message contains a type or a term of Rust or serde, as a whole word.
fn speaks_rust(message: &str) -> bool {
    const WORDS: [&str; 28] = [
        "i8",
        "i16",
        "i32",
        "i64",
        "i128",
        "u8",
        "u16",
        "u32",
        "u64",
        "u128",
        "usize",
        "f32",
        "f64",
        "bool",
        "str",
        "struct",
        "enum",
        "tuple",
        "map",
        "sequence",
        "unit",
        "variant",
        "untagged",
        "Option",
        "Vec",
        "floating",
        "identifier",
        "newtype",
    ];
    message.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| WORDS.contains(&word)) || message.contains("::")
}

#[test]
fn wrong_type_at_any_place_is_reported_by_dotted_path_in_json_terms() {
    let (mut cases, mut deepest) = (0, 0);
    for endpoint in bodied() {
        let schemas = Schemas::of(endpoint);
        for place in schemas.places(schemas.body.as_ref().unwrap()).iter().filter(|place| is_read(endpoint, place)) {
            let types = schemas.types(&place.schema);
            // In a patch, the domain decides which members can be cleared.
            let cleared = |name: &str| name == "null" && (endpoint.name, &*place.path) == ("update_shipment", "recipient");
            for (_, value) in OF_EACH_TYPE.iter().filter(|(name, _)| !types.contains(*name) && !cleared(name)) {
                let errors = said(endpoint, &schemas, &place.path, value);
                let FieldError { code, message, .. } = about(endpoint, &place.path, value, &errors);
                assert_eq!(*code, "invalid", "{} with {} {value}: {message}", endpoint.name, place.path);
                assert!(message.starts_with("expected "), "{} with {} {value}: {message}", endpoint.name, place.path);
                assert!(!speaks_rust(message), "{} with {} {value}: {message}", endpoint.name, place.path);
                cases += 1;
            }
            deepest = deepest.max(place.path.split('.').count());
        }
    }
    assert!(cases > 300 && deepest >= 4, "{cases} cases, {deepest} deep");
}

#[test]
fn integer_with_a_zero_fraction_is_an_integer_at_any_place() {
    let mut cases = 0;
    for endpoint in bodied() {
        let schemas = Schemas::of(endpoint);
        for place in schemas.places(schemas.body.as_ref().unwrap()) {
            let one = schemas.alternatives(&place.schema).into_iter().find(|one| schemas.types(one).contains("integer"));
            let Some(least) = one.map(|one| one["minimum"].as_i64().unwrap_or(0)) else { continue };
            if schemas.types(&place.schema).contains("object") {
                continue;
            }
            for same in [format!("{least}"), format!("{least}.0"), format!("{least}.000e0"), format!("{least}e-0")] {
                let errors = said(endpoint, &schemas, &place.path, &same);
                assert!(errors.iter().all(|e| e.field != place.path), "{} with {} {same}: {errors:?}", endpoint.name, place.path);
                cases += 1;
            }
            for no_integer in [format!("{least}.5"), "1e300".to_owned(), "-1e300".to_owned(), format!("\"{least}\"")] {
                let errors = said(endpoint, &schemas, &place.path, &no_integer);
                about(endpoint, &place.path, &no_integer, &errors);
            }
        }
    }
    assert!(cases > 20, "{cases} cases");
}

#[test]
fn missing_or_unknown_member_of_any_object_is_reported_by_dotted_path() {
    let mut cases = 0;
    for endpoint in bodied() {
        let schemas = Schemas::of(endpoint);
        let whole = Place { path: String::new(), schema: schemas.body.clone().unwrap(), required: true };
        let places: Vec<_> = schemas.places(&whole.schema).into_iter().chain([whole]).collect();
        for place in places.iter().filter(|place| is_read(endpoint, place)) {
            let Some(object) = schemas.alternatives(&place.schema).into_iter().find(|one| one["properties"].is_object()) else {
                continue;
            };
            let join = |name: &str| if place.path.is_empty() { name.to_owned() } else { format!("{}.{name}", place.path) };
            let errors = said(endpoint, &schemas, &join("no_such_member"), "1");
            assert_eq!(about(endpoint, &join("no_such_member"), "1", &errors).code, "unknown_field", "{}", endpoint.name);
            for name in object["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let body = if place.path.is_empty() { json!({}) } else { with(sample(endpoint), &place.path, json!({})) };
                let Err(Error::Invalid(errors)) = read(endpoint, &schemas, Some(body.to_string().as_bytes()), &[]) else {
                    panic!("{} without {}", endpoint.name, join(name))
                };
                assert_eq!(about(endpoint, &join(name), "nothing", &errors).code, "required", "{}", endpoint.name);
                cases += 1;
            }
        }
    }
    assert!(cases > 40, "{cases} cases");
}

/// A value that fits a schema, with every flag set.
fn example(schemas: &Schemas, schema: &Value) -> Value {
    let one = schemas.alternatives(schema)[0];
    let types = schemas.types(one);
    match one["properties"].as_object() {
        Some(members) => members.iter().map(|(name, member)| (name.clone(), example(schemas, member))).collect(),
        None if types.contains("boolean") => json!(true),
        None if types.contains("integer") => one["maximum"].clone(),
        None => one["enum"][0].clone(),
    }
}

/// The errors for a place of a body or a query with `value`, which is JSON.
fn said_at(endpoint: &AnyEndpoint, schemas: &Schemas, path: &str, value: &Value, in_query: bool) -> Vec<FieldError> {
    let said = if in_query {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match read(endpoint, schemas, None, &[(path, &text)]) {
            Err(Error::Invalid(errors)) => errors,
            _ => Vec::new(),
        }
    } else {
        said(endpoint, schemas, path, &value.to_string())
    };
    said.into_iter().filter(|e| e.field == path || e.field.starts_with(&format!("{path}."))).collect()
}

#[test]
fn bounds_and_names_of_a_schema_are_accepted_and_values_beyond_refused() {
    let (mut integers, mut names, mut members) = (Vec::new(), 0, 0);
    for endpoint in registry::all().filter(|e| e.name != "ups_webhook") {
        let schemas = Schemas::of(endpoint);
        let of_body = schemas.body.iter().flat_map(|body| schemas.places(body)).filter(|place| is_read(endpoint, place));
        let of_query = schemas.query.iter().flat_map(|query| schemas.places(query));
        let places: Vec<_> = of_body.map(|place| (place, false)).chain(of_query.map(|place| (place, true))).collect();
        for (Place { path, schema, .. }, in_query) in places {
            let said = |value: &Value| said_at(endpoint, &schemas, &path, value, in_query);
            let at = format!("{}.{path}", endpoint.name);
            let mut offered = Vec::new();
            for one in schemas.alternatives(&schema) {
                let says_integer =
                    one["type"] == "integer" || one["type"].as_array().is_some_and(|t| t.contains(&json!("integer")));
                if says_integer {
                    let (Some(least), Some(most)) = (one["minimum"].as_i64(), one["maximum"].as_i64()) else {
                        panic!("{at} has no bounds")
                    };
                    for taken in [least, most] {
                        assert_eq!(said(&json!(taken)), [], "{at} with {taken}");
                    }
                    let beside = [least - 1, most + 1, i64::MIN, i64::MAX];
                    for refused in beside.map(|n| json!(n)).into_iter().chain([json!(u64::MAX), json!(0.5)]) {
                        let errors = said(&refused);
                        let [error] = &errors[..] else { panic!("{at} with {refused}: {errors:?}") };
                        let bounds = format!("expected an integer from {least} to {most}");
                        assert_eq!((&error.field, &error.message), (&path, &bounds), "{at} with {refused}");
                    }
                    integers.push(at.clone());
                }
                offered.extend(one["enum"].as_array().into_iter().flatten().cloned());
                offered.extend(one.get("const").cloned());
                let of_map = &schemas.resolved(&one["propertyNames"])["enum"];
                for name in of_map.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    let value = example(&schemas, &one["additionalProperties"]);
                    let errors = said_at(endpoint, &schemas, &format!("{path}.{name}"), &value, in_query);
                    assert_eq!(errors, [], "{at}.{name} with {value}");
                    members += 1;
                }
            }
            for name in offered.iter().filter(|name| name.is_string()) {
                assert_eq!(said(name), [], "{at} with {name}");
                names += 1;
            }
            if offered.iter().any(Value::is_string) {
                for other in [json!("no-such"), json!(""), json!(offered[0].as_str().unwrap().to_owned() + " ")] {
                    let errors = said(&other);
                    assert!(matches!(&errors[..], [error] if error.field == path), "{at} with {other}: {errors:?}");
                }
            }
        }
    }
    assert!(integers.len() > 15 && names > 30 && members > 5, "{integers:?}, {names} names, {members} members");
}

/// Texts that may contain invisible characters, with the reason. A new text must be a `VisibleText`, or be added here.
const UNSEEN: &[(&str, &[&str])] = &[
    (
        "health information is stored as written, and names need joiners in some scripts",
        &[
            "create_shipment.contents",
            "create_shipment.recipient.address.city",
            "create_shipment.recipient.address.line1",
            "create_shipment.recipient.address.line2",
            "create_shipment.recipient.address.state",
            "create_shipment.recipient.name",
            "create_shipment.reference",
            "search_shipments.reference",
            "update_shipment.contents",
            "update_shipment.recipient.address.city",
            "update_shipment.recipient.address.line1",
            "update_shipment.recipient.address.line2",
            "update_shipment.recipient.address.state",
            "update_shipment.recipient.name",
            "update_shipment.reference",
        ],
    ),
    (
        "a phone number is stored in E.164's form, which drops the characters between its digits",
        &["create_shipment.recipient.phone"],
    ),
    ("persons' names are sealed like health information", &["invite_user.name", "put_baa.signatory", "update_user.name"]),
    (
        "the text is only compared with stored values, and is neither stored nor shown",
        &[
            "challenge.session",
            "change_password.current_password",
            "check_permissions.checks.0.action",
            "check_permissions.checks.0.resource.id",
            "check_permissions.checks.0.resource.type",
            "list_api_keys.cursor",
            "list_audit_events.cursor",
            "list_notifications.cursor",
            "list_organizations.cursor",
            "list_segments.cursor",
            "list_shipment_events.cursor",
            "list_shipments.cursor",
            "list_users.cursor",
            "login.password",
            "refresh.refresh_token",
            "reset_password.token",
            "search_shipments.cursor",
        ],
    ),
    (
        "the password rules refuse invisible characters when they prepare a new password",
        &["challenge.new_password", "change_password.new_password", "reset_password.new_password"],
    ),
    (
        "an authenticator shows digits only, so other characters between them are dropped",
        &["activate_totp.code", "challenge.code", "verify_mfa.code"],
    ),
];

#[test]
fn invisible_text_is_refused_at_any_place_without_a_stated_exception() {
    // Categories Cc, Cf, Zl and Zp, a blank letter, a blank symbol, a variation selector.
    const HIDDEN: [char; 10] =
        ['\u{7}', '\u{85}', '\u{ad}', '\u{200b}', '\u{202e}', '\u{2028}', '\u{2029}', '\u{3164}', '\u{2800}', '\u{fe0f}'];
    let (mut takes, mut cases) = (std::collections::BTreeSet::new(), 0);
    for endpoint in registry::all().filter(|e| e.name != "ups_webhook") {
        let schemas = Schemas::of(endpoint);
        let of_body = schemas.body.iter().flat_map(|body| schemas.places(body)).filter(|place| is_read(endpoint, place));
        let of_query = schemas.query.iter().flat_map(|query| schemas.places(query));
        let places: Vec<_> = of_body.map(|place| (place, false)).chain(of_query.map(|place| (place, true))).collect();
        let sample = endpoint.sample.body.map(fixture::fresh).unwrap_or_default();
        for (Place { path, schema, .. }, in_query) in places {
            if !schemas.types(&schema).contains("string") {
                continue;
            }
            let own = path.split('.').fold(&sample, |at, part| part.parse::<usize>().map_or(&at[part], |i| &at[i]));
            let given = own.as_str().unwrap_or("Ward 3");
            for hidden in HIDDEN {
                let (first, rest) = given.split_at(given.chars().next().map_or(0, char::len_utf8));
                for text in [format!("{first}{hidden}{rest}"), format!("Ward{hidden}3")] {
                    if said_at(endpoint, &schemas, &path, &json!(text), in_query).is_empty() {
                        takes.insert(format!("{}.{path}", endpoint.name));
                    }
                    cases += 1;
                }
            }
        }
    }
    let expected: std::collections::BTreeSet<_> =
        UNSEEN.iter().flat_map(|(_, places)| *places).map(|p| (*p).to_owned()).collect();
    assert_eq!(takes, expected);
    assert!(cases > 1000, "{cases} cases");
}

#[test]
fn text_with_a_replacement_character_is_refused_in_body_and_query() {
    let (mut cases, mut in_queries) = (0, 0);
    for endpoint in bodied() {
        let schemas = Schemas::of(endpoint);
        let places = schemas.places(schemas.body.as_ref().unwrap());
        let texts = places.iter().filter(|place| is_read(endpoint, place) && schemas.types(&place.schema).contains("string"));
        for place in texts {
            // U+FFFD, with which API Gateway replaces bytes that are not UTF-8, raw and escaped. NUL. A noncharacter.
            for text in ["\"Ad\u{fffd}a\"", r#""Ad\ufffda""#, r#""Ad\u0000a""#, r#""Ad\uffffa""#] {
                let errors = said(endpoint, &schemas, &place.path, text);
                let error = about(endpoint, &place.path, text, &errors);
                assert!(!error.message.contains("Ad"), "{}: {error:?}", endpoint.name);
                cases += 1;
            }
            // A lone surrogate is no character, so the body is malformed JSON.
            let body = with(sample(endpoint), &place.path, json!("$here")).to_string().replace("$here", r"Ad\ud800a");
            let refused = read(endpoint, &schemas, Some(body.as_bytes()), &[]).unwrap_err();
            assert_eq!((refused.status(), refused.code()), (400, "malformed_json"), "{} with {}", endpoint.name, place.path);
        }
    }
    for endpoint in registry::all() {
        let schemas = Schemas::of(endpoint);
        for place in schemas.query.iter().flat_map(|query| schemas.places(query)) {
            let Err(Error::Invalid(errors)) = read(endpoint, &schemas, None, &[(&place.path, "Ad\u{fffd}a")]) else {
                panic!("{} accepts U+FFFD in {}", endpoint.name, place.path)
            };
            about(endpoint, &place.path, "U+FFFD", &errors);
            in_queries += 1;
        }
    }
    assert!(cases > 150 && in_queries > 10, "{cases} and {in_queries} cases");
}

#[tokio::test(flavor = "multi_thread")]
async fn name_with_invalid_utf_8_is_refused_at_its_field_and_not_stored() {
    let app = App::start().await;
    let update = people::endpoint("update_user");
    let fixture = Fixture::of(&app, update).await;
    let tenants = [app.tenant_id(Tenant::Acme), app.tenant_id(Tenant::Birch)];
    let before = [state::of(&app, tenants[0], &["RecordsTable"]).await, state::of(&app, tenants[1], &["RecordsTable"]).await];
    let admin = app.as_role(Tenant::Acme, Role::TenantAdmin);
    let refused = fixture.call(&admin, update).body(b"{\"name\":\"Zo\xff\"}".to_vec()).await;
    assert_eq!((refused.status, &refused.json["errors"][0]["field"]), (422, &json!("name")), "{}", refused.text);
    let after = [state::of(&app, tenants[0], &["RecordsTable"]).await, state::of(&app, tenants[1], &["RecordsTable"]).await];
    assert_eq!(before, after);
    // Outside of a string the byte makes the body malformed JSON.
    let broken = fixture.call(&admin, update).body(b"\xff{}".to_vec()).await;
    assert_eq!((broken.status, broken.code()), (400, "malformed_json"));
}

#[test]
fn body_is_refused_by_endpoints_without_one_unless_it_is_empty() {
    let mut endpoints = 0;
    for endpoint in registry::all().filter(|e| !e.reads_body) {
        let schemas = Schemas::of(endpoint);
        let query: Vec<_> = endpoint.sample.query.to_vec();
        for none in [None, Some("".as_bytes()), Some(b" \r\n\t"), Some(b"{}"), Some(b"\n{ }\n")] {
            assert_eq!(read(endpoint, &schemas, none, &query), Ok(()), "{} with {none:?}", endpoint.name);
        }
        let bodies: [&[u8]; 9] =
            [br#"{"reason":"unpaid"}"#, b"null", b"[]", b"0", b"\"\"", b"reason=unpaid", b"{", b"\xff\xfe", b"\xef\xbb\xbf{}"];
        for body in bodies {
            let refused = read(endpoint, &schemas, Some(body), &query).unwrap_err();
            assert_eq!((refused.status(), refused.code()), (422, "unexpected_body"), "{} with {body:?}", endpoint.name);
        }
        let large = vec![b' '; endpoint.body_limit + 1];
        assert_eq!(read(endpoint, &schemas, Some(&large), &query).unwrap_err().status(), 413, "{}", endpoint.name);
        endpoints += 1;
    }
    assert!(endpoints > 35, "{endpoints} endpoints");
    // The carrier requests its token with a form.
    let own: Vec<_> = registry::all().filter(|e| e.reads_body && !e.has_body).map(|e| e.name).collect();
    assert_eq!(own, ["ups_webhook_token"]);
    let reads = registry::all().filter(|e| e.reads_body && [Method::Get, Method::Delete].contains(&e.route.method));
    assert_eq!(reads.count(), 0, "a body of GET and DELETE has no meaning (RFC 9110)");
}

#[tokio::test(flavor = "multi_thread")]
async fn suspension_with_a_body_is_refused_and_suspends_nothing() {
    let app = App::start().await;
    let suspend = people::endpoint("suspend_organization");
    let fixture = Fixture::of(&app, suspend).await;
    let operator = app.as_identity(app.open_session(Tenant::Acme, Role::SuperAdmin).await);
    let tenants = [app.tenant_id(Tenant::Acme), app.tenant_id(Tenant::Birch)];
    let before = [state::of(&app, tenants[0], &["RecordsTable"]).await, state::of(&app, tenants[1], &["RecordsTable"]).await];
    let refused = fixture.call(&operator, suspend).json(json!({"reason": "unpaid"})).await;
    assert_eq!((refused.status, refused.code()), (422, "unexpected_body"), "{}", refused.text);
    assert_eq!(refused.json["detail"], "this endpoint takes no body");
    let after = [state::of(&app, tenants[0], &["RecordsTable"]).await, state::of(&app, tenants[1], &["RecordsTable"]).await];
    assert_eq!(before, after, "nothing was suspended");
    let event = app.platform_audit().await.pop().unwrap();
    assert_eq!((&event["status"], &event["reason"]), (&json!(422), &json!("unexpected_body")));
    let done = fixture.call(&operator, suspend).json(json!({})).await;
    assert_eq!(done.status, suspend.status, "{}", done.text);
}

/// The bytes of a schema's largest value in JSON, with every character escaped as a surrogate pair. Adds places without a bound
/// to `unbounded`.
fn greatest(schemas: &Schemas, schema: &Value, at: &str, unbounded: &mut Vec<String>) -> usize {
    let lengths = schemas.alternatives(schema).into_iter().map(|one| {
        let of_names =
            |names: &Value| names.as_array().into_iter().flatten().filter_map(Value::as_str).map(|n| n.len() + 2).max();
        let bound = |name: &str| one[name].as_u64().map(|n| usize::try_from(n).unwrap());
        let types = schemas.types(one);
        let no_bound = |unbounded: &mut Vec<String>| {
            unbounded.push(at.to_owned());
            0
        };
        if let Some(longest) = of_names(&one["enum"]).or(one["const"].as_str().map(|text| text.len() + 2)) {
            longest
        } else if types.contains("object") {
            let members = one["properties"].as_object().into_iter().flatten();
            let own: usize =
                members.map(|(name, m)| name.len() + 4 + greatest(schemas, m, &format!("{at}.{name}"), unbounded)).sum();
            let names: Vec<_> = schemas.resolved(&one["propertyNames"])["enum"].as_array().into_iter().flatten().collect();
            let of_map = one["additionalProperties"].is_object().then(|| {
                let each = greatest(schemas, &one["additionalProperties"], &format!("{at}.*"), unbounded);
                names.iter().map(|name| name.as_str().unwrap().len() + 4 + each).sum::<usize>()
            });
            2 + own + of_map.unwrap_or(0)
        } else if types.contains("array") {
            let each = greatest(schemas, &one["items"], &format!("{at}.0"), unbounded) + 1;
            let distinct = one["uniqueItems"] == true;
            let kinds = schemas.alternatives(&one["items"]).iter().map(|i| i["enum"].as_array().map_or(1, Vec::len)).sum();
            2 + each * bound("maxItems").or(distinct.then_some(kinds)).unwrap_or_else(|| no_bound(unbounded))
        } else if types.contains("string") {
            match (bound("maxLength"), one["format"].as_str(), one["pattern"].as_str()) {
                (Some(length), ..) => 2 + 12 * length,
                // An instant, an id and a time of day are ASCII.
                (_, Some("date-time"), _) | (_, _, Some(_)) => 64,
                _ => no_bound(unbounded),
            }
        } else {
            24
        }
    });
    lengths.max().unwrap_or(0)
}

#[test]
fn largest_body_that_a_schema_allows_fits_the_body_limit() {
    let mut without_bound = Vec::new();
    for endpoint in bodied() {
        let schemas = Schemas::of(endpoint);
        let mut unbounded = Vec::new();
        let bytes = greatest(&schemas, schemas.body.as_ref().unwrap(), endpoint.name, &mut unbounded);
        assert!(
            bytes <= endpoint.body_limit,
            "{}: the largest body has {bytes} bytes, and the limit is {}",
            endpoint.name,
            endpoint.body_limit
        );
        without_bound.extend(unbounded);
        // API Gateway and Lambda pass the body on in a JSON event of at most 6 MB, which escapes its quotes and backslashes once
        // more.
        assert!(endpoint.body_limit * 2 <= 6_000_000, "{}", endpoint.name);
    }
    // Do not add to these. A set may contain a name more than once, and we issue the cursors.
    let expected = ["create_api_key.purposes", "create_api_key.scopes", "search_shipments.cursor"];
    without_bound.sort_unstable();
    assert_eq!(without_bound, expected);
}

/// True for the names of secrets that give access to whoever has them.
fn names_a_secret(name: &str) -> bool {
    ["secret", "token", "password", "ticket", "recovery_codes", "api_key", "otpauth_uri", "qr_svg"]
        .iter()
        .any(|word| name.contains(word))
        && name != "token_type"
}

#[test]
fn secret_in_an_answer_is_marked_shown_once_with_a_way_to_get_another() {
    let mut issuing = Vec::new();
    for endpoint in registry::all() {
        let schemas = Schemas::of(endpoint);
        let is_marked = |schema: &Value| schemas.alternatives(schema).iter().any(|one| one["x-shown-once"] == true);
        let places = schemas.places(&schemas.output);
        for place in &places {
            let name = place.path.rsplit('.').next().unwrap();
            let marked = is_marked(&place.schema) || is_marked(&schemas.resolved(&place.schema)["items"]);
            assert!(
                marked || !names_a_secret(name),
                "{}: `{}` looks like a secret, which must be an `Issued`",
                endpoint.name,
                place.path
            );
        }
        let shows = places.iter().any(|place| is_marked(&place.schema));
        let kept = endpoint.kind != Kind::Public && endpoint.idempotency != common::request::IdempotencyKey::Ignored;
        assert_eq!(endpoint.issued_again.is_some(), shows && kept, "{}", endpoint.name);
        issuing.extend((shows && kept).then_some(endpoint.name));
    }
    assert_eq!(issuing, ["enrol_totp", "activate_totp", "create_recovery_codes", "create_api_key", "rotate_api_key"]);
    assert!(protected().count() > 50);
}
