//! The order in which tenants' shipments are polled.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn tenant_with_many_shipments_does_not_starve_another() {
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
    // Waiting messages count against the next minute's quota.
    world.wait(MINUTES(1));
    world.run("schedule_tracking").await.unwrap();
    world.run("schedule_tracking").await.unwrap();
    assert!(world.deliveries().collect().await <= 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_polls_leave_half_of_the_quota_to_due_shipments() {
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
    // Requested polls that found no capacity are due in the same minute, like the others. A run that does not find one in the
    // index leaves it to the next minute's.
    world.app.settle_indexes();
    world.run("schedule_tracking").await.unwrap();
    world.deliveries().settle().await;
    assert_eq!(world.ups.statistics().calls(Endpoint::Track), 41);
    assert!(world.due(&ours).await.unwrap() > now(&world.app), "it was polled");
}

#[tokio::test(flavor = "multi_thread")]
async fn tenant_with_an_unreadable_list_does_not_block_others() {
    let world = world().await;
    let (theirs, ours) = (world.shipment(Acme, 1).await, world.shipment(Birch, 2).await);
    world.wait(SOON);
    world.app.wire().fail_about("Query", format!("{}#POLL", world.app.tenant_id(Acme)), WireFault::Throttled);
    world.round().await;
    assert_eq!(world.get(Birch, &ours).await.json["status"], "LABEL_CREATED");
    world.app.wire().fail_about("Query", format!("{}#POLL", world.app.tenant_id(Birch)), WireFault::Throttled);
    world.app.wire().fail_about("Query", format!("{}#POLL", common::base::TenantId::PLATFORM), WireFault::Throttled);
    assert!(world.run("schedule_tracking").await.is_err(), "nothing can be read");
    world.app.wire().heal();
    world.round_after(MINUTES(1)).await;
    assert_eq!(world.get(Acme, &theirs).await.json["status"], "LABEL_CREATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn shipment_that_does_not_open_is_postponed() {
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
async fn requested_refresh_polls_the_carrier_and_checks_permission() {
    let world = world().await;
    let id = world.shipment(Acme, 1).await;
    world.round().await;
    world.wait(MINUTES(5));
    world.scan(1, "PICKED_UP");
    let refresh = |role, id: &str| world.app.as_role(Acme, role).call(endpoint("refresh_shipment")).path("shipment_id", id);
    let polled = world.get(Acme, &id).await.json["last_carrier_poll_at"].clone();
    // The first call fetches keys and settings.
    assert_eq!(refresh(Role::Viewer, &id).await.status, 403);
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
    for key in [None, Some("refresh")] {
        let call = refresh(Role::Marketer, &id);
        let refused = if let Some(key) = key { call.key(key).await } else { call.await };
        assert_eq!((refused.status, refused.code()), (409, "shipment_final"), "{key:?}: {}", refused.text);
    }
}
