//! Unread notifications are mailed once, at the user's chosen hour.

use crate::{
    fixture::*,
    schedules::{COUNTED, SCHEDULES},
};
use common::base::{Role, TenantId};
use futures_util::future::{self, Either};
use serde_json::{Value, json};
use std::{cell::Cell, future::Future};
use testing::{App, Fault, Tenant, kill_after, polls};

fn subject(mail: &Value) -> &str {
    mail["Content"]["Simple"]["Subject"]["Data"].as_str().unwrap()
}
fn to(mail: &Value) -> &str {
    mail["Destination"]["ToAddresses"][0].as_str().unwrap()
}
fn id_of(mail: &Value) -> &str {
    let header = &mail["Content"]["Simple"]["Headers"][0];
    assert_eq!(header["Name"], "X-Cloister-Id");
    header["Value"].as_str().unwrap()
}

#[tokio::test]
async fn digest_is_mailed_in_the_users_morning_with_counts_by_kind() {
    let app = App::start().await;
    prefer(&app, json!({"digest": {"frequency": "daily", "hour": 8}, "time_zone": "America/Los_Angeles"})).await;
    deliver(&app, &[status_changed(&app, "DELIVERED"), status_changed(&app, "EXCEPTION")]).await;
    // Eight o'clock there is 16:00 UTC, and the mail is sent within fifty minutes. The administrator has set no zone and is on
    // UTC.
    at(&app, "2026-01-01T15:59:00Z");
    tick(&app).await;
    assert_eq!(app.mails(), [json!(null); 0]);
    at(&app, "2026-01-01T16:50:00Z");
    tick(&app).await;
    let mails = app.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!((to(&mails[0]), subject(&mails[0])), (app.email(Acme, Role::Marketer).as_str(), "2 unread notifications"));
    assert_eq!(mails[0]["FromEmailAddress"], "no-reply@mail.example");
    let body = &mails[0]["Content"]["Simple"]["Body"];
    for format in ["Text", "Html"] {
        assert!(body[format]["Data"].as_str().unwrap().contains("1 shipment with a problem"), "{body}");
    }
    assert!(id_of(&mails[0]).starts_with("dig_"));

    at(&app, "2026-01-02T08:50:00Z");
    tick(&app).await;
    assert_eq!(app.mails().iter().skip(1).map(to).collect::<Vec<_>>(), [app.email(Acme, Role::TenantAdmin).as_str()]);
    // Without new notifications no mail follows.
    for time in ["2026-01-02T16:50:00Z", "2026-01-03T16:50:00Z", "2026-01-04T16:50:00Z"] {
        at(&app, time);
        tick(&app).await;
    }
    assert_eq!(app.mails().len(), 2);
    assert_eq!(tick(&app).await, 0);
}

#[tokio::test]
async fn notification_read_before_the_digest_is_not_mailed() {
    let app = App::start().await;
    deliver(&app, &[status_changed(&app, "DELIVERED"), status_changed(&app, "DELIVERED")]).await;
    let first = id(&list(&app, Acme, Role::Marketer).await, 0);
    call(&app, Acme, Role::Marketer, "read_notification").await.path("notification_id", first).await;
    let event = status_changed(&app, "EXCEPTION");
    deliver(&app, &[event]).await;
    call(&app, Acme, Role::TenantAdmin, "read_all_notifications").await.await;
    at(&app, "2026-01-02T08:50:00Z");
    tick(&app).await;
    let mails = app.mails();
    assert_eq!((mails.len(), subject(&mails[0])), (1, "2 unread notifications"));
}

#[tokio::test]
async fn digest_due_in_quiet_hours_is_postponed() {
    let app = App::start().await;
    prefer(&app, json!({"digest": {"frequency": "hourly"}})).await;
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    // The preferences change after the due time 13:00 was stored, so they are checked again when the digest is sent.
    let quiet = json!({"digest": {"frequency": "hourly"}, "quiet_hours": {"start": "12:30", "end": "14:30"}});
    prefer(&app, quiet).await;
    for (time, mails) in [("2026-01-01T13:00:00Z", 0), ("2026-01-01T14:29:00Z", 0), ("2026-01-01T14:30:00Z", 1)] {
        at(&app, time);
        tick(&app).await;
        assert_eq!(app.mails().len(), mails, "{time}");
    }
}

#[tokio::test]
async fn user_without_digests_gets_no_mail() {
    let app = App::start().await;
    prefer(&app, json!({"digest": {"frequency": "off"}})).await;
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    at(&app, "2026-01-09T12:00:00Z");
    tick(&app).await;
    assert_eq!(app.mails(), [json!(null); 0]);
}

#[tokio::test]
async fn notification_after_a_digest_is_in_the_next_one() {
    let app = App::start().await;
    prefer(&app, json!({"digest": {"frequency": "hourly"}})).await;
    for (delivered, sent) in [("2026-01-01T12:10:00Z", "2026-01-01T13:00:00Z"), ("2026-01-01T13:10:00Z", "2026-01-01T14:00:00Z")]
    {
        at(&app, delivered);
        deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
        at(&app, sent);
        tick(&app).await;
    }
    let mails = app.mails();
    assert_eq!(mails.iter().map(subject).collect::<Vec<_>>(), ["1 unread notification"; 2]);
    assert_ne!(id_of(&mails[0]), id_of(&mails[1]));
}

/// Runs the schedule with one digest due. `event` is delivered after the claim and before the inbox is read again.
async fn tick_with_one_before_the_look(app: &App, event: BusMessage) {
    // The first update reserves mail capacity.
    let mut claims = app.wire().hold("UpdateItem", 1);
    let meanwhile = async {
        claims.arrived().await;
        let mut looks = app.wire().hold("Query", 0);
        claims.let_go();
        looks.arrived().await;
        deliver(app, &[event]).await;
        looks.let_go();
    };
    futures_util::future::join(tick(app), meanwhile).await;
}

/// Like the function above, but `event` is delivered after the inbox was read again and before the digest is settled.
async fn tick_with_one_after_the_look(app: &App, event: BusMessage) {
    let mut settles = app.wire().hold("UpdateItem", 2);
    let meanwhile = async {
        settles.arrived().await;
        deliver(app, &[event]).await;
        settles.let_go();
    };
    futures_util::future::join(tick(app), meanwhile).await;
}

/// Whether a digest of this user's is claimed.
async fn is_claimed(app: &App, role: Role) -> bool {
    let items = inbox(app, app.tenant_id(Acme), app.user_id(Acme, role)).await;
    items.iter().any(|(key, item)| key == "STATE" && item.contains_key("digest_id"))
}

/// A digest that is due at 13:00 and will be empty.
async fn with_all_read() -> App {
    let app = App::start().await;
    prefer(&app, json!({"digest": {"frequency": "hourly"}})).await;
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    call(&app, Acme, Role::Marketer, "read_all_notifications").await.await;
    at(&app, "2026-01-01T13:00:00Z");
    app
}

#[tokio::test]
async fn notification_arriving_during_an_empty_digest_is_in_the_next() {
    let app = with_all_read().await;
    tick_with_one_before_the_look(&app, status_changed(&app, "DELIVERED")).await;
    assert_eq!((app.mails().len(), is_claimed(&app, Role::Marketer).await), (0, false));
    at(&app, "2026-01-01T14:00:00Z");
    tick(&app).await;
    assert_eq!(app.mails().iter().map(subject).collect::<Vec<_>>(), ["1 unread notification"]);
}

#[tokio::test]
async fn notification_arriving_while_an_empty_digest_settles_is_in_the_next() {
    let app = with_all_read().await;
    tick_with_one_after_the_look(&app, status_changed(&app, "DELIVERED")).await;
    assert_eq!((app.mails().len(), is_claimed(&app, Role::Marketer).await), (0, true));
    for (time, mails) in [("2026-01-01T13:10:00Z", 0), ("2026-01-01T14:00:00Z", 1)] {
        at(&app, time);
        tick(&app).await;
        assert_eq!((app.mails().len(), is_claimed(&app, Role::Marketer).await), (mails, false), "{time}");
    }
    assert_eq!(subject(&app.mails()[0]), "1 unread notification");
    // Without new notifications no run handles the inbox again.
    at(&app, "2026-01-01T15:00:00Z");
    tick(&app).await;
    // Until the index shows that it was handled, a run looks at it in vain.
    assert_eq!((tick(&app).await, app.mails().len()), (1, 1));
    app.settle_indexes();
    assert_eq!(tick(&app).await, 0);
}

#[tokio::test]
async fn alarm_arriving_during_an_empty_digest_is_mailed_at_once() {
    for (is_before, mailed_at) in [(true, "2026-01-02T08:55:00Z"), (false, "2026-01-02T09:05:00Z")] {
        let app = App::start().await;
        prefer(&app, json!({"digest": {"frequency": "off"}})).await;
        deliver(&app, &[status_changed(&app, "EXCEPTION")]).await;
        call(&app, Acme, Role::TenantAdmin, "read_all_notifications").await.await;
        at(&app, "2026-01-02T08:50:00Z");
        let alarm = told(&app, app.tenant_id(Acme), "verify_audit", "audit.tamper_detected", json!({}));
        if is_before {
            tick_with_one_before_the_look(&app, alarm).await;
        } else {
            tick_with_one_after_the_look(&app, alarm).await;
            assert!(is_claimed(&app, Role::TenantAdmin).await);
            at(&app, "2026-01-02T09:00:00Z");
            tick(&app).await;
        }
        let administrator = app.email(Acme, Role::TenantAdmin);
        assert!(app.mails().iter().all(|mail| to(mail) != administrator));
        at(&app, mailed_at);
        tick(&app).await;
        let mails = app.mails();
        let mails: Vec<_> = mails.iter().filter(|mail| to(mail) == administrator).map(subject).collect();
        assert_eq!(mails, ["1 unread notification"], "{mailed_at}");
    }
}

/// The texts of the mails to the administrator.
fn texts(app: &App) -> Vec<String> {
    let administrator = app.email(Acme, Role::TenantAdmin);
    let mails = app.mails();
    let texts = mails.iter().filter(|mail| to(mail) == administrator);
    texts.map(|mail| mail["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap().to_owned()).collect()
}

fn alarm(app: &App) -> BusMessage {
    told(app, app.tenant_id(Acme), "verify_audit", "audit.tamper_detected", json!({}))
}

/// The administrator's digest is the only due one. An alarm arrives during call number `calls` of `service`. Returns whether
/// there was such a call.
async fn alarmed_at(app: &App, service: &str, calls: usize, run: &str) -> bool {
    at(app, run);
    let mut running = Box::pin(tick(app));
    let (came, has_ended) = overtaken(app, service, calls, &mut running).await;
    if !has_ended {
        running.await;
    }
    app.wire().heal();
    came
}

/// Continues a run until it ends, or until one of its calls was held while an alarm was delivered. Returns whether there was such
/// a call, and whether the run has ended.
async fn overtaken<F: Future<Output = usize> + Unpin>(app: &App, service: &str, calls: usize, running: &mut F) -> (bool, bool) {
    let (mut held, came) = (app.wire().hold(service, calls), Cell::new(false));
    let meanwhile = Box::pin(async {
        held.arrived().await;
        came.set(true);
        deliver(app, &[alarm(app)]).await;
        held.let_go();
    });
    // Both continue concurrently, because the delivery may wait for data that the run has begun to load.
    let has_ended = match future::select(running, meanwhile).await {
        Either::Left((_, meanwhile)) => {
            if came.get() {
                meanwhile.await;
            }
            true
        }
        Either::Right(((), _)) => false,
    };
    (came.get(), has_ended)
}

#[tokio::test]
async fn alarm_arriving_at_any_call_of_a_digest_is_mailed_once_in_minutes() {
    let app = App::start().await;
    let silent = json!({"shipment_exception": {"in_app": true, "push": false, "email": false}});
    prefer(&app, json!({"channels": silent, "digest": {"frequency": "off"}})).await;
    let mut days = 2..;
    for (service, most) in [("dynamodb", 60), ("ses", 1)] {
        for calls in 0..most {
            let day = days.next().unwrap();
            let time = |time: &str| format!("2026-{:02}-{:02}T{time}Z", 1 + day / 28, 1 + day % 28);
            at(&app, &time("06:00:00"));
            deliver(&app, &[status_changed(&app, "EXCEPTION")]).await;
            let before = texts(&app).len();
            let came = alarmed_at(&app, service, calls, &time("08:50:00")).await;
            for minute in ["08:55", "09:00", "09:10"] {
                at(&app, &time(&format!("{minute}:00")));
                tick(&app).await;
            }
            let mails = texts(&app).split_off(before);
            let with = |words: &str| mails.iter().filter(|text| text.contains(words)).count();
            assert_eq!(with("shipment with a problem"), 1, "{service} {calls}: {mails:?}");
            assert_eq!(with("alarm about the audit log"), usize::from(came), "{service} {calls}: {mails:?}");
            if !came {
                assert!(calls > 8, "{calls}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn alarm_arriving_while_a_digest_is_postponed_is_mailed_in_quiet_hours() {
    let quiet = json!({"quiet_hours": {"start": "07:00", "end": "20:00"}, "digest": {"frequency": "daily", "hour": 8}});
    for calls in 0..3 {
        let app = App::start().await;
        deliver(&app, &[status_changed(&app, "EXCEPTION")]).await;
        // The preferences change after the due time of eight o'clock was stored.
        let put = call(&app, Acme, Role::TenantAdmin, "put_preferences").await.header("If-Match", "*").json(quiet.clone()).await;
        assert_eq!(put.status, 200, "{}", put.text);
        at(&app, "2026-01-02T20:00:00Z");
        let put = json!({"digest": {"frequency": "hourly"}, "quiet_hours": {"start": "19:00", "end": "23:00"}});
        call(&app, Acme, Role::TenantAdmin, "put_preferences").await.header("If-Match", "*").json(put).await;
        alarmed_at(&app, "dynamodb", calls, "2026-01-02T20:00:00Z").await;
        for minute in ["20:05", "20:10", "20:15"] {
            at(&app, &format!("2026-01-02T{minute}:00Z"));
            tick(&app).await;
        }
        let alarms = texts(&app).iter().filter(|text| text.contains("alarm about the audit log")).count();
        assert_eq!(alarms, 1, "{calls}");
    }
}

/// For any number of notifications between the read and the commit, nothing is mailed twice and nothing is lost.
#[tokio::test]
async fn digest_with_constant_settling_conflicts_is_mailed_once() {
    let app = App::start().await;
    deliver(&app, &[status_changed(&app, "EXCEPTION")]).await;
    at(&app, "2026-01-02T08:50:00Z");
    let (mut running, mut times) = (Box::pin(tick(&app)), 0);
    // The digest is settled in a transaction.
    while times < 12 {
        let (came, has_ended) = overtaken(&app, "TransactWriteItems", 0, &mut running).await;
        times += usize::from(came);
        if has_ended {
            break;
        }
    }
    assert!(times >= 1);
    app.wire().heal();
    for minute in ["09:10", "09:20", "09:30"] {
        at(&app, &format!("2026-01-02T{minute}:00Z"));
        tick(&app).await;
    }
    let mails = texts(&app);
    assert_eq!(mails.iter().filter(|text| text.contains("1 shipment with a problem")).count(), 1, "{mails:?}");
    let alarms = mails.iter().flat_map(|text| text.lines()).filter(|line| line.contains("about the audit log"));
    let numbers = alarms.map(|line| line.split_whitespace().find_map(|word| word.parse::<usize>().ok()).unwrap());
    assert_eq!(numbers.sum::<usize>(), times, "{mails:?}");
}

#[tokio::test]
async fn notification_to_mail_is_found_behind_many_that_are_not() {
    let app = App::start().await;
    let silent = json!({"shipment_status_changed": {"in_app": true, "push": false, "email": false}});
    prefer(&app, json!({"digest": {"frequency": "hourly"}, "channels": silent})).await;
    let many: Vec<_> = (0..COUNTED).map(|_| status_changed(&app, "DELIVERED")).collect();
    deliver(&app, &many).await;
    deliver(&app, &[status_changed(&app, "EXCEPTION")]).await;
    at(&app, "2026-01-01T13:00:00Z");
    tick(&app).await;
    assert_eq!(app.mails().iter().map(subject).collect::<Vec<_>>(), ["1 unread notification"]);
}

#[tokio::test]
async fn digest_killed_at_any_await_is_sent_and_repeated_with_the_same_id() {
    let probe = App::start().await;
    deliver(&probe, &[status_changed(&probe, "DELIVERED")]).await;
    at(&probe, "2026-01-02T08:50:00Z");
    let (_, most) = polls(SCHEDULES[0].run(probe.deps())).await;
    assert_eq!(probe.mails().len(), 1);

    let app = App::start().await;
    let (mut repeated, mut expected) = (0, 0);
    for day in 2..28 {
        at(&app, &format!("2026-01-{day:02}T06:00:00Z"));
        deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
        at(&app, &format!("2026-01-{day:02}T08:50:00Z"));
        let kill = 1 + (day - 2) * most / 25;
        kill_after(kill, SCHEDULES[0].run(app.deps())).await;
        // The next runs, and one after the claim of the killed run has expired.
        for time in ["09:10:00", "09:20:00", "09:30:00"] {
            at(&app, &format!("2026-01-{day:02}T{time}Z"));
            tick(&app).await;
        }
        let mails = app.mails();
        let new = &mails[expected..];
        assert!((1..=2).contains(&new.len()), "killed at {kill} of {most}: {} mails", new.len());
        assert!(new.iter().all(|mail| id_of(mail) == id_of(&new[0])), "killed at {kill}");
        repeated += new.len() - 1;
        expected = mails.len();
    }
    // Only a kill between sending and settling repeats a mail.
    assert!(repeated < 13, "{repeated} repeated");
}

#[tokio::test]
async fn concurrent_runs_send_a_digest_once() {
    let app = App::start().await;
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    at(&app, "2026-01-02T08:50:00Z");
    let runs = (0..3).map(|_| tick(&app));
    futures_util::future::join_all(runs).await;
    assert_eq!(app.mails().len(), 1);
}

#[tokio::test]
async fn mail_service_outage_only_delays_the_digest() {
    let app = App::start().await;
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    at(&app, "2026-01-02T08:50:00Z");
    app.wire().fail("ses", 0, 3, Fault::Gone);
    assert!(SCHEDULES[0].run(app.deps()).await.is_err());
    at(&app, "2026-01-02T09:00:00Z");
    tick(&app).await;
    assert_eq!(app.mails().len(), 1);
}

#[tokio::test]
async fn failing_mail_service_opens_the_breaker_and_loses_no_mail() {
    let app = App::start().await;
    // Two users have the notification.
    deliver(&app, &[status_changed(&app, "DELIVERED"), status_changed(&app, "EXCEPTION")]).await;
    app.wire().fail("ses", 0, 1000, Fault::Gone);
    let mut asked = Vec::new();
    for round in 0..5 {
        app.reset_calls();
        at(&app, &format!("2026-01-02T09:{round}0:00Z"));
        let _ = SCHEDULES[0].run(app.deps()).await;
        asked.push(app.calls().ses.len());
    }
    // Three attempts for each of the first mails; then for one only, which probes whether the service has recovered.
    assert_eq!(asked, [6, 6, 6, 3, 3]);
    app.wire().heal();
    for time in ["2026-01-02T10:00:00Z", "2026-01-02T10:10:00Z"] {
        at(&app, time);
        let _ = SCHEDULES[0].run(app.deps()).await;
    }
    assert_eq!(app.mails().len(), 2);
}

/// Uses up the minute's mail capacity except for `left`.
async fn spend(app: &App, left: i64) {
    use aws_sdk_dynamodb::types::AttributeValue;
    let per_minute = i64::from(common::run::scale::MAILS_PER_MINUTE);
    let tat = common::base::Clock::now(app.clock()).as_millis() * 1000 + (per_minute - left) * (60_000_000 / per_minute);
    let gate = format!("{}#GATE#ses", TenantId::PLATFORM);
    let put = app.raw().put_item().table_name(&app.provisioned().tables["EphemeraTable"]);
    let put = put.item("pk", AttributeValue::S(gate)).item("sk", AttributeValue::S("GATE".to_owned()));
    put.item("tat", AttributeValue::N(tat.to_string())).send().await.unwrap();
}

#[tokio::test]
async fn digest_without_mail_capacity_is_not_claimed_and_alarm_goes_first() {
    let app = App::start().await;
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    at(&app, "2026-01-02T08:50:00Z");
    // The other tenant's alarm arrives last, and there is capacity for urgent mails only.
    let alarm = told(&app, app.tenant_id(Tenant::Birch), "verify_audit", "audit.tamper_detected", json!({}));
    deliver(&app, &[alarm]).await;
    spend(&app, i64::from(common::run::scale::MAILS_PER_MINUTE) / 2 - 1).await;
    // A run that does not find the alarm in the index leaves it to the next minute's.
    app.settle_indexes();
    tick(&app).await;
    let theirs = |role| app.email(Tenant::Birch, role);
    let mails = app.mails();
    assert!(
        !mails.is_empty()
            && mails.iter().all(|mail| [theirs(Role::Auditor), theirs(Role::TenantAdmin)].iter().any(|e| e == to(mail)))
    );
    for role in [Role::Marketer, Role::TenantAdmin] {
        assert!(!is_claimed(&app, role).await, "{role}");
    }
    // When capacity is available again, it is sent in the next run and not ten minutes later.
    let before = mails.len();
    app.clock().advance(std::time::Duration::from_secs(61));
    tick(&app).await;
    assert!(app.mails()[before..].iter().any(|mail| to(mail) == app.email(Acme, Role::Marketer)));
    // Without any capacity an alarm waits too, until the next run.
    spend(&app, 0).await;
    let alarm = told(&app, app.tenant_id(Acme), "verify_audit", "audit.tamper_detected", json!({}));
    deliver(&app, &[alarm]).await;
    app.settle_indexes();
    let before = app.mails().len();
    tick(&app).await;
    assert_eq!(app.mails().len(), before);
    app.clock().advance(std::time::Duration::from_secs(61));
    tick(&app).await;
    assert!(app.mails().len() > before);
}
