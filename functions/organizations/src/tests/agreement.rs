//! The business associate agreement: recorded, sealed if it names a person, and announced before it ends.

use crate::{fixture::*, schedules::SCHEDULES};
use common::base::{Clock, TenantId};
use serde_json::{Value, json};
use std::time::Duration;
use testing::{Answer, App};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn body(app: &App, days: u32) -> Value {
    let now = app.clock().now();
    json!({
        "signed_at": now.minus(DAY), "expires_at": now.plus(DAY * days), "signatory": "Ada Sentinel",
        "document_sha256": "AB".repeat(32),
    })
}

async fn put(app: &App, tenant: TenantId, body: Value) -> Answer {
    operator(app, "put_baa", tenant).await.header("If-Match", "*").json(body).await
}

/// The days of the warnings that a tenant has received.
async fn warned(app: &App, tenant: Tenant) -> Vec<u64> {
    let events = app.domain_events(tenant).await;
    let warnings = events.iter().filter(|event| event["schema"] == "organization.baa_expiring");
    warnings.map(|event| event["payload"]["days"].as_u64().unwrap()).collect()
}

/// Advances day by day, and runs each hour's schedule twice.
async fn days_pass(app: &App, days: u32) {
    for _ in 0..days {
        app.clock().advance(DAY);
        for _ in 0..2 {
            SCHEDULES[0].run(app.deps()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn agreement_is_recorded_with_its_signatory_sealed() {
    let app = App::start().await;
    let acme = app.tenant_id(Acme);
    let answer = put(&app, acme, body(&app, 365)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let now = app.clock().now();
    assert_eq!(
        answer.json["baa"],
        json!({
            "signed_at": now.minus(DAY), "expires_at": now.plus(DAY * 365), "signatory": "Ada Sentinel",
            "document_sha256": "ab".repeat(32), "in_force": true,
        })
    );
    // Another change of the profile keeps the agreement.
    let patch = operator(&app, "update_organization", acme).await.if_match(2);
    let patched = patch.json(json!({"contacts": {"security": "s@acme.example"}})).await;
    assert_eq!(patched.json["baa"], answer.json["baa"]);
    let renewed = put(&app, acme, body(&app, 700)).await;
    assert_eq!(renewed.json["contacts"]["security"], "s@acme.example");
    for table in ["RecordsTable", "LedgerTable"] {
        assert!(!format!("{:?}", app.dump(table).await).contains("Sentinel"), "{table}");
    }
    assert_eq!(get(&app, app.tenant_id(Birch)).await["version"], 1);
    refused(&admin(&app, "put_baa", acme).await.header("If-Match", "*").json(body(&app, 365)).await, 403, "forbidden");
}

#[tokio::test]
async fn invalid_agreement_is_refused_by_its_fields() {
    let app = App::start().await;
    let now = app.clock().now();
    let with = |name: &str, value: Value| {
        let mut body = body(&app, 365);
        body[name] = value;
        body
    };
    for (wrong, field, code) in [
        (with("signed_at", json!(now.plus(DAY))), "signed_at", "in_the_future"),
        (with("expires_at", json!(now)), "expires_at", "in_the_past"),
        (with("expires_at", json!(now.minus(DAY * 2))), "expires_at", "empty_range"),
        (with("expires_at", json!(now.plus(DAY * 3_700))), "expires_at", "too_far"),
        (with("document_sha256", json!("ab")), "document_sha256", "invalid"),
        (with("signatory", json!("")), "signatory", "invalid"),
    ] {
        let answer = put(&app, app.tenant_id(Acme), wrong).await;
        refused(&answer, 422, "validation_failed");
        assert_eq!((&answer.json["errors"][0]["field"], &answer.json["errors"][0]["code"]), (&json!(field), &json!(code)));
    }
    refused(&put(&app, TenantId::PLATFORM, body(&app, 365)).await, 409, "platform");
}

#[tokio::test]
async fn tenant_is_warned_once_at_30_days_7_days_and_the_end() {
    let app = App::start().await;
    assert_eq!(put(&app, app.tenant_id(Acme), body(&app, 40)).await.status, 200);
    days_pass(&app, 9).await;
    assert_eq!(warned(&app, Acme).await, [0; 0]);
    days_pass(&app, 1).await;
    assert_eq!(warned(&app, Acme).await, [30]);
    days_pass(&app, 22).await;
    assert_eq!(warned(&app, Acme).await, [30]);
    days_pass(&app, 10).await;
    assert_eq!(warned(&app, Acme).await, [30, 7, 0]);
    assert_eq!(warned(&app, Birch).await, [0; 0]);
    assert_eq!(get(&app, app.tenant_id(Acme)).await["version"], 2, "a warning does not change the agreement");
    // A new term gets its own warnings.
    assert_eq!(put(&app, app.tenant_id(Acme), body(&app, 31)).await.status, 200);
    days_pass(&app, 1).await;
    assert_eq!(warned(&app, Acme).await, [30, 7, 0, 30]);
}

#[tokio::test]
async fn agreement_recorded_late_is_warned_of_at_once_and_renewed_one_is_not() {
    let app = App::start().await;
    assert_eq!(put(&app, app.tenant_id(Acme), body(&app, 10)).await.status, 200);
    // The next run after the index shows it.
    app.settle_indexes();
    SCHEDULES[0].run(app.deps()).await.unwrap();
    assert_eq!(warned(&app, Acme).await, [10]);
    assert_eq!(put(&app, app.tenant_id(Acme), body(&app, 365)).await.status, 200);
    days_pass(&app, 12).await;
    assert_eq!(warned(&app, Acme).await, [10]);
}

#[tokio::test]
async fn concurrent_runs_warn_once_and_suspended_tenant_is_warned_later() {
    let app = App::start().await;
    for tenant in [Acme, Birch] {
        assert_eq!(put(&app, app.tenant_id(tenant), body(&app, 20)).await.status, 200);
    }
    assert_eq!(operator(&app, "suspend_organization", app.tenant_id(Birch)).await.await.status, 200);
    app.clock().advance(Duration::from_secs(5));
    let run = || SCHEDULES[0].run(app.deps());
    let (one, other) = tokio::join!(run(), run());
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    assert_eq!((warned(&app, Acme).await, warned(&app, Birch).await), (vec![20], vec![]));
    assert_eq!(operator(&app, "reactivate_organization", app.tenant_id(Birch)).await.await.status, 200);
    app.clock().advance(Duration::from_secs(5));
    run().await.unwrap();
    assert_eq!(warned(&app, Birch).await, [20]);
}
