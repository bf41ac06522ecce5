//! A tenant's log in tests: creates events, wakes the sealer, and reads the sealed log as an auditor does.

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use common::base::{Clock, EventId, TenantId, Timestamp};
use ledger::{Event, Head, Segment, Word};
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};
use testing::{App, Tenant};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// An audit event in the form that a function writes.
pub(crate) fn event(tenant: TenantId, id: EventId, at: Timestamp) -> Event {
    let event = json!({
        "format": 1, "event_id": id, "tenant_id": tenant, "sequence": null, "occurred_at": at, "type": "api.synthetic",
        "severity": "info",
        "actor": {"type": "service", "id": "synthetic", "role": null, "session_id": null, "ip": null, "user_agent": null},
        "on_behalf_of": null, "action": "viewSynthetic", "resources": [{"type": "Synthetic", "id": "syn_1"}], "disclosed": [],
        "redacted": [], "purpose_of_use": null, "outcome": "success", "status": 200, "reason": null, "policy": null, "count": 1,
        "correlation_id": "synthetic", "changes": [], "previous_hash": null, "hash": null,
    });
    serde_json::from_value(event).unwrap()
}

fn item(event: &Event) -> Item {
    let text = |text: String| AttributeValue::S(text);
    HashMap::from([
        ("pk".to_owned(), text(format!("{}#AUDIT", event.tenant_id))),
        ("sk".to_owned(), text(event.event_id.to_string())),
        ("event".to_owned(), text(String::from_utf8(event.to_json().unwrap()).unwrap())),
        ("count".to_owned(), AttributeValue::N("1".to_owned())),
        ("kind".to_owned(), text("audit".to_owned())),
    ])
}

/// Writes `n` events, a millisecond apart.
pub(crate) async fn happen(app: &App, tenant: Tenant, n: usize) -> Vec<String> {
    let tenant = app.tenant_id(tenant);
    let mut items = Vec::new();
    for _ in 0..n {
        app.clock().advance(Duration::from_millis(1));
        let now = app.clock().now();
        items.push(item(&event(tenant, EventId::new(now), now)));
    }
    let ids = items.iter().map(|item| item["sk"].as_s().unwrap().clone()).collect();
    for chunk in items.chunks(25) {
        let put = |item: &Item| {
            WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(item.clone())).build().unwrap()).build()
        };
        let requests = chunk.iter().map(put).collect();
        app.raw().batch_write_item().request_items(&app.provisioned().tables["LedgerTable"], requests).send().await.unwrap();
    }
    ids
}

/// Puts an item directly into the ledger table.
pub(crate) async fn put(app: &App, item: Item) {
    app.raw().put_item().table_name(&app.provisioned().tables["LedgerTable"]).set_item(Some(item)).send().await.unwrap();
}

/// An item of the ledger table.
pub(crate) async fn get(app: &App, tenant: Tenant, partition: &str, sort: &str) -> Item {
    let got = app
        .raw()
        .get_item()
        .table_name(&app.provisioned().tables["LedgerTable"])
        .key("pk", AttributeValue::S(format!("{}#{partition}", app.tenant_id(tenant))))
        .key("sk", AttributeValue::S(sort.to_owned()));
    got.send().await.unwrap().item.unwrap()
}

pub(crate) fn counted(tenant: TenantId, at: Timestamp, count: u32, settles_at: Timestamp) -> Item {
    let mut item = item(&event(tenant, EventId::of_minute(at, b"192.0.2.7"), at));
    item.insert("count".to_owned(), AttributeValue::N(count.to_string()));
    item.insert("settles_at".to_owned(), AttributeValue::N(settles_at.as_millis().to_string()));
    item
}

/// Wakes a tenant's sealer; returns whether it succeeded.
pub(crate) async fn wake(app: &App, tenant: Tenant) -> bool {
    let partition = format!("{}#AUDIT", app.tenant_id(tenant));
    let message = json!({"Records": [{
        "messageId": "1", "receiptHandle": "1", "body": json!({"wake_up": partition}).to_string(),
        "attributes": {"ApproximateReceiveCount": "1", "MessageGroupId": partition}, "messageAttributes": {},
        "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:test-seal-audit.fifo", "awsRegion": "us-east-1",
    }]});
    let answer = crate::consumers::CONSUMERS[0].consume(app.deps(), serde_json::from_value(message).unwrap()).await;
    answer.batch_item_failures.is_empty()
}

/// Runs a schedule.
pub(crate) async fn run(app: &App, name: &str) -> common::base::Result<usize> {
    crate::schedules::SCHEDULES.iter().find(|s| s.name == name).unwrap().run(app.deps()).await
}

pub(crate) fn segment_object(app: &App, tenant: Tenant, first: u64) -> String {
    format!("segments/{}/{first:012}.jsonl", app.tenant_id(tenant))
}

/// The sealed log in the first versions of its objects, verified from its beginning.
pub(crate) fn sealed(app: &App, tenant: Tenant) -> (Head, Vec<Event>) {
    let id = app.tenant_id(tenant).to_string();
    let mut head = Head::empty(Word::parse(id.as_str()).unwrap());
    let mut events = Vec::new();
    for (_, versions) in app.objects().into_iter().filter(|(key, _)| key.starts_with(&format!("segments/{id}/"))) {
        let segment = Segment::parse_after(&head, versions[0].bytes.clone()).unwrap();
        head = head.extend(&segment).unwrap();
        events.extend(segment.events().map(Result::unwrap));
    }
    (head, events)
}

pub(crate) async fn unsealed(app: &App, tenant: Tenant) -> Vec<String> {
    let partition = format!("{}#AUDIT", app.tenant_id(tenant));
    let items = app.dump("LedgerTable").await;
    let of_tenant = items.iter().filter(|item| *item["pk"].as_s().unwrap() == partition);
    of_tenant.map(|item| item["sk"].as_s().unwrap().clone()).collect()
}

/// Asserts that exactly these events are sealed, each once, in a valid log, and that none is left unsealed.
pub(crate) async fn assert_sealed_once(app: &App, tenant: Tenant, expected: &[String], when: &str) {
    let (head, events) = sealed(app, tenant);
    let ids: Vec<_> = events.iter().map(|event| event.event_id.to_string()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>(), expected.iter().collect(), "{when}: other events are sealed");
    assert_eq!(ids.len(), expected.len(), "{when}: an event is sealed twice");
    assert_eq!(unsealed(app, tenant).await, [""; 0], "{when}: events are left");
    let item = get(app, tenant, "HEAD", "HEAD").await;
    assert_eq!(*item["head"].as_s().unwrap(), head.to_text().unwrap(), "{when}: the head is elsewhere");
    assert!(!item.contains_key("cleanup"), "{when}: a cleanup is left");
}

/// Critical lines of the log.
pub(crate) fn alarms(app: &App) -> Vec<Value> {
    app.log_lines().into_iter().filter(|line| line["event"] == "audit.tamper_detected").collect()
}
