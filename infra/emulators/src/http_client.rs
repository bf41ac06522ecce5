//! A minimal HTTP client for provisioning: AWS's JSON protocol and bare requests, over loopback.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::REGION;

/// The time limit of a call. On one machine, a slower call hangs.
const TIMEOUT: Duration = Duration::from_secs(20);

type Body = Full<axum::body::Bytes>;

/// An AWS error code (`ResourceInUseException`), or the reason why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallError {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// A service with the JSON protocol.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    /// The prefix of the action in `X-Amz-Target`.
    target: &'static str,
    /// The version in the content type.
    version: &'static str,
    /// The name in the credential scope, by which MiniStack routes.
    scope: &'static str,
}

pub(crate) const DYNAMODB: Service = Service { target: "DynamoDB_20120810", version: "1.0", scope: "dynamodb" };
pub(crate) const KMS: Service = Service { target: "TrentService", version: "1.1", scope: "kms" };
pub(crate) const COGNITO: Service = Service { target: "AWSCognitoIdentityProviderService", version: "1.1", scope: "cognito-idp" };
pub(crate) const SQS: Service = Service { target: "AmazonSQS", version: "1.0", scope: "sqs" };
pub(crate) const EVENTS: Service = Service { target: "AWSEvents", version: "1.1", scope: "events" };
pub(crate) const SECRETS: Service = Service { target: "secretsmanager", version: "1.1", scope: "secretsmanager" };

#[derive(Debug, Clone)]
pub(crate) struct Client {
    hyper: Hyper<HttpConnector, Body>,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self { hyper: Hyper::builder(TokioExecutor::new()).build_http() }
    }

    /// Calls `action` and returns its JSON.
    pub(crate) async fn call(&self, endpoint: &str, service: Service, action: &str, input: &Value) -> Result<Value, CallError> {
        let request = Request::post(endpoint)
            .header("content-type", format!("application/x-amz-json-{}", service.version))
            .header("x-amz-target", format!("{}.{action}", service.target))
            .header("authorization", authorization(service.scope))
            .header("x-amz-date", "20000101T000000Z")
            .body(Full::from(input.to_string()));
        let (status, body) = self.send(request).await?;
        let json: Value =
            if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).map_err(|_| garbled(status, &body))? };
        if status.is_success() {
            return Ok(json);
        }
        let code = json["__type"].as_str().ok_or_else(|| garbled(status, &body))?;
        Err(CallError {
            code: code.rsplit('#').next().unwrap_or(code).to_owned(),
            message: json["message"].as_str().or_else(|| json["Message"].as_str()).unwrap_or_default().to_owned(),
        })
    }

    /// Sends a bare request to S3, whose protocol is REST.
    pub(crate) async fn s3(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<StatusCode, CallError> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", authorization("s3"))
            .header("x-amz-date", "20000101T000000Z");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (status, body) = self.send(request.body(Full::from(body))).await?;
        if status.is_success() || status == StatusCode::NOT_FOUND { Ok(status) } else { Err(garbled(status, &body)) }
    }

    /// Calls SES v2, which uses JSON over REST; `path` begins after `/v2/email`.
    pub(crate) async fn ses(&self, endpoint: &str, path: &str, input: &Value) -> Result<(), CallError> {
        let request = Request::post(format!("{endpoint}/v2/email{path}"))
            .header("content-type", "application/json")
            .header("authorization", authorization("ses"))
            .header("x-amz-date", "20000101T000000Z")
            .body(Full::from(input.to_string()));
        let (status, body) = self.send(request).await?;
        if status.is_success() {
            return Ok(());
        }
        let json: Value = serde_json::from_slice(&body).map_err(|_| garbled(status, &body))?;
        // AWS names the error in a header, MiniStack in the body.
        let code = json["name"].as_str().ok_or_else(|| garbled(status, &body))?;
        Err(CallError { code: code.to_owned(), message: json["message"].as_str().unwrap_or_default().to_owned() })
    }

    /// Calls SNS, which takes a form and answers XML. Returns the text of the element `wanted`.
    pub(crate) async fn sns(&self, endpoint: &str, input: &[(&str, &str)], wanted: &str) -> Result<String, CallError> {
        let mut form = String::from("Version=2010-03-31");
        for (name, value) in input {
            form.push('&');
            form.push_str(name);
            form.push('=');
            form.extend(value.bytes().map(escaped));
        }
        let request = Request::post(endpoint)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", authorization("sns"))
            .header("x-amz-date", "20000101T000000Z")
            .body(Full::from(form));
        let (status, body) = self.send(request).await?;
        let text = String::from_utf8_lossy(&body);
        let element = || text.split_once(&format!("<{wanted}>"))?.1.split_once(&format!("</{wanted}>")).map(|(value, _)| value);
        element().filter(|_| status.is_success()).map(str::to_owned).ok_or_else(|| garbled(status, &body))
    }

    async fn send(&self, request: Result<Request<Body>, http::Error>) -> Result<(StatusCode, axum::body::Bytes), CallError> {
        let request = request.map_err(unanswered)?;
        let answer = async {
            let response = self.hyper.request(request).await.map_err(unanswered)?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(unanswered)?;
            Ok((status, body.to_bytes()))
        };
        tokio::time::timeout(TIMEOUT, answer).await.map_err(unanswered)?
    }
}

/// A percent-encoded byte of a form's value.
fn escaped(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

/// The emulators require a signature's form but do not check it.
fn authorization(scope: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=local/20000101/{REGION}/{scope}/aws4_request, SignedHeaders=host;x-amz-date, Signature=00"
    )
}

fn unanswered(error: impl std::fmt::Display) -> CallError {
    CallError { code: "Unanswered".to_owned(), message: error.to_string() }
}

fn garbled(status: StatusCode, body: &[u8]) -> CallError {
    CallError { code: status.to_string(), message: String::from_utf8_lossy(body).into_owned() }
}
