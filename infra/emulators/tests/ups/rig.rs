//! An emulator with a test's clock, a client, and a webhook.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emulators::Ups;
use emulators::ups::{Credential, Now, Options, Webhook};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// 2026-01-31T09:30:00Z.
pub(crate) const MORNING: i64 = 1_769_851_800_000;
pub(crate) const DAY: i64 = 24 * 60 * 60 * 1000;
/// The time limit of all waits, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const CLIENT: &str = "synthetic-client";
pub(crate) const SECRET: &str = "synthetic";
pub(crate) const NUMBER: &str = "1ZCIETST0111111114";
pub(crate) const OTHER: &str = "1ZCIETST0422222228";

pub(crate) struct Rig {
    pub(crate) ups: Ups,
    clock: Arc<AtomicI64>,
    pub(crate) caller: Caller,
}

impl Rig {
    pub(crate) fn start(with: impl FnOnce(Options) -> Options) -> Self {
        let clock = Arc::new(AtomicI64::new(MORNING));
        let read = clock.clone();
        let options = Options { now: Now::by(move || read.load(Ordering::SeqCst)), ..Options::new(CLIENT, SECRET) };
        let ups = Ups::start(with(options)).unwrap();
        let caller = Caller { base: ups.endpoint(), hyper: Hyper::builder(TokioExecutor::new()).build_http() };
        Self { ups, clock, caller }
    }

    pub(crate) fn plain() -> Self {
        Self::start(|options| options)
    }

    pub(crate) fn pass(&self, millis: i64) {
        self.clock.fetch_add(millis, Ordering::SeqCst);
    }

    /// UPS's package in the answer; null if there is none.
    pub(crate) async fn package(&self, number: &str) -> Value {
        let token = self.caller.token().await;
        let answer = self.caller.track(&token, number, "").await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["trackResponse"]["shipment"][0]["package"][0].clone()
    }

    pub(crate) async fn subscribe(&self, kind: &str, body: impl ToString) -> Answer {
        let token = format!("Bearer {}", self.caller.token().await);
        let headers =
            [("authorization", &*token), ("transId", "1"), ("transactionSrc", "test"), ("content-type", "application/json")];
        let path = format!("/api/track/v2/subscription/{kind}/package");
        self.caller.send(Method::POST, &path, &headers, body.to_string()).await.unwrap()
    }

    /// Subscribes to both numbers with a webhook that accepts every push by default.
    pub(crate) async fn subscribed(&self, kind: &str) -> Receiver {
        let receiver = Receiver::start().await;
        self.ups.set_webhook(Some(receiver.oauth()));
        let answer = self.subscribe(kind, json!({ "locale": "en_US", "trackingNumberList": [NUMBER, OTHER] })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        receiver
    }
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Null if the text is not JSON.
    pub(crate) json: Value,
}

impl Answer {
    /// UPS's error code.
    pub(crate) fn code(&self) -> &str {
        self.json["response"]["errors"][0]["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

#[derive(Clone)]
pub(crate) struct Caller {
    base: String,
    hyper: Hyper<HttpConnector, Full<Bytes>>,
}

impl Caller {
    /// # Errors
    /// Why the answer could not be read completely.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Answer, hyper_util::client::legacy::Error> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.hyper.request(request.body(Full::from(body)).unwrap()).await?;
        let (head, body) = answer.into_parts();
        let text = match body.collect().await {
            Ok(body) => String::from_utf8(body.to_bytes().to_vec()).unwrap(),
            Err(error) => format!("broken off: {error}"),
        };
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, text, json })
    }

    pub(crate) async fn ask_token(&self, secret: &str, form: &str) -> Answer {
        let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{secret}")));
        let headers =
            [("authorization", &*basic), ("content-type", "application/x-www-form-urlencoded"), ("x-merchant-id", "123456")];
        self.send(Method::POST, "/security/v1/oauth/token", &headers, form.to_owned()).await.unwrap()
    }

    pub(crate) async fn token(&self) -> String {
        let answer = self.ask_token(SECRET, "grant_type=client_credentials").await;
        answer.json["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn track(
        &self,
        token: &str,
        number: &str,
        query: &str,
    ) -> Result<Answer, hyper_util::client::legacy::Error> {
        let token = format!("Bearer {token}");
        let headers = [("authorization", &*token), ("transId", "1"), ("transactionSrc", "test")];
        self.send(Method::GET, &format!("/api/track/v1/details/{number}{query}"), &headers, String::new()).await
    }

    pub(crate) async fn control(&self, method: Method, what: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, &format!("/_control/{what}"), &[], body).await.unwrap()
    }
}

/// A request to the webhook.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The activity's type and the package, as `D 1Z…`.
    pub(crate) fn event(&self) -> String {
        let json = self.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        format!("{} {}", text(&json["activityStatus"]["type"]), text(&json["trackingNumber"]))
    }
}

type Statuses = Arc<Mutex<VecDeque<u16>>>;

/// A customer's webhook and its token endpoint.
pub(crate) struct Receiver {
    base: String,
    received: UnboundedReceiver<Received>,
    /// The statuses of the coming pushes; 200 after the last.
    statuses: Statuses,
}

impl Receiver {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (send, received) = unbounded_channel();
        let statuses = Statuses::default();
        let app = Router::new().fallback(take).with_state((send, statuses.clone()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base, received, statuses }
    }

    pub(crate) fn answers(&self, statuses: &[u16]) {
        self.statuses.lock().unwrap().extend(statuses);
    }

    pub(crate) fn oauth(&self) -> Webhook {
        let token_url = format!("{}/token", self.base).parse().unwrap();
        let credential =
            Credential::OAuth { token_url, client_id: "ups-client".to_owned(), client_secret: "synthetic".to_owned() };
        Webhook { url: self.url(), credential }
    }

    pub(crate) fn url(&self) -> emulators::ups::LocalUrl {
        format!("{}/hook", self.base).parse().unwrap()
    }

    pub(crate) async fn next(&mut self) -> Received {
        tokio::time::timeout(PATIENCE, self.received.recv()).await.unwrap().unwrap()
    }

    /// The next push, without token requests.
    pub(crate) async fn push(&mut self) -> Received {
        loop {
            let received = self.next().await;
            if received.path == "/hook" {
                return received;
            }
        }
    }
}

async fn take(
    State((send, statuses)): State<(UnboundedSender<Received>, Statuses)>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let path = uri.path().to_owned();
    let is_token = path == "/token";
    send.send(Received { path, headers, body }).unwrap();
    if is_token {
        return (StatusCode::OK, json!({ "access_token": "from-us", "token_type": "Bearer", "expires_in": 600 }).to_string());
    }
    let status = statuses.lock().unwrap().pop_front().unwrap_or(200);
    (StatusCode::from_u16(status).unwrap(), String::new())
}
