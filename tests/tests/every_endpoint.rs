//! Rules for every endpoint. The registry lists the endpoints, so a new one is tested without a change here.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::{
    base::{Need, Role, TenantId},
    request::{AnyEndpoint, Data, IdempotencyKey, IfMatch, Kind, Method},
};
use serde_json::{Value, json};
use std::time::Duration;
use suite::{
    fixture::{self, Fixture},
    matrix::{MATRIX, allowed_role, matrix, protected},
    schema::Schemas,
};
use testing::{Answer, App, Tenant};

#[test]
fn matrix_file_matches_the_policies() {
    let policies = common::policy::Policies::load().unwrap();
    let actions = registry::all().filter_map(|e| Some((e.action?, e.resource?)));
    let table = policies.matrix(actions).unwrap();
    assert_eq!(MATRIX, table, "policies/matrix.txt is stale: read the difference, then write\n{table}");
}

/// No route names two of the actions: `openSession` is decided at sign-in, and `disclose` before a field is shown. Do not add to
/// them.
#[test]
fn every_action_belongs_to_an_endpoint() {
    let of_routes: std::collections::BTreeSet<_> = registry::all().filter_map(|e| Some(e.action?.0)).collect();
    let lines: Vec<_> = common::policy::ACTIONS.lines().filter_map(|line| line.split_once(':')).collect();
    let groups: std::collections::BTreeSet<_> = lines.iter().flat_map(|(_, groups)| groups.split_whitespace()).collect();
    let actions = lines.iter().map(|(name, _)| *name).filter(|name| !groups.contains(name));
    let unasked: Vec<_> = actions.filter(|name| !of_routes.contains(name)).collect();
    assert_eq!(unasked, ["disclose", "openSession"]);
    assert!(of_routes.len() >= 40, "{}", of_routes.len());
}

#[test]
fn names_and_routes_are_unique_and_follow_the_naming_rules() {
    let mut names = std::collections::BTreeSet::new();
    let mut routes = std::collections::BTreeSet::new();
    for e in registry::all() {
        assert!(names.insert(e.name), "{} is listed twice", e.name);
        assert!(routes.insert(e.route), "{:?} is listed twice", e.route);
        assert!(e.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", e.name);
        assert!(e.route.path.starts_with("/v1/"), "{}", e.route.path);
        let camel: String = e.name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
        assert_eq!(e.type_name, camel, "the type of {}", e.name);
    }
}

#[test]
fn creating_endpoints_require_an_idempotency_key_and_reads_ignore_it() {
    for e in protected() {
        match (e.route.method, e.status) {
            (Method::Get, _) => assert_eq!(e.idempotency, IdempotencyKey::Ignored, "{}", e.name),
            (Method::Post, 201) => assert_eq!(e.idempotency, IdempotencyKey::Required, "{}", e.name),
            _ => {}
        }
    }
}

/// A new public endpoint needs a reason why its callers need not sign in.
#[test]
fn public_endpoints_are_exactly_these() {
    let public: Vec<_> = registry::all().filter(|e| e.kind == Kind::Public).map(|e| (e.name, e.audited)).collect();
    // UPS has no account with us. Its webhook requires a token that the other endpoint issues.
    let expected = [
        ("login", true),
        ("challenge", true),
        ("refresh", true),
        ("forgot_password", true),
        ("reset_password", true),
        ("ups_webhook", true),
        ("ups_webhook_token", true),
        ("health", false),
        ("openapi", false),
    ];
    assert_eq!(public, expected, "(name, whether its requests are audited)");
    assert!(protected().all(|e| e.audited));
}

/// The newest event of an endpoint in a log.
fn event_of<'a>(events: &'a [Value], endpoint: &AnyEndpoint) -> &'a Value {
    let kind = format!("api.{}", endpoint.name);
    events
        .iter()
        .rev()
        .find(|e| e["type"] == json!(kind))
        .unwrap_or_else(|| panic!("{} left no event in {events:#?}", endpoint.name))
}

/// The tenant of the endpoint's allowed caller: Acme, or the platform.
fn home(app: &App, endpoint: &AnyEndpoint) -> TenantId {
    if allowed_role(endpoint) == Role::SuperAdmin { TenantId::PLATFORM } else { app.tenant_id(Tenant::Acme) }
}

/// Asserts status and code of an answer, and the refusal's event in the caller's log.
async fn refused(app: &App, endpoint: &AnyEndpoint, answer: &Answer, status: u16, code: &str) {
    refused_at(home(app, endpoint), app, endpoint, answer, status, code).await;
}

/// The same for a caller whose tenant is `home`.
async fn refused_at(home: TenantId, app: &App, endpoint: &AnyEndpoint, answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{}: {}", endpoint.name, answer.text);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", endpoint.name);
    assert_eq!(answer.header("x-correlation-id").unwrap(), answer.json["correlation_id"], "{}", endpoint.name);
    let mut events = app.audit_of(home).await;
    // A counted event has the id of its minute's first refusal, so it may not be the newest.
    events.retain(|e| e["status"] == json!(status));
    let event = event_of(&events, endpoint);
    assert_eq!(event["outcome"], json!("refused"), "{}", endpoint.name);
    assert_eq!(event["disclosed"], json!([]), "{}", endpoint.name);
    assert_eq!(event["correlation_id"], answer.json["correlation_id"], "{}", endpoint.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_what_the_matrix_says_and_each_attempt_is_recorded() {
    let matrix = matrix();
    for endpoint in protected() {
        let row = &matrix[endpoint.action.unwrap().0];
        let app = fixture::backend(endpoint).await;
        for role in Role::ALL {
            // The ids of one millisecond sort by time only while they are few.
            app.clock().advance(Duration::from_secs(1));
            // A logout must not end the session of the next case.
            let fixture = Fixture::of(&app, endpoint).await;
            let identity = app.open_session(Tenant::Acme, role).await;
            let home = identity.tenant;
            if home != TenantId::PLATFORM && ["reactivate_organization", "archive_organization"].contains(&endpoint.name) {
                // The function read the tenant before its suspension, so that the roles decide.
                let set = async |status| {
                    let operator = app.operator();
                    app.as_administrator(operator.set_status(home, status)).await.unwrap();
                };
                set(common::identity::TenantStatus::Active).await;
                app.clock().advance(Duration::from_secs(5));
                fixture.call(&app.as_identity(identity.clone()), endpoint).await;
                set(common::identity::TenantStatus::Suspended).await;
            }
            let answer = fixture.call(&app.as_identity(identity), endpoint).await;
            let cell = row[role.as_str()];
            let expected = match cell {
                // A role allows its actions only in its own tenant.
                _ if home != app.tenant_id(Tenant::Acme) && endpoint.kind == Kind::Tenant && endpoint.view.is_some() => 404,
                "yes" => endpoint.status,
                // `own` covers the caller and its session. The fixture's shipment has no assignee.
                "own" if endpoint.view.is_none() => endpoint.status,
                _ => match endpoint.view.map(|view| matrix[view.0][role.as_str()]) {
                    // The role sees only its own items, and this is not one.
                    Some("-" | "own") => 404,
                    _ => 403,
                },
            };
            assert_eq!(answer.status, expected, "{} as {role} ({cell}): {}", endpoint.name, answer.text);

            let events = app.audit_of(home).await;
            let event = event_of(&events, endpoint);
            // A batch writes an event for each item, and each item was created.
            let recorded = if endpoint.kind == Kind::Batch && expected == endpoint.status { 201 } else { expected };
            assert_eq!(event["status"], json!(recorded), "{} as {role}", endpoint.name);
            assert_eq!(event["actor"]["role"], json!(role.as_str()), "{}", endpoint.name);
            assert_eq!(event["action"], json!(endpoint.action.unwrap().0), "{}", endpoint.name);
            if home == app.tenant_id(Tenant::Acme) {
                let decision = if cell == "-" || (cell == "own" && expected >= 400) { "deny" } else { "allow" };
                assert_eq!(event["policy"]["decision"], json!(decision), "{} as {role}: {event:#}", endpoint.name);
            }
        }
    }
}

/// The roles of another tenant that get a 404. Only a super_admin manages tenants' profiles from outside, so for those every
/// other role does.
fn strangers(endpoint: &AnyEndpoint) -> Vec<Role> {
    match endpoint.kind {
        Kind::Platform => Role::ALL.into_iter().filter(|role| *role != Role::SuperAdmin).collect(),
        _ => vec![allowed_role(endpoint)],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_item_gets_the_same_answer_as_a_missing_one() {
    // A segment has a number in the caller's own log, and a session has an id in the caller's own list, so that neither can name
    // another's.
    for endpoint in protected().filter(|e| e.route.path.contains('{') && !["get_segment", "end_session"].contains(&e.name)) {
        let app = App::start().await;
        let fixture = Fixture::new(&app).await;
        let before = app.audit(Tenant::Acme).await.len();
        for stranger in strangers(endpoint) {
            let client = app.as_role(Tenant::Birch, stranger);
            let theirs = fixture.call(&client, endpoint).await;
            let missing = fixture.missing(&app).call(&client, endpoint).await;
            let nonsense = Fixture::nonsense().call(&client, endpoint).await;
            assert_eq!(theirs.status, 404, "{} as {stranger}: {}", endpoint.name, theirs.text);
            for other in [missing, nonsense] {
                assert_eq!(theirs.without_correlation_id(), other.without_correlation_id(), "{}", endpoint.name);
                let names = |a: &Answer| a.headers.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
                assert_eq!(names(&theirs), names(&other), "{}", endpoint.name);
            }
            assert_eq!(event_of(&app.audit(Tenant::Birch).await, endpoint)["status"], json!(404), "{}", endpoint.name);
        }
        if endpoint.kind == Kind::Platform {
            // A super_admin sees every tenant, and gets a 404 for one that does not exist.
            let operator = app.as_role(Tenant::Birch, Role::SuperAdmin);
            for none in [fixture.missing(&app), Fixture::nonsense()] {
                assert_eq!(none.call(&operator, endpoint).await.status, 404, "{}", endpoint.name);
            }
        }
        assert_eq!(
            app.audit(Tenant::Acme).await.len(),
            before,
            "{}: the caller writes into no other tenant's log",
            endpoint.name
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn caller_without_a_principal_is_refused_and_counted() {
    let app = App::start().await;
    for endpoint in protected() {
        let fixture = Fixture::new(&app).await;
        let mut last = None;
        for _ in 0..3 {
            last = Some(fixture.call(&app.anonymous(), endpoint).await);
        }
        let answer = last.unwrap();
        assert_eq!((answer.status, answer.code()), (401, "unauthenticated"), "{}", endpoint.name);
        let events = app.platform_audit().await;
        let event = event_of(&events, endpoint);
        assert_eq!((&event["count"], &event["reason"]), (&json!(3), &json!("no_principal")), "{}: {event:#}", endpoint.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_tenant_is_refused_within_five_seconds() {
    let app = App::start().await;
    let fixture = Fixture::new(&app).await;
    let suspend = async || {
        let operator = app.operator();
        let suspended = operator.set_status(app.tenant_id(Tenant::Acme), common::identity::TenantStatus::Suspended);
        app.as_administrator(suspended).await.unwrap();
    };
    suspend().await;
    app.clock().advance(Duration::from_secs(5));
    for endpoint in protected() {
        // A super_admin may have called the previous endpoint and made the tenant active again.
        suspend().await;
        let answer = fixture.call(&app.as_identity(app.open_session(Tenant::Acme, Role::TenantAdmin).await), endpoint).await;
        refused_at(app.tenant_id(Tenant::Acme), &app, endpoint, &answer, 403, "tenant_inactive").await;
        // The other tenant is not affected.
        let other = app.as_identity(app.open_session(Tenant::Birch, allowed_role(endpoint)).await);
        assert_ne!(fixture.call(&other, endpoint).await.code(), "tenant_inactive", "{}", endpoint.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn phi_is_refused_without_a_purpose_of_use() {
    let app = App::start().await;
    let fixture = Fixture::new(&app).await;
    for endpoint in protected().filter(|e| e.data == Data::Phi) {
        let client = app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await);
        let none = fixture.call(&client, endpoint).without("X-Purpose-Of-Use").await;
        refused(&app, endpoint, &none, 400, "purpose_of_use_required").await;
        let unknown = fixture.call(&client, endpoint).header("X-Purpose-Of-Use", "CURIOSITY").await;
        refused(&app, endpoint, &unknown, 400, "invalid_purpose_of_use").await;
        assert!(!unknown.text.contains("ETREAT"), "the message names a purpose that is refused: {}", unknown.text);
        // Emergency treatment needs an open break-glass grant, which nobody has.
        let emergency = fixture.call(&client, endpoint).header("X-Purpose-Of-Use", "ETREAT").await;
        assert!(matches!(emergency.status, 403 | 404), "{}: {}", endpoint.name, emergency.text);
    }
}

/// True if any object of a response has a member of this name.
fn has_member(answer: &Value, name: &str) -> bool {
    match answer {
        Value::Object(members) => members.contains_key(name) || members.values().any(|value| has_member(value, name)),
        Value::Array(items) => items.iter().any(|value| has_member(value, name)),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_withheld_for_a_purpose_is_in_no_answer_to_a_read_or_a_write() {
    let app = App::start().await;
    let fixture = Fixture::new(&app).await;
    let mut shown = Vec::new();
    for endpoint in protected().filter(|e| e.data == Data::Phi) {
        for (purpose, shows) in [("HOPERAT", false), ("TREAT", true)] {
            let client = app.as_identity(app.open_session(Tenant::Acme, Role::ApiUser).await);
            let answer = fixture.call(&client, endpoint).header("X-Purpose-Of-Use", purpose).await;
            if answer.status == 412 || !has_member(&answer.json, "shipment_id") {
                continue;
            }
            assert!((200..300).contains(&answer.status), "{} {purpose}: {}", endpoint.name, answer.text);
            if !has_member(&answer.json, "recipient") {
                continue;
            }
            assert_eq!(has_member(&answer.json, "contents"), shows, "{} {purpose}: {}", endpoint.name, answer.text);
            assert_eq!(has_member(&answer.json, "redacted"), !shows, "{} {purpose}: {}", endpoint.name, answer.text);
            let events = app.audit(Tenant::Acme).await;
            let redacted = if shows { json!([]) } else { json!(["contents"]) };
            assert_eq!(event_of(&events, endpoint)["redacted"], redacted, "{} {purpose}", endpoint.name);
            shown.push(endpoint.name);
        }
    }
    shown.dedup();
    println!("{shown:?}");
    assert!(
        ["create_shipment", "create_shipments", "get_shipment", "list_shipments"].iter().all(|name| shown.contains(name)),
        "{shown:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_body_is_refused_with_a_code() {
    let app = App::start().await;
    let fixture = Fixture::new(&app).await;
    for endpoint in protected().filter(|e| e.has_body) {
        // Each call has a session of its own, since some limits allow three calls an hour.
        let call = async || {
            app.clock().advance(Duration::from_secs(10));
            fixture.call(&app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await), endpoint)
        };
        refused(&app, endpoint, &call().await.body("{\"a\":").await, 400, "malformed_json").await;
        refused(&app, endpoint, &call().await.body("").await, 400, "malformed_json").await;
        refused(&app, endpoint, &call().await.body("{\"a\":1,\"a\":2}").await, 400, "malformed_json").await;
        refused(&app, endpoint, &call().await.body(vec![0xff, 0xfe]).await, 400, "malformed_json").await;
        refused(&app, endpoint, &call().await.header("Content-Type", "text/plain").await, 415, "unsupported_media_type").await;
        refused(&app, endpoint, &call().await.without("Content-Type").await, 415, "unsupported_media_type").await;
        refused(&app, endpoint, &call().await.body(vec![b' '; endpoint.body_limit + 1]).await, 413, "payload_too_large").await;
        refused(&app, endpoint, &call().await.body("[]").await, 422, "validation_failed").await;
        let unknown = call().await.body(r#"{"no_such_field":1,"role":"super_admin"}"#).await;
        refused(&app, endpoint, &unknown, 422, "validation_failed").await;
        let fields: Vec<_> = unknown.json["errors"].as_array().unwrap().iter().filter(|e| e["code"] == "unknown_field").collect();
        assert_eq!(fields.len(), 2, "{}: {}", endpoint.name, unknown.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_query_parameter_is_refused() {
    let app = App::start().await;
    let fixture = Fixture::new(&app).await;
    for endpoint in protected() {
        let client = app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await);
        let answer = fixture.call(&client, endpoint).query("no_such_parameter", "1").await;
        refused(&app, endpoint, &answer, 422, "validation_failed").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_over_its_rate_limit_states_when_to_retry() {
    let app = App::start().await;
    let fixture = Fixture::new(&app).await;
    for endpoint in protected() {
        let identity = app.open_session(Tenant::Acme, allowed_role(endpoint)).await;
        let client = app.as_identity(identity);
        // A request that is refused as malformed costs a call as well.
        let cheap = || fixture.call(&client, endpoint).query("no_such_parameter", "1");
        for nth in 1..=endpoint.limit.calls / endpoint.cost {
            let left = endpoint.limit.calls - nth * endpoint.cost;
            let answer = cheap().await;
            assert_eq!(answer.status, 422, "{}", endpoint.name);
            assert_eq!(answer.header("ratelimit-limit"), Some(&*endpoint.limit.calls.to_string()), "{}", endpoint.name);
            assert_eq!(answer.header("ratelimit-remaining"), Some(&*left.to_string()), "{}", endpoint.name);
        }
        let over = cheap().await;
        refused(&app, endpoint, &over, 429, "rate_limited").await;
        let retry_after: u64 = over.header("retry-after").unwrap().parse().unwrap();
        assert_eq!(over.header("ratelimit-remaining"), Some("0"), "{}", endpoint.name);
        app.clock().advance(Duration::from_secs(retry_after));
        assert_eq!(cheap().await.status, 422, "{}: waiting for Retry-After is enough", endpoint.name);
    }
}

/// Tries one version after another until one is not refused as stale.
async fn at_current_version(call: impl AsyncFn(i64) -> Answer) -> (i64, Answer) {
    let mut version = 0;
    loop {
        let answer = call(version).await;
        if answer.status != 412 || version == 9 {
            break (version, answer);
        }
        version += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_version_is_refused_and_changes_nothing() {
    let app = App::start().await;
    for endpoint in protected().filter(|e| e.if_match != IfMatch::Ignored) {
        let fixture = Fixture::of(&app, endpoint).await;
        // A session of its own has a full budget.
        let client = app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await);
        let call = || fixture.call(&client, endpoint);
        refused(&app, endpoint, &call().if_match(99).await, 412, "precondition_failed").await;
        refused(&app, endpoint, &call().header("If-Match", "\"x\"").await, 400, "invalid_if_match").await;
        if endpoint.if_match == IfMatch::Required {
            refused(&app, endpoint, &call().without("If-Match").await, 428, "precondition_required").await;
        }
        let (version, done) = at_current_version(async |version| call().if_match(version).await).await;
        assert_eq!(done.status, endpoint.status, "{}: {}", endpoint.name, done.text);
        if done.status != 204 {
            // A request that changes nothing keeps the version.
            let log = app.audit_of(home(&app, endpoint)).await;
            let changed = event_of(&log, endpoint)["changes"] != json!([]);
            assert_eq!(done.json["version"], json!(version + i64::from(changed)), "{}", endpoint.name);
            assert!(changed || endpoint.name == "enable_user", "{} changed nothing", endpoint.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_idempotency_key_gets_the_first_answer_and_changes_nothing() {
    let keyed = protected().filter(|e| e.idempotency != IdempotencyKey::Ignored && e.needs.contains(&Need::Write));
    // The excluded endpoints end the caller's own session or second factor, so the caller cannot repeat them. `replays.rs` tests
    // secrets that are shown once.
    for endpoint in keyed.filter(|e| !["end_session", "disable_totp"].contains(&e.name) && e.issued_again.is_none()) {
        let app = App::start().await;
        let fixture = Fixture::of(&app, endpoint).await;
        let client = app.as_role(Tenant::Acme, allowed_role(endpoint));
        let call = fixture.call(&client, endpoint).key("the-same-key");
        let first = call.clone().await;
        assert_eq!(first.status, endpoint.status, "{}: {}", endpoint.name, first.text);
        let (records, events) = (app.dump("RecordsTable").await, app.domain_events(Tenant::Acme).await);
        // The ids of one millisecond do not sort by time.
        app.clock().advance(Duration::from_secs(1));
        let again = call.clone().await;
        assert_eq!((again.status, &again.json), (first.status, &first.json), "{}", endpoint.name);
        assert_eq!(again.header("etag"), first.header("etag"), "{}", endpoint.name);
        if endpoint.kind != Kind::Batch {
            assert_eq!(again.header("idempotency-replayed"), Some("true"), "{}", endpoint.name);
        }
        assert_eq!(app.domain_events(Tenant::Acme).await, events, "{}: nothing happened twice", endpoint.name);
        if endpoint.kind != Kind::Batch {
            let log = app.audit_of(home(&app, endpoint)).await;
            let event = event_of(&log, endpoint);
            assert_eq!(
                (&event["status"], &event["reason"]),
                (&json!(first.status), &json!("idempotent_replay")),
                "{}",
                endpoint.name
            );
        }
        let sorted = |mut items: Vec<std::collections::HashMap<_, _>>| {
            items.sort_by_key(|i| format!("{:?}{:?}", i["pk"], i["sk"]));
            items
        };
        assert_eq!(sorted(app.dump("RecordsTable").await), sorted(records), "{}", endpoint.name);

        let other = match endpoint.has_body {
            true => call.clone().body(format!("{} ", fixture.body(endpoint).unwrap())),
            false => call.clone().if_match(1),
        };
        let other = other.await;
        refused(&app, endpoint, &other, 422, "idempotency_mismatch").await;

        // A key belongs to its caller. The same text from another caller is another key.
        let someone = app.as_role(Tenant::Acme, Role::Marketer);
        let theirs = Fixture::new(&app).await.call(&someone, endpoint).key("the-same-key").await;
        assert_eq!(theirs.header("idempotency-replayed"), None, "{}", endpoint.name);
    }
}

/// The first request raises the version, so its repetition comes with a stale one.
#[tokio::test(flavor = "multi_thread")]
async fn request_repeated_with_its_idempotency_key_and_its_version_gets_the_first_answer() {
    let keyed = protected().filter(|e| e.idempotency != IdempotencyKey::Ignored && e.if_match != IfMatch::Ignored);
    for endpoint in keyed.filter(|e| e.name != "disable_totp" && e.issued_again.is_none()) {
        let app = fixture::backend(endpoint).await;
        let fixture = Fixture::of(&app, endpoint).await;
        let client = app.as_role(Tenant::Acme, allowed_role(endpoint));
        let call = |version| fixture.call(&client, endpoint).key(&format!("for-version-{version}")).if_match(version);
        let (version, first) = at_current_version(async |version| call(version).await).await;
        assert_eq!(first.status, endpoint.status, "{}: {}", endpoint.name, first.text);
        app.clock().advance(Duration::from_secs(1));
        let again = call(version).await;
        assert_eq!((again.status, &again.json), (first.status, &first.json), "{}: {}", endpoint.name, again.text);
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{}", endpoint.name);
    }
}

/// The target is read together with the record of the key, before the policies decide.
#[tokio::test(flavor = "multi_thread")]
async fn refused_request_gets_the_same_answer_with_an_idempotency_key() {
    let app = App::start().await;
    let fixture = Fixture::new(&app).await;
    let (missing, platform) = (fixture.missing(&app), fixture.of_platform());
    let (matrix, mut cases) = (matrix(), 0);
    // Requests to creating endpoints always have a key.
    for endpoint in protected().filter(|e| e.idempotency == IdempotencyKey::Optional) {
        let (allowed, row) = (allowed_role(endpoint), &matrix[endpoint.action.unwrap().0]);
        let denied = Role::ALL.into_iter().filter(|role| row[role.as_str()] == "-").map(|role| (role, &fixture));
        let has_id = endpoint.route.path.contains('{') && !endpoint.route.path.contains("{session_id}");
        let absent = has_id.then_some((allowed, &missing)).into_iter();
        let of_platform = (endpoint.kind == Kind::Platform && has_id).then_some((allowed, &platform));
        for (role, fixture) in denied.chain(absent).chain(of_platform) {
            // A session of its own has a full budget.
            let client = app.as_identity(app.open_session(Tenant::Acme, role).await);
            let plain = fixture.call(&client, endpoint).await;
            assert!((400..500).contains(&plain.status), "{} as {role}: {}", endpoint.name, plain.text);
            let keyed = fixture.call(&client, endpoint).key("a-key").await;
            assert_eq!((keyed.status, keyed.code()), (plain.status, plain.code()), "{} as {role}: {}", endpoint.name, keyed.text);
            cases += 1;
        }
    }
    assert!(cases > 100, "{cases}");
}

/// The cursor is sealed for its list, so it is opened with the tenant's keys before it is refused.
#[tokio::test(flavor = "multi_thread")]
async fn cursor_of_another_list_is_refused_by_every_list() {
    let app = App::start().await;
    let fixture = Fixture::new(&app).await;
    let users = protected().find(|e| e.name == "list_users").unwrap();
    let page = app.as_role(Tenant::Acme, Role::TenantAdmin).call(users).query("limit", "1").await;
    let cursor = page.json["next_cursor"].as_str().unwrap();
    let pages = |e: &AnyEndpoint| Schemas::of(e).query.is_some_and(|query| query["properties"]["cursor"].is_object());
    let mut lists = 0;
    for endpoint in protected().filter(|e| e.name != "list_users" && pages(e)) {
        let client = app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await);
        let refused = fixture.call(&client, endpoint).query("cursor", cursor).await;
        assert_eq!((refused.status, refused.code()), (422, "validation_failed"), "{}: {}", endpoint.name, refused.text);
        assert_eq!(refused.json["errors"][0]["field"], "cursor", "{}", endpoint.name);
        lists += 1;
    }
    assert!(lists >= 7, "{lists}");
}

#[tokio::test(flavor = "multi_thread")]
async fn creating_endpoint_refuses_a_request_without_an_idempotency_key() {
    let app = App::start().await;
    let fixture = Fixture::new(&app).await;
    for endpoint in protected().filter(|e| e.idempotency == IdempotencyKey::Required) {
        let client = app.as_role(Tenant::Acme, allowed_role(endpoint));
        let none = fixture.call(&client, endpoint).without("Idempotency-Key").await;
        refused(&app, endpoint, &none, 400, "idempotency_key_required").await;
        let long = fixture.call(&client, endpoint).key(&"k".repeat(256)).await;
        refused(&app, endpoint, &long, 400, "invalid_idempotency_key").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_has_security_headers_and_allows_only_known_origins() {
    let app = App::with_cognito().await;
    for endpoint in protected() {
        let fixture = Fixture::of(&app, endpoint).await;
        let client = app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await);
        app.clock().advance(Duration::from_secs(1));
        let answer = fixture
            .call(&client, endpoint)
            .header("Origin", "https://evil.example")
            .header("X-Correlation-Id", "my-thread-1")
            .await;
        assert_eq!(answer.status, endpoint.status, "{}: {}", endpoint.name, answer.text);
        assert_eq!(answer.header("access-control-allow-origin"), None, "{}", endpoint.name);
        assert_eq!(answer.header("x-correlation-id"), Some("my-thread-1"), "{}", endpoint.name);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{}", endpoint.name);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{}", endpoint.name);
        assert!(answer.header("strict-transport-security").is_some(), "{}", endpoint.name);
        let line = app.log_lines().pop().unwrap();
        assert_eq!((&line["function"], &line["correlation_id"]), (&json!(endpoint.name), &json!("my-thread-1")));
        let log = app.audit_of(home(&app, endpoint)).await;
        assert_eq!(event_of(&log, endpoint)["correlation_id"], json!("my-thread-1"), "{}", endpoint.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_endpoint_refuses_malformed_requests_and_records_them() {
    let app = App::start().await;
    // The carrier's endpoints check a token before they read the body.
    let bodied = registry::all().filter(|e| e.kind == Kind::Public && e.has_body && !e.name.starts_with("ups_webhook"));
    for (i, endpoint) in bodied.enumerate() {
        let from = |ip: String, body: &[u8]| {
            app.anonymous().call(endpoint).from_ip(&ip).header("Content-Type", "application/json").body(body)
        };
        let forms: [(&str, u16, &str); 4] = [
            ("{\"a\":", 400, "malformed_json"),
            ("{\"a\":1,\"a\":2}", 400, "malformed_json"),
            ("[]", 422, "validation_failed"),
            ("{\"no_such_field\":1}", 422, "validation_failed"),
        ];
        for (j, (body, status, code)) in forms.into_iter().enumerate() {
            // Each request has an address of its own, since their budget is small.
            let answer = from(format!("198.51.100.{}", 10 * i + j), body.as_bytes()).await;
            refused_unknown(&app, endpoint, &answer, status, code).await;
        }
        let from = |j: usize, body: &[u8]| from(format!("203.0.113.{}", 10 * i + j), body);
        let text = from(0, b"{}").header("Content-Type", "text/plain").await;
        refused_unknown(&app, endpoint, &text, 415, "unsupported_media_type").await;
        let large = from(1, &vec![b' '; common::request::BODY_LIMIT + 1]).await;
        refused_unknown(&app, endpoint, &large, 413, "payload_too_large").await;
        let first = from(2, b"{}").await;
        let whole: u32 = first.header("ratelimit-limit").unwrap().parse().unwrap();
        assert!((60..=100).contains(&whole), "{}: {whole}", endpoint.name);
        for _ in 1..whole {
            assert_eq!(from(2, b"{}").await.status, 422, "{}", endpoint.name);
        }
        let over = from(2, b"{}").await;
        refused_unknown(&app, endpoint, &over, 429, "rate_limited").await;
        assert!(over.header("retry-after").is_some(), "{}", endpoint.name);
    }
}

/// As [`refused`] for an anonymous caller, whose event is in the platform's log.
async fn refused_unknown(app: &App, endpoint: &AnyEndpoint, answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{}: {}", endpoint.name, answer.text);
    let mut events = app.platform_audit().await;
    events.retain(|e| e["status"] == json!(status));
    let event = event_of(&events, endpoint);
    assert_eq!((&event["outcome"], &event["actor"]["type"]), (&json!("refused"), &json!("anonymous")), "{}", endpoint.name);
}
