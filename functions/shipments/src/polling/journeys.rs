//! Whole journeys, with and without faults: faults on the way must not change the final state.

use super::fixture::*;
use crate::{consumers::CONSUMERS, endpoints::fixture::*};
use emulators::ups::{Endpoint, Fault, Rule, When};
use std::time::Duration;
use testing::{
    Fault as WireFault,
    Tenant::{Acme, Birch},
};

const fn hours(n: u64) -> Duration {
    Duration::from_secs(3600 * n)
}

/// A parcel's scans, and the delay of each after the previous one.
const WAYS: [&[(&str, u64)]; 4] = [
    &[("PICKED_UP", 3), ("IN_TRANSIT", 5), ("IN_TRANSIT", 20), ("OUT_FOR_DELIVERY", 12), ("DELIVERED", 7)],
    &[("IN_TRANSIT", 9), ("EXCEPTION", 12), ("IN_TRANSIT", 24), ("DELIVERED", 20)],
    &[("PICKED_UP", 1), ("OUT_FOR_DELIVERY", 30), ("EXCEPTION", 5), ("RETURNED", 40)],
    &[("PICKED_UP", 4), ("IN_TRANSIT", 6)],
];

/// The final statuses of `count` parcels, half of them Birch's.
async fn journeys(count: u32, faulty: bool) -> Vec<String> {
    let world = world().await;
    let mut shipments = Vec::new();
    for n in 1..=count {
        let tenant = if n % 2 == 0 { Acme } else { Birch };
        shipments.push((n, tenant, created(&world.app, tenant, body(n)).await));
        world.scan(n, "LABEL_CREATED");
    }
    if faulty {
        let faults = [
            (Fault::ServerError, 0.1),
            (Fault::Dropped, 0.1),
            (Fault::MalformedJson, 0.1),
            (Fault::Unauthorized, 0.05),
            (Fault::RateLimited { retry_after: None }, 0.02),
        ];
        for (fault, share) in faults {
            world.ups.faults().arm(Rule { fault, when: When::Fraction(share), on: Some(Endpoint::Track) }).unwrap();
        }
    }
    let mut ahead: Vec<(u64, u32, &str)> = Vec::new();
    for n in 1..=count {
        let mut hour = u64::from(n % 5);
        for (status, wait) in WAYS[n as usize % WAYS.len()] {
            hour += wait;
            ahead.push((hour, n, status));
        }
    }
    let last = ahead.iter().map(|(hour, ..)| *hour).max().unwrap();
    // Afterwards even the slowest interval passes once more, so that failed polls are repeated.
    for hour in (0..=last + 16).step_by(2) {
        for (_, n, status) in ahead.iter().filter(|(at, ..)| at - at % 2 == hour) {
            world.scan(*n, status);
        }
        world.wait(hours(2));
        if faulty && hour % 6 == 0 {
            world.app.wire().fail("TransactWriteItems", 2, 1, WireFault::LostAnswer);
            world.app.wire().fail("UpdateItem", 5, 1, WireFault::Gone);
        }
        // A failed run of the schedule is repeated a minute later.
        let _ = world.run("schedule_tracking").await;
        let mut deliveries = world.app.deliveries(CONSUMERS).copies(if faulty { 3 } else { 1 }).shuffled(hour);
        deliveries.collect().await;
        while deliveries.step().await {}
        assert!(deliveries.dead().is_empty(), "{:?}", deliveries.dead());
        world.app.wire().heal();
    }
    let told = [events(&world.app, Acme).await, events(&world.app, Birch).await].concat();
    let mut ends = Vec::new();
    for (n, tenant, id) in &shipments {
        let status = world.get(*tenant, id).await.json["status"].as_str().unwrap().to_owned();
        let scans = world.items(id).await.iter().filter(|i| i["sk"].as_str().unwrap().starts_with("EVENT#")).count();
        assert_eq!(scans, WAYS[*n as usize % WAYS.len()].len() + 1, "each scan is stored once");
        let moves: Vec<_> =
            told.iter().filter(|(schema, e)| schema == "shipment.status_changed" && e["shipment_id"] == id.as_str()).collect();
        // Each change begins at the status where the previous one ended, so none was published twice.
        assert!(moves.windows(2).all(|pair| pair[0].1["to"] == pair[1].1["from"]), "{moves:?}");
        assert_eq!(moves.last().unwrap().1["to"], status.as_str());
        ends.push(status);
    }
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn journeys_with_a_third_of_calls_failing_end_in_the_same_status() {
    let (without, with) = tokio::join!(journeys(8, false), journeys(8, true));
    assert_eq!(without, with);
    assert_eq!(with[..4], ["DELIVERED", "RETURNED", "IN_TRANSIT", "DELIVERED"]);
}
