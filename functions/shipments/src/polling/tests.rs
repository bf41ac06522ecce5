use super::fixture::*;
use crate::{consumers::CONSUMERS, endpoints::fixture::*};
use common::base::Role;
use emulators::ups::{Endpoint, Fault};
use serde_json::{Value, json};
use std::time::Duration;
use testing::{
    App, Fault as WireFault,
    Tenant::{Acme, Birch},
    kill_after,
};

mod fairness;
mod faults;
mod gate;
mod statuses;

const MINUTES: fn(u64) -> Duration = |n| Duration::from_secs(60 * n);
const HOURS: fn(u64) -> Duration = |n| Duration::from_secs(3600 * n);

/// The status changes of a shipment, from its domain events.
async fn moves(app: &App, tenant: testing::Tenant) -> Vec<(String, String)> {
    let events = events(app, tenant).await;
    let moved = events.into_iter().filter(|(schema, _)| schema == "shipment.status_changed");
    moved.map(|(_, e)| (e["from"].as_str().unwrap().to_owned(), e["to"].as_str().unwrap().to_owned())).collect()
}

fn pairs(statuses: &[&str]) -> Vec<(String, String)> {
    statuses.windows(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
}

/// A message about a shipment with its current due time.
async fn message(world: &World, tenant: testing::Tenant, id: &str) -> Value {
    let now = now(&world.app);
    json!({
        "id": common::base::EventId::new(now),
        "tenant_id": world.app.tenant_id(tenant),
        "actor": "schedule_tracking",
        "on_behalf_of": null,
        "cause": common::base::EventId::new(now),
        "correlation_id": "test",
        "schema": "shipment.poll_due",
        "version": 1,
        "occurred_at": now,
        "payload": {"shipment_id": id, "due_at": world.due(id).await},
    })
}

/// An answer that contains everything that must not be stored.
fn answer(activities: &Value) -> &'static str {
    let answer = json!({"trackResponse": {"shipment": [{"inquiryNumber": number(1), "package": [{
        "trackingNumber": number(1),
        "activity": activities,
        "currentStatus": {"description": "On the Way Sentinelwords", "statusCode": "005", "code": "005", "simplifiedTextDescription": "x"},
        "deliveryDate": [{"type": "SDD", "date": "20260103"}],
        "deliveryTime": {"type": "EOD", "endTime": ""},
        "deliveryInformation": {
            "receivedBy": "SENTINELRECEIVER",
            "location": "Sentinelporch",
            "signature": {"image": "SENTINELSIGNATURE"},
            "deliveryPhoto": {"photo": "SENTINELPHOTO"},
        },
        "packageAddress": [{"type": "DESTINATION", "name": "SENTINELNAME", "address": {"addressLine1": "SENTINELSTREET", "city": "SENTINELTOWN"}}],
        "referenceNumber": [{"type": "S", "number": "SENTINELREFERENCE"}],
    }]}]}});
    Box::leak(answer.to_string().into_boxed_str())
}

fn activity(kind: &str, code: &str, time: &str, city: &str) -> Value {
    json!({
        "location": {"address": {"city": city, "stateProvince": "NV", "countryCode": "US", "postalCode": "89501"}, "slic": "1"},
        "status": {"type": kind, "description": format!("Sentinelscan {code}"), "code": "ZZ", "statusCode": code},
        "date": "20260101", "time": "000000", "gmtDate": "20260101", "gmtOffset": "-08:00", "gmtTime": time,
    })
}

#[test]
fn poll_and_refresh_queues_have_different_names() {
    let names: Vec<_> = CONSUMERS.iter().map(|c| c.queue.name).collect();
    assert_eq!(names, ["poll-tracking", "refresh-tracking"]);
}
