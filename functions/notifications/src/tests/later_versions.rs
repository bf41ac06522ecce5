//! Items of a later version, with kinds, channels and frequencies that are unknown to this one.

use crate::fixture::*;
use common::base::Role;
use serde_json::{Value, json};
use testing::App;

/// Sets an attribute of an item in the marketer's inbox, as another version would have written it.
async fn set(app: &App, sort: &str, name: &str, value: &str) {
    let text = |text: String| aws_sdk_dynamodb::types::AttributeValue::S(text);
    let update = app.raw().update_item().table_name(&app.provisioned().tables["RecordsTable"]);
    let inbox = format!("{}#INBOX#{}", app.tenant_id(Acme), app.user_id(Acme, Role::Marketer));
    let update = update.key("pk", text(inbox)).key("sk", text(sort.to_owned())).update_expression("SET #name = :value");
    let update = update.expression_attribute_names("#name", name).expression_attribute_values(":value", text(value.to_owned()));
    update.condition_expression("attribute_exists(pk)").send().await.unwrap();
}

async fn stored(app: &App, sort: &str, name: &str) -> String {
    let items = inbox(app, app.tenant_id(Acme), app.user_id(Acme, Role::Marketer)).await;
    items.into_iter().find(|(key, _)| key == sort).unwrap().1.remove(name).unwrap()
}

#[tokio::test]
async fn notification_of_an_unknown_kind_is_skipped_and_kept() {
    let app = App::start().await;
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    deliver(&app, &[status_changed(&app, "DELIVERED"), status_changed(&app, "DELIVERED"), status_changed(&app, "DELIVERED")])
        .await;
    set(&app, "N#000000000002", "kind", "later_word").await;
    app.forget_log_lines();
    let page = list(&app, Acme, Role::Marketer).await;
    assert_eq!((seqs(&page), &page.json["unread_count"]), (vec![3, 1], &json!(3)));
    assert_eq!(app.log_lines().pop().unwrap()["stored.unknown"], 1);
    assert_eq!(seqs(&unread(&app, Acme, Role::Marketer).await), [3, 1]);
    let frames = app.all_frames().len();
    say(&app, &who, "phone", json!({"type": "replay", "from": 0})).await;
    let replayed: Vec<Value> =
        app.all_frames().into_iter().skip(frames).map(|frame| serde_json::to_value(frame).unwrap()).collect();
    assert!(format!("{replayed:?}").contains("replayed") && !format!("{replayed:?}").contains("later_word"), "{replayed:?}");
    at(&app, "2026-01-02T08:50:00Z");
    tick(&app).await;
    assert_eq!(app.mails()[0]["Content"]["Simple"]["Subject"]["Data"], "2 unread notifications");
    assert_eq!(stored(&app, "N#000000000002", "kind").await, "later_word");
    call(&app, Acme, Role::Marketer, "read_all_notifications").await.await;
    assert_eq!(list(&app, Acme, Role::Marketer).await.json["unread_count"], 0);
}

#[tokio::test]
async fn unknown_preferences_count_as_default_and_are_kept() {
    let app = App::start().await;
    prefer(&app, json!({"channels": {"shipment_updated": {"in_app": true, "push": true, "email": true}}})).await;
    let channels = json!({
        "shipment_updated": {"in_app": true, "push": true, "email": true, "sms": true},
        "reminder_due": {"in_app": true},
        "shipment_voided": {"in_app": "sometimes"},
    });
    for (name, value) in [("channels", channels.to_string().as_str()), ("digest", "weekly"), ("time_zone", "Mars/Olympus")] {
        set(&app, "PREFERENCES", name, value).await;
    }
    let shown = call(&app, Acme, Role::Marketer, "get_preferences").await.await;
    assert_eq!(
        (shown.status, &shown.json["digest"]["frequency"], &shown.json["time_zone"]),
        (200, &json!("daily"), &json!("UTC"))
    );
    assert_eq!(shown.json["channels"]["shipment_updated"], json!({"in_app": true, "push": true, "email": true}));
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    assert_eq!(stored(&app, "PREFERENCES", "digest").await, "weekly");
    prefer(&app, json!({"channels": {"shipment_updated": {"in_app": true, "push": false, "email": false}}})).await;
    let kept: Value = serde_json::from_str(&stored(&app, "PREFERENCES", "channels").await).unwrap();
    let expected = json!({
        "shipment_updated": {"in_app": true, "push": false, "email": false, "sms": true},
        "reminder_due": {"in_app": true},
        "shipment_voided": {"in_app": "sometimes"},
    });
    assert_eq!(kept, expected);
}
