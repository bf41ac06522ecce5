//! The templates in `events/`: the event that AWS would send, with `{{name}}` where a live value belongs.

mod message;
mod sample;
#[cfg(test)]
mod samples;
mod socket;

use super::function::{Function, Serves};
use crate::openapi::json_text;
use common::{
    background::AnySchedule,
    request::{AnyEndpoint, Data, IdempotencyKey, IfMatch, Kind},
};
use emulators::apigateway::GatewayRequest;
use registry::Trigger;
use serde_json::{Map, Value, json};

/// # Errors
/// If no event can be generated for a consumer.
pub(crate) fn template(function: &Function) -> Result<String, String> {
    Ok(json_text(&match function.serves {
        Serves::Endpoint(endpoint) => request(endpoint).proxy_event(),
        Serves::Consumer(consumer) => message::batch(consumer)?,
        Serves::Schedule(schedule) => tick(schedule),
        Serves::Socket(socket) => socket::event(socket),
        Serves::Other(other) => match other.trigger {
            Trigger::Authorizer => unknown_caller().authorizer_event(),
            Trigger::PreTokenGeneration => before_tokens(),
        },
    }))
}

/// The scheduler's event, which differs only by the schedule's name.
fn tick(schedule: &AnySchedule) -> Value {
    let (region, account) = (emulators::REGION, emulators::ACCOUNT);
    json!({
        "version": "0",
        "id": "{{request_id}}",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": account,
        "time": "{{now}}",
        "region": region,
        "resources": [format!("arn:aws:scheduler:{region}:{account}:schedule/default/cloister-{}", schedule.name)],
        "detail": "{}",
    })
}

/// The user pool's event before it issues tokens, version 2.
fn before_tokens() -> Value {
    json!({
        "version": "2",
        "triggerSource": "TokenGeneration_Authentication",
        "region": emulators::REGION,
        "userPoolId": format!("{}_local", emulators::REGION),
        "userName": "{{user_id}}",
        "callerContext": { "awsSdkVersion": "aws-sdk-rust-1", "clientId": "local" },
        "request": {
            "userAttributes": {
                "sub": "{{request_id}}",
                "cognito:user_status": "CONFIRMED",
                "email": "{{email}}",
                "email_verified": "true",
            },
            "groupConfiguration": { "groupsToOverride": [], "iamRolesToOverride": [], "preferredRole": null },
            "scopes": ["aws.cognito.signin.user.admin"],
        },
        "response": { "claimsAndScopeOverrideDetails": null },
    })
}

fn request(endpoint: &AnyEndpoint) -> GatewayRequest {
    let mut headers = vec![("User-Agent", "cloister-event/1"), ("X-Correlation-Id", "{{request_id}}")];
    let signed_in = endpoint.kind != Kind::Public;
    let carrier = CARRIER.iter().find(|carrier| carrier.endpoint == endpoint.name);
    if signed_in {
        headers.push(("Authorization", "Bearer {{access_token}}"));
    } else if let Some(carrier) = carrier {
        headers.push(("Authorization", carrier.authorization));
    }
    if endpoint.data == Data::Phi {
        headers.push(("X-Purpose-Of-Use", "TREAT"));
    }
    if signed_in && endpoint.idempotency == IdempotencyKey::Required {
        headers.push(("Idempotency-Key", "{{idempotency_key}}"));
    }
    if endpoint.if_match == IfMatch::Required {
        // Any version, because an earlier run of the template may have changed it.
        headers.push(("If-Match", "*"));
    }
    let form = carrier.and_then(|carrier| carrier.form);
    if form.is_some() {
        headers.push(("Content-Type", "application/x-www-form-urlencoded"));
    } else if endpoint.has_body {
        headers.push(("Content-Type", "application/json"));
    }
    let placeholder = |name: &str| format!("{{{{{name}}}}}");
    let mut path = endpoint.route.path.to_owned();
    for name in registry::path_parameters(endpoint.route.path) {
        path = path.replace(&format!("{{{name}}}"), &in_path(name));
    }
    let context = ["tenant_id", "user_id", "session_id", "exp"].map(|name| (name.to_owned(), Value::String(placeholder(name))));
    GatewayRequest {
        method: endpoint.route.method.as_str().to_owned(),
        path,
        resource: endpoint.route.path.to_owned(),
        path_parameters: registry::path_parameters(endpoint.route.path).map(|name| (name.to_owned(), in_path(name))).collect(),
        query: endpoint.sample.query.iter().map(|(name, value)| ((*name).to_owned(), in_query(name, value))).collect(),
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: form.map(Into::into).or_else(|| endpoint.sample.body.map(|body| body_of(endpoint, body).into_bytes())),
        source_ip: "127.0.0.1".to_owned(),
        request_id: placeholder("request_id"),
        authorizer: signed_in.then(|| Map::from_iter(context)),
    }
}

/// The value of a path parameter. A user in the path is another user than the caller.
fn in_path(name: &str) -> String {
    match name {
        "user_id" => "{{other_user_id}}".to_owned(),
        "role" => "analyst".to_owned(),
        name => format!("{{{{{name}}}}}"),
    }
}

fn in_query(name: &str, value: &str) -> String {
    if name == "user_id" { in_path(name) } else { value.to_owned() }
}

/// The headers and bodies of the carrier's pushes: its own credentials, and a form for a token.
struct Carrier {
    endpoint: &'static str,
    authorization: &'static str,
    form: Option<&'static str>,
}

const CARRIER: [Carrier; 2] = [
    Carrier { endpoint: "ups_webhook", authorization: "Bearer {{carrier_token}}", form: None },
    Carrier {
        endpoint: "ups_webhook_token",
        authorization: "Basic {{carrier_credentials}}",
        form: Some("grant_type=client_credentials"),
    },
];

/// Members of a sample that must be live: a credential, or a number that may be registered once.
const LIVE: [&str; 4] = ["email", "password", "refresh_token", "tracking_number"];

/// A tenant's name can be used only once.
fn body_of(endpoint: &AnyEndpoint, sample: &str) -> String {
    let body = with_placeholders(sample);
    if endpoint.name == "create_organization" { body.replace("cedar-clinic\"", "{{organization_name}}\"") } else { body }
}

fn with_placeholders(sample: &str) -> String {
    fn replace(value: &mut Value, top: bool) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    // A patient's e-mail is nested deeper and may be any.
                    if name == "user_id" && top {
                        *value = Value::String(in_path(name));
                    } else if LIVE.contains(&name.as_str()) && (top || name == "tracking_number") {
                        *value = Value::String(format!("{{{{{name}}}}}"));
                    } else {
                        replace(value, false);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| replace(item, false)),
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::from_str(sample) else { return sample.to_owned() };
    replace(&mut value, true);
    crate::openapi::sorted(&value).to_string()
}

fn unknown_caller() -> GatewayRequest {
    GatewayRequest {
        method: "GET".to_owned(),
        path: "/v1/me".to_owned(),
        resource: "/v1/me".to_owned(),
        headers: [("User-Agent", "cloister-event/1"), ("Authorization", "Bearer {{access_token}}")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        source_ip: "127.0.0.1".to_owned(),
        request_id: "{{request_id}}".to_owned(),
        ..GatewayRequest::default()
    }
}
