//! Helpers that the tests of these endpoints share.

use super::ALL;
use crate::tracking_number::{Classified, TrackingNumber};
use common::{base::Role, request::AnyEndpoint};
use serde_json::{Value, json};
use std::time::Duration;
use testing::{Answer, App, Tenant};

pub(crate) const NAME: &str = "Ada Sentinel";
pub(crate) const REFERENCE: &str = "Sentinel Order";
pub(crate) const CONTENTS: &str = "Sentinel pills";

pub(crate) fn endpoint(name: &str) -> &'static AnyEndpoint {
    testing::find(ALL, name)
}

/// The `n`th of many numbers with a valid check digit.
pub(crate) fn number(n: u32) -> String {
    let body = format!("1ZCIETST{n:09}");
    match TrackingNumber::classify(&format!("{body}0")) {
        Classified::BadCheckDigit { expected, .. } => format!("{body}{expected}"),
        _ => format!("{body}0"),
    }
}

pub(crate) fn body(n: u32) -> Value {
    json!({
        "tracking_number": number(n),
        "reference": format!("{REFERENCE} {n}"),
        "recipient": {
            "name": NAME,
            "phone": "+1 555 555 0147",
            "email": "ada.sentinel@patients.example",
            "address": {"line1": "1 Sentinel Way", "line2": null, "city": "Sentinelville", "state": "NV", "postal_code": "89501", "country": "US"},
        },
        "contents": CONTENTS,
    })
}

/// Registers a shipment as a marketer. The clock then advances by one second.
pub(crate) async fn create(app: &App, tenant: Tenant, body: Value) -> Answer {
    let answer = app.as_role(tenant, Role::Marketer).call(endpoint("create_shipment")).json(body).await;
    app.clock().advance(Duration::from_secs(1));
    answer
}

/// Like `create`, for a call that must succeed; returns the id.
pub(crate) async fn created(app: &App, tenant: Tenant, body: Value) -> String {
    let answer = create(app, tenant, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json["shipment_id"].as_str().unwrap().to_owned()
}

pub(crate) async fn get(app: &App, tenant: Tenant, id: &str) -> Answer {
    app.as_role(tenant, Role::Viewer).call(endpoint("get_shipment")).path("shipment_id", id).await
}

pub(crate) async fn update(app: &App, role: Role, id: &str, version: i64, patch: Value) -> Answer {
    let call = app.as_role(Tenant::Acme, role).call(endpoint("update_shipment"));
    call.path("shipment_id", id).if_match(version).json(patch).await
}

pub(crate) async fn void(app: &App, id: &str) -> Answer {
    app.as_role(Tenant::Acme, Role::Marketer).call(endpoint("void_shipment")).path("shipment_id", id).await
}

pub(crate) async fn search(app: &App, tenant: Tenant, body: Value) -> Answer {
    app.as_role(tenant, Role::Viewer).call(endpoint("search_shipments")).json(body).await
}

/// The ids of a page's shipments.
pub(crate) fn ids(page: &Answer) -> Vec<String> {
    assert_eq!(page.status, 200, "{}", page.text);
    page.json["items"].as_array().unwrap().iter().map(|s| s["shipment_id"].as_str().unwrap().to_owned()).collect()
}

/// Field and code of every error of a 422.
pub(crate) fn errors(answer: &Answer) -> Vec<(&str, &str)> {
    assert_eq!(answer.status, 422, "{}", answer.text);
    answer.json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["field"].as_str().unwrap(), e["code"].as_str().unwrap()))
        .collect()
}

/// The audit events of a tenant's users, oldest first, without the events of the tenant's creation.
pub(crate) async fn audit(app: &App, tenant: Tenant) -> Vec<Value> {
    let mut events = app.audit(tenant).await;
    events.retain(|e| e["actor"]["type"] == "user");
    events
}

/// The newest of these events, without the members that differ between runs.
pub(crate) async fn last_audit(app: &App, tenant: Tenant) -> Value {
    let event = audit(app, tenant).await.pop().expect("an audit event");
    let fields =
        ["type", "actor", "action", "resources", "disclosed", "purpose_of_use", "outcome", "status", "reason", "changes"];
    let mut shown: serde_json::Map<_, _> = fields.iter().map(|name| ((*name).to_owned(), event[*name].clone())).collect();
    shown["actor"] = event["actor"]["role"].clone();
    shown.into()
}

/// Schema and payload of a tenant's domain events, oldest first.
pub(crate) async fn events(app: &App, tenant: Tenant) -> Vec<(String, Value)> {
    let events = app.domain_events(tenant).await;
    events.into_iter().map(|e| (e["schema"].as_str().unwrap().to_owned(), e["payload"].clone())).collect()
}

/// Resets the callers' rate limits, and counts calls from here on.
pub(crate) fn count_from_here(app: &App) {
    app.clock().advance(Duration::from_secs(2));
    app.reset_calls();
}

/// All stored and logged data, as one text.
pub(crate) async fn everything_kept(app: &App) -> String {
    let mut text = String::new();
    for table in ["RecordsTable", "LedgerTable", "KeysTable", "EphemeraTable"] {
        for (name, value) in app.dump(table).await.into_iter().flatten() {
            text.push_str(&name);
            match value.as_b() {
                Ok(bytes) => text.push_str(&String::from_utf8_lossy(bytes.as_ref())),
                Err(other) => text.push_str(&format!("{other:?}")),
            }
        }
    }
    text + &serde_json::to_string(&app.log_lines()).unwrap()
}
