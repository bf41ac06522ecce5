//! A ticket opens one socket, soon, from where it was asked for.

use crate::fixture::*;
use common::{
    Aws, Config, Role, Timestamp,
    authorizer::{Authorizer, Refused, TokenRefused, VerifiedToken},
};
use serde_json::json;
use std::time::Duration;
use testing::{App, Tenant};

/// Takes no token at all.
struct NoTokens;

impl Authorizer for NoTokens {
    fn new(_: &Config, _: &Aws) -> Self {
        Self
    }
    async fn verify(&self, _: &str, _: Timestamp) -> Result<VerifiedToken, TokenRefused> {
        Err(TokenRefused::Because("signature"))
    }
}

/// Where the test's clients are.
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
async fn it_lets_its_user_in_once() {
    let app = App::start().await;
    let who = app.open_session(Acme, Role::Marketer).await;
    let answer = app.as_identity(who.clone()).call(testing::find(crate::endpoints::ALL, "create_socket_ticket")).await;
    let text = answer.json["ticket"].as_str().unwrap();
    let context = present(&app, text, HOME).await.unwrap();
    let expected = [("tenant_id", json!(who.tenant)), ("user_id", json!(who.user)), ("session_id", json!(who.session))];
    for (name, value) in expected {
        assert_eq!(context[name], value);
    }
    // For as long as API Gateway keeps a connection, whatever becomes of the token.
    let until: i64 = context["exp"].as_str().unwrap().parse().unwrap();
    assert_eq!(until, (common::Clock::now(app.clock()).as_millis() / 1000) + 2 * 3600);

    assert_eq!(present(&app, text, HOME).await, Err(Refused::Unauthorized));
    assert_eq!(reasons(&app).await, ["ticket_unknown"]);
}

#[tokio::test]
async fn of_two_at_once_one_is_let_in() {
    let app = App::start().await;
    let text = ticket(&app, Acme).await;
    let (one, other) = tokio::join!(present(&app, &text, HOME), present(&app, &text, HOME));
    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1);
}

#[tokio::test]
async fn from_elsewhere_it_opens_nothing_and_is_not_spent() {
    let app = App::start().await;
    let text = ticket(&app, Acme).await;
    assert_eq!(present(&app, &text, "198.51.100.9").await, Err(Refused::Unauthorized));
    assert_eq!(reasons(&app).await, ["ticket_of_another_network"]);
    assert!(present(&app, &text, HOME).await.is_ok());
}

#[tokio::test]
async fn it_is_good_for_thirty_seconds() {
    let app = App::start().await;
    let (late, early) = (ticket(&app, Acme).await, ticket(&app, Birch).await);
    app.clock().advance(Duration::from_millis(29_999));
    assert!(present(&app, &early, HOME).await.is_ok());
    app.clock().advance(Duration::from_millis(1));
    assert_eq!(present(&app, &late, HOME).await, Err(Refused::Unauthorized));
    assert_eq!(reasons(&app).await, ["ticket_expired"]);
}

#[tokio::test]
async fn what_is_no_ticket_is_refused_and_a_ticket_is_no_token() {
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
async fn it_is_stored_as_a_hash_in_its_own_tenant() {
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
async fn a_table_that_does_not_answer_lets_nobody_in() {
    let app = App::start().await;
    let text = ticket(&app, Acme).await;
    app.wire().fail("DeleteItem", 0, 9, testing::Fault::Gone);
    assert_eq!(present(&app, &text, HOME).await, Err(Refused::Unavailable));
}
