//! A stored response is replayed only to a caller who could get it now, for the same request, and for a day.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue::{self, N, S};
use common::{
    base::{Clock, Grant, Identity, Role},
    request::{AnyEndpoint, Data, IdempotencyKey},
};
use serde_json::{Value, json};
use std::{collections::HashMap, future::IntoFuture, time::Duration};
use suite::{
    fixture::{self, Fixture},
    matrix::{allowed_role, protected},
    people,
};
use testing::{Answer, App, Call, Tenant};

/// Endpoints that take an idempotency key.
fn keyed() -> impl Iterator<Item = &'static AnyEndpoint> {
    protected().filter(|e| e.idempotency != IdempotencyKey::Ignored)
}

/// The endpoints that a caller can repeat. The others end the caller's own session, or its second factor.
fn repeatable() -> impl Iterator<Item = &'static AnyEndpoint> {
    keyed().filter(|e| !["end_session", "disable_totp"].contains(&e.name))
}

/// A backend, the data for an endpoint's sample, and a caller with permission.
async fn ready(endpoint: &AnyEndpoint) -> (App, Fixture, Identity) {
    let app = fixture::backend(endpoint).await;
    let fixture = Fixture::of(&app, endpoint).await;
    let identity = app.open_session(Tenant::Acme, allowed_role(endpoint)).await;
    (app, fixture, identity)
}

/// The newest event of an endpoint in its caller's log.
async fn event(app: &App, who: &Identity, endpoint: &AnyEndpoint) -> Value {
    let kind = format!("api.{}", endpoint.name);
    app.audit_of(who.tenant).await.into_iter().rfind(|e| e["type"] == json!(kind)).unwrap()
}

fn mismatch(endpoint: &AnyEndpoint, answer: &Answer) {
    assert_eq!((answer.status, answer.code()), (422, "idempotency_mismatch"), "{}: {}", endpoint.name, answer.text);
    assert_eq!(answer.header("idempotency-replayed"), None, "{}", endpoint.name);
}

/// Asserts that the response is not replayed to a caller with other permissions. A response with a secret is not stored, so the
/// error is another.
fn refused(endpoint: &AnyEndpoint, answer: &Answer) {
    if endpoint.issued_again.is_none() {
        return mismatch(endpoint, answer);
    }
    assert_eq!((answer.status, answer.code()), (409, "already_issued"), "{}: {}", endpoint.name, answer.text);
    assert_eq!(answer.json["detail"], json!(endpoint.issued_again), "{}", endpoint.name);
}

/// Sets an attribute of an item, as another process's write does.
async fn set(app: &App, table: &str, (pk, sk): (String, &str), attribute: &str, value: AttributeValue) {
    let update =
        app.raw().update_item().table_name(&app.provisioned().tables[table]).key("pk", S(pk)).key("sk", S(sk.to_owned()));
    let update = update.update_expression("SET #name = :value").expression_attribute_names("#name", attribute);
    update.expression_attribute_values(":value", value).send().await.unwrap();
}

async fn set_in_session(app: &App, who: &Identity, attribute: &str, value: AttributeValue) {
    let key = (format!("{}#SESSIONS#{}", who.tenant, who.user), &*who.session.to_string());
    set(app, "EphemeraTable", key, attribute, value).await;
}

/// Changes the caller's membership, as an administrator does: its version, and the version's copy in the session.
async fn change_membership(app: &App, who: &Identity) {
    let rows = app.dump("RecordsTable").await;
    let pk = format!("{}#MEMBER#{}", who.tenant, who.user);
    let row = rows.iter().find(|row| row["pk"] == S(pk.clone()) && row["sk"] == S("MEMBERSHIP".to_owned())).unwrap();
    let next = (row["version"].as_n().unwrap().parse::<i64>().unwrap() + 1).to_string();
    set(app, "RecordsTable", (pk, "MEMBERSHIP"), "version", N(next.clone())).await;
    set_in_session(app, who, "membership_version", N(next)).await;
}

/// Every idempotency record, those of batches and their items included.
async fn records(app: &App) -> Vec<HashMap<String, AttributeValue>> {
    let rows = app.dump("EphemeraTable").await;
    rows.into_iter().filter(|row| row["pk"].as_s().unwrap().contains("#IDEMPOTENCY#")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_for_another_purpose_is_refused_and_discloses_nothing() {
    let mut endpoints = 0;
    for endpoint in repeatable().filter(|e| e.data == Data::Phi) {
        let (app, fixture, who) = ready(endpoint).await;
        let call = fixture.call(&app.as_identity(who.clone()), endpoint).key("one");
        let first = call.clone().header("X-Purpose-Of-Use", "TREAT").await;
        assert_eq!(first.status, endpoint.status, "{}: {}", endpoint.name, first.text);
        app.clock().advance(Duration::from_secs(1));
        for purpose in ["HPAYMT", "HOPERAT"] {
            let other = call.clone().header("X-Purpose-Of-Use", purpose).await;
            mismatch(endpoint, &other);
            let event = event(&app, &who, endpoint).await;
            assert_eq!(json!([event["status"], event["purpose_of_use"]]), json!([422, purpose]), "{}", endpoint.name);
            assert_eq!(event["disclosed"], json!([]), "{}", endpoint.name);
            app.clock().advance(Duration::from_secs(1));
        }
        let again = call.header("X-Purpose-Of-Use", "TREAT").await;
        assert_eq!((again.status, &again.json), (first.status, &first.json), "{}", endpoint.name);
        endpoints += 1;
    }
    assert!(endpoints >= 4, "{endpoints}");
}

/// A provider sees a parcel's contents for treatment, and not for payment.
#[tokio::test(flavor = "multi_thread")]
async fn contents_that_a_purpose_withholds_are_not_shown_by_a_replay() {
    let app = App::start().await;
    let provider = app.user_id(Tenant::Acme, Role::Provider);
    let create = people::endpoint("create_shipment");
    let mut body = fixture::fresh(create.sample.body.unwrap());
    body["assigned_to"] = json!(provider);
    let made = app.as_role(Tenant::Acme, Role::Marketer).call(create).json(body).await;
    let id = made.json["shipment_id"].as_str().unwrap();
    let update = people::endpoint("update_shipment");
    let call = |purpose: &str| {
        let call = app.as_role(Tenant::Acme, Role::Provider).call(update).path("shipment_id", id).if_match(1).key("one");
        call.header("X-Purpose-Of-Use", purpose).json(json!({"reference": "another"}))
    };
    let first = call("TREAT").await;
    assert!(first.json["contents"].is_string(), "{}", first.text);
    let other = call("HPAYMT").await;
    mismatch(update, &other);
    assert!(!other.text.contains(first.json["contents"].as_str().unwrap()));
    // The other order: first for the purpose that withholds the contents, then for treatment. The stored response lacks the
    // contents, so it must not be replayed for treatment.
    let call = |purpose: &str| call(purpose).key("two").if_match(2).json(json!({"reference": "a third"}));
    let first = call("HPAYMT").await;
    assert_eq!((first.status, &first.json["contents"], &first.json["redacted"]), (200, &Value::Null, &json!(["contents"])));
    mismatch(update, &call("TREAT").await);
    app.clock().advance(Duration::from_secs(1));
    let again = call("HPAYMT").await;
    assert_eq!((again.header("idempotency-replayed"), &again.json), (Some("true"), &first.json));
    let event = app.audit(Tenant::Acme).await.into_iter().rfind(|e| e["type"] == "api.update_shipment").unwrap();
    assert_eq!((&event["reason"], &event["redacted"]), (&json!("idempotent_replay"), &json!(["contents"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_after_a_membership_change_is_refused_at_every_endpoint() {
    for endpoint in repeatable() {
        let (app, fixture, who) = ready(endpoint).await;
        let call = fixture.call(&app.as_identity(who.clone()), endpoint).key("one");
        let first = call.clone().await;
        assert_eq!(first.status, endpoint.status, "{}: {}", endpoint.name, first.text);
        // An endpoint that changes its caller's own membership has raised its version by one, which a repeat allows. This raises
        // it once more.
        change_membership(&app, &who).await;
        refused(endpoint, &call.await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_after_a_role_has_begun_or_ended_is_refused() {
    let app = App::start().await;
    let (acme, user) = (app.tenant_id(Tenant::Acme), app.user_id(Tenant::Acme, Role::Marketer));
    let at = |seconds| Some(app.clock().now().plus(Duration::from_secs(seconds)));
    let (before, after) = (
        Grant { valid_until: at(60), ..Grant::always(Role::Auditor) },
        Grant { valid_from: at(120), ..Grant::always(Role::Viewer) },
    );
    let who = app.open_session_with(acme, user, &[Grant::always(Role::Marketer), before, after]).await;
    let update = people::endpoint("update_shipment");
    let fixture = Fixture::of(&app, update).await;
    let call = |key: &str| fixture.call(&app.as_identity(who.clone()), update).key(key);
    let replayed = async |key: &str| call(key).await.header("idempotency-replayed").map(str::to_owned);
    assert_eq!(call("one").await.status, 200);
    assert_eq!(replayed("one").await.as_deref(), Some("true"));
    app.clock().advance(Duration::from_secs(60));
    mismatch(update, &call("one").await);
    assert_eq!(call("two").await.status, 200);
    app.clock().advance(Duration::from_secs(59));
    assert_eq!(replayed("two").await.as_deref(), Some("true"));
    app.clock().advance(Duration::from_secs(1));
    mismatch(update, &call("two").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_after_an_api_keys_bounds_changed_is_refused() {
    let app = App::start().await;
    let who = app.open_session(Tenant::Acme, Role::ApiUser).await;
    let create = people::endpoint("create_shipment");
    let fixture = Fixture::of(&app, create).await;
    let bounds = |scopes: Value, purposes: Value, networks: Value| {
        S(json!({"scopes": scopes, "purposes": purposes, "networks": networks}).to_string())
    };
    let all = bounds(json!(["shipments.read", "shipments.write"]), json!(["TREAT", "HPAYMT"]), json!([]));
    set_in_session(&app, &who, "bounds", all.clone()).await;
    let call = fixture.call(&app.as_identity(who.clone()), create).key("one");
    let first = call.clone().await;
    assert_eq!(first.status, 201, "{}", first.text);
    for narrower in [
        bounds(json!(["shipments.write"]), json!(["TREAT", "HPAYMT"]), json!([])),
        bounds(json!(["shipments.read", "shipments.write"]), json!(["TREAT"]), json!([])),
        bounds(json!(["shipments.read", "shipments.write"]), json!(["TREAT", "HPAYMT"]), json!(["192.0.2.0/24"])),
    ] {
        set_in_session(&app, &who, "bounds", narrower).await;
        mismatch(create, &call.clone().await);
    }
    // Without the purpose in its bounds, the policy refuses before the key is looked up.
    set_in_session(&app, &who, "bounds", bounds(json!(["shipments.write"]), json!(["HPAYMT"]), json!([]))).await;
    assert_eq!(call.clone().await.status, 403);
    set_in_session(&app, &who, "bounds", all).await;
    let again = call.await;
    assert_eq!((again.header("idempotency-replayed"), &again.json), (Some("true"), &first.json));
}

/// A request that changes its caller's own membership changes the version that its repeat is compared with.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_change_of_own_membership_gets_the_answer_from_any_session() {
    let app = App::start().await;
    let update = people::endpoint("update_user");
    let me = app.user_id(Tenant::Acme, Role::TenantAdmin);
    let mut calls = Vec::new();
    for _ in 0..3 {
        let who = app.open_session(Tenant::Acme, Role::TenantAdmin).await;
        let call = app.as_identity(who).call(update).path("user_id", me).header("If-Match", "*").key("one");
        calls.push(call.json(json!({"name": "Ada Renamed", "department": "Night shift"})));
    }
    let [third, second, first] = [calls.pop(), calls.pop(), calls.pop()].map(Option::unwrap);
    let (one, other) = tokio::join!(first, second);
    assert_eq!((one.status, other.status), (200, 200), "{} {}", one.text, other.text);
    assert_eq!(one.json, other.json);
    let last = third.await;
    assert_eq!((last.header("idempotency-replayed"), &last.json), (Some("true"), &one.json), "{}", last.text);
    assert_eq!(app.domain_events(Tenant::Birch).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_bound_to_the_item_in_its_path() {
    let mut endpoints = 0;
    for endpoint in repeatable().filter(|e| e.route.path.contains('{')) {
        let app = fixture::backend(endpoint).await;
        let (one, another) = (Fixture::of(&app, endpoint).await, Fixture::of(&app, endpoint).await);
        let varies = registry::path_parameters(endpoint.route.path).any(|name| one.value(name) != another.value(name));
        if !varies {
            continue;
        }
        let client = app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await);
        let first = one.call(&client, endpoint).key("one").await;
        assert_eq!(first.status, endpoint.status, "{}: {}", endpoint.name, first.text);
        mismatch(endpoint, &another.call(&client, endpoint).key("one").await);
        // A key is also bound to its endpoint.
        let elsewhere = people::endpoint("read_all_notifications");
        let other =
            app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await).call(elsewhere).key("one").await;
        assert_eq!(other.header("idempotency-replayed"), None, "{}", endpoint.name);
        endpoints += 1;
    }
    assert!(endpoints >= 8, "{endpoints}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_lives_for_24_hours_and_no_longer() {
    let app = App::start().await;
    let update = people::endpoint("update_shipment");
    let fixture = Fixture::of(&app, update).await;
    let call = async || -> Call<'_> {
        let who = app.open_session(Tenant::Acme, Role::Marketer).await;
        fixture.call(&app.as_identity(who), update).key("one")
    };
    let first = call().await.await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (200, None), "{}", first.text);
    app.clock().advance(Duration::from_secs(24 * 60 * 60 - 1));
    assert_eq!(call().await.await.header("idempotency-replayed"), Some("true"));
    app.clock().advance(Duration::from_secs(1));
    assert_eq!(call().await.await.header("idempotency-replayed"), Some("true"), "the last second is one of the 24 hours");
    app.clock().advance(Duration::from_secs(1));
    let anew = call().await.await;
    assert_eq!((anew.status, anew.header("idempotency-replayed")), (200, None), "{}", anew.text);
    // The new record also lasts a day.
    app.clock().advance(Duration::from_secs(24 * 60 * 60 - 1));
    assert_eq!(call().await.await.header("idempotency-replayed"), Some("true"));
    // A batch's record lasts as long as the records of its items.
    let batch = people::endpoint("create_shipments");
    let body = fixture::fresh(batch.sample.body.unwrap());
    let call = async |body: &Value| {
        let who = app.open_session(Tenant::Acme, Role::Marketer).await;
        app.as_identity(who).call(batch).key("two").json(body.clone()).await
    };
    let first = call(&body).await;
    app.clock().advance(Duration::from_secs(24 * 60 * 60 - 1));
    assert_eq!(call(&body).await.json, first.json);
    mismatch(batch, &call(&fixture::fresh(batch.sample.body.unwrap())).await);
    app.clock().advance(Duration::from_secs(2));
    let anew = call(&body).await;
    assert_eq!(anew.json["items"][0]["error"]["code"], "duplicate_tracking_number", "{}", anew.text);
}

/// A record of an older version, whose hash did not cover purpose and permissions.
#[tokio::test(flavor = "multi_thread")]
async fn record_of_an_older_version_is_refused_as_a_mismatch() {
    for endpoint in repeatable() {
        let (app, fixture, who) = ready(endpoint).await;
        let call = fixture.call(&app.as_identity(who.clone()), endpoint).key("one");
        assert_eq!(call.clone().await.status, endpoint.status, "{}", endpoint.name);
        let written = records(&app).await;
        assert!(!written.is_empty(), "{}", endpoint.name);
        let table = &app.provisioned().tables["EphemeraTable"];
        for mut row in written {
            row.remove("membership");
            row.remove("membership_after");
            row.remove("asked_hash");
            app.raw().put_item().table_name(table).set_item(Some(row)).send().await.unwrap();
        }
        mismatch(endpoint, &call.await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_shown_once_is_stored_nowhere_and_a_repeat_is_already_issued() {
    let mut issuing = Vec::new();
    for endpoint in keyed().filter(|e| e.issued_again.is_some()) {
        let (app, fixture, who) = ready(endpoint).await;
        let call = fixture.call(&app.as_identity(who.clone()), endpoint).key("one");
        let first = call.clone().await;
        assert_eq!(first.status, endpoint.status, "{}: {}", endpoint.name, first.text);
        let rows = records(&app).await;
        // The fixture's API key was created with an idempotency key too.
        assert!(rows.iter().all(|row| endpoint.name == "rotate_api_key" || !row.contains_key("sealed")), "{rows:?}");
        let before = app.domain_events(Tenant::Acme).await;
        app.clock().advance(Duration::from_secs(1));
        let other_session = app.open_session(Tenant::Acme, allowed_role(endpoint)).await;
        let from_other_session = fixture.call(&app.as_identity(other_session), endpoint).key("one");
        for again in [call.clone(), call.clone(), from_other_session] {
            let again = again.await;
            assert_eq!((again.status, again.code()), (409, "already_issued"), "{}: {}", endpoint.name, again.text);
            assert_eq!(again.json["detail"], json!(endpoint.issued_again), "{}", endpoint.name);
            assert_eq!(again.header("idempotency-replayed"), None, "{}", endpoint.name);
            for (_, secret) in first.json.as_object().unwrap().iter().filter(|(name, _)| *name != "key_id") {
                let text = secret.as_str().or(secret[0].as_str()).filter(|text| text.len() > 12);
                assert!(text.is_none_or(|text| !again.text.contains(text)), "{}", endpoint.name);
            }
            let event = event(&app, &who, endpoint).await;
            assert_eq!(json!([event["status"], event["reason"], event["outcome"]]), json!([409, "already_issued", "refused"]));
        }
        assert_eq!(app.domain_events(Tenant::Acme).await, before, "{}: nothing happened twice", endpoint.name);
        // Another request with the same key is a mismatch.
        let mut different = call.clone().if_match(1);
        if endpoint.has_body {
            different = different.body(format!("{} ", fixture.body(endpoint).unwrap()));
        }
        mismatch(endpoint, &different.await);
        issuing.push(endpoint.name);
    }
    assert_eq!(issuing.len(), 5, "{issuing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_is_shown_to_one_of_racing_identical_requests() {
    let app = App::start().await;
    let create = people::endpoint("create_api_key");
    let mut calls = Vec::new();
    for _ in 0..3 {
        let who = app.open_session(Tenant::Acme, Role::TenantAdmin).await;
        calls.push(app.as_identity(who).call(create).key("one").json(fixture::fresh(create.sample.body.unwrap())).into_future());
    }
    let answers = futures_util::future::join_all(calls).await;
    let mut statuses: Vec<_> = answers.iter().map(|a| a.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409]);
    assert!(answers.iter().filter(|a| a.status == 409).all(|a| a.code() == "already_issued" && !a.text.contains("clo_live_")));
    let keys = app.as_role(Tenant::Acme, Role::TenantAdmin).call(people::endpoint("list_api_keys")).await;
    assert_eq!(keys.json["items"].as_array().unwrap().len(), 1);
    let others = app.as_role(Tenant::Birch, Role::TenantAdmin).call(people::endpoint("list_api_keys")).await;
    assert_eq!(others.json["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_without_a_second_factor_is_refused_by_the_policy() {
    let app = App::start().await;
    let codes = people::endpoint("create_recovery_codes");
    let fixture = Fixture::of(&app, codes).await;
    let role = allowed_role(codes);
    let with = app.as_identity(app.open_session(Tenant::Acme, role).await);
    let first = fixture.call(&with, codes).key("one").await;
    assert_eq!(first.status, 200, "{}", first.text);
    let without = app.as_identity(app.open_session_without_mfa(Tenant::Acme, role).await);
    let refused = fixture.call(&without, codes).key("one").await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert!(!refused.text.contains(first.json["recovery_codes"][0].as_str().unwrap()));
}

/// The enrolment session sends the request, and the full session that follows repeats it, for example after a lost response.
#[tokio::test(flavor = "multi_thread")]
async fn secret_shown_at_enrolment_is_already_issued_for_the_next_session() {
    let app = App::with_cognito().await;
    let asked = people::login(&app, &app.email(Tenant::Acme, Role::TenantAdmin), testing::PASSWORD).await;
    assert_eq!(asked.json["challenge"], "MFA_SETUP", "{}", asked.text);
    let handle = people::text(&asked, "session");
    let setup = app.as_identity(people::identity(&app, &handle).await.unwrap());
    let enrol = people::endpoint("enrol_totp");
    let activate = people::endpoint("activate_totp");
    let shown = setup.call(enrol).key("enrol").await;
    let secret: identity::domain::totp::TotpSecret = serde_json::from_value(shown.json["secret"].clone()).unwrap();
    let code = json!({"code": secret.code_at(app.clock().now())});
    let codes = setup.call(activate).key("activate").json(code.clone()).await;
    assert_eq!(codes.status, 200, "{}", codes.text);
    let issued = |answer: &Answer| {
        assert_eq!((answer.status, answer.code()), (409, "already_issued"), "{}", answer.text);
        assert!(!answer.text.contains(&people::text(&shown, "secret")));
        assert!(!answer.text.contains(codes.json["recovery_codes"][0].as_str().unwrap()));
    };
    issued(&setup.call(enrol).key("enrol").await);
    issued(&setup.call(activate).key("activate").json(code.clone()).await);
    let done = people::public(&app, "challenge", json!({"challenge": "MFA_SETUP", "session": handle})).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let full = app.as_identity(people::identity(&app, &people::text(&done, "access_token")).await.unwrap());
    issued(&full.call(enrol).key("enrol").await);
    issued(&full.call(activate).key("activate").json(code).await);
    // Another request, another endpoint and another user get no such error.
    mismatch(activate, &full.call(activate).key("activate").json(json!({"code": "000000"})).await);
    assert_ne!(full.call(enrol).key("activate").await.code(), "already_issued");
    let neighbour = app.as_identity(app.open_session_without_mfa(Tenant::Birch, Role::TenantAdmin).await);
    assert_ne!(neighbour.call(enrol).key("enrol").await.code(), "already_issued");
}
