//! Suspended, reactivated and archived tenants: who still has access, and which work stops.

use crate::{consumers::CONSUMERS, fixture::*};
use common::base::Role;
use serde_json::json;
use std::time::Duration;
use testing::App;

/// The time for which processes cache a tenant's profile.
const GATE: Duration = Duration::from_secs(5);

async fn to(app: &App, name: &str, tenant: Tenant) -> testing::Answer {
    operator(app, name, app.tenant_id(tenant)).await.await
}

/// The number of a tenant's live sessions.
async fn live(app: &App, tenant: Tenant) -> usize {
    let rows = items(app, "EphemeraTable", app.tenant_id(tenant)).await;
    let sessions = rows.iter().filter(|row| row["pk"].as_s().unwrap().contains("#SESSIONS#"));
    sessions.filter(|row| row["status"].as_s().unwrap() == "live").count()
}

#[tokio::test]
async fn suspension_ends_only_the_tenants_sessions_permanently() {
    let app = App::start().await;
    let viewer = app.open_session(Acme, Role::Viewer).await;
    for role in [Role::Viewer, Role::Marketer, Role::TenantAdmin] {
        app.open_session(Acme, role).await;
    }
    app.open_session(Birch, Role::Viewer).await;
    let answer = to(&app, "suspend_organization", Acme).await;
    assert_eq!((answer.status, &answer.json["status"], &answer.json["version"]), (200, &json!("suspended"), &json!(2)));
    app.clock().advance(GATE);
    refused(&admin(&app, "get_organization", app.tenant_id(Acme)).await.await, 403, "tenant_inactive");
    app.deliveries(CONSUMERS).copies(2).shuffled(1).settle().await;
    assert_eq!((live(&app, Acme).await, live(&app, Birch).await), (0, 1), "sessions opened before the caches expired end too");
    let told = events(&app, app.tenant_id(Acme)).await;
    assert_eq!(told.iter().filter(|schema| *schema == "session.ended").count(), 5, "{told:?}");
    assert_eq!(events(&app, app.tenant_id(Birch)).await, [""; 0]);
    // The session stays ended after the tenant is reactivated.
    assert_eq!(to(&app, "reactivate_organization", Acme).await.json["status"], "active");
    app.clock().advance(GATE);
    let get = testing::find(crate::endpoints::ALL, "get_organization");
    let answer = app.as_identity(viewer).call(get).path("tenant_id", app.tenant_id(Acme)).await;
    refused(&answer, 401, "unauthenticated");
    let answer = admin(&app, "get_organization", app.tenant_id(Acme)).await.await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn invalid_status_transition_is_refused() {
    let app = App::start().await;
    for (name, status) in [
        ("reactivate_organization", 409),
        ("archive_organization", 409),
        ("suspend_organization", 200),
        ("suspend_organization", 409),
        ("reactivate_organization", 200),
        ("reactivate_organization", 409),
        ("suspend_organization", 200),
        ("archive_organization", 200),
        ("archive_organization", 409),
        ("suspend_organization", 409),
        ("reactivate_organization", 409),
    ] {
        let answer = to(&app, name, Acme).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text);
        if status == 409 {
            assert_eq!(answer.code(), "wrong_status");
        }
    }
    let acme = app.tenant_id(Acme);
    for name in ["update_organization", "put_settings"] {
        let body = json!({});
        refused(&operator(&app, name, acme).await.header("If-Match", "*").json(body).await, 409, "wrong_status");
    }
    assert_eq!(get(&app, app.tenant_id(Birch)).await["status"], "active");
    let kinds = ["suspended", "reactivated", "suspended", "archived"].map(|what| format!("organization.{what}"));
    assert_eq!(events(&app, acme).await, kinds);
}

#[tokio::test]
async fn concurrent_status_changes_apply_exactly_one() {
    let app = App::start().await;
    let (one, other) = tokio::join!(to(&app, "suspend_organization", Acme), to(&app, "suspend_organization", Acme));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", one.text, other.text);
    let late = if one.status == 409 { one } else { other };
    assert!(["changed", "wrong_status"].contains(&late.code()), "{}", late.text);
    assert_eq!(events(&app, app.tenant_id(Acme)).await, ["organization.suspended"]);
}

#[tokio::test]
async fn platform_tenant_cannot_be_suspended_archived_or_reactivated() {
    let app = App::start().await;
    for name in ["suspend_organization", "archive_organization", "reactivate_organization"] {
        refused(&operator(&app, name, common::base::TenantId::PLATFORM).await.await, 409, "platform");
    }
}

#[tokio::test]
async fn operator_actions_are_audited_in_both_logs() {
    let app = App::start().await;
    to(&app, "suspend_organization", Acme).await;
    for log in [app.audit(Acme).await, app.platform_audit().await] {
        let event = log.iter().find(|event| event["type"] == "api.suspend_organization").unwrap();
        assert_eq!(event["resources"], json!([{"type": "Organization", "id": app.tenant_id(Acme)}]));
        assert_eq!((&event["changes"], &event["actor"]["role"]), (&json!(["status"]), &json!("super_admin")));
    }
    assert!(!log(&app, app.tenant_id(Birch)).await.contains(&"api.suspend_organization".to_owned()));
}
