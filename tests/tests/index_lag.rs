//! Indexes lag behind their tables. Work that must reach all of a tenant's members must miss none.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::base::{Role, TenantId, UserId};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use suite::people::endpoint;
use testing::{App, Tenant};

/// A member that no index shows yet.
async fn newcomer(app: &App, tenant: Tenant, role: Role) -> UserId {
    let email = format!("new.{}", app.email(tenant, role)).parse().unwrap();
    app.as_administrator(app.operator().create_membership(app.tenant_id(tenant), &email, &[role])).await.unwrap()
}

async fn suspend(app: &App, tenant: TenantId) {
    let operator = app.as_identity(app.open_session(Tenant::Acme, Role::SuperAdmin).await);
    let answer = operator.call(endpoint("suspend_organization")).path("tenant_id", tenant).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn held_index_shows_old_items_until_it_is_released() {
    let app = App::with_late_indexes().await;
    let listed = async || {
        let admin = app.as_identity(app.open_session(Tenant::Acme, Role::TenantAdmin).await);
        let answer = admin.call(endpoint("list_users")).query("limit", 100).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["items"].as_array().unwrap().len()
    };
    let before = listed().await;
    app.hold_indexes(true);
    newcomer(&app, Tenant::Acme, Role::Viewer).await;
    assert_eq!(listed().await, before, "a list may lag");
    app.hold_indexes(false);
    assert_eq!(listed().await, before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn member_missing_from_the_index_loses_their_session_on_suspension() {
    let app = App::with_late_indexes().await;
    app.hold_indexes(true);
    let mut sessions = Vec::new();
    for tenant in [Tenant::Acme, Tenant::Birch] {
        let user = newcomer(&app, tenant, Role::Viewer).await;
        let grants = [common::base::Grant::always(Role::Viewer)];
        sessions.push(app.open_session_with(app.tenant_id(tenant), user, &grants).await);
    }
    suspend(&app, app.tenant_id(Tenant::Birch)).await;
    app.clock().advance(std::time::Duration::from_secs(6));
    app.deliveries(registry::consumers().filter(|consumer| consumer.name == "stop_organization")).settle().await;
    let mut seen = Vec::new();
    for who in sessions {
        seen.push(app.as_identity(who).call(endpoint("me")).await.status);
    }
    assert_eq!(seen, [200, 401], "Birch's session has ended, not only its tenant is suspended");
}

fn told(app: &App, tenant: TenantId) -> Value {
    let now = common::base::Clock::now(app.clock());
    let id = common::base::EventId::new(now);
    let envelope = json!({
        "id": id, "tenant_id": tenant, "actor": "verify_audit", "on_behalf_of": null, "cause": id, "correlation_id": "test-1",
        "schema": "audit.tamper_detected", "version": 1, "occurred_at": now, "payload": {},
    });
    let detail = json!({"schema": "audit.tamper_detected", "envelope": envelope.to_string()});
    json!({"version": "0", "source": "cloister", "detail-type": "domain-event", "detail": detail})
}

#[tokio::test(flavor = "multi_thread")]
async fn alarm_reaches_current_role_holders_although_the_index_lags() {
    let app = App::with_late_indexes().await;
    app.hold_indexes(true);
    let newest = newcomer(&app, Tenant::Acme, Role::Auditor).await;
    let elsewhere = newcomer(&app, Tenant::Birch, Role::Auditor).await;
    // A member is granted the role, and another who had it is disabled.
    let promoted = app.user_id(Tenant::Acme, Role::Viewer);
    let admin = app.as_identity(app.open_session(Tenant::Acme, Role::TenantAdmin).await);
    let answer = admin.call(endpoint("grant_role")).path("user_id", promoted).path("role", "auditor").json(json!({})).await;
    assert!(answer.status < 300, "{}", answer.text);
    let gone = app.user_id(Tenant::Acme, Role::Auditor);
    app.disable_member(Tenant::Acme, Role::Auditor).await;

    let consumers = registry::consumers().filter(|consumer| consumer.name == "deliver_notification");
    let mut deliveries = app.deliveries(consumers);
    deliveries.send("deliver_notification", &told(&app, app.tenant_id(Tenant::Acme)));
    while deliveries.step().await {}
    let inbox = |row: &std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>| {
        let pk = row["pk"].as_s().unwrap();
        row.contains_key("notification_id").then(|| pk.split_once("INBOX#").map(|(_, user)| user.to_owned())).flatten()
    };
    let reached: BTreeSet<_> = app.dump("RecordsTable").await.iter().filter_map(inbox).collect();
    for user in [newest, promoted] {
        assert!(reached.contains(&user.to_string()), "{user} of {reached:?}");
    }
    for user in [elsewhere, gone] {
        assert!(!reached.contains(&user.to_string()), "{user} of {reached:?}");
    }
}
