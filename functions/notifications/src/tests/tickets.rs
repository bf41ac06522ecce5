//! A ticket opens one socket, within a short time, from the network that requested it.

use crate::fixture::*;
use common::{
    aws::Aws,
    base::{Config, Role, Timestamp},
    request::authorizer::{Authorizer, Refused, TokenRefused, VerifiedToken},
};
use serde_json::json;
use std::time::Duration;
use testing::{App, Tenant};

/// Accepts no token.
struct NoTokens;

impl Authorizer for NoTokens {
    fn new(_: &Config, _: &Aws) -> Self {
        Self
    }
    async fn verify(&self, _: &str, _: Timestamp) -> Result<VerifiedToken, TokenRefused> {
        Err(TokenRefused::Because("signature"))
    }
}

/// The address of the test's clients.
const HOME: &str = "192.0.2.7";

async fn ticket(app: &App, tenant: Tenant) -> String {
    let answer = call(app, tenant, Role::Marketer, "create_socket_ticket").await.await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let text = answer.json["ticket"].as_str().unwrap().to_owned();
    assert_eq!(answer.json["url"], format!("wss://sockets.example/live?ticket={text}"));
    text
}

async fn present(app: &App, ticket: &str, ip: &str) -> Result<serde_json::Map<String, serde_json::Value>, Refused> {
    app.shake_hands(&NoTokens, Some(ticket), ip).await
}

async fn reasons(app: &App) -> Vec<String> {
    let events = app.platform_audit().await;
    let refused = events.iter().filter(|e| e["type"].as_str().unwrap().ends_with(".authorizer"));
    refused.map(|e| e["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn ticket_opens_one_socket_for_its_user() {
    let app = App::start().await;
    let who = app.open_session(Acme, Role::Marketer).await;
    let answer = app.as_identity(who.clone()).call(testing::find(crate::endpoints::ALL, "create_socket_ticket")).await;
    let text = answer.json["ticket"].as_str().unwrap();
    let context = present(&app, text, HOME).await.unwrap();
    let expected = [("tenant_id", json!(who.tenant)), ("user_id", json!(who.user)), ("session_id", json!(who.session))];
    for (name, value) in expected {
        assert_eq!(context[name], value);
    }
    // The context stays valid for as long as API Gateway keeps a connection, independently of the token.
    let until: i64 = context["exp"].as_str().unwrap().parse().unwrap();
    assert_eq!(until, (common::base::Clock::now(app.clock()).as_millis() / 1000) + 2 * 3600);

    assert_eq!(present(&app, text, HOME).await, Err(Refused::Unauthorized));
    assert_eq!(reasons(&app).await, ["ticket_unknown"]);
}

#[tokio::test]
async fn ticket_used_twice_at_once_opens_one_socket() {
    let app = App::start().await;
    let text = ticket(&app, Acme).await;
    let (one, other) = tokio::join!(present(&app, &text, HOME), present(&app, &text, HOME));
    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1);
}

#[tokio::test]
async fn ticket_from_another_network_is_refused_and_stays_valid() {
    let app = App::start().await;
    let text = ticket(&app, Acme).await;
    assert_eq!(present(&app, &text, "198.51.100.9").await, Err(Refused::Unauthorized));
    assert_eq!(reasons(&app).await, ["ticket_of_another_network"]);
    assert!(present(&app, &text, HOME).await.is_ok());
}

#[tokio::test]
async fn ticket_expires_after_thirty_seconds() {
    let app = App::start().await;
    let (late, early) = (ticket(&app, Acme).await, ticket(&app, Birch).await);
    app.clock().advance(Duration::from_millis(29_999));
    assert!(present(&app, &early, HOME).await.is_ok());
    app.clock().advance(Duration::from_millis(1));
    assert_eq!(present(&app, &late, HOME).await, Err(Refused::Unauthorized));
    assert_eq!(reasons(&app).await, ["ticket_expired"]);
}

#[tokio::test]
async fn invalid_ticket_is_refused_and_ticket_is_not_a_bearer_token() {
    let app = App::start().await;
    let text = ticket(&app, Acme).await;
    for wrong in ["", "x", &"A".repeat(64), &text[1..]] {
        assert_eq!(present(&app, wrong, HOME).await, Err(Refused::Unauthorized), "{wrong}");
    }
    assert_eq!(app.shake_hands(&NoTokens, None, HOME).await, Err(Refused::Unauthorized));
    assert_eq!(app.authorize(&NoTokens, &format!("Bearer {text}")).await.unwrap_err(), Refused::Unauthorized);
    assert!(present(&app, &text, HOME).await.is_ok());
}

#[tokio::test]
async fn ticket_is_stored_as_a_hash_in_its_tenant() {
    let app = App::start().await;
    let text = ticket(&app, Birch).await;
    let items = app.dump("EphemeraTable").await;
    let stored: Vec<_> = items.iter().filter(|i| i["pk"].as_s().unwrap().contains("#TICKET#")).collect();
    assert_eq!(stored.len(), 1);
    assert!(stored[0]["pk"].as_s().unwrap().starts_with(&app.tenant_id(Birch).to_string()));
    assert!(!format!("{items:?}").contains(&text));
    assert!(!serde_json::to_string(&app.log_lines()).unwrap().contains(&text));
}

#[tokio::test]
async fn ticket_during_a_table_outage_is_refused() {
    let app = App::start().await;
    let text = ticket(&app, Acme).await;
    app.wire().fail("DeleteItem", 0, 9, testing::Fault::Gone);
    assert_eq!(present(&app, &text, HOME).await, Err(Refused::Unavailable));
}
