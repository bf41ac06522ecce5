//! When the shared circuit breaker stops calls to the carrier, and which credentials the calls use.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_start_together_request_one_token() {
    let world = world().await;
    let ids = [world.shipment(Acme, 1).await, world.shipment(Birch, 2).await];
    // Another process, with empty caches.
    let clock = std::sync::Arc::new(testing::ManualClock::at(now(&world.app).as_millis()));
    let log = std::sync::Arc::new(common::base::telemetry::Stdout);
    let other = common::request::Deps::new(world.app.deps().config().clone(), world.app.aws(), clock, log).unwrap();
    let other = other.with_everything(world.app.aws());
    let mut deliveries = world.deliveries();
    deliveries.send("poll_tracking", &message(&world, Acme, &ids[0]).await);
    deliveries.send("poll_tracking", &message(&world, Birch, &ids[1]).await);
    let (consumer, one) = deliveries.take().unwrap();
    let (_, two) = deliveries.take().unwrap();
    tokio::join!(consumer.consume(world.app.deps(), one), consumer.consume(&other, two));
    assert_eq!(world.ups.statistics().calls(Endpoint::Token), 1);
    assert_eq!((moves(&world.app, Acme).await.len(), moves(&world.app, Birch).await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_token_is_renewed_once_and_the_call_is_repeated() {
    let world = world().await;
    for n in 1..=4 {
        world.shipment(Acme, n).await;
    }
    world.round().await;
    let statistics = world.ups.statistics();
    assert_eq!((statistics.calls(Endpoint::Token), statistics.calls(Endpoint::Track)), (1, 4));
    world.ups.revoke_tokens();
    world.wait(HOURS(14));
    for n in 1..=4 {
        world.scan(n, "IN_TRANSIT");
    }
    world.round().await;
    assert_eq!(world.ups.statistics().calls(Endpoint::Token), 2);
    assert_eq!(moves(&world.app, Acme).await.len(), 8);
    // The token is stored for all functions, and not in the clear.
    assert!(!everything_kept(&world.app).await.contains("Bearer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_secret_is_read_after_the_old_one_is_refused() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    world.round().await;
    world.ups.rotate_secret("synthetic-next");
    world.ups.revoke_tokens();
    world.app.wire().with_carrier(world.ups.endpoint(), secret("synthetic-next"));
    world.wait(MINUTES(2));
    world.scan(1, "IN_TRANSIT");
    world.round_after(HOURS(5)).await;
    assert_eq!(world.get(Acme, &id).await.json["status"], "IN_TRANSIT", "{:?}", world.app.log_lines());
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limited_polling_pauses_for_retry_after_and_loses_nothing() {
    let world = world().await;
    for n in 1..=3 {
        world.shipment(Acme, n).await;
    }
    let other = world.shipment(Birch, 4).await;
    world.ups.faults().next(1, Endpoint::Track, Fault::RateLimited { retry_after: Some(120) });
    world.run("schedule_tracking").await.unwrap();
    let mut deliveries = world.deliveries();
    deliveries.collect().await;
    while deliveries.step().await {}
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), 1, "no call follows the first refusal");
    assert_eq!(world.outcomes(), ["shut"; 4]);
    assert!(deliveries.dead().is_empty());
    // The shipment stays due, and the schedule queues no messages that could not be handled.
    world.wait(MINUTES(1));
    world.run("schedule_tracking").await.unwrap();
    assert_eq!(world.deliveries().collect().await, 0);
    world.wait(MINUTES(2));
    // One probe runs first; its success closes the breaker for all.
    world.round().await;
    world.round().await;
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), 5);
    assert_eq!((moves(&world.app, Acme).await.len(), moves(&world.app, Birch).await.len()), (3, 1));
    assert_eq!(world.get(Birch, &other).await.json["status"], "LABEL_CREATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_carrier_opens_the_breaker_until_a_probe_succeeds() {
    let world = world().await;
    for n in 1..=8 {
        world.shipment(Acme, n).await;
    }
    world.ups.faults().next(100, Endpoint::Track, Fault::ServerError);
    world.run("schedule_tracking").await.unwrap();
    let mut deliveries = world.deliveries();
    deliveries.collect().await;
    while deliveries.step().await {}
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), 5, "five failures in a row open the circuit");
    assert_eq!(world.outcomes(), [vec!["failed"; 5], vec!["shut"; 3]].concat());
    // The probe fails, so the breaker stays open.
    world.wait(Duration::from_secs(31));
    world.run("schedule_tracking").await.unwrap();
    world.deliveries().settle().await;
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), 6);
    // The next probe succeeds.
    world.ups.faults().clear();
    world.wait(MINUTES(10));
    world.round().await;
    world.round().await;
    assert_eq!(moves(&world.app, Acme).await, vec![("UNKNOWN".to_owned(), "LABEL_CREATED".to_owned()); 8]);
}

/// Delivers all due messages to one run of the consumer.
async fn batch(world: &World) {
    world.run("schedule_tracking").await.unwrap();
    let mut deliveries = world.deliveries();
    deliveries.collect().await;
    let (consumer, mut event) = deliveries.take().unwrap();
    event.records.extend(std::iter::from_fn(|| deliveries.take()).flat_map(|(_, event)| event.records));
    consumer.consume(world.app.deps(), event).await;
}

/// The time until which the breaker is open.
async fn shut_until(world: &World) -> Option<i64> {
    let rows = world.app.dump("EphemeraTable").await;
    let gate = rows.iter().find(|row| row["pk"].as_s().unwrap().ends_with("#GATE#ups")).unwrap();
    gate.get("open_until").map(|at| at.as_n().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_failures_open_the_breaker_no_longer_than_serial_ones() {
    let world = world().await;
    for n in 1..=8 {
        world.shipment(Acme, n).await;
    }
    world.ups.faults().next(100, Endpoint::Track, Fault::ServerError);
    batch(&world).await;
    assert!(world.ups.statistics().calls(Endpoint::Track) >= 5);
    assert_eq!(shut_until(&world).await, Some(now(&world.app).plus(Duration::from_secs(15)).as_millis()));
}

#[tokio::test(flavor = "multi_thread")]
async fn late_success_does_not_close_a_breaker_opened_in_the_meantime() {
    let world = world().await;
    world.shipment(Acme, 1).await;
    world.ups.faults().next(1, Endpoint::Track, Fault::ServerError);
    world.round().await;
    for n in 2..=3 {
        world.shipment(Acme, n).await;
    }
    world.ups.faults().next(1, Endpoint::Track, Fault::Slow { millis: 500 });
    world.ups.faults().next(1, Endpoint::Track, Fault::RateLimited { retry_after: Some(1200) });
    batch(&world).await;
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), 3);
    assert_eq!(shut_until(&world).await, Some(now(&world.app).plus(MINUTES(20)).as_millis()));
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_set_back_does_not_keep_the_breaker_open() {
    let world = world().await;
    let (id, next) = (world.shipment(Acme, 1).await, world.shipment(Acme, 2).await);
    world.wait(HOURS(48));
    world.ups.faults().next(1, Endpoint::Track, Fault::RateLimited { retry_after: Some(3600) });
    world.round().await;
    assert_eq!(world.outcomes(), ["shut", "shut"]);
    world.turn_back(HOURS(24));
    world.round().await;
    world.round().await;
    for id in [&id, &next] {
        assert_eq!(world.get(Acme, id).await.json["status"], "LABEL_CREATED", "{:?}", world.outcomes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_carrier_secret_stops_calls_and_loses_nothing() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    world.app.wire().with_carrier(world.ups.endpoint(), json!({"client_id": "not-set"}));
    world.round().await;
    assert_eq!((world.outcomes(), world.ups.statistics().calls(Endpoint::Track)), (vec!["failed".to_owned()], 0));
    world.app.wire().with_carrier(world.ups.endpoint(), secret(SECRET));
    world.round_after(HOURS(1)).await;
    assert_eq!(world.get(Acme, &id).await.json["status"], "LABEL_CREATED");
}
