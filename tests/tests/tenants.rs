//! Effects of a tenant's state on the other domains: access to health information, and messages that wait.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::{
    background::AnyConsumer,
    base::{Clock, Role, TenantId},
    request::AnyEndpoint,
};
use serde_json::{Value, json};
use std::time::Duration;
use suite::fixture::fresh;
use testing::{Answer, App, Call, Deliveries, Tenant};

/// The time for which a process caches a tenant's status.
const GATE: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

fn endpoint(name: &str) -> &'static AnyEndpoint {
    registry::all().find(|endpoint| endpoint.name == name).unwrap()
}

/// The consumers that depend on a tenant's state, without those that call Cognito or the carrier.
fn consumers() -> impl Iterator<Item = &'static AnyConsumer> {
    registry::consumers().filter(|consumer| ["organizations", "notifications", "system"].contains(&consumer.domain))
}

async fn call<'a>(app: &'a App, tenant: Tenant, role: Role, name: &str) -> Call<'a> {
    app.as_identity(app.open_session(tenant, role).await).call(endpoint(name))
}

async fn operator(app: &App, name: &str, tenant: Tenant) {
    let answer = call(app, tenant, Role::SuperAdmin, name).await.path("tenant_id", app.tenant_id(tenant)).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.text);
    app.clock().advance(GATE);
}

/// Registers a shipment that is assigned to the viewer.
async fn ship(app: &App, tenant: Tenant) -> Answer {
    let create = endpoint("create_shipment");
    let mut body = fresh(create.sample.body.unwrap());
    body["assigned_to"] = app.user_id(tenant, Role::Viewer).to_string().into();
    call(app, tenant, Role::Marketer, "create_shipment").await.json(body).await
}

/// The number of notifications of a tenant's users.
async fn notified(app: &App, tenant: Tenant) -> usize {
    count(app, "RecordsTable", app.tenant_id(tenant), "#INBOX#", |sort| sort.starts_with("N#")).await
}

async fn waiting(app: &App, tenant: Tenant) -> usize {
    count(app, "RecordsTable", app.tenant_id(tenant), "#WAITING", |_| true).await
}

async fn count(app: &App, table: &str, tenant: TenantId, partition: &str, sort: impl Fn(&str) -> bool) -> usize {
    let of = format!("{tenant}{partition}");
    let rows = app.dump(table).await;
    rows.iter().filter(|row| row["pk"].as_s().unwrap().starts_with(&of) && sort(row["sk"].as_s().unwrap())).count()
}

async fn settle(app: &App) {
    run(&mut app.deliveries(consumers())).await;
}

/// Runs the queues until nothing is left.
async fn run(queues: &mut Deliveries<'_>) {
    queues.settle().await;
    assert_eq!(queues.dead(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn phi_is_refused_without_an_agreement_in_force_and_all_else_works() {
    let app = App::start().await;
    let acme = app.tenant_id(Tenant::Acme);
    let now = app.clock().now();
    let agreed = json!({
        "signed_at": now.minus(DAY), "expires_at": now.plus(DAY * 2), "signatory": "Ada Sample", "document_sha256": "0".repeat(64),
    });
    let put = async |body: Value| {
        let call = call(&app, Tenant::Acme, Role::SuperAdmin, "put_baa").await.path("tenant_id", acme);
        assert_eq!(call.header("If-Match", "*").json(body).await.status, 200);
        app.clock().advance(GATE);
    };
    put(agreed.clone()).await;
    let shipped = ship(&app, Tenant::Acme).await;
    assert_eq!(shipped.status, 201, "{}", shipped.text);
    let read = async || {
        let id = shipped.json["shipment_id"].as_str().unwrap();
        call(&app, Tenant::Acme, Role::Marketer, "get_shipment").await.path("shipment_id", id).await
    };
    assert_eq!(read().await.status, 200);
    app.clock().advance(DAY * 2);
    for answer in [read().await, ship(&app, Tenant::Acme).await] {
        assert_eq!((answer.status, answer.code()), (403, "baa_required"), "{}", answer.text);
    }
    // Endpoints without health information still work, and the other tenant has an agreement of its own.
    assert_eq!(call(&app, Tenant::Acme, Role::Marketer, "me").await.await.status, 200);
    assert_eq!(ship(&app, Tenant::Birch).await.status, 201);
    // Polling needs the decrypted tracking number, so the tenant's shipments are not polled either.
    let polls = async || {
        app.clock().advance(MINUTE);
        registry::schedules().find(|schedule| schedule.name == "schedule_tracking").unwrap().run(app.deps()).await.unwrap();
        app.deliveries(registry::consumers().filter(|consumer| consumer.name == "poll_tracking")).collect().await
    };
    assert_eq!(polls().await, 1, "Birch's");
    let now = app.clock().now();
    put(json!({"expires_at": now.plus(DAY), "signed_at": now, "signatory": "A", "document_sha256": "0".repeat(64)})).await;
    assert_eq!(read().await.status, 200, "renewed");
    assert_eq!(polls().await, 2, "Acme's too");
}

#[tokio::test(flavor = "multi_thread")]
async fn phi_is_refused_in_a_tenant_that_never_signed_an_agreement() {
    let app = App::start().await;
    let body = json!({"name": "cedar", "admin_email": "first@cedar.example"});
    let made = call(&app, Tenant::Acme, Role::SuperAdmin, "create_organization").await.json(body).await;
    let id: TenantId = made.json["tenant_id"].as_str().unwrap().parse().unwrap();
    settle(&app).await;
    let members = app.dump("RecordsTable").await;
    let pk = members.iter().map(|row| row["pk"].as_s().unwrap()).find(|pk| pk.starts_with(&format!("{id}#MEMBER#"))).unwrap();
    let user = pk.rsplit_once('#').unwrap().1.parse().unwrap();
    let who = app.open_session_with(id, user, &[common::base::Grant::always(Role::TenantAdmin)]).await;
    let create = endpoint("create_shipment");
    let refused = app.as_identity(who.clone()).call(create).json(fresh(create.sample.body.unwrap())).await;
    assert_eq!((refused.status, refused.code()), (403, "baa_required"), "{}", refused.text);
    let own = app.as_identity(who).call(endpoint("get_organization")).path("tenant_id", id).await;
    assert_eq!((own.status, &own.json["baa"]), (200, &Value::Null), "{}", own.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_suspended_tenant_wait_and_are_handled_once_afterwards() {
    for seed in 1..=3 {
        let app = App::start().await;
        for tenant in [Tenant::Acme, Tenant::Birch] {
            assert_eq!(ship(&app, tenant).await.status, 201);
        }
        // The shipment's event was emitted before the suspension, and is not delivered yet.
        operator(&app, "suspend_organization", Tenant::Acme).await;
        let mut queues = app.deliveries(consumers()).copies(3).shuffled(seed);
        run(&mut queues).await;
        assert_eq!((notified(&app, Tenant::Acme).await, waiting(&app, Tenant::Acme).await), (0, 1), "seed {seed}");
        assert_eq!((notified(&app, Tenant::Birch).await, waiting(&app, Tenant::Birch).await), (1, 0), "seed {seed}");
        operator(&app, "reactivate_organization", Tenant::Acme).await;
        run(&mut queues).await;
        // The viewer alone is notified of the shipment. Everybody is notified that the tenant is active again.
        let shipments = by_kind(&app, Tenant::Acme, "shipment_created").await;
        assert_eq!((shipments, waiting(&app, Tenant::Acme).await), (1, 0), "seed {seed}");
        assert_eq!(notified(&app, Tenant::Birch).await, 1, "seed {seed}");
    }
}

async fn by_kind(app: &App, tenant: Tenant, kind: &str) -> usize {
    let of = format!("{}#INBOX#", app.tenant_id(tenant));
    let rows = app.dump("RecordsTable").await;
    let of_kind = rows.iter().filter(|row| row["pk"].as_s().unwrap().starts_with(&of));
    of_kind.filter(|row| row.get("kind").is_some_and(|found| found.as_s().unwrap() == kind)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_message_survives_kills_at_any_await_and_is_handled_once() {
    for after in 0.. {
        let app = App::start().await;
        assert_eq!(ship(&app, Tenant::Acme).await.status, 201);
        operator(&app, "suspend_organization", Tenant::Acme).await;
        let mut queues = app.deliveries(consumers().filter(|c| c.name == "deliver_notification" || c.name == "release_messages"));
        queues.collect().await;
        let mut killed = queues.step_killed(after).await;
        run(&mut queues).await;
        assert_eq!(waiting(&app, Tenant::Acme).await, 1, "killed after {after}");
        operator(&app, "reactivate_organization", Tenant::Acme).await;
        queues.collect().await;
        while !queues.is_empty() {
            killed |= queues.step_killed(after).await;
            if killed {
                break;
            }
        }
        // A killed consumer that stored a notification holds its claim for a minute, as it might still be sending.
        app.clock().advance(Duration::from_secs(61));
        run(&mut queues).await;
        assert_eq!((by_kind(&app, Tenant::Acme, "shipment_created").await, waiting(&app, Tenant::Acme).await), (1, 0), "{after}");
        if !killed {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_message_waits_again_if_suspended_again_and_stays_if_archived() {
    let app = App::start().await;
    assert_eq!(ship(&app, Tenant::Acme).await.status, 201);
    operator(&app, "suspend_organization", Tenant::Acme).await;
    settle(&app).await;
    operator(&app, "reactivate_organization", Tenant::Acme).await;
    let mut queues = app.deliveries(consumers());
    queues.collect().await;
    operator(&app, "suspend_organization", Tenant::Acme).await;
    run(&mut queues).await;
    assert_eq!(by_kind(&app, Tenant::Acme, "shipment_created").await, 0);
    let waits = waiting(&app, Tenant::Acme).await;
    assert!(waits >= 1, "{waits}");
    operator(&app, "archive_organization", Tenant::Acme).await;
    settle(&app).await;
    assert_eq!(waiting(&app, Tenant::Acme).await, waits, "archived messages are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_page_of_waiting_messages_is_released() {
    let app = App::start().await;
    operator(&app, "suspend_organization", Tenant::Acme).await;
    settle(&app).await;
    let acme = app.tenant_id(Tenant::Acme);
    let viewer = app.user_id(Tenant::Acme, Role::Viewer);
    for n in 0..120 {
        let id = common::base::EventId::new(app.clock().now());
        let envelope = json!({
            "id": id, "tenant_id": acme, "actor": "test", "on_behalf_of": null, "cause": id, "correlation_id": "test",
            "schema": "shipment.created", "version": 1, "occurred_at": app.clock().now(),
            "payload": {"shipment_id": format!("shp_{n:032x}"), "created_by": viewer, "assigned_to": viewer},
        });
        let texts = [("queue", "deliver-notification"), ("envelope", &envelope.to_string()), ("token", "t")];
        app.put_raw("RecordsTable", &format!("{acme}#WAITING"), &format!("deliver-notification#{id}"), &texts).await;
    }
    operator(&app, "reactivate_organization", Tenant::Acme).await;
    settle(&app).await;
    assert_eq!((by_kind(&app, Tenant::Acme, "shipment_created").await, waiting(&app, Tenant::Acme).await), (120, 0));
    assert_eq!(waiting(&app, Tenant::Birch).await, 0);
}
