//! Helpers that this domain's tests share: published events, connected users, and the notifications that they get.

use crate::{consumers::CONSUMERS, endpoints::ALL, schedules::SCHEDULES, sockets::SOCKETS};
use aws_sdk_dynamodb::types::AttributeValue::{N, S};
use common::{
    background::AnySocket,
    base::{Clock, EventId, Identity, Role, TenantId, UserId, Uuid},
};
use serde_json::{Value, json};
use std::time::Duration;
use testing::{Answer, App, Call, Deliveries, Tenant};

pub(crate) use testing::Tenant::{Acme, Birch};

/// A domain event as the bus delivers it, with its own id.
#[derive(Clone, Debug)]
pub(crate) struct BusMessage {
    pub(crate) id: EventId,
    pub(crate) body: Value,
}

/// An event `schema` with `payload` in `tenant`, whose actor is `actor`.
pub(crate) fn told(app: &App, tenant: TenantId, actor: &str, schema: &str, payload: Value) -> BusMessage {
    let now = app.clock().now();
    let id = EventId::new(now);
    let envelope = json!({
        "id": id,
        "tenant_id": tenant,
        "actor": actor,
        "on_behalf_of": null,
        "cause": EventId::new(now),
        "correlation_id": "test-1",
        "schema": schema,
        "version": 1,
        "occurred_at": now,
        "payload": payload,
    });
    let detail = json!({"schema": schema, "envelope": envelope.to_string()});
    BusMessage { id, body: json!({"version": "0", "source": "cloister", "detail-type": "domain-event", "detail": detail}) }
}

pub(crate) fn shipment(app: &App) -> String {
    crate::events::ShipmentId::new(app.clock().now()).to_string()
}

/// A status change of a shipment that belongs to Acme's marketer.
pub(crate) fn status_changed(app: &App, to: &str) -> BusMessage {
    let payload = json!({
        "shipment_id": shipment(app),
        "from": "IN_TRANSIT",
        "to": to,
        "created_by": app.user_id(Acme, Role::Marketer),
        "assigned_to": null,
        "version": 3,
        "recipient": "Ada Sentinel",
    });
    told(app, app.tenant_id(Acme), "poll_tracking", "shipment.status_changed", payload)
}

pub(crate) fn queues(app: &App) -> Deliveries<'_> {
    app.deliveries(CONSUMERS)
}

/// Delivers events once each, in order.
pub(crate) async fn deliver(app: &App, events: &[BusMessage]) {
    let mut queues = queues(app);
    for event in events {
        queues.send("deliver_notification", &event.body);
    }
    while queues.step().await {}
    assert_eq!(queues.dead(), []);
}

/// A call of an endpoint in a new session, whose rate limit is not used yet.
pub(crate) async fn call<'a>(app: &'a App, tenant: Tenant, role: Role, name: &str) -> Call<'a> {
    let who = app.open_session(tenant, role).await;
    app.as_identity(who).call(testing::find(ALL, name))
}

pub(crate) async fn list(app: &App, tenant: Tenant, role: Role) -> Answer {
    let answer = call(app, tenant, role, "list_notifications").await.query("limit", 100).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

pub(crate) async fn unread(app: &App, tenant: Tenant, role: Role) -> Answer {
    let answer = call(app, tenant, role, "list_notifications").await.query("unread", true).query("limit", 100).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

/// The numbers of a page's notifications.
pub(crate) fn seqs(page: &Answer) -> Vec<i64> {
    page.json["items"].as_array().unwrap().iter().map(|n| n["seq"].as_i64().unwrap()).collect()
}

pub(crate) fn kinds(page: &Answer) -> Vec<&str> {
    page.json["items"].as_array().unwrap().iter().map(|n| n["kind"].as_str().unwrap()).collect()
}

/// The `n`th newest notification's id.
pub(crate) fn id(page: &Answer, n: usize) -> String {
    page.json["items"][n]["notification_id"].as_str().unwrap().to_owned()
}

/// Sets the preferences of Acme's marketer, for any earlier version.
pub(crate) async fn prefer(app: &App, preferences: Value) {
    let answer = call(app, Acme, Role::Marketer, "put_preferences").await.header("If-Match", "*").json(preferences).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

pub(crate) fn socket(name: &str) -> &'static AnySocket {
    SOCKETS.iter().find(|socket| socket.name == name).unwrap()
}

/// Opens a session, and a socket in it.
pub(crate) async fn connect(app: &App, tenant: Tenant, role: Role, connection: &str) -> Identity {
    let who = app.open_session(tenant, role).await;
    assert_eq!(app.socket(socket("connect"), &who, connection, None).await, 200);
    who
}

pub(crate) async fn say(app: &App, who: &Identity, connection: &str, frame: Value) {
    app.clock().advance(Duration::from_secs(1));
    assert_eq!(app.socket(socket("message"), who, connection, Some(&frame)).await, 200);
}

/// Runs the schedules.
pub(crate) async fn tick(app: &App) -> usize {
    SCHEDULES[0].run(app.deps()).await.unwrap()
}

/// Moves the clock to an RFC 3339 time.
pub(crate) fn at(app: &App, time: &str) {
    app.clock().set(time.parse().unwrap());
}

/// The items of `INBOX#<user>` of a tenant, with their sort keys.
pub(crate) async fn inbox(app: &App, tenant: TenantId, user: UserId) -> Vec<(String, std::collections::HashMap<String, String>)> {
    let pk = format!("{tenant}#INBOX#{user}");
    let mut items = Vec::new();
    for item in app.dump("RecordsTable").await {
        if item["pk"].as_s() == Ok(&pk) {
            let text = |v: &_| match v {
                S(s) | N(s) => s.clone(),
                other => format!("{other:?}"),
            };
            items.push((item["sk"].as_s().unwrap().clone(), item.iter().map(|(k, v)| (k.clone(), text(v))).collect()));
        }
    }
    items.sort_by(|a: &(String, _), b| a.0.cmp(&b.0));
    items
}

/// All sent frames and mails, and all stored and logged data about notifications, as one text.
pub(crate) async fn everything_told(app: &App) -> String {
    let mut text = format!("{:?}{:?}", app.all_frames(), app.mails());
    for item in app.dump("RecordsTable").await {
        if item["pk"].as_s().is_ok_and(|pk| pk.contains("#INBOX#")) {
            text.push_str(&format!("{item:?}"));
        }
    }
    text + &serde_json::to_string(&app.log_lines()).unwrap()
}

/// A report of SES about `address`, as SNS delivers it.
pub(crate) fn report(event: Value) -> Value {
    json!({"Type": "Notification", "MessageId": Uuid::from_bytes(common::base::random::bytes()), "Timestamp": "2026-01-01T12:00:00.000Z", "Message": event.to_string()})
}
