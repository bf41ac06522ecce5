//! API Gateway's WebSocket part: the handshake, the routes, and the management API.
//!
//! If the authorizer or the connect function refuses a client, the handshake is answered with an error and no socket opens. A
//! socket ends when it is idle or too old, when its client reads too slowly, when it is deleted, and when the stack stops.

mod connection;
mod event;
mod functions;
mod management;
mod open;
#[cfg(test)]
mod tests;

pub(crate) use functions::{Functions, Registered};

use crate::background::{Halt, Halter};
use axum::{
    Router,
    extract::{ConnectInfo, FromRequestParts, Request, State, WebSocketUpgrade},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use common::request::authorizer::Refused;
use event::Client;
use open::Connections;
use serde_json::json;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// The path for clients; the management API is below it.
pub(crate) const PATH: &str = "/ws";
/// API Gateway's limits: the size of a frame and of a message, the idle time, and the lifetime.
const FRAME: usize = 32 * 1024;
const MESSAGE: usize = 128 * 1024;
const IDLE: Duration = Duration::from_secs(10 * 60);
const AGE: Duration = Duration::from_secs(2 * 60 * 60);
/// How long closing sockets may take when the stack stops.
const GRACE: Duration = Duration::from_millis(1500);

/// The sockets of one stack.
#[derive(Debug)]
pub(crate) struct Sockets<F> {
    functions: F,
    connections: Connections,
    limits: Limits,
    halt: Halt,
    /// Each connection holds a sender, so that the stack can wait until all have ended.
    alive: mpsc::WeakSender<()>,
}

/// Ends the sockets.
#[derive(Debug)]
pub(crate) struct Ending {
    halter: Halter,
    alive: mpsc::Sender<()>,
    gone: mpsc::Receiver<()>,
}

/// The lifetimes of sockets.
#[derive(Clone, Copy, Debug)]
struct Limits {
    idle: Duration,
    age: Duration,
}

impl<F: Functions> Sockets<F> {
    /// A faster clock shortens their lives.
    pub(crate) fn new(functions: F, time_scale: u32) -> (Arc<Self>, Ending) {
        let (halter, halt) = Halter::new();
        let (alive, gone) = mpsc::channel(1);
        let scale = time_scale.max(1);
        let sockets = Self {
            functions,
            connections: Connections::default(),
            limits: Limits { idle: IDLE / scale, age: AGE / scale },
            halt,
            alive: alive.downgrade(),
        };
        (Arc::new(sockets), Ending { halter, alive, gone })
    }

    pub(crate) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route(PATH, get(upgrade::<F>))
            .route(&format!("{PATH}/@connections/{{id}}"), any(management::answer::<F>))
            .with_state(self)
    }

    /// Calls the authorizer and the connect function. An error is the answer to the handshake.
    async fn admit(&self, client: &mut Client) -> Result<(), Response> {
        // API Gateway itself answers 401 if the identity source is missing or empty.
        if client.query("ticket").is_none_or(str::is_empty) {
            return Err(refusal(StatusCode::UNAUTHORIZED, "Unauthorized", client));
        }
        match self.functions.authorize(client).await {
            Ok(Some(context)) => client.authorizer = context,
            Ok(None) => return Err(refusal(StatusCode::FORBIDDEN, "Forbidden", client)),
            Err(Refused::Unauthorized) => return Err(refusal(StatusCode::UNAUTHORIZED, "Unauthorized", client)),
            Err(Refused::Unavailable) => {
                return Err(refusal(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error", client));
            }
        }
        let answer = self.functions.serve("$connect", client.connect()).await;
        let status = answer.and_then(|answer| StatusCode::from_u16(u16::try_from(answer.status_code).ok()?).ok());
        match status {
            Some(status) if status.is_success() => Ok(()),
            Some(status) => Err(refusal(status, status.canonical_reason().unwrap_or("Refused"), client)),
            None => Err(refusal(StatusCode::BAD_GATEWAY, "Internal server error", client)),
        }
    }
}

async fn upgrade<F: Functions>(
    State(sockets): State<Arc<Sockets<F>>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (mut head, _) = request.into_parts();
    let mut client = Client::new(&head, peer);
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut head, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let Some(alive) = sockets.alive.upgrade().filter(|_| !sockets.halt.stopping()) else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable", &client);
    };
    if let Err(refused) = sockets.admit(&mut client).await {
        return refused;
    }
    upgrade.max_frame_size(FRAME).max_message_size(MESSAGE).on_upgrade(async move |socket| {
        connection::serve(&sockets, client, socket).await;
        drop(alive);
    })
}

fn refusal(status: StatusCode, message: &str, client: &Client) -> Response {
    let id = &client.connection_id;
    (status, axum::Json(json!({ "message": message, "connectionId": id, "requestId": id }))).into_response()
}

impl Ending {
    /// Closes all sockets, for a bounded time, and runs their disconnect functions.
    pub(crate) async fn stop(self) {
        let Self { halter, alive, mut gone } = self;
        halter.stop();
        drop(alive);
        let _ = tokio::time::timeout(GRACE, gone.recv()).await;
    }
}
