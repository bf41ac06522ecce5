//! The processing of a message: envelope, schema, parts; for each part its work, ONE commit, its sends. A schedule's run is the
//! same without a message.

use super::{
    Background, Consumer, DeadLetter, Delivery, Incoming, JobContext, Part, Schedule, Tick,
    message::{self, Received},
    queue::tenant_of_group,
    round::Round,
    waiting,
};
use crate::{
    audit::{
        activity::Activity,
        event::{Record, Who},
        session_end,
        trace::Trace,
    },
    base::{Error, EventId, Result, TenantId, Timestamp, error::Cause, random::backoff, telemetry},
    request::{Deps, pipeline::unwind},
    store::{
        Envelope, Message, Undecodable,
        changes::{Changes, Condition, Op},
        dynamodb,
        item::{Item, Key, Table},
        transaction::{NotCommitted, Unit},
    },
};
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, future::join_all, stream};
use std::{collections::BTreeMap, marker::PhantomData, time::Duration};

/// The number of messages, and of parts of a message, that run concurrently.
pub(crate) const IN_FLIGHT: usize = 8;
/// The time before a function's end at which its last commit must be finished.
const MARGIN: Duration = Duration::from_millis(500);
/// The number of tries of one part's work if the data that it read has changed.
const ATTEMPTS: u32 = 10;
/// A queue keeps a message for at most fourteen days. The record that it was handled is kept for one day more.
const REMEMBERED: Duration = Duration::from_secs(15 * 24 * 60 * 60);
/// A redelivered message that is older was put back from a dead-letter queue, and may be put back once more within fourteen days.
const PUT_BACK: Duration = Duration::from_secs(24 * 60 * 60);

/// The result of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// Nothing had to be changed.
    Nothing,
    Committed,
    /// The part was handled before.
    Before,
    /// Another run was faster: the bookkeeping has changed since it was read.
    Overtaken,
    /// Its tenant is stopped, so the message was stored for later.
    Waits,
    /// It has another version of its event than the consumer consumes.
    PassedOver,
}

/// The work that a message causes now.
enum Work<P> {
    Parts(Vec<P>),
    Skipped(Done),
}

impl Done {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Committed => "committed",
            Self::Before => "before",
            Self::Overtaken => "overtaken",
            Self::Waits => "waits",
            Self::PassedOver => "passed_over",
        }
    }
}

/// Handles a batch. Messages of one group are handled in order. After the first failure, the rest of its group is redelivered.
/// Each message of a standard queue is its own group.
pub(crate) async fn consume<C: Consumer>(deps: &Deps, event: SqsEvent, deadline: Option<Timestamp>) -> SqsBatchResponse {
    deps.log.hears(all_messages::<C>(deps, event, deadline)).await
}

async fn all_messages<C: Consumer>(deps: &Deps, event: SqsEvent, deadline: Option<Timestamp>) -> SqsBatchResponse {
    let mut groups: BTreeMap<String, Vec<SqsMessage>> = BTreeMap::new();
    for (i, message) in event.records.into_iter().enumerate() {
        let group = message.attributes.get("MessageGroupId").cloned().unwrap_or_else(|| format!("#{i:05}"));
        groups.entry(group).or_default().push(message);
    }
    let failed = stream::iter(groups.into_values()).map(async |group| {
        let mut failed: Vec<(String, QueueMessage, String)> = Vec::new();
        for message in group {
            let (id, queued) = (message.message_id.clone().unwrap_or_default(), QueueMessage::of(&message, deps.clock.now()));
            let reason = match failed.first() {
                None => match one_message::<C>(deps, &id, &queued, deadline).await {
                    Ok(()) => continue,
                    Err(error) => error.said(),
                },
                Some((first, _, reason)) => format!("behind {first}: {reason}"),
            };
            failed.push((id, queued, reason));
        }
        join_all(failed.iter().map(|(id, queued, reason)| leave_reason::<C>(deps, id, queued, reason))).await;
        failed.into_iter().map(|(id, ..)| id).collect::<Vec<_>>()
    });
    let failed: Vec<Vec<String>> = failed.buffer_unordered(IN_FLIGHT).collect().await;
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed
        .into_iter()
        .flatten()
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect();
    response
}

/// A message as its queue delivered it.
struct QueueMessage {
    now: Timestamp,
    receives: i64,
    received: std::result::Result<Received, Undecodable>,
    /// The tenant of its group, in a FIFO queue.
    group: Option<TenantId>,
}

impl QueueMessage {
    fn of(message: &SqsMessage, now: Timestamp) -> Self {
        let attribute = |name: &str| message.attributes.get(name);
        Self {
            now,
            receives: attribute("ApproximateReceiveCount").and_then(|n| n.parse().ok()).unwrap_or(1),
            received: message::received(message, now),
            group: attribute("MessageGroupId").and_then(|group| tenant_of_group(group)),
        }
    }

    fn envelope(&self) -> Option<&Envelope> {
        match &self.received {
            Ok(Received::Envelope(envelope)) => Some(envelope),
            _ => None,
        }
    }
}

/// Handles a single message.
async fn one_message<C: Consumer>(deps: &Deps, id: &str, queued: &QueueMessage, deadline: Option<Timestamp>) -> Result<()> {
    let now = queued.now;
    match &queued.received {
        Ok(Received::Notice(name)) => pass_over::<C>(name, now),
        Ok(Received::Envelope(envelope)) => {
            telemetry::one_line(unwind(one_envelope::<C>(deps, envelope, now, end::<C>(now, deadline)))).await?
        }
        Err(undecodable) => return Err(poison(*undecodable)),
    }
    if queued.receives >= i64::from(C::QUEUE.receives) {
        // The previous try has stored a reason. It would only mislead its reader, so this write may fail.
        let _ = DeadLetter::write_handled(&deps.db, &C::QUEUE, id, now).await;
    }
    Ok(())
}

/// Stores the reason of a message that will not be redelivered: its own reason, or that of an earlier message in its group.
async fn leave_reason<C: Consumer>(deps: &Deps, id: &str, queued: &QueueMessage, reason: &str) {
    // Also before the last try, because that may end without any output.
    if queued.receives + 1 < i64::from(C::QUEUE.receives) {
        return;
    }
    let envelope = queued.envelope();
    let letter = DeadLetter {
        message_id: id.to_owned(),
        tenant: envelope.map(|e| e.tenant_id).or(queued.group),
        event_id: envelope.map(|e| e.id),
        schema: envelope.map(|e| e.schema.clone()),
        reason: reason.to_owned(),
        failed_at: queued.now,
        receives: queued.receives,
    };
    // Best effort: the queue moves the message, with or without a stored reason.
    if letter.write(&deps.db, &C::QUEUE).await.is_err() {
        telemetry::line! { "level" = "error", "function" = C::NAME, "event" = "dead letter without its reason" };
    }
}

/// Acknowledges a notice, and writes a log line that counts it.
fn pass_over<C: Consumer>(name: &'static str, now: Timestamp) {
    telemetry::line! {
        "level" = "info",
        "event" = "queue.notice",
        "timestamp" = now,
        "function" = C::NAME,
        "notice" = name,
    };
}

async fn one_envelope<C: Consumer>(deps: &Deps, envelope: &Envelope, now: Timestamp, deadline: Timestamp) -> Result<()> {
    let trace = Trace::default();
    let job = JobContext::new(deps, envelope.tenant_id, Some(envelope), (now, deadline), &trace);
    let parts = async {
        let message = match C::Message::decode(envelope) {
            Ok(message) => message,
            // During a change of versions, functions and rules are replaced one by one. The version that this consumer knows
            // arrives separately.
            Err(Undecodable::UnknownSchema) if C::Message::SCHEMAS.iter().any(|known| known.name == envelope.schema) => {
                return Ok(Work::Skipped(Done::PassedOver));
            }
            Err(undecodable) => return Err(poison(undecodable)),
        };
        // On the heap, because it is rarely needed and would otherwise be part of every message's future.
        if C::WAITS && Box::pin(waiting::put_aside(deps, &C::QUEUE, envelope, deadline)).await? {
            return Ok(Work::Skipped(Done::Waits));
        }
        C::parts(&Incoming { job: &job, of: PhantomData }, message).await.map(Work::Parts)
    };
    let parts = match parts.await {
        Ok(Work::Parts(parts)) => parts,
        Ok(Work::Skipped(done)) => {
            line::<C>(&job, "", &Ok(done));
            return Ok(());
        }
        Err(error) => {
            line::<C>(&job, "", &Err(error.clone()));
            return Err(error);
        }
    };
    let about = trace.with(|t| std::mem::take(&mut t.aimed_at));
    let (job, about) = (&job, about.as_slice());
    let work = stream::iter(parts).map(async |part| one_part::<C>(job, about, &part).await);
    first_error(work.buffer_unordered(IN_FLIGHT).collect::<Vec<_>>().await)
}

/// One run; returns the number of its parts.
pub(crate) async fn tick<S: Schedule>(deps: &Deps, deadline: Option<Timestamp>) -> Result<usize> {
    deps.log.writes_line(all_tenants::<S>(deps, deadline)).await
}

async fn all_tenants<S: Schedule>(deps: &Deps, deadline: Option<Timestamp>) -> Result<usize> {
    let now = deps.clock.now();
    let trace = Trace::default();
    let job = JobContext::new(deps, TenantId::PLATFORM, None, (now, end::<S>(now, deadline)), &trace);
    let Some(most) = S::IN_ROUNDS_OF else {
        let (parts, done) = some_tenants::<S>(&job, None).await?;
        return done.map(|()| parts);
    };
    let tenants = Tick::<S> { job: &job, only: None, of: PhantomData }.listed().await;
    line::<S>(&job, "due", &tenants.as_ref().map(|_| Done::Nothing).map_err(Clone::clone));
    let mut tenants = tenants?;
    tenants.sort_unstable();
    // The last slice must have time to finish as well.
    let until = job.deadline.minus(Duration::from_secs(S::TIMEOUT_SECS.into()) / 3);
    let mut round = Round { db: &deps.db, schedule: S::NAME, tenants, joined: None };
    let (mut parts, mut done) = (0, Ok(()));
    loop {
        let at = deps.clock.now();
        let taken = if at < until { round.take(most, at).await? } else { None };
        let Some(taken) = taken else { return done.map(|()| parts) };
        match some_tenants::<S>(&job, Some(&taken)).await {
            Ok((some, result)) => {
                parts += some;
                done = done.and(result);
            }
            Err(error) => done = done.and(Err(error)),
        }
    }
}

/// Does the due work in all tenants, or in the given ones. Returns the number of parts, and their results.
async fn some_tenants<S: Schedule>(job: &JobContext<'_>, only: Option<&[TenantId]>) -> Result<(usize, Result<()>)> {
    let due = unwind(S::due(&Tick { job, only, of: PhantomData })).await;
    if only.is_none() || due.is_err() {
        line::<S>(job, "due", &due.as_ref().map(|_| Done::Nothing).map_err(Clone::clone));
    }
    let due = due?;
    let parts = due.len();
    let work = stream::iter(due).map(async |(tenant, part)| {
        let job = JobContext { activity: Activity { tenant, ..job.activity.clone() }, ..job.clone() };
        one_part::<S>(&job, &[], &part).await
    });
    Ok((parts, first_error(work.buffer_unordered(IN_FLIGHT).collect::<Vec<_>>().await)))
}

/// One part: its own trace, audit event, deduplication record and transaction, and then its sends.
async fn one_part<B: Background>(job: &JobContext<'_>, about: &[(String, String)], part: &B::Part) -> Result<()> {
    let name = part.name();
    let trace = Trace::default();
    trace.with(|t| t.aimed_at = about.to_vec());
    let job = job.part(&trace);
    let work = async {
        let result = unwind(work::<B>(&job, &name, part)).await;
        line::<B>(&job, &name, &result);
        result.map(drop)
    };
    telemetry::one_line(work).await
}

async fn work<B: Background>(job: &JobContext<'_>, name: &str, part: &B::Part) -> Result<Done> {
    let handled = job.envelope.map(|envelope| handled_key(B::NAME, envelope.id, name));
    let mut attempt = 1;
    let worked = loop {
        let mut delivery = Delivery::<B>::new(job);
        let worked = match B::handle(&mut delivery, part).await {
            Ok(()) => commit(job, B::NAME, delivery.changes, handled.as_ref()).await,
            Err(refused) => Err(refused),
        };
        if attempt == ATTEMPTS || !matches!(worked, Err(Error::Contended)) {
            break worked;
        }
        job.trace.with(|t| t.touched.clear());
        tokio::time::sleep(backoff(attempt)).await;
        attempt += 1;
    };
    let done = match worked {
        Ok(done) => done,
        // The refusal may be the effect of its own earlier success.
        Err(refused) if refused.status() < 500 => match &handled {
            Some(key) if is_handled(job, key).await? => Done::Before,
            _ => return Err(refused),
        },
        Err(error) => return Err(error),
    };
    if let (Done::Before, Some(key), Some(envelope)) = (done, &handled, job.envelope)
        && job.now.since(envelope.occurred_at) > PUT_BACK
    {
        remember(job, key).await?;
    }
    let mut attempt = 1;
    loop {
        // The touched resources belong to its own event.
        let trace = Trace::default();
        let sends = job.part(&trace);
        let mut delivery = Delivery::<B>::new(&sends);
        let sent = B::after(&mut delivery, part).await;
        let sent = match sent {
            Ok(()) => commit(&sends, B::NAME, delivery.changes, None).await,
            Err(error) => Err(error),
        };
        if attempt == ATTEMPTS || !matches!(sent, Err(Error::Contended)) {
            return sent.map(|_| done);
        }
        tokio::time::sleep(backoff(attempt)).await;
        attempt += 1;
    }
}

fn handled_key(function: &str, event: EventId, part: &str) -> Key {
    // Sort keys must not be empty.
    Key::new(format!("HANDLED#{function}#{event}"), format!("PART#{part}"))
}

async fn is_handled(job: &JobContext<'_>, key: &Key) -> Result<bool> {
    let row = job.deps.db.get(job.tenant, Table::Ephemera, key).await?;
    Ok(row.is_some_and(|row| row.maybe_number("expires_at").is_some_and(|at| at >= job.now.as_secs())))
}

/// Extends the record that a part was handled.
async fn remember(job: &JobContext<'_>, key: &Key) -> Result<()> {
    let expires = AttributeValue::N(job.now.plus(REMEMBERED).as_secs().to_string());
    let update = dynamodb::Update {
        expression: "SET expires_at = :expires",
        condition: Some("attribute_exists(pk)"),
        values: vec![(":expires", expires)],
        ..dynamodb::Update::default()
    };
    job.deps.db.update(job.tenant, Table::Ephemera, key, update).await.map(drop)
}

/// Commits business changes, bookkeeping, audit event, domain events and deduplication record in one transaction. Bookkeeping
/// alone is one update for each item and is not audited.
async fn commit(job: &JobContext<'_>, name: &str, changes: Changes, handled: Option<&Key>) -> Result<Done> {
    let (deps, tenant, now) = (job.deps, job.tenant, job.now);
    if changes.is_empty() {
        let mut done = Done::Nothing;
        for note in &changes.notes {
            done = if deps.db.edit(tenant, Table::Records, note).await? { Done::Committed } else { Done::Overtaken };
        }
        return Ok(done);
    }
    let mut unit = Unit::default();
    for (op, or) in changes.ops {
        unit.push(tenant, op, or);
    }
    let first_note = unit.ops.len();
    for note in changes.notes {
        unit.push(tenant, Op::Edit { table: Table::Records, edit: note }, Error::internal("bookkeeping"));
    }
    let notes = first_note..unit.ops.len();
    let on_behalf_of =
        job.envelope.and_then(|e| e.on_behalf_of.as_deref().or_else(|| e.actor.starts_with("usr_").then_some(&e.actor)));
    let of = Record::of(&job.activity, name, Who::service(name));
    let record = Record { on_behalf_of, changes: &changes.changed, ..of };
    let record = job.trace.with(|traced| record.gathered(traced));
    unit.push(tenant, record.op()?, Error::internal("audit event exists"));
    session_end::end(&mut unit, tenant, changes.endings, &record)?;
    for event in changes.events {
        unit.push(tenant, Envelope::of(&record, tenant, event).op()?, Error::internal("domain event"));
    }
    if let Some(key) = handled {
        // The last operation, because its failure takes precedence over any other condition's.
        let item = Item::new(key.clone()).number("expires_at", now.plus(REMEMBERED).as_secs());
        let condition = Some(Condition::AbsentOrExpired { now_secs: now.as_secs() });
        unit.push(tenant, Op::Put { table: Table::Ephemera, item, condition }, Error::internal("handled"));
    }
    match unit.commit(&deps.db, job.deadline).await {
        Ok(()) => Ok(Done::Committed),
        Err(NotCommitted::Condition { index, .. }) if handled.is_some() && unit.is_last(index) => Ok(Done::Before),
        // Another request changed the item first.
        Err(NotCommitted::Condition { index, .. }) if notes.contains(&index) => Ok(Done::Overtaken),
        Err(error) => Err(error.into()),
    }
}

fn line<B: Background>(job: &JobContext<'_>, part: &str, result: &Result<Done>) {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (envelope, error) = (job.envelope, result.as_ref().err());
    telemetry::end! {
        "level" = if error.is_some() { "error" } else { "info" },
        "timestamp" = job.now,
        "function" = B::NAME,
        "tenant.id" = job.tenant,
        "correlation_id" = job.correlation_id,
        "event.id" = envelope.map(|e| e.id),
        "event.schema" = envelope.map(|e| Cause::code(&e.schema)),
        "event.version" = envelope.map(|e| e.version),
        "event.age_ms" = envelope.map(|e| millis(job.now.since(e.occurred_at))),
        "part" = (!part.is_empty()).then(|| Cause::code(part)),
        "outcome" = result.as_ref().map_or("failed", |done| done.as_str()),
        "code" = error.map(Error::reason),
        "error.cause" = error.map(|e| Cause::code(&e.said())),
        "error.at" = error.and_then(Error::place),
        "stored.unknown" = job.deps.db.take_unknown(),
        "duration_ms" = millis(job.deps.clock.now().since(job.now)),
    };
}

fn end<B: Background>(now: Timestamp, deadline: Option<Timestamp>) -> Timestamp {
    deadline.unwrap_or_else(|| now.plus(Duration::from_secs(B::TIMEOUT_SECS.into()))).minus(MARGIN)
}

fn poison(undecodable: Undecodable) -> Error {
    let cause = match undecodable {
        Undecodable::NotAnEnvelope => "not_an_envelope",
        Undecodable::UnknownSchema => "unknown_schema",
        Undecodable::DoesNotFit => "does_not_fit",
    };
    Error::internal_because("message", Cause::code(cause))
}

fn first_error(results: Vec<Result<()>>) -> Result<()> {
    results.into_iter().collect()
}
