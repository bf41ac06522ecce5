use super::fixture::*;
use crate::{consumers::CONSUMERS, endpoints::fixture::*};
use common::Role;
use emulators::ups::{Endpoint, Fault};
use serde_json::{Value, json};
use std::time::Duration;
use testing::{
    App, Fault as WireFault,
    Tenant::{Acme, Birch},
    kill_after,
};

const MINUTES: fn(u64) -> Duration = |n| Duration::from_secs(60 * n);
const HOURS: fn(u64) -> Duration = |n| Duration::from_secs(3600 * n);

/// The statuses that a shipment went through, as other domains heard of them.
async fn moves(app: &App, tenant: testing::Tenant) -> Vec<(String, String)> {
    let events = events(app, tenant).await;
    let moved = events.into_iter().filter(|(schema, _)| schema == "shipment.status_changed");
    moved.map(|(_, e)| (e["from"].as_str().unwrap().to_owned(), e["to"].as_str().unwrap().to_owned())).collect()
}

fn pairs(statuses: &[&str]) -> Vec<(String, String)> {
    statuses.windows(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
}

/// One message about a shipment as it is due now.
async fn message(world: &World, tenant: testing::Tenant, id: &str) -> Value {
    let now = now(&world.app);
    json!({
        "id": common::EventId::new(now),
        "tenant_id": world.app.tenant_id(tenant),
        "actor": "schedule_tracking",
        "on_behalf_of": null,
        "cause": common::EventId::new(now),
        "correlation_id": "test",
        "schema": "shipment.poll_due",
        "version": 1,
        "occurred_at": now,
        "payload": {"shipment_id": id, "due_at": world.due(id).await},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcels_journey_is_followed_to_its_end() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    let other = world.shipment(Birch, 2).await;
    world.round().await;
    let seen = world.get(Acme, &id).await;
    assert_eq!(
        (&seen.json["status"], &seen.json["version"]),
        (&json!("LABEL_CREATED"), &json!(2)),
        "{:?}",
        world.app.log_lines()
    );
    assert_eq!(seen.json["last_carrier_poll_at"], json!(now(&world.app)));
    for (status, wait) in
        [("PICKED_UP", HOURS(5)), ("IN_TRANSIT", HOURS(3)), ("OUT_FOR_DELIVERY", HOURS(3)), ("DELIVERED", HOURS(12))]
    {
        world.wait(wait);
        world.scan(1, status);
        world.round().await;
        let seen = world.get(Acme, &id).await;
        assert_eq!(seen.json["status"], status, "{}", seen.text);
        assert_eq!(seen.json["last_event"]["status"], status);
        assert!(seen.json["status_description"].is_string() && seen.json["last_event"]["description"].is_string());
    }
    let all = ["UNKNOWN", "LABEL_CREATED", "PICKED_UP", "IN_TRANSIT", "OUT_FOR_DELIVERY", "DELIVERED"];
    assert_eq!(moves(&world.app, Acme).await, pairs(&all));
    // The version moved with the status; the index of statuses knows.
    let seen = world.get(Acme, &id).await;
    assert_eq!((&seen.json["version"], seen.header("etag")), (&json!(6), Some("\"6\"")));
    let listed = world.signed_in(Acme, Role::Viewer).await.call(endpoint("list_shipments")).query("status", "DELIVERED").await;
    assert_eq!(ids(&listed), std::slice::from_ref(&id));
    // It is over: nothing is due any more, and nothing is asked.
    assert_eq!(world.due(&id).await, None);
    let before = world.ups.statistics().calls(Endpoint::Track);
    world.round_after(HOURS(48)).await;
    let polled_again = world.ups.statistics().calls(Endpoint::Track) - before;
    assert_eq!(polled_again, 1, "the other tenant's, which is under way");
    assert_eq!(world.get(Birch, &other).await.json["status"], "LABEL_CREATED");
    assert_eq!(moves(&world.app, Birch).await, pairs(&["UNKNOWN", "LABEL_CREATED"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_that_went_back_is_told_and_asked_about_no_more() {
    for (n, back) in [(1, "D/UA/034"), (2, "I/IP/036"), (3, "X/XX/067"), (4, "RETURNED")] {
        let world = world().await;
        let id = world.shipment(Acme, n).await;
        world.round().await;
        world.wait(HOURS(9));
        world.scan(n, back);
        world.round().await;
        assert_eq!(world.get(Acme, &id).await.json["status"], "RETURNED", "{back}");
        // `RETURNED` is what notifications are triggered by.
        assert_eq!(moves(&world.app, Acme).await, pairs(&["UNKNOWN", "LABEL_CREATED", "RETURNED"]));
        assert_eq!(world.due(&id).await, None);
        assert_eq!(moves(&world.app, Birch).await, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_at_an_access_point_is_held_up_until_it_is_fetched() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    world.round().await;
    for (scan, status, over) in
        [("D/ZP/040", "EXCEPTION", false), ("I/QQ/054", "EXCEPTION", false), ("D/FS/011", "DELIVERED", true)]
    {
        world.wait(HOURS(9));
        world.scan(1, scan);
        world.round().await;
        let seen = world.get(Acme, &id).await;
        assert_eq!(seen.json["status"], status, "{scan} {}", seen.text);
        assert_eq!(world.due(&id).await.is_none(), over, "{scan}");
    }
    assert_eq!(moves(&world.app, Acme).await, pairs(&["UNKNOWN", "LABEL_CREATED", "EXCEPTION", "DELIVERED"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_without_activities_is_a_status_and_a_final_one_an_end() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    let summary = |code: &str| {
        let package =
            json!({"trackingNumber": number(1), "activity": null, "currentStatus": {"code": code, "description": "Words"}});
        let answer = json!({"trackResponse": {"shipment": [{"inquiryNumber": number(1), "package": [package]}]}});
        &*Box::leak(answer.to_string().into_boxed_str())
    };
    for (code, status) in [("003", "LABEL_CREATED"), ("012", "IN_TRANSIT"), ("021", "OUT_FOR_DELIVERY"), ("034", "RETURNED")] {
        world.app.wire().fail("track", 0, 1, WireFault::Says(200, summary(code)));
        world.round_after(HOURS(24)).await;
        let seen = world.get(Acme, &id).await;
        assert_eq!((&seen.json["status"], &seen.json["status_description"]), (&json!(status), &json!("Words")), "{code}");
    }
    assert_eq!(world.due(&id).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_stamped_after_the_pickup_does_not_put_the_parcel_back() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    let (picked, label) = (activity("P", "038", "110000", "Reno"), activity("M", "003", "110400", "Reno"));
    for activities in [json!([picked]), json!([label, picked]), json!([picked, label])] {
        world.app.wire().fail("track", 0, 1, WireFault::Says(200, answer(&activities)));
        world.round_after(HOURS(24)).await;
        let seen = world.get(Acme, &id).await;
        assert_eq!(seen.json["status"], "PICKED_UP", "{activities}");
        assert_eq!(seen.json["last_event"]["status"], "PICKED_UP", "{activities}");
        assert_eq!(seen.json["last_event"]["occurred_at"], "2026-01-01T11:00:00.000Z");
    }
    assert_eq!(moves(&world.app, Acme).await, pairs(&["UNKNOWN", "PICKED_UP"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expected_delivery_is_shown_in_local_time_and_as_an_instant_where_that_is_certain() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    let package = json!({
        "trackingNumber": number(1),
        "currentStatus": {"code": "005"},
        "deliveryDate": [{"type": "SDD", "date": "20260702"}, {"type": "RDD", "date": "20260703"}],
        "deliveryTime": {"type": "EDW", "startTime": "143000", "endTime": "183000"},
    });
    let answer = json!({"trackResponse": {"shipment": [{"inquiryNumber": number(1), "package": [package]}]}});
    world.app.wire().fail("track", 0, 1, WireFault::Says(200, &*Box::leak(answer.to_string().into_boxed_str())));
    world.round().await;
    let expected = |zone: Value| json!({"date": "2026-07-03", "from": "14:30:00", "to": "18:30:00", "time_zone": zone});
    let seen = world.get(Acme, &id).await;
    assert_eq!(seen.json["eta"], "2026-07-04T01:30:00.000Z", "{}", seen.text);
    assert_eq!(seen.json["estimated_delivery"], expected(json!("America/Los_Angeles")));
    // The address of now counts: a postal code with two zones is none.
    let mut recipient = body(1)["recipient"].clone();
    recipient["address"]["state"] = json!("TN");
    recipient["address"]["postal_code"] = json!("37311");
    let patched = world.signed_in(Acme, Role::Marketer).await.call(endpoint("update_shipment")).path("shipment_id", &id);
    assert_eq!(patched.if_match(2).json(json!({"recipient": recipient})).await.status, 200);
    let seen = world.get(Acme, &id).await;
    assert_eq!((&seen.json["eta"], &seen.json["estimated_delivery"]), (&json!(null), &expected(json!(null))));
    // What was stored when the instant was all there was is still shown.
    let (pk, table) = (world.item(&id, "SHIPMENT").await.unwrap()["pk"].clone(), &world.app.provisioned().tables["RecordsTable"]);
    let key = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let update = world.app.raw().update_item().table_name(table).key("pk", key(pk.as_str().unwrap())).key("sk", key("SHIPMENT"));
    update.update_expression("REMOVE estimated_date, estimated_from, estimated_to").send().await.unwrap();
    let seen = world.get(Acme, &id).await;
    assert_eq!((&seen.json["eta"], &seen.json["estimated_delivery"]), (&json!("2026-07-04T01:30:00.000Z"), &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_on_record_and_whoever_is_interested_hears_of_it() {
    let world = world().await;
    let mut new = body(1);
    let provider = json!(world.app.user_id(Acme, Role::Provider));
    new["assigned_to"] = provider.clone();
    let id = created(&world.app, Acme, new).await;
    world.wait(SOON);
    world.scan(1, "IN_TRANSIT");
    world.round().await;
    let log = world.app.audit(Acme).await;
    let event = log.iter().find(|e| e["type"] == "job.poll_tracking").unwrap();
    assert_eq!((&event["actor"]["type"], &event["actor"]["id"]), (&json!("service"), &json!("poll_tracking")));
    assert_eq!(event["resources"], json!([{"type": "Shipment", "id": id}]));
    assert_eq!(event["disclosed"], json!([]));
    let changes: Vec<_> = event["changes"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
    assert!(["status", "status_description", "last_event", "events"].iter().all(|c| changes.contains(c)), "{changes:?}");
    let (_, heard) = events(&world.app, Acme).await.pop().unwrap();
    assert_eq!(
        heard,
        json!({
            "shipment_id": id,
            "from": "UNKNOWN",
            "to": "IN_TRANSIT",
            "assigned_to": provider,
            "created_by": world.app.user_id(Acme, Role::Marketer),
            "version": 2,
        })
    );
    assert_eq!((world.app.domain_events(Birch).await, audit(&world.app, Birch).await), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_poll_is_one_query_and_one_update_and_a_changed_one_a_transaction() {
    let world = world().await;
    let (id, other) = (world.shipment(Acme, 1).await, world.shipment(Acme, 2).await);
    world.scan(1, "OUT_FOR_DELIVERY");
    world.scan(2, "OUT_FOR_DELIVERY");
    world.round().await;
    let (log, version) = (world.app.audit(Acme).await, world.get(Acme, &id).await.json["version"].clone());
    let jobs = |log: &[Value]| log.iter().filter(|e| e["type"] == "job.poll_tracking").count();

    for (scanned, calls) in [
        // The second is the gate's.
        (false, ["Query", "UpdateItem", "UpdateItem"]),
        (false, ["Query", "UpdateItem", "UpdateItem"]),
        (true, ["Query", "UpdateItem", "TransactWriteItems"]),
    ] {
        world.wait(MINUTES(12));
        if scanned {
            world.scan(1, "DELIVERED");
        }
        // Keys and token are in memory: the other shipment's poll has seen to that.
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
        assert_eq!(jobs(&now), jobs(&log) + usize::from(scanned), "bookkeeping is nobody's business");
        assert_eq!(world.get(Acme, &id).await.json["version"] == version, !scanned);
    }
    assert_eq!(world.get(Acme, &id).await.json["status"], "DELIVERED");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_twice_or_late_does_nothing_twice() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    let late = message(&world, Acme, &id).await;
    world.run("schedule_tracking").await.unwrap();
    world.run("schedule_tracking").await.unwrap();
    world.deliveries().copies(3).shuffled(7).settle().await;
    assert_eq!(moves(&world.app, Acme).await, pairs(&["UNKNOWN", "LABEL_CREATED"]));
    // A message about a time at which it is no longer due does not reach the carrier.
    let asked = world.ups.statistics().calls(Endpoint::Track);
    let mut deliveries = world.deliveries();
    deliveries.send("poll_tracking", &late);
    deliveries.step().await;
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), asked);
    assert_eq!(world.outcomes().last().unwrap(), "stale");
    assert_eq!(world.items(&id).await.iter().filter(|i| i["sk"].as_str().unwrap().starts_with("EVENT#")).count(), 1);
}

/// An answer with everything in it that is not to be kept.
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

#[tokio::test(flavor = "multi_thread")]
async fn scans_may_come_in_any_order_and_again_and_nothing_is_kept_that_ought_not_be() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    let (label, picked, out) = (
        activity("M", "003", "100000", "Sentinelcity"),
        activity("P", "038", "11:00:00", "Reno"),
        activity("I", "021", "113000", "RENO"),
    );
    let odd = activity("Q", "999", "114500", "Reno");
    for (activities, status, events) in [
        (json!([out, label]), "OUT_FOR_DELIVERY", 2),
        // An older one comes late: the newest decides.
        (json!([out, picked, label, label]), "OUT_FOR_DELIVERY", 3),
        // Some are missing: they have happened all the same.
        (json!([label]), "OUT_FOR_DELIVERY", 3),
        (json!([odd, out, picked, label]), "UNKNOWN", 4),
    ] {
        world.app.wire().fail("track", 0, 1, WireFault::Says(200, answer(&activities)));
        world.wait(HOURS(24));
        world.round().await;
        let seen = world.get(Acme, &id).await;
        assert_eq!(seen.json["status"], status, "{activities} {:?}", world.outcomes());
        let viewer = world.signed_in(Acme, Role::Viewer).await;
        let page = viewer.call(endpoint("list_shipment_events")).path("shipment_id", &id).await;
        assert_eq!(page.json["items"].as_array().unwrap().len(), events, "{}", page.text);
    }
    let viewer = world.signed_in(Acme, Role::Viewer).await;
    let call = |limit, cursor: Option<&str>| {
        let call = viewer.call(endpoint("list_shipment_events")).path("shipment_id", &id).query("limit", limit);
        cursor.map_or(call.clone(), |cursor| call.query("cursor", cursor))
    };
    let first = call(1, None).await;
    assert_eq!(
        first.json["items"],
        json!([{
            "occurred_at": "2026-01-01T11:45:00.000Z",
            "local_time": null,
            "status": "UNKNOWN",
            "carrier_type": "Q",
            "carrier_code": "999",
            "description": "Sentinelscan 999",
            "location": {"city": "Reno", "state": "NV", "country": "US"},
        }])
    );
    let rest = call(10, first.json["next_cursor"].as_str()).await;
    let statuses: Vec<_> = rest.json["items"].as_array().unwrap().iter().map(|e| e["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["OUT_FOR_DELIVERY", "PICKED_UP", "LABEL_CREATED"]);
    let event = last_audit(&world.app, Acme).await;
    assert_eq!((&event["action"], &event["disclosed"]), (&json!("listShipmentEvents"), &json!(["description", "location"])));

    let kept = everything_kept(&world.app).await.to_lowercase();
    assert!(kept.contains(&id));
    for phi in ["sentinel", "reno", "89501", &number(1).to_lowercase()] {
        assert!(!kept.contains(phi), "`{phi}` is kept in the clear");
    }
    // Nor sealed: nothing that opens shows it.
    let shown = world.get(Acme, &id).await.text + &call(100, None).await.text;
    for dropped in ["RECEIVER", "SIGNATURE", "PHOTO", "STREET", "SENTINELNAME", "SENTINELREFERENCE", "porch"] {
        assert!(!shown.contains(dropped), "{dropped}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_fits_no_transaction_is_stored_in_several() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    let scans: Vec<_> = (0..150).map(|i| activity("I", "005", &format!("{:02}{:02}00", i / 60, i % 60), "Reno")).collect();
    world.app.wire().fail("track", 0, 3, WireFault::Says(200, answer(&json!(scans))));
    for stored in [80, 150, 150] {
        world.round_after(HOURS(3)).await;
        let events = world.items(&id).await.iter().filter(|i| i["sk"].as_str().unwrap().starts_with("EVENT#")).count();
        assert_eq!(events, stored, "{:?}", world.outcomes());
    }
    assert_eq!(world.outcomes(), ["changed", "changed", "unchanged"]);
    assert_eq!(moves(&world.app, Acme).await, pairs(&["UNKNOWN", "IN_TRANSIT"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_start_together_fetch_one_token() {
    let world = world().await;
    let ids = [world.shipment(Acme, 1).await, world.shipment(Birch, 2).await];
    // Another process: nothing in its memory.
    let clock = std::sync::Arc::new(testing::ManualClock::at(now(&world.app).as_millis()));
    let log = std::sync::Arc::new(common::telemetry::Stdout);
    let other = common::Deps::new(world.app.deps().config().clone(), world.app.aws(), clock, log).unwrap();
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
async fn a_shipment_that_does_not_open_makes_room_for_those_behind_it() {
    let world = world().await;
    let (broken, whole) = (world.shipment(Acme, 1).await, world.shipment(Acme, 2).await);
    world.break_seal(&broken).await;
    world.round().await;
    let mut outcomes = world.outcomes();
    outcomes.sort();
    assert_eq!(outcomes, ["broken", "changed"]);
    assert!(world.due(&broken).await.unwrap() > now(&world.app));
    assert_eq!(world.get(Acme, &whole).await.json["status"], "LABEL_CREATED");
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_the_carrier_does_not_know_stays_unknown_and_is_asked_about_less() {
    let world = world().await;
    let id = created(&world.app, Acme, body(1)).await;
    world.round_after(SOON).await;
    let seen = world.get(Acme, &id).await;
    assert_eq!((&seen.json["status"], &seen.json["version"]), (&json!("UNKNOWN"), &json!(1)));
    assert_eq!(seen.json["last_carrier_poll_at"], json!(now(&world.app)));
    assert_eq!(world.outcomes(), ["not_found"]);
    let wait = world.due(&id).await.unwrap().since(now(&world.app));
    assert!(wait >= HOURS(3) && wait <= HOURS(14), "{wait:?}");
    assert_eq!(events(&world.app, Acme).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_dies_on_the_way_is_renewed_once_and_the_call_repeated() {
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
    // It is kept for all functions, and not in the clear.
    assert!(!everything_kept(&world.app).await.contains("Bearer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_is_read_where_the_old_one_is_refused() {
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
async fn who_asks_too_much_is_quiet_for_as_long_as_the_carrier_says_and_nothing_is_lost() {
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
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), 1, "nobody asks after the first refusal");
    assert_eq!(world.outcomes(), ["shut"; 4]);
    assert!(deliveries.dead().is_empty());
    // It stays due, and the schedule does not queue what cannot be asked.
    world.wait(MINUTES(1));
    world.run("schedule_tracking").await.unwrap();
    assert_eq!(world.deliveries().collect().await, 0);
    world.wait(MINUTES(2));
    // One probe first; it opens the gate for all.
    world.round().await;
    world.round().await;
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), 5);
    assert_eq!((moves(&world.app, Acme).await.len(), moves(&world.app, Birch).await.len()), (3, 1));
    assert_eq!(world.get(Birch, &other).await.json["status"], "LABEL_CREATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_carrier_is_left_alone_and_probed() {
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
    // The probe fails: it stays open.
    world.wait(Duration::from_secs(31));
    world.run("schedule_tracking").await.unwrap();
    world.deliveries().settle().await;
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), 6);
    // The next one does not.
    world.ups.faults().clear();
    world.wait(MINUTES(10));
    world.round().await;
    world.round().await;
    assert_eq!(moves(&world.app, Acme).await, vec![("UNKNOWN".to_owned(), "LABEL_CREATED".to_owned()); 8]);
}

/// Hands all that is due to one run.
async fn batch(world: &World) {
    world.run("schedule_tracking").await.unwrap();
    let mut deliveries = world.deliveries();
    deliveries.collect().await;
    let (consumer, mut event) = deliveries.take().unwrap();
    event.records.extend(std::iter::from_fn(|| deliveries.take()).flat_map(|(_, event)| event.records));
    consumer.consume(world.app.deps(), event).await;
}

/// Until when nobody asks.
async fn shut_until(world: &World) -> Option<i64> {
    let rows = world.app.dump("EphemeraTable").await;
    let gate = rows.iter().find(|row| row["pk"].as_s().unwrap().ends_with("#GATE#ups")).unwrap();
    gate.get("open_until").map(|at| at.as_n().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_at_once_shuts_the_gate_for_no_longer_than_what_fails_in_turn() {
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
async fn an_answer_to_what_was_asked_before_does_not_open_what_the_carrier_has_shut_since() {
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
async fn a_clock_that_goes_back_shuts_nobody_out_for_longer_than_a_poll() {
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
async fn without_its_secret_nobody_asks_and_nothing_is_lost() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    world.app.wire().with_carrier(world.ups.endpoint(), json!({"client_id": "not-set"}));
    world.round().await;
    assert_eq!((world.outcomes(), world.ups.statistics().calls(Endpoint::Track)), (vec!["failed".to_owned()], 0));
    world.app.wire().with_carrier(world.ups.endpoint(), secret(SECRET));
    world.round_after(HOURS(1)).await;
    assert_eq!(world.get(Acme, &id).await.json["status"], "LABEL_CREATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_none_lose_nothing() {
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
async fn killed_at_any_await_a_poll_is_whole_or_not_there() {
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
        // Whole or not there.
        let seen = world.get(Acme, &id).await;
        let scans = world.items(&id).await.iter().filter(|i| i["sk"].as_str().unwrap().starts_with("EVENT#")).count();
        let whole = seen.json["status"] == "IN_TRANSIT";
        assert_eq!((scans, seen.json["version"] == 2), if whole { (2, true) } else { (0, false) }, "after {n} polls");
        // The queue tells it again. Whoever held the token's lease or the gate's probe may have died with it.
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
    // A call that is answered at once takes no await of its own: on a busy machine there are fewer.
    assert!(killed >= 2, "{killed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_lost_anywhere_leaves_the_poll_to_the_next_try() {
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
        // It may be the schedule that fails: the next run is a minute later.
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
async fn what_callers_write_and_what_the_carrier_says_do_not_undo_each_other() {
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
async fn who_writes_while_the_carrier_is_asked_loses_nothing_and_nor_does_the_carrier() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    let mut deliveries = world.deliveries();
    deliveries.send("poll_tracking", &message(&world, Acme, &id).await);
    let (consumer, event) = deliveries.take().unwrap();
    world.app.wire().fail("track", 0, 1, WireFault::Slow(Duration::from_millis(500)));
    let (polled, patched) = tokio::join!(
        consumer.consume(world.app.deps(), event.clone()),
        update(&world.app, Role::Marketer, &id, 1, json!({"reference": "Sentinel Other"})),
    );
    assert_eq!((patched.status, polled.batch_item_failures.len()), (200, 1));
    assert!(consumer.consume(world.app.deps(), event).await.batch_item_failures.is_empty());
    let seen = world.get(Acme, &id).await;
    assert_eq!((&seen.json["status"], &seen.json["reference"]), (&json!("LABEL_CREATED"), &json!("Sentinel Other")));
    assert_eq!(seen.json["version"], 3);
    assert_eq!(moves(&world.app, Acme).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voided_shipment_is_asked_about_no_more() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    let late = message(&world, Acme, &id).await;
    assert_eq!(void(&world.app, &id).await.status, 200);
    assert_eq!(world.due(&id).await, None);
    let mut deliveries = world.deliveries();
    deliveries.send("poll_tracking", &late);
    deliveries.step().await;
    world.round_after(HOURS(24)).await;
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), 0);
    assert_eq!(world.get(Acme, &id).await.json["status"], "VOIDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenants_many_do_not_starve_anothers_few() {
    let world = world().await;
    for n in 1..=70 {
        created(&world.app, Acme, body(n)).await;
    }
    for n in 101..=103 {
        created(&world.app, Birch, body(n)).await;
    }
    world.wait(SOON);
    world.run("schedule_tracking").await.unwrap();
    let mut deliveries = world.deliveries();
    assert_eq!(deliveries.collect().await, 60, "a minute's quota");
    while deliveries.step().await {}
    let polled = |tenant| {
        let own = json!(world.app.tenant_id(tenant));
        world.app.log_lines().iter().filter(|l| l["tenant.id"] == own && l["poll.outcome"] == "not_found").count()
    };
    assert_eq!((polled(Acme), polled(Birch)), (57, 3));
    // What waits in the queue counts against the next minute's.
    world.wait(MINUTES(1));
    world.run("schedule_tracking").await.unwrap();
    world.run("schedule_tracking").await.unwrap();
    assert!(world.deliveries().collect().await <= 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_wants_to_know_now_leaves_half_of_a_minute_to_what_is_due() {
    let world = world().await;
    let mut ids = Vec::new();
    for n in 1..=40 {
        ids.push(created(&world.app, Acme, body(n)).await);
    }
    let ours = created(&world.app, Birch, body(101)).await;
    world.wait(SOON);
    let mut deliveries = world.deliveries();
    for id in &ids {
        let mut wanted = message(&world, Acme, id).await;
        wanted["schema"] = "shipment.refresh_requested".into();
        let detail = json!({"schema": wanted["schema"], "envelope": wanted.to_string()});
        let body = json!({"version": "0", "source": "cloister", "detail-type": "domain-event", "detail": detail});
        deliveries.send("refresh_tracking", &body);
    }
    while deliveries.step().await {}
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), 30);
    // Those who found no room are due, as the others' are, in the same minute.
    world.run("schedule_tracking").await.unwrap();
    world.deliveries().settle().await;
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), 41);
    assert!(world.due(&ours).await.unwrap() > now(&world.app), "it was asked about");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_list_cannot_be_read_holds_up_nobody_else() {
    let world = world().await;
    let (theirs, ours) = (world.shipment(Acme, 1).await, world.shipment(Birch, 2).await);
    world.wait(SOON);
    world.app.wire().fail_about("Query", format!("{}#POLL", world.app.tenant_id(Acme)), WireFault::Throttled);
    world.round().await;
    assert_eq!(world.get(Birch, &ours).await.json["status"], "LABEL_CREATED");
    world.app.wire().fail_about("Query", format!("{}#POLL", world.app.tenant_id(Birch)), WireFault::Throttled);
    world.app.wire().fail_about("Query", format!("{}#POLL", common::TenantId::PLATFORM), WireFault::Throttled);
    assert!(world.run("schedule_tracking").await.is_err(), "nothing can be read");
    world.app.wire().heal();
    world.round_after(MINUTES(1)).await;
    assert_eq!(world.get(Acme, &theirs).await.json["status"], "LABEL_CREATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_wants_to_know_now_is_answered_after_the_carrier() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    world.round().await;
    world.wait(MINUTES(5));
    world.scan(1, "PICKED_UP");
    let refresh = |role, id: &str| world.app.as_role(Acme, role).call(endpoint("refresh_shipment")).path("shipment_id", id);
    let polled = world.get(Acme, &id).await.json["last_carrier_poll_at"].clone();
    world.app.reset_calls();
    let answer = refresh(Role::Marketer, &id).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(answer.json, json!({"shipment_id": id, "last_carrier_poll_at": polled}));
    assert_eq!(world.app.calls().ups, [""; 0], "a handler calls no other service");
    assert_eq!(world.app.calls().dynamodb, ["UpdateItem", "Query", "TransactWriteItems"]);
    world.deliveries().settle().await;
    assert_eq!(world.get(Acme, &id).await.json["status"], "PICKED_UP");
    for (role, status) in [(Role::TenantAdmin, 202), (Role::Provider, 403), (Role::Viewer, 403), (Role::Analyst, 404)] {
        assert_eq!(refresh(role, &id).await.status, status, "{role}");
    }
    let theirs = world.app.as_role(Birch, Role::Marketer).call(endpoint("refresh_shipment")).path("shipment_id", &id).await;
    assert_eq!(theirs.status, 404);
    assert_eq!(void(&world.app, &id).await.status, 200);
    assert_eq!(refresh(Role::Marketer, &id).await.code(), "shipment_final");
}

#[test]
fn the_queues_are_told_apart() {
    let names: Vec<_> = CONSUMERS.iter().map(|c| c.queue.name).collect();
    assert_eq!(names, ["poll-tracking", "refresh-tracking"]);
}
