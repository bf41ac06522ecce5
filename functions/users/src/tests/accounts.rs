//! Accounts: shown, changed, disabled and deleted, and the time at which their access ends.

use crate::fixture::*;
use common::base::Role;
use serde_json::json;
use testing::App;

#[tokio::test]
async fn list_returns_every_user_of_the_tenant_once() {
    let app = App::start().await;
    invited(&app, Birch, "eve@new.example").await;
    let mut seen = Vec::new();
    let (mut cursor, mut first) = (None::<String>, None);
    loop {
        let mut page = admin(&app, "list_users").await.query("limit", 3);
        if let Some(cursor) = &cursor {
            page = page.query("cursor", cursor);
        }
        let page = page.await;
        assert_eq!(page.status, 200, "{}", page.text);
        seen.extend(page.json["items"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap().to_owned()));
        match page.json["next_cursor"].as_str() {
            Some(next) => {
                cursor = Some(next.to_owned());
                first = first.or(cursor.clone());
            }
            None => break,
        }
    }
    // The operator belongs to the platform.
    let mut expected: Vec<_> =
        Role::ALL.into_iter().filter(|r| *r != Role::SuperAdmin).map(|role| app.email(Acme, role)).collect();
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected);
    let stolen = call(&app, Birch, Role::TenantAdmin, "list_users").await.query("cursor", first.unwrap()).await;
    assert_eq!((stolen.status, stolen.code()), (422, "validation_failed"), "{}", stolen.text);
}

#[tokio::test]
async fn user_sees_only_themselves_and_colleagues_of_their_department() {
    let app = App::start().await;
    let (viewer, marketer, provider) =
        (app.user_id(Acme, Role::Viewer), app.user_id(Acme, Role::Marketer), app.user_id(Acme, Role::Provider));
    for (user, department) in [(viewer, "Outreach"), (marketer, "Outreach"), (provider, "Cardiology")] {
        let call = admin(&app, "update_user").await.path("user_id", user).if_match(1);
        let answer = call.json(json!({"department": department})).await;
        assert_eq!((answer.status, &answer.json["department"]), (200, &json!(department)), "{}", answer.text);
    }
    // A session's copy follows the membership. This session was opened before the change and stays live.
    let who = app.open_session_with(app.tenant_id(Acme), viewer, &[common::base::Grant::always(Role::Viewer)]).await;
    let see = async |user| as_who(&app, who.clone(), "get_user").path("user_id", user).await.status;
    assert_eq!((see(viewer).await, see(marketer).await), (200, 404), "an older session has no department");
    let call = admin(&app, "update_user").await.path("user_id", viewer).if_match(2).json(json!({"department": "Outreach "}));
    assert_eq!(call.await.status, 200, "the same department");
    let call = admin(&app, "update_user").await.path("user_id", viewer).if_match(2).json(json!({"department": "Cardiology"}));
    assert_eq!(call.await.status, 200);
    assert_eq!((see(provider).await, see(marketer).await), (200, 404), "its live session was rewritten");
}

#[tokio::test]
async fn name_and_department_are_changed_and_cleared() {
    let app = App::start().await;
    let user = invited(&app, Acme, "ada@new.example").await;
    let patch = async |version, patch| admin(&app, "update_user").await.path("user_id", user).if_match(version).json(patch).await;
    let answer = patch(1, json!({"name": "Bo Sentinel", "department": null})).await;
    assert_eq!((answer.status, answer.header("etag")), (200, Some("\"2\"")), "{}", answer.text);
    assert_eq!((&answer.json["name"], &answer.json["department"]), (&json!("Bo Sentinel"), &json!(null)));
    assert_eq!(answer.json["email"], "ada@new.example");
    assert_eq!(get(&app, Acme, user).await.text, answer.text);
    let same = patch(2, json!({"name": "Bo Sentinel"})).await;
    assert_eq!((same.status, same.header("etag")), (200, Some("\"2\"")));
    let stale = patch(1, json!({"name": null})).await;
    assert_eq!((stale.status, stale.code()), (412, "precondition_failed"));
    for other in ["email", "roles", "status", "version"] {
        let answer = patch(2, json!({other: "x"})).await;
        assert_eq!(answer.json["errors"][0]["code"], "unknown_field", "{other}");
    }
    let log = app.audit(Acme).await;
    let event = log.iter().find(|event| event["type"] == "api.update_user").unwrap();
    assert_eq!(event["changes"], json!(["name", "department"]));
}

#[tokio::test]
async fn disabled_user_is_refused_at_the_next_request_and_enabled_one_signs_in() {
    let app = App::start().await;
    let user = app.user_id(Acme, Role::Viewer);
    let who = app.open_session(Acme, Role::Viewer).await;
    let look = async || as_who(&app, who.clone(), "view_permissions").await.status;
    assert_eq!(look().await, 200);
    let answer = about(&app, "disable_user", user).await;
    assert_eq!(
        (answer.status, &answer.json["status"], &answer.json["version"]),
        (200, &json!("disabled"), &json!(2)),
        "{}",
        answer.text
    );
    assert_eq!(look().await, 401);
    let told: Vec<_> = events(&app, Acme).await.into_iter().map(|(schema, _)| schema).collect();
    assert_eq!(told, ["session.ended", "user.disabled"]);

    let again = about(&app, "disable_user", user).await;
    assert_eq!((again.status, &again.json["version"]), (200, &json!(2)), "the user is enabled already");
    let enabled = about(&app, "enable_user", user).await;
    assert_eq!((enabled.status, &enabled.json["status"]), (200, &json!("active")));
    assert_eq!(look().await, 401, "an ended session stays ended");
    assert_eq!(get(&app, Birch, user).await.status, 404);
}

#[tokio::test]
async fn user_disabled_before_the_first_sign_in_is_invited_when_enabled() {
    let app = App::start().await;
    let user = invited(&app, Acme, "ada@new.example").await;
    assert_eq!(about(&app, "disable_user", user).await.json["status"], "disabled");
    assert_eq!(about(&app, "resend_invitation", user).await.code(), "not_invited");
    assert_eq!(about(&app, "enable_user", user).await.json["status"], "invited");
}

#[tokio::test]
async fn user_cannot_disable_or_delete_themselves() {
    let app = App::start().await;
    let me = app.user_id(Acme, Role::TenantAdmin);
    for name in ["disable_user", "delete_user"] {
        let refused = about(&app, name, me).await;
        assert_eq!((refused.status, refused.code()), (409, "own_account"), "{name}");
    }
    assert_eq!(get(&app, Acme, me).await.json["version"], 1);
}

#[tokio::test]
async fn deleted_user_leaves_no_personal_data() {
    let app = App::start().await;
    let user = app.user_id(Acme, Role::Viewer);
    let who = app.open_session(Acme, Role::Viewer).await;
    let call = admin(&app, "delete_user").await.path("user_id", user).key("delete-1");
    let deleted = call.clone().await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""), "{}", deleted.text);
    assert_eq!(as_who(&app, who, "view_permissions").await.status, 401);
    assert_eq!(get(&app, Acme, user).await.status, 404);
    assert_eq!(about(&app, "delete_user", user).await.status, 404);
    let again = call.await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (204, Some("true")));

    let list = admin(&app, "list_users").await.query("limit", 100).await;
    assert!(!list.text.contains(&user.to_string()));
    let items = app.dump("RecordsTable").await;
    let left = items.iter().find(|item| item["pk"].as_s().unwrap().ends_with(&format!("#MEMBER#{user}"))).unwrap();
    let mut names: Vec<_> = left.keys().map(String::as_str).collect();
    names.retain(|name| !name.starts_with("ix_"));
    names.sort_unstable();
    assert_eq!(names, ["created_at", "deleted_at", "pk", "sk", "status", "version"]);
    // Audit events of their actions, and of actions on them, stay.
    let log = app.audit(Acme).await;
    let event = log.iter().find(|event| event["type"] == "api.delete_user" && event["status"] == 204).unwrap();
    assert_eq!(event["resources"], json!([{"type": "User", "id": user}]));
    assert_eq!(events(&app, Acme).await.last().unwrap(), &("user.deleted".to_owned(), user.to_string()));
}

#[tokio::test]
async fn administrator_lists_and_ends_a_users_sessions() {
    let app = App::start().await;
    let user = app.user_id(Acme, Role::Provider);
    let first = app.open_session(Acme, Role::Provider).await;
    let second = app.open_session(Acme, Role::Provider).await;
    let theirs = app.open_session(Birch, Role::Provider).await;
    let list = about(&app, "list_user_sessions", user).await;
    let mut ids: Vec<_> =
        list.json["items"].as_array().unwrap().iter().map(|s| s["session_id"].as_str().unwrap().to_owned()).collect();
    let mut expected = vec![first.session.to_string(), second.session.to_string()];
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected, "{}", list.text);
    assert_eq!(list.json["items"][0]["user_agent"], "testing/1");
    for name in ["end_user_sessions", "sign_out_user", "reset_user_password"] {
        let live = app.open_session(Acme, Role::Provider).await;
        assert_eq!(about(&app, name, user).await.status, 204, "{name}");
        assert_eq!(as_who(&app, live, "view_permissions").await.status, 401, "{name}");
    }
    assert_eq!(as_who(&app, first, "view_permissions").await.status, 401);
    assert_eq!(as_who(&app, theirs, "view_permissions").await.status, 200);
    assert_eq!(about(&app, "list_user_sessions", user).await.json["items"], json!([]));
    let told: Vec<_> = events(&app, Acme).await.into_iter().map(|(schema, _)| schema).filter(|s| s != "session.ended").collect();
    assert_eq!(told, ["user.signed_out", "user.password_reset_by_admin"]);
}
