//! A new version of an event is published beside the old one. Each consumer gets the versions that it understands, once.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::{
    background::{AnyConsumer, Background, Consumer, Delivery, Feed, Incoming, Queue},
    base::{Error, Need, Result, Role},
    store::{Condition, Edit, Event, Key},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use suite::{fixture::Fixture, people::endpoint};
use testing::{App, Tenant};

/// The event that makes the publisher publish.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct ShipmentCreated {
    shipment_id: String,
}
impl Event for ShipmentCreated {
    const SCHEMA: &'static str = "shipment.created";
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Changed {
    number: u32,
}
impl Event for Changed {
    const SCHEMA: &'static str = "test.changed";
}

/// The same event in a version that an old consumer cannot parse.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct ChangedV2 {
    count: String,
}
impl Event for ChangedV2 {
    const SCHEMA: &'static str = "test.changed";
    const VERSION: u32 = 2;
}

common::messages! {
    enum Either { Old(Changed), New(ChangedV2) }
}

fn count<B: Background>(cx: &mut Delivery<'_, B>) {
    let always = Condition::Any(vec![Condition::Absent, Condition::Present]);
    let edit = Edit::of(Key::new("COUNT", B::NAME)).add("count", 1).when(always);
    cx.changes().edit(edit, Error::internal("count"));
}

macro_rules! consumer {
    ($Name:ident, $name:literal, $queue:literal, $Message:ty, |$cx:ident| $work:block) => {
        #[derive(Debug)]
        struct $Name;
        impl Background for $Name {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = "A test's";
            const NEEDS: &'static [Need] = &[Need::Write];
            type Part = ();
            async fn handle($cx: &mut Delivery<'_, Self>, (): &()) -> Result<()> {
                $work
                Ok(())
            }
        }
        impl Consumer for $Name {
            const QUEUE: Queue = Queue::new($queue, Feed::Events);
            type Message = $Message;
            async fn parts(_: &Incoming<'_, Self>, _: $Message) -> Result<Vec<()>> {
                Ok(vec![()])
            }
        }
    };
}

consumer!(Publisher, "publisher", "publisher", ShipmentCreated, |cx| {
    cx.changes().emit(Changed { number: 7 }.into());
    cx.changes().emit(ChangedV2 { count: "seven".to_owned() }.into());
});
consumer!(Older, "older", "older", Changed, |cx| { count(cx) });
consumer!(Newer, "newer", "newer", ChangedV2, |cx| { count(cx) });
consumer!(Both, "both", "both", Either, |cx| { count(cx) });

static PUBLISHER: AnyConsumer = AnyConsumer::of::<Publisher>("suite", "Publisher");
static OLDER: AnyConsumer = AnyConsumer::of::<Older>("suite", "Older");
static NEWER: AnyConsumer = AnyConsumer::of::<Newer>("suite", "Newer");
static BOTH: AnyConsumer = AnyConsumer::of::<Both>("suite", "Both");

/// The number of Acme's events that a consumer has handled.
async fn handled(app: &App, name: &str) -> u64 {
    let pk = format!("{}#COUNT", app.tenant_id(Tenant::Acme));
    let rows = app.dump("RecordsTable").await;
    let row = rows.iter().find(|row| row["pk"].as_s() == Ok(&pk) && row["sk"].as_s().unwrap() == name);
    row.map_or(0, |row| row["count"].as_n().unwrap().parse().unwrap())
}

async fn ship(app: &App) {
    let fixture = Fixture::new(app).await;
    let who = app.open_session(Tenant::Acme, Role::Marketer).await;
    assert_eq!(fixture.call(&app.as_identity(who), endpoint("create_shipment")).await.status, 201);
}

/// `Fixture::new` makes a shipment too.
const SHIPMENTS: u64 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn consumer_gets_each_version_it_understands_once_and_outbox_empties() {
    let app = App::start().await;
    ship(&app).await;
    let settles = system::consumers::CONSUMERS.iter().find(|consumer| consumer.name == "settle_outbox").unwrap();
    let mut deliveries = app.deliveries([&PUBLISHER, &OLDER, &NEWER, &BOTH, settles]).copies(2);
    deliveries.settle().await;
    assert_eq!(deliveries.dead(), []);
    for (name, expected) in [("older", SHIPMENTS), ("newer", SHIPMENTS), ("both", 2 * SHIPMENTS)] {
        assert_eq!(handled(&app, name).await, expected, "{name}");
    }
    assert!(app.log_lines().iter().all(|line| line["outcome"] != "passed_over"), "the bus's rules deliver no other version");
    assert_eq!(app.domain_events(Tenant::Acme).await, [serde_json::json!(null); 0], "the outbox is empty");
}

/// During a deployment or a rollback, a queue may hold versions for the older or the newer function.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_version_is_passed_over_and_unknown_event_is_dead_lettered() {
    let app = App::start().await;
    ship(&app).await;
    let mut deliveries = app.deliveries([&PUBLISHER]);
    deliveries.settle().await;
    let mut queues = app.deliveries([&OLDER, &NEWER]);
    for envelope in app.domain_events(Tenant::Acme).await.into_iter().filter(|event| event["schema"] == "test.changed") {
        for consumer in ["older", "newer"] {
            queues.send(consumer, &envelope);
        }
    }
    while queues.step().await {}
    assert_eq!(queues.dead(), []);
    assert_eq!([handled(&app, "older").await, handled(&app, "newer").await], [SHIPMENTS; 2]);
    for (function, version) in [("older", 2), ("newer", 1)] {
        let lines = app.log_lines();
        let passed = lines.iter().filter(|line| line["function"] == function && line["outcome"] == "passed_over");
        assert_eq!(passed.filter(|line| line["event.version"] == version).count() as u64, SHIPMENTS, "{function}");
    }
    let mut other = app.domain_events(Tenant::Acme).await.into_iter().find(|event| event["schema"] == "test.changed").unwrap();
    other["schema"] = "test.other".into();
    let mut queues = app.deliveries([&OLDER]);
    queues.send("older", &other);
    while queues.step().await {}
    assert_eq!(queues.dead().len(), 1);
}
