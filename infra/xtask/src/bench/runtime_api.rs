//! The part of the Runtime API that a function uses, with a timestamp at each call.
//!
//! Source: AWS, "Using the Lambda runtime API for custom runtimes".

use super::Failed;
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

/// The time limit for each step. A function that takes longer is broken, not slow.
const PATIENCE: Duration = Duration::from_secs(20);

/// One Runtime API, for one process.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    address: SocketAddr,
    events: mpsc::UnboundedSender<Event>,
    said: mpsc::UnboundedReceiver<Said>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Event {
    body: String,
    number: usize,
}

/// An event of the function, and its time.
#[derive(Debug)]
enum Said {
    Polled(Instant),
    Delivered(Instant),
    Answered(Instant, Bytes),
    Failed(String),
}

#[derive(Debug)]
struct Doors {
    events: Mutex<mpsc::UnboundedReceiver<Event>>,
    said: mpsc::UnboundedSender<Said>,
}

impl RuntimeApi {
    pub(crate) async fn start() -> Result<Self, Failed> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (events, waiting) = mpsc::unbounded_channel();
        let (tell, said) = mpsc::unbounded_channel();
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answered))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failed))
            .route("/2018-06-01/runtime/init/error", post(failed))
            .with_state(Arc::new(Doors { events: Mutex::new(waiting), said: tell }));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("runtime api: {error}");
            }
        });
        Ok(Self { address, events, said, server })
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until the function polls for its next event; the first poll ends init.
    pub(crate) async fn polled(&mut self) -> Result<Instant, Failed> {
        match self.hear().await? {
            Said::Polled(at) => Ok(at),
            other => Err(format!("expected a poll, got {other:?}").into()),
        }
    }

    /// Sends an event to a function that polls. Returns the answer's duration and the answer.
    pub(crate) async fn invoke(&mut self, number: usize, body: String) -> Result<(Duration, Bytes), Failed> {
        self.events.send(Event { body, number })?;
        let delivered = match self.hear().await? {
            Said::Delivered(at) => at,
            other => return Err(format!("expected a delivery, got {other:?}").into()),
        };
        match self.hear().await? {
            Said::Answered(at, body) => Ok((at - delivered, body)),
            other => Err(format!("expected an answer, got {other:?}").into()),
        }
    }

    async fn hear(&mut self) -> Result<Said, Failed> {
        match tokio::time::timeout(PATIENCE, self.said.recv()).await? {
            Some(Said::Failed(why)) => Err(format!("the function reports an error: {why}").into()),
            Some(said) => Ok(said),
            None => Err("the Runtime API has ended".into()),
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Doors {
    fn say(&self, said: Said) {
        // The receiver is gone once the run is over.
        let _ = self.said.send(said);
    }
}

async fn next(State(doors): State<Arc<Doors>>) -> Response {
    doors.say(Said::Polled(Instant::now()));
    let Some(event) = doors.events.lock().await.recv().await else { return StatusCode::GONE.into_response() };
    let deadline = common::base::Clock::now(&common::base::SystemClock).plus(Duration::from_secs(10)).as_millis();
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", format!("00000000-0000-4000-8000-{:012}", event.number)),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            format!("arn:aws:lambda:{}:{}:function:bench", emulators::REGION, emulators::ACCOUNT),
        ),
        ("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Sampled=0".to_owned()),
    ];
    let response = (headers, event.body).into_response();
    doors.say(Said::Delivered(Instant::now()));
    response
}

async fn answered(State(doors): State<Arc<Doors>>, Path(_): Path<String>, body: Bytes) -> StatusCode {
    doors.say(Said::Answered(Instant::now(), body));
    StatusCode::ACCEPTED
}

async fn failed(State(doors): State<Arc<Doors>>, body: Bytes) -> StatusCode {
    doors.say(Said::Failed(String::from_utf8_lossy(&body).into_owned()));
    StatusCode::ACCEPTED
}
