//! An address that bounces gets no more mail; one whose reader complains gets only security mail.

use crate::fixture::*;
use aws_sdk_dynamodb::types::AttributeValue::S;
use common::base::Role;
use serde_json::{Value, json};
use testing::App;

async fn mails_next_morning(app: &App) -> usize {
    deliver(app, &[status_changed(app, "DELIVERED")]).await;
    at(app, "2026-01-02T08:50:00Z");
    tick(app).await;
    app.mails().len()
}

/// Delivers the reports to their consumer; returns the number of dead letters.
async fn hear(app: &App, bodies: &[Value]) -> usize {
    let mut queues = queues(app);
    for body in bodies {
        queues.send("mail_feedback", body);
    }
    while queues.step().await {}
    queues.dead().len()
}

fn bounce(kind: &str, address: &str) -> Value {
    bounce_of(kind, "General", address)
}

fn bounce_of(kind: &str, subtype: &str, address: &str) -> Value {
    report(json!({
        "eventType": "Bounce",
        "bounce": {"bounceType": kind, "bounceSubType": subtype, "bouncedRecipients": [{"emailAddress": address, "status": "5.1.1"}]},
        "mail": {"messageId": "synthetic"},
    }))
}

#[tokio::test]
async fn permanent_bounce_stops_all_mail() {
    let app = App::start().await;
    // The mail service may use another spelling.
    let address = app.email(Acme, Role::Marketer).to_uppercase();
    assert_eq!(hear(&app, &[bounce("Permanent", &address)]).await, 0);
    assert_eq!(mails_next_morning(&app).await, 0);
    let kept = format!("{:?}", app.dump("RecordsTable").await).to_lowercase();
    assert!(!kept.contains(&address.to_lowercase()), "the address itself is not stored");
    assert!(app.platform_audit().await.iter().any(|e| e["type"].as_str().unwrap().ends_with(".mail_feedback")));
}

fn complaint(kind: Option<&str>, subtype: Option<&str>, address: &str) -> Value {
    let mut complaint = json!({"complainedRecipients": [{"emailAddress": address}], "complaintSubType": subtype});
    if let Some(kind) = kind {
        complaint["complaintFeedbackType"] = kind.into();
    }
    report(json!({"eventType": "Complaint", "complaint": complaint, "mail": {"messageId": "synthetic"}}))
}

/// The number of mails that the marketer gets the next morning: digests, and mails with an alarm.
async fn digests_and_alarms(app: &App) -> (usize, usize) {
    let digests = mails_next_morning(app).await;
    // Only administrators get alarms, so the marketer becomes one for this test.
    let marketer = app.user_id(Acme, Role::Marketer);
    let pk = format!("{}#INBOX#{marketer}", app.tenant_id(Acme));
    let item = app
        .dump("RecordsTable")
        .await
        .into_iter()
        .find(|item| item["pk"].as_s() == Ok(&pk) && item["sk"].as_s().unwrap() == "N#000000000001");
    let mut item = item.unwrap();
    deliver(app, &[status_changed(app, "DELIVERED")]).await;
    item.insert("sk".to_owned(), S("N#000000000002".to_owned()));
    item.insert("kind".to_owned(), S("audit_tamper_detected".to_owned()));
    let id = format!("ntf_{}0000000002", &item["notification_id"].as_s().unwrap()[4..26]);
    item.insert("notification_id".to_owned(), S(id));
    item.remove("read_at");
    let put = app.raw().put_item().table_name(&app.provisioned().tables["RecordsTable"]).set_item(Some(item));
    put.send().await.unwrap();
    at(app, "2026-01-03T08:50:00Z");
    tick(app).await;
    (digests, app.mails().len() - digests)
}

#[tokio::test]
async fn each_report_has_its_documented_effect() {
    type Report = fn(&str) -> Value;
    let reports: [(&str, Report, (usize, usize)); 18] = [
        ("not-spam", |a| complaint(Some("not-spam"), None, a), (1, 1)),
        ("NOT-SPAM", |a| complaint(Some("NOT-SPAM"), None, a), (1, 1)),
        ("auth-failure", |a| complaint(Some("auth-failure"), None, a), (1, 1)),
        ("abuse", |a| complaint(Some("abuse"), None, a), (0, 1)),
        ("fraud", |a| complaint(Some("fraud"), None, a), (0, 1)),
        ("virus", |a| complaint(Some("virus"), None, a), (0, 1)),
        ("other", |a| complaint(Some("other"), None, a), (0, 1)),
        ("a type of a later day", |a| complaint(Some("opt-out"), None, a), (0, 1)),
        ("no type", |a| complaint(None, None, a), (0, 1)),
        ("on the account's list", |a| complaint(None, Some("OnAccountSuppressionList"), a), (0, 1)),
        ("General", |a| bounce_of("Permanent", "General", a), (0, 0)),
        ("NoEmail", |a| bounce_of("Permanent", "NoEmail", a), (0, 0)),
        ("Suppressed", |a| bounce_of("Permanent", "Suppressed", a), (0, 0)),
        ("OnAccountSuppressionList", |a| bounce_of("Permanent", "OnAccountSuppressionList", a), (0, 0)),
        ("MailboxFull", |a| bounce_of("Transient", "MailboxFull", a), (1, 1)),
        ("ContentRejected", |a| bounce_of("Transient", "ContentRejected", a), (1, 1)),
        ("Undetermined", |a| bounce_of("Undetermined", "Undetermined", a), (1, 1)),
        ("a kind of a later day", |a| bounce_of("Deferred", "General", a), (1, 1)),
    ];
    for (name, report, expected) in reports {
        let app = App::start().await;
        assert_eq!(hear(&app, &[report(&app.email(Acme, Role::Marketer))]).await, 0, "{name}");
        assert_eq!(digests_and_alarms(&app).await, expected, "{name}: (digests, alarms)");
    }
}

#[tokio::test]
async fn complaint_redelivered_days_later_is_handled_once() {
    let app = App::start().await;
    let report = complaint(Some("abuse"), None, &app.email(Acme, Role::Marketer));
    assert_eq!(hear(&app, std::slice::from_ref(&report)).await, 0);
    let heard = app.platform_audit().await;
    for _ in 0..3 {
        app.clock().advance(std::time::Duration::from_secs(10 * 24 * 60 * 60));
        assert_eq!(hear(&app, std::slice::from_ref(&report)).await, 0);
    }
    assert_eq!(app.platform_audit().await, heard);
}

#[tokio::test]
async fn bounce_overrides_a_complaint_in_any_order() {
    for reports in [[0, 1], [1, 0]] {
        let app = App::start().await;
        let address = app.email(Acme, Role::Marketer);
        let both = [complaint(Some("abuse"), None, &address), bounce("Permanent", &address)];
        assert_eq!(hear(&app, &reports.map(|i| both[i].clone())).await, 0);
        assert_eq!(digests_and_alarms(&app).await, (0, 0));
    }
}

#[tokio::test]
async fn transient_bounce_or_bounce_of_another_address_does_not_stop_mail() {
    let app = App::start().await;
    let reports = [
        bounce("Transient", &app.email(Acme, Role::Marketer)),
        bounce("Permanent", &app.email(Birch, Role::Marketer)),
        report(json!({"eventType": "Delivery", "delivery": {"recipients": [app.email(Acme, Role::Marketer)]}})),
    ];
    assert_eq!(hear(&app, &reports).await, 0);
    assert_eq!(mails_next_morning(&app).await, 1);
}

#[tokio::test]
async fn malformed_report_goes_to_the_dead_letter_queue() {
    let app = App::start().await;
    let odd =
        [report(json!({"hello": "world"})), report(json!({"eventType": "Bounce"})), json!({"Message": "not JSON"}), json!(7)];
    assert_eq!(hear(&app, &odd).await, 4);
}
