//! What every endpoint's sample needs to succeed: a shipment of Acme's that nobody is assigned to, and fresh numbers.

use common::{AnyEndpoint, Method, Role};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use testing::{App, Call, Client, Tenant, find};

/// A shipment of Acme's, by its id.
#[derive(Clone, Debug)]
pub struct Fixture {
    shipment_id: String,
}

/// Whether the endpoint changes an item that has a version.
pub fn has_version(endpoint: &AnyEndpoint) -> bool {
    endpoint.view.is_some() && endpoint.route.method != Method::Get
}

impl Fixture {
    pub async fn new(app: &App) -> Self {
        let create = find(shipments::endpoints::ALL, "create_shipment");
        let marketer = app.as_identity(app.open_session(Tenant::Acme, Role::Marketer).await);
        let created = marketer.call(create).json(fresh(create.sample.body.unwrap())).await;
        assert_eq!(created.status, 201, "{}", created.text);
        Self { shipment_id: created.json["shipment_id"].as_str().unwrap().to_owned() }
    }

    /// The same with an id of which there is no item.
    pub fn missing(&self, app: &App) -> Self {
        use common::Clock;
        Self { shipment_id: shipments::domain::ShipmentId::new(app.clock().now()).to_string() }
    }

    /// The same with what is no id.
    pub fn nonsense(&self) -> Self {
        Self { shipment_id: "shp_nonsense".to_owned() }
    }

    /// The endpoint's sample, made to fit.
    pub fn call<'a>(&self, client: &Client<'a>, endpoint: &AnyEndpoint) -> Call<'a> {
        let mut call = client.call(endpoint);
        if endpoint.route.path.contains("{shipment_id}") {
            call = call.path("shipment_id", &self.shipment_id);
        }
        for (name, value) in endpoint.sample.query {
            call = call.query(name, value);
        }
        if endpoint.route.method == Method::Patch {
            call = call.if_match(1);
        }
        match self.body(endpoint) {
            Some(body) => call.json(body),
            None => call,
        }
    }

    pub fn body(&self, endpoint: &AnyEndpoint) -> Option<Value> {
        endpoint.sample.body.map(fresh)
    }
}

/// A sample with tracking numbers that nobody has.
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

/// A synthetic 1Z number with a good check digit, another each time.
pub fn tracking_number() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let digits = format!("999999{:09}", NEXT.fetch_add(1, Ordering::Relaxed))[..15].to_owned();
    let sum: u32 = digits.bytes().enumerate().map(|(i, b)| u32::from(b - b'0') * if i % 2 == 0 { 1 } else { 2 }).sum();
    format!("1Z{digits}{}", (10 - sum % 10) % 10)
}
