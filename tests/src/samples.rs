//! What each consumer and each schedule finds something to do in: a backend where somebody has just done what it follows.

use crate::{
    fixture::fresh,
    people::{endpoint, text},
};
use common::{AnyConsumer, AnySchedule, Clock, EventId, Identity, Role};
use emulators::{Ups, UpsOptions, ups::Now};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use testing::{App, Call, Deliveries, Tenant::Acme};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The gate's age.
const GATE: Duration = Duration::from_secs(5);
/// Long enough for a new shipment to be due.
const SOON: Duration = Duration::from_secs(31);

#[derive(Debug)]
pub struct World {
    pub app: App,
    /// What is sent to the consumer, where it is no event of ours.
    pub sent: Option<Value>,
    carrier: Option<(Ups, Arc<AtomicI64>)>,
}

impl World {
    fn of(app: App) -> Self {
        Self { app, sent: None, carrier: None }
    }

    /// Lets time pass, at the carrier's too.
    pub fn wait(&self, d: Duration) {
        self.app.clock().advance(d);
        if let Some((_, time)) = &self.carrier {
            time.store(self.app.clock().now().as_millis(), Ordering::SeqCst);
        }
    }

    /// How many parcels the carrier pushes the news of.
    pub fn subscribed(&self) -> usize {
        self.carrier.iter().flat_map(|(ups, _)| ups.packages()).filter(|package| package.subscribed).count()
    }

    /// The consumer's queue, with all that it has to hear, so many times.
    pub async fn queue(&self, consumer: &'static AnyConsumer, copies: u32) -> Deliveries<'_> {
        let mut queue = self.app.deliveries([consumer]).copies(copies);
        queue.collect().await;
        if let Some(body) = &self.sent {
            queue.send(consumer.name, body);
        }
        queue
    }
}

fn consumer(name: &str) -> &'static AnyConsumer {
    registry::consumers().find(|consumer| consumer.name == name).unwrap()
}

fn schedule(name: &str) -> &'static AnySchedule {
    registry::schedules().find(|schedule| schedule.name == name).unwrap()
}

/// A backend in which this consumer or schedule has something to do.
///
/// # Panics
/// Where nobody has said what it does.
pub async fn world(name: &str) -> World {
    let app = if name == "mirror_user" { App::with_cognito().await } else { App::start().await };
    match name {
        "send_reset_mail" => {
            let body = json!({"email": app.email(Acme, Role::Marketer)});
            done(app.anonymous().call(endpoint("forgot_password")).json(body)).await;
        }
        "provision_organization" => {
            let body = json!({"name": "cedar", "admin_email": "first@cedar.example"});
            done(call(&app, Role::SuperAdmin, "create_organization").await.json(body)).await;
        }
        "stop_organization" => {
            for role in [Role::Marketer, Role::Marketer, Role::Viewer] {
                app.open_session(Acme, role).await;
            }
            operator(&app, "suspend_organization").await;
        }
        "release_messages" => waits(&app).await,
        "mirror_user" => {
            let email = app.email(Acme, Role::Viewer).replacen("viewer", "ada", 1);
            let body = json!({"email": email, "name": "Ada Sample", "roles": ["marketer"], "department": "Outreach"});
            done(call(&app, Role::TenantAdmin, "invite_user").await.json(body)).await;
        }
        "poll_tracking" => {
            let world = tracked(app).await;
            schedule("schedule_tracking").run(world.app.deps()).await.unwrap();
            return world;
        }
        "refresh_tracking" => return refreshed(app).await,
        "schedule_tracking" | "renew_track_alerts" => return tracked(app).await,
        "deliver_notification" => {
            connect(&app, Role::Viewer, "phone").await;
            ship(&app).await;
        }
        "mail_feedback" => {
            let bounced = [Role::Marketer, Role::Viewer].map(|role| json!({"emailAddress": app.email(Acme, role)}));
            let report =
                json!({"eventType": "Bounce", "bounce": {"bounceType": "Permanent", "bouncedRecipients": bounced}}).to_string();
            return World {
                sent: Some(
                    json!({"Type": "Notification", "MessageId": "synthetic", "Timestamp": "2026-01-01T12:00:00.000Z", "Message": report}),
                ),
                ..World::of(app)
            };
        }
        "close_sockets" => {
            let who = connect(&app, Role::Marketer, "phone").await;
            assert_eq!(app.socket(socket(), &who, "desk", None).await, 200);
            done(app.as_identity(who.clone()).call(endpoint("end_session")).path("session_id", who.session)).await;
        }
        "settle_outbox" => drop(ship(&app).await),
        "sweep_outbox" => {
            ship(&app).await;
            app.clock().advance(Duration::from_secs(121));
        }
        // Setting up leaves events.
        "seal_audit" => {}
        "sign_checkpoint" => sealed(&app).await,
        "mail_checkpoints" => {
            sealed(&app).await;
            schedule("sign_checkpoint").run(app.deps()).await.unwrap();
        }
        "verify_audit" => {
            sealed(&app).await;
            schedule("sign_checkpoint").run(app.deps()).await.unwrap();
            let segments = format!("segments/{}/", app.tenant_id(Acme));
            let segment = app.objects().into_keys().find(|key| key.starts_with(&segments)).unwrap();
            app.lose_object(&segment);
        }
        "warn_baa" => {
            let now = app.clock().now();
            let body = json!({
                "signed_at": now, "expires_at": now.plus(DAY * 20), "signatory": "Ada Sample", "document_sha256": "0".repeat(64),
            });
            let put = call(&app, Role::SuperAdmin, "put_baa").await.path("tenant_id", app.tenant_id(Acme));
            done(put.header("If-Match", "*").json(body)).await;
        }
        "send_digests" => unread(&app).await,
        other => panic!("say here what `{other}` does"),
    }
    World::of(app)
}

async fn call<'a>(app: &'a App, role: Role, name: &str) -> Call<'a> {
    app.as_identity(app.open_session(Acme, role).await).call(endpoint(name))
}

async fn done(call: Call<'_>) -> Value {
    let answer = call.await;
    assert!((200..300).contains(&answer.status), "{}", answer.text);
    answer.json
}

async fn operator(app: &App, name: &str) {
    done(call(app, Role::SuperAdmin, name).await.path("tenant_id", app.tenant_id(Acme))).await;
    app.clock().advance(GATE);
}

/// Registers a shipment that is the viewer's business: its id, and its number.
async fn ship(app: &App) -> (String, String) {
    let create = endpoint("create_shipment");
    let mut body = fresh(create.sample.body.unwrap());
    body["assigned_to"] = app.user_id(Acme, Role::Viewer).to_string().into();
    let number = body["tracking_number"].as_str().unwrap().to_owned();
    let made = call(app, Role::Marketer, "create_shipment").await.json(body).await;
    (text(&made, "shipment_id"), number)
}

fn socket() -> &'static common::AnySocket {
    registry::sockets().find(|socket| socket.name == "connect").unwrap()
}

async fn connect(app: &App, role: Role, connection: &str) -> Identity {
    let who = app.open_session(Acme, role).await;
    assert_eq!(app.socket(socket(), &who, connection, None).await, 200);
    who
}

/// A message waits of a tenant that is active again, and is nowhere else any more.
async fn waits(app: &App) {
    ship(app).await;
    operator(app, "suspend_organization").await;
    app.deliveries(["deliver_notification", "settle_outbox"].map(consumer)).settle().await;
    operator(app, "reactivate_organization").await;
}

/// The carrier has scanned a parcel whose shipment is due.
async fn tracked(app: App) -> World {
    let (_, number) = ship(&app).await;
    let world = with_carrier(app);
    world.wait(SOON);
    scan(&world, &number);
    world
}

/// The carrier has scanned a parcel, and somebody wants to know.
async fn refreshed(app: App) -> World {
    let (id, number) = ship(&app).await;
    let world = with_carrier(app);
    world.wait(SOON);
    scan(&world, &number);
    done(call(&world.app, Role::Marketer, "refresh_shipment").await.path("shipment_id", id)).await;
    world
}

fn scan(world: &World, number: &str) {
    if let Some((ups, _)) = &world.carrier {
        for status in ["LABEL_CREATED", "IN_TRANSIT"] {
            ups.advance(number, status).unwrap();
        }
    }
}

fn with_carrier(app: App) -> World {
    let time = Arc::new(AtomicI64::new(app.clock().now().as_millis()));
    let clock = time.clone();
    let options = UpsOptions { now: Now::by(move || clock.load(Ordering::SeqCst)), ..UpsOptions::new("synthetic", "synthetic") };
    let ups = Ups::start(options).unwrap();
    let secret = json!({
        "client_id": "synthetic", "client_secret": "synthetic",
        "webhook_client_id": "synthetic-carrier", "webhook_client_secret": "synthetic-carrier",
    });
    app.wire().with_carrier(ups.endpoint(), secret);
    World { carrier: Some((ups, time)), ..World::of(app) }
}

async fn sealed(app: &App) {
    app.deliveries([consumer("seal_audit")]).settle().await;
    app.clock().advance(Duration::from_secs(60));
}

/// Somebody has not read that a parcel has arrived, and the hour of their digest has come.
async fn unread(app: &App) {
    let now = app.clock().now();
    let told = json!({
        "id": EventId::new(now), "tenant_id": app.tenant_id(Acme), "actor": "poll_tracking", "on_behalf_of": null,
        "cause": EventId::new(now), "correlation_id": "test", "schema": "shipment.status_changed", "version": 1, "occurred_at": now,
        "payload": {
            "shipment_id": "shp_019b76da100070008000000000000000", "from": "IN_TRANSIT", "to": "DELIVERED", "version": 3,
            "created_by": app.user_id(Acme, Role::Marketer), "assigned_to": null,
        },
    });
    let mut queue = app.deliveries([consumer("deliver_notification")]);
    queue.send("deliver_notification", &told);
    assert!(queue.step().await && queue.is_empty());
    // From noon to eight the next morning.
    app.clock().advance(Duration::from_secs(20 * 60 * 60));
}
