//! The data that every endpoint's sample needs to succeed: a shipment of Acme's without an assignee, new tracking numbers, a
//! notification for the caller, and an invited user who has not signed in.

use crate::people;
use aws_sdk_dynamodb::types::{
    AttributeValue::{self, N, S},
    PutRequest, WriteRequest,
};
use common::{
    base::{Clock, Need, Role, TenantId, UserId},
    request::{AnyEndpoint, IfMatch},
};
use identity::domain::totp::{Authenticator, TotpSecret};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use testing::{App, Call, Client, OWN_SESSION, PASSWORD, Tenant, find};

/// The values of path parameters: Acme, a shipment of Acme's, an invited user of Acme's, a role, a notification of each of its
/// members, the first segment of every log.
#[derive(Clone, Debug)]
pub struct Fixture {
    shipment_id: String,
    notification_id: String,
    first_sequence: &'static str,
    key_id: String,
    user_id: String,
    role: &'static str,
    tenant_id: String,
}

/// A synthetic notification, the first of its inbox, and one that does not exist.
const NOTIFICATION: &str = "ntf_019b76da100070008000000000000001";
const NO_NOTIFICATION: &str = "ntf_019b76da100070008001000000000001";

/// Seals the current events of every log, once for each backend, so that each log has a first segment.
async fn seal(app: &App) {
    let acme = app.tenant_id(Tenant::Acme);
    let head = app.raw().get_item().table_name(&app.provisioned().tables["LedgerTable"]);
    let head = head.key("pk", S(format!("{acme}#HEAD"))).key("sk", S("HEAD".to_owned()));
    if head.send().await.unwrap().item.is_some() {
        return;
    }
    let mut deliveries = app.deliveries(audit::consumers::CONSUMERS);
    for tenant in [TenantId::PLATFORM, acme, app.tenant_id(Tenant::Birch)] {
        deliveries.send("seal_audit", &serde_json::json!({ "wake_up": format!("{tenant}#AUDIT") }));
        deliveries.step().await;
    }
    assert!(deliveries.is_empty(), "the logs are sealed");
}

/// The authenticator of callers whose sample needs one to succeed.
fn authenticator() -> TotpSecret {
    serde_json::from_value("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into()).expect("RFC 6238's own key")
}

/// The state of the second factor that the endpoint's caller needs to succeed, if it needs one.
fn second_factor(endpoint: &AnyEndpoint) -> Option<&'static str> {
    match endpoint.name {
        "activate_totp" => Some("pending"),
        "verify_mfa" | "create_recovery_codes" | "disable_totp" => Some("active"),
        _ => None,
    }
}

/// Gives each of Acme's members the authenticator, as enrolment does.
async fn enrol(app: &App, status: &str) {
    for role in Role::ALL.into_iter().filter(|role| *role != Role::ApiUser) {
        let home = if role == Role::SuperAdmin { TenantId::PLATFORM } else { app.tenant_id(Tenant::Acme) };
        let user = app.user_id(Tenant::Acme, role);
        app.hand_out(home, user, &Authenticator { secret: authenticator() }, status).await;
    }
}

/// A backend in which an endpoint can succeed: with Cognito, if the endpoint needs passwords.
pub async fn backend(endpoint: &AnyEndpoint) -> App {
    if endpoint.needs.contains(&Need::Passwords) { App::with_cognito().await } else { App::start().await }
}

impl Fixture {
    /// The data that this endpoint's sample needs, and no more.
    pub async fn of(app: &App, endpoint: &AnyEndpoint) -> Self {
        if let Some(status) = second_factor(endpoint) {
            enrol(app, status).await;
        }
        let names = registry::path_parameters(endpoint.route.path).chain(endpoint.sample.query.iter().map(|(name, _)| *name));
        let mut wanted: Vec<_> = names.collect();
        if endpoint.name == "add_admin" {
            wanted.push("user_id");
        }
        let of_suspended = ["reactivate_organization", "archive_organization"].contains(&endpoint.name);
        if of_suspended {
            // A call while the tenant is active leaves its status in the cache, so the next caller still finds it active.
            wanted.push("shipment_id");
        }
        let fixture = Self::with(app, &wanted).await;
        if endpoint.name == "remove_admin" {
            // So that there is an administrator to remove.
            let operator = app.as_identity(app.open_session(Tenant::Acme, Role::SuperAdmin).await);
            let appointed = fixture.call(&operator, people::endpoint("add_admin")).await;
            assert_eq!(appointed.status, 204, "{}", appointed.text);
        }
        if of_suspended {
            set_profile(app, "suspended").await;
        }
        fixture
    }

    /// The data that any endpoint's sample needs.
    pub async fn new(app: &App) -> Self {
        Self::with(app, &["shipment_id", "key_id", "user_id"]).await
    }

    async fn with(app: &App, wanted: &[&str]) -> Self {
        // An endpoint that was called before may have suspended it.
        set_profile(app, "active").await;
        seal(app).await;
        notify(app).await;
        let made = async |role: Role, endpoint: &AnyEndpoint, id: &str| {
            let client = app.as_identity(app.open_session(Tenant::Acme, role).await);
            let made = client.call(endpoint).json(fresh(endpoint.sample.body.unwrap())).await;
            assert_eq!(made.status, 201, "{}", made.text);
            made.json[id].as_str().unwrap().to_owned()
        };
        let mut fixture = Self { notification_id: NOTIFICATION.to_owned(), ..Self::nonsense() };
        fixture.tenant_id = app.tenant_id(Tenant::Acme).to_string();
        (fixture.first_sequence, fixture.role) = ("0", "analyst");
        if wanted.contains(&"shipment_id") {
            let create = find(shipments::endpoints::ALL, "create_shipment");
            fixture.shipment_id = made(Role::Marketer, create, "shipment_id").await;
        }
        if wanted.contains(&"key_id") {
            let create = find(identity::endpoints::ALL, "create_api_key");
            fixture.key_id = made(Role::TenantAdmin, create, "key_id").await;
        }
        if wanted.contains(&"user_id") {
            let invite = find(users::endpoints::ALL, "invite_user");
            fixture.user_id = made(Role::TenantAdmin, invite, "user_id").await;
        }
        fixture
    }

    /// The value of the path parameter `name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        match name {
            "shipment_id" => Some(&self.shipment_id),
            "notification_id" => Some(&self.notification_id),
            "first_sequence" => Some(self.first_sequence),
            "key_id" => Some(&self.key_id),
            "user_id" => Some(&self.user_id),
            "role" => Some(self.role),
            "tenant_id" => Some(&self.tenant_id),
            _ => None,
        }
    }

    /// The same with ids that are well-formed, and of no item.
    pub fn missing(&self, app: &App) -> Self {
        let now = app.clock().now();
        Self {
            shipment_id: shipments::domain::ShipmentId::new(now).to_string(),
            notification_id: NO_NOTIFICATION.to_owned(),
            first_sequence: "7",
            key_id: common::identity::ApiKeyId::new(now).to_string(),
            user_id: UserId::new(now).to_string(),
            role: self.role,
            tenant_id: TenantId::new(now).to_string(),
        }
    }

    /// The same with the platform's own tenant.
    #[must_use]
    pub fn of_platform(&self) -> Self {
        Self { tenant_id: TenantId::PLATFORM.to_string(), ..self.clone() }
    }

    /// Values that are no ids.
    pub fn nonsense() -> Self {
        Self {
            shipment_id: "shp_nonsense".to_owned(),
            notification_id: "ntf_nonsense".to_owned(),
            first_sequence: "first",
            key_id: "key_nonsense".to_owned(),
            user_id: "usr_nonsense".to_owned(),
            role: "emperor",
            tenant_id: "ten_nonsense".to_owned(),
        }
    }

    /// A call with the endpoint's sample and this fixture's values.
    pub fn call<'a>(&self, client: &Client<'a>, endpoint: &AnyEndpoint) -> Call<'a> {
        let mut call = client.call(endpoint);
        for name in registry::path_parameters(endpoint.route.path) {
            let value = match name {
                // An endpoint for a session takes only the caller's own.
                "session_id" => OWN_SESSION,
                name => self.value(name).unwrap_or_else(|| panic!("add a value for the path parameter `{name}`")),
            };
            call = call.path(name, value);
        }
        for (name, value) in endpoint.sample.query {
            call = call.query(name, if *name == "user_id" { &self.user_id } else { *value });
        }
        if endpoint.if_match == IfMatch::Required {
            call = call.header("If-Match", "*");
        }
        match self.body(endpoint) {
            Some(mut body) => {
                if endpoint.name == "change_password" {
                    body = serde_json::json!({ "current_password": PASSWORD, "new_password": PASSWORD });
                }
                if body.get("code").is_some() {
                    body["code"] = authenticator().code_at(client.app().clock().now()).into();
                }
                call.json(body)
            }
            None => call,
        }
    }

    pub fn body(&self, endpoint: &AnyEndpoint) -> Option<Value> {
        let mut body = endpoint.sample.body.map(fresh)?;
        match endpoint.name {
            "add_admin" => body["user_id"] = self.user_id.clone().into(),
            "create_organization" => body["name"] = tenant_name().into(),
            _ => {}
        }
        Some(body)
    }
}

/// A new tenant name at each call.
fn tenant_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("clinic-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Sets Acme's profile to version 1 and this status.
async fn set_profile(app: &App, status: &str) {
    let update = app.raw().update_item().table_name(&app.provisioned().tables["RecordsTable"]);
    let update = update.key("pk", S(format!("{}#TENANT", app.tenant_id(Tenant::Acme)))).key("sk", S("PROFILE".to_owned()));
    let update =
        update.update_expression("SET #status = :status, version = :first").expression_attribute_names("#status", "status");
    let update = update.expression_attribute_values(":status", S(status.to_owned()));
    update.expression_attribute_values(":first", N("1".to_owned())).send().await.unwrap();
}

/// Puts a notification into the inbox of each of Acme's members, as its delivery does.
async fn notify(app: &App) {
    let item = |tenant: TenantId, user: String, sort: &str, attributes: Vec<(&str, AttributeValue)>| {
        let key = [("pk", S(format!("{tenant}#INBOX#{user}"))), ("sk", S(sort.to_owned()))];
        let item = key.into_iter().chain(attributes).map(|(name, value)| (name.to_owned(), value)).collect();
        WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(item)).build().unwrap()).build()
    };
    let (text, number) = (|v: &str| S(v.to_owned()), |v: &str| N(v.to_owned()));
    let mut writes = Vec::new();
    for role in Role::ALL {
        let home = if role == Role::SuperAdmin { TenantId::PLATFORM } else { app.tenant_id(Tenant::Acme) };
        let user = app.user_id(Tenant::Acme, role).to_string();
        let state = vec![("seq", number("1")), ("unread", number("1")), ("read_up_to", number("0"))];
        writes.push(item(home, user.clone(), "STATE", state));
        let notification = vec![
            ("notification_id", text(NOTIFICATION)),
            ("kind", text("shipment_voided")),
            ("subject_type", text("Shipment")),
            ("subject_id", text("shp_019b76da100070008000000000000000")),
            ("event_id", text("evt_019b76da100070008000000000000000")),
            ("created_at", text("2026-01-01T12:00:00.000Z")),
            ("push", number("0")),
            ("email", number("0")),
        ];
        writes.push(item(home, user, "N#000000000001", notification));
    }
    let table = &app.provisioned().tables["RecordsTable"];
    app.raw().batch_write_item().request_items(table, writes).send().await.unwrap();
}

/// A sample with new tracking numbers.
pub fn fresh(sample: &str) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    if name == "tracking_number" {
                        *value = Value::String(tracking_number());
                    } else {
                        walk(value);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            _ => {}
        }
    }
    let mut body = serde_json::from_str(sample).expect("a sample is JSON");
    walk(&mut body);
    body
}

/// A synthetic 1Z number with a valid check digit, a new one at each call.
pub fn tracking_number() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let digits = format!("999999{:09}", NEXT.fetch_add(1, Ordering::Relaxed))[..15].to_owned();
    let sum: u32 = digits.bytes().enumerate().map(|(i, b)| u32::from(b - b'0') * if i % 2 == 0 { 1 } else { 2 }).sum();
    format!("1Z{digits}{}", (10 - sum % 10) % 10)
}
