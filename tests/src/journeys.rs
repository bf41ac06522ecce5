//! Parcels' journeys from registration to end, with injected faults: calls that fail, responses that are lost, messages that are
//! delivered three times in any order, consumers that die between two awaits. When nothing is left to do, the invariants are
//! checked.

use crate::fixture;
use common::base::{Clock, Role, TenantId};
use emulators::{
    Ups, UpsOptions,
    ups::{Now, Speed},
};
use futures_util::{StreamExt, stream};
use ledger::{Head, Segment, Word};
use serde_json::{Value, json};
use shipments::tracking_number::{Classified, TrackingNumber};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use testing::{App, Deliveries, Dice, Tenant, find};

/// The parameters of a run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub shipments: usize,
    pub seed: u64,
    /// The percentage of calls to AWS and to the carrier that fail.
    pub failing: u8,
    /// The number of times that each message is delivered.
    pub copies: u32,
    /// The percentage of consumers that die.
    pub killed: u8,
    /// The number of messages that are handled at the same time.
    pub at_once: usize,
}

impl Plan {
    /// The same without faults.
    pub const fn calm(self) -> Self {
        Self { failing: 0, copies: 1, killed: 0, ..self }
    }
}

/// The progress of a run.
#[derive(Clone, Copy, Debug)]
pub struct Played {
    pub hours: u64,
    /// Messages handled so far.
    pub handled: u64,
}

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The last status of each parcel, by its tracking number.
    pub statuses: BTreeMap<String, String>,
    /// The carrier's status of each parcel.
    pub truth: BTreeMap<String, String>,
    pub events: usize,
    pub notifications: usize,
    pub sealed: usize,
    pub handled: u64,
    pub killed: usize,
    pub redriven: usize,
    /// The violated invariants, as text.
    pub wrong: Vec<String>,
}

const CLIENT: &str = "synthetic-client";
const SECRET: &str = "synthetic-secret";

/// Runs the plan.
///
/// # Panics
/// If the backend cannot be set up.
pub async fn play(plan: Plan, mut played: impl FnMut(Played)) -> Outcome {
    let app = App::start().await;
    let time = Arc::new(AtomicI64::new(app.clock().now().as_millis()));
    let clock = time.clone();
    let options = UpsOptions {
        now: Now::by(move || clock.load(Ordering::SeqCst)),
        seed: plan.seed,
        speed: Some(Speed::try_from(1.0).expect("a speed")),
        ..UpsOptions::new(CLIENT, SECRET)
    };
    let ups = Ups::start(options).expect("the UPS emulator starts");
    app.wire().with_carrier(ups.endpoint(), json!({ "client_id": CLIENT, "client_secret": SECRET }));
    let mut dice = Dice::new(plan.seed);
    if plan.failing > 0 {
        app.wire().chaos(plan.failing, plan.seed);
    }
    let shipments = register(&app, plan).await;
    let tenants = [TenantId::PLATFORM, app.tenant_id(Tenant::Acme), app.tenant_id(Tenant::Birch)];
    let mut queues = app.deliveries(registry::consumers()).of(tenants).copies(plan.copies);
    if plan.copies > 1 {
        queues = queues.shuffled(plan.seed);
    }
    let (mut killed, mut redriven) = (0, 0);
    for step in 0..MOST_STEPS {
        if step >= STEPS && due(&app.dump("RecordsTable").await).is_empty() {
            break;
        }
        if step == HEALED {
            app.wire().heal();
            redriven += queues.redrive();
        }
        let killing = if step < HEALED { plan.killed } else { 0 };
        let mut quiet = 0;
        for minute in 0..STEP_MINUTES {
            app.clock().advance(MINUTE);
            time.store(app.clock().now().as_millis(), Ordering::SeqCst);
            ups.tick();
            for schedule in registry::schedules() {
                // The carrier is polled each minute. The other schedules run once a step.
                if schedule.name == "schedule_tracking" || minute == 0 {
                    // A run that fails leaves its work to the next one.
                    let _ = schedule.run(app.deps()).await;
                }
            }
            let told = queues.collect().await;
            while !queues.is_empty() {
                let dies = || (dice.below(100) < u64::from(killing)).then(|| usize::try_from(dice.below(30)).unwrap_or(0));
                killed += queues.run_at_once(plan.at_once, dies).await;
                queues.collect().await;
            }
            quiet = if told == 0 { quiet + 1 } else { 0 };
            if quiet == QUIET_MINUTES {
                // No shipment is due, or none can be polled, so the rest of the step passes at once.
                app.clock().advance(MINUTE * (STEP_MINUTES - minute - 1));
                break;
            }
        }
        app.reset_calls();
        app.forget_log_lines();
        played(Played { hours: (step + 1) * u64::from(STEP_MINUTES) / 60, handled: queues.handled() });
    }
    outcome(&app, &ups, &queues, &shipments, killed, redriven).await
}

/// A step is three hours. The run lasts longer than a journey, and goes on until all have ended: a parcel that is polled late
/// starts late. After six days no faults are injected.
const STEP_MINUTES: u32 = 3 * 60;
const QUIET_MINUTES: u32 = 6;
const MINUTE: Duration = Duration::from_secs(60);
const STEPS: u64 = 8 * 8;
const MOST_STEPS: u64 = 3 * STEPS;
const HEALED: u64 = 6 * 8;

struct Registered {
    tenant: Tenant,
    id: String,
    number: String,
}

/// Registers the parcels, two thirds of them Acme's. A client without an answer repeats its request with the same key.
async fn register(app: &App, plan: Plan) -> Vec<Registered> {
    const TRIES: usize = 100;
    let create = find(shipments::endpoints::ALL, "create_shipment");
    let registered = async |n: usize| {
        let tenant = if n % 3 == 2 { Tenant::Birch } else { Tenant::Acme };
        let mut body = fixture::fresh(create.sample.body.unwrap());
        // The same number in every run: it and the carrier's seed decide a parcel's journey.
        body["tracking_number"] = number(n).into();
        let ask = async || {
            let client = app.as_identity(app.open_session(tenant, Role::Marketer).await);
            client.call(create).header("idempotency-key", format!("journey-{n}")).json(body.clone()).await
        };
        let mut answer = ask().await;
        for _ in 0..TRIES {
            if answer.status == 201 {
                break;
            }
            answer = ask().await;
        }
        assert_eq!(answer.status, 201, "{}", answer.text);
        let text = |name: &str| answer.json[name].as_str().unwrap().to_owned();
        Registered { tenant, id: text("shipment_id"), number: text("tracking_number") }
    };
    stream::iter(0..plan.shipments).map(registered).buffered(plan.at_once).collect().await
}

/// The `n`th of a series of numbers with a valid check digit.
fn number(n: usize) -> String {
    let body = format!("1ZJRNY{:010}", n + 1);
    match TrackingNumber::classify(&format!("{body}00")) {
        Classified::BadCheckDigit { expected, .. } => format!("{body}0{expected}"),
        Classified::Valid(_) | Classified::NotUps => format!("{body}00"),
    }
}

async fn outcome(
    app: &App,
    ups: &Ups,
    queues: &Deliveries<'_>,
    shipments: &[Registered],
    killed: usize,
    redriven: usize,
) -> Outcome {
    let mut wrong = Vec::new();
    let records = app.dump("RecordsTable").await;

    let is_shipment = |row: &&Row| text(row, "sk") == "SHIPMENT";
    let ends: BTreeMap<_, _> = records.iter().filter(is_shipment).map(|row| (text(row, "pk"), text(row, "status"))).collect();
    let due = due(&records);
    let mut statuses = BTreeMap::new();
    for Registered { tenant, id, number } in shipments {
        let pk = format!("{}#SHIPMENT#{id}", app.tenant_id(*tenant));
        let status = ends.get(&pk).cloned().unwrap_or_else(|| "lost".to_owned());
        if let Some(at) = due.get(&pk) {
            wrong.push(format!("{id} is {status} and still polled, at {at}"));
        }
        statuses.insert(number.clone(), status);
    }
    let truth = ups.packages().into_iter().map(|seen| (seen.tracking_number, ended(&seen.newest.kind))).collect();

    let notifications = notifications(&records, queues.events(), &mut wrong);
    if !queues.dead().is_empty() {
        wrong.push(format!("{} messages are dead letters", queues.dead().len()));
    }
    let ledger = app.dump("LedgerTable").await;
    let left = ledger.iter().filter(|row| text(row, "pk").ends_with("#EVENTS")).count();
    if left > 0 {
        wrong.push(format!("{left} events are still in the outbox"));
    }
    let sealed = sealed(app, &ledger, &mut wrong);
    Outcome {
        statuses,
        truth,
        events: queues.events().len(),
        notifications,
        sealed,
        handled: queues.handled(),
        killed,
        redriven,
        wrong,
    }
}

fn text(row: &Row, name: &str) -> String {
    row.get(name).and_then(|v| v.as_s().ok()).cloned().unwrap_or_default()
}

/// The shipments that are still polled, and the time of their next poll.
fn due(records: &[Row]) -> BTreeMap<String, String> {
    let due = records.iter().filter(|row| text(row, "ix_due").ends_with("#POLL"));
    due.map(|row| (text(row, "pk"), text(row, "ix_due_at"))).collect()
}

type Row = std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>;

/// Our status of a parcel whose last scan is of this type.
fn ended(kind: &str) -> String {
    match kind {
        "D" => "DELIVERED",
        "RS" => "RETURNED",
        other => other,
    }
    .to_owned()
}

/// Returns the number of notifications. Checks that each exists once, that whoever registered a parcel got each change of its
/// status, and that each inbox counts the notifications that it has.
fn notifications(records: &[Row], events: &[Value], wrong: &mut Vec<String>) -> usize {
    let number = |row: &Row, name: &str| row.get(name).and_then(|v| v.as_n().ok()?.parse::<i64>().ok()).unwrap_or(0);
    let mut told: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut inboxes: BTreeMap<String, i64> = BTreeMap::new();
    for row in records.iter().filter(|row| text(row, "pk").contains("#INBOX#") && text(row, "sk").starts_with("N#")) {
        *told.entry((text(row, "pk"), text(row, "event_id"))).or_default() += 1;
        *inboxes.entry(text(row, "pk")).or_default() += 1;
    }
    wrong.extend(
        told.iter()
            .filter(|(_, times)| **times != 1)
            .map(|((inbox, event), times)| format!("{event} is {times} times in {inbox}")),
    );
    for (inbox, count) in &inboxes {
        let state = records.iter().find(|row| &text(row, "pk") == inbox && text(row, "sk") == "STATE");
        let (seq, unread) = state.map_or((0, 0), |row| (number(row, "seq"), number(row, "unread")));
        if (seq, unread) != (*count, *count) {
            wrong.push(format!("{inbox} holds {count}, has numbered {seq} and counts {unread} as unread"));
        }
    }
    for event in events.iter().filter(|e| e["schema"] == "shipment.status_changed") {
        let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let inbox = format!("{}#INBOX#{}", of(&event["tenant_id"]), of(&event["payload"]["created_by"]));
        if !told.contains_key(&(inbox.clone(), of(&event["id"]))) {
            wrong.push(format!("{} has not reached {inbox}", event["id"]));
        }
    }
    told.len()
}

/// Returns the number of sealed audit events. Checks that each is sealed once, that every hash chain is valid, and that no event
/// is left that could be sealed.
fn sealed(app: &App, ledger: &[Row], wrong: &mut Vec<String>) -> usize {
    let now = app.clock().now().as_millis();
    let settled = |row: &&Row| {
        let at = row.get("settles_at").and_then(|v| v.as_n().ok()?.parse::<i64>().ok());
        text(row, "pk").ends_with("#AUDIT") && at.is_none_or(|at| at <= now)
    };
    let left = ledger.iter().filter(settled).count();
    if left > 0 {
        wrong.push(format!("{left} audit events are not sealed"));
    }
    let mut seen = BTreeSet::new();
    let mut heads: BTreeMap<String, Head> = BTreeMap::new();
    for (key, versions) in app.objects() {
        let Some(path) = key.strip_prefix("segments/") else { continue };
        let tenant = path.split('/').next().unwrap_or_default().to_owned();
        if versions.len() != 1 {
            wrong.push(format!("{key} has {} versions", versions.len()));
        }
        let head = heads.remove(&tenant).unwrap_or_else(|| Head::empty(Word::clean(&tenant)));
        match Segment::parse_after(&head, versions[0].bytes.clone()).and_then(|segment| Ok((head.extend(&segment)?, segment))) {
            Ok((next, segment)) => {
                for event in segment.events().flatten() {
                    if !seen.insert((tenant.clone(), event.event_id.as_str().to_owned())) {
                        wrong.push(format!("{} is sealed twice", event.event_id.as_str()));
                    }
                }
                heads.insert(tenant, next);
            }
            Err(broken) => {
                wrong.push(format!("{key} is invalid: {broken}"));
                heads.insert(tenant, head);
            }
        }
    }
    if !heads.contains_key(&TenantId::PLATFORM.to_string()) {
        wrong.push("the platform's log is not sealed".to_owned());
    }
    seen.len()
}
