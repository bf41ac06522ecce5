//! Indexes that show writes with a delay, as AWS's do and the emulator's do not.
//!
//! A second database receives the writes of the first in the same order, but later. It answers the queries of indexes; the first
//! answers all other calls. Both are in this process, and one lock covers a write and its place in the order.

mod connector;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use dynoxide::{Database, DynoxideError};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use self::connector::Direct;
use crate::Error;
use crate::clock::unix_seconds;
use crate::forward::Forward;
use crate::server::Server;

const TARGET: &str = "x-amz-target";
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
/// Operations that change items.
const WRITES: [&str; 5] = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"];
/// Operations that change a table. Both databases have the change at once.
const TABLES: [&str; 4] = ["CreateTable", "UpdateTable", "DeleteTable", "UpdateTimeToLive"];
/// The number of writes that the indexes may lack. So a query never has to wait for more than these.
const MOST_UNSEEN: usize = 100;

/// The time that the delay is measured by. Its start does not matter.
pub(crate) type Now = Box<dyn Fn() -> Duration + Send + Sync>;

/// The proxy before both databases.
pub(crate) struct Lag {
    server: Server,
    front: Arc<Front>,
}

struct Front {
    table: Database,
    /// The server of `table`.
    table_url: String,
    indexes: Database,
    now: Now,
    /// The delay between a write and its appearance in an index.
    after: Duration,
    backlog: Mutex<Backlog>,
    forward: Forward,
}

#[derive(Default)]
struct Backlog {
    /// The writes that the indexes lack, oldest first.
    unseen: VecDeque<Write>,
    /// The indexes are frozen.
    is_held: bool,
    /// Why the indexes could not repeat a write. Every later query fails.
    failure: Option<String>,
}

struct Write {
    at: Duration,
    operation: String,
    body: Bytes,
}

/// A status and a body.
type Answer = (StatusCode, Vec<u8>);

impl Lag {
    /// A proxy for `table` and its server at `table_url`; `indexes` has the same content.
    pub(crate) fn start(table: Database, table_url: String, indexes: Database, after: Duration, now: Now) -> Result<Self, Error> {
        let (backlog, forward) = (Mutex::default(), Forward::new());
        let front = Arc::new(Front { table, table_url, indexes, now, after, backlog, forward });
        // The table's server limits bodies.
        let router = Router::new().fallback(serve).layer(DefaultBodyLimit::disable()).with_state(front.clone());
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

    /// A connector whose calls of the proxy do not need its connection.
    pub(crate) fn connector(&self, inner: SharedHttpConnector) -> SharedHttpConnector {
        SharedHttpConnector::new(Direct { inner, front: self.front.clone(), proxy: self.endpoint() })
    }

    /// Has the indexes show all writes so far and no later one, or releases them.
    pub(crate) fn hold(&self, held: bool) {
        if held {
            self.settle();
        }
        self.front.backlog().is_held = held;
    }

    /// Has the indexes show all writes so far, except while they are frozen.
    pub(crate) fn settle(&self) {
        self.front.show(&mut self.front.backlog(), Duration::ZERO);
    }

    /// Deletes expired items from both databases, and returns their number.
    pub(crate) fn delete_expired(&self) -> Result<usize, DynoxideError> {
        let mut backlog = self.front.backlog();
        self.front.show(&mut backlog, Duration::ZERO);
        let mut deleted = 0;
        loop {
            let start = unix_seconds();
            deleted += self.front.table.sweep_ttl()?;
            self.front.indexes.sweep_ttl()?;
            // Within one second both deleted the same items.
            if unix_seconds() == start {
                return Ok(deleted);
            }
        }
    }

    pub(crate) fn stop(self) {
        self.server.stop();
    }
}

async fn serve(State(front): State<Arc<Front>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get(TARGET).and_then(|value| value.to_str().ok());
    let (status, said) = match front.answer(target, &body) {
        Some(answer) => answer,
        None => match front.forward.send(&Method::POST, &front.table_url, &headers, body).await {
            Ok(response) => return response,
            Err(error) => (StatusCode::BAD_GATEWAY, error.into_bytes()),
        },
    };
    let mut response = Response::new(Body::from(said));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

impl Front {
    /// Answers a write and a query of an index. `None`: the table's server answers.
    fn answer(&self, target: Option<&str>, body: &[u8]) -> Option<Answer> {
        let (_, operation) = target?.split_once('.')?;
        let done = if operation == "Query" && of_index(body) {
            let mut backlog = self.backlog();
            self.show(&mut backlog, self.after);
            match &backlog.failure {
                Some(failure) => Some(Err(DynoxideError::InternalServerError(failure.clone()))),
                None => execute(&self.indexes, operation, body),
            }
        } else if WRITES.contains(&operation) || TABLES.contains(&operation) {
            self.write(operation, body)
        } else {
            None
        };
        Some(match done? {
            Ok(said) => (StatusCode::OK, said),
            Err(error) => {
                let status = StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::BAD_REQUEST);
                (status, error.to_json().into_bytes())
            }
        })
    }

    /// Writes to the table, and notes the write for the indexes if it is done.
    fn write(&self, operation: &str, body: &[u8]) -> Option<Result<Vec<u8>, DynoxideError>> {
        let mut backlog = self.backlog();
        let done = execute(&self.table, operation, body)?;
        if done.is_ok() {
            let (operation, body) = (operation.to_owned(), Bytes::copy_from_slice(body));
            backlog.unseen.push_back(Write { at: (self.now)(), operation, body });
        }
        self.show(&mut backlog, if TABLES.contains(&operation) { Duration::ZERO } else { self.after });
        Some(done)
    }

    /// Has the indexes show the writes that are older than `delay` or more than they may lack, except while they are frozen.
    fn show(&self, backlog: &mut Backlog, delay: Duration) {
        let now = (self.now)();
        while !backlog.is_held
            && backlog.failure.is_none()
            && let Some(write) = backlog.unseen.front()
            && (now.saturating_sub(write.at) >= delay || backlog.unseen.len() > MOST_UNSEEN)
        {
            if let Some(Err(error)) = execute(&self.indexes, &write.operation, &without_stream(write)) {
                let failure = format!("the indexes cannot repeat {}: {error}", write.operation);
                eprintln!("dynamodb-indexes: {failure}");
                backlog.failure = Some(failure);
            }
            backlog.unseen.pop_front();
        }
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_index(body: &[u8]) -> bool {
    // A search of the text is quicker than to parse every query.
    std::str::from_utf8(body).is_ok_and(|text| text.contains("\"IndexName\""))
        && serde_json::from_slice::<Value>(body).is_ok_and(|body| body["IndexName"].is_string())
}

/// The body, but no stream for a new table: nobody reads that of the indexes.
fn without_stream(write: &Write) -> Bytes {
    if write.operation != "CreateTable" {
        return write.body.clone();
    }
    let mut table: Value = serde_json::from_slice(&write.body).unwrap_or_default();
    table.as_object_mut().and_then(|table| table.remove("StreamSpecification"));
    table.to_string().into()
}

/// Carries out an operation. `None`: its body is invalid.
fn execute(database: &Database, operation: &str, body: &[u8]) -> Option<Result<Vec<u8>, DynoxideError>> {
    fn run<R: DeserializeOwned, A: Serialize>(
        body: &[u8],
        operation: impl FnOnce(R) -> Result<A, DynoxideError>,
    ) -> Option<Result<Vec<u8>, DynoxideError>> {
        let request = serde_json::from_slice(body).ok()?;
        let said = |answer| serde_json::to_vec(&answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()));
        Some(operation(request).and_then(said))
    }
    match operation {
        "Query" => run(body, |request| database.query(request)),
        "PutItem" => run(body, |request| database.put_item(request)),
        "UpdateItem" => run(body, |request| database.update_item(request)),
        "DeleteItem" => run(body, |request| database.delete_item(request)),
        "TransactWriteItems" => run(body, |request| database.transact_write_items(request)),
        "BatchWriteItem" => run(body, |request| database.batch_write_item(request)),
        "CreateTable" => run(body, |request| database.create_table(request)),
        "UpdateTable" => run(body, |request| database.update_table(request)),
        "DeleteTable" => run(body, |request| database.delete_table(request)),
        "UpdateTimeToLive" => run(body, |request| database.update_time_to_live(request)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
