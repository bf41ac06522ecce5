//! Helpers that the tests of tracking share: a backend, and an emulator of UPS over HTTP.

use crate::{
    consumers::CONSUMERS,
    endpoints::fixture::{body, created, endpoint, number},
    schedules::SCHEDULES,
};
use common::base::{Role, Timestamp};
use emulators::{Ups, UpsOptions, ups::Now};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use testing::{Answer, App, Client, Deliveries, Tenant};

pub(crate) const CLIENT: &str = "synthetic-client";
pub(crate) const SECRET: &str = "synthetic-secret";
pub(crate) const WEBHOOK_CLIENT: &str = "synthetic-carrier";
pub(crate) const WEBHOOK_SECRET: &str = "synthetic-carrier-secret";
/// Long enough for every registered shipment to be due.
pub(crate) const SOON: Duration = Duration::from_secs(31);

/// A backend and the carrier, with the same clock.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) ups: Ups,
    time: Arc<AtomicI64>,
}

pub(crate) async fn world() -> World {
    let app = App::start().await;
    let time = Arc::new(AtomicI64::new(now(&app).as_millis()));
    let clock = time.clone();
    let options = UpsOptions { now: Now::by(move || clock.load(Ordering::SeqCst)), ..UpsOptions::new(CLIENT, SECRET) };
    let ups = Ups::start(options).unwrap();
    app.wire().with_carrier(ups.endpoint(), secret(SECRET));
    World { app, ups, time }
}

/// The content of Secrets Manager for this UPS client secret.
pub(crate) fn secret(client_secret: &str) -> Value {
    json!({
        "client_id": CLIENT,
        "client_secret": client_secret,
        "webhook_client_id": WEBHOOK_CLIENT,
        "webhook_client_secret": WEBHOOK_SECRET,
    })
}

pub(crate) fn now(app: &App) -> Timestamp {
    use common::base::Clock;
    app.clock().now()
}

impl World {
    /// Advances the clock here and at the carrier.
    pub(crate) fn wait(&self, d: Duration) {
        self.app.clock().advance(d);
        self.time.store(now(&self.app).as_millis(), Ordering::SeqCst);
    }

    /// Sets the clock back here and at the carrier.
    pub(crate) fn turn_back(&self, d: Duration) {
        self.app.clock().set(now(&self.app).minus(d));
        self.time.store(now(&self.app).as_millis(), Ordering::SeqCst);
    }

    /// A shipment whose label the carrier knows, due for its first poll.
    pub(crate) async fn shipment(&self, tenant: Tenant, n: u32) -> String {
        let id = created(&self.app, tenant, body(n)).await;
        self.wait(SOON);
        self.scan(n, "LABEL_CREATED");
        id
    }

    /// The carrier scans a parcel.
    pub(crate) fn scan(&self, n: u32, status: &str) {
        self.ups.advance(&number(n), status).unwrap();
    }

    pub(crate) fn deliveries(&self) -> Deliveries<'_> {
        self.app.deliveries(CONSUMERS)
    }

    pub(crate) async fn run(&self, schedule: &str) -> common::base::Result<usize> {
        SCHEDULES.iter().find(|s| s.name == schedule).unwrap().run(self.app.deps()).await
    }

    /// Queues the due shipments and polls them.
    pub(crate) async fn round(&self) {
        self.run("schedule_tracking").await.unwrap();
        self.deliveries().settle().await;
    }

    /// Like `round`, after `d` has passed and shipments may be due again.
    pub(crate) async fn round_after(&self, d: Duration) {
        self.wait(d);
        self.round().await;
    }

    /// An item beside a shipment, by its sort key.
    pub(crate) async fn item(&self, id: &str, sort: &str) -> Option<Value> {
        self.items(id).await.into_iter().find(|item| item["sk"] == sort)
    }

    /// A shipment's items, as texts and numbers.
    pub(crate) async fn items(&self, id: &str) -> Vec<Value> {
        let mut items = Vec::new();
        for row in self.app.dump("RecordsTable").await {
            if row["pk"].as_s().unwrap().ends_with(&format!("#SHIPMENT#{id}")) {
                let shown = row.iter().filter_map(|(name, value)| {
                    let value = value.as_s().or_else(|_| value.as_n()).ok()?;
                    Some((name.clone(), Value::String(value.clone())))
                });
                items.push(Value::Object(shown.collect()));
            }
        }
        items
    }

    /// Damages a shipment's sealed record so that it does not open.
    pub(crate) async fn break_seal(&self, id: &str) {
        self.app.break_seal(id, "SHIPMENT").await;
    }

    /// The time at which a shipment is due, if it is.
    pub(crate) async fn due(&self, id: &str) -> Option<Timestamp> {
        let poll = self.item(id, "POLL").await.unwrap();
        poll.get("ix_due_at").map(|at| at.as_str().unwrap().parse().unwrap())
    }

    /// A newly signed-in client, because sessions expire during a test's waits.
    pub(crate) async fn signed_in(&self, tenant: Tenant, role: Role) -> Client<'_> {
        self.app.as_identity(self.app.open_session(tenant, role).await)
    }

    /// A shipment as a viewer sees it.
    pub(crate) async fn get(&self, tenant: Tenant, id: &str) -> Answer {
        self.signed_in(tenant, Role::Viewer).await.call(endpoint("get_shipment")).path("shipment_id", id).await
    }

    /// The results of polls, oldest first, from the log.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let lines = self.app.log_lines();
        lines.iter().filter_map(|line| line["poll.outcome"].as_str().map(str::to_owned)).collect()
    }
}
