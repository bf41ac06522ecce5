//! The HTTP connection between the functions and AWS. It counts every call, and injects the faults that a test asks for.

use crate::{
    bucket::{Bucket, lists_versions},
    dice::Dice,
    outside::Outside,
    sts::{SignedCall, Sts},
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use emulators::iam::{Gate, missing};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::oneshot;

/// The carrier's address in a test's configuration. It cannot exist (RFC 2606), so that no test reaches UPS.
pub(crate) const CARRIER_URL: &str = "https://ups.invalid";

/// A fault of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is refused.
    Gone,
    /// The service answers that it is throttling.
    Throttled,
    /// The service answers that another transaction holds the item: for a transaction, or for a write of one item. Reads never
    /// get this answer. (The emulator itself never gives it.)
    Conflict,
    /// The call is carried out, and its response is lost.
    LostAnswer,
    /// The service answers with this error code.
    Refused(&'static str),
    /// The call is not carried out. This status and body are its response.
    Says(u16, &'static str),
    /// The response takes this long.
    Slow(Duration),
}

/// A call that is held until the test calls [`let_go`](Self::let_go) or drops this.
#[derive(Debug)]
pub struct HeldCall {
    arrived: Option<oneshot::Receiver<()>>,
    go: oneshot::Sender<()>,
}

impl HeldCall {
    /// Waits until the call has arrived.
    ///
    /// # Panics
    /// If the wire is healed meanwhile.
    pub async fn arrived(&mut self) {
        if let Some(arrived) = self.arrived.take() {
            arrived.await.expect("the call arrives");
        }
    }
    pub fn let_go(self) {
        drop(self.go);
    }
}

/// The other end of [`HeldCall`]: the call to hold, and the number of calls that pass before it.
#[derive(Debug)]
struct Hold {
    to: String,
    after: usize,
    arrived: oneshot::Sender<()>,
    go: oneshot::Receiver<()>,
}

#[derive(Debug)]
struct Rule {
    /// The operation that it applies to (`TransactWriteItems`), or the service (`kms`).
    to: String,
    /// A text that their bodies contain.
    about: String,
    /// Calls that pass before it applies.
    after: usize,
    /// Calls that it applies to.
    times: usize,
    fault: Fault,
}

/// Operations that were called, by service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub dynamodb: Vec<String>,
    pub kms: Vec<String>,
    pub cognito: Vec<String>,
    pub sqs: Vec<String>,
    /// `PutObject`, `GetObject`.
    pub s3: Vec<String>,
    /// `token`, `track`, `subscribe`.
    pub ups: Vec<String>,
    /// `PostToConnection`, `DeleteConnection`.
    pub sockets: Vec<String>,
    /// `SendEmail`.
    pub ses: Vec<String>,
    /// `AssumeRole`.
    pub sts: Vec<String>,
    pub other: Vec<String>,
}

#[derive(Debug, Default)]
struct State {
    calls: Calls,
    /// Messages that were sent to queues: queue and body.
    queued: Vec<(String, String)>,
    /// Sockets and mailboxes.
    outside: Outside,
    /// The audit bucket, in a test without S3.
    bucket: Option<Bucket>,
    /// The carrier emulator's endpoint, and the secret with our credentials for it.
    carrier: Option<(String, String)>,
    /// The tenants' sessions that were issued.
    sts: Sts,
    /// The calls to DynamoDB, with their credentials.
    asked: Vec<SignedCall>,
    objects: Vec<SignedCall>,
    rules: Vec<Rule>,
    holds: Vec<Hold>,
    chaos: Option<(u8, Dice)>,
}

#[derive(Clone, Debug)]
pub struct Wire {
    inner: SharedHttpConnector,
    gate: Arc<Gate>,
    state: Arc<Mutex<State>>,
}

impl Wire {
    pub(crate) fn new(gate: Arc<Gate>, inner: SharedHttpConnector) -> Self {
        Self { inner, gate, state: Arc::default() }
    }
    /// Lets the next `times` calls of `to` fail, after `after` of them have passed. `to` is an operation
    /// (`TransactWriteItems`) or a service (`dynamodb`, `kms`, `cognito`).
    pub fn fail(&self, to: &str, after: usize, times: usize, fault: Fault) {
        self.state.lock().unwrap().rules.push(Rule { to: to.to_owned(), about: String::new(), after, times, fault });
    }
    /// Lets every call of `to` fail whose body contains `about`.
    pub fn fail_about(&self, to: &str, about: impl ToString, fault: Fault) {
        let rule = Rule { to: to.to_owned(), about: about.to_string(), after: 0, times: usize::MAX, fault };
        self.state.lock().unwrap().rules.push(rule);
    }
    pub fn heal(&self) {
        let mut state = self.state.lock().unwrap();
        state.rules.clear();
        state.holds.clear();
        state.chaos = None;
    }
    /// Holds the next call of `to`, after `after` of them have passed, before it is carried out. Do little while you hold it:
    /// the attempt's timeout goes on (2 seconds for AWS, 8 for the carrier).
    pub fn hold(&self, to: &str, after: usize) -> HeldCall {
        let ((arrived, seen), (go, gone)) = (oneshot::channel(), oneshot::channel());
        self.state.lock().unwrap().holds.push(Hold { to: to.to_owned(), after, arrived, go: gone });
        HeldCall { arrived: Some(seen), go }
    }
    /// Lets `percent` of all calls fail. `seed` decides which calls fail, and how.
    pub fn chaos(&self, percent: u8, seed: u64) {
        self.state.lock().unwrap().chaos = Some((percent, Dice::new(seed)));
    }
    pub fn calls(&self) -> Calls {
        self.state.lock().unwrap().calls.clone()
    }
    pub fn reset_calls(&self) {
        let mut state = self.state.lock().unwrap();
        state.calls = Calls::default();
        state.asked.clear();
        state.objects.clear();
    }
    /// Sends calls of the carrier to `endpoint`, and lets Secrets Manager return `secret` for it.
    pub fn with_carrier(&self, endpoint: impl Into<String>, secret: impl ToString) {
        self.state.lock().unwrap().carrier = Some((endpoint.into(), secret.to_string()));
    }
    /// The carrier's secret, in a test with a carrier.
    fn secret(&self, request: &HttpRequest) -> Option<Result<HttpResponse, ConnectorError>> {
        let asked = request.headers().get("x-amz-target") == Some("secretsmanager.GetSecretValue");
        let state = self.state.lock().unwrap();
        let (_, secret) = state.carrier.as_ref().filter(|_| asked)?;
        Some(answer(200, serde_json::json!({"SecretString": secret}).to_string()))
    }
    fn to_carrier(&self, request: &mut HttpRequest) {
        let state = self.state.lock().unwrap();
        let path = request.uri().strip_prefix(CARRIER_URL).map(str::to_owned);
        if let (Some((endpoint, _)), Some(path)) = (&state.carrier, path) {
            request.set_uri(format!("{endpoint}{path}")).unwrap();
        }
    }

    /// Keeps the objects that are written to S3, for a test without S3.
    pub(crate) fn with_own_bucket(&self) {
        self.state.lock().unwrap().bucket = Some(Bucket::default());
    }
    pub(crate) fn with_bucket<T>(&self, f: impl FnOnce(&mut Bucket) -> T) -> T {
        f(self.state.lock().unwrap().bucket.as_mut().expect("a test without S3"))
    }
    fn object(&self, request: &HttpRequest) -> Option<Result<HttpResponse, ConnectorError>> {
        self.state.lock().unwrap().bucket.as_mut()?.answer(request).map(Ok)
    }
    /// Takes the messages that were sent to queues since the last call: queue and body, in order.
    pub(crate) fn take_queued(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.state.lock().unwrap().queued)
    }

    pub(crate) fn with_outside<T>(&self, f: impl FnOnce(&mut Outside) -> T) -> T {
        f(&mut self.state.lock().unwrap().outside)
    }
    /// Answers calls to sockets and mailboxes.
    fn outside(&self, request: &HttpRequest) -> Option<HttpConnectorFuture> {
        let (status, error, body) = self.with_outside(|outside| outside.answer(request))?;
        Some(HttpConnectorFuture::new(async move {
            // Over a real connection the caller waits here, and may be killed after its frame was sent.
            tokio::task::yield_now().await;
            let mut response = answer(status, body)?;
            if let Some(error) = error {
                response.headers_mut().insert("x-amzn-errortype", error);
            }
            Ok(response)
        }))
    }

    pub(crate) fn with_sts<T>(&self, f: impl FnOnce(&mut Sts) -> T) -> T {
        f(&mut self.state.lock().unwrap().sts)
    }

    /// Answers as SQS. It keeps the messages until the test delivers them.
    fn queue(&self, request: &HttpRequest) -> Option<Result<HttpResponse, ConnectorError>> {
        let operation = request.headers().get("x-amz-target")?.strip_prefix("AmazonSQS.")?;
        let mut state = self.state.lock().unwrap();
        let body: serde_json::Value = serde_json::from_slice(request.body().bytes()?).ok()?;
        let url = body["QueueUrl"].as_str()?;
        let queue = url.rsplit_once('/').map_or(url, |(_, name)| name).to_owned();
        let said = match operation {
            "SendMessageBatch" => {
                let entries = body["Entries"].as_array()?;
                let message =
                    |entry: &serde_json::Value| entry["MessageBody"].as_str().map(|body| (queue.clone(), body.to_owned()));
                state.queued.extend(entries.iter().filter_map(message));
                let done =
                    entries.iter().map(|e| serde_json::json!({"Id": e["Id"], "MessageId": e["Id"], "MD5OfMessageBody": ""}));
                serde_json::json!({"Successful": done.collect::<Vec<_>>(), "Failed": []})
            }
            "GetQueueAttributes" => {
                let waiting = state.queued.iter().filter(|(name, _)| *name == queue).count();
                serde_json::json!({"Attributes": {"ApproximateNumberOfMessages": waiting.to_string()}})
            }
            _ => return None,
        };
        Some(answer(200, said.to_string()))
    }

    /// The parameters of each call of one DynamoDB operation since the last reset.
    pub fn asked(&self, operation: &str) -> Vec<serde_json::Value> {
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|call| call.operation == operation).map(|call| call.body.clone()).collect()
    }

    /// Each call to DynamoDB since the last reset, with its credentials.
    pub fn signed(&self) -> Vec<SignedCall> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Each call to S3 since the last reset, with its credentials.
    pub fn signed_objects(&self) -> Vec<SignedCall> {
        self.state.lock().unwrap().objects.clone()
    }

    /// Records a call. Returns its fault, and the release that it waits for if it is held.
    fn note(&self, request: &HttpRequest) -> (Option<Fault>, Option<oneshot::Receiver<()>>) {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let object = request.uri().split_once("x-id=").map(|(_, id)| ("S3", id.split('&').next().unwrap_or(id)));
        let versions = lists_versions(request.uri()).then_some(("S3", "ListObjectVersions"));
        let carrier = request.uri().strip_prefix(CARRIER_URL).map(|path| match path {
            _ if path.starts_with("/security/") => ("UPS", "token"),
            _ if path.contains("/subscription/") => ("UPS", "subscribe"),
            _ => ("UPS", "track"),
        });
        let (service, operation) = target
            .split_once('.')
            .or(object)
            .or(versions)
            .or(Outside::operation(request))
            .or(Sts::operation(request))
            .or(carrier)
            .unwrap_or(("", request.uri()));
        let mut state = self.state.lock().unwrap();
        let (name, list) = match service {
            "DynamoDB_20120810" => ("dynamodb", &mut state.calls.dynamodb),
            "TrentService" => ("kms", &mut state.calls.kms),
            "AWSCognitoIdentityProviderService" => ("cognito", &mut state.calls.cognito),
            "AmazonSQS" => ("sqs", &mut state.calls.sqs),
            "S3" => ("s3", &mut state.calls.s3),
            "Sockets" => ("sockets", &mut state.calls.sockets),
            "Ses" => ("ses", &mut state.calls.ses),
            "STS" => ("sts", &mut state.calls.sts),
            "UPS" => ("ups", &mut state.calls.ups),
            _ => ("other", &mut state.calls.other),
        };
        list.push(operation.to_owned());
        if name == "dynamodb" {
            let call = SignedCall::of(request, operation);
            state.asked.push(call);
        }
        if name == "s3" {
            state.objects.push(SignedCall::of_object(request, operation));
        }
        let held = state.hold(name, operation);
        let body = request.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
        (state.fault(name, operation, &body), held)
    }
}

impl State {
    fn hold(&mut self, name: &str, operation: &str) -> Option<oneshot::Receiver<()>> {
        let at = self.holds.iter().position(|hold| hold.to == name || hold.to == operation)?;
        if self.holds[at].after > 0 {
            self.holds[at].after -= 1;
            return None;
        }
        let Hold { arrived, go, .. } = self.holds.remove(at);
        arrived.send(()).ok().map(|()| go)
    }

    fn fault(&mut self, name: &str, operation: &str, body: &str) -> Option<Fault> {
        if let Some((percent, dice)) = &mut self.chaos
            && dice.below(100) < u64::from(*percent)
        {
            return Some(match dice.below(3) {
                0 => Fault::Gone,
                1 if name == "dynamodb" => Fault::Throttled,
                1 => Fault::Gone,
                _ => Fault::LostAnswer,
            });
        }
        let hits = |r: &&mut Rule| (r.to == name || r.to == operation) && body.contains(&r.about) && (r.after > 0 || r.times > 0);
        let rule = self.rules.iter_mut().find(hits)?;
        if rule.after > 0 {
            rule.after -= 1;
            return None;
        }
        rule.times -= 1;
        Some(rule.fault)
    }
}

impl HttpConnector for Wire {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let (fault, held) = self.note(&request);
        self.to_carrier(&mut request);
        let lost = matches!(fault, Some(Fault::LostAnswer));
        let done = !matches!(fault, Some(Fault::Gone | Fault::Throttled | Fault::Refused(_) | Fault::Says(..)));
        // IAM judges also a call that does not arrive, so that an injected fault hides no missing permission.
        let if_missing = match self.gate.admit(&request) {
            Ok(if_missing) => if_missing,
            // `Gate` answers for STS.
            Err(answer) if answer.status().is_success() => {
                if !done {
                    return HttpConnectorFuture::ready(faulty(fault));
                }
                self.with_sts(|sts| sts.note(&request, &answer));
                return HttpConnectorFuture::ready(if lost { reset() } else { Ok(*answer) });
            }
            Err(refusal) => return HttpConnectorFuture::ready(Ok(*refusal)),
        };
        let inner = self.inner.clone();
        if let Some(answer) = done.then(|| self.outside(&request)).flatten() {
            return HttpConnectorFuture::new(async move {
                let answer = answer.await;
                if lost { reset() } else { answer }
            });
        }
        let said = || {
            let kept = self.queue(&request).or_else(|| self.object(&request));
            kept.or_else(|| self.secret(&request))
        };
        if let Some(said) = done.then(said).flatten() {
            return HttpConnectorFuture::ready(if lost { reset() } else { said.map(|answer| missing(answer, if_missing)) });
        }
        HttpConnectorFuture::new(async move {
            if let Some(go) = held {
                // If the holder was dropped, the call continues as well.
                let _ = go.await;
            }
            match fault {
                None => Ok(missing(inner.call(request).await?, if_missing)),
                Some(Fault::Conflict) => match conflict(&request) {
                    Some(said) => answer(400, said),
                    None => inner.call(request).await,
                },
                Some(Fault::LostAnswer) => {
                    let _ = inner.call(request).await?;
                    reset()
                }
                Some(Fault::Slow(by)) => {
                    tokio::time::sleep(by).await;
                    inner.call(request).await
                }
                other => faulty(other),
            }
        })
    }
}

fn reset() -> Result<HttpResponse, ConnectorError> {
    Err(ConnectorError::io("connection reset (injected)".into()))
}

/// The response to a call that is not carried out.
fn faulty(fault: Option<Fault>) -> Result<HttpResponse, ConnectorError> {
    match fault {
        Some(Fault::Throttled) => {
            answer(400, r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}"#)
        }
        Some(Fault::Refused(code)) => answer(400, format!(r#"{{"__type":"{code}","message":"refused (injected)"}}"#)),
        Some(Fault::Says(status, body)) => answer(status, body),
        _ => Err(ConnectorError::io("connection refused (injected)".into())),
    }
}

/// DynamoDB's response to a write of an item that another transaction holds. `None` for a read, and for other services.
fn conflict(request: &HttpRequest) -> Option<&'static str> {
    match request.headers().get("x-amz-target")?.strip_prefix("DynamoDB_20120810.")? {
        "TransactWriteItems" => Some(
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"cancelled","CancellationReasons":[{"Code":"TransactionConflict"}]}"#,
        ),
        "PutItem" | "UpdateItem" | "DeleteItem" => Some(
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionConflictException","message":"Transaction is ongoing for the item"}"#,
        ),
        _ => None,
    }
}

fn answer(status: u16, body: impl Into<SdkBody>) -> Result<HttpResponse, ConnectorError> {
    let response =
        http::Response::builder().status(status).header("content-type", "application/x-amz-json-1.0").body(body.into());
    Ok(response.unwrap().try_into().unwrap())
}
