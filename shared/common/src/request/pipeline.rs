//! The pipeline: session, tenant profile, input, target, policy, handler, ONE commit. Every request passes these steps in this
//! order.

use crate::{
    audit::{
        activity::Activity,
        event::Who,
        trace::{Earlier, Trace},
    },
    base::{AuthFailure, Error, Purpose, Result, TenantId, error::Refusal, principal::Identity, telemetry},
    identity::session::{self, Presence},
    policy::{Action, Circumstances, Organization, PlatformResource, Resource},
    request::{
        Batch, BatchEndpoint, BatchOutput, Data, Deps, Endpoint, IdempotencyKey, Operation, Permit, Platform, PlatformEndpoint,
        Public, PublicEndpoint, Scope, Subject,
        batch::{Head, ItemResult},
        commit::{self, Committed},
        headers::Header,
        http::{Request, Response},
        idempotency::Claim,
        input,
        issued::body_of,
        network_limit::{self, PerNetwork, Standing},
        outcome::RequestOutcome,
        permit::{Effects, Work},
        public::Writes,
        scope::Context,
    },
    store::{item::Table, rate_limit},
};
use futures_util::{FutureExt, StreamExt};
use serde::Serialize;
use std::{marker::PhantomData, panic::AssertUnwindSafe};

/// The reason in the audit event of a request that was answered from an idempotency record.
const REPLAYED: &str = "idempotent_replay";
/// The number of items of a batch that run concurrently.
const IN_FLIGHT: usize = 8;

pub(crate) async fn run<E: Endpoint>(deps: &Deps, request: Request) -> Response {
    let work = async {
        let trace = Trace::default();
        let mut outcome = RequestOutcome::begin::<E>(deps, &request, &trace, Some(E::ACTION));
        let result = unwind(attempt::<E>(deps, &request, &mut outcome)).await;
        outcome.end(deps, &request, result).await
    };
    deps.log.writes_line(work).await
}

pub(crate) async fn run_platform<E: PlatformEndpoint>(deps: &Deps, request: Request) -> Response {
    let work = async {
        let trace = Trace::default();
        let mut outcome = RequestOutcome::begin::<E>(deps, &request, &trace, Some(E::ACTION));
        let result = unwind(attempt_platform::<E>(deps, &request, &mut outcome)).await;
        outcome.end(deps, &request, result).await
    };
    deps.log.writes_line(work).await
}

pub(crate) async fn run_batch<E: BatchEndpoint>(deps: &Deps, request: Request) -> Response {
    let work = async {
        let trace = Trace::default();
        let mut outcome = RequestOutcome::begin::<E>(deps, &request, &trace, Some(E::ACTION));
        let result = unwind(attempt_batch::<E>(deps, &request, &mut outcome)).await;
        outcome.end(deps, &request, result).await
    };
    deps.log.writes_line(work).await
}

pub(crate) async fn run_public<E: PublicEndpoint>(deps: &Deps, request: Request) -> Response {
    let work = async {
        let trace = Trace::default();
        let mut outcome = RequestOutcome::begin::<E>(deps, &request, &trace, None);
        outcome.audited = E::AUDITED;
        let result = unwind(attempt_public::<E>(deps, &request, &mut outcome)).await;
        outcome.end(deps, &request, result).await
    };
    deps.log.writes_line(work).await
}

/// Converts a panic to an internal error. The process continues: no data that outlives a request can be half changed by a panic.
pub(crate) async fn unwind<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| Err(Error::internal("panic")))
}

async fn attempt<'a, E: Endpoint>(deps: &'a Deps, request: &'a Request, outcome: &mut RequestOutcome<'a>) -> Result<Response> {
    let (context, input) = enter::<E>(deps, request, outcome).await?;
    let context = &context;
    let target = E::target(&Scope::new(context), &input).await.inspect_err(|_| name_wanted(context))?;
    authorize(context, outcome, E::ACTION, &target)?;
    if let Some(response) = replay_read(context).await? {
        return replayed(context, outcome, response).await;
    }
    let mut permit = Permit { work: Work::new(context), target: &target };
    let output = match E::handle(&mut permit, input).await {
        Ok(output) => output,
        Err(refused) => return twin_or(context, outcome, refused).await,
    };
    let effects = permit.work.effects;
    let response = answer::<E>(&output, &effects)?;
    commit(context, outcome, effects, response).await
}

async fn attempt_platform<'a, E: PlatformEndpoint>(
    deps: &'a Deps,
    request: &'a Request,
    outcome: &mut RequestOutcome<'a>,
) -> Result<Response> {
    let (context, input) = enter::<E>(deps, request, outcome).await?;
    let tenant = match E::subject(&input) {
        Subject::Platform => {
            authorize(&context, outcome, E::ACTION, &PlatformResource(deps.config.deployment.clone()))?;
            TenantId::PLATFORM
        }
        Subject::Tenant(tenant) => {
            authorize(&context, outcome, E::ACTION, &Organization(tenant))?;
            tenant
        }
    };
    // The scope opens here, in the tenant of the request.
    let context = Context { activity: Activity { tenant, ..context.activity.clone() }, ..context };
    let mut platform = Platform::new(&context);
    let output = match E::handle(&mut platform, input).await {
        Ok(output) => output,
        Err(refused) => return twin_or(&context, outcome, refused).await,
    };
    let effects = platform.effects;
    let response = answer::<E>(&output, &effects)?;
    commit(&context, outcome, effects, response).await
}

async fn attempt_batch<'a, E: BatchEndpoint>(
    deps: &'a Deps,
    request: &'a Request,
    outcome: &mut RequestOutcome<'a>,
) -> Result<Response> {
    let (context, input) = enter::<E>(deps, request, outcome).await?;
    let context = &context;
    let target = E::target(&Scope::new(context), &input).await?;
    authorize(context, outcome, E::ACTION, &target)?;
    if let Some(claim) = &context.claim {
        Head::claim(context, claim).await?;
    }
    let shared: &RequestOutcome<'_> = outcome;
    let items = futures_util::stream::iter(E::items(input).into_iter().enumerate());
    let results: Vec<_> = items.map(|(i, item)| one_item::<E>(context, shared, i, item)).buffered(IN_FLIGHT).collect().await;
    // Every item has written its own event.
    outcome.recorded = true;
    answer::<E>(&BatchOutput::<E::Done>::of(results)?, &Effects::default())
}

/// One item: it has its own trace, audit event, idempotency record and transaction.
async fn one_item<E: BatchEndpoint>(
    context: &Context<'_>,
    outcome: &RequestOutcome<'_>,
    index: usize,
    item: E::Item,
) -> ItemResult {
    let trace = Trace::default();
    let claim = context.claim.as_ref().map(|claim| claim.item(index));
    let mut outcome = outcome.for_item(&trace);
    let context = Context { activity: outcome.activity.clone(), claim, ..context.clone() };
    let answered = async {
        let work = async {
            let mut batch = Batch::<E>::new(&context);
            let output = E::handle(&mut batch, item).await?;
            let (body, issues) = body_of(&output)?;
            let response = Response { issues, ..Response::json(201, body) };
            commit(&context, &mut outcome, batch.effects, response).await
        };
        let result = unwind(work).await;
        outcome.settle(context.deps, context.request, result).await
    };
    ItemResult { index, response: telemetry::no_line(answered).await }
}

async fn attempt_public<'a, E: PublicEndpoint>(
    deps: &'a Deps,
    request: &'a Request,
    outcome: &mut RequestOutcome<'a>,
) -> Result<Response> {
    let (caller, now) = (network_limit::caller(request), outcome.activity.now);
    let limit = match E::PER_NETWORK {
        _ if !E::AUDITED => return serve_public::<E>(deps, request, outcome, None).await.0,
        PerNetwork::Requests(limit) => {
            outcome.budget = Some(rate_limit::before_sign_in(&deps.db, limit, &caller, now).await?);
            return serve_public::<E>(deps, request, outcome, None).await.0;
        }
        PerNetwork::Failures(limit) => limit,
    };
    let Standing { budget, spent } = network_limit::standing(&deps.db, limit, &caller, now).await?;
    outcome.budget = Some(budget);
    match serve_public::<E>(deps, request, outcome, spent).await {
        (Err(error), false) if matches!(error.status(), 400 | 401 | 413 | 415 | 422) => {
            outcome.budget = Some(network_limit::failed(&deps.db, limit, &caller, now).await?);
            Err(error)
        }
        (result, _) => result,
    }
}

/// The answer, and whether the caller was recognised or has presented a secret.
async fn serve_public<'a, E: PublicEndpoint>(
    deps: &'a Deps,
    request: &'a Request,
    outcome: &mut RequestOutcome<'a>,
    spent: Option<rate_limit::Spent>,
) -> (Result<Response>, bool) {
    let input = request.headers.one_of_each().and_then(|()| {
        request.body.as_ref().map_err(Clone::clone)?;
        input::parse(request)
    });
    let input = match input {
        Ok(input) => input,
        Err(error) => return (Err(error), false),
    };
    let mut public = Public::<E> {
        deps,
        request,
        activity: outcome.activity.clone(),
        began: outcome.activity.now,
        spent,
        vouched: false,
        member: None,
        writes: Writes::default(),
        of: PhantomData,
    };
    // On the heap, because a sign-in's future is the largest of all.
    let result = Box::pin(E::handle(&mut public, input)).await;
    let Public { member, vouched, writes, .. } = public;
    let known = vouched || member.is_some();
    if let Some(member) = member {
        outcome.recognise(&member, request);
    }
    // The endpoint determines the name of the invalid credential; the checks are the same for all endpoints.
    let called = |error| match error {
        Error::Unauthenticated(AuthFailure::InvalidCredentials) => Error::Unauthenticated(E::REFUSED),
        other => other,
    };
    let written = async {
        let response = answer::<E>(&result.map_err(called)?, &Effects::default())?;
        if E::COUNTED && writes.is_empty() {
            commit::counted(deps, outcome, request, &response).await?;
        } else {
            commit::public(deps, outcome, writes, &response).await.map_err(called)?;
        }
        Ok(response)
    };
    (written.await, known)
}

/// Session, tenant profile, purpose, idempotency key, input: the steps for every signed-in caller.
async fn enter<'a, E: Operation>(
    deps: &'a Deps,
    request: &'a Request,
    outcome: &mut RequestOutcome<'a>,
) -> Result<(Context<'a>, E::Input)> {
    // The authorizer's answer may be cached, so it does not show to whom the other credential belongs.
    request.headers.one_credential()?;
    let identity = Identity::from_context(|name| request.authorizer(name))?;
    outcome.claimed(&identity);
    let gate = deps.gates.of(identity.tenant).await?;
    let idle = gate.settings.idle(deps.config.session_idle);
    outcome.limit = gate.settings.limit(E::LIMIT);
    let touched =
        session::touch(&deps.db, identity, (outcome.limit, E::COST), idle, outcome.activity.now, Presence::Person).await;
    let (principal, budget) = touched?;
    outcome.budget = Some(budget);
    outcome.who = Who::user(&principal, request);
    gate.enter()?;
    deps.tenant_quotas.take(principal.tenant(), gate.settings.tenant_quota(), E::COST, outcome.activity.now).await?;
    request.headers.one_of_each()?;
    request.body.as_ref().map_err(Clone::clone)?;
    outcome.purpose = purpose::<E>(request)?;
    let claim = match E::IDEMPOTENCY {
        IdempotencyKey::Ignored => None,
        IdempotencyKey::Optional => Claim::of::<E>(request, &principal, outcome.purpose)?,
        IdempotencyKey::Required => {
            let missing =
                Error::bad_request("idempotency_key_required", "this request creates something: send an `Idempotency-Key`");
            Some(Claim::of::<E>(request, &principal, outcome.purpose)?.ok_or(missing)?)
        }
    };
    let input = input::parse(request)?;
    let operators = &deps.config.operator_networks;
    let circumstances =
        Circumstances::of(&principal, &gate, operators, &request.source_ip, outcome.purpose, outcome.activity.now);
    let context = Context {
        deps,
        request,
        activity: Activity { tenant: principal.tenant(), ..outcome.activity.clone() },
        principal,
        circumstances,
        claim,
    };
    Ok((context, input))
}

/// A request for PHI needs a purpose; for other requests the header is ignored.
fn purpose<E: Operation>(request: &Request) -> Result<Option<Purpose>> {
    if matches!(E::DATA, Data::NoPhi) {
        return Ok(None);
    }
    match request.header(Header::PurposeOfUse) {
        None => Err(Error::bad_request("purpose_of_use_required", "PHI needs a purpose: send `X-Purpose-Of-Use`")),
        Some(text) => {
            let unknown = Error::bad_request("invalid_purpose_of_use", "`X-Purpose-Of-Use` must be TREAT, HPAYMT or HOPERAT");
            text.parse().map(Some).map_err(|()| unknown)
        }
    }
}

/// Evaluates the policy. A resource that the caller may not see is not found.
fn authorize<R: Resource>(context: &Context<'_>, outcome: &mut RequestOutcome<'_>, action: Action, target: &R) -> Result<()> {
    if target.is_item() {
        context.trace.with(|t| t.aimed_at.push((R::TYPE.to_owned(), target.id())));
    }
    let Context { deps, principal, circumstances, .. } = context;
    let may = |action, circumstances: &Circumstances| deps.policies.decide(principal, action, target, circumstances);
    let decided = may(action, circumstances)?;
    let (allowed, refusal) = (decided.allowed, decided.refusal);
    outcome.decided = Some(decided);
    if allowed {
        return Ok(());
    }
    // A caller who would be permitted in better circumstances gets the missing circumstance; others get "forbidden".
    let best = Circumstances::best_for(principal);
    let refusal = match refusal {
        Some(refusal) if may(action, &best)?.allowed => refusal,
        _ => Refusal::Policy,
    };
    let seen = match R::VIEW {
        None => true,
        Some(view) => {
            let circumstances = if refusal == Refusal::Policy { circumstances } else { &best };
            deps.policies.decide_view(principal, view, target, circumstances)?.allowed
        }
    };
    if seen {
        return Err(Error::Forbidden(refusal));
    }
    outcome.reason = Some("forbidden");
    Err(Error::NotFound)
}

/// Adds the target of a refused request to the audit event: only ids, as they were in the path.
fn name_wanted(context: &Context<'_>) {
    let ids = context.request.path.iter().filter(|(_, text)| text.split_once('_').is_some_and(|(_, digits)| digits.len() == 32));
    context.trace.with(|t| t.aimed_at.extend(ids.map(|(name, id)| (name.clone(), id.clone()))));
}

/// The stored answer for this request, if the record was read with the target.
async fn replay_read(context: &Context<'_>) -> Result<Option<Response>> {
    let Some(claim) = &context.claim else { return Ok(None) };
    let Earlier::Read(Some(row)) = context.trace.with(|t| std::mem::take(&mut t.earlier)) else { return Ok(None) };
    claim.replay(context, &row).await
}

/// The handler's refusal, unless the first request with this key has just caused it: the record and the target are read by one
/// call, but not at one instant.
async fn twin_or(context: &Context<'_>, outcome: &mut RequestOutcome<'_>, refused: Error) -> Result<Response> {
    let Some(claim) = context.claim.as_ref().filter(|_| refused.status() < 500) else { return Err(refused) };
    let [row] = context.deps.db.get_each(context.principal.tenant(), [(Table::Ephemera, claim.key())]).await?;
    let row = row.ok_or(refused.clone())?;
    let twin = claim.replay(context, &row).await?.ok_or(refused)?;
    replayed(context, outcome, twin).await
}

async fn replayed(context: &Context<'_>, outcome: &mut RequestOutcome<'_>, twin: Response) -> Result<Response> {
    outcome.reason = Some(REPLAYED);
    commit::write_event(context, outcome, &twin, &[]).await?;
    Ok(twin)
}

fn answer<E: Operation>(output: &impl Serialize, effects: &Effects) -> Result<Response> {
    let (body, issues) = if E::STATUS == 204 { (Vec::new(), false) } else { body_of(output)? };
    let mut response = Response { issues, ..Response::json(E::STATUS, body) };
    if let Some(version) = effects.etag {
        response.set("etag", &format!("\"{}\"", version.0));
    }
    if let Some(location) = &effects.location {
        response.set("location", location);
    }
    Ok(response)
}

/// Commits the changes with their event; a read's event is written before its answer is returned. An idempotency key is stored
/// even without changes, because a repetition might find something to change.
async fn commit(
    context: &Context<'_>,
    outcome: &mut RequestOutcome<'_>,
    effects: Effects,
    response: Response,
) -> Result<Response> {
    if effects.is_empty() && context.claim.is_none() {
        commit::write_event(context, outcome, &response, &effects.changes.changed).await?;
        return Ok(response);
    }
    match commit::changes(context, outcome, effects, &response).await? {
        Committed::Done => Ok(response),
        Committed::Twin(row) => {
            let claim = context.claim.as_ref().ok_or(Error::internal("twin"))?;
            let twin = claim.replay(context, &row).await?.ok_or(Error::internal("twin"))?;
            replayed(context, outcome, twin).await
        }
    }
}
