//! The functions of the sockets' routes: in the stack, those of the registry.

use super::event::Client;
use crate::{
    background::Bell,
    gateway::Policy,
    live::{Kind, Lines, Ran},
};
use aws_lambda_events::{apigw::ApiGatewayProxyResponse, encodings};
use common::request::{
    Deps,
    authorizer::{Authorizer, Refused, authorize},
};
use serde_json::{Map, Value};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// The functions behind the routes.
pub(crate) trait Functions: Send + Sync + 'static {
    /// The context of an accepted client, or `None` for a refused one.
    fn authorize(&self, client: &Client) -> impl Future<Output = Result<Option<Map<String, Value>>, Refused>> + Send;
    /// The answer of the route's function; `None` if it failed.
    fn serve(&self, route: &'static str, event: Value) -> impl Future<Output = Option<ApiGatewayProxyResponse>> + Send;
}

/// The registry's functions.
#[derive(Debug)]
pub(crate) struct Registered<A> {
    deps: Arc<Deps>,
    authorizer: Arc<A>,
    lines: Arc<Lines>,
    bell: Bell,
}

impl<A> Registered<A> {
    pub(crate) fn new(deps: Arc<Deps>, authorizer: Arc<A>, lines: Arc<Lines>, bell: Bell) -> Self {
        Self { deps, authorizer, lines, bell }
    }
}

impl<A: Authorizer> Functions for Registered<A> {
    async fn authorize(&self, client: &Client) -> Result<Option<Map<String, Value>>, Refused> {
        let (event, method) = client.authorizer_event();
        let event = serde_json::from_str(&event.to_string()).map_err(|_| Refused::Unavailable)?;
        let answer = authorize(&self.deps, &*self.authorizer, event).await?;
        let principal = answer.principal_id.clone();
        let policy = Policy::of(answer).ok_or(Refused::Unavailable)?;
        let context = policy.context_for(&method);
        Ok(context.map(|mut context| {
            context.insert("principalId".to_owned(), principal.into());
            context
        }))
    }

    async fn serve(&self, route: &'static str, event: Value) -> Option<ApiGatewayProxyResponse> {
        let socket = registry::sockets().find(|socket| socket.route_key == route)?;
        let event = serde_json::from_str(&event.to_string()).ok()?;
        let (began, limit) = (Instant::now(), Duration::from_secs(socket.timeout_secs.into()));
        // In its own task: like a real function, it continues if the caller disconnects.
        let (deps, lines) = (self.deps.clone(), self.lines.clone());
        let work = async move { lines.heard(timeout(limit, socket.serve(&deps, event))).await };
        let (answer, lines) = match tokio::spawn(work).await {
            Ok((answer, lines)) => (answer.map_err(|_| "timed out"), lines),
            Err(_) => (Err("panicked"), Vec::new()),
        };
        self.bell.ring();
        let failed = usize::from(answer.as_ref().map_or(true, |answer| answer.status_code >= 400));
        let error = answer.as_ref().err().map(|why| (*why).to_owned());
        let run = Ran {
            kind: Kind::Socket,
            domain: socket.domain,
            name: socket.name,
            items: 1,
            failed,
            took: began.elapsed(),
            error,
            lines,
        };
        self.lines.ran(&run);
        answer.ok()
    }
}

/// The frame for the client in an answer, if any.
pub(super) fn text(answer: ApiGatewayProxyResponse) -> Option<String> {
    match answer.body {
        Some(encodings::Body::Text(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}
