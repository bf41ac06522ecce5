//! Backends in which a consumer or a schedule has work: somebody has just done the action that it follows.

use crate::{
    fixture::fresh,
    people::{endpoint, text},
};
use common::{
    background::{AnyConsumer, AnySchedule},
    base::{Clock, EventId, Identity, Role},
};
use emulators::{Ups, UpsOptions, ups::Now};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use testing::{
    App, Call, Deliveries,
    Tenant::{self, Acme},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The time for which a process caches a tenant's status.
const GATE: Duration = Duration::from_secs(5);
/// Long enough for a new shipment to be due.
const SOON: Duration = Duration::from_secs(31);

#[derive(Debug)]
pub struct World {
    pub app: App,
    /// The message for the consumer, if it is no event of ours.
    pub sent: Option<Value>,
    carrier: Option<(Ups, Arc<AtomicI64>)>,
}

impl World {
    fn of(app: App) -> Self {
        Self { app, sent: None, carrier: None }
    }

    /// The same with new processes, whose caches are empty.
    #[must_use]
    pub fn afresh(self) -> Self {
        Self { app: self.app.afresh(), ..self }
    }

    /// Moves the clock, and the carrier's.
    pub fn wait(&self, d: Duration) {
        self.app.clock().advance(d);
        if let Some((_, time)) = &self.carrier {
            time.store(self.app.clock().now().as_millis(), Ordering::SeqCst);
        }
    }

    /// The number of parcels whose scans the carrier pushes to us.
    pub fn subscribed(&self) -> usize {
        self.carrier.iter().flat_map(|(ups, _)| ups.packages()).filter(|package| package.subscribed).count()
    }

    /// The consumer's queue with all its messages, each `copies` times.
    pub async fn queue(&self, consumer: &'static AnyConsumer, copies: u32) -> Deliveries<'_> {
        self.filled(self.app.deliveries([consumer]).copies(copies), consumer).await
    }

    /// Fills a queue in the same way.
    pub async fn filled<'a>(&self, mut queue: Deliveries<'a>, consumer: &'static AnyConsumer) -> Deliveries<'a> {
        queue.collect().await;
        if let Some(body) = &self.sent {
            queue.send(consumer.name, body);
        }
        queue
    }
}

/// The notices that services send to a queue when its subscription is set up: as plain text, through SNS, and by SNS itself.
pub fn notices() -> Vec<String> {
    let of_ses = "Successfully validated SNS topic for Amazon SES event publishing.";
    let from_sns = |kind: &str, message: &str| {
        json!({
            "Type": kind, "MessageId": "synthetic", "TopicArn": "arn:aws:sns:us-east-1:000000000000:synthetic",
            "Timestamp": "2026-01-01T12:00:00.000Z", "Message": message, "SignatureVersion": "1", "Signature": "synthetic",
            "SigningCertURL": "https://sns.example/", "UnsubscribeURL": "https://sns.example/",
        })
        .to_string()
    };
    let subscribed = json!({"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "synthetic"}).to_string();
    let tested = json!({
        "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-01-01T12:00:00.000Z", "Bucket": "synthetic",
        "RequestId": "synthetic", "HostId": "synthetic",
    })
    .to_string();
    vec![
        of_ses.to_owned(),
        from_sns("Notification", of_ses),
        from_sns("Notification", &subscribed),
        from_sns("Notification", &tested),
        from_sns("SubscriptionConfirmation", "You have chosen to subscribe to the topic."),
        from_sns("UnsubscribeConfirmation", "You have chosen to deactivate the subscription."),
        tested,
    ]
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
/// If `prepare` does not know its name.
pub async fn world(name: &str) -> World {
    world_in(name, &[Acme]).await
}

/// The same with work in each of these tenants.
///
/// # Panics
/// As [`world`].
pub async fn world_in(name: &str, tenants: &[Tenant]) -> World {
    let app = if name == "mirror_user" { App::with_cognito().await } else { App::start().await };
    let mut world = World::of(app);
    for tenant in tenants {
        prepare(&mut world, name, *tenant).await;
    }
    world
}

async fn prepare(world: &mut World, name: &str, tenant: Tenant) {
    let app = &world.app;
    match name {
        "send_reset_mail" => {
            let body = json!({"email": app.email(tenant, Role::Marketer)});
            done(app.anonymous().call(endpoint("forgot_password")).json(body)).await;
        }
        "provision_organization" => {
            let body = json!({"name": "cedar", "admin_email": "first@cedar.example"});
            done(call(app, tenant, Role::SuperAdmin, "create_organization").await.json(body)).await;
        }
        "stop_organization" => {
            for role in [Role::Marketer, Role::Marketer, Role::Viewer] {
                app.open_session(tenant, role).await;
            }
            operator(app, tenant, "suspend_organization").await;
        }
        "release_messages" => waits(app, tenant).await,
        "mirror_user" => {
            let email = app.email(tenant, Role::Viewer).replacen("viewer", "ada", 1);
            let body = json!({"email": email, "name": "Ada Sample", "roles": ["marketer"], "department": "Outreach"});
            done(call(app, tenant, Role::TenantAdmin, "invite_user").await.json(body)).await;
        }
        "poll_tracking" => {
            tracked(world, tenant).await;
            schedule("schedule_tracking").run(world.app.deps()).await.unwrap();
        }
        "refresh_tracking" => refreshed(world, tenant).await,
        "schedule_tracking" | "renew_track_alerts" => tracked(world, tenant).await,
        "deliver_notification" => {
            connect(app, tenant, Role::Viewer, "phone").await;
            ship(app, tenant).await;
        }
        "mail_feedback" => {
            let bounced = [Role::Marketer, Role::Viewer].map(|role| json!({"emailAddress": app.email(tenant, role)}));
            let report =
                json!({"eventType": "Bounce", "bounce": {"bounceType": "Permanent", "bouncedRecipients": bounced}}).to_string();
            world.sent = Some(
                json!({"Type": "Notification", "MessageId": "synthetic", "Timestamp": "2026-01-01T12:00:00.000Z", "Message": report}),
            );
        }
        "close_sockets" => {
            let who = connect(app, tenant, Role::Marketer, "phone").await;
            assert_eq!(app.socket(socket(), &who, "desk", None).await, 200);
            done(app.as_identity(who.clone()).call(endpoint("end_session")).path("session_id", who.session)).await;
        }
        "expire_sessions" => {
            app.open_session(tenant, Role::Marketer).await;
            connect(app, tenant, Role::Viewer, "phone").await;
            app.clock().advance(Duration::from_secs(16 * 60));
        }
        "settle_outbox" => drop(ship(app, tenant).await),
        "sweep_outbox" => {
            ship(app, tenant).await;
            app.clock().advance(Duration::from_secs(121));
        }
        // The setup has written audit events.
        "seal_audit" => {}
        "sign_checkpoint" => sealed(app).await,
        "mail_checkpoints" => {
            sealed(app).await;
            schedule("sign_checkpoint").run(app.deps()).await.unwrap();
        }
        "verify_audit" => {
            sealed(app).await;
            schedule("sign_checkpoint").run(app.deps()).await.unwrap();
            let segments = format!("segments/{}/", app.tenant_id(tenant));
            let segment = app.objects().into_keys().find(|key| key.starts_with(&segments)).unwrap();
            app.lose_object(&segment);
        }
        "warn_baa" => {
            let now = app.clock().now();
            let body = json!({
                "signed_at": now, "expires_at": now.plus(DAY * 20), "signatory": "Ada Sample", "document_sha256": "0".repeat(64),
            });
            let put = call(app, tenant, Role::SuperAdmin, "put_baa").await.path("tenant_id", app.tenant_id(tenant));
            done(put.header("If-Match", "*").json(body)).await;
            // The schedule runs a while later.
            app.settle_indexes();
        }
        "send_digests" => unread(app, tenant).await,
        other => panic!("prepare the work of `{other}` here"),
    }
}

async fn call<'a>(app: &'a App, tenant: Tenant, role: Role, name: &str) -> Call<'a> {
    app.as_identity(app.open_session(tenant, role).await).call(endpoint(name))
}

async fn done(call: Call<'_>) -> Value {
    let answer = call.await;
    assert!((200..300).contains(&answer.status), "{}", answer.text);
    answer.json
}

/// Calls an operator's endpoint about a tenant, and waits until every process knows the tenant's new state.
///
/// # Panics
/// If it is refused.
pub async fn operator(app: &App, tenant: Tenant, name: &str) {
    done(call(app, tenant, Role::SuperAdmin, name).await.path("tenant_id", app.tenant_id(tenant))).await;
    app.clock().advance(GATE);
}

/// Registers a shipment that is assigned to the viewer. Returns its id and its tracking number.
async fn ship(app: &App, tenant: Tenant) -> (String, String) {
    let create = endpoint("create_shipment");
    let mut body = fresh(create.sample.body.unwrap());
    body["assigned_to"] = app.user_id(tenant, Role::Viewer).to_string().into();
    let number = body["tracking_number"].as_str().unwrap().to_owned();
    let made = call(app, tenant, Role::Marketer, "create_shipment").await.json(body).await;
    (text(&made, "shipment_id"), number)
}

fn socket() -> &'static common::background::AnySocket {
    registry::sockets().find(|socket| socket.name == "connect").unwrap()
}

async fn connect(app: &App, tenant: Tenant, role: Role, connection: &str) -> Identity {
    let who = app.open_session(tenant, role).await;
    assert_eq!(app.socket(socket(), &who, connection, None).await, 200);
    who
}

/// A message of a tenant that was suspended and is active again waits, and is in no queue.
async fn waits(app: &App, tenant: Tenant) {
    ship(app, tenant).await;
    operator(app, tenant, "suspend_organization").await;
    app.deliveries(["deliver_notification", "settle_outbox"].map(consumer)).settle().await;
    operator(app, tenant, "reactivate_organization").await;
}

/// The carrier has scanned a parcel whose shipment is due.
async fn tracked(world: &mut World, tenant: Tenant) {
    let (_, number) = ship(&world.app, tenant).await;
    with_carrier(world);
    world.wait(SOON);
    scan(world, &number);
}

/// The carrier has scanned a parcel, and a user has asked for a refresh.
async fn refreshed(world: &mut World, tenant: Tenant) {
    let (id, number) = ship(&world.app, tenant).await;
    with_carrier(world);
    world.wait(SOON);
    scan(world, &number);
    done(call(&world.app, tenant, Role::Marketer, "refresh_shipment").await.path("shipment_id", id)).await;
}

fn scan(world: &World, number: &str) {
    if let Some((ups, _)) = &world.carrier {
        for status in ["LABEL_CREATED", "IN_TRANSIT"] {
            ups.advance(number, status).unwrap();
        }
    }
}

fn with_carrier(world: &mut World) {
    if world.carrier.is_some() {
        return;
    }
    let time = Arc::new(AtomicI64::new(world.app.clock().now().as_millis()));
    let clock = time.clone();
    let options = UpsOptions { now: Now::by(move || clock.load(Ordering::SeqCst)), ..UpsOptions::new("synthetic", "synthetic") };
    let ups = Ups::start(options).unwrap();
    let secret = json!({
        "client_id": "synthetic", "client_secret": "synthetic",
        "webhook_client_id": "synthetic-carrier", "webhook_client_secret": "synthetic-carrier",
    });
    world.app.wire().with_carrier(ups.endpoint(), secret);
    world.carrier = Some((ups, time));
}

async fn sealed(app: &App) {
    app.deliveries([consumer("seal_audit")]).settle().await;
    app.clock().advance(Duration::from_secs(60));
}

/// A user has an unread notification of a delivered parcel, and their digest is due.
async fn unread(app: &App, tenant: Tenant) {
    let now = app.clock().now();
    let told = json!({
        "id": EventId::new(now), "tenant_id": app.tenant_id(tenant), "actor": "poll_tracking", "on_behalf_of": null,
        "cause": EventId::new(now), "correlation_id": "test", "schema": "shipment.status_changed", "version": 1, "occurred_at": now,
        "payload": {
            "shipment_id": "shp_019b76da100070008000000000000000", "from": "IN_TRANSIT", "to": "DELIVERED", "version": 3,
            "created_by": app.user_id(tenant, Role::Marketer), "assigned_to": null,
        },
    });
    let mut queue = app.deliveries([consumer("deliver_notification")]);
    queue.send("deliver_notification", &told);
    assert!(queue.step().await && queue.is_empty());
    // The next eight o'clock lies within a day of any hour.
    app.clock().advance(DAY);
}
