//! An address that bounces or complains gets no more mail.

use crate::fixture::*;
use common::Role;
use serde_json::{Value, json};
use testing::App;

async fn mails_next_morning(app: &App) -> usize {
    deliver(app, &[status_changed(app, "DELIVERED")]).await;
    at(app, "2026-01-02T08:00:00Z");
    tick(app).await;
    app.mails().len()
}

/// Hands the reports to their consumer: how many were given up.
async fn hear(app: &App, bodies: &[Value]) -> usize {
    let mut queues = queues(app);
    for body in bodies {
        queues.send("mail_feedback", body);
    }
    while queues.step().await {}
    queues.dead().len()
}

fn bounce(kind: &str, address: &str) -> Value {
    report(json!({
        "eventType": "Bounce",
        "bounce": {"bounceType": kind, "bounceSubType": "General", "bouncedRecipients": [{"emailAddress": address, "status": "5.1.1"}]},
        "mail": {"messageId": "synthetic"},
    }))
}

#[tokio::test]
async fn a_permanent_bounce_ends_it() {
    let app = App::start().await;
    // However the mail service spells it.
    let address = app.email(Acme, Role::Marketer).to_uppercase();
    assert_eq!(hear(&app, &[bounce("Permanent", &address)]).await, 0);
    assert_eq!(mails_next_morning(&app).await, 0);
    let kept = format!("{:?}", app.dump("RecordsTable").await).to_lowercase();
    assert!(!kept.contains(&address.to_lowercase()), "the address itself is nowhere");
    assert!(app.platform_audit().await.iter().any(|e| e["type"].as_str().unwrap().ends_with(".mail_feedback")));
}

#[tokio::test]
async fn so_does_a_complaint() {
    let app = App::start().await;
    let complaint = json!({
        "eventType": "Complaint",
        "complaint": {"complainedRecipients": [{"emailAddress": app.email(Acme, Role::Marketer)}]},
    });
    assert_eq!(hear(&app, &[report(complaint)]).await, 0);
    assert_eq!(mails_next_morning(&app).await, 0);
}

#[tokio::test]
async fn a_passing_trouble_or_anothers_bounce_does_not() {
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
async fn what_is_no_report_is_given_up() {
    let app = App::start().await;
    let odd =
        [report(json!({"hello": "world"})), report(json!({"eventType": "Bounce"})), json!({"Message": "not JSON"}), json!(7)];
    assert_eq!(hear(&app, &odd).await, 4);
}
