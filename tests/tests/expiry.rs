//! DynamoDB deletes a row some time after its `expires_at`. It must not be earlier than the last moment at which the row matters.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue;
use common::{
    background::{AnyConsumer, AnySchedule},
    base::{Clock, Role, Timestamp},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};
use suite::{
    fixture,
    people::{self, endpoint, with_second_factor},
    samples,
};
use testing::{App, PASSWORD, Tenant};

type Row = HashMap<String, AttributeValue>;

/// A kind of row in `ephemera`: its promised lifetime from when it is written, and the attributes with a time until which it
/// matters, each with the number of its units in a second.
struct Kind {
    begins: &'static str,
    lives: Duration,
    until: &'static [(&'static str, i64)],
}

const fn kind(begins: &'static str, seconds: u64, until: &'static [(&'static str, i64)]) -> Kind {
    Kind { begins, lives: Duration::from_secs(seconds), until }
}

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;
const MS: i64 = 1000;
const MICROS: i64 = 1_000_000;

/// Every kind. A row of another kind fails the test.
const KINDS: [Kind; 18] = [
    kind("SESSIONS#", 0, &[("ends_at", MS)]),
    // A refresh token is still recognised after its session has ended.
    kind("REFRESH#", 12 * HOUR, &[]),
    kind("MFA_TRIES#", DAY, &[("locked_until", MS)]),
    // A sign-in waits ten minutes at most.
    kind("SIGN_INS#", 600, &[]),
    kind("CEILING#", 0, &[]),
    kind("IDEMPOTENCY#", DAY, &[]),
    kind("LIMIT#", 60, &[("blocked_until", MICROS)]),
    kind("RESET#", 30 * 60, &[("good_until", MS)]),
    // SQS keeps a message for up to fourteen days.
    kind("HANDLED#", 14 * DAY, &[]),
    // API Gateway closes a socket after two hours.
    kind("SOCKETS#", 2 * HOUR, &[]),
    kind("DEAD_LETTERS#", 14 * DAY, &[]),
    kind("TICKET#", 30, &[("good_until", MS)]),
    kind("UPS#TOKEN", 0, &[("ends_at", MS), ("lease_until", MS)]),
    // UPS's subscriptions last fourteen days.
    kind("WATCH#", 14 * DAY, &[]),
    kind("GATE#", 15 * 60, &[("open_until", MS), ("tat", MICROS)]),
    kind("PENDING#", 300, &[]),
    // A network from which a user has signed in counts as known for thirty days.
    kind("KNOWN#", 30 * DAY, &[]),
    // The next runs continue a round.
    kind("ROUND#", DAY, &[]),
];

/// The start of a test's clock.
const START: &str = "2026-01-01T12:00:00Z";

/// The sessions that `testing` writes itself, without our code.
fn is_made_up(row: &Row) -> bool {
    row.get("user_agent").is_some_and(|agent| agent == &AttributeValue::S("testing/1".to_owned()))
        && row.get("ip").is_some_and(|ip| ip == &AttributeValue::S("192.0.2.7".to_owned()))
}

async fn rows(app: &App) -> BTreeMap<(String, String), Row> {
    let all = app.dump("EphemeraTable").await.into_iter();
    all.map(|row| ((row["pk"].as_s().unwrap().clone(), row["sk"].as_s().unwrap().clone()), row)).collect()
}

fn number(row: &Row, name: &str) -> Option<i64> {
    row.get(name)?.as_n().ok()?.parse().ok()
}

/// Checks each row that was written since the time `began`, when the table contained `before`.
async fn check(app: &App, began: Timestamp, before: &BTreeMap<(String, String), Row>, seen: &mut BTreeSet<&'static str>) {
    for (at, row) in rows(app).await {
        if before.get(&at) == Some(&row) || is_made_up(&row) {
            continue;
        }
        let (_, partition) = at.0.split_once('#').unwrap();
        if partition.starts_with("SUPPRESSED#") {
            assert_eq!(number(&row, "expires_at"), None, "an address is suppressed for good");
            continue;
        }
        let kind = KINDS.iter().find(|kind| partition.starts_with(kind.begins));
        let kind = kind.unwrap_or_else(|| panic!("add the time until which a row of `{partition}` matters"));
        let expires = number(&row, "expires_at").unwrap_or_else(|| panic!("`{partition}` does not expire: {row:?}"));
        let promised = began.plus(kind.lives).as_secs();
        assert!(expires >= promised, "`{partition}` expires {} s too early: {row:?}", promised - expires);
        let limits = row.iter().filter(|(name, _)| name.starts_with("tat_")).map(|(name, _)| (name.as_str(), MICROS));
        for (name, units) in kind.until.iter().copied().chain(limits) {
            let Some(until) = number(&row, name) else { continue };
            assert!(expires * units >= until, "`{partition}` expires before its `{name}`: {row:?}");
        }
        if let Some(minute) = partition.strip_prefix("CEILING#").and_then(|minute| minute.parse::<i64>().ok()) {
            assert!(expires >= (minute + 1) * 60, "`{partition}` expires within its own minute");
        }
        if kind.begins == "REFRESH#" {
            let session = partition.strip_prefix(kind.begins).unwrap();
            let all = rows(app).await;
            let (_, session) = all.iter().find(|((_, sort), _)| sort == session).unwrap();
            assert!(expires * MS >= number(session, "ends_at").unwrap(), "a refresh token expires before its session");
        }
        seen.insert(kind.begins);
    }
}

/// The actions of users: they sign in, give wrong passwords and codes, reset a password and call endpoints.
async fn people_come(seen: &mut BTreeSet<&'static str>) {
    let app = App::with_cognito().await;
    // Not a whole second, so that a time that was rounded down shows.
    app.clock().set(Timestamp::from_millis(app.clock().now().as_millis() / 1000 * 1000 + 1999));
    let (began, before) = (app.clock().now(), rows(&app).await);
    people::sign_in(&app, Tenant::Acme, Role::Marketer).await;
    people::login(&app, &app.email(Tenant::Acme, Role::Auditor), PASSWORD).await;
    people::login(&app, &app.email(Tenant::Acme, Role::Viewer), "not the password").await;
    with_second_factor(&app, Tenant::Acme, Role::Provider).await;
    let provider = app.as_identity(app.open_session(Tenant::Acme, Role::Provider).await);
    for _ in 0..5 {
        provider.call(endpoint("verify_mfa")).json(json!({"code": "000000"})).await;
    }
    people::public(&app, "forgot_password", json!({"email": app.email(Tenant::Acme, Role::Marketer)})).await;
    app.deliveries(identity::consumers::CONSUMERS).settle().await;
    for name in ["create_shipment", "create_shipments", "create_api_key"] {
        let role = if name == "create_api_key" { Role::TenantAdmin } else { Role::Marketer };
        let client = app.as_identity(app.open_session(Tenant::Acme, role).await);
        let made = client.call(endpoint(name)).json(fixture::fresh(endpoint(name).sample.body.unwrap())).await;
        assert!(made.status < 300, "{name}: {}", made.text);
    }
    app.as_identity(app.open_session(Tenant::Acme, Role::Viewer).await).call(endpoint("create_socket_ticket")).await;
    // Spends the budgets of the address and of the e-mail, since a spent limit matters longest.
    for _ in 0..5 {
        people::login(&app, &app.email(Tenant::Acme, Role::Viewer), "not the password").await;
    }
    check(&app, began, &before, seen).await;
}

/// Runs a consumer with its messages, and with one that it cannot parse.
async fn consumed(consumer: &'static AnyConsumer, seen: &mut BTreeSet<&'static str>) {
    let world = Box::pin(samples::world(consumer.name)).await;
    // Checks the rows of its sample, from the start of the test's clock.
    check(&world.app, START.parse().unwrap(), &BTreeMap::new(), seen).await;
    let (began, before) = (world.app.clock().now(), rows(&world.app).await);
    let mut queue = world.queue(consumer, 1).await;
    queue.settle().await;
    queue.send(consumer.name, &json!({"no": "message of ours"}));
    queue.settle().await;
    drop(queue);
    check(&world.app, began, &before, seen).await;
}

async fn scheduled(schedule: &'static AnySchedule, seen: &mut BTreeSet<&'static str>) {
    let world = Box::pin(samples::world(schedule.name)).await;
    let (began, before) = (world.app.clock().now(), rows(&world.app).await);
    // One of them finds an error, and returns it.
    schedule.run(world.app.deps()).await.ok();
    check(&world.app, began, &before, seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_expires_no_earlier_than_the_last_moment_that_it_matters() {
    let mut seen = BTreeSet::new();
    Box::pin(people_come(&mut seen)).await;
    // `mirror_user` creates a user pool each time, and writes no kind of row that the others do not.
    for consumer in registry::consumers().filter(|consumer| consumer.name != "mirror_user") {
        Box::pin(consumed(consumer, &mut seen)).await;
    }
    for schedule in registry::schedules() {
        Box::pin(scheduled(schedule, &mut seen)).await;
    }
    let unseen: Vec<_> = KINDS.iter().map(|kind| kind.begins).filter(|begins| !seen.contains(begins)).collect();
    assert_eq!(unseen, [""; 0], "no step of this test writes these");
}
