//! API Gateway's part: routes, the authorizer and its cache, CORS, and the gateway's own answers.

mod authorizer;
mod cors;
mod docs;
mod event;
mod headers;
mod limits;
mod refusal;
mod routes;

pub(crate) use authorizer::Policy;

use crate::{
    background::Bell,
    live::{Lines, Served},
};
use authorizer::{Access, Guard};
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{Method, Response, header},
};
use common::{
    base::random,
    request::{AnyEndpoint, Deps, Kind, authorizer::Authorizer},
};
use cors::Cors;
use refusal::Refusal;
use routes::{Found, Routes};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A function is ended after this time.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(common::request::FUNCTION_TIMEOUT_SECS as u64);

/// The gateway, in front of `A` and the functions.
#[derive(Debug)]
pub(crate) struct Gateway<A> {
    deps: Arc<Deps>,
    routes: Routes,
    guard: Guard<A>,
    cors: Cors,
    lines: Arc<Lines>,
    /// Rings when a function may have written something.
    bell: Bell,
}

impl<A: Authorizer> Gateway<A> {
    pub(crate) fn new(
        deps: Arc<Deps>,
        authorizer: Arc<A>,
        endpoints: impl IntoIterator<Item = &'static AnyEndpoint>,
        lines: Arc<Lines>,
        bell: Bell,
    ) -> Self {
        Self {
            routes: Routes::new(endpoints),
            guard: Guard::new(authorizer),
            cors: Cors::new(deps.config().allowed_origins.clone()),
            deps,
            lines,
            bell,
        }
    }

    pub(crate) fn into_router(self) -> Router {
        Router::new().merge(docs::router()).fallback(answer::<A>).with_state(Arc::new(self))
    }

    async fn serve(&self, peer: SocketAddr, request: Request, request_id: &str) -> (String, Response<Body>) {
        let path = request.uri().path().to_owned();
        let (head, body) = request.into_parts();
        // API Gateway has not determined route and stage yet, so it adds none of our headers.
        if let Err(refusal) = limits::head(&head) {
            return (path, refusal.response(request_id));
        }
        let mut request = Request::from_parts(head, body);
        if let Some(method) = request.headers().get(headers::METHOD_OVERRIDE).and_then(|m| Method::from_bytes(m.as_bytes()).ok())
        {
            *request.method_mut() = method;
        }
        let mut origins = request.headers().get_all(header::ORIGIN).iter();
        let origin = origins.next().filter(|_| origins.next().is_none()).cloned();
        let (route, mut response, by_function) = match self.routes.find(request.method(), &path) {
            Found::Nothing => (path, Refusal::NoRoute.response(request_id), false),
            Found::Path { path, methods } if request.method() == Method::OPTIONS => {
                (path.to_owned(), self.cors.preflight(&methods), false)
            }
            Found::Path { path, .. } => (path.to_owned(), Refusal::NoRoute.response(request_id), false),
            Found::Endpoint { endpoint, parameters } => {
                let route = endpoint.route.path.to_owned();
                match self.invoke(endpoint, parameters, peer, request, request_id).await {
                    Ok(response) => (route, response, true),
                    // No page can read it, whatever its origin, because it has none of our headers.
                    Err(refusal @ (Refusal::TooLarge | Refusal::UrlTooLong)) => (route, refusal.response(request_id), true),
                    Err(refusal) => (route, refusal.response(request_id), false),
                }
            }
        };
        // A function's answer contains its own CORS headers.
        if !by_function {
            self.cors.allow(origin.as_ref(), response.headers_mut());
        }
        (route, response)
    }

    async fn invoke(
        &self,
        endpoint: &'static AnyEndpoint,
        parameters: Vec<(String, String)>,
        peer: SocketAddr,
        request: Request,
        request_id: &str,
    ) -> Result<Response<Body>, Refusal> {
        let (head, body) = request.into_parts();
        let announced =
            head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limits::BODY) {
            return Err(Refusal::TooLarge);
        }
        let body = axum::body::to_bytes(body, limits::BODY).await.map_err(|_| Refusal::TooLarge)?;
        let mut event = event::request(endpoint.route.path, parameters, &head, &body, peer.ip(), request_id);
        if endpoint.kind != Kind::Public {
            limits::method_arn(&event.authorizer_event())?;
            event.authorizer = match self.guard.ask(&self.deps, &event).await {
                Access::Granted(context) => Some(context),
                Access::Unauthorized => return Err(Refusal::Unauthorized),
                Access::Denied => return Err(Refusal::Denied),
                Access::Unavailable => return Err(Refusal::Unavailable),
            };
        }
        let event = event.proxy_event();
        limits::event(&event)?;
        let event = event::parsed(&event).ok_or(Refusal::Failed)?;
        // In its own task: like a real function, it continues if the caller disconnects.
        let deps = self.deps.clone();
        let work = tokio::spawn(async move { endpoint.serve(&deps, event).await });
        let done = tokio::time::timeout(FUNCTION_TIMEOUT, work).await;
        self.bell.ring();
        match done {
            Ok(Ok(response)) => {
                limits::answer(&response)?;
                event::response(response).ok_or(Refusal::Failed)
            }
            Ok(Err(_)) | Err(_) => Err(Refusal::Failed),
        }
    }
}

async fn answer<A: Authorizer>(
    State(gateway): State<Arc<Gateway<A>>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    let started = Instant::now();
    let request_id = common::base::Uuid::from_bytes(random::bytes()).to_string();
    let method = request.method().to_string();
    let (route, response) = gateway.serve(peer, request, &request_id).await;
    let served = Served { method, route, status: response.status().as_u16(), took: started.elapsed(), line: None };
    gateway.lines.served(&request_id, served);
    response
}
