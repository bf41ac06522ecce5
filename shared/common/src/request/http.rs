//! Requests and answers as the pipeline uses them: API Gateway's REST proxy event in a normalised form.

use crate::{
    base::{Error, Result, budget, telemetry::CorrelationId},
    request::headers::{Header, Headers},
};
use aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayProxyResponse};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::collections::BTreeMap;

/// The largest accepted body, unless the endpoint sets another limit. API Gateway passes 10 MB, and Lambda accepts an event of 6
/// MB.
pub const BODY_LIMIT: usize = 256 * 1024;

/// One request.
#[derive(Debug)]
pub struct Request {
    pub(crate) headers: Headers,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) repeated_query: bool,
    pub(crate) path: BTreeMap<String, String>,
    pub(crate) body: Result<Vec<u8>>,
    pub(crate) source_ip: String,
    pub(crate) request_id: String,
    /// The time at which the function will be stopped.
    pub(crate) deadline: Option<crate::base::Timestamp>,
    authorizer: BTreeMap<String, String>,
}

impl Request {
    /// The request of an event. A body of more than `limit` bytes is not decoded.
    pub fn from_event(event: ApiGatewayProxyRequest, deadline: Option<crate::base::Timestamp>, limit: usize) -> Self {
        let mut query = BTreeMap::new();
        let mut repeated_query = false;
        for (name, value) in event.multi_value_query_string_parameters.iter() {
            repeated_query |= query.insert(name.to_owned(), value.to_owned()).is_some();
        }
        for (name, value) in event.query_string_parameters.iter() {
            query.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        let authorizer = event.request_context.authorizer.fields;
        Self {
            headers: Headers::of(&event.headers, event.multi_value_headers),
            query,
            repeated_query,
            path: event.path_parameters.into_iter().collect(),
            body: body(event.body, event.is_base64_encoded, limit),
            source_ip: event.request_context.identity.source_ip.unwrap_or_default(),
            request_id: event.request_context.request_id.unwrap_or_default(),
            deadline,
            authorizer: authorizer.into_iter().filter_map(|(k, v)| text(v).map(|v| (k, v))).collect(),
        }
    }

    /// A header's value, if it occurs once and is text.
    pub(crate) fn header(&self, header: Header) -> Option<&str> {
        self.headers.text(header)
    }
    pub(crate) fn authorizer(&self, name: &str) -> Option<&str> {
        self.authorizer.get(name).map(String::as_str)
    }
    pub(crate) fn user_agent(&self) -> &str {
        self.header(Header::UserAgent).unwrap_or_default()
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

fn body(body: Option<String>, is_base64: bool, limit: usize) -> Result<Vec<u8>> {
    let bytes = match body {
        None => Vec::new(),
        // Four letters encode three bytes, so a body that is too long is refused before decoding.
        Some(text) if is_base64 && text.len() / 4 * 3 > limit + 2 => return Err(Error::TooLarge { limit }),
        Some(text) if is_base64 => {
            STANDARD.decode(text).map_err(|_| Error::bad_request("malformed_body", "the body is not base64"))?
        }
        Some(text) => text.into_bytes(),
    };
    if bytes.len() > limit { Err(Error::TooLarge { limit }) } else { Ok(bytes) }
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Whether the body contains a value that is shown once. Such a body is stored nowhere.
    pub issues: bool,
}

impl Response {
    pub(crate) fn json(status: u16, body: Vec<u8>) -> Self {
        let mut response = Self { status, headers: HeaderMap::new(), body, issues: false };
        if !response.body.is_empty() {
            response.set("content-type", "application/json");
        }
        response
    }

    pub(crate) fn problem(error: &Error, correlation_id: &CorrelationId) -> Self {
        let body = serde_json::to_vec(&error.problem(correlation_id)).unwrap_or_default();
        let mut response = Self::json(error.status(), body);
        response.set("content-type", "application/problem+json");
        match error {
            Error::RateLimited { retry_after, .. } => {
                response.set("retry-after", &budget::whole_seconds(*retry_after).to_string());
            }
            Error::Unavailable { .. } => response.set("retry-after", "1"),
            Error::Unauthenticated(_) => response.set("www-authenticate", "Bearer"),
            _ => {}
        }
        response
    }

    /// Sets a header. A value that HTTP does not allow is omitted.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
    }

    pub(crate) fn into_event(self) -> ApiGatewayProxyResponse {
        let mut event = ApiGatewayProxyResponse::default();
        event.status_code = i64::from(self.status);
        event.headers = self.headers;
        if !self.body.is_empty() {
            event.body = Some(aws_lambda_events::encodings::Body::Text(String::from_utf8_lossy(&self.body).into_owned()));
        }
        event
    }
}

/// Headers of every answer.
pub(crate) const SECURITY_HEADERS: [(&str, &str); 7] = [
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("strict-transport-security", "max-age=63072000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];
/// The headers of an answer that a page of another origin may read.
pub const EXPOSED_HEADERS: &str =
    "ETag, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, X-Correlation-Id, Idempotency-Replayed";
