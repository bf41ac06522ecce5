//! The listener: UPS's routes, and the control routes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;

use super::fault::{Endpoint, Fault};
use super::push::{self, Posted};
use super::reply::Reply;
use super::simulation::Simulation;
use super::wire::{self, TrackOptions};
use super::{alert, control};
use crate::server::Shutdown;

/// How often due events are performed.
const TICK: Duration = Duration::from_millis(100);
/// The longest inquiry number that UPS allows.
const NUMBER_LENGTHS: std::ops::RangeInclusive<usize> = 7..=34;

#[derive(Debug)]
pub(super) struct Shared(pub(super) Mutex<Simulation>);

impl Shared {
    pub(super) fn simulation(&self) -> MutexGuard<'_, Simulation> {
        // INVARIANT: no code panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn serve(
    shared: Arc<Shared>,
    posting: (tokio::sync::mpsc::UnboundedSender<Posted>, UnboundedReceiver<Posted>),
    listener: TcpListener,
    shutdown: Shutdown,
) {
    let (again, posted) = posting;
    let pushing = tokio::spawn(push::deliver(shared.clone(), posted, again));
    let ticking = tokio::spawn(tick(shared.clone()));
    let app = Router::new().fallback(answer).layer(DefaultBodyLimit::max(1 << 20)).with_state(shared);
    if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(shutdown).await {
        eprintln!("ups: {error}");
    }
    ticking.abort();
    pushing.abort();
}

async fn tick(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(TICK);
    loop {
        interval.tick().await;
        shared.simulation().tick();
    }
}

/// A call of UPS's API.
#[derive(Debug)]
enum Route<'a> {
    Token,
    Track(&'a str),
    /// The subscription's type.
    Subscribe(&'a str),
}

impl<'a> Route<'a> {
    fn of(method: &Method, path: &'a str) -> Result<Self, Reply> {
        let (route, wants) = if path == "/security/v1/oauth/token" {
            (Self::Token, Method::POST)
        } else if let Some(number) = path.strip_prefix("/api/track/v1/details/") {
            (Self::Track(number), Method::GET)
        } else if let Some(kind) = path.strip_prefix("/api/track/v2/subscription/").and_then(|rest| rest.strip_suffix("/package"))
        {
            (Self::Subscribe(kind), Method::POST)
        } else {
            return Err(Reply::error(StatusCode::NOT_FOUND, "404", "The requested resource was not found."));
        };
        if *method == wants { Ok(route) } else { Err(Reply::error(StatusCode::METHOD_NOT_ALLOWED, "405", "Method Not Allowed.")) }
    }

    fn endpoint(&self) -> Endpoint {
        match self {
            Self::Token => Endpoint::Token,
            Self::Track(_) => Endpoint::Track,
            Self::Subscribe(_) => Endpoint::Subscribe,
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, head: Parts, body: Bytes) -> Response {
    let path = head.uri.path();
    if let Some(what) = path.strip_prefix("/_control/") {
        return control::answer(&shared, &head.method, what, &body).respond(None);
    }
    let route = match Route::of(&head.method, path) {
        Ok(route) => route,
        Err(refusal) => return refusal.respond(None),
    };
    let _under_way = UnderWay::begin(&shared, route.endpoint());
    let fault = shared.simulation().faults.of_call(route.endpoint());
    let reply =
        Reply::instead(fault, route.endpoint()).unwrap_or_else(|| carry_out(&mut shared.simulation(), &route, &head, &body));
    if let Some(Fault::Slow { millis }) = fault {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    shared.simulation().counters.answered(reply.status.as_u16());
    reply.respond(fault)
}

fn carry_out(simulation: &mut Simulation, route: &Route<'_>, head: &Parts, body: &[u8]) -> Reply {
    let now = simulation.now();
    if let Route::Token = route {
        return simulation.tokens.issue(&head.headers, body, now);
    }
    if let Err(refusal) = simulation.tokens.check(&head.headers, now) {
        return refusal;
    }
    match route {
        Route::Track(number) => track(simulation, number, head),
        Route::Subscribe(kind) => alert::subscribe(simulation, kind, &head.headers, body),
        Route::Token => simulation.tokens.issue(&head.headers, body, now),
    }
}

fn track(simulation: &mut Simulation, number: &str, head: &Parts) -> Reply {
    for name in ["transId", "transactionSrc"] {
        if header_text(&head.headers, name).is_empty() {
            // The contract has a 400 here but no code for it.
            return Reply::error(StatusCode::BAD_REQUEST, "400", &format!("Missing {name}"));
        }
    }
    if !NUMBER_LENGTHS.contains(&number.len()) {
        return Reply::error(StatusCode::BAD_REQUEST, "400", "Invalid inquiry number");
    }
    let asked = |name: &str| {
        let query = head.uri.query().unwrap_or_default().as_bytes();
        form_urlencoded::parse(query).any(|(key, value)| key == name && value == "true")
    };
    let wanted = TrackOptions {
        signature: asked("returnSignature"),
        milestones: asked("returnMilestones"),
        proof_of_delivery: asked("returnPOD"),
    };
    let seed = simulation.seed;
    let told = simulation.track(number).map(|package| wire::found(package, seed, wanted));
    Reply::ok(&told.unwrap_or_else(|| wire::not_found(number)))
}

/// A header, or an empty text.
pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim()
}

/// A call in progress. A disconnected caller ends it too.
struct UnderWay<'a> {
    shared: &'a Shared,
    endpoint: Endpoint,
}

impl<'a> UnderWay<'a> {
    fn begin(shared: &'a Shared, endpoint: Endpoint) -> Self {
        let mut simulation = shared.simulation();
        let now = simulation.now();
        simulation.counters.begin(endpoint, now);
        Self { shared, endpoint }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.shared.simulation().counters.end(self.endpoint);
    }
}
