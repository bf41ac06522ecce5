//! An administrator sees that a user's address gets no mail, and lifts the suppression.

use crate::fixture::*;
use aws_sdk_dynamodb::types::AttributeValue;
use common::base::{Role, TenantId, UserId};
use serde_json::json;
use std::collections::HashMap;
use testing::App;

type Item = HashMap<String, AttributeValue>;

/// The place of the suppression of a user's address.
async fn place(app: &App, user: UserId) -> String {
    let directory = format!("{}#DIRECTORY#{user}", TenantId::PLATFORM);
    let item = app.dump("RecordsTable").await.into_iter().find(|item| item["pk"].as_s() == Ok(&directory)).unwrap();
    format!("{}#SUPPRESSED#{}", TenantId::PLATFORM, item["email_token"].as_s().unwrap())
}

async fn suppress(app: &App, user: UserId, because: &str) {
    let texts = [("because", because), ("since", "2025-12-24T12:00:00.000Z")];
    app.put_raw("RecordsTable", &place(app, user).await, "MAIL", &texts).await;
}

async fn suppression(app: &App, user: UserId) -> Option<Item> {
    let place = place(app, user).await;
    app.dump("RecordsTable").await.into_iter().find(|item| item["pk"].as_s() == Ok(&place))
}

#[tokio::test]
async fn suppression_is_shown_and_lifted_and_both_are_audited() {
    for because in ["bounced", "complained"] {
        let app = App::start().await;
        let viewer = app.user_id(Acme, Role::Viewer);
        suppress(&app, viewer, because).await;
        suppress(&app, app.user_id(Birch, Role::Viewer), because).await;
        let log_of_birch = app.audit(Birch).await;
        let shown = about(&app, "get_mail_suppression", viewer).await;
        let expected = json!({"user_id": viewer, "because": because, "since": "2025-12-24T12:00:00.000Z"});
        assert_eq!((shown.status, &shown.json), (200, &expected), "{}", shown.text);
        let lifted = about(&app, "lift_mail_suppression", viewer).await;
        let none = json!({"user_id": viewer, "because": null, "since": null});
        assert_eq!((lifted.status, &lifted.json), (200, &none), "{}", lifted.text);
        assert_eq!(suppression(&app, viewer).await, None);
        assert_eq!(about(&app, "get_mail_suppression", viewer).await.json, none);
        let log = app.audit(Acme).await;
        let event = log.iter().find(|event| event["type"] == "api.lift_mail_suppression").unwrap();
        assert_eq!((&event["changes"], &event["outcome"]), (&json!(["mail_suppression"]), &json!("success")));
        assert!(event["resources"].as_array().unwrap().contains(&json!({"type": "User", "id": viewer})));
        // The other tenant's suppression stays, and its audit log has no event.
        assert!(suppression(&app, app.user_id(Birch, Role::Viewer)).await.is_some());
        assert_eq!(app.audit(Birch).await, log_of_birch);
        // Lifting a suppression that does not exist has no effect.
        assert_eq!(about(&app, "lift_mail_suppression", viewer).await.status, 200);
    }
}

#[tokio::test]
async fn suppression_lifted_with_an_idempotency_key_is_lifted_once() {
    let app = App::start().await;
    let viewer = app.user_id(Acme, Role::Viewer);
    suppress(&app, viewer, "bounced").await;
    let lift = async || admin(&app, "lift_mail_suppression").await.path("user_id", viewer).key("lift").await;
    let lifted = lift().await;
    assert_eq!(lifted.status, 200, "{}", lifted.text);
    suppress(&app, viewer, "complained").await;
    let again = lift().await;
    assert_eq!((&again.json, again.header("idempotency-replayed")), (&lifted.json, Some("true")), "{}", again.text);
    assert!(suppression(&app, viewer).await.is_some(), "the repetition lifts nothing");
}

#[tokio::test]
async fn suppression_of_an_unknown_reason_is_shown_as_complaint_and_lifted() {
    let app = App::start().await;
    let viewer = app.user_id(Acme, Role::Viewer);
    suppress(&app, viewer, "later_word").await;
    assert_eq!(about(&app, "get_mail_suppression", viewer).await.json["because"], "complained");
    assert_eq!(about(&app, "lift_mail_suppression", viewer).await.status, 200);
    assert_eq!(suppression(&app, viewer).await, None);
}

#[tokio::test]
async fn suppression_is_visible_only_to_administrators_of_the_users_tenant() {
    let app = App::start().await;
    let viewer = app.user_id(Acme, Role::Viewer);
    suppress(&app, viewer, "bounced").await;
    for name in ["get_mail_suppression", "lift_mail_suppression"] {
        for role in [Role::Marketer, Role::Auditor, Role::Viewer] {
            assert!(call(&app, Acme, role, name).await.path("user_id", viewer).await.status >= 403, "{name} {role}");
        }
        assert_eq!(call(&app, Birch, Role::TenantAdmin, name).await.path("user_id", viewer).await.status, 404, "{name}");
    }
    assert!(suppression(&app, viewer).await.is_some());
}

/// An invitation creates a member but does not prove that they own the address. So it neither shows nor changes the data of
/// another user's address.
#[tokio::test]
async fn inviting_anothers_address_does_not_show_or_lift_its_suppression() {
    let app = App::start().await;
    let other = app.user_id(Birch, Role::Marketer);
    suppress(&app, other, "complained").await;
    let invited = invited(&app, Acme, &app.email(Birch, Role::Marketer)).await;
    for name in ["get_mail_suppression", "lift_mail_suppression"] {
        let answer = about(&app, name, invited).await;
        assert_eq!((answer.status, &answer.json["because"]), (200, &json!(null)), "{name}: {}", answer.text);
    }
    assert!(suppression(&app, other).await.is_some());
}
