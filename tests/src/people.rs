//! People who sign in, where there is a Cognito: what they are handed, and who they are then.

use common::{
    base::{Clock, Identity, Role, SystemClock, Timestamp},
    request::{AnyEndpoint, authorizer::Authorizer},
};
use identity::{authorizer::CognitoAuthorizer, domain::totp::TotpSecret};
use serde_json::{Value, json};
use std::time::Duration;
use testing::{Answer, App, Client, PASSWORD, Tenant, find};

/// An endpoint of any domain.
///
/// # Panics
/// Where there is none of that name.
pub fn endpoint(name: &str) -> &'static AnyEndpoint {
    registry::all().find(|endpoint| endpoint.name == name).unwrap_or_else(|| panic!("no endpoint `{name}`"))
}

pub fn authorizer(app: &App) -> CognitoAuthorizer {
    CognitoAuthorizer::new(app.deps().config(), app.aws())
}

/// Cognito's tokens carry the machine's time: a test's clock may be ahead of it, not behind.
pub fn catch_up(app: &App) {
    let now = SystemClock.now();
    if app.clock().now() < now {
        app.clock().set(now);
    }
}

/// Asks a public endpoint, from an address that nobody has asked from: no other test of limits is meant to be met here.
pub async fn public(app: &App, name: &str, body: Value) -> Answer {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let ip = format!("2001:db8:0:{:x}::1", NEXT.fetch_add(1, Ordering::Relaxed));
    catch_up(app);
    let answer = app.anonymous().call(endpoint(name)).json(body).from_ip(&ip).await;
    catch_up(app);
    answer
}

pub async fn login(app: &App, email: &str, password: &str) -> Answer {
    public(app, "login", json!({"email": email, "password": password})).await
}

/// The tokens of somebody who needs no second factor.
pub async fn sign_in(app: &App, tenant: Tenant, role: Role) -> Answer {
    let answer = login(app, &app.email(tenant, role), PASSWORD).await;
    assert!(answer.json["access_token"].is_string(), "{role}: {}", answer.text);
    answer
}

pub async fn refresh(app: &App, token: &str) -> Answer {
    public(app, "refresh", json!({"refresh_token": token})).await
}

/// Whom the authorizer makes of a token, if anybody.
pub async fn identity(app: &App, token: &str) -> Option<Identity> {
    let allowed = app.authorize(&authorizer(app), &format!("Bearer {token}")).await.ok()?;
    let text = |name: &str| allowed.context[name].as_str().unwrap().to_owned();
    Some(Identity {
        tenant: text("tenant_id").parse().unwrap(),
        user: text("user_id").parse().unwrap(),
        session: text("session_id").parse().unwrap(),
        expires_at: Timestamp::from_millis(text("exp").parse::<i64>().unwrap() * 1000),
    })
}

/// What `me` answers to who shows a token.
pub async fn me(app: &App, token: &str) -> (u16, Value) {
    let Some(who) = identity(app, token).await else { return (401, Value::Null) };
    let answer = app.as_identity(who).call(endpoint("me")).await;
    (answer.status, answer.json)
}

/// Has whoever calls enrol a second factor: their authenticator and recovery codes.
pub async fn enrol(app: &App, who: &Client<'_>) -> (TotpSecret, Vec<String>) {
    let of_identity = |name| find(identity::endpoints::ALL, name);
    let enrolment = who.call(of_identity("enrol_totp")).await;
    assert_eq!(enrolment.status, 200, "{}", enrolment.text);
    let secret: TotpSecret = serde_json::from_value(enrolment.json["secret"].clone()).unwrap();
    let code = secret.code_at(app.clock().now());
    let active = who.call(of_identity("activate_totp")).json(json!({"code": code})).await;
    assert_eq!(active.status, 200, "{}", active.text);
    (secret, serde_json::from_value(active.json["recovery_codes"].clone()).unwrap())
}

/// Somebody with a second factor: their authenticator, past the step that enrolled it, and their recovery codes.
pub async fn with_second_factor(app: &App, tenant: Tenant, role: Role) -> (TotpSecret, Vec<String>) {
    let who = app.open_session_without_mfa(tenant, role).await;
    let enrolled = enrol(app, &app.as_identity(who)).await;
    app.clock().advance(Duration::from_secs(30));
    enrolled
}

/// Says the right password: the handle of the sign-in that waits for a code.
pub async fn waiting(app: &App, tenant: Tenant, role: Role) -> String {
    let asked = login(app, &app.email(tenant, role), PASSWORD).await;
    assert_eq!(asked.json["challenge"], "TOTP", "{}", asked.text);
    text(&asked, "session")
}

/// Answers a sign-in that waits with a code.
pub async fn give_code(app: &App, handle: &str, code: &str) -> Answer {
    public(app, "challenge", json!({"challenge": "TOTP", "session": handle, "code": code})).await
}

/// Everybody's sessions that are stored, as `<user> <session>`.
pub async fn sessions(app: &App) -> Vec<String> {
    let items = app.dump("EphemeraTable").await;
    let mut sessions: Vec<_> = items
        .iter()
        .filter_map(|item| Some(format!("{} {}", item["pk"].as_s().ok()?.split_once("#SESSIONS#")?.1, item["sk"].as_s().ok()?)))
        .collect();
    sessions.sort();
    sessions
}

/// A text member of an answer.
///
/// # Panics
/// Where there is none.
pub fn text(answer: &Answer, name: &str) -> String {
    answer.json[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {}", answer.text)).to_owned()
}
