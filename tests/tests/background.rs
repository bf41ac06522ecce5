//! What must hold of every consumer, shown by one that counts: nothing is lost, nothing is done twice, and what cannot be
//! handled is given up with a reason.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::Role;
use serde_json::{Value, json};
use std::time::Duration;
use suite::{
    counter::{COUNTER, SLEEPER},
    fixture::Fixture,
};
use testing::{App, Fault, Tenant, kill_after};

async fn create(app: &App, tenant: Tenant, n: usize) {
    let endpoint = registry::all().find(|e| e.name == "create_shipment").unwrap();
    for _ in 0..n {
        let fixture = Fixture::new(app).await;
        let answer = fixture.call(&app.as_identity(app.open_session(tenant, Role::Marketer).await), endpoint).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
}

/// What the counter has counted in a tenant.
async fn counted(app: &App, tenant: Tenant) -> u64 {
    let pk = format!("{}#COUNT", app.tenant_id(tenant));
    let rows = app.dump("RecordsTable").await;
    let row = rows.iter().find(|row| row["pk"].as_s().unwrap() == &pk);
    row.map_or(0, |row| row["count"].as_n().unwrap().parse().unwrap())
}

async fn created(app: &App, tenant: Tenant) -> u64 {
    let told = app.domain_events(tenant).await;
    told.iter().filter(|e| e["schema"] == "shipment.created").count().try_into().unwrap()
}

async fn told_again(app: &App, tenant: Tenant) -> u64 {
    let told = app.domain_events(tenant).await;
    told.iter().filter(|e| e["schema"] == "test.counted").count().try_into().unwrap()
}

async fn jobs(app: &App, tenant: Tenant) -> Vec<Value> {
    app.audit(tenant).await.into_iter().filter(|e| e["type"] == "job.counter").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn told_three_times_and_in_any_order_each_event_is_handled_once() {
    for seed in 1..=5 {
        let app = App::start().await;
        create(&app, Tenant::Acme, 4).await;
        create(&app, Tenant::Birch, 2).await;
        let mut deliveries = app.deliveries([&COUNTER]).copies(3).shuffled(seed);
        deliveries.settle().await;
        assert!(deliveries.dead().is_empty());
        for tenant in [Tenant::Acme, Tenant::Birch] {
            let expected = created(&app, tenant).await;
            assert_eq!(counted(&app, tenant).await, expected, "seed {seed}");
            assert_eq!(told_again(&app, tenant).await, expected, "seed {seed}");
            // Two parts an event, each with an audit event of its own.
            assert_eq!(jobs(&app, tenant).await.len() as u64, 2 * expected, "seed {seed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn put_back_again_and_again_for_weeks_a_message_is_handled_once() {
    let app = App::start().await;
    create(&app, Tenant::Acme, 1).await;
    let told = app.domain_events(Tenant::Acme).await.into_iter().find(|e| e["schema"] == "shipment.created").unwrap();
    app.deliveries([&COUNTER]).settle().await;
    let expected = counted(&app, Tenant::Acme).await;
    for _ in 0..3 {
        app.clock().advance(Duration::from_secs(14 * 24 * 60 * 60));
        let mut deliveries = app.deliveries([&COUNTER]);
        deliveries.send("counter", &told);
        assert!(deliveries.step().await && deliveries.is_empty());
        assert_eq!((counted(&app, Tenant::Acme).await, told_again(&app, Tenant::Acme).await), (expected, expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effects_audit_event_says_who_caused_it() {
    let app = App::start().await;
    create(&app, Tenant::Acme, 1).await;
    app.deliveries([&COUNTER]).settle().await;
    let event = jobs(&app, Tenant::Acme).await.into_iter().find(|e| !e["resources"].as_array().unwrap().is_empty()).unwrap();
    assert_eq!(event["actor"]["type"], "service");
    assert_eq!(event["actor"]["id"], "counter");
    assert_eq!(event["on_behalf_of"]["id"], app.user_id(Tenant::Acme, Role::Marketer).to_string());
    let caused = app.domain_events(Tenant::Acme).await.into_iter().find(|e| e["schema"] == "test.counted").unwrap();
    let cause = app.domain_events(Tenant::Acme).await.into_iter().find(|e| e["schema"] == "shipment.created").unwrap();
    assert_eq!(caused["correlation_id"], cause["correlation_id"]);
    assert_eq!(caused["on_behalf_of"], cause["actor"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_await_a_message_is_handled_once_when_it_comes_again() {
    for after in 0..40 {
        let app = App::start().await;
        create(&app, Tenant::Acme, 1).await;
        let mut deliveries = app.deliveries([&COUNTER]);
        deliveries.collect().await;
        let (consumer, event) = deliveries.take().unwrap();
        let killed = kill_after(after, consumer.consume(app.deps(), event)).await.is_none();
        // Lambda tells a message again whose handler did not answer.
        app.deliveries([&COUNTER]).settle().await;
        let expected = created(&app, Tenant::Acme).await;
        assert_eq!(counted(&app, Tenant::Acme).await, expected, "killed after {after} polls");
        assert_eq!(told_again(&app, Tenant::Acme).await, expected, "killed after {after} polls");
        if !killed {
            return;
        }
    }
    panic!("it never came to its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_call_is_lost_the_message_comes_again_and_is_handled_once() {
    for fault in [Fault::Gone, Fault::Throttled, Fault::Conflict, Fault::LostAnswer] {
        for index in 0..3 {
            let app = App::start().await;
            create(&app, Tenant::Acme, 1).await;
            let mut deliveries = app.deliveries([&COUNTER]);
            deliveries.collect().await;
            app.wire().fail("dynamodb", index, 3, fault);
            deliveries.step().await;
            app.wire().heal();
            deliveries.settle().await;
            assert_eq!(counted(&app, Tenant::Acme).await, created(&app, Tenant::Acme).await, "{fault:?} at call {index}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_is_given_up_with_its_reason_and_stops_nobody() {
    let app = App::start().await;
    create(&app, Tenant::Acme, 2).await;
    let mut envelope = app.domain_events(Tenant::Acme).await.into_iter().find(|e| e["schema"] == "shipment.created").unwrap();
    let mut deliveries = app.deliveries([&COUNTER]);
    deliveries.send("counter", &json!("no envelope"));
    envelope["version"] = 2.into();
    deliveries.send("counter", &envelope);
    envelope["version"] = 1.into();
    envelope["payload"] = json!({"shipment_id": 7});
    deliveries.send("counter", &envelope);
    deliveries.settle().await;
    assert_eq!(deliveries.dead().len(), 3);
    assert_eq!(counted(&app, Tenant::Acme).await, created(&app, Tenant::Acme).await);

    let letters: Vec<_> = app.dump("EphemeraTable").await;
    let letters = letters.iter().filter(|row| row["pk"].as_s().unwrap().ends_with("#DEAD_LETTERS#counter"));
    let mut reasons: Vec<_> = letters.map(|row| row["reason"].as_s().unwrap().as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        ["internal: message does_not_fit", "internal: message not_an_envelope", "internal: message unknown_schema"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_stops_at_its_first_failure_and_others_go_on() {
    let app = App::start().await;
    let record = |id: &str, tenant: String| {
        json!({
            "messageId": id,
            "body": json!({"wake_up": format!("{tenant}#AUDIT")}).to_string(),
            "attributes": {"ApproximateReceiveCount": "1", "MessageGroupId": tenant},
            "messageAttributes": {},
        })
    };
    let (acme, platform) = (app.tenant_id(Tenant::Acme).to_string(), common::TenantId::PLATFORM.to_string());
    let records = json!({"Records": [
        record("a1", acme.clone()), record("p1", platform.clone()), record("a2", acme), record("p2", platform),
    ]});
    let failed = SLEEPER.consume(app.deps(), serde_json::from_value(records).unwrap()).await;
    let failed: Vec<_> = failed.batch_item_failures.iter().map(|f| f.item_identifier.as_str()).collect();
    assert_eq!(failed, ["a1", "a2"]);
    let lines = serde_json::to_string(&app.log_lines()).unwrap();
    assert!(lines.contains("\"error.cause\":\"internal: panic\"") && !lines.contains("nobody may see"), "{lines}");
    // The second of the group was not even tried.
    assert_eq!(app.log_lines().iter().filter(|l| l["function"] == "sleeper" && l["outcome"] == "failed").count(), 1);
}
