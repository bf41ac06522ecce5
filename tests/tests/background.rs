//! Rules for every consumer, tested with one that counts: no message is lost, none is handled twice, and a message that cannot be
//! handled is dead-lettered with a reason.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue;
use common::{
    background::{AnyConsumer, AnySchedule},
    base::Role,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};
use suite::{
    counter::{COUNTER, SLEEPER},
    fixture::Fixture,
    samples::{self, World},
    state,
};
use testing::{App, Fault, Tenant, kill_after};

async fn create(app: &App, tenant: Tenant, n: usize) {
    let endpoint = registry::all().find(|e| e.name == "create_shipment").unwrap();
    for _ in 0..n {
        let fixture = Fixture::new(app).await;
        let answer = fixture.call(&app.as_identity(app.open_session(tenant, Role::Marketer).await), endpoint).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
}

/// The counter's count in a tenant.
async fn counted(app: &App, tenant: Tenant) -> u64 {
    let pk = format!("{}#COUNT", app.tenant_id(tenant));
    let rows = app.dump("RecordsTable").await;
    let row = rows.iter().find(|row| row["pk"].as_s().unwrap() == &pk);
    row.map_or(0, |row| row["count"].as_n().unwrap().parse().unwrap())
}

async fn created(app: &App, tenant: Tenant) -> u64 {
    let told = app.domain_events(tenant).await;
    told.iter().filter(|e| e["schema"] == "shipment.created").count().try_into().unwrap()
}

async fn told_again(app: &App, tenant: Tenant) -> u64 {
    let told = app.domain_events(tenant).await;
    told.iter().filter(|e| e["schema"] == "test.counted").count().try_into().unwrap()
}

async fn jobs(app: &App, tenant: Tenant) -> Vec<Value> {
    app.audit(tenant).await.into_iter().filter(|e| e["type"] == "job.counter").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn event_delivered_three_times_in_any_order_is_handled_once() {
    for seed in 1..=5 {
        let app = App::start().await;
        create(&app, Tenant::Acme, 4).await;
        create(&app, Tenant::Birch, 2).await;
        let mut deliveries = app.deliveries([&COUNTER]).copies(3).shuffled(seed);
        deliveries.settle().await;
        assert!(deliveries.dead().is_empty());
        for tenant in [Tenant::Acme, Tenant::Birch] {
            let expected = created(&app, tenant).await;
            assert_eq!(counted(&app, tenant).await, expected, "seed {seed}");
            assert_eq!(told_again(&app, tenant).await, expected, "seed {seed}");
            // Two parts an event, each with an audit event of its own.
            assert_eq!(jobs(&app, tenant).await.len() as u64, 2 * expected, "seed {seed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn message_redriven_for_weeks_is_handled_once() {
    let app = App::start().await;
    create(&app, Tenant::Acme, 1).await;
    let told = app.domain_events(Tenant::Acme).await.into_iter().find(|e| e["schema"] == "shipment.created").unwrap();
    app.deliveries([&COUNTER]).settle().await;
    let expected = counted(&app, Tenant::Acme).await;
    for _ in 0..3 {
        app.clock().advance(Duration::from_secs(14 * 24 * 60 * 60));
        let mut deliveries = app.deliveries([&COUNTER]);
        deliveries.send("counter", &told);
        assert!(deliveries.step().await && deliveries.is_empty());
        assert_eq!((counted(&app, Tenant::Acme).await, told_again(&app, Tenant::Acme).await), (expected, expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_event_of_an_effect_names_its_cause() {
    let app = App::start().await;
    create(&app, Tenant::Acme, 1).await;
    app.deliveries([&COUNTER]).settle().await;
    let event = jobs(&app, Tenant::Acme).await.into_iter().find(|e| !e["resources"].as_array().unwrap().is_empty()).unwrap();
    assert_eq!(event["actor"]["type"], "service");
    assert_eq!(event["actor"]["id"], "counter");
    assert_eq!(event["on_behalf_of"]["id"], app.user_id(Tenant::Acme, Role::Marketer).to_string());
    let caused = app.domain_events(Tenant::Acme).await.into_iter().find(|e| e["schema"] == "test.counted").unwrap();
    let cause = app.domain_events(Tenant::Acme).await.into_iter().find(|e| e["schema"] == "shipment.created").unwrap();
    assert_eq!(caused["correlation_id"], cause["correlation_id"]);
    assert_eq!(caused["on_behalf_of"], cause["actor"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn message_of_a_consumer_killed_at_any_await_is_handled_once() {
    for after in 0..40 {
        let app = App::start().await;
        create(&app, Tenant::Acme, 1).await;
        let mut deliveries = app.deliveries([&COUNTER]);
        deliveries.collect().await;
        let (consumer, event) = deliveries.take().unwrap();
        let killed = kill_after(after, consumer.consume(app.deps(), event)).await.is_none();
        // SQS delivers a message again if its handler did not answer.
        app.deliveries([&COUNTER]).settle().await;
        let expected = created(&app, Tenant::Acme).await;
        assert_eq!(counted(&app, Tenant::Acme).await, expected, "killed after {after} polls");
        assert_eq!(told_again(&app, Tenant::Acme).await, expected, "killed after {after} polls");
        if !killed {
            return;
        }
    }
    panic!("the handler never finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn message_is_handled_once_whichever_call_is_lost() {
    for fault in [Fault::Gone, Fault::Throttled, Fault::Conflict, Fault::LostAnswer] {
        for index in 0..3 {
            let app = App::start().await;
            create(&app, Tenant::Acme, 1).await;
            let mut deliveries = app.deliveries([&COUNTER]);
            deliveries.collect().await;
            app.wire().fail("dynamodb", index, 3, fault);
            deliveries.step().await;
            app.wire().heal();
            deliveries.settle().await;
            assert_eq!(counted(&app, Tenant::Acme).await, created(&app, Tenant::Acme).await, "{fault:?} at call {index}");
        }
    }
}

/// The stored reasons of a queue's dead letters, sorted.
async fn reasons(app: &App, queue: &str) -> Vec<String> {
    let partition = format!("#DEAD_LETTERS#{queue}");
    let rows = app.dump("EphemeraTable").await;
    let letters = rows.iter().filter(|row| row["pk"].as_s().unwrap().ends_with(&partition));
    let mut reasons: Vec<_> = letters.filter_map(|row| row.get("reason")).map(|reason| reason.as_s().unwrap().clone()).collect();
    reasons.sort_unstable();
    reasons
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_message_is_dead_lettered_with_a_reason_and_blocks_no_other() {
    let app = App::start().await;
    create(&app, Tenant::Acme, 2).await;
    let mut envelope = app.domain_events(Tenant::Acme).await.into_iter().find(|e| e["schema"] == "shipment.created").unwrap();
    let mut deliveries = app.deliveries([&COUNTER]);
    deliveries.send("counter", &json!("no envelope"));
    envelope["schema"] = "shipment.imagined".into();
    deliveries.send("counter", &envelope);
    envelope["schema"] = "shipment.created".into();
    envelope["payload"] = json!({"shipment_id": 7});
    deliveries.send("counter", &envelope);
    deliveries.settle().await;
    assert_eq!(deliveries.dead().len(), 3);
    assert_eq!(counted(&app, Tenant::Acme).await, created(&app, Tenant::Acme).await);

    assert_eq!(
        reasons(&app, "counter").await,
        ["internal: message does_not_fit", "internal: message not_an_envelope", "internal: message unknown_schema"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_consumer_stores_the_reason_of_its_dead_letter() {
    let app = App::start().await;
    for consumer in registry::consumers() {
        let mut deliveries = app.deliveries([consumer]);
        deliveries.send(consumer.name, &json!("no envelope"));
        while deliveries.step().await {}
        assert_eq!(deliveries.dead().len(), 1, "{}", consumer.name);
        assert_eq!(reasons(&app, consumer.queue.name).await.len(), 1, "{}", consumer.name);
    }
}

/// A consumer that waits for its tenant stores its messages. They are sent to the consumer's own queue again afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn message_of_a_stopped_tenant_waits_and_is_released_to_its_queue() {
    let mut waiting = 0;
    for consumer in registry::consumers().filter(|consumer| consumer.waits) {
        let world = samples::world_in(consumer.name, &[Tenant::Acme, Tenant::Birch]).await;
        let (app, acme) = (&world.app, world.app.tenant_id(Tenant::Acme).to_string());
        let stored = async |tenant: Tenant| {
            let partition = format!("{}#WAITING", app.tenant_id(tenant));
            app.dump("RecordsTable").await.iter().filter(|row| row["pk"].as_s() == Ok(&partition)).count()
        };
        // The outcomes of Acme's messages.
        let outcomes = || {
            let lines = app.log_lines().into_iter().filter(|line| line["function"] == consumer.name);
            lines.filter(|line| line["tenant.id"] == acme).map(|line| line["outcome"].clone()).collect::<Vec<_>>()
        };
        let queues = app.deliveries(registry::consumers().filter(|c| [consumer.name, "release_messages"].contains(&c.name)));
        let mut queues = world.filled(queues, consumer).await;
        samples::operator(app, Tenant::Acme, "suspend_organization").await;
        app.forget_log_lines();
        while queues.step().await {}
        let first = stored(Tenant::Acme).await;
        assert!(first > 0, "{}", consumer.name);
        assert_eq!(outcomes(), vec![json!("waits"); first], "{}", consumer.name);
        assert_eq!(stored(Tenant::Birch).await, 0, "{}", consumer.name);
        samples::operator(app, Tenant::Acme, "reactivate_organization").await;
        app.forget_log_lines();
        queues.settle().await;
        assert_eq!((stored(Tenant::Acme).await, queues.dead().len()), (0, 0), "{}", consumer.name);
        let after = outcomes();
        assert!(after.len() >= first && !after.contains(&json!("waits")), "{}: {after:?}", consumer.name);
        waiting += 1;
    }
    assert_eq!(waiting, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn set_up_notice_of_a_service_is_acknowledged_and_counted_by_consumers() {
    let app = App::start().await;
    let before = state::of_all(&app, &["RecordsTable", "LedgerTable", "EphemeraTable"]).await;
    for consumer in registry::consumers() {
        app.forget_log_lines();
        let mut deliveries = app.deliveries([consumer]);
        let notices = samples::notices();
        for notice in &notices {
            deliveries.send_text(consumer.name, notice);
        }
        while deliveries.step().await {}
        assert_eq!((deliveries.handled(), deliveries.dead().len()), (notices.len() as u64, 0), "{}", consumer.name);
        let counted = app.log_lines().into_iter().filter(|line| line["event"] == "queue.notice").count();
        assert_eq!(counted, notices.len(), "{}", consumer.name);
    }
    assert_eq!(state::of_all(&app, &["RecordsTable", "LedgerTable", "EphemeraTable"]).await, before);
}

/// A Pipe that finds JSON in a string inserts it as an object.
#[tokio::test(flavor = "multi_thread")]
async fn consumer_handles_an_event_inserted_as_an_object_like_one_in_text() {
    for consumer in registry::consumers() {
        let mut told = Vec::new();
        for as_values in [false, true] {
            let world = samples::world(consumer.name).await;
            let queue = world.app.deliveries([consumer]);
            let mut queue = world.filled(if as_values { queue.as_values() } else { queue }, consumer).await;
            assert!(!queue.is_empty(), "{}: it receives nothing", consumer.name);
            world.app.forget_log_lines();
            while queue.step().await {}
            assert_eq!(queue.dead(), [], "{}", consumer.name);
            let lines = world.app.log_lines();
            let lines = lines.iter().filter(|line| line["function"] == consumer.name);
            let mut outcomes: Vec<_> =
                lines.map(|line| (line["event.schema"].clone().to_string(), line["outcome"].to_string())).collect();
            outcomes.sort_unstable();
            told.push(outcomes);
        }
        assert!(told[0].iter().any(|(_, outcome)| outcome != "\"failed\""), "{}: {told:?}", consumer.name);
        assert_eq!(told[0], told[1], "{}", consumer.name);
    }
}

/// The consumer fails at each try before the last, which stores a reason, and succeeds at the last.
#[tokio::test(flavor = "multi_thread")]
async fn message_handled_at_its_last_try_leaves_no_reason_behind() {
    let app = App::start().await;
    create(&app, Tenant::Acme, 1).await;
    let mut deliveries = app.deliveries([&COUNTER]);
    deliveries.collect().await;
    app.wire().fail("TransactWriteItems", 0, usize::MAX, Fault::Refused("AccessDeniedException"));
    for _ in 1..COUNTER.queue.receives {
        for _ in 0..deliveries.len() {
            deliveries.step().await;
        }
    }
    assert!(!reasons(&app, "counter").await.is_empty());
    app.wire().heal();
    deliveries.settle().await;
    assert_eq!((deliveries.dead().len(), reasons(&app, "counter").await.len()), (0, 0));
    assert_eq!(counted(&app, Tenant::Acme).await, created(&app, Tenant::Acme).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_message_stops_its_group_and_no_other() {
    let app = App::start().await;
    let record = |id: &str, tenant: String| {
        json!({
            "messageId": id,
            "body": json!({"wake_up": format!("{tenant}#AUDIT")}).to_string(),
            "attributes": {"ApproximateReceiveCount": "1", "MessageGroupId": tenant},
            "messageAttributes": {},
        })
    };
    let (acme, platform) = (app.tenant_id(Tenant::Acme).to_string(), common::base::TenantId::PLATFORM.to_string());
    let records = json!({"Records": [
        record("a1", acme.clone()), record("p1", platform.clone()), record("a2", acme), record("p2", platform),
    ]});
    let failed = SLEEPER.consume(app.deps(), serde_json::from_value(records).unwrap()).await;
    let failed: Vec<_> = failed.batch_item_failures.iter().map(|f| f.item_identifier.as_str()).collect();
    assert_eq!(failed, ["a1", "a2"]);
    let lines = serde_json::to_string(&app.log_lines()).unwrap();
    assert!(lines.contains("\"error.cause\":\"internal: panic\"") && !lines.contains("nobody may see"), "{lines}");
    // The second message of the group was not tried.
    assert_eq!(app.log_lines().iter().filter(|l| l["function"] == "sleeper" && l["outcome"] == "failed").count(), 1);
}

const TABLES: [&str; 4] = ["RecordsTable", "LedgerTable", "KeysTable", "EphemeraTable"];

/// The kinds of items that each may change without an audit event: bookkeeping, the log itself, items outside tenants. Every
/// other change is in one transaction with its audit event.
const ON_NO_RECORD: &[(&str, &[&str])] = &[
    ("send_reset_mail", &["GATE/GATE"]),
    ("release_messages", &["WAITING"]),
    ("mirror_user", &["DIRECTORY/USER", "EMAIL/CLAIM", "GATE/GATE"]),
    ("poll_tracking", &["GATE/GATE", "UPS/TOKEN/TOKEN"]),
    ("refresh_tracking", &["GATE/GATE", "UPS/TOKEN/TOKEN"]),
    ("close_sockets", &["SOCKETS"]),
    ("seal_audit", &["AUDIT", "HEAD/HEAD", "SEGMENTS/SEGMENT"]),
    ("settle_outbox", &["EVENTS"]),
    ("renew_track_alerts", &["GATE/GATE", "SHIPMENT/ALERT", "UPS/TOKEN/TOKEN", "WATCH/SHIPMENT"]),
    ("send_digests", &["GATE/GATE", "INBOX/STATE"]),
    ("mail_checkpoints", &["GATE/GATE"]),
    ("sign_checkpoint", &["CHECKPOINTS/CHECKPOINT", "ROUND/ROUND", "SIGNING/SIGNING"]),
    ("sweep_outbox", &["AUDIT", "EVENTS", "ROUND/ROUND"]),
];

/// Longer than any claim, lease or circuit breaker's probe of a killed run lasts.
const HELD: Duration = Duration::from_secs(10 * 60);

#[derive(Clone, Copy)]
enum Work {
    Hears(&'static AnyConsumer),
    Runs(&'static AnySchedule),
}

impl Work {
    const fn name(self) -> &'static str {
        match self {
            Self::Hears(consumer) => consumer.name,
            Self::Runs(schedule) => schedule.name,
        }
    }

    /// Does the work once, without a kill.
    async fn once(self, world: &World) {
        match self {
            Self::Hears(consumer) => {
                let mut queue = world.queue(consumer, 1).await;
                assert!(!queue.is_empty(), "{}: it receives nothing", consumer.name);
                while queue.step().await {}
            }
            Self::Runs(schedule) => drop(schedule.run(world.app.deps()).await.unwrap()),
        }
    }

    /// Does the work, is killed after this many polls, and repeats the work more often than necessary. `between` inspects the
    /// committed items after the kill. True if it was killed.
    async fn killed(self, world: &World, polls: usize, between: impl AsyncFnOnce()) -> bool {
        let deps = world.app.deps();
        match self {
            Self::Hears(consumer) => {
                let mut queue = world.queue(consumer, 2).await;
                world.app.reset_calls();
                let killed = queue.step_killed(polls).await;
                between().await;
                world.wait(HELD);
                while queue.step().await {}
                assert_eq!(queue.dead(), [], "{}, killed after {polls} polls", consumer.name);
                killed
            }
            Self::Runs(schedule) => {
                world.app.reset_calls();
                let killed = kill_after(polls, schedule.run(deps)).await.map(Result::unwrap).is_none();
                between().await;
                // The next runs. At the second, every claim of the killed run has expired.
                for _ in 0..2 {
                    world.wait(HELD);
                    schedule.run(deps).await.unwrap();
                }
                killed
            }
        }
    }
}

/// The place of an item: table, partition key, sort key.
type Place = (String, String, String);

/// The kind of an item, from the words in its keys: `SHIPMENT/POLL`.
fn kind((_, partition, sort): &Place) -> String {
    let words = partition.split('#').chain(sort.split('#'));
    words.filter(|word| word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')).collect::<Vec<_>>().join("/")
}

type Items = BTreeMap<Place, HashMap<String, AttributeValue>>;

async fn items(app: &App) -> Items {
    let mut items = BTreeMap::new();
    for table in TABLES {
        for item in app.dump(table).await {
            let text = |name: &str| item[name].as_s().unwrap().clone();
            items.insert((app.provisioned().tables[table].clone(), text("pk"), text("sk")), item);
        }
    }
    items
}

/// The places that a transaction writes.
fn written(transaction: &Value) -> Vec<Place> {
    let operations = transaction["TransactItems"].as_array().unwrap().iter().flat_map(|item| item.as_object().unwrap());
    let writes = operations.filter(|(operation, _)| *operation != "ConditionCheck").map(|(_, write)| {
        let key = write.get("Item").unwrap_or(&write["Key"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&write["TableName"]), text(&key["pk"]["S"]), text(&key["sk"]["S"]))
    });
    writes.collect()
}

/// Asserts that each transaction with an audit event is committed whole or not at all. Returns the kinds of items that changed
/// outside of these transactions.
fn besides_whole(app: &App, before: &Items, after: &Items, free: &[&str], when: &str) -> BTreeSet<String> {
    let places: BTreeSet<&Place> = before.keys().chain(after.keys()).collect();
    let changed: BTreeSet<&Place> = places.into_iter().filter(|place| before.get(place) != after.get(place)).collect();
    let mut recorded = BTreeSet::new();
    for transaction in app.wire().asked("TransactWriteItems") {
        let writes = written(&transaction);
        let audited: Vec<_> = writes.iter().filter(|place| kind(place) == "AUDIT").collect();
        // Each session that ends adds an audit event of its own, so the first one stands for all.
        let Some(event) = audited.first() else { continue };
        let there = changed.contains(event);
        for place in writes.iter().filter(|place| !free.contains(&kind(place).as_str())) {
            assert_eq!(
                changed.contains(place),
                there,
                "{when}: {place:?} and its audit event are not both written or both absent"
            );
        }
        recorded.extend(writes.into_iter().filter(|_| there));
    }
    let besides: Vec<_> = changed.into_iter().filter(|place| !recorded.contains(*place)).collect();
    for place in besides.iter().filter(|place| !before.contains_key(**place)) {
        let alone = ["AUDIT", "EVENTS", "HANDLED"].iter().any(|of| kind(place).starts_with(of));
        assert!(!alone, "{when}: {place:?} is in no transaction with an audit event");
    }
    besides.into_iter().map(kind).collect()
}

/// A text without the parts that differ between runs: ids, times, hashes.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let in_word = |c: char| c.is_ascii_alphanumeric() || "_-.:+/=".contains(c);
    for part in text.split_inclusive(|c| !in_word(c)) {
        let word = part.trim_end_matches(|c| !in_word(c));
        let differs = word.len() >= 32 || word.bytes().filter(u8::is_ascii_digit).count() >= 6;
        plain += if differs { "*" } else { word };
        plain += &part[word.len()..];
    }
    plain
}

/// The final state: all items, and all messages that were sent. Messages are a set, since a repeat may send them twice. Items
/// must not be stored twice.
pub(crate) async fn outcome(world: &World) -> Vec<String> {
    let app = &world.app;
    let mut stored = Vec::new();
    for (place, item) in items(app).await {
        let shown = item.iter().filter(|(name, _)| !["pk", "sk"].contains(&name.as_str())).map(|(name, value)| match value {
            // `sweep_outbox` may touch an event more than once, and a killed run has already begun a round.
            _ if ["told_again", "round"].contains(&name.as_str()) => name.clone(),
            AttributeValue::S(text) | AttributeValue::N(text) => format!("{name}={}", plain(text)),
            _ => name.clone(),
        });
        let shown: BTreeSet<_> = shown.collect();
        stored.push(format!("{}: {shown:?}", plain(&format!("{}#{}", place.1, place.2))));
    }
    stored.sort();
    let mut sent = BTreeSet::new();
    let mut queues = app.deliveries(registry::consumers());
    queues.collect().await;
    while let Some((consumer, event)) = queues.take() {
        sent.insert(format!("queue {}: {}", consumer.name, plain(event.records[0].body.as_deref().unwrap())));
    }
    for mail in app.mails() {
        sent.insert(plain(&format!("mail {} {}", mail["Destination"], mail["Content"]["Simple"]["Subject"])));
    }
    sent.extend(app.all_frames().into_iter().map(|(to, frame)| format!("frame {to}: {}", plain(&frame.to_string()))));
    sent.extend(app.closed_sockets().into_iter().map(|socket| format!("closed {socket}")));
    if app.provisioned().user_pool_id.is_some() {
        let users = app.cognito("ListUsers", json!({})).await;
        let standing = |user: &Value| format!("user {} {}", user["Enabled"], user["UserStatus"]);
        stored.extend(users["Users"].as_array().unwrap().iter().map(standing));
    } else {
        let objects = app.objects();
        stored.extend(objects.iter().map(|(key, versions)| format!("object {}: {} versions", plain(key), versions.len())));
    }
    stored.push(format!("{} subscribed", world.subscribed()));
    stored.extend(sent);
    stored
}

/// The items after two identical reads in a row, since calls that a killed process had sent may still arrive.
async fn settled(app: &App) -> Items {
    let mut seen = items(app).await;
    loop {
        tokio::task::yield_now().await;
        let now = items(app).await;
        if now == seen {
            return now;
        }
        seen = now;
    }
}

/// Kills the work after each number of polls, until it is finished.
async fn killed_at_each_await(work: Work) {
    let name = work.name();
    let free = ON_NO_RECORD.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, kinds)| kinds);
    let mut besides = BTreeSet::new();
    let world = samples::world(name).await;
    let nothing = outcome(&world).await;
    let world = samples::world(name).await;
    work.once(&world).await;
    let whole = outcome(&world).await;
    assert_ne!(state::difference(&nothing, &whole), [""; 0], "{name}: its sample has no effect");
    // These two take longest. One creates a user pool each time, and its own tests kill it at the other awaits. The other reads a
    // log before its single transaction.
    let step = if ["mirror_user", "verify_audit"].contains(&name) { 3 } else { 1 };
    for polls in (0..).step_by(step) {
        let when = format!("{name}, killed after {polls} polls");
        let world = samples::world(name).await;
        let before = items(&world.app).await;
        let killed = work.killed(&world, polls, async || {
            let after = settled(&world.app).await;
            besides.extend(besides_whole(&world.app, &before, &after, free, &when));
        });
        let killed = killed.await;
        let left = outcome(&world).await;
        assert_eq!(state::difference(&whole, &left), [""; 0], "{when}");
        assert_eq!(left.len(), whole.len(), "{when}: the work was done twice");
        if !killed {
            assert!(polls > 1, "{name}: no await was killed");
            assert!(besides.iter().eq(free), "{name}: changed without an audit event: {besides:?}");
            return;
        }
    }
}

/// DynamoDB refuses a write of an item that a transaction under way includes, and the SDK does not repeat it.
#[tokio::test(flavor = "multi_thread")]
async fn conflict_of_any_write_changes_no_result_of_a_consumer_or_schedule() {
    let held = |call: &String| ["TransactWriteItems", "PutItem", "UpdateItem", "DeleteItem"].contains(&call.as_str());
    for work in registry::consumers().map(Work::Hears).chain(registry::schedules().map(Work::Runs)) {
        let name = work.name();
        // It creates a user pool each time, and its writes are of the same kinds as the others'.
        if name == "mirror_user" {
            continue;
        }
        let world = samples::world(name).await;
        world.app.reset_calls();
        work.once(&world).await;
        let (whole, calls) = (outcome(&world).await, world.app.calls().dynamodb);
        for (index, call) in calls.iter().enumerate().filter(|(_, call)| held(call)) {
            let world = samples::world(name).await;
            if let Work::Hears(consumer) = work {
                // No message is delivered again, so it must succeed at the first delivery.
                let mut queue = world.queue(consumer, 1).await;
                world.app.wire().fail("dynamodb", index, 1, Fault::Conflict);
                while let Some((consumer, event)) = queue.take() {
                    let failed = consumer.consume(world.app.deps(), event).await.batch_item_failures;
                    assert!(failed.is_empty(), "{name}: {call} (call {index})");
                }
            } else {
                world.app.wire().fail("dynamodb", index, 1, Fault::Conflict);
                work.once(&world).await;
            }
            world.app.wire().heal();
            assert_eq!(state::difference(&whole, &outcome(&world).await), [""; 0], "{name}: {call} (call {index})");
        }
    }
}

// One thread: no response arrives during a poll, so each await takes a poll of its own.
#[tokio::test]
async fn consumer_killed_at_each_await_commits_whole_and_handles_it_once() {
    let listed = ON_NO_RECORD.iter().map(|(name, _)| name);
    assert_eq!(
        listed.filter(|name| !registry::names().any(|known| known == **name)).count(),
        0,
        "a name in the list is of no consumer or schedule"
    );
    for consumer in registry::consumers() {
        killed_at_each_await(Work::Hears(consumer)).await;
    }
}

// One thread: no response arrives during a poll, so each await takes a poll of its own.
#[tokio::test]
async fn schedule_killed_at_each_await_commits_whole_and_the_next_completes_it() {
    for schedule in registry::schedules() {
        killed_at_each_await(Work::Runs(schedule)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_mail_to_an_auditor_is_retried_and_mails_nobody_twice() {
    let app = App::start().await;
    let endpoint = |name: &str| registry::all().find(|endpoint| endpoint.name == name).unwrap();
    let schedule = |name: &str| registry::schedules().find(|schedule| schedule.name == name).unwrap();
    let admin = app.as_identity(app.open_session(Tenant::Acme, Role::TenantAdmin).await);
    let viewer = app.user_id(Tenant::Acme, Role::Viewer);
    let granted = admin.call(endpoint("grant_role")).path("user_id", viewer).path("role", "auditor").json(json!({})).await;
    assert!((200..300).contains(&granted.status), "{}", granted.text);
    app.deliveries(registry::consumers().filter(|consumer| consumer.name == "seal_audit")).settle().await;
    schedule("sign_checkpoint").run(app.deps()).await.unwrap();
    let mails = |tenant: Tenant, role: Role| {
        let email = app.email(tenant, role);
        app.mails().iter().filter(|mail| mail["Destination"]["ToAddresses"][0] == email.as_str()).count()
    };
    let mailed = || [mails(Tenant::Acme, Role::Auditor), mails(Tenant::Acme, Role::Viewer), mails(Tenant::Birch, Role::Auditor)];

    app.break_seal(&viewer.to_string(), "MEMBERSHIP").await;
    for _ in 0..3 {
        let _ = schedule("mail_checkpoints").run(app.deps()).await;
        assert_eq!(mailed(), [1, 0, 1]);
        app.clock().advance(Duration::from_secs(3600));
    }
    app.break_seal(&viewer.to_string(), "MEMBERSHIP").await;
    for _ in 0..2 {
        schedule("mail_checkpoints").run(app.deps()).await.unwrap();
        assert_eq!(mailed(), [1, 1, 1]);
    }
    let told = |event: &Value| event["type"] == "job.mail_checkpoints";
    assert_eq!(app.audit(Tenant::Acme).await.iter().filter(|event| told(event)).count(), 2, "each mailing has an audit event");
}
