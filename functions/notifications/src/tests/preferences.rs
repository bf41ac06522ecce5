//! A user's preferences determine their notifications.

use crate::fixture::*;
use common::base::Role;
use serde_json::json;
use testing::App;

#[tokio::test]
async fn preferences_start_as_defaults_and_are_changed_by_version() {
    let app = App::start().await;
    let fresh = call(&app, Acme, Role::Marketer, "get_preferences").await.await;
    assert_eq!((fresh.status, fresh.header("etag")), (200, Some("\"0\"")));
    assert_eq!(fresh.json["channels"]["shipment_created"], json!({"in_app": true, "push": true, "email": false}));
    assert_eq!((&fresh.json["time_zone"], &fresh.json["quiet_hours"]), (&json!("UTC"), &json!(null)));

    let wanted = json!({
        "channels": {"shipment_created": {"in_app": true, "push": false, "email": true}},
        "quiet_hours": {"start": "21:00", "end": "07:00"},
        "digest": {"frequency": "hourly"},
        "time_zone": "Europe/Berlin",
    });
    let put = async |version: Option<i64>| {
        let call = call(&app, Acme, Role::Marketer, "put_preferences").await.json(wanted.clone());
        match version {
            Some(version) => call.if_match(version).await,
            None => call.await,
        }
    };
    assert_eq!(put(None).await.code(), "precondition_required");
    let first = put(Some(0)).await;
    assert_eq!((first.status, first.header("etag")), (200, Some("\"1\"")), "{}", first.text);
    assert_eq!(put(Some(0)).await.code(), "precondition_failed");
    assert_eq!(put(Some(1)).await.header("etag"), Some("\"2\""));

    let now = call(&app, Acme, Role::Marketer, "get_preferences").await.await;
    assert_eq!((&now.json["version"], &now.json["time_zone"]), (&json!(2), &json!("Europe/Berlin")));
    assert_eq!(now.json["channels"]["shipment_created"], json!({"in_app": true, "push": false, "email": true}));
    assert_eq!(now.json["digest"], json!({"frequency": "hourly", "hour": 8}));
    for (tenant, role) in [(Birch, Role::Marketer), (Acme, Role::TenantAdmin)] {
        assert_eq!(call(&app, tenant, role, "get_preferences").await.await.json["version"], 0);
    }
}

#[tokio::test]
async fn concurrent_first_preferences_store_exactly_one() {
    let app = App::start().await;
    let put = || async { call(&app, Acme, Role::Marketer, "put_preferences").await.if_match(0).json(json!({})).await.status };
    let (one, other) = tokio::join!(put(), put());
    assert_eq!([one.min(other), one.max(other)], [200, 412]);
}

#[tokio::test]
async fn invalid_preferences_are_refused_by_field() {
    let app = App::start().await;
    let silent = json!({"in_app": false, "push": false, "email": false});
    for (body, field, code) in [
        (json!({"channels": {"audit_tamper_detected": silent}}), "channels.audit_tamper_detected", "required_channel"),
        (
            json!({"channels": {"shipment_voided": {"in_app": false, "push": true, "email": false}}}),
            "channels.shipment_voided",
            "needs_in_app",
        ),
        (json!({"channels": {"lunch": silent}}), "channels.lunch", "unknown_field"),
        (json!({"quiet_hours": {"start": "7:00", "end": "08:00"}}), "quiet_hours.start", "invalid"),
        (json!({"quiet_hours": {"start": "07:00", "end": "07:00"}}), "quiet_hours.end", "empty_range"),
        (json!({"digest": {"frequency": "daily", "hour": 24}}), "digest.hour", "out_of_range"),
        (json!({"time_zone": "Atlantis/Central"}), "time_zone", "invalid"),
        (json!({"version": 1}), "version", "unknown_field"),
    ] {
        let answer = call(&app, Acme, Role::Marketer, "put_preferences").await.if_match(0).json(body.clone()).await;
        assert_eq!(answer.status, 422, "{body}");
        assert_eq!(
            (&answer.json["errors"][0]["field"], &answer.json["errors"][0]["code"]),
            (&json!(field), &json!(code)),
            "{body}"
        );
        assert!(!answer.text.contains("Atlantis"));
    }
}

#[tokio::test]
async fn kind_switched_off_is_not_stored_and_unpushed_kind_is_listed() {
    let app = App::start().await;
    connect(&app, Acme, Role::Marketer, "phone").await;
    prefer(
        &app,
        json!({"channels": {
            "shipment_exception": {"in_app": false, "push": false, "email": false},
            "shipment_status_changed": {"in_app": true, "push": false, "email": false},
        }}),
    )
    .await;
    deliver(&app, &[status_changed(&app, "EXCEPTION"), status_changed(&app, "DELIVERED")]).await;
    assert_eq!(kinds(&list(&app, Acme, Role::Marketer).await), ["shipment_status_changed"]);
    assert_eq!(app.frames("phone"), [json!(null); 0]);
    // The preferences of another user are independent.
    assert_eq!(list(&app, Acme, Role::TenantAdmin).await.json["latest_seq"], 1);
}

#[tokio::test]
async fn notification_in_quiet_hours_is_listed_and_not_pushed() {
    let app = App::start().await;
    prefer(&app, json!({"quiet_hours": {"start": "22:00", "end": "07:00"}, "time_zone": "America/New_York"})).await;
    // The night of 8 March 2026 is an hour shorter: seven o'clock is 11:00 UTC, not 12:00.
    for (time, pushed) in
        [("2026-03-08T02:59:00Z", 1), ("2026-03-08T03:00:00Z", 1), ("2026-03-08T10:59:00Z", 1), ("2026-03-08T11:00:00Z", 2)]
    {
        at(&app, time);
        connect(&app, Acme, Role::Marketer, "phone").await;
        deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
        assert_eq!(app.frames("phone").len(), pushed, "{time}");
    }
    assert_eq!(list(&app, Acme, Role::Marketer).await.json["unread_count"], 4);
}

#[tokio::test]
async fn alarm_is_sent_in_quiet_hours() {
    let app = App::start().await;
    let quiet = json!({"quiet_hours": {"start": "00:00", "end": "23:59"}});
    let put = call(&app, Acme, Role::Auditor, "put_preferences").await.if_match(0).json(quiet).await;
    assert_eq!(put.status, 200);
    connect(&app, Acme, Role::Auditor, "desk").await;
    deliver(&app, &[told(&app, app.tenant_id(Acme), "verify_audit", "audit.tamper_detected", json!({}))]).await;
    assert_eq!(app.frames("desk").len(), 1);
    // A run that does not find the alarms in the index leaves them to the next minute's.
    app.settle_indexes();
    tick(&app).await;
    // The administrator has no quiet hours; both users get the alarm immediately.
    assert_eq!(app.mails().len(), 2);
}
