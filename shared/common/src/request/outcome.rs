//! The data that a request collects for its answer's headers, its log line and its audit event, for every kind of end.

use crate::{
    audit::{
        activity::Activity,
        event::{Record, Who},
        trace::Trace,
    },
    base::{
        Error, EventId, Principal, Purpose, Result, SessionKind, TenantId,
        budget::{self, Budget},
        error::Cause,
        network::network,
        principal::Identity,
        telemetry::{self, CorrelationId},
    },
    identity::ApiKeyId,
    policy::{Action, Decided},
    request::{
        Deps, Operation,
        headers::Header,
        http::{EXPOSED_HEADERS, Request, Response, SECURITY_HEADERS},
        public::KnownMember,
    },
    store::rate_limit::RateLimit,
};
use ledger::ActorType;
use std::time::Duration;

/// The time limit of a request, if the end of its function is unknown.
const TIME: Duration = Duration::from_secs(9);
/// The time before a function's end at which it must have answered.
const MARGIN: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub(crate) struct RequestOutcome<'a> {
    /// Its tenant is the caller's.
    pub(crate) activity: Activity<'a>,
    pub(crate) budget: Option<Budget>,
    pub(crate) decided: Option<Decided>,
    pub(crate) who: Who,
    pub(crate) purpose: Option<Purpose>,
    /// The reason of the refusal, if the answer does not contain it.
    pub(crate) reason: Option<&'static str>,
    /// Its event is already committed or written.
    pub(crate) recorded: bool,
    pub(crate) audited: bool,
    name: &'static str,
    /// The caller's limit, once the caller is known.
    pub(crate) limit: RateLimit,
    route: crate::request::Route,
    action: Option<Action>,
}

impl<'a> RequestOutcome<'a> {
    pub(crate) fn begin<E: Operation>(deps: &'a Deps, request: &Request, trace: &'a Trace, action: Option<Action>) -> Self {
        let now = deps.clock.now();
        Self {
            activity: Activity {
                tenant: TenantId::PLATFORM,
                now,
                deadline: request.deadline.map_or(now.plus(TIME), |end| end.minus(MARGIN)),
                correlation_id: CorrelationId::from_header(request.header(Header::CorrelationId), now),
                audit_id: EventId::new(now),
                policies: &deps.policies,
                trace,
            },
            budget: None,
            decided: None,
            who: Who::anonymous(request),
            purpose: None,
            reason: None,
            recorded: false,
            audited: true,
            name: E::NAME,
            limit: E::LIMIT,
            route: E::ROUTE,
            action,
        }
    }

    /// An item of a batch has its own event.
    pub(crate) fn for_item(&self, trace: &'a Trace) -> Self {
        Self { activity: self.activity.part(trace), recorded: false, reason: None, ..self.clone() }
    }

    /// The caller according to the authorizer, before the session is checked.
    pub(crate) fn claimed(&mut self, identity: &Identity) {
        self.activity.tenant = identity.tenant;
        self.who.kind = Some(ActorType::User);
        self.who.id = Some(identity.user.to_string());
        self.who.session = Some(identity.session);
    }

    /// The caller whom a public endpoint has recognised.
    pub(crate) fn recognise(&mut self, known: &KnownMember, request: &Request) {
        self.activity.tenant = known.tenant;
        self.who = known.who(request, self.activity.now);
    }

    /// Its audit event, with the data that it has collected.
    pub(crate) fn record<'r>(&'r self, status: u16, changes: &'r [&'static str]) -> Record<'r> {
        let record = Record {
            action: self.action.map(|a| a.0),
            purpose: self.purpose,
            status,
            reason: self.reason,
            decided: self.decided.as_ref(),
            changes,
            ..Record::of(&self.activity, self.name, self.who.clone())
        };
        self.activity.trace.with(|traced| record.gathered(traced))
    }

    /// Converts an error to its answer, and audits it. If a refusal cannot be audited, the answer is 503 instead.
    pub(crate) async fn settle(&mut self, deps: &Deps, request: &Request, result: Result<Response>) -> Response {
        let error = match result {
            Ok(response) => return response,
            Err(error) => error,
        };
        self.reason = self.reason.or(Some(error.reason()));
        Self::log_cause(&error);
        if let Error::RateLimited { budget, .. } = &error {
            // The budget of the limit that refused, which may differ from the one that this request has passed before.
            self.budget = Some(*budget);
        }
        let response = Response::problem(&error, &self.activity.correlation_id);
        if self.recorded || !self.audited {
            return response;
        }
        match self.record_refusal(deps, request, response.status).await {
            Ok(()) => response,
            Err(unavailable) => {
                Self::log_cause(&unavailable);
                Response::problem(&unavailable, &self.activity.correlation_id)
            }
        }
    }

    async fn record_refusal(&self, deps: &Deps, request: &Request, status: u16) -> Result<()> {
        // The opened data was not returned, and the changes were not made.
        self.activity.trace.with(|traced| {
            traced.disclosed.clear();
            traced.redacted.clear();
            traced.touched.clear();
        });
        // A failed commit may have succeeded after all, so the refusal must not replace its event.
        let record = Record { id: EventId::new(self.activity.now), ..self.record(status, &[]) };
        match status {
            401 | 429 => {
                let source = self.source(request, status);
                record.count(&deps.db, &source).await
            }
            _ => record.write(&deps.db).await,
        }
    }

    /// The common source of counted events within one minute.
    pub(crate) fn source(&self, request: &Request, status: u16) -> String {
        let who = self.who.id.as_deref().unwrap_or_default();
        let from = network(&request.source_ip);
        format!("{from}|{who}|{}|{status}|{}", self.name, self.reason.unwrap_or_default())
    }

    fn log_cause(error: &Error) {
        match error {
            Error::Internal { what, cause, at } => {
                telemetry::record("error.what", *what);
                telemetry::record("error.at", *at);
                telemetry::record("error.cause", cause.clone());
            }
            Error::Unavailable { service, cause } => {
                telemetry::record("error.service", *service);
                telemetry::record("error.cause", Cause::clone(cause));
            }
            _ => {}
        }
    }

    /// The answer with the headers of every answer, and the log line.
    pub(crate) async fn end(mut self, deps: &Deps, request: &Request, result: Result<Response>) -> Response {
        let mut response = self.settle(deps, request, result).await;
        for (name, value) in SECURITY_HEADERS {
            response.set(name, value);
        }
        response.set("x-correlation-id", self.activity.correlation_id.as_str());
        if let Some(budget) = self.budget {
            response.set("ratelimit-limit", &budget.limit.to_string());
            response.set("ratelimit-remaining", &budget.remaining.to_string());
            response.set("ratelimit-reset", &budget::whole_seconds(budget.reset).to_string());
        }
        allow_origin(deps, request, &mut response);
        self.write_line(deps, request, &response);
        response
    }

    fn write_line(&self, deps: &Deps, request: &Request, response: &Response) {
        let Activity { tenant, now, correlation_id, .. } = &self.activity;
        telemetry::end! {
            "level" = if response.status >= 500 { "error" } else { "info" },
            "timestamp" = *now,
            "function" = self.name,
            "http.method" = self.route.method.as_str(),
            "http.route" = self.route.path,
            "http.status" = response.status,
            "duration_ms" = u64::try_from(deps.clock.now().since(*now).as_millis()).unwrap_or(u64::MAX),
            "correlation_id" = correlation_id,
            "request_id" = Cause::code(&request.request_id),
            "tenant.id" = *tenant,
            "user.id" = self.who.id.as_deref().map(Cause::code),
            "session.id" = self.who.session,
            "code" = self.reason,
            "policy.allowed" = self.decided.as_ref().map(|d| d.allowed),
            "stored.unknown" = deps.db.take_unknown(),
            "idempotent_replay" = response.headers.contains_key("idempotency-replayed"),
        };
    }
}

impl Who {
    pub(crate) fn anonymous(request: &Request) -> Self {
        Self { ip: request.source_ip.clone(), user_agent: request.user_agent().to_owned(), ..Self::default() }
    }
    pub(crate) fn user(principal: &Principal, request: &Request) -> Self {
        let (id, kind) = match principal.kind() {
            SessionKind::Full | SessionKind::Enrolment => (principal.user().to_string(), ActorType::User),
            SessionKind::ApiKey => (ApiKeyId::from_uuid(*principal.user().uuid()).to_string(), ActorType::ApiKey),
        };
        Self {
            id: Some(id),
            kind: Some(kind),
            role: principal.roles().first().copied(),
            session: Some(principal.session()),
            ..Self::anonymous(request)
        }
    }
}

/// Allows only pages of the configured origins to read the answer.
fn allow_origin(deps: &Deps, request: &Request, response: &mut Response) {
    response.set("vary", "Origin");
    let Some(origin) = request.header(Header::Origin) else { return };
    if deps.config.allowed_origins.iter().any(|allowed| allowed == origin) {
        response.set("access-control-allow-origin", origin);
        response.set("access-control-expose-headers", EXPOSED_HEADERS);
    }
}
