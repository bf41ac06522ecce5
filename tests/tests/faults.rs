//! Faults of every kind: services that are unavailable, slow or throttling, responses that are lost, a process that dies at any
//! await. In each case a shipment and its audit event exist both or neither, and no request is done twice.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue;
use common::{
    base::{Clock, Need, Role, TenantId, Timestamp},
    request::{AnyEndpoint, Kind, Method},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, future::IntoFuture, time::Duration};
use suite::{
    fixture::{self, Fixture},
    matrix::{allowed_role, protected},
    state,
};
use testing::{Answer, App, Call, Fault, Tenant, find, kill_after, polls};

fn endpoint(name: &str) -> &'static AnyEndpoint {
    find(shipments::endpoints::ALL, name)
}

/// A create with a new idempotency key and a new tracking number.
fn create(app: &App) -> Call<'_> {
    let create = endpoint("create_shipment");
    app.as_role(Tenant::Acme, Role::Marketer).call(create).json(fixture::fresh(create.sample.body.unwrap()))
}

/// The ids of the existing shipments, and of those whose creation has an audit event.
async fn shipments_and_events(app: &App) -> (BTreeSet<String>, BTreeSet<String>) {
    let text = |item: &std::collections::HashMap<String, _>, name: &str| {
        let value: &AttributeValue = &item[name];
        value.as_s().unwrap().clone()
    };
    let records = app.dump("RecordsTable").await;
    let shipments =
        records.iter().filter(|i| text(i, "sk") == "SHIPMENT").map(|i| text(i, "pk").rsplit_once('#').unwrap().1.to_owned());
    let created = |event: &Value| {
        let is = event["type"] == "api.create_shipment" && event["outcome"] == "success" && event["changes"] != json!(null);
        is.then(|| event["resources"][0]["id"].as_str().unwrap().to_owned())
    };
    (shipments.collect(), app.audit(Tenant::Acme).await.iter().filter_map(created).collect())
}

async fn assert_both_or_neither(app: &App, when: &str) -> usize {
    let (shipments, events) = shipments_and_events(app).await;
    assert_eq!(shipments, events, "{when}");
    let told: BTreeSet<_> =
        app.domain_events(Tenant::Acme).await.iter().map(|e| e["payload"]["shipment_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(shipments, told, "{when}: the outbox");
    shipments.len()
}

fn unavailable(answer: &Answer, when: &str) {
    assert_eq!((answer.status, answer.code()), (503, "dependency_unavailable"), "{when}: {}", answer.text);
    assert_eq!(answer.header("retry-after"), Some("1"), "{when}");
}

#[tokio::test(flavor = "multi_thread")]
async fn create_survives_one_failed_call_and_answers_503_to_lasting_failure() {
    for fault in [Fault::Gone, Fault::Throttled, Fault::LostAnswer] {
        for call in ["UpdateItem", "TransactWriteItems"] {
            let app = App::start().await;
            create(&app).await;
            app.wire().fail(call, 0, 1, fault);
            let once = create(&app).await;
            assert_eq!(once.status, 201, "{call} {fault:?} once: {}", once.text);
            assert_eq!(assert_both_or_neither(&app, "once").await, 2, "{call} {fault:?}");

            app.wire().fail(call, 0, 100, fault);
            let when = format!("{call} {fault:?} for good");
            unavailable(&create(&app).await, &when);
            app.wire().heal();
            let count = assert_both_or_neither(&app, &when).await;
            assert!(count == 2 || fault == Fault::LostAnswer, "{when}: {count}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn read_survives_one_failed_call_and_shows_no_unrecorded_plaintext() {
    for (name, calls) in [("get_shipment", ["UpdateItem", "Query"]), ("list_shipments", ["UpdateItem", "Query"])] {
        for call in calls {
            for fault in [Fault::Gone, Fault::Throttled] {
                let app = App::start().await;
                let id = create(&app).await.json["shipment_id"].as_str().unwrap().to_owned();
                let get = || {
                    let call = app.as_role(Tenant::Acme, Role::Marketer).call(endpoint(name));
                    if name == "get_shipment" { call.path("shipment_id", &id) } else { call }
                };
                assert_eq!(get().await.status, 200);
                app.wire().fail(call, 0, 1, fault);
                assert_eq!(get().await.status, 200, "{name}: {call} {fault:?} once");
                app.wire().fail(call, 0, 100, fault);
                let failed = get().await;
                unavailable(&failed, &format!("{name}: {call} {fault:?}"));
                assert!(!failed.text.contains("1Z"), "{name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plaintext_is_withheld_when_the_read_cannot_be_recorded() {
    let app = App::start().await;
    let id = create(&app).await.json["shipment_id"].as_str().unwrap().to_owned();
    let get = || app.as_role(Tenant::Acme, Role::Marketer).call(endpoint("get_shipment")).path("shipment_id", &id);
    // From now on the function has leased a block of its tenant's quota, and makes no call for it.
    assert_eq!(get().await.status, 200);
    // The first UpdateItem is the session's, the second the audit event's.
    app.wire().fail("UpdateItem", 1, 100, Fault::Gone);
    let answer = get().await;
    unavailable(&answer, "audit gone");
    assert!(!answer.text.contains("1Z") && !answer.text.contains("recipient"), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_that_cannot_be_recorded_is_answered_503() {
    let app = App::start().await;
    // From now on the function has leased a block of its tenant's quota, and makes no call for it.
    create(&app).await;
    app.wire().fail("UpdateItem", 1, 100, Fault::Gone);
    let viewer =
        app.as_role(Tenant::Acme, Role::Viewer).call(endpoint("create_shipment")).json(fixture::fresh("{\"tracking_number\":0}"));
    unavailable(&viewer.await, "a refusal without an audit event");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_call_is_awaited_and_hanging_call_times_out() {
    let app = App::start().await;
    create(&app).await;
    app.wire().fail("TransactWriteItems", 0, 1, Fault::Slow(Duration::from_millis(300)));
    assert_eq!(create(&app).await.status, 201);
    app.wire().fail("TransactWriteItems", 0, 100, Fault::Slow(Duration::from_secs(60)));
    let started = std::time::Instant::now();
    unavailable(&create(&app).await, "hanging");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    app.wire().heal();
    assert_eq!(assert_both_or_neither(&app, "hanging").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_tables_open_the_circuit_and_are_called_again_after_a_pause() {
    let app = App::start().await;
    create(&app).await;
    app.wire().fail("dynamodb", 0, 1000, Fault::Gone);
    unavailable(&create(&app).await, "gone");
    app.clock().advance(Duration::from_secs(1));
    unavailable(&create(&app).await, "gone for a second");
    app.reset_calls();
    unavailable(&create(&app).await, "circuit open");
    assert!(app.calls().dynamodb.is_empty(), "at once");
    let line = app.log_lines().pop().unwrap();
    assert_eq!((&line["error.service"], &line["error.cause"]), (&json!("dynamodb"), &json!("circuit open")));

    app.wire().heal();
    unavailable(&create(&app).await, "the circuit's pause is not over");
    app.clock().advance(Duration::from_secs(1));
    assert_eq!(create(&app).await.status, 201);
    assert_eq!(assert_both_or_neither(&app, "and back").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_refusals_by_dynamodb_do_not_open_the_circuit() {
    let app = App::start().await;
    for _ in 0..100 {
        app.clock().advance(Duration::from_secs(1));
        app.wire().fail("UpdateItem", 0, 1, Fault::Refused("ValidationException"));
        assert_eq!(create(&app).await.status, 503);
    }
    assert_eq!(create(&app).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_conflict_is_retried_a_bounded_number_of_times() {
    let app = App::start().await;
    app.wire().fail("TransactWriteItems", 0, 3, Fault::Conflict);
    assert_eq!(create(&app).await.status, 201, "three conflicts");
    app.wire().fail("TransactWriteItems", 0, 1000, Fault::Conflict);
    app.reset_calls();
    unavailable(&create(&app).await, "conflicts that last");
    let tries = app.calls().dynamodb.iter().filter(|c| *c == "TransactWriteItems").count();
    assert!((2..=10).contains(&tries), "{tries} tries");
    app.wire().heal();
    assert_eq!(assert_both_or_neither(&app, "conflicts").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_cache_works_without_kms_and_a_cold_one_answers_503() {
    let app = App::start().await;
    create(&app).await;
    app.wire().fail("kms", 0, 1000, Fault::Gone);
    assert_eq!(create(&app).await.status, 201, "warm");
    assert_eq!(assert_both_or_neither(&app, "warm").await, 2);

    app.clock().advance(common::store::CACHED_FOR);
    // The session is idle by now, so the test opens a new one.
    let identity = app.open_session(Tenant::Acme, Role::Marketer).await;
    let create_shipment = endpoint("create_shipment");
    let call =
        || app.as_identity(identity.clone()).call(create_shipment).json(fixture::fresh(create_shipment.sample.body.unwrap()));
    unavailable(&call().await, "cold");
    assert_eq!(assert_both_or_neither(&app, "cold").await, 2);

    app.wire().heal();
    assert_eq!(call().await.status, 201, "KMS is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_leave_memory_after_fifteen_minutes() {
    let app = App::start().await;
    create(&app).await;
    app.reset_calls();
    create(&app).await;
    assert_eq!(app.calls().kms.len(), 0, "warm");
    app.clock().advance(common::store::CACHED_FOR - Duration::from_millis(1));
    let call = |identity| {
        let create = endpoint("create_shipment");
        app.as_identity(identity).call(create).json(fixture::fresh(create.sample.body.unwrap()))
    };
    call(app.open_session(Tenant::Acme, Role::Marketer).await).await;
    assert_eq!(app.calls().kms.len(), 0, "a moment before");
    app.clock().advance(Duration::from_millis(1));
    call(app.open_session(Tenant::Acme, Role::Marketer).await).await;
    assert!(!app.calls().kms.is_empty(), "the keys are unwrapped again");
}

#[tokio::test(flavor = "multi_thread")]
async fn create_killed_at_any_await_is_whole_or_absent() {
    let app = App::start().await;
    create(&app).await;
    let (answer, all) = polls(create(&app).into_future()).await;
    assert_eq!(answer.status, 201);
    // The test kills the request after each poll, many times, since the scheduler decides where the polls lie.
    let mut killed = 0;
    for round in 0..20 {
        for after in 0..all {
            // Refills the rate limit's budget, so that it refuses no request.
            app.clock().advance(Duration::from_secs(1));
            killed += usize::from(kill_after(after, create(&app).into_future()).await.is_none());
            // Calls that the killed process had sent may still arrive.
            settle(&app).await;
            assert_both_or_neither(&app, &format!("round {round}, killed after {after} polls")).await;
        }
    }
    assert!(killed >= 20, "{killed} requests were killed");
    assert_eq!(create(&app).await.status, 201, "the next request succeeds");
}

/// Waits until two reads in a row return the same records and ledger.
async fn settle(app: &App) {
    let look = async || state::of_all(app, &["RecordsTable", "LedgerTable"]).await;
    let mut seen = look().await;
    loop {
        tokio::task::yield_now().await;
        let now = look().await;
        if now == seen {
            return;
        }
        seen = now;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_lost_the_answer_gets_it_again_by_its_key() {
    let app = App::start().await;
    let call = create(&app).key("lost-answer");
    // Every attempt is carried out, and every response is lost. The caller gets a 503 although the shipment exists.
    app.wire().fail("TransactWriteItems", 0, 100, Fault::LostAnswer);
    let lost = call.clone().await;
    app.wire().heal();
    assert_eq!(lost.status, 503, "{}", lost.text);
    assert_eq!(assert_both_or_neither(&app, "lost").await, 1);
    let again = call.await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")), "{}", again.text);
    assert_eq!(assert_both_or_neither(&app, "again").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_identical_creates_get_one_shipment_and_one_answer() {
    let app = App::start().await;
    let call = create(&app).key("twins");
    let answers = futures_util::future::join_all((0..10).map(|_| call.clone().into_future())).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.json), (201, &answers[0].json), "{}", answer.text);
    }
    assert_eq!(answers.iter().filter(|a| a.header("idempotency-replayed").is_none()).count(), 1, "one winner");
    assert_eq!(assert_both_or_neither(&app, "twins").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_is_a_500_with_a_correlation_id_and_the_process_lives() {
    let app = App::start().await;
    let panics = find(suite::PROBES, "panics");
    let admin = app.as_role(Tenant::Acme, Role::TenantAdmin);
    let answer = admin.call(panics).header("X-Correlation-Id", "panic-1").await;
    assert_eq!((answer.status, answer.code(), answer.header("x-correlation-id")), (500, "internal", Some("panic-1")));
    assert!(!answer.text.contains("nobody may see"), "{}", answer.text);
    let event = app.audit(Tenant::Acme).await.pop().unwrap();
    assert_eq!((&event["outcome"], &event["status"]), (&json!("failed"), &json!(500)));
    let line = app.log_lines().pop().unwrap();
    assert_eq!((&line["error.what"], &line["level"]), (&json!("panic"), &json!("error")));
    assert_eq!(create(&app).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_of_a_session_get_exactly_the_limit() {
    let app = App::start().await;
    let identity = app.open_session(Tenant::Acme, Role::Marketer).await;
    let list = endpoint("list_shipments");
    let call = || app.as_identity(identity.clone()).call(list).into_future();
    let answers = futures_util::future::join_all((0..100).map(|_| call())).await;
    let count = |status| answers.iter().filter(|a| a.status == status).count();
    assert_eq!((count(200), count(429)), (60, 40));
    // After one interval the budget has one call.
    app.clock().advance(Duration::from_secs(1));
    assert_eq!((call().await.status, call().await.status), (200, 429));
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limit_refusals_are_one_audit_event_with_a_count() {
    let app = App::start().await;
    let identity = app.open_session(Tenant::Acme, Role::Marketer).await;
    let list = endpoint("list_shipments");
    let call = || app.as_identity(identity.clone()).call(list).into_future();
    futures_util::future::join_all((0..100).map(|_| call())).await;
    let limited: Vec<_> = app.audit(Tenant::Acme).await.into_iter().filter(|e| e["status"] == 429).collect();
    assert_eq!(limited.len(), 1);
    assert_eq!(limited[0]["count"], json!(40));
}

#[tokio::test(flavor = "multi_thread")]
async fn session_is_refused_when_idle_too_old_or_past_its_token() {
    let app = App::start().await;
    let list = endpoint("list_shipments");
    let recorded =
        async |app: &App, reason: &str| app.audit(Tenant::Acme).await.iter().any(|e| e["status"] == 401 && e["reason"] == reason);

    let idle = app.open_session(Tenant::Acme, Role::Marketer).await;
    app.clock().advance(Duration::from_secs(900) - Duration::from_millis(1));
    assert_eq!(app.as_identity(idle.clone()).call(list).await.status, 200, "a moment before");
    app.clock().advance(Duration::from_secs(900));
    assert_eq!(app.as_identity(idle).call(list).await.status, 401);
    assert!(recorded(&app, "session_idle").await);

    let mut token = app.open_session(Tenant::Acme, Role::Marketer).await;
    token.expires_at = Timestamp::from_millis(app.clock().now().as_millis());
    assert_eq!(app.as_identity(token).call(list).await.status, 401, "a context that outlived its token");
    assert!(recorded(&app, "token_expired").await);

    let old = app.open_session(Tenant::Acme, Role::Marketer).await;
    for _ in 0..51 {
        app.clock().advance(Duration::from_secs(14 * 60));
        assert_eq!(app.as_identity(old.clone()).call(list).await.status, 200);
    }
    app.clock().advance(Duration::from_secs(14 * 60));
    assert_eq!(app.as_identity(old).call(list).await.status, 401, "after twelve hours");

    let mut unknown = app.open_session(Tenant::Acme, Role::Marketer).await;
    unknown.session = app.open_session(Tenant::Birch, Role::Marketer).await.session;
    assert_eq!(app.as_identity(unknown).call(list).await.status, 401, "somebody else's session");
    assert!(recorded(&app, "no_session").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn platform_endpoint_is_for_operators_only_and_recorded_in_both_logs() {
    let app = App::start().await;
    let looks = find(suite::PROBES, "looks_at_tenant");
    let birch = app.tenant_id(Tenant::Birch);
    let allowed = app.as_role(Tenant::Acme, Role::SuperAdmin).call(looks).path("tenant_id", birch).await;
    assert_eq!((allowed.status, &allowed.json["tenant_id"]), (200, &json!(birch.to_string())), "{}", allowed.text);
    for log in [app.platform_audit().await, app.audit(Tenant::Birch).await] {
        let event = log.last().unwrap();
        assert_eq!((&event["type"], &event["actor"]["role"]), (&json!("api.looks_at_tenant"), &json!("super_admin")));
    }
    // An administrator sees their own tenant, and gets a 403 for it. For another tenant they get a 404.
    let admin = app.as_role(Tenant::Acme, Role::TenantAdmin);
    let refused = admin.call(looks).path("tenant_id", app.tenant_id(Tenant::Acme)).await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
    let unseen = admin.call(looks).path("tenant_id", birch).await;
    assert_eq!((unseen.status, unseen.code()), (404, "not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrapped_key_of_another_tenant_or_purpose_is_refused() {
    let app = App::start().await;
    let keys = app.dump("KeysTable").await;
    let of = |tenant: Tenant, purpose: &str| {
        let prefix = app.tenant_id(tenant).to_string();
        let text = |row: &std::collections::HashMap<String, _>, name: &str| {
            let value: &aws_sdk_dynamodb::types::AttributeValue = &row[name];
            value.as_s().unwrap().clone()
        };
        keys.iter().find(|row| text(row, "pk").starts_with(&prefix) && text(row, "purpose") == purpose).unwrap().clone()
    };
    let own = of(Tenant::Acme, "branch");
    let table = app.provisioned().tables["KeysTable"].clone();
    for (what, other) in [("tenant", of(Tenant::Birch, "branch")), ("purpose", of(Tenant::Acme, "search"))] {
        // The change of an attacker who may write only the table of wrapped keys.
        let mut swapped = own.clone();
        for name in ["wrapped", "kms_key_arn"] {
            swapped.insert(name.to_owned(), other[name].clone());
        }
        app.raw().put_item().table_name(&table).set_item(Some(swapped)).send().await.unwrap();
        app.clock().advance(common::store::CACHED_FOR);
        let answer = {
            let create = endpoint("create_shipment");
            let identity = app.open_session(Tenant::Acme, Role::Marketer).await;
            app.as_identity(identity).call(create).json(fixture::fresh(create.sample.body.unwrap())).await
        };
        assert_eq!((answer.status, answer.code()), (500, "internal"), "another {what}: {}", answer.text);
        assert!(!answer.text.contains("kms") && !answer.text.contains("Ciphertext"), "{}", answer.text);
        assert_eq!(assert_both_or_neither(&app, what).await, 0);
    }
}

async fn records(app: &App) -> Vec<String> {
    state::of_all(app, &["RecordsTable"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn read_with_any_call_lost_answers_503_and_changes_nothing() {
    lose_each_call(protected().filter(|e| e.route.method == Method::Get)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn write_with_any_call_lost_answers_503_and_changes_nothing() {
    lose_each_call(protected().filter(|e| e.route.method != Method::Get)).await;
}

async fn lose_each_call(endpoints: impl Iterator<Item = &'static AnyEndpoint>) {
    for (nth, endpoint) in endpoints.enumerate() {
        let app = fixture::backend(endpoint).await;
        let ask = async |fixture: &Fixture| {
            // Each request has a minute of its own, so that it reads the tenant's state and leases quota.
            app.clock().advance(Duration::from_secs(60));
            // Each request has a new session, whose first touch matches the function's guess.
            let identity = app.open_session(Tenant::Acme, allowed_role(endpoint)).await;
            fixture.call(&app.as_identity(identity), endpoint).await
        };
        let warm = ask(&Fixture::of(&app, endpoint).await).await;
        assert_eq!(warm.status, endpoint.status, "{}: {}", endpoint.name, warm.text);
        let fixture = Fixture::of(&app, endpoint).await;
        app.reset_calls();
        ask(&fixture).await;
        let calls = app.calls().dynamodb;
        for (index, call) in calls.iter().enumerate() {
            // The faults alternate.
            let fault = if (nth + index) % 2 == 0 { Fault::Gone } else { Fault::Throttled };
            let when = format!("{}: {fault:?} from {call} (call {index}) on", endpoint.name);
            let fixture = Fixture::of(&app, endpoint).await;
            let before = records(&app).await;
            app.wire().fail("dynamodb", index, 1000, fault);
            let answer = ask(&fixture).await;
            app.wire().heal();
            // A batch that was admitted has a status for each item.
            match answer.json["items"].as_array() {
                Some(items) if endpoint.kind == Kind::Batch && index > 3 => {
                    assert!(items.iter().all(|i| i["status"] == 503), "{when}: {}", answer.text);
                }
                _ => unavailable(&answer, &when),
            }
            assert!(!answer.text.contains("\"tracking_number\":\"1Z"), "{when}: {}", answer.text);
            assert_eq!(records(&app).await, before, "{when}");
            let after = ask(&fixture).await;
            assert_eq!(after.status, endpoint.status, "{when}, healed: {}", after.text);
        }
    }
}

/// The calls that DynamoDB refuses while a transaction includes the item.
const HELD: [&str; 4] = ["TransactWriteItems", "PutItem", "UpdateItem", "DeleteItem"];

/// DynamoDB refuses a write of an item that a transaction under way includes, and the SDK does not repeat it.
#[tokio::test(flavor = "multi_thread")]
async fn conflict_of_any_write_changes_no_endpoints_answer() {
    for endpoint in protected() {
        let app = fixture::backend(endpoint).await;
        let ask = async |fixture: &Fixture| {
            app.clock().advance(Duration::from_secs(60));
            let identity = app.open_session(Tenant::Acme, allowed_role(endpoint)).await;
            fixture.call(&app.as_identity(identity), endpoint).await
        };
        ask(&Fixture::of(&app, endpoint).await).await;
        let fixture = Fixture::of(&app, endpoint).await;
        app.reset_calls();
        ask(&fixture).await;
        let calls = app.calls().dynamodb;
        for (index, call) in calls.iter().enumerate().filter(|(_, call)| HELD.contains(&call.as_str())) {
            let fixture = Fixture::of(&app, endpoint).await;
            app.wire().fail("dynamodb", index, 1, Fault::Conflict);
            let answer = ask(&fixture).await;
            app.wire().heal();
            assert_eq!(answer.status, endpoint.status, "{}: {call} (call {index}): {}", endpoint.name, answer.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conflict_of_a_single_write_is_retried_a_bounded_number_of_times() {
    let app = App::start().await;
    let get = || app.as_role(Tenant::Acme, Role::Marketer).call(endpoint("list_shipments")).into_future();
    get().await;
    app.wire().fail("UpdateItem", 0, 3, Fault::Conflict);
    assert_eq!(get().await.status, 200, "three conflicts");
    app.wire().fail("UpdateItem", 0, 1000, Fault::Conflict);
    app.reset_calls();
    unavailable(&get().await, "conflicts that last");
    let tries = app.calls().dynamodb.iter().filter(|call| *call == "UpdateItem").count();
    // Those of the session, and of the refusal's audit event.
    assert!((4..=12).contains(&tries), "{tries} tries");
    app.wire().heal();
    assert_eq!(get().await.status, 200);
}

/// The number of an endpoint's successes in the audit logs, and of domain events in the outboxes of all tenants.
async fn on_record(app: &App, endpoint: &AnyEndpoint) -> (usize, usize) {
    let kind = format!("api.{}", endpoint.name);
    let mut successes = 0;
    for tenant in [TenantId::PLATFORM, app.tenant_id(Tenant::Acme)] {
        let events = app.audit_of(tenant).await;
        successes += events.iter().filter(|e| e["type"] == json!(kind) && e["outcome"] == "success").count();
    }
    let in_outbox = |item: &std::collections::HashMap<String, AttributeValue>| item["pk"].as_s().unwrap().ends_with("#EVENTS");
    (successes, app.dump("LedgerTable").await.iter().filter(|item| in_outbox(item)).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn change_killed_at_any_await_commits_with_its_events_or_not_at_all() {
    for endpoint in protected().filter(|e| e.needs.contains(&Need::Write)) {
        let app = fixture::backend(endpoint).await;
        let fixed = async || {
            app.clock().advance(Duration::from_secs(60));
            let fixture = Fixture::of(&app, endpoint).await;
            let client = app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await);
            (fixture.call(&client, endpoint), records(&app).await, on_record(&app, endpoint).await)
        };
        // The first run warms the caches. The second, complete run shows the effects and the number of polls.
        fixed().await.0.await;
        let (call, unchanged, before) = fixed().await;
        let (answer, all) = polls(call.into_future()).await;
        assert_eq!(answer.status, endpoint.status, "{}: {}", endpoint.name, answer.text);
        let after = on_record(&app, endpoint).await;
        let whole = (after.0 - before.0, after.1 - before.1);
        // A socket ticket, for example, is not in the records table.
        let changes_records = records(&app).await != unchanged;
        let mut killed = 0;
        for polls in 0..=all {
            let when = format!("{}, killed after {polls} polls", endpoint.name);
            let (call, before, (successes, told)) = fixed().await;
            let answer = kill_after(polls, call.into_future()).await;
            killed += usize::from(answer.is_none());
            settle(&app).await;
            let (successes_now, told_now) = on_record(&app, endpoint).await;
            let left = (successes_now - successes, told_now - told);
            let changed = if changes_records { records(&app).await != before } else { left.0 > 0 };
            if endpoint.kind == Kind::Batch {
                // Each item is a transaction of its own.
                assert_eq!(changed, left.0 > 0, "{when}");
                assert_eq!(left.1 * whole.0, left.0 * whole.1, "{when}: events of each item");
            } else {
                // Domain events may become more with each round: the user's sessions become more, and each that ends has an
                // event.
                let all = left.0 == whole.0 && left.1 >= whole.1;
                assert!(if changed { all } else { left == (0, 0) }, "{when}: {left:?} of {whole:?} audit and domain events");
            }
        }
        assert!(killed > 0, "{}: no request was killed", endpoint.name);
    }
}
