//! A tenant always keeps an administrator, whatever its administrators do to one another.

use crate::fixture::*;
use common::base::{Clock, Grant, Role, UserId};
use serde_json::json;
use std::time::Duration;
use testing::App;

/// A second administrator of Acme, who has signed in: the viewer.
async fn second(app: &App) -> UserId {
    let viewer = app.user_id(Acme, Role::Viewer);
    let answer = grant(app, viewer, "tenant_admin", json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    viewer
}

/// A call of the second administrator about a user.
async fn by_second(app: &App, name: &str, user: UserId) -> testing::Answer {
    let viewer = app.user_id(Acme, Role::Viewer);
    let version = get(app, Acme, viewer).await.json["version"].as_i64().unwrap();
    let who = app.open_session_with(app.tenant_id(Acme), viewer, &[Grant::always(Role::TenantAdmin)]).await;
    at_version(app, &who, version).await;
    as_who(app, who, name).path("user_id", user).path("role", "tenant_admin").await
}

#[tokio::test]
async fn last_administrator_cannot_be_disabled_deleted_or_lose_the_role() {
    let app = App::start().await;
    let (first, second) = (app.user_id(Acme, Role::TenantAdmin), second(&app).await);
    // With two administrators, one may go.
    assert_eq!(by_second(&app, "disable_user", first).await.status, 200);
    assert_eq!(by_second(&app, "enable_user", first).await.status, 200);
    assert_eq!(by_second(&app, "revoke_role", first).await.status, 204);
    // One is left, and a caller with an older session cannot remove them.
    let marketer = app.user_id(Acme, Role::Marketer);
    assert_eq!(grant_by_second(&app, marketer, json!({"valid_until": "2030-01-01T00:00:00Z"})).await.status, 200);
    let who = app.open_session_with(app.tenant_id(Acme), marketer, &[Grant::always(Role::TenantAdmin)]).await;
    at_version(&app, &who, 2).await;
    for name in ["disable_user", "delete_user", "revoke_role"] {
        let refused = as_who(&app, who.clone(), name).path("user_id", second).path("role", "tenant_admin").await;
        assert_eq!((refused.status, refused.code()), (409, "last_admin"), "{name}: {}", refused.text);
    }
    // A grant that ends does not count: replacing the last administrator's grant by a limited one would remove the last
    // administrator.
    let shortened = as_who(&app, who, "grant_role").path("user_id", second).path("role", "tenant_admin");
    let refused = shortened.json(json!({"valid_until": "2030-01-01T00:00:00Z"})).await;
    assert_eq!((refused.status, refused.code()), (409, "last_admin"), "{}", refused.text);
    assert_eq!(events(&app, Birch).await, []);
}

async fn grant_by_second(app: &App, user: UserId, term: serde_json::Value) -> testing::Answer {
    let viewer = app.user_id(Acme, Role::Viewer);
    let who = app.open_session_with(app.tenant_id(Acme), viewer, &[Grant::always(Role::TenantAdmin)]).await;
    at_version(app, &who, 2).await;
    as_who(app, who, "grant_role").path("user_id", user).path("role", "tenant_admin").json(term).await
}

#[tokio::test]
async fn administrators_who_revoke_each_other_leave_one() {
    let app = App::start().await;
    let (first, second) = (app.user_id(Acme, Role::TenantAdmin), second(&app).await);
    let one = about(&app, "disable_user", second);
    let other = by_second(&app, "disable_user", first);
    let (one, other) = tokio::join!(one, other);
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    // The later call found its caller disabled, or found no other administrator.
    assert_eq!(statuses[0], 200, "{} {}", one.text, other.text);
    assert!([401, 403, 409].contains(&statuses[1]), "{} {}", one.text, other.text);
}

#[tokio::test]
async fn invited_administrator_does_not_count_before_the_first_sign_in() {
    let app = App::start().await;
    let body = json!({"email": "ada@new.example", "roles": ["tenant_admin"]});
    let invited = admin(&app, "invite_user").await.json(body).await;
    assert_eq!(invited.status, 201, "{}", invited.text);
    let user = invited.json["user_id"].as_str().unwrap();
    // A user who does not count as administrator can be deleted.
    assert_eq!(about(&app, "delete_user", user).await.status, 204);
    let first = app.user_id(Acme, Role::TenantAdmin);
    let marketer = app.user_id(Acme, Role::Marketer);
    let until = app.clock().now().plus(Duration::from_secs(3600)).to_string();
    assert_eq!(grant(&app, marketer, "tenant_admin", json!({"valid_until": until})).await.status, 200);
    let who = app.open_session_with(app.tenant_id(Acme), marketer, &[Grant::always(Role::TenantAdmin)]).await;
    at_version(&app, &who, 2).await;
    let refused = as_who(&app, who, "disable_user").path("user_id", first).await;
    assert_eq!((refused.status, refused.code()), (409, "last_admin"), "{}", refused.text);
}
