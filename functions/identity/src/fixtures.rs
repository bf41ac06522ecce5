//! Helpers that the tests of signing in share.

use crate::{authorizer::CognitoAuthorizer, endpoints};
use common::{
    base::{Clock, Identity, Role, SystemClock, Timestamp},
    request::{AnyEndpoint, authorizer::Authorizer},
};
use serde_json::{Value, json};
use testing::{Answer, App, Client, PASSWORD, Tenant, find};

pub(crate) fn endpoint(name: &str) -> &'static AnyEndpoint {
    find(endpoints::ALL, name)
}

pub(crate) fn authorizer(app: &App) -> CognitoAuthorizer {
    CognitoAuthorizer::new(app.deps().config(), app.aws())
}

/// Cognito's tokens carry the machine's time. A test's clock may be ahead of it but not behind.
pub(crate) fn catch_up(app: &App) {
    let now = SystemClock.now();
    if app.clock().now() < now {
        app.clock().set(now);
    }
}

pub(crate) async fn login(app: &App, email: &str, password: &str, ip: &str) -> Answer {
    catch_up(app);
    app.anonymous().call(endpoint("login")).json(json!({"email": email, "password": password})).from_ip(ip).await
}

pub(crate) async fn sign_in(app: &App, tenant: Tenant, role: Role) -> Answer {
    let answer = login(app, &app.email(tenant, role), PASSWORD, "192.0.2.7").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    catch_up(app);
    answer
}

pub(crate) async fn refresh(app: &App, token: &str, device: &str) -> Answer {
    app.anonymous().call(endpoint("refresh")).json(json!({"refresh_token": token})).header("User-Agent", device).await
}

/// The caller identity that the authorizer derives from an access token.
pub(crate) async fn caller<'a>(app: &'a App, access_token: &str) -> Client<'a> {
    app.as_identity(identity(app, access_token).await)
}

pub(crate) async fn identity(app: &App, access_token: &str) -> Identity {
    let allowed = app.authorize(&authorizer(app), &format!("Bearer {access_token}")).await.expect("a valid token");
    let text = |name: &str| allowed.context[name].as_str().expect("a text").to_owned();
    Identity {
        tenant: text("tenant_id").parse().expect("a tenant"),
        user: text("user_id").parse().expect("a user"),
        session: text("session_id").parse().expect("a session"),
        expires_at: Timestamp::from_millis(text("exp").parse::<i64>().expect("seconds") * 1000),
    }
}

/// The event of an endpoint, such as `api.me`, that ended with `status`. Ids within one millisecond, and ids of counted events,
/// are not ordered by time.
pub(crate) fn event<'a>(events: &'a [Value], kind: &str, status: u16) -> &'a Value {
    let found = events.iter().find(|e| e["type"] == kind && e["status"] == status);
    found.unwrap_or_else(|| panic!("no event {kind} {status} in {events:?}"))
}

/// A string member of an answer.
pub(crate) fn text<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.json[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {}", answer.text))
}
