//! Operators change a tenant's administrators, and a tenant always keeps one.

use crate::fixture::*;
use common::base::{Role, UserId};
use serde_json::json;
use testing::{Answer, App};

async fn appoint(app: &App, tenant: Tenant, user: UserId) -> Answer {
    operator(app, "add_admin", app.tenant_id(tenant)).await.json(json!({"user_id": user})).await
}

async fn dismiss(app: &App, tenant: Tenant, user: UserId) -> Answer {
    operator(app, "remove_admin", app.tenant_id(tenant)).await.query("user_id", user).await
}

#[tokio::test]
async fn member_is_appointed_and_dismissed_with_one_event_each() {
    let app = App::start().await;
    let (acme, viewer) = (app.tenant_id(Acme), app.user_id(Acme, Role::Viewer));
    for _ in 0..2 {
        assert_eq!(appoint(&app, Acme, viewer).await.status, 204);
    }
    assert_eq!(grants(&app, acme, viewer).await, json!([{"role": "viewer"}, {"role": "tenant_admin"}]));
    assert_eq!(events(&app, acme).await, ["user.roles_changed"]);
    for _ in 0..2 {
        assert_eq!(dismiss(&app, Acme, viewer).await.status, 204);
    }
    assert_eq!(grants(&app, acme, viewer).await, json!([{"role": "viewer"}]));
    assert_eq!(events(&app, acme).await, ["user.roles_changed"; 2]);
    assert_eq!(events(&app, app.tenant_id(Birch)).await, [""; 0]);
}

#[tokio::test]
async fn only_a_member_of_the_tenant_can_be_appointed() {
    let app = App::start().await;
    let nobody = UserId::new(common::base::Clock::now(app.clock()));
    for user in [app.user_id(Birch, Role::Viewer), app.user_id(Acme, Role::SuperAdmin), nobody] {
        for answer in [appoint(&app, Acme, user).await, dismiss(&app, Acme, user).await] {
            refused(&answer, 422, "validation_failed");
            assert_eq!(answer.json["errors"][0]["code"], "no_such_member");
        }
    }
    let platform = operator(&app, "add_admin", common::base::TenantId::PLATFORM).await;
    refused(&platform.json(json!({"user_id": app.user_id(Acme, Role::SuperAdmin)})).await, 409, "platform");
}

#[tokio::test]
async fn another_administrator_can_be_invited_if_the_first_never_signs_in() {
    let app = App::start().await;
    let acme = app.tenant_id(Acme);
    let invite = async |body| operator(&app, "add_admin", acme).await.json(body).await;
    let before = app.dump("RecordsTable").await.len();
    for body in [json!({}), json!({"user_id": app.user_id(Acme, Role::Viewer), "email": "second.admin@acme-health.example"})] {
        refused(&invite(body).await, 422, "validation_failed");
    }
    assert_eq!(app.dump("RecordsTable").await.len(), before);
    assert_eq!(invite(json!({"email": "second.admin@acme-health.example"})).await.status, 204);
    let rows = items(&app, "RecordsTable", acme).await;
    let member = rows.iter().find(|row| row.get("status").is_some_and(|s| s.as_s().unwrap() == "invited"));
    let member = member.unwrap()["pk"].as_s().unwrap();
    let user = member.rsplit_once('#').unwrap().1.parse().unwrap();
    assert_eq!(grants(&app, acme, user).await, json!([{"role": "tenant_admin"}]));
    assert_eq!(events(&app, acme).await, ["user.invited"]);
    assert_eq!(events(&app, app.tenant_id(Birch)).await, [""; 0]);
    // An invited administrator who has not signed in does not count, so the signed-in one is the last.
    refused(&dismiss(&app, Acme, app.user_id(Acme, Role::TenantAdmin)).await, 409, "last_admin");
}

#[tokio::test]
async fn last_administrator_stays_even_if_two_are_dismissed_at_once() {
    let app = App::start().await;
    let (first, second) = (app.user_id(Acme, Role::TenantAdmin), app.user_id(Acme, Role::Viewer));
    refused(&dismiss(&app, Acme, first).await, 409, "last_admin");
    assert_eq!(appoint(&app, Acme, second).await.status, 204);
    let (one, other) = tokio::join!(dismiss(&app, Acme, first), dismiss(&app, Acme, second));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409], "{} {}", one.text, other.text);
    let late = if one.status == 409 { one } else { other };
    assert_eq!(late.code(), "last_admin", "{}", late.text);
    // The other tenant's administrators are separate.
    refused(&dismiss(&app, Birch, app.user_id(Birch, Role::TenantAdmin)).await, 409, "last_admin");
}

#[tokio::test]
async fn appointment_takes_effect_at_the_next_request() {
    let app = App::start().await;
    let acme = app.tenant_id(Acme);
    let who = app.open_session(Acme, Role::Viewer).await;
    let get = testing::find(crate::endpoints::ALL, "get_organization");
    let ask = || app.as_identity(who.clone()).call(get).path("tenant_id", acme);
    assert_eq!(ask().await.status, 404);
    assert_eq!(appoint(&app, Acme, who.user).await.status, 204);
    assert_eq!(ask().await.status, 200);
    assert_eq!(dismiss(&app, Acme, who.user).await.status, 204);
    assert_eq!(ask().await.status, 404);
}
