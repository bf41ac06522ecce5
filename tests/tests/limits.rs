//! Limits under load: what many callers at once may take, and what becomes of those who do not stop asking.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue;
use common::{AnyEndpoint, Role};
use futures_util::future::join_all;
use serde_json::json;
use std::{future::IntoFuture, time::Duration};
use testing::{Answer, App, Tenant};

fn endpoint(name: &str) -> &'static AnyEndpoint {
    registry::all().find(|e| e.name == name).unwrap()
}

/// Sets what a tenant has chosen, and lets the gate forget what it was.
async fn settings(app: &App, tenant: Tenant, settings: serde_json::Value) {
    let update = app
        .raw()
        .update_item()
        .table_name(&app.provisioned().tables["RecordsTable"])
        .key("pk", AttributeValue::S(format!("{}#TENANT", app.tenant_id(tenant))))
        .key("sk", AttributeValue::S("PROFILE".to_owned()))
        .update_expression("SET settings = :settings")
        .expression_attribute_values(":settings", AttributeValue::S(settings.to_string()));
    update.send().await.unwrap();
    app.clock().advance(Duration::from_secs(5));
}

fn passed(answers: &[Answer]) -> usize {
    assert!(
        answers.iter().all(|a| a.status == 200 || a.status == 429),
        "{:?}",
        answers.iter().map(|a| a.status).collect::<Vec<_>>()
    );
    answers.iter().filter(|a| a.status == 200).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_get_exactly_the_limit() {
    let app = App::start().await;
    let client = app.as_role(Tenant::Acme, Role::Viewer);
    client.call(endpoint("me")).await;
    app.clock().advance(Duration::from_secs(60));
    let me = endpoint("me");
    let answers = join_all((0..100).map(|_| client.call(me).into_future())).await;
    assert_eq!(passed(&answers), me.limit.calls as usize);
    // The other tenant's callers have their own.
    assert_eq!(app.as_role(Tenant::Birch, Role::Viewer).call(me).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_costs_ten_is_refused_where_ten_are_not_left() {
    let app = App::start().await;
    let client = app.as_role(Tenant::Acme, Role::Marketer);
    let batch = endpoint("create_shipments");
    assert_eq!((batch.cost, batch.limit.calls), (10, 60));
    for _ in 0..51 {
        assert_eq!(client.call(endpoint("me")).await.status, 200);
    }
    let body = suite::fixture::fresh(batch.sample.body.unwrap());
    let refused = client.call(batch).json(body.clone()).await;
    assert_eq!((refused.status, refused.code()), (429, "rate_limited"));
    assert_eq!(client.call(endpoint("me")).await.status, 200, "what was refused cost nothing");
    let wait = refused.header("retry-after").unwrap().parse().unwrap();
    app.clock().advance(Duration::from_secs(wait));
    // One more has been taken since the promise.
    app.clock().advance(Duration::from_secs(1));
    assert_eq!(client.call(batch).json(body).await.status, batch.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_stop_asking_is_shut_out_for_five_minutes_and_that_is_on_record() {
    let app = App::start().await;
    let strict = endpoint("refresh_shipment");
    let client = app.as_role(Tenant::Acme, Role::Marketer);
    let ask = || client.call(strict).path("shipment_id", "shp_019b76da100070008000000000000001");
    for _ in 0..strict.limit.calls {
        assert_eq!(ask().await.status, 404);
    }
    for _ in 0..60 {
        assert_eq!(ask().await.code(), "rate_limited");
    }
    let blocked = ask().await;
    assert_eq!((blocked.status, blocked.code()), (429, "temporarily_blocked"));
    assert_eq!(blocked.header("retry-after"), Some("300"));
    // Everything of this session, not only what it asked for.
    assert_eq!(client.call(endpoint("me")).await.code(), "temporarily_blocked");
    // Nobody else.
    assert_eq!(app.as_role(Tenant::Acme, Role::Viewer).call(endpoint("me")).await.status, 200);
    let events = app.audit(Tenant::Acme).await;
    let event = events.iter().find(|e| e["reason"] == "temporarily_blocked").unwrap();
    assert_eq!((&event["status"], &event["severity"]), (&json!(429), &json!("warning")));
    app.clock().advance(Duration::from_secs(300));
    assert_eq!(client.call(endpoint("me")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_the_numbers_that_it_was_given_and_another_its_own() {
    let app = App::start().await;
    settings(&app, Tenant::Acme, json!({"rate_limits": {"api_default": 3}})).await;
    let limit = |answer: &Answer| answer.header("ratelimit-limit").unwrap().to_owned();
    let client = app.as_role(Tenant::Acme, Role::Viewer);
    for _ in 0..3 {
        assert_eq!(limit(&client.call(endpoint("me")).await), "3");
    }
    assert_eq!(client.call(endpoint("me")).await.code(), "rate_limited");
    assert_eq!(limit(&app.as_role(Tenant::Birch, Role::Viewer).call(endpoint("me")).await), "60");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_callers_of_a_tenant_together_get_no_more_than_its_ceiling() {
    let app = App::start().await;
    settings(&app, Tenant::Acme, json!({"rate_limits": {"tenant": 50}})).await;
    app.clock().set(common::Timestamp::from_millis(1_767_268_860_000));
    let mut calls = Vec::new();
    for role in [Role::Viewer, Role::Marketer, Role::Provider, Role::Analyst] {
        let client = app.as_identity(app.open_session(Tenant::Acme, role).await);
        calls.extend((0..25).map(|_| client.call(endpoint("me")).into_future()));
    }
    let answers = join_all(calls).await;
    assert_eq!(passed(&answers), 50);
    let refused = answers.iter().find(|a| a.status == 429).unwrap();
    assert_eq!((refused.code(), refused.header("retry-after")), ("tenant_rate_limited", Some("60")));
    assert_eq!(app.as_role(Tenant::Birch, Role::Viewer).call(endpoint("me")).await.status, 200);
    app.clock().advance(Duration::from_secs(60));
    let fresh = app.as_identity(app.open_session(Tenant::Acme, Role::Viewer).await);
    assert_eq!(fresh.call(endpoint("me")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_process_leases_calls_in_blocks_and_a_quiet_one_pays_once_a_minute() {
    let app = App::start().await;
    let client = app.as_role(Tenant::Acme, Role::Viewer);
    client.call(endpoint("me")).await;
    let steady = ["UpdateItem", "GetItem", "GetItem", "UpdateItem"];
    for _ in 0..4 {
        // Long enough for the session to be guessed right, and not for the gate to be read again.
        app.clock().advance(Duration::from_millis(1100));
        app.reset_calls();
        assert_eq!(client.call(endpoint("me")).await.status, 200);
        assert_eq!(app.calls().dynamodb.len(), steady.len(), "session, membership, tenant, event: {:?}", app.calls().dynamodb);
    }
    app.clock().advance(Duration::from_secs(60));
    app.reset_calls();
    client.call(endpoint("me")).await;
    // And the gate, which is five seconds old at most.
    assert_eq!(app.calls().dynamodb.len(), steady.len() + 2, "a lease for this minute: {:?}", app.calls().dynamodb);
}
