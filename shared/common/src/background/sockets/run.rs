//! The processing of a frame: the connection's user, their session and its limit, the work, in this order.
//!
//! Connections and refusals are audited. Frames are not: a client sends a ping every half minute, and requests replays, and both
//! return only numbers and ids.

use super::{Socket, SocketRoute, Sockets, connections::check_network};
use crate::{
    audit::{
        activity::Activity,
        event::{Record, Who},
        trace::Trace,
    },
    aws::push::Sent,
    base::{
        Error, EventId, Result, TenantId, Timestamp, UserId, budget,
        need::needs,
        network::network,
        principal::Identity,
        telemetry::{self, CorrelationId, LogValue},
    },
    identity::session::{self, Presence},
    request::{Deps, Reader},
    store::RateLimit,
};
use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use futures_util::FutureExt;
use ledger::ActorType;
use serde::Serialize;
use std::{marker::PhantomData, panic::AssertUnwindSafe, time::Duration};

/// The time limit of a run, if the end of its function is unknown.
const TIME: Duration = Duration::from_secs(9);
const MARGIN: Duration = Duration::from_millis(500);
/// The longest accepted frame, in bytes. API Gateway passes 128 KB.
const FRAME_LIMIT: usize = 1024;

/// The client of a socket.
#[derive(Debug)]
pub struct Caller<'a, S> {
    deps: &'a Deps,
    identity: &'a Identity,
    connection: &'a str,
    /// The client's address.
    ip: &'a str,
    activity: &'a Activity<'a>,
    of: PhantomData<fn() -> S>,
}

impl<'a, S: Socket> Caller<'a, S> {
    pub fn user(&self) -> UserId {
        self.identity.user
    }
    pub fn tenant(&self) -> TenantId {
        self.identity.tenant
    }
    pub fn now(&self) -> Timestamp {
        self.activity.now
    }
    /// Whether there is time for more: an answer of many frames must end before its function.
    pub fn has_time(&self) -> bool {
        self.deps.clock.now() < self.activity.deadline
    }
    pub fn reader(&self) -> Reader<'a> {
        needs!(S, Read);
        Reader { deps: self.deps, tenant: self.identity.tenant, context: None }
    }
    /// A field of the log line.
    pub fn log(&self, name: &'static str, value: impl LogValue) {
        telemetry::record(name, value);
    }

    /// Sends a frame to this client; false if its connection is closed.
    ///
    /// # Errors
    /// 503 if API Gateway does not accept it.
    pub async fn reply(&self, frame: &(impl Serialize + Sync)) -> Result<bool> {
        let sockets = self.sockets()?;
        let frame = serde_json::to_vec(frame).map_err(|_| Error::internal("frame"))?;
        match sockets.push.send(self.connection, frame).await? {
            Sent::Accepted => Ok(true),
            // Its item is deleted with the next frame to all of its user's connections.
            Sent::Gone => Ok(false),
        }
    }

    /// Stores this connection, so that its user can be reached. If there are more than twenty, the oldest is closed.
    ///
    /// # Errors
    /// 401 if the session has ended meanwhile: the run that closed its connections may have missed this one. 503.
    pub async fn register(&self) -> Result<()> {
        let Identity { user, session, tenant, .. } = *self.identity;
        self.sockets()?.register(user, self.connection, session, self.ip).await?;
        let lives = session::lives(&self.deps.db, tenant, user, session, self.now()).await;
        if lives.is_err() {
            self.forget().await?;
        }
        lives
    }

    /// Removes this connection.
    ///
    /// # Errors
    /// 503.
    pub async fn forget(&self) -> Result<()> {
        self.sockets()?.forget(self.identity.user, self.connection).await
    }

    fn sockets(&self) -> Result<Sockets<'a>> {
        needs!(S, Push);
        let push = self.deps.services.sockets()?;
        Ok(Sockets { deps: self.deps, push, tenant: self.identity.tenant, now: self.now() })
    }
}

/// The error frame for a refused request.
#[derive(Debug, Serialize)]
struct Refusal {
    r#type: &'static str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

pub(crate) async fn serve<S: Socket>(
    deps: &Deps,
    event: ApiGatewayWebsocketProxyRequest,
    end: Option<Timestamp>,
) -> ApiGatewayProxyResponse {
    deps.log.writes_line(answer::<S>(deps, event, end)).await
}

async fn answer<S: Socket>(
    deps: &Deps,
    event: ApiGatewayWebsocketProxyRequest,
    end: Option<Timestamp>,
) -> ApiGatewayProxyResponse {
    let now = deps.clock.now();
    let trace = Trace::default();
    let context = event.request_context;
    let authorizer = context.authorizer.fields;
    let identity = Identity::from_context(|name| authorizer.get(name).and_then(|v| v.as_str()));
    let request = SocketRequest {
        connection: context.connection_id.unwrap_or_default(),
        body: event.body.unwrap_or_default(),
        who: Who {
            id: identity.as_ref().ok().map(|i| i.user.to_string()),
            kind: identity.as_ref().ok().map(|_| ActorType::User),
            session: identity.as_ref().ok().map(|i| i.session),
            ip: context.identity.source_ip.unwrap_or_default(),
            user_agent: context.identity.user_agent.unwrap_or_default(),
            ..Who::default()
        },
        activity: Activity {
            tenant: identity.as_ref().map_or(TenantId::PLATFORM, |i| i.tenant),
            now,
            deadline: end.map_or(now.plus(TIME), |end| end.minus(MARGIN)),
            correlation_id: CorrelationId::new(now),
            audit_id: EventId::new(now),
            policies: &deps.policies,
            trace: &trace,
        },
    };
    let work = AssertUnwindSafe(attempt::<S>(deps, &request, identity.as_ref())).catch_unwind();
    let mut result = work.await.unwrap_or_else(|_| Err(Error::internal("panic")));
    if matches!(S::ROUTE, SocketRoute::Connect) {
        result = audited::<S>(deps, &request, result).await;
    }
    write_line::<S>(deps, &request, &result);
    let mut response = ApiGatewayProxyResponse::default();
    // A connected client gets a refusal as a frame; for API Gateway its message was handled.
    response.status_code = match (S::ROUTE, &result) {
        (SocketRoute::Connect, Err(error)) => error.status().into(),
        _ => 200,
    };
    response
}

/// The parts of API Gateway's event that are used.
struct SocketRequest<'a> {
    connection: String,
    body: String,
    who: Who,
    activity: Activity<'a>,
}

async fn attempt<S: Socket>(deps: &Deps, request: &SocketRequest<'_>, identity: Result<&Identity, &Error>) -> Result<()> {
    let identity = identity.map_err(Clone::clone)?;
    let SocketRequest { connection, body, activity, .. } = request;
    let (ip, now) = (&request.who.ip, activity.now);
    let mut caller = Caller::<S> { deps, identity, connection, ip, activity, of: PhantomData };
    let result = async {
        if !matches!(S::ROUTE, SocketRoute::Disconnect) {
            // An open page does not mean that its user is present, so frames do not keep a session from becoming idle.
            let gate = deps.gates.of(identity.tenant).await?;
            let idle = gate.settings.idle(deps.config.session_idle);
            let touched = session::touch(&deps.db, identity.clone(), (RateLimit::SOCKET, 1), idle, now, Presence::Machine);
            let (who, _) = touched.await?;
            gate.enter()?;
            check_network(&who, &gate, &deps.config.operator_networks, ip, now)?;
        }
        // A push during the opening may have got 410 and removed the connection, so it is stored again.
        if matches!(S::ROUTE, SocketRoute::Message) && !caller.sockets()?.remembers(identity.user, connection).await? {
            caller.register().await?;
        }
        S::handle(&mut caller, frame::<S>(body)?).await
    };
    let result = result.await;
    let (SocketRoute::Message, Err(error)) = (S::ROUTE, &result) else { return result };
    let retry_after = match error {
        Error::RateLimited { retry_after, .. } => Some(budget::whole_seconds(*retry_after)),
        _ => None,
    };
    let told = send(deps, &caller, &Refusal { r#type: "error", code: error.code(), retry_after }).await;
    if matches!(error, Error::Unauthenticated(_) | Error::Forbidden(_)) {
        let sockets = Sockets { deps, push: deps.services.sockets()?, tenant: identity.tenant, now };
        sockets.push.close(connection).await?;
        sockets.forget(identity.user, connection).await?;
    }
    told?;
    result
}

async fn send<S: Socket>(deps: &Deps, caller: &Caller<'_, S>, refusal: &Refusal) -> Result<()> {
    let frame = serde_json::to_vec(refusal).map_err(|_| Error::internal("frame"))?;
    deps.services.sockets()?.send(caller.connection, frame).await.map(drop)
}

fn frame<S: Socket>(body: &str) -> Result<S::Frame> {
    let text = match S::ROUTE {
        SocketRoute::Message if body.len() > FRAME_LIMIT => return Err(Error::TooLarge { limit: FRAME_LIMIT }),
        SocketRoute::Message => body,
        SocketRoute::Connect | SocketRoute::Disconnect => "null",
    };
    serde_json::from_str(text).map_err(|_| Error::bad_request("malformed_frame", "the frame is none that is known here"))
}

/// Audits a connection or its refusal. A connection that cannot be audited is refused.
async fn audited<S: Socket>(deps: &Deps, request: &SocketRequest<'_>, result: Result<()>) -> Result<()> {
    let status = result.as_ref().map_or_else(Error::status, |()| 200);
    let reason = result.as_ref().err().map(Error::reason);
    let SocketRequest { who, activity, .. } = request;
    let record = Record { status, reason, ..Record::of(activity, S::NAME, who.clone()) };
    let source = || format!("{}|{}|{status}|{}", network(&who.ip), S::NAME, reason.unwrap_or_default());
    match status {
        401 | 429 => record.count(&deps.db, &source()).await?,
        _ => record.write(&deps.db).await?,
    }
    result
}

fn write_line<S: Socket>(deps: &Deps, request: &SocketRequest<'_>, result: &Result<()>) {
    let SocketRequest { who, activity, .. } = request;
    let failed = result.as_ref().is_err_and(|e| e.status() >= 500);
    let took = deps.clock.now().since(activity.now).as_millis();
    telemetry::end! {
        "level" = if failed { "error" } else { "info" },
        "timestamp" = activity.now,
        "function" = S::NAME,
        "correlation_id" = activity.correlation_id,
        "tenant.id" = activity.tenant,
        "user.id" = who.id.as_deref().map(crate::base::error::Cause::code),
        "session.id" = who.session,
        "code" = result.as_ref().err().map(Error::reason),
        "duration_ms" = u64::try_from(took).unwrap_or(u64::MAX),
    };
}
