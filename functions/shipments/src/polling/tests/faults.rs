//! Repeated, late, concurrent and failing messages and calls.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_poll_is_one_query_and_one_update() {
    let world = world().await;
    let (id, other) = (world.shipment(Acme, 1).await, world.shipment(Acme, 2).await);
    world.scan(1, "OUT_FOR_DELIVERY");
    world.scan(2, "OUT_FOR_DELIVERY");
    world.round().await;
    let (log, version) = (world.app.audit(Acme).await, world.get(Acme, &id).await.json["version"].clone());
    let jobs = |log: &[Value]| log.iter().filter(|e| e["type"] == "job.poll_tracking").count();

    for (scanned, calls) in [
        // The second call is the circuit breaker's.
        (false, ["Query", "UpdateItem", "UpdateItem"]),
        (false, ["Query", "UpdateItem", "UpdateItem"]),
        (true, ["Query", "UpdateItem", "TransactWriteItems"]),
    ] {
        world.wait(MINUTES(12));
        if scanned {
            world.scan(1, "DELIVERED");
        }
        // The poll of the other shipment has loaded keys and token into memory.
        for (id, counted) in [(&other, false), (&id, true)] {
            world.wait(Duration::from_secs(2));
            let message = message(&world, Acme, id).await;
            let mut deliveries = world.deliveries();
            deliveries.send("poll_tracking", &message);
            world.app.reset_calls();
            assert!(deliveries.step().await);
            if counted {
                assert_eq!(world.app.calls().dynamodb, calls);
                assert_eq!((world.app.calls().ups, world.app.calls().kms.len()), (vec!["track".to_owned()], 0));
            }
        }
        let now = world.app.audit(Acme).await;
        assert_eq!(jobs(&now), jobs(&log) + usize::from(scanned), "a poll without changes is not audited");
        assert_eq!(world.get(Acme, &id).await.json["version"] == version, !scanned);
    }
    assert_eq!(world.get(Acme, &id).await.json["status"], "DELIVERED");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_or_late_message_has_no_second_effect() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    let late = message(&world, Acme, &id).await;
    world.run("schedule_tracking").await.unwrap();
    world.run("schedule_tracking").await.unwrap();
    world.deliveries().copies(3).shuffled(7).settle().await;
    assert_eq!(moves(&world.app, Acme).await, pairs(&["UNKNOWN", "LABEL_CREATED"]));
    // A message with an old due time does not cause a call to the carrier.
    let asked = world.ups.statistics().calls(Endpoint::Track);
    let mut deliveries = world.deliveries();
    deliveries.send("poll_tracking", &late);
    deliveries.step().await;
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), asked);
    assert_eq!(world.outcomes().last().unwrap(), "stale");
    assert_eq!(world.items(&id).await.iter().filter(|i| i["sk"].as_str().unwrap().starts_with("EVENT#")).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_answer_loses_no_data() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    for (i, fault) in
        [Fault::MalformedJson, Fault::TruncatedBody, Fault::WrongContentType, Fault::Dropped].into_iter().enumerate()
    {
        world.ups.faults().next(1, Endpoint::Track, fault);
        world.round_after(HOURS(1)).await;
        let poll = world.item(&id, "POLL").await.unwrap();
        assert_eq!(poll["failures"], (i + 1).to_string(), "{fault:?}");
        assert!(poll.get("last_polled_at").is_none(), "the carrier has not answered");
        assert!(world.due(&id).await.unwrap() > now(&world.app));
    }
    assert_eq!(world.get(Acme, &id).await.json["status"], "UNKNOWN");
    world.round_after(HOURS(5)).await;
    assert_eq!(world.get(Acme, &id).await.json["status"], "LABEL_CREATED");
    assert_eq!(world.item(&id, "POLL").await.unwrap()["failures"], "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn poll_killed_at_any_await_is_stored_wholly_or_not_at_all() {
    let world = world().await;
    let mut killed = 0;
    for n in 1.. {
        let id = world.shipment(Acme, n).await;
        world.scan(n, "IN_TRANSIT");
        let message = message(&world, Acme, &id).await;
        let mut deliveries = world.deliveries();
        deliveries.send("poll_tracking", &message);
        let (consumer, event) = deliveries.take().unwrap();
        let done = kill_after(usize::try_from(n).unwrap(), consumer.consume(world.app.deps(), event.clone())).await.is_some();
        killed += usize::from(!done);
        // Either all of the poll's writes are visible or none.
        let seen = world.get(Acme, &id).await;
        let scans = world.items(&id).await.iter().filter(|i| i["sk"].as_str().unwrap().starts_with("EVENT#")).count();
        let whole = seen.json["status"] == "IN_TRANSIT";
        assert_eq!((scans, seen.json["version"] == 2), if whole { (2, true) } else { (0, false) }, "after {n} polls");
        // The queue redelivers the message. The killed poll may have held the token's lease or the breaker's probe.
        world.wait(MINUTES(1));
        let again = consumer.consume(world.app.deps(), event).await;
        assert!(again.batch_item_failures.is_empty(), "after {n} polls");
        assert_eq!(world.get(Acme, &id).await.json["status"], "IN_TRANSIT", "after {n} polls");
        let heard = events(&world.app, Acme).await;
        let of_it = heard.iter().filter(|(s, e)| s == "shipment.status_changed" && e["shipment_id"] == id.as_str()).count();
        assert_eq!(of_it, 1, "after {n} polls");
        if done {
            break;
        }
    }
    // A call that completes immediately has no await point, so there may be fewer of them on a busy machine.
    assert!(killed >= 2, "{killed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_call_anywhere_leaves_the_poll_to_the_next_try() {
    for (n, (operation, fault)) in [
        ("Query", WireFault::Gone),
        ("UpdateItem", WireFault::Gone),
        ("UpdateItem", WireFault::LostAnswer),
        ("TransactWriteItems", WireFault::Gone),
        ("TransactWriteItems", WireFault::LostAnswer),
        ("TransactWriteItems", WireFault::Conflict),
        ("track", WireFault::Gone),
        ("token", WireFault::Gone),
        ("GetSecretValue", WireFault::Gone),
    ]
    .into_iter()
    .enumerate()
    {
        let world = world().await;
        let id = world.shipment(Acme, 1).await;
        world.app.wire().fail(operation, n % 2, 3, fault);
        // If the schedule fails, its next run is a minute later.
        let _ = world.run("schedule_tracking").await;
        let mut deliveries = world.deliveries();
        deliveries.collect().await;
        for _ in 0..5 {
            deliveries.step().await;
        }
        world.app.wire().heal();
        for _ in 0..3 {
            world.round_after(HOURS(5)).await;
        }
        assert_eq!(world.get(Acme, &id).await.json["status"], "LABEL_CREATED", "{operation} {fault:?}");
        assert_eq!(moves(&world.app, Acme).await.len(), 1, "{operation} {fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn update_and_poll_do_not_overwrite_each_other() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    world.round().await;
    assert_eq!(update(&world.app, Role::Marketer, &id, 2, json!({"reference": "Sentinel Other"})).await.status, 200);
    let seen = world.get(Acme, &id).await;
    assert_eq!((&seen.json["status"], &seen.json["last_event"]["status"]), (&json!("LABEL_CREATED"), &json!("LABEL_CREATED")));
    world.wait(HOURS(5));
    world.scan(1, "IN_TRANSIT");
    world.round().await;
    let seen = world.get(Acme, &id).await;
    assert_eq!((&seen.json["status"], &seen.json["reference"]), (&json!("IN_TRANSIT"), &json!("Sentinel Other")));
    let viewer = world.signed_in(Acme, Role::Viewer).await;
    let found = viewer.call(endpoint("search_shipments")).json(json!({"reference": "sentinel other"})).await;
    assert_eq!(ids(&found), [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn update_during_a_poll_keeps_both_changes() {
    update_during("poll_tracking", "shipment.poll_due").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn update_during_a_requested_poll_keeps_both_changes() {
    update_during("refresh_tracking", "shipment.refresh_requested").await;
}

async fn update_during(consumer: &str, schema: &str) {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    let mut deliveries = world.deliveries();
    let mut message = message(&world, Acme, &id).await;
    message["schema"] = json!(schema);
    deliveries.send(consumer, &message);
    let (consumer, event) = deliveries.take().unwrap();
    let mut held = world.app.wire().hold("track", 0);
    let mut polling = Box::pin(consumer.consume(world.app.deps(), event.clone()));
    tokio::select! {
        _ = &mut polling => panic!("the carrier is not polled"),
        () = held.arrived() => {}
    }
    let updated = update(&world.app, Role::Marketer, &id, 1, json!({"reference": "Sentinel Other"})).await;
    held.let_go();
    assert_eq!((updated.status, polling.await.batch_item_failures.len()), (200, 1));
    assert!(consumer.consume(world.app.deps(), event).await.batch_item_failures.is_empty());
    let seen = world.get(Acme, &id).await;
    assert_eq!((&seen.json["status"], &seen.json["reference"]), (&json!("LABEL_CREATED"), &json!("Sentinel Other")));
    assert_eq!(seen.json["version"], 3);
    assert_eq!(moves(&world.app, Acme).await.len(), 1);
}
