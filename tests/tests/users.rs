//! A user's life: invitation by mail, first password, second factor, and removal.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::base::{Role, UserId};
use serde_json::{Value, json};
use std::time::Duration;
use suite::{
    fixture::fresh,
    people::{endpoint, enrol, identity, public},
};
use testing::{Answer, App, Client, Fault, Tenant};

const CHOSEN: &str = "Chosen-Passw0rd-7!";

/// A caller with the identity that the authorizer returns for a token.
async fn caller<'a>(app: &'a App, token: &str) -> Client<'a> {
    app.as_identity(identity(app, token).await.unwrap())
}

async fn admin<'a>(app: &'a App, name: &str) -> testing::Call<'a> {
    let who = app.open_session(Tenant::Acme, Role::TenantAdmin).await;
    app.as_identity(who).call(endpoint(name))
}

async fn settle(app: &App) {
    let mut queues = app.deliveries(users::consumers::CONSUMERS);
    queues.settle().await;
    assert_eq!(queues.dead(), []);
}

/// Invites a user. Returns their id, e-mail and temporary password from the mail.
async fn invite(app: &App, role: &str) -> (UserId, String, String) {
    let email = app.email(Tenant::Acme, Role::Viewer).replacen("viewer", "ada", 1);
    let answer = admin(app, "invite_user").await.json(json!({"email": email, "roles": [role]})).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    settle(app).await;
    let password = password_of_last_mail(app);
    (answer.json["user_id"].as_str().unwrap().parse().unwrap(), email, password)
}

fn password_of_last_mail(app: &App) -> String {
    let mails = app.mails();
    let text = mails.last().unwrap()["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap();
    text.lines().find(|line| line.starts_with("Ta7-")).unwrap().to_owned()
}

async fn status(app: &App, user: UserId) -> Value {
    let shown = admin(app, "get_user").await.path("user_id", user).await;
    json!([shown.json["status"], shown.json["version"]])
}

/// Signs in with a temporary password, and chooses another.
async fn choose_password(app: &App, email: &str, temporary: &str, chosen: &str) -> Answer {
    let asked = public(app, "login", json!({"email": email, "password": temporary})).await;
    assert_eq!(asked.json["challenge"], "NEW_PASSWORD_REQUIRED", "{}", asked.text);
    let body = json!({"challenge": "NEW_PASSWORD_REQUIRED", "session": asked.json["session"], "new_password": chosen});
    public(app, "challenge", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn invited_marketer_signs_in_works_is_disabled_and_signs_in_again() {
    let app = App::with_cognito().await;
    let (user, email, temporary) = invite(&app, "marketer").await;
    assert_eq!(status(&app, user).await, json!(["invited", 1]));
    let tokens = choose_password(&app, &email, &temporary, CHOSEN).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text);
    assert_eq!(status(&app, user).await, json!(["active", 2]), "the first sign-in accepts the invitation");
    let who = caller(&app, tokens.json["access_token"].as_str().unwrap()).await;
    assert_eq!(who.call(endpoint("me")).await.json["roles"], json!(["marketer"]));
    // A write checks that the membership is unchanged since the session copied it.
    let create = endpoint("create_shipment");
    let created = who.call(create).json(fresh(create.sample.body.unwrap())).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let ended = who.call(endpoint("logout")).await;
    assert_eq!(ended.status, 204, "{}", ended.text);

    assert_eq!(admin(&app, "disable_user").await.path("user_id", user).await.status, 200);
    let refused = public(&app, "login", json!({"email": email, "password": CHOSEN})).await;
    assert_eq!((refused.status, refused.code()), (401, "invalid_credentials"), "before Cognito has been updated");
    settle(&app).await;
    assert_eq!(admin(&app, "enable_user").await.path("user_id", user).await.json["status"], "active");
    settle(&app).await;
    assert_eq!(public(&app, "login", json!({"email": email, "password": CHOSEN})).await.status, 200);

    assert_eq!(admin(&app, "reset_user_password").await.path("user_id", user).await.status, 204);
    settle(&app).await;
    let again = choose_password(&app, &email, &password_of_last_mail(&app), "Another-Passw0rd-8!").await;
    assert_eq!(again.status, 200, "{}", again.text);

    assert_eq!(admin(&app, "delete_user").await.path("user_id", user).await.status, 204);
    let gone = caller_is_gone(&app, again.json["access_token"].as_str().unwrap()).await;
    assert_eq!(gone, 401);
    settle(&app).await;
    let refused = public(&app, "login", json!({"email": email, "password": "Another-Passw0rd-8!"})).await;
    assert_eq!((refused.status, refused.code()), (401, "invalid_credentials"));
}

/// Cognito has the new password, but the request was interrupted before the sign-in was committed.
#[tokio::test(flavor = "multi_thread")]
async fn invitation_is_accepted_at_login_after_an_interrupted_first_sign_in() {
    let app = App::with_cognito().await;
    for (role, waits_for) in [("marketer", Value::Null), ("tenant_admin", json!("MFA_SETUP"))] {
        let (user, email, temporary) = invite(&app, role).await;
        app.wire().fail("TransactWriteItems", 1, 100, Fault::Gone);
        let interrupted = choose_password(&app, &email, &temporary, CHOSEN).await;
        app.wire().heal();
        assert_eq!(interrupted.status, 503, "{}", interrupted.text);
        assert_eq!(status(&app, user).await, json!(["invited", 1]));
        app.clock().advance(Duration::from_secs(60));
        let tokens = public(&app, "login", json!({"email": email, "password": CHOSEN})).await;
        assert_eq!((tokens.status, &tokens.json["challenge"]), (200, &waits_for), "{role}: {}", tokens.text);
        assert_eq!(status(&app, user).await, json!(["active", 2]), "{role}");
        assert_eq!(admin(&app, "delete_user").await.path("user_id", user).await.status, 204);
        settle(&app).await;
    }
}

/// The status of a request with a token. The directory may still resolve the token's user.
async fn caller_is_gone(app: &App, token: &str) -> u16 {
    caller(app, token).await.call(endpoint("me")).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn invited_administrator_counts_once_their_second_factor_is_enrolled() {
    let app = App::with_cognito().await;
    let (user, email, temporary) = invite(&app, "tenant_admin").await;
    let first = app.user_id(Tenant::Acme, Role::TenantAdmin);
    let asked = choose_password(&app, &email, &temporary, CHOSEN).await;
    assert_eq!((asked.status, &asked.json["challenge"]), (200, &json!("MFA_SETUP")), "{}", asked.text);
    let handle = asked.json["session"].as_str().unwrap().to_owned();
    let enrolling = caller(&app, &handle).await;
    enrol(&app, &enrolling).await;
    let done = public(&app, "challenge", json!({"challenge": "MFA_SETUP", "session": handle})).await;
    assert_eq!(done.status, 200, "{}", done.text);

    let second = caller(&app, done.json["access_token"].as_str().unwrap()).await;
    let disabled = second.call(endpoint("disable_user")).path("user_id", first).await;
    assert_eq!(disabled.status, 200, "there is another administrator: {}", disabled.text);
    app.clock().advance(Duration::from_secs(1));
    let enabled = second.call(endpoint("enable_user")).path("user_id", first).await;
    assert_eq!(enabled.status, 200, "{}", enabled.text);
    assert_eq!(second.call(endpoint("revoke_role")).path("user_id", first).path("role", "tenant_admin").await.status, 204);
    // The first administrator has lost the role at their next request, and the second is the only one left.
    let shown = second.call(endpoint("get_user")).path("user_id", user).await;
    assert_eq!((&shown.json["status"], &shown.json["mfa_enrolled"]), (&json!("active"), &json!(true)), "{}", shown.text);
}
