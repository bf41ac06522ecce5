//! Calls of a function, as API Gateway makes them.

use crate::app::{App, Tenant};
use common::{
    base::{Identity, Need, Role, Uuid},
    request::{AnyEndpoint, Data, IdempotencyKey},
};
use emulators::apigateway::GatewayRequest;
use serde_json::{Map, Value};
use std::{
    future::{Future, IntoFuture},
    pin::Pin,
};

/// The endpoint of a name.
///
/// # Panics
/// If there is none.
pub fn find(all: &'static [AnyEndpoint], name: &str) -> &'static AnyEndpoint {
    all.iter().find(|e| e.name == name).unwrap_or_else(|| panic!("no endpoint `{name}`"))
}

/// A placeholder in a path for the caller's own session.
pub const OWN_SESSION: &str = "{own_session}";

#[derive(Clone, Debug)]
pub struct Client<'a> {
    app: &'a App,
    who: Who,
}

#[derive(Clone, Debug)]
enum Who {
    Nobody,
    Role(Tenant, Role),
    Announced(Identity),
}

impl<'a> Client<'a> {
    pub(crate) fn new(app: &'a App, who: Option<(Tenant, Role)>) -> Self {
        Self { app, who: who.map_or(Who::Nobody, |(tenant, role)| Who::Role(tenant, role)) }
    }
    pub(crate) fn announced(app: &'a App, identity: Identity) -> Self {
        Self { app, who: Who::Announced(identity) }
    }

    pub fn app(&self) -> &'a App {
        self.app
    }

    /// A call with the headers that the endpoint needs: a purpose of use for PHI, and a new idempotency key if one is required.
    pub fn call(&self, endpoint: &AnyEndpoint) -> Call<'a> {
        let mut request = GatewayRequest {
            method: endpoint.route.method.as_str().to_owned(),
            resource: endpoint.route.path.to_owned(),
            source_ip: "192.0.2.7".to_owned(),
            request_id: Uuid::from_bytes(common::base::random::bytes()).to_string(),
            headers: vec![("User-Agent".to_owned(), "testing/1".to_owned())],
            ..GatewayRequest::default()
        };
        let mut add = |name: &str, value: String| request.headers.push((name.to_owned(), value));
        if endpoint.data == Data::Phi {
            add("X-Purpose-Of-Use", "TREAT".to_owned());
        }
        if endpoint.idempotency == IdempotencyKey::Required {
            add("Idempotency-Key", Uuid::from_bytes(common::base::random::bytes()).to_string());
        }
        Call { app: self.app, who: self.who.clone(), endpoint: *endpoint, request }
    }
}

/// A call under construction. Awaiting it sends it.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    app: &'a App,
    who: Who,
    endpoint: AnyEndpoint,
    request: GatewayRequest,
}

impl Call<'_> {
    #[must_use]
    pub fn path(mut self, name: &str, value: impl ToString) -> Self {
        self.request.path_parameters.insert(name.to_owned(), value.to_string());
        self
    }
    #[must_use]
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.request.query.push((name.to_owned(), value.to_string()));
        self
    }
    #[must_use]
    pub fn json(self, body: Value) -> Self {
        self.body(body.to_string()).header("Content-Type", "application/json")
    }
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.request.body = Some(body.into());
        self
    }
    /// Sets a header, and replaces those of its name.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self = self.without(name);
        self.request.headers.push((name.to_owned(), value.to_string()));
        self
    }
    /// Adds a header, and keeps those of its name.
    #[must_use]
    pub fn also(mut self, name: &str, value: impl ToString) -> Self {
        self.request.headers.push((name.to_owned(), value.to_string()));
        self
    }
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.request.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }
    #[must_use]
    pub fn from_ip(mut self, ip: &str) -> Self {
        ip.clone_into(&mut self.request.source_ip);
        self
    }
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }
    #[must_use]
    pub fn if_match(self, version: i64) -> Self {
        self.header("If-Match", format!("\"{version}\""))
    }

    async fn send(mut self) -> Answer {
        let identity = match self.who {
            Who::Nobody => None,
            Who::Role(tenant, role) => Some(self.app.identity(tenant, role).await),
            Who::Announced(identity) => Some(identity),
        };
        if let Some(identity) = &identity {
            for value in self.request.path_parameters.values_mut().filter(|value| *value == OWN_SESSION) {
                *value = identity.session.to_string();
            }
        }
        self.request.authorizer = identity.map(|identity| {
            let context = identity.to_context().into_iter().map(|(k, v)| (k.to_owned(), Value::String(v)));
            context.collect::<Map<_, _>>()
        });
        let path = self
            .request
            .path_parameters
            .iter()
            .fold(self.request.resource.clone(), |path, (k, v)| path.replace(&format!("{{{k}}}"), v));
        self.request.path = path;
        // A person reads a list a while after earlier writes. A request that changes something may follow them at once.
        if !self.endpoint.needs.contains(&Need::Write) {
            self.app.settle_indexes();
        }
        let event = serde_json::from_value(self.request.proxy_event()).expect("a proxy event");
        let response = self.endpoint.serve(self.app.deps(), event).await;
        let text = match response.body {
            Some(aws_lambda_events::encodings::Body::Text(text)) => text,
            Some(_) | None => String::new(),
        };
        Answer {
            status: u16::try_from(response.status_code).expect("a status"),
            headers: response
                .multi_value_headers
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_str().expect("text").to_owned()))
                .collect(),
            json: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }
}

impl<'a> IntoFuture for Call<'a> {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// The response.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub json: Value,
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
    /// The problem's code.
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }
    /// The text without the correlation id, which differs between two responses to the same request.
    pub fn without_correlation_id(&self) -> String {
        let mut json = self.json.clone();
        json.as_object_mut().and_then(|o| o.remove("correlation_id"));
        json.to_string()
    }
}
