//! Users who sign in, in a test with Cognito: their tokens, and the identity that a token gives.

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
/// If there is none of that name.
pub fn endpoint(name: &str) -> &'static AnyEndpoint {
    registry::all().find(|endpoint| endpoint.name == name).unwrap_or_else(|| panic!("no endpoint `{name}`"))
}

pub fn authorizer(app: &App) -> CognitoAuthorizer {
    CognitoAuthorizer::new(app.deps().config(), app.aws())
}

/// Cognito's tokens carry the machine's time. A test's clock may be ahead of it, but not behind.
pub fn catch_up(app: &App) {
    let now = SystemClock.now();
    if app.clock().now() < now {
        app.clock().set(now);
    }
}

/// Calls a public endpoint from a new address at each call, so that no rate limit refuses the call.
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

/// Signs in a user who needs no second factor. Returns the response with the tokens.
pub async fn sign_in(app: &App, tenant: Tenant, role: Role) -> Answer {
    let answer = login(app, &app.email(tenant, role), PASSWORD).await;
    assert!(answer.json["access_token"].is_string(), "{role}: {}", answer.text);
    answer
}

pub async fn refresh(app: &App, token: &str) -> Answer {
    public(app, "refresh", json!({"refresh_token": token})).await
}

/// The identity that the authorizer returns for a token, if it accepts the token.
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

/// The response of `me` to a caller with this token.
pub async fn me(app: &App, token: &str) -> (u16, Value) {
    let Some(who) = identity(app, token).await else { return (401, Value::Null) };
    let answer = app.as_identity(who).call(endpoint("me")).await;
    (answer.status, answer.json)
}

/// Enrols a second factor for the caller. Returns the authenticator and the recovery codes.
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

/// Gives a user a second factor. Returns the authenticator and the recovery codes. The clock moves past the time step of the code
/// that was used to enrol, since a code works once.
pub async fn with_second_factor(app: &App, tenant: Tenant, role: Role) -> (TotpSecret, Vec<String>) {
    let who = app.open_session_without_mfa(tenant, role).await;
    let enrolled = enrol(app, &app.as_identity(who)).await;
    app.clock().advance(Duration::from_secs(30));
    enrolled
}

/// Signs in with the right password. Returns the handle of the sign-in that waits for a code.
pub async fn waiting(app: &App, tenant: Tenant, role: Role) -> String {
    let asked = login(app, &app.email(tenant, role), PASSWORD).await;
    assert_eq!(asked.json["challenge"], "TOTP", "{}", asked.text);
    text(&asked, "session")
}

/// Completes a pending sign-in with a code.
pub async fn give_code(app: &App, handle: &str, code: &str) -> Answer {
    public(app, "challenge", json!({"challenge": "TOTP", "session": handle, "code": code})).await
}

/// The stored sessions of all users, as `<user> <session>`.
pub async fn sessions(app: &App) -> Vec<String> {
    let items = app.dump("EphemeraTable").await;
    let mut sessions: Vec<_> = items
        .iter()
        .filter_map(|item| Some(format!("{} {}", item["pk"].as_s().ok()?.split_once("#SESSIONS#")?.1, item["sk"].as_s().ok()?)))
        .collect();
    sessions.sort();
    sessions
}

/// A string member of a response.
///
/// # Panics
/// If there is none.
pub fn text(answer: &Answer, name: &str) -> String {
    answer.json[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {}", answer.text)).to_owned()
}
