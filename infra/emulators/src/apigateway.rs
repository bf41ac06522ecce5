//! API Gateway's events, in the form of a REST API with Lambda proxy integration.
//!
//! Source: AWS, "Set up Lambda proxy integrations in API Gateway", input format; "Binary media types for REST APIs in API
//! Gateway": an API without binary media types handles every payload as UTF-8 text. Invalid bytes become U+FFFD.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A request that has reached the gateway.
#[derive(Debug, Clone, Default)]
pub struct GatewayRequest {
    pub method: String,
    /// As sent, without the stage.
    pub path: String,
    /// The route's template, `/v1/shipments/{shipment_id}`.
    pub resource: String,
    pub path_parameters: BTreeMap<String, String>,
    /// In the order in which they were sent.
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
    pub source_ip: String,
    pub request_id: String,
    /// The context that the authorizer returned.
    pub authorizer: Option<Map<String, Value>>,
}

/// The API's one stage. Paths begin with their version, so the stage's name is not in the URL.
pub const STAGE: &str = "live";

impl GatewayRequest {
    /// The event for the route's function.
    pub fn proxy_event(&self) -> Value {
        let body = self.body.as_ref().map(|bytes| String::from_utf8_lossy(bytes));
        json!({
            "resource": self.resource,
            "path": self.path,
            "httpMethod": self.method,
            "headers": last(&self.headers),
            "multiValueHeaders": all(&self.headers),
            "queryStringParameters": last(&self.query),
            "multiValueQueryStringParameters": all(&self.query),
            "pathParameters": if self.path_parameters.is_empty() { Value::Null } else { json!(self.path_parameters) },
            "stageVariables": null,
            "requestContext": self.context(true),
            "body": body,
            "isBase64Encoded": false,
        })
    }

    /// The event for a REQUEST authorizer.
    pub fn authorizer_event(&self) -> Value {
        json!({
            "type": "REQUEST",
            "methodArn": format!("arn:aws:execute-api:{}:{}:local/{STAGE}/{}{}", crate::REGION, crate::ACCOUNT, self.method, self.path),
            "resource": self.resource,
            "path": self.path,
            "httpMethod": self.method,
            "headers": last(&self.headers),
            "multiValueHeaders": all(&self.headers),
            "queryStringParameters": last(&self.query).unwrap_or_else(|| json!({})),
            "multiValueQueryStringParameters": all(&self.query).unwrap_or_else(|| json!({})),
            "pathParameters": self.path_parameters,
            "stageVariables": {},
            "requestContext": self.context(false),
        })
    }

    fn context(&self, with_authorizer: bool) -> Value {
        let user_agent =
            self.headers.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case("user-agent")).map(|(_, value)| value);
        let mut context = json!({
            "resourcePath": self.resource,
            "httpMethod": self.method,
            "path": format!("/{STAGE}{}", self.path),
            "accountId": crate::ACCOUNT,
            "protocol": "HTTP/1.1",
            "stage": STAGE,
            "apiId": "local",
            "requestId": self.request_id,
            "identity": { "sourceIp": self.source_ip, "userAgent": user_agent },
        });
        if with_authorizer && let Some(authorizer) = &self.authorizer {
            context["authorizer"] = Value::Object(authorizer.clone());
        }
        context
    }
}

fn last(pairs: &[(String, String)]) -> Option<Value> {
    let map: Map<String, Value> = pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    (!map.is_empty()).then_some(Value::Object(map))
}

fn all(pairs: &[(String, String)]) -> Option<Value> {
    let mut map: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in pairs {
        map.entry(name).or_default().push(value);
    }
    (!map.is_empty()).then(|| json!(map))
}
