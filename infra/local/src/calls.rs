//! AWS's JSON protocol, as far as the stack itself needs it: streams, queues, the bus, secrets.

use crate::client::Client;
use axum::http::Method;
use emulators::iam::{ADMINISTRATOR, Gate, function_key};
use serde_json::Value;
use std::sync::Arc;

/// A service with the JSON protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    /// The prefix of the action in `X-Amz-Target`.
    target: &'static str,
    content_type: &'static str,
    /// The name in the credential scope, by which MiniStack routes.
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

/// Why a call failed: the service's error, or that there was no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{action}: {why}")]
pub(crate) struct CallFailed {
    action: &'static str,
    why: String,
}

/// One emulator.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    client: Client,
    /// The function on whose behalf calls are made, if AWS makes them with the function's role.
    of: Option<(Arc<Gate>, String)>,
}

impl Calls {
    pub(crate) fn new(endpoint: &str) -> Self {
        Self { client: Client::new(endpoint), of: None }
    }

    /// The same on behalf of a function, as Lambda polls a queue: IAM is evaluated for each call.
    pub(crate) fn in_place_of(&self, gate: &Arc<Gate>, function: &str) -> Self {
        Self { client: self.client.clone(), of: Some((gate.clone(), function_key(function))) }
    }

    pub(crate) async fn call(&self, service: Service, action: &'static str, input: &Value) -> Result<Value, CallFailed> {
        let failed = |why: String| CallFailed { action, why };
        // The emulators require a signature's form, and do not check it.
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/20000101/{}/{}/aws4_request, SignedHeaders=host, Signature=0",
            self.of.as_ref().map_or(ADMINISTRATOR, |(_, access_key)| access_key),
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
        let input = input.to_string();
        if let Some((gate, _)) = &self.of {
            gate.allow("POST", "http://localhost/", &headers, input.as_bytes()).map_err(failed)?;
        }
        let answer = self.client.send(&Method::POST, "/", &headers, input).await.map_err(|e| failed(e.to_string()))?;
        if answer.status == 200 { Ok(answer.json) } else { Err(failed(answer.text)) }
    }
}
