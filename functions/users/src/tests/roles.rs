//! Roles: granted for a term or permanently, revoked, and effective immediately.

use crate::fixture::*;
use common::base::{Clock, Grant, Role};
use serde_json::json;
use std::{future::IntoFuture, pin::pin, task::Poll, time::Duration};
use testing::App;

#[tokio::test]
async fn granted_and_revoked_roles_take_effect_at_the_next_request() {
    let app = App::start().await;
    let user = app.user_id(Acme, Role::Viewer);
    let who = app.open_session(Acme, Role::Viewer).await;
    let list = async || as_who(&app, who.clone(), "list_users").await.status;
    assert_eq!(list().await, 403);
    let given = grant(&app, user, "auditor", json!({})).await;
    assert_eq!((given.status, &given.json["roles"], &given.json["version"]), (200, &json!(["viewer", "auditor"]), &json!(2)));
    assert_eq!(list().await, 200);
    assert_eq!(grant(&app, user, "auditor", json!({})).await.json["version"], 2, "nothing changes");
    assert_eq!(revoke(&app, user, "auditor").await.status, 204);
    assert_eq!(list().await, 403);
    assert_eq!(revoke(&app, user, "auditor").await.status, 204, "nothing changes");
    let told: Vec<_> = events(&app, Acme).await.into_iter().map(|(schema, _)| schema).collect();
    assert_eq!(told, ["user.roles_changed", "user.roles_changed"]);
    let log = app.audit(Acme).await;
    let event = log.iter().find(|event| event["type"] == "api.grant_role").unwrap();
    assert_eq!(event["changes"], json!(["grants"]));
    assert!(event["resources"].as_array().unwrap().contains(&json!({"type": "RoleGrant", "id": format!("{user}/auditor")})));
}

#[tokio::test]
async fn role_with_a_term_is_valid_only_within_it() {
    let app = App::start().await;
    let user = app.user_id(Acme, Role::Viewer);
    let who = app.open_session(Acme, Role::Viewer).await;
    let at = |minutes: u64| app.clock().now().plus(Duration::from_secs(60 * minutes)).to_string();
    let term = json!({"valid_from": at(5), "valid_until": at(10)});
    let given = grant(&app, user, "auditor", term).await;
    assert_eq!((given.status, &given.json["roles"]), (200, &json!(["viewer"])), "{}", given.text);
    let list = async || as_who(&app, who.clone(), "list_users").await.status;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(list().await);
        app.clock().advance(Duration::from_secs(4 * 60));
    }
    assert_eq!(seen, [403, 403, 200, 403], "at 0, 4, 8 and 12 minutes");
    // An ended grant gives no permission and is still shown.
    let shown = get(&app, Acme, user).await;
    assert_eq!(shown.json["roles"], json!(["viewer"]));
    assert_eq!(shown.json["grants"][1]["role"], "auditor");
}

#[tokio::test]
async fn invalid_term_is_refused() {
    let app = App::start().await;
    let user = app.user_id(Acme, Role::Viewer);
    let year = |year: u32| format!("{year}-01-01T00:00:00Z");
    for (term, code) in [
        (json!({"valid_from": year(2031), "valid_until": year(2030)}), "empty_range"),
        (json!({"valid_from": year(2030), "valid_until": year(2030)}), "empty_range"),
        (json!({"valid_until": year(2025)}), "in_the_past"),
        (json!({"valid_until": "tomorrow"}), "invalid"),
        (json!({"valid_until": "2030-01-01"}), "invalid"),
    ] {
        let answer = grant(&app, user, "analyst", term.clone()).await;
        assert_eq!((answer.status, &answer.json["errors"][0]["code"]), (422, &json!(code)), "{term}: {}", answer.text);
    }
    assert_eq!(get(&app, Acme, user).await.json["version"], 1);
}

#[tokio::test]
async fn own_role_operator_role_and_api_role_cannot_be_granted() {
    let app = App::start().await;
    let (me, viewer) = (app.user_id(Acme, Role::TenantAdmin), app.user_id(Acme, Role::Viewer));
    for role in ["auditor", "provider", "tenant_admin"] {
        let refused = grant(&app, me, role, json!({})).await;
        assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{role}: {}", refused.text);
        assert_eq!(revoke(&app, me, role).await.status, 403, "{role}");
    }
    assert_eq!(grant(&app, viewer, "super_admin", json!({})).await.status, 403);
    let program = grant(&app, viewer, "api_user", json!({})).await;
    assert_eq!((program.status, &program.json["errors"][0]["code"]), (422, &json!("not_for_people")));
    assert_eq!(grant(&app, viewer, "emperor", json!({})).await.status, 404);
    for role in [Role::Viewer, Role::Provider, Role::Marketer, Role::Analyst, Role::Auditor] {
        let call = call(&app, Acme, role, "grant_role").await.path("user_id", viewer).path("role", "tenant_admin");
        assert!([403, 404].contains(&call.json(json!({})).await.status), "{role}");
    }
    assert_eq!(get(&app, Acme, viewer).await.json["version"], 1);
    assert_eq!(events(&app, Acme).await, []);
}

#[tokio::test]
async fn granting_and_inviting_need_a_second_factor_within_ten_minutes() {
    let app = App::start().await;
    let who = app.open_session(Acme, Role::TenantAdmin).await;
    let viewer = app.user_id(Acme, Role::Viewer);
    // A request in between keeps the session from becoming idle.
    app.clock().advance(Duration::from_secs(601));
    let body = json!({"email": "ada@new.example", "roles": ["tenant_admin"]});
    let call = |name| as_who(&app, who.clone(), name).path("user_id", viewer).path("role", "auditor");
    for refused in [
        call("invite_user").json(body).await,
        call("grant_role").json(json!({})).await,
        call("revoke_role").await,
        call("delete_user").await,
        call("reset_user_password").await,
    ] {
        assert_eq!((refused.status, refused.code()), (403, "step_up_required"), "{}", refused.text);
    }
    assert_eq!(call("disable_user").await.status, 200, "disabling an account needs no recent second factor");
}

/// The session determines the caller's permissions at the start of the request; the commit checks that they are unchanged.
#[tokio::test]
async fn request_writes_nothing_if_its_role_is_revoked_meanwhile() {
    let app = App::start().await;
    let marketer = app.user_id(Acme, Role::Marketer);
    assert_eq!(grant(&app, marketer, "tenant_admin", json!({})).await.status, 200);
    let who = app.open_session_with(app.tenant_id(Acme), marketer, &[Grant::always(Role::TenantAdmin)]).await;
    at_version(&app, &who, 2).await;
    let viewer = app.user_id(Acme, Role::Viewer);
    // A colleague's call caches the tenant's state in the function, so that its first read for the caller is the target's.
    let colleague = app.open_session(Acme, Role::Analyst).await;
    assert!(as_who(&app, colleague, "disable_user").path("user_id", viewer).await.status >= 400);
    app.reset_calls();
    let mut change = pin!(as_who(&app, who, "disable_user").path("user_id", viewer).into_future());
    // Runs the request until its session has been read and updated and its target has been read.
    std::future::poll_fn(|cx| {
        assert!(change.as_mut().poll(cx).is_pending(), "the change is not finished");
        let calls = app.calls().dynamodb;
        if calls.iter().any(|call| call.ends_with("GetItem")) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    assert_eq!(revoke(&app, marketer, "tenant_admin").await.status, 204);
    let answer = change.await;
    assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{}", answer.text);
    assert_eq!(get(&app, Acme, viewer).await.json["status"], "active");
}
