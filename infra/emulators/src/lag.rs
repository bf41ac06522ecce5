//! Indexes that show writes with a delay, as AWS's do and the emulator's do not.
//!
//! A second DynamoDB receives the writes of the first in the same order, after a delay. The second answers queries of an index,
//! and the first all other calls. Writes are serialised, so that both have the same order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::Mutex;

use crate::Error;
use crate::forward::Forward;
use crate::server::Server;

const TARGET: &str = "x-amz-target";
/// Actions that change items.
const WRITES: [&str; 5] = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"];
/// Actions that both databases need.
const TABLES: [&str; 3] = ["CreateTable", "UpdateTable", "DeleteTable"];

/// The proxy before both databases.
pub(crate) struct Lag {
    server: Server,
    front: Arc<Front>,
}

struct Front {
    table: String,
    indexes: String,
    forward: Forward,
    /// The delay between a write and its appearance in an index.
    after: Duration,
    /// Since when the indexes are frozen.
    held: Lock<Option<Instant>>,
    unseen: Mutex<VecDeque<(Instant, Call)>>,
}

#[derive(Clone)]
struct Call {
    headers: HeaderMap,
    body: Bytes,
}

impl Lag {
    /// A proxy for the DynamoDB at `table`; the one at `indexes` has the same content.
    pub(crate) fn start(table: String, indexes: String, after: Duration) -> Result<Self, Error> {
        let forward = Forward::new();
        let front = Arc::new(Front { table, indexes, forward, after, held: Lock::default(), unseen: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(front.clone());
        let server = Server::spawn("dynamodb-indexes", |listener, shutdown| async move {
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(shutdown).await {
                eprintln!("dynamodb-indexes: {error}");
            }
        })?;
        Ok(Self { server, front })
    }

    pub(crate) fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// Freezes the indexes at their current state, or releases them.
    pub(crate) fn hold(&self, held: bool) {
        *self.front.held.lock().unwrap_or_else(PoisonError::into_inner) = held.then(Instant::now);
    }

    pub(crate) fn stop(self) {
        self.server.stop();
    }
}

async fn answer(State(front): State<Arc<Front>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get(TARGET).and_then(|value| value.to_str().ok()).and_then(|target| target.split_once('.'));
    let operation = target.map(|(_, operation)| operation.to_owned()).unwrap_or_default();
    let call = Call { headers, body };
    let answered = match operation.as_str() {
        "Query" if call.of_index() => front.query(call).await,
        write if WRITES.contains(&write) => front.write(call).await,
        table if TABLES.contains(&table) => front.both(call).await,
        _ => front.send(&front.table, &call).await,
    };
    answered.unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(error));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    })
}

impl Call {
    fn of_index(&self) -> bool {
        serde_json::from_slice::<serde_json::Value>(&self.body).is_ok_and(|body| body["IndexName"].is_string())
    }
}

impl Front {
    /// Applies the writes that are older than the delay to the second database, and queries it.
    async fn query(&self, call: Call) -> Result<Response, String> {
        let mut unseen = self.unseen.lock().await;
        let held = *self.held.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((at, write)) = unseen.front()
            && held.is_none_or(|held| *at <= held)
            && at.elapsed() >= self.after
        {
            self.send(&self.indexes, write).await?;
            unseen.pop_front();
        }
        drop(unseen);
        self.send(&self.indexes, &call).await
    }

    async fn write(&self, call: Call) -> Result<Response, String> {
        let mut unseen = self.unseen.lock().await;
        let response = self.send(&self.table, &call).await?;
        if response.status().is_success() {
            unseen.push_back((Instant::now(), call));
        }
        Ok(response)
    }

    async fn both(&self, call: Call) -> Result<Response, String> {
        self.send(&self.indexes, &call).await?;
        self.send(&self.table, &call).await
    }

    async fn send(&self, to: &str, call: &Call) -> Result<Response, String> {
        self.forward.send(&Method::POST, to, &call.headers, call.body.clone()).await
    }
}
