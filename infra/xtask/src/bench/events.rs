//! Requests that do not repeat: each has a fresh idempotency key, an unregistered number and its own session, so that neither a
//! claim nor a rate limit refuses it.

use super::{Failed, backend::Backend};
use common::{
    base::{Identity, Role},
    policy::Policies,
    request::{AnyEndpoint, Data, IfMatch, Kind, Method},
};
use emulators::apigateway::GatewayRequest;
use serde_json::{Map, Value};
use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};

/// Whether consecutive requests to `endpoint` can succeed here. Endpoints that call Cognito cannot, nor those that need an item
/// that does not exist here.
pub(crate) async fn possible(backend: &Backend, endpoint: &AnyEndpoint) -> bool {
    for _ in 0..2 {
        let Ok(event) = Box::pin(fresh(backend, endpoint)).await else { return false };
        let Ok(event) = serde_json::from_value(event) else { return false };
        let answer = Box::pin(endpoint.serve(backend.deps(), event)).await;
        if !(200..300).contains(&answer.status_code) {
            return false;
        }
    }
    true
}

/// A role that may call it; the marketer if possible.
fn role(endpoint: &AnyEndpoint) -> Role {
    static POLICIES: LazyLock<Policies> = LazyLock::new(|| Policies::load().unwrap_or_else(|e| panic!("{e}")));
    let may = |role: &Role| match (endpoint.action, endpoint.resource) {
        (Some(action), Some(kind)) => POLICIES.may(*role, action, kind, true) == Ok(true),
        _ => false,
    };
    [Role::Marketer, Role::Provider, Role::Auditor].into_iter().find(may).unwrap_or(Role::TenantAdmin)
}

/// API Gateway's event for one more request to `endpoint`.
pub(crate) async fn fresh(backend: &Backend, endpoint: &AnyEndpoint) -> Result<Value, Failed> {
    let mut request = request(endpoint);
    if endpoint.kind != Kind::Public {
        request.authorizer = Some(authorizer(&backend.open_session(role(endpoint)).await?));
    }
    if endpoint.route.path.contains("{shipment_id}") {
        let id = shipment(backend).await?;
        request.path = request.path.replace("{shipment_id}", &id);
        request.path_parameters.insert("shipment_id".to_owned(), id);
    }
    if endpoint.route.path.contains("{tenant_id}") {
        let id = backend.tenant().to_string();
        request.path = request.path.replace("{tenant_id}", &id);
        request.path_parameters.insert("tenant_id".to_owned(), id);
    }
    Ok(request.proxy_event())
}

/// The answer to one more request to `endpoint`, whose path has no parameter, by a caller of its tenant.
///
/// # Errors
/// The answer, unless it is a success.
pub(crate) async fn ask(backend: &Backend, endpoint: &AnyEndpoint, caller: &Identity) -> Result<Value, Failed> {
    let request = GatewayRequest { authorizer: Some(authorizer(caller)), ..request(endpoint) };
    let event = serde_json::from_value(request.proxy_event())?;
    let answer = serde_json::to_value(endpoint.serve(backend.deps(), event).await)?;
    let status = answer["statusCode"].as_u64().unwrap_or_default();
    if !(200..300).contains(&status) {
        return Err(format!("{}: {answer}", endpoint.name).into());
    }
    Ok(serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or_default())
}

/// The authorizer's context.
fn authorizer(caller: &Identity) -> Map<String, Value> {
    caller.to_context().into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
}

pub(crate) fn endpoint(name: &str) -> Result<&'static AnyEndpoint, Failed> {
    registry::all().find(|endpoint| endpoint.name == name).ok_or_else(|| format!("there is no {name}").into())
}

/// A new shipment.
async fn shipment(backend: &Backend) -> Result<String, Failed> {
    let create = endpoint("create_shipment")?;
    let event = Box::pin(fresh(backend, create)).await?;
    let answer = serde_json::to_value(create.serve(backend.deps(), serde_json::from_value(event)?).await)?;
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default())?;
    body["shipment_id"].as_str().map(str::to_owned).ok_or_else(|| format!("no shipment was made: {answer}").into())
}

fn request(endpoint: &AnyEndpoint) -> GatewayRequest {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut headers = vec![("user-agent".to_owned(), "cloister-bench/1".to_owned())];
    let mut header = |name: &str, value: String| headers.push((name.to_owned(), value));
    let changes = endpoint.route.method != Method::Get;
    if matches!(endpoint.data, Data::Phi) {
        header("x-purpose-of-use", "TREAT".to_owned());
    }
    if changes {
        header("idempotency-key", format!("bench-{}-{number}", std::process::id()));
    }
    if endpoint.if_match == IfMatch::Required {
        header("if-match", "*".to_owned());
    }
    // Endpoints before sign-in are limited by address and by e-mail, so each request has its own.
    let mut body = endpoint.sample.body.map(with_fresh_numbers);
    if let (Kind::Public, Some(Value::String(email))) = (endpoint.kind, body.as_mut().and_then(|body| body.get_mut("email"))) {
        *email = email.replace('@', &format!(".{number}@"));
    }
    if body.is_some() {
        header("content-type", "application/json".to_owned());
    }
    GatewayRequest {
        method: endpoint.route.method.as_str().to_owned(),
        path: endpoint.route.path.to_owned(),
        resource: endpoint.route.path.to_owned(),
        query: endpoint.sample.query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        headers,
        body: body.map(|body| body.to_string().into_bytes()),
        source_ip: format!("198.18.{}.{}", number / 256 % 256, number % 256),
        request_id: format!("bench-{number}"),
        ..GatewayRequest::default()
    }
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A sample with unregistered tracking numbers.
pub(crate) fn with_fresh_numbers(sample: &str) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(members) => members.iter_mut().for_each(|(name, value)| match name.as_str() {
                "tracking_number" => *value = Value::String(tracking_number()),
                _ => walk(value),
            }),
            Value::Array(items) => items.iter_mut().for_each(walk),
            _ => {}
        }
    }
    let mut body = serde_json::from_str(sample).unwrap_or_default();
    walk(&mut body);
    body
}

/// A new synthetic 1Z number with a valid check digit.
fn tracking_number() -> String {
    let digits = format!("999999{:09}", NEXT.fetch_add(1, Ordering::Relaxed) % 1_000_000_000);
    let sum: u32 = digits.bytes().zip([1, 2].into_iter().cycle()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    format!("1Z{digits}{}", (10 - sum % 10) % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bench_requests_succeed() {
        let backend = Backend::start().await.unwrap();
        for name in
            ["create_shipment", "get_shipment", "list_shipments", "update_shipment", "list_users", "get_settings", "health"]
        {
            assert!(possible(&backend, endpoint(name).unwrap()).await, "{name}");
        }
        for name in ["login", "delete_user"] {
            assert!(!possible(&backend, endpoint(name).unwrap()).await, "{name}");
        }
    }
}
