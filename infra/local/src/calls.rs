//! AWS's JSON protocol, for the little that the stack itself asks of the emulators: streams, queues, the bus, secrets.

use crate::client::Client;
use axum::http::Method;
use serde_json::Value;

/// A service that speaks the JSON protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    /// What goes before the action in `X-Amz-Target`.
    target: &'static str,
    content_type: &'static str,
    /// The name in the credential scope, by which an emulator of many services routes.
    scope: &'static str,
}

pub(crate) const DYNAMODB: Service =
    Service { target: "DynamoDB_20120810", content_type: "application/x-amz-json-1.0", scope: "dynamodb" };
pub(crate) const STREAMS: Service =
    Service { target: "DynamoDBStreams_20120810", content_type: "application/x-amz-json-1.0", scope: "dynamodb" };
pub(crate) const SQS: Service = Service { target: "AmazonSQS", content_type: "application/x-amz-json-1.0", scope: "sqs" };
pub(crate) const EVENTS: Service = Service { target: "AWSEvents", content_type: "application/x-amz-json-1.1", scope: "events" };
pub(crate) const SECRETS: Service =
    Service { target: "secretsmanager", content_type: "application/x-amz-json-1.1", scope: "secretsmanager" };

/// Why a call gave nothing: the service's refusal, or that there was no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{action}: {why}")]
pub(crate) struct CallFailed {
    action: &'static str,
    why: String,
}

/// One emulator.
#[derive(Clone, Debug)]
pub(crate) struct Calls(Client);

impl Calls {
    pub(crate) fn new(endpoint: &str) -> Self {
        Self(Client::new(endpoint))
    }

    pub(crate) async fn call(&self, service: Service, action: &'static str, input: &Value) -> Result<Value, CallFailed> {
        let failed = |why: String| CallFailed { action, why };
        // The emulators want a signature's form, and check nothing about it.
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=local/20000101/{}/{}/aws4_request, SignedHeaders=host, Signature=0",
            emulators::REGION,
            service.scope
        );
        let target = format!("{}.{action}", service.target);
        let headers = [
            ("content-type", service.content_type),
            ("x-amz-target", target.as_str()),
            ("x-amz-date", "20000101T000000Z"),
            ("authorization", authorization.as_str()),
        ];
        let answer = self.0.send(&Method::POST, "/", &headers, input.to_string()).await.map_err(|e| failed(e.to_string()))?;
        if answer.status == 200 { Ok(answer.json) } else { Err(failed(answer.text)) }
    }
}
