//! From a domain event to a user's list, exactly once.

use crate::{consumers::CONSUMERS, fixture::*};
use common::base::{Role, TenantId};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use testing::{App, kill_after, polls};

#[tokio::test]
async fn event_is_notified_to_the_users_it_concerns() {
    let app = App::start().await;
    let (event, problem) = (status_changed(&app, "DELIVERED"), status_changed(&app, "EXCEPTION"));
    deliver(&app, &[event.clone(), problem]).await;

    let page = list(&app, Acme, Role::Marketer).await;
    assert_eq!(kinds(&page), ["shipment_exception", "shipment_status_changed"]);
    assert_eq!((&page.json["unread_count"], &page.json["latest_seq"]), (&json!(2), &json!(2)));
    let oldest = &page.json["items"][1];
    assert_eq!((&oldest["seq"], &oldest["read"], &oldest["event_id"]), (&json!(1), &json!(false), &json!(event.id)));
    assert_eq!(oldest["subject"]["type"], "Shipment");
    // The tenant's administrator is notified of a problem too; the other roles are not.
    assert_eq!(kinds(&list(&app, Acme, Role::TenantAdmin).await), ["shipment_exception"]);
    for (tenant, role) in [(Acme, Role::Viewer), (Birch, Role::Marketer), (Birch, Role::TenantAdmin)] {
        let nothing = list(&app, tenant, role).await;
        assert_eq!((&nothing.json["items"], &nothing.json["unread_count"]), (&json!([]), &json!(0)), "{role}");
    }

    let audited: Vec<_> = app
        .audit(Acme)
        .await
        .into_iter()
        .filter(|e| e["type"] == "api.deliver_notification" || e["action"] == Value::Null)
        .collect();
    let told = audited.iter().filter(|e| e["resources"].to_string().contains("Notification")).count();
    assert_eq!(told, 3, "{audited:#?}");
}

#[tokio::test]
async fn alarm_is_notified_to_administrators_and_auditors() {
    let app = App::start().await;
    let alarm = told(&app, app.tenant_id(Acme), "verify_audit", "audit.tamper_detected", json!({"first_sequence": 7}));
    deliver(&app, &[alarm]).await;
    for (role, count) in [(Role::TenantAdmin, 1), (Role::Auditor, 1), (Role::Marketer, 0)] {
        assert_eq!(list(&app, Acme, role).await.json["unread_count"], count, "{role}");
    }
    assert_eq!(list(&app, Birch, Role::Auditor).await.json["unread_count"], 0);
}

#[tokio::test]
async fn actor_and_non_members_are_not_notified() {
    let app = App::start().await;
    let (own, provider) = (app.user_id(Acme, Role::Marketer), app.user_id(Acme, Role::Provider));
    let created = |tenant: TenantId, actor: String, assigned_to: Value| {
        let payload = json!({"shipment_id": shipment(&app), "created_by": own, "assigned_to": assigned_to, "status": "UNKNOWN", "version": 1});
        told(&app, tenant, &actor, "shipment.created", payload)
    };
    let acme = app.tenant_id(Acme);
    app.disable_member(Acme, Role::Viewer).await;
    deliver(
        &app,
        &[
            created(acme, own.to_string(), json!(own)),
            created(acme, own.to_string(), json!(provider)),
            created(acme, own.to_string(), Value::Null),
            created(acme, own.to_string(), json!(app.user_id(Acme, Role::Viewer))),
            // In another tenant the id belongs to nobody.
            created(app.tenant_id(Birch), own.to_string(), json!(provider)),
        ],
    )
    .await;
    assert_eq!(list(&app, Acme, Role::Marketer).await.json["latest_seq"], 0);
    assert_eq!(kinds(&list(&app, Acme, Role::Provider).await), ["shipment_created"]);
    assert!(inbox(&app, acme, app.user_id(Acme, Role::Viewer)).await.is_empty());
    assert!(inbox(&app, app.tenant_id(Birch), provider).await.is_empty());
}

#[tokio::test]
async fn repeated_and_reordered_events_are_stored_and_pushed_once() {
    let app = App::start().await;
    connect(&app, Acme, Role::Marketer, "phone").await;
    for seed in [3, 7, 11] {
        let before = list(&app, Acme, Role::Marketer).await.json["latest_seq"].as_i64().unwrap();
        let mut queues = queues(&app).copies(3).shuffled(seed);
        let events: Vec<_> = (0..12).map(|_| status_changed(&app, "EXCEPTION")).collect();
        for event in &events {
            queues.send("deliver_notification", &event.body);
        }
        while queues.step().await {}
        assert_eq!((queues.handled(), queues.dead().len()), (36, 0));
        for role in [Role::Marketer, Role::TenantAdmin] {
            let page = list(&app, Acme, role).await;
            let stored: BTreeSet<_> =
                page.json["items"].as_array().unwrap().iter().map(|n| n["event_id"].clone().to_string()).collect();
            let wanted: BTreeSet<_> = events.iter().map(|e| json!(e.id).to_string()).collect();
            assert!(wanted.is_subset(&stored), "{role}");
            assert_eq!(page.json["latest_seq"], before + 12, "{role}");
            assert_eq!(page.json["unread_count"], before + 12, "{role}");
        }
    }
    let frames = app.frames("phone");
    assert_eq!(frames.iter().map(|f| f["seq"].as_i64().unwrap()).collect::<BTreeSet<_>>(), (1..=36).collect());
    assert_eq!(frames.len(), 36);
}

#[tokio::test]
async fn concurrent_deliveries_push_once() {
    let app = App::start().await;
    for round in 1..=8 {
        connect(&app, Acme, Role::Marketer, "phone").await;
        let mut queues = queues(&app);
        queues.send("deliver_notification", &status_changed(&app, "DELIVERED").body);
        let (consumer, message) = queues.take().unwrap();
        let runs = (0..3).map(|_| consumer.consume(app.deps(), message.clone()));
        futures_util::future::join_all(runs).await;
        assert_eq!(app.frames("phone").len(), round);
        // A redelivered message that was too early finds the work done.
        app.clock().advance(Duration::from_secs(180));
        assert!(consumer.consume(app.deps(), message).await.batch_item_failures.is_empty());
        assert_eq!((app.frames("phone").len(), seqs(&list(&app, Acme, Role::Marketer).await).len()), (round, round));
    }
}

#[tokio::test]
async fn concurrent_events_for_one_user_are_numbered_without_a_gap() {
    let app = App::start().await;
    let events: Vec<_> = (0..10).map(|_| status_changed(&app, "DELIVERED")).collect();
    let mut queues = queues(&app);
    for event in &events {
        queues.send("deliver_notification", &event.body);
    }
    let runs: Vec<_> = std::iter::from_fn(|| queues.take()).collect();
    let runs = runs.into_iter().map(|(consumer, event)| consumer.consume(app.deps(), event));
    for answer in futures_util::future::join_all(runs).await {
        assert!(answer.batch_item_failures.is_empty());
    }
    assert_eq!(seqs(&list(&app, Acme, Role::Marketer).await), (1..=10).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn delivery_killed_at_any_await_is_stored_once() {
    let app = App::start().await;
    let run = |event: &BusMessage| {
        let mut queues = queues(&app);
        queues.send("deliver_notification", &event.body);
        queues.take().unwrap()
    };
    let (consumer, event) = run(&status_changed(&app, "DELIVERED"));
    let (_, most) = polls(consumer.consume(app.deps(), event)).await;
    let mut repeated = 0;
    for kill in 1..=most as i64 + 2 {
        connect(&app, Acme, Role::Marketer, "phone").await;
        let event = status_changed(&app, "DELIVERED");
        let (consumer, message) = run(&event);
        kill_after(usize::try_from(kill).unwrap(), consumer.consume(app.deps(), message.clone())).await;
        // A killed run did not answer, so the message is redelivered after its visibility timeout, and once more after it was
        // handled.
        app.clock().advance(Duration::from_secs(180));
        for _ in 0..2 {
            assert!(consumer.consume(app.deps(), message.clone()).await.batch_item_failures.is_empty());
        }
        let page = list(&app, Acme, Role::Marketer).await;
        assert_eq!(
            (&page.json["latest_seq"], &page.json["unread_count"]),
            (&json!(kill + 1), &json!(kill + 1)),
            "killed at {kill}"
        );
        assert_eq!(page.json["items"][0]["event_id"], json!(event.id));
        let frames = app.frames("phone").iter().filter(|f| f["seq"] == kill + 1).count();
        assert!((1..=2).contains(&frames), "killed at {kill}: {frames} frames");
        repeated += frames - 1;
    }
    // Only a kill between pushing and recording repeats a frame.
    assert!(repeated < most / 2, "{repeated} frames were repeated in {most} kills");
}

#[tokio::test]
async fn frames_mails_items_and_logs_contain_only_ids_and_codes() {
    let app = App::start().await;
    connect(&app, Acme, Role::Marketer, "phone").await;
    let event = status_changed(&app, "EXCEPTION");
    assert!(event.body.to_string().contains("Sentinel"));
    deliver(&app, &[event]).await;
    at(&app, "2026-01-02T09:00:00Z");
    tick(&app).await;
    assert_eq!((app.frames("phone").len(), app.mails().is_empty()), (1, false));
    let frame = &app.frames("phone")[0];
    let members: BTreeSet<_> = frame.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["kind", "notification_id", "seq", "type"].into());
    assert!(!everything_told(&app).await.contains("Sentinel"));
}

#[tokio::test]
async fn malformed_message_goes_to_the_dead_letter_queue() {
    let app = App::start().await;
    let mut queues = queues(&app);
    let odd = told(&app, app.tenant_id(Acme), "x", "shipment.eaten", json!({}));
    let short = told(&app, app.tenant_id(Acme), "x", "shipment.created", json!({"shipment_id": "shp_1"}));
    for body in [&odd.body, &short.body, &json!({"no": "envelope"})] {
        queues.send("deliver_notification", body);
    }
    while queues.step().await {}
    assert_eq!(queues.dead().len(), 3);
    assert!(CONSUMERS.iter().all(|consumer| consumer.queue.receives >= 2));
}
