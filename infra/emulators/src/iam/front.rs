//! A proxy before an emulator that evaluates IAM for each call, for callers in another process, such as an operator's `cloister`.

use super::{
    calls::Call,
    gate::{Decision, Gate},
    refusal::ServiceAnswer,
};
use crate::{Error, forward::Forward, server::Server};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use http::{StatusCode, header};
use std::sync::Arc;

/// The largest request is an object of one PUT; none here comes near this.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// The listener.
#[derive(Debug)]
pub struct Front {
    server: Server,
}

#[derive(Debug)]
struct Guard {
    gate: Arc<Gate>,
    emulator: String,
    forward: Forward,
}

impl Front {
    /// Listens on a free port and forwards to the emulator at that URL.
    ///
    /// # Errors
    /// [`Error`] if it cannot listen.
    pub fn start(gate: Arc<Gate>, emulator: String) -> Result<Self, Error> {
        let guard = Arc::new(Guard { gate, emulator, forward: Forward::new() });
        let router = Router::new().fallback(answer).with_state(guard);
        let server = Server::spawn("iam", |listener, shutdown| async move {
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(shutdown).await {
                eprintln!("iam: {error}");
            }
        })?;
        Ok(Self { server })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// Stops it.
    pub fn stop(self) {
        self.server.stop();
    }
}

async fn answer(State(guard): State<Arc<Guard>>, request: Request) -> Response {
    guard.answer(request).await.unwrap_or_else(|why| {
        let mut response = Response::new(Body::from(why));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    })
}

impl Guard {
    async fn answer(&self, request: Request) -> Result<Response, String> {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, MOST_BYTES).await.map_err(|error| error.to_string())?;
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let text = |name: &header::HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let asked = format!("http://{}{path}", text(&header::HOST));
        let headers = head.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        match self.gate.judge(&Call::new(head.method.as_str(), &asked, headers, &body)) {
            Decision::Answered(answer) => respond(answer),
            Decision::Passes { if_missing } => {
                let url = format!("{}{path}", self.emulator);
                let response = self.forward.send(&head.method, &url, &head.headers, body).await?;
                match if_missing {
                    Some(denied) if response.status() == StatusCode::NOT_FOUND => respond(denied),
                    _ => Ok(response),
                }
            }
        }
    }
}

fn respond(answer: ServiceAnswer) -> Result<Response, String> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).map_err(|error| error.to_string())
}
