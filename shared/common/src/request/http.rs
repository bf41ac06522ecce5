//! Requests and answers as the pipeline uses them. `lambda_http` converts API Gateway's REST proxy event to an HTTP request, and
//! the answer to API Gateway's. The parts of an event for which its conversion is not safe are taken out before
//! ([`Taken`]).

use crate::{
    base::{Error, Result, budget, telemetry::CorrelationId},
    request::headers::{Header, Headers},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lambda_http::{
    Adapter, Body, LambdaEvent, RequestExt, Service,
    request::{LambdaRequest, RequestContext},
    service_fn,
};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, mem::take};

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

/// The parts of an event that are read here, because `lambda_http` keeps one value of a repeated header, ignores one of two lists
/// of query parameters, and panics at a body that is not base64 and at an address that is no URL.
#[derive(Debug)]
struct Taken {
    headers: Headers,
    query: BTreeMap<String, String>,
    repeated_query: bool,
    body: Result<Vec<u8>>,
}

impl Taken {
    /// A body of more than `limit` bytes is not decoded.
    fn out_of(event: &mut LambdaRequest, limit: usize) -> Self {
        let (mut query, mut repeated_query) = (BTreeMap::new(), false);
        let LambdaRequest::ApiGatewayV1(event) = event else {
            let headers = Headers::of(&HeaderMap::new(), HeaderMap::new());
            return Self { headers, query, repeated_query, body: Err(Error::internal("event of another service")) };
        };
        for (name, value) in take(&mut event.multi_value_query_string_parameters).iter() {
            repeated_query |= query.insert(name.to_owned(), value.to_owned()).is_some();
        }
        for (name, value) in take(&mut event.query_string_parameters).iter() {
            query.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        // The route is known, so the request's address is not needed.
        (event.path, event.request_context.domain_name, event.request_context.stage) = (None, None, None);
        Self {
            headers: Headers::of(&take(&mut event.headers), take(&mut event.multi_value_headers)),
            query,
            repeated_query,
            body: body(event.body.take(), event.is_base64_encoded, limit),
        }
    }
}

/// Runs `run` as `lambda_http` runs a service, and returns API Gateway's answer.
///
/// # Errors
/// None; the type is `lambda_http`'s.
pub(crate) async fn through<W: Future<Output = Response> + Send>(
    event: LambdaEvent<LambdaRequest>,
    deadline: Option<crate::base::Timestamp>,
    limit: usize,
    run: impl FnOnce(Request) -> W + Send,
) -> Result<impl Serialize, lambda_http::Error> {
    let LambdaEvent { mut payload, context } = event;
    let mut once = Some((Taken::out_of(&mut payload, limit), run));
    let service = service_fn(|request: lambda_http::Request| {
        let once = once.take();
        async move {
            // INVARIANT: the adapter calls its service once for an event.
            let (taken, run) = once.ok_or("called twice")?;
            Ok::<_, lambda_http::Error>(run(Request::of(request, taken, deadline)).await.into_http())
        }
    });
    Adapter::from(service).call(LambdaEvent::new(payload, context)).await
}

impl Request {
    /// The request of an event, for tools and tests that only read it.
    pub(crate) fn read(mut event: LambdaRequest, limit: usize) -> Self {
        let taken = Taken::out_of(&mut event, limit);
        Self::of(event.into(), taken, None)
    }

    fn of(mut request: lambda_http::Request, taken: Taken, deadline: Option<crate::base::Timestamp>) -> Self {
        let path = request.path_parameters_ref().into_iter().flat_map(|parameters| parameters.iter());
        let path = path.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let context = match request.extensions_mut().remove() {
            Some(RequestContext::ApiGatewayV1(context)) => context,
            _ => Default::default(),
        };
        Self {
            headers: taken.headers,
            query: taken.query,
            repeated_query: taken.repeated_query,
            path,
            body: taken.body,
            source_ip: context.identity.source_ip.unwrap_or_default(),
            request_id: context.request_id.unwrap_or_default(),
            deadline,
            authorizer: context.authorizer.fields.into_iter().filter_map(|(k, v)| text(v).map(|v| (k, v))).collect(),
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

    fn into_http(self) -> http::Response<Body> {
        let text = String::from_utf8(self.body).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        let mut response = http::Response::new(if text.is_empty() { Body::Empty } else { Body::Text(text) });
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = self.headers;
        response
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

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lambda_events::apigw::ApiGatewayProxyResponse;
    use lambda_http::Context;
    use serde_json::json;
    use std::sync::Mutex;

    /// An event with these members, and the members that API Gateway always sends.
    fn event(members: &Value) -> LambdaRequest {
        let mut event = json!({"httpMethod": "POST", "path": "/v1/x", "requestContext": {"httpMethod": "POST", "stage": "v1"}});
        for (name, value) in members.as_object().unwrap() {
            event[name] = value.clone();
        }
        serde_json::from_str(&event.to_string()).unwrap()
    }

    /// The request that `run` gets, and API Gateway's answer.
    async fn passed(members: &Value, answer: Response) -> (Request, ApiGatewayProxyResponse) {
        let seen = Mutex::new(None);
        let run = |request| {
            *seen.lock().unwrap() = Some(request);
            async { answer }
        };
        let answer = through(LambdaEvent::new(event(members), Context::default()), None, 10, run).await.unwrap();
        let answer = serde_json::from_str(&serde_json::to_string(&answer).unwrap()).unwrap();
        let request = seen.lock().unwrap().take().unwrap();
        (request, answer)
    }

    fn empty() -> Response {
        Response::json(204, Vec::new())
    }

    #[tokio::test]
    async fn event_that_lambda_http_cannot_convert_is_read() {
        let long = "x".repeat(70_000);
        for members in [
            json!({"headers": {"Host": "a b"}, "multiValueHeaders": {"Host": ["a b"]}}),
            json!({"headers": {"Host": "[", "X-Forwarded-Proto": "1 2"}}),
            json!({"path": "/\u{e9}/[?#%zz\\ |"}),
            json!({"path": format!("/{long}")}),
            json!({"path": "no slash"}),
            json!({"path": null}),
            json!({"queryStringParameters": {"q": long}}),
            json!({"multiValueQueryStringParameters": {"\u{e9}\n": ["\u{0}"]}}),
            json!({"requestContext": {"httpMethod": "POST", "domainName": "a b", "stage": "[ ]"}}),
            json!({"requestContext": {"httpMethod": "POST", "domainName": "", "stage": ""}}),
        ] {
            let (request, answer) = passed(&members, empty()).await;
            assert_eq!((request.body, answer.status_code), (Ok(Vec::new()), 204), "{members}");
        }
    }

    #[tokio::test]
    async fn body_is_decoded_within_its_limit() {
        let large = Err(Error::TooLarge { limit: 10 });
        for (text, is_base64, expected) in [
            (json!(null), false, Ok(String::new())),
            (json!(null), true, Ok(String::new())),
            (json!(""), false, Ok(String::new())),
            (json!("a\u{fffd}"), false, Ok("a\u{fffd}".to_owned())),
            (json!("YQ=="), true, Ok("a".to_owned())),
            (json!("YQ=="), false, Ok("YQ==".to_owned())),
            (json!("MTIzNDU2Nzg5MA=="), true, Ok("1234567890".to_owned())),
            (json!("MTIzNDU2Nzg5MDE="), true, large.clone()),
            (json!("12345678901"), false, large.clone()),
            (json!("!".repeat(100)), true, large),
            (json!("{}"), true, Err(Error::bad_request("malformed_body", "the body is not base64"))),
            (json!("YQ"), true, Err(Error::bad_request("malformed_body", "the body is not base64"))),
        ] {
            let (request, _) = passed(&json!({"body": text, "isBase64Encoded": is_base64}), empty()).await;
            assert_eq!(request.body.map(|bytes| String::from_utf8(bytes).unwrap()), expected, "{text} {is_base64}");
        }
    }

    #[tokio::test]
    async fn request_has_every_value_of_a_header_and_of_a_query_parameter() {
        let members = json!({
            "headers": {"Authorization": "Bearer b", "Origin": "https://a.example"},
            "multiValueHeaders": {"Authorization": ["Bearer a", "Bearer b"], "Origin": ["https://a.example"]},
            "queryStringParameters": {"last": "1", "both": "2"},
            "multiValueQueryStringParameters": {"both": ["2"], "twice": ["3", "4"]},
            "pathParameters": {"id": "a%2Fb"},
        });
        let (request, _) = passed(&members, empty()).await;
        assert!(request.headers.one_credential().is_err());
        assert_eq!(request.header(Header::Origin), Some("https://a.example"));
        let query: Vec<_> = request.query.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!((query, request.repeated_query), (vec![("both", "2"), ("last", "1"), ("twice", "4")], true));
        assert_eq!(request.path.get("id").map(String::as_str), Some("a%2Fb"));
    }

    #[tokio::test]
    async fn request_has_the_facts_of_its_context() {
        let context = json!({
            "httpMethod": "POST",
            "requestId": "an-id",
            "identity": {"sourceIp": "192.0.2.1"},
            "authorizer": {"text": "a", "number": 7, "is": true, "object": {}, "claims": null},
        });
        let (request, _) = passed(&json!({ "requestContext": context }), empty()).await;
        assert_eq!((request.source_ip.as_str(), request.request_id.as_str()), ("192.0.2.1", "an-id"));
        let given = ["text", "number", "is", "object", "claims", "missing"].map(|name| request.authorizer(name));
        assert_eq!(given, [Some("a"), Some("7"), Some("true"), None, None, None]);
    }

    #[tokio::test]
    async fn answer_is_text_with_each_header_once() {
        let problem =
            Response::problem(&Error::NotFound, &CorrelationId::from_header(Some("id"), crate::base::Timestamp::from_millis(0)));
        for (response, text) in [
            (Response::json(200, b"{\"a\":\"\xc3\xa9\"}".to_vec()), "{\"a\":\"\u{e9}\"}".to_owned()),
            (Response::json(200, b"\xff".to_vec()), "\u{fffd}".to_owned()),
            (problem.clone(), String::from_utf8(problem.body.clone()).unwrap()),
            (empty(), String::new()),
        ] {
            let (status, headers) = (response.status, response.headers.clone());
            let (_, answer) = passed(&json!({}), response).await;
            let body = answer.body.map(|body| (*body).to_vec()).unwrap_or_default();
            assert_eq!((answer.status_code, String::from_utf8(body).unwrap()), (status.into(), text));
            assert_eq!(
                (answer.is_base64_encoded, answer.headers, answer.multi_value_headers),
                (false, HeaderMap::new(), headers)
            );
        }
    }
}
