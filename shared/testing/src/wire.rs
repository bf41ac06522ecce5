//! The wire between the functions and AWS: it counts every call, and fails where a test says so.

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is refused.
    Gone,
    /// The service says that it is throttling.
    Throttled,
    /// Another transaction was in the way. (The emulator never says so of itself.)
    Conflict,
    /// The call is carried out, and its answer lost.
    LostAnswer,
    /// The service refuses with this error code.
    Refused(&'static str),
    /// The call is not carried out; this status and body are its answer.
    Says(u16, &'static str),
    /// The answer takes this long.
    Slow(Duration),
}

#[derive(Debug)]
struct Rule {
    /// Operations it applies to: `TransactWriteItems`, or a service's name as `kms`.
    to: String,
    /// Calls that pass before.
    after: usize,
    /// Calls that it hits.
    times: usize,
    fault: Fault,
}

/// Operations that were called, by service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub dynamodb: Vec<String>,
    pub kms: Vec<String>,
    pub cognito: Vec<String>,
    pub other: Vec<String>,
}

#[derive(Debug, Default)]
struct State {
    calls: Calls,
    /// What was asked of DynamoDB: operation and body.
    asked: Vec<(String, serde_json::Value)>,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
pub struct Wire {
    inner: SharedHttpConnector,
    state: Arc<Mutex<State>>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self { inner: common::https(), state: Arc::default() }
    }
    /// Lets the next `times` calls of `to` fail, after `after` of them have passed. `to` is an operation
    /// (`TransactWriteItems`) or a service (`dynamodb`, `kms`, `cognito`).
    pub fn fail(&self, to: &str, after: usize, times: usize, fault: Fault) {
        self.state.lock().unwrap().rules.push(Rule { to: to.to_owned(), after, times, fault });
    }
    pub fn heal(&self) {
        self.state.lock().unwrap().rules.clear();
    }
    pub fn calls(&self) -> Calls {
        self.state.lock().unwrap().calls.clone()
    }
    pub fn reset_calls(&self) {
        let mut state = self.state.lock().unwrap();
        state.calls = Calls::default();
        state.asked.clear();
    }
    /// The parameters of each call of one DynamoDB operation since the last reset.
    pub fn asked(&self, operation: &str) -> Vec<serde_json::Value> {
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|(name, _)| name == operation).map(|(_, body)| body.clone()).collect()
    }

    fn note(&self, request: &HttpRequest) -> Option<Fault> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let (service, operation) = target.split_once('.').unwrap_or(("", request.uri()));
        let mut state = self.state.lock().unwrap();
        let (name, list) = match service {
            "DynamoDB_20120810" => ("dynamodb", &mut state.calls.dynamodb),
            "TrentService" => ("kms", &mut state.calls.kms),
            "AWSCognitoIdentityProviderService" => ("cognito", &mut state.calls.cognito),
            _ => ("other", &mut state.calls.other),
        };
        list.push(operation.to_owned());
        if name == "dynamodb" {
            let body = request.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
            state.asked.push((operation.to_owned(), body));
        }
        let rule = state.rules.iter_mut().find(|r| (r.to == name || r.to == operation) && (r.after > 0 || r.times > 0))?;
        if rule.after > 0 {
            rule.after -= 1;
            return None;
        }
        rule.times -= 1;
        Some(rule.fault)
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let fault = self.note(&request);
        let inner = self.inner.clone();
        HttpConnectorFuture::new(async move {
            match fault {
                None => inner.call(request).await,
                Some(Fault::Gone) => Err(ConnectorError::io("connection refused (injected)".into())),
                Some(Fault::Throttled) => {
                    answer(400, r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}"#)
                }
                Some(Fault::Conflict) => answer(
                    400,
                    r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"cancelled","CancellationReasons":[{"Code":"TransactionConflict"}]}"#,
                ),
                Some(Fault::Refused(code)) => answer(400, format!(r#"{{"__type":"{code}","message":"refused (injected)"}}"#)),
                Some(Fault::Says(status, body)) => answer(status, body),
                Some(Fault::LostAnswer) => {
                    let _ = inner.call(request).await?;
                    Err(ConnectorError::io("connection reset (injected)".into()))
                }
                Some(Fault::Slow(by)) => {
                    tokio::time::sleep(by).await;
                    inner.call(request).await
                }
            }
        })
    }
}

fn answer(status: u16, body: impl Into<SdkBody>) -> Result<HttpResponse, ConnectorError> {
    let response =
        http::Response::builder().status(status).header("content-type", "application/x-amz-json-1.0").body(body.into());
    Ok(response.unwrap().try_into().unwrap())
}
