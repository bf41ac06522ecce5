//! The status of a parcel and the events that report its changes.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn parcel_is_polled_until_its_journey_ends() {
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
    // The version increased with the status, and the status index has the new status.
    let seen = world.get(Acme, &id).await;
    assert_eq!((&seen.json["version"], seen.header("etag")), (&json!(6), Some("\"6\"")));
    let listed = world.signed_in(Acme, Role::Viewer).await.call(endpoint("list_shipments")).query("status", "DELIVERED").await;
    assert_eq!(ids(&listed), std::slice::from_ref(&id));
    // The journey has ended: the shipment is not due, and the carrier is not called.
    assert_eq!(world.due(&id).await, None);
    let before = world.ups.statistics().calls(Endpoint::Track);
    world.round_after(HOURS(48)).await;
    let polled_again = world.ups.statistics().calls(Endpoint::Track) - before;
    assert_eq!(polled_again, 1, "the other tenant's shipment, which is in transit");
    assert_eq!(world.get(Birch, &other).await.json["status"], "LABEL_CREATED");
    assert_eq!(moves(&world.app, Birch).await, pairs(&["UNKNOWN", "LABEL_CREATED"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn returned_parcel_is_published_and_not_polled_again() {
    for (n, back) in [(1, "D/UA/034"), (2, "I/IP/036"), (3, "X/XX/067"), (4, "RETURNED")] {
        let world = world().await;
        let id = world.shipment(Acme, n).await;
        world.round().await;
        world.wait(HOURS(9));
        world.scan(n, back);
        world.round().await;
        assert_eq!(world.get(Acme, &id).await.json["status"], "RETURNED", "{back}");
        // `RETURNED` triggers a notification.
        assert_eq!(moves(&world.app, Acme).await, pairs(&["UNKNOWN", "LABEL_CREATED", "RETURNED"]));
        assert_eq!(world.due(&id).await, None);
        assert_eq!(moves(&world.app, Birch).await, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parcel_at_an_access_point_is_exception_until_collected() {
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
async fn summary_without_activities_sets_the_status_and_may_end_polling() {
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
async fn label_stamped_after_the_pickup_does_not_reset_the_status() {
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
async fn expected_delivery_is_local_and_an_instant_if_the_zone_is_certain() {
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
    // The current address counts: a postal code with two zones gives no zone.
    let mut recipient = body(1)["recipient"].clone();
    recipient["address"]["state"] = json!("TN");
    recipient["address"]["postal_code"] = json!("37311");
    let patched = world.signed_in(Acme, Role::Marketer).await.call(endpoint("update_shipment")).path("shipment_id", &id);
    assert_eq!(patched.if_match(2).json(json!({"recipient": recipient})).await.status, 200);
    let seen = world.get(Acme, &id).await;
    assert_eq!((&seen.json["eta"], &seen.json["estimated_delivery"]), (&json!(null), &expected(json!(null))));
    // An older record, which has only the instant, is still shown.
    let (pk, table) = (world.item(&id, "SHIPMENT").await.unwrap()["pk"].clone(), &world.app.provisioned().tables["RecordsTable"]);
    let key = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let update = world.app.raw().update_item().table_name(table).key("pk", key(pk.as_str().unwrap())).key("sk", key("SHIPMENT"));
    update.update_expression("REMOVE estimated_date, estimated_from, estimated_to").send().await.unwrap();
    let seen = world.get(Acme, &id).await;
    assert_eq!((&seen.json["eta"], &seen.json["estimated_delivery"]), (&json!("2026-07-04T01:30:00.000Z"), &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn status_change_is_audited_and_published() {
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
async fn repeated_and_reordered_scans_are_stored_once_without_excess_data() {
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
        // An older scan arrives late; the newest decides.
        (json!([out, picked, label, label]), "OUT_FOR_DELIVERY", 3),
        // Some scans are missing; they still count, because they were stored before.
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
    // The data is not stored sealed either: no answer shows it.
    let shown = world.get(Acme, &id).await.text + &call(100, None).await.text;
    for dropped in ["RECEIVER", "SIGNATURE", "PHOTO", "STREET", "SENTINELNAME", "SENTINELREFERENCE", "porch"] {
        assert!(!shown.contains(dropped), "{dropped}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_too_long_for_a_transaction_is_stored_in_several() {
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
async fn number_unknown_to_the_carrier_is_polled_less_often() {
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
async fn voided_shipment_is_not_polled_again() {
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
