//! An attacker's requests: malformed bodies, headers and numbers, other callers' keys and cursors, and identical requests at
//! once. None of them may pass the pipeline's checks, and none may crash a function.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::{base::Role, request::AnyEndpoint};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::future::IntoFuture;
use suite::{fixture, people};
use testing::{Answer, App, Call, Fault, Tenant, find};

fn endpoint(name: &str) -> &'static AnyEndpoint {
    find(shipments::endpoints::ALL, name)
}

fn body() -> Value {
    fixture::fresh(endpoint("create_shipment").sample.body.unwrap())
}

fn create(app: &App, tenant: Tenant, body: Value) -> Call<'_> {
    app.as_role(tenant, Role::Marketer).call(endpoint("create_shipment")).json(body)
}

async fn created(app: &App, tenant: Tenant) -> String {
    let created = create(app, tenant, body()).await;
    assert_eq!(created.status, 201, "{}", created.text);
    created.json["shipment_id"].as_str().unwrap().to_owned()
}

fn update<'a>(app: &'a App, id: &str, version: i64, patch: Value) -> Call<'a> {
    let call = app.as_role(Tenant::Acme, Role::TenantAdmin).call(endpoint("update_shipment"));
    call.path("shipment_id", id).if_match(version).json(patch)
}

fn outcome(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_body_is_malformed_json() {
    let app = App::start().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_item = format!("{{\"shipments\":[{}{}]}}", "[".repeat(60_000), "]".repeat(60_000));
    let bodies: [&[u8]; 9] = [
        deep.as_bytes(),
        deep_item.as_bytes(),
        b"\xef\xbb\xbf{}",
        b"{\"reference\":\"a\",\"\\u0072eference\":\"b\"}",
        b"{\"reference\":\"\\ud800\"}",
        b"{\"reference\":1e999}",
        b"{} {}",
        b"{\"reference\":NaN}",
        b"",
    ];
    for name in ["create_shipment", "create_shipments", "search_shipments"] {
        for (i, body) in bodies.iter().enumerate() {
            let call = app.as_role(Tenant::Acme, Role::Marketer).call(endpoint(name)).header("Content-Type", "application/json");
            let answer = call.body(body.to_vec()).await;
            assert_eq!(outcome(&answer), (400, "malformed_json"), "{name}, body {i}: {}", answer.text);
            // The budget regains the cost of the most expensive call.
            app.clock().advance(std::time::Duration::from_secs(10));
        }
        // API Gateway replaces bytes that are not UTF-8 with U+FFFD, so the function refuses the text, and not the JSON.
        let call = app.as_role(Tenant::Acme, Role::Marketer).call(endpoint(name)).header("Content-Type", "application/json");
        let answer = call.body(b"{\"reference\":\"\xff\"}".to_vec()).await;
        assert_eq!(outcome(&answer), (422, "validation_failed"), "{name}: {}", answer.text);
        app.clock().advance(std::time::Duration::from_secs(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_times_at_their_limits_cause_no_failure() {
    let app = App::start().await;
    let id = created(&app, Tenant::Acme).await;
    for (given, wanted) in [
        ("\"9223372036854775807\"", 412),
        ("\"9223372036854775808\"", 400),
        ("\"-1\"", 400),
        ("\"+1\"", 400),
        ("\"\u{661}\"", 400),
        ("W/\"1\"", 400),
        ("\"1\", \"2\"", 400),
        ("", 400),
    ] {
        let answer = update(&app, &id, 1, json!({"reference": "x"})).header("If-Match", given).await;
        assert_eq!(answer.status, wanted, "{given}: {}", answer.text);
    }
    let list = |name: &str, value: &str| {
        app.as_role(Tenant::Acme, Role::Viewer).call(endpoint("list_shipments")).query(name, value).into_future()
    };
    for (name, value, wanted) in [
        ("created_after", "9999-12-30T22:00:00Z", 200),
        ("created_before", "9999-12-30T22:00:00Z", 200),
        ("created_after", "9999-12-31T23:59:59.999Z", 422),
        ("created_before", "1970-01-01T00:00:00Z", 200),
        ("created_after", "-009999-01-01T00:00:00Z", 422),
        ("created_after", "+010000-01-01T00:00:00Z", 422),
        ("limit", "0", 422),
        ("limit", "101", 422),
        ("limit", "4294967297", 422),
        ("limit", "-1", 422),
        ("cursor", "", 422),
        ("cursor", "\u{e9}\u{e9}", 422),
        ("cursor", &"A".repeat(9000), 422),
    ] {
        let answer = list(name, value).await;
        assert_eq!(answer.status, wanted, "{name}={value}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_header_is_refused_and_neither_value_is_used() {
    let app = App::start().await;
    let id = created(&app, Tenant::Acme).await;
    let get = || app.as_role(Tenant::Acme, Role::Viewer).call(endpoint("get_shipment")).path("shipment_id", &id);
    assert_eq!(get().await.status, 200);
    let twice = get().also("X-Purpose-Of-Use", "HPAYMT").await;
    assert_eq!(outcome(&twice), (400, "repeated_header"), "{}", twice.text);
    let twice = update(&app, &id, 1, json!({"reference": "x"})).also("If-Match", "\"2\"").await;
    assert_eq!(outcome(&twice), (400, "invalid_if_match"), "{}", twice.text);
    let twice = create(&app, Tenant::Acme, body()).also("Idempotency-Key", "b").await;
    assert_eq!(outcome(&twice), (400, "invalid_idempotency_key"), "{}", twice.text);
    let twice = create(&app, Tenant::Acme, body()).also("Content-Type", "text/plain").await;
    assert_eq!(outcome(&twice), (400, "repeated_header"), "{}", twice.text);
    // A proxy may join two headers into one.
    for (name, value, status, code) in [
        ("Content-Type", "application/json, application/json", 415, "unsupported_media_type"),
        ("Content-Type", "application/json; charset=utf-8, text/plain", 415, "unsupported_media_type"),
        ("X-Purpose-Of-Use", "TREAT, HPAYMT", 400, "invalid_purpose_of_use"),
        ("X-Purpose-Of-Use", "TREAT,TREAT", 400, "invalid_purpose_of_use"),
        ("Idempotency-Key", "a, b", 400, "invalid_idempotency_key"),
    ] {
        let joined = create(&app, Tenant::Acme, body()).header(name, value).await;
        assert_eq!(outcome(&joined), (status, code), "{name}: {value}: {}", joined.text);
    }
    let joined = update(&app, &id, 1, json!({"reference": "x"})).header("If-Match", "\"1\", \"2\"").await;
    assert_eq!(outcome(&joined), (400, "invalid_if_match"), "{}", joined.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_with_an_invalid_if_match_is_refused() {
    let app = App::start().await;
    let id = created(&app, Tenant::Acme).await;
    let update = || update(&app, &id, 1, json!({"reference": "x"})).header("Idempotency-Key", "update");
    assert_eq!(update().await.status, 200);
    assert_eq!(update().await.header("idempotency-replayed"), Some("true"));
    let twice = update().also("If-Match", "\"2\"").await;
    assert_eq!(outcome(&twice), (400, "invalid_if_match"), "{}", twice.text);
    let void = || {
        let call = app.as_role(Tenant::Acme, Role::Marketer).call(endpoint("void_shipment"));
        call.path("shipment_id", &id).header("Idempotency-Key", "void")
    };
    assert_eq!(void().await.status, 200);
    let empty = void().header("If-Match", "").await;
    assert_eq!(outcome(&empty), (422, "idempotency_mismatch"), "{}", empty.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn non_ascii_header_causes_no_failure() {
    let app = App::start().await;
    let id = created(&app, Tenant::Acme).await;
    for (name, value, status) in [
        ("X-Anything", "caf\u{e9}", 200),
        ("User-Agent", "\u{1f4e6}", 200),
        ("X-Correlation-Id", "\u{e9}", 200),
        ("Origin", "https://\u{e9}.example", 200),
        ("X-Purpose-Of-Use", "TR\u{c9}AT", 400),
    ] {
        let get = app.as_role(Tenant::Acme, Role::Viewer).call(endpoint("get_shipment")).path("shipment_id", &id);
        let answer = get.header(name, value).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_of_another_tenant_or_list_is_refused() {
    let app = App::start().await;
    for tenant in [Tenant::Acme, Tenant::Birch] {
        created(&app, tenant).await;
        created(&app, tenant).await;
    }
    let list = |tenant| app.as_role(tenant, Role::Viewer).call(endpoint("list_shipments")).query("limit", "1");
    let page = list(Tenant::Acme).await;
    let cursor = page.json["next_cursor"].as_str().unwrap();
    assert_eq!(list(Tenant::Acme).query("cursor", cursor).await.status, 200);
    assert_eq!(list(Tenant::Birch).query("cursor", cursor).await.status, 422);
    assert_eq!(list(Tenant::Acme).query("status", "UNKNOWN").query("cursor", cursor).await.status, 422);
    let search = app.as_role(Tenant::Acme, Role::Viewer).call(endpoint("search_shipments"));
    assert_eq!(search.json(json!({"reference": "ORDER-1001", "cursor": cursor})).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_key_of_another_caller_is_another_key() {
    let app = App::start().await;
    let body = body();
    let first = create(&app, Tenant::Acme, body.clone()).key("one").await;
    assert_eq!(first.status, 201);
    let colleague =
        app.as_role(Tenant::Acme, Role::TenantAdmin).call(endpoint("create_shipment")).json(body.clone()).key("one").await;
    assert_eq!(outcome(&colleague), (409, "duplicate_tracking_number"), "{}", colleague.text);
    let stranger = create(&app, Tenant::Birch, body.clone()).key("one").await;
    assert_eq!(stranger.status, 201);
    assert_ne!(first.json["shipment_id"], stranger.json["shipment_id"]);
    let batch = app.as_role(Tenant::Acme, Role::Marketer).call(endpoint("create_shipments"));
    let batch = batch.json(json!({"shipments": [body]})).key("one").await;
    assert_eq!((batch.status, &batch.json["items"][0]["status"]), (200, &json!(409)), "{}", batch.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_identical_requests_get_one_answer_and_are_done_once() {
    let app = App::start().await;
    let body = body();
    let twins = join_all((0..12).map(|_| create(&app, Tenant::Acme, body.clone()).key("one").into_future())).await;
    for twin in &twins {
        assert_eq!((twin.status, &twin.text), (201, &twins[0].text));
    }
    let id = twins[0].json["shipment_id"].as_str().unwrap();
    let patches = join_all((0..12).map(|_| update(&app, id, 1, json!({"reference": "x"})).key("two").into_future())).await;
    for patch in &patches {
        assert_eq!((patch.status, &patch.text), (200, &patches[0].text), "{}", patch.text);
    }
    assert_eq!(app.domain_events(Tenant::Acme).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeat_is_not_refused_while_another_holds_the_record_of_its_key() {
    let app = App::start().await;
    // DynamoDB's response to a third identical request: the first has taken the tracking number, and the second holds the key's
    // record.
    let undecided = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"cancelled","CancellationReasons":[{"Code":"ConditionalCheckFailed"},{"Code":"None"},{"Code":"None"},{"Code":"None"},{"Code":"None"},{"Code":"TransactionConflict"}]}"#;
    let body = body();
    let first = create(&app, Tenant::Acme, body.clone()).key("one").await;
    app.wire().fail("TransactWriteItems", 0, 1, Fault::Says(400, undecided));
    let twin = create(&app, Tenant::Acme, body).key("one").await;
    assert_eq!((twin.status, &twin.text), (201, &first.text));
    assert_eq!(twin.header("idempotency-replayed"), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn repeat_that_read_key_before_and_target_after_the_first_is_replayed() {
    let app = App::start().await;
    let id = created(&app, Tenant::Acme).await;
    let patch = || update(&app, &id, 1, json!({"reference": "x"})).key("one");
    let first = patch().await;
    assert_eq!(first.status, 200, "{}", first.text);
    // A BatchGetItem is no snapshot: this one found no record of the key, and returns the target as unprocessed.
    let table = &app.provisioned().tables["RecordsTable"];
    let key = json!({"pk": {"S": format!("{}#SHIPMENT#{id}", app.tenant_id(Tenant::Acme))}, "sk": {"S": "SHIPMENT"}});
    let half = json!({"Responses": {}, "UnprocessedKeys": {table: {"Keys": [key], "ConsistentRead": true}}});
    app.wire().fail("BatchGetItem", 0, 1, Fault::Says(200, half.to_string().leak()));
    let twin = patch().await;
    assert_eq!((twin.status, &twin.text), (200, &first.text));
    assert_eq!(twin.header("idempotency-replayed"), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_kept_when_the_request_changed_nothing() {
    let app = App::start().await;
    let id = created(&app, Tenant::Acme).await;
    let same = json!({"reference": "ORDER-1001"});
    let first = update(&app, &id, 1, same.clone()).key("one").await;
    assert_eq!((first.status, first.header("etag")), (200, Some("\"1\"")), "{}", first.text);
    assert_eq!(update(&app, &id, 1, json!({"reference": "x"})).await.status, 200);
    let again = update(&app, &id, 1, same).key("one").await;
    assert_eq!((again.status, &again.text), (200, &first.text));
    let other = update(&app, &id, 2, json!({"reference": "y"})).key("one").await;
    assert_eq!(outcome(&other), (422, "idempotency_mismatch"), "{}", other.text);
    assert_eq!(app.domain_events(Tenant::Acme).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_network_has_one_budget_before_sign_in() {
    let app = App::start().await;
    let challenge = find(identity::endpoints::ALL, "challenge");
    let body = json!({"challenge": "NEW_PASSWORD_REQUIRED", "session": "invented", "new_password": "Synthetic-Passw0rd!"});
    let mut statuses = Vec::new();
    for i in 0..62 {
        let ip = format!("2001:db8:1:2::{i:x}");
        statuses.push(app.anonymous().call(challenge).from_ip(&ip).json(body.clone()).await.status);
    }
    assert_eq!(statuses, [[401; 60].as_slice(), &[429; 2]].concat());
    for ip in ["2001:db8:1:3::1", "192.0.2.1", "192.0.2.2"] {
        assert_eq!(app.anonymous().call(challenge).from_ip(ip).json(body.clone()).await.status, 401, "{ip}");
    }
    let events = app.platform_audit().await;
    let refused: Vec<_> = events.iter().filter(|e| e["type"] == "api.challenge" && e["status"] == 429).collect();
    assert_eq!((refused.len(), &refused[0]["count"]), (1, &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn api_key_used_from_another_network_is_refused_and_recorded() {
    let app = App::with_cognito().await;
    let key = async |tenant, networks: Value| {
        let session = app.open_session(tenant, Role::TenantAdmin).await;
        let body = json!({"name": "Warehouse", "scopes": ["shipments.read"], "purposes": ["TREAT"], "networks": networks});
        let made = app.as_identity(session).call(people::endpoint("create_api_key")).json(body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json["api_key"].as_str().unwrap().to_owned()
    };
    let list = async |key: &str, ip: &str| {
        let who = people::identity(&app, key).await.unwrap();
        app.as_identity(who).call(endpoint("list_shipments")).from_ip(ip).await
    };
    let (bound, free, theirs) = (
        key(Tenant::Acme, json!(["192.0.2.0/24", "2001:db8::/32"])).await,
        key(Tenant::Acme, json!([])).await,
        key(Tenant::Birch, json!(["198.51.100.0/24"])).await,
    );
    for (ip, allowed) in [
        ("192.0.2.1", true),
        ("192.0.2.255", true),
        ("2001:db8:ffff::1", true),
        ("::ffff:192.0.2.7", true),
        ("192.0.1.255", false),
        ("192.0.3.0", false),
        ("198.51.100.1", false),
        ("2001:db9::1", false),
        ("::192.0.2.7", false),
        ("64:ff9b::192.0.2.7", false),
    ] {
        let answer = list(&bound, ip).await;
        let expected = if allowed { (200, "") } else { (403, "network_not_allowed") };
        let code = if answer.status == 200 { "" } else { answer.code() };
        assert_eq!((answer.status, code), expected, "{ip}: {}", answer.text);
        let event = app.audit(Tenant::Acme).await.into_iter().rfind(|e| e["type"] == "api.list_shipments").unwrap();
        assert_eq!(event["actor"]["type"], "api_key", "{ip}");
        assert_eq!(event["policy"]["decision"], if allowed { "allow" } else { "deny" }, "{ip}");
        if !allowed {
            assert_eq!((&event["status"], &event["policy"]["ids"]), (&json!(403), &json!(["guard.network"])), "{ip}");
            assert_eq!((&event["reason"], &event["disclosed"]), (&json!("network_not_allowed"), &json!([])), "{ip}");
        }
        assert_eq!(list(&free, ip).await.status, 200, "{ip}: a key without networks is accepted from any address");
    }
    assert_eq!((list(&theirs, "198.51.100.1").await.status, list(&theirs, "192.0.2.1").await.status), (200, 403));
}
