//! The context of background work: a message's envelope and a tenant's scope, before and during the work.

use super::{Background, Consumer, Queue, Schedule, message};
use crate::{
    audit::{activity::Activity, trace::Trace},
    base::{
        Error, EventId, Result, TenantId, Timestamp,
        error::{Cause, Refusal},
        need::needs,
        telemetry::{self, CorrelationId, LogValue},
    },
    identity::{Membership, membership, tenant},
    request::{Deps, Reader},
    store::{
        Envelope, Event, TableQuery,
        changes::Changes,
        dynamodb::Query,
        item::{Index, Key, Row, Table},
    },
};
use futures_util::{StreamExt, stream};
use phi::{Sealed, SealedFields, SearchToken};
use std::{marker::PhantomData, ops::Deref};

/// The number of tenants whose profiles or lists one run reads concurrently.
pub(crate) const TENANTS_AT_ONCE: usize = 16;
/// The log line that an alarm counts.
const TENANT_SKIPPED: &str = "tenant.skipped";

/// The context of a job: background work in one tenant.
#[derive(Clone, Debug)]
pub(crate) struct JobContext<'a> {
    pub(crate) deps: &'a Deps,
    pub(crate) activity: Activity<'a>,
    pub(crate) envelope: Option<&'a Envelope>,
}

impl<'a> Deref for JobContext<'a> {
    type Target = Activity<'a>;
    fn deref(&self) -> &Activity<'a> {
        &self.activity
    }
}

impl<'a> JobContext<'a> {
    /// A job of `deps` that begins at `now`.
    pub(crate) fn new(
        deps: &'a Deps,
        tenant: TenantId,
        envelope: Option<&'a Envelope>,
        (now, deadline): (Timestamp, Timestamp),
        trace: &'a Trace,
    ) -> Self {
        let correlation_id = envelope.map_or_else(|| CorrelationId::new(now), |envelope| envelope.correlation_id.clone());
        let (audit_id, policies) = (EventId::new(now), &*deps.policies);
        Self { deps, activity: Activity { tenant, now, deadline, correlation_id, audit_id, policies, trace }, envelope }
    }
    /// A part of it that has its own trace and audit event.
    pub(crate) fn part(&self, trace: &'a Trace) -> Self {
        Self { activity: self.activity.part(trace), ..self.clone() }
    }
    fn reader(&self) -> Reader<'a> {
        Reader { deps: self.deps, tenant: self.tenant, context: None }
    }
}

/// Background work in one tenant, which only reads: a message before its parts are determined, and the base of a [`Delivery`].
#[derive(Debug)]
pub struct JobScope<'a, B> {
    pub(crate) job: &'a JobContext<'a>,
    pub(crate) of: PhantomData<fn() -> B>,
}

/// A message, before its parts are determined.
pub type Incoming<'a, C> = JobScope<'a, C>;

/// One part of background work, in one tenant. It reads, seals, opens and collects changes; it cannot commit.
///
/// ```
/// fn handle<B: common::background::Background>(cx: &common::background::Delivery<'_, B>) -> common::base::TenantId {
///     cx.tenant()
/// }
/// ```
/// ```compile_fail,E0451
/// fn forge<'a, B: common::background::Background>() -> common::background::Delivery<'a, B> {
///     common::background::Delivery { scope: unreachable!(), changes: unreachable!() }
/// }
/// ```
#[derive(Debug)]
pub struct Delivery<'a, B> {
    scope: JobScope<'a, B>,
    pub(crate) changes: Changes,
}

impl<'a, B> Deref for Delivery<'a, B> {
    type Target = JobScope<'a, B>;
    fn deref(&self) -> &JobScope<'a, B> {
        &self.scope
    }
}

/// One run of a schedule, before it works in any tenant. It reads the lists of tenants and of due items, and no items.
#[derive(Debug)]
pub struct Tick<'a, S> {
    pub(crate) job: &'a JobContext<'a>,
    /// The tenants of this part of a round.
    pub(crate) only: Option<&'a [TenantId]>,
    pub(crate) of: PhantomData<fn() -> S>,
}

/// A due item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueItem {
    pub key: Key,
    pub at: Timestamp,
}

impl<'a, B: Background> JobScope<'a, B> {
    pub fn tenant(&self) -> TenantId {
        self.job.tenant
    }
    pub fn now(&self) -> Timestamp {
        self.job.now
    }
    /// The message; a schedule's work has none.
    pub fn envelope(&self) -> Option<&'a Envelope> {
        self.job.envelope
    }
    pub fn reader(&self) -> Reader<'a> {
        needs!(B, Read);
        self.job.reader()
    }
    /// All members of the tenant, including disabled ones.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn members(&self) -> Result<Vec<Membership>> {
        needs!(B, Read);
        membership::all(&self.job.deps.db, self.job.tenant).await
    }
    /// A field of the log line.
    pub fn log(&self, name: &'static str, value: impl LogValue) {
        telemetry::record(name, value);
    }
    /// The search token of a normalised value of `field`.
    ///
    /// # Errors
    /// 503 if the tenant's key is not in memory and KMS does not answer.
    pub async fn search_token(&self, field: &'static str, normalised: &str) -> Result<SearchToken> {
        needs!(B, Search);
        self.job.deps.keyring.of(self.job.tenant).search_token(field, normalised).await
    }
}

impl<C: Consumer> JobScope<'_, C> {
    /// Adds the message's subject to the audit event.
    pub fn about(&self, kind: &str, id: impl ToString) {
        self.job.trace.with(|t| t.aimed_at.push((kind.to_owned(), id.to_string())));
    }
}

impl<'a, B: Background> Delivery<'a, B> {
    pub(crate) fn new(job: &'a JobContext<'a>) -> Self {
        Self { scope: JobScope { job, of: PhantomData }, changes: Changes::default() }
    }
    /// The changes. The pipeline commits them, in one transaction with the audit event.
    pub fn changes(&mut self) -> &mut Changes {
        needs!(B, Write);
        &mut self.changes
    }
    /// Seals a record's PHI under a fresh record key, bound to `record`.
    ///
    /// # Errors
    /// 503 if the tenant's key is not in memory and KMS does not answer.
    pub async fn seal<T: SealedFields>(&self, record: &str, fields: &T) -> Result<Sealed<T>> {
        needs!(B, Seal);
        self.job.deps.keyring.of(self.job.tenant).seal(record, fields).await
    }
    /// Seals a record's PHI in place of the record `before`, which may contain data that this version does not know.
    ///
    /// # Errors
    /// 503 as [`seal`](Self::seal); internal if the previous record does not open.
    pub async fn reseal<T: SealedFields>(&self, record: &str, fields: &T, before: &Sealed<T>) -> Result<Sealed<T>> {
        needs!(B, Seal);
        self.job.deps.keyring.of(self.job.tenant).reseal(record, fields, before).await
    }
    /// Opens a record's PHI. It stays in the system, so nothing is disclosed.
    ///
    /// # Errors
    /// 503 as [`seal`](Self::seal); internal if the record does not open.
    pub async fn open<T: SealedFields>(&self, record: &str, sealed: &Sealed<T>) -> Result<T> {
        needs!(B, Seal);
        self.job.deps.keyring.of(self.job.tenant).open(record, sealed).await
    }
    /// A member of the tenant, if there is one with that id.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn member(&self, user: crate::base::UserId) -> Result<Option<Membership>> {
        needs!(B, Read);
        membership::of(&self.job.deps.db, self.job.tenant, user).await
    }
    /// Adds an item to the audit event as changed.
    pub fn touched(&self, kind: &str, id: impl ToString) {
        self.job.trace.with(|t| t.touched.push((kind.to_owned(), id.to_string())));
    }
    /// A message to one of our consumers, about this tenant.
    pub fn message<E: Event>(&self, event: E) -> Envelope {
        to_ourselves::<B, E>(self.job, self.job.tenant, event)
    }
    /// Sends messages to a consumer's queue at once, so call it in [`Background::after`].
    ///
    /// # Errors
    /// 503 if SQS did not accept all of them.
    pub async fn enqueue(&self, queue: &Queue, messages: &[Envelope]) -> Result<()> {
        needs!(B, Enqueue);
        self.job.deps.services.queues()?.send(queue, messages).await
    }
}

impl<S: Schedule> Tick<'_, S> {
    pub fn now(&self) -> Timestamp {
        self.job.now
    }

    /// A field of the log line.
    pub fn log(&self, name: &'static str, value: impl LogValue) {
        telemetry::record(name, value);
    }

    /// Every tenant, including the platform's own, in the order of creation. For a schedule that [waits](Background::WAITS), only
    /// active tenants, by profiles that may be five seconds old, and only those with an [agreement](Schedule::UNDER_AGREEMENT) if
    /// it needs one. A tenant whose profile cannot be read is [skipped](Self::skip) in this run.
    ///
    /// # Errors
    /// 503 if the list of tenants cannot be read; the last tenant's error if no tenant could be read.
    pub async fn tenants(&self) -> Result<Vec<TenantId>> {
        let tenants = match self.only {
            Some(only) => only.to_vec(),
            None => self.listed().await?,
        };
        if !S::WAITS {
            return Ok(tenants);
        }
        let agreed = |gate: &tenant::Tenant| gate.baa.is_some_and(|baa| baa.in_force_at(self.job.now));
        let active = async |tenant| match self.job.deps.gates.enter(tenant).await {
            Ok(gate) => Ok((!S::UNDER_AGREEMENT || agreed(&gate)).then_some(tenant)),
            Err(Error::Forbidden(Refusal::TenantInactive)) => Ok(None),
            Err(error) => Err(error),
        };
        let look = async |tenant| (Some(tenant), active(tenant).await);
        let looked = stream::iter(tenants).map(look).buffered(TENANTS_AT_ONCE).collect::<Vec<_>>().await;
        self.without_failed(looked)
    }

    /// All tenants.
    pub(crate) async fn listed(&self) -> Result<Vec<TenantId>> {
        needs!(S, Tenants);
        let query = Query { newest_first: false, ..TableQuery::index(Index::All, tenant::LIST).limit(1000) };
        let rows = self.job.deps.db.query_all(TenantId::PLATFORM, &query).await?;
        let listed: Vec<_> = rows.iter().map(|row| (None, row.parse("tenant_id").map(Some))).collect();
        self.without_failed(listed)
    }

    /// The due items of each tenant's `list`, longest due first, at most `most` for each; tenants without due items are omitted.
    /// It needs one Query for each tenant. The list may be stale, so the work must check the item itself. A tenant whose list
    /// cannot be read is [skipped](Self::skip) in this run, and so is an unreadable item.
    ///
    /// # Errors
    /// As [`tenants`](Self::tenants).
    pub async fn due(&self, list: &str, most: u32) -> Result<Vec<(TenantId, Vec<DueItem>)>> {
        self.due_in(Table::Records, list, most).await
    }

    /// The due items of a list in a table.
    pub(crate) async fn due_in(&self, table: Table, list: &str, most: u32) -> Result<Vec<(TenantId, Vec<DueItem>)>> {
        let read = async |tenant| {
            let due = self.due_of(tenant, table, list, most).await;
            (Some(tenant), due.map(|items| (!items.is_empty()).then_some((tenant, items))))
        };
        let read = stream::iter(self.tenants().await?).map(read).buffered(TENANTS_AT_ONCE).collect::<Vec<_>>().await;
        self.without_failed(read)
    }

    /// Skips a part of a tenant's work in this run, because of `error`; other tenants are not affected. The alarm
    /// `tenants-skipped` counts the log line.
    pub fn skip(&self, tenant: TenantId, error: &Error) {
        self.skipped(Some(tenant), error);
    }

    fn skipped(&self, tenant: Option<TenantId>, error: &Error) {
        telemetry::line! {
            "level" = "error",
            "event" = TENANT_SKIPPED,
            "timestamp" = self.job.now,
            "function" = S::NAME,
            "tenant.id" = tenant,
            "code" = error.reason(),
            "error.cause" = Cause::code(&error.said()),
            "correlation_id" = self.job.correlation_id,
        };
    }

    /// The results of tenants, without those that failed; an error if all failed.
    fn without_failed<T>(&self, looked: Vec<(Option<TenantId>, Result<Option<T>>)>) -> Result<Vec<T>> {
        let (all, mut found, mut failed) = (looked.len(), Vec::new(), Vec::new());
        for (tenant, result) in looked {
            match result {
                Ok(some) => found.extend(some),
                Err(error) => {
                    self.skipped(tenant, &error);
                    failed.push(error);
                }
            }
        }
        match failed.pop() {
            Some(error) if failed.len() + 1 == all => Err(error),
            _ => Ok(found),
        }
    }

    async fn due_of(&self, tenant: TenantId, table: Table, list: &str, most: u32) -> Result<Vec<DueItem>> {
        let query = TableQuery::index(Index::Due, list).between("0", self.job.now).limit(most);
        let query = Query { table, newest_first: false, ..query };
        let page = self.job.deps.db.query(tenant, &query, None).await?;
        let item = |row: &Row| Ok(DueItem { key: row.key()?, at: row.parse(Index::Due.sort_attribute())? });
        Ok(page.rows.iter().filter_map(|row| item(row).inspect_err(|error| self.skip(tenant, error)).ok()).collect())
    }

    /// A message to one of our consumers, about a tenant.
    pub fn message<E: Event>(&self, tenant: TenantId, event: E) -> Envelope {
        to_ourselves::<S, E>(self.job, tenant, event)
    }

    /// The approximate number of messages in a consumer's queue.
    ///
    /// # Errors
    /// 503 if SQS does not answer.
    pub async fn depth(&self, queue: &Queue) -> Result<u64> {
        needs!(S, Enqueue);
        self.job.deps.services.queues()?.depth(queue).await
    }

    /// Sends messages to a consumer's queue.
    ///
    /// # Errors
    /// 503 if SQS did not accept all of them.
    pub async fn enqueue(&self, queue: &Queue, messages: &[Envelope]) -> Result<()> {
        needs!(S, Enqueue);
        self.job.deps.services.queues()?.send(queue, messages).await
    }
}

fn to_ourselves<B: Background, E: Event>(job: &JobContext<'_>, tenant: TenantId, event: E) -> Envelope {
    let payload = serde_json::to_value(event).unwrap_or_default();
    let on_behalf_of = job.envelope.and_then(|e| e.on_behalf_of.clone());
    Envelope {
        actor: B::NAME.to_owned(),
        on_behalf_of,
        cause: job.audit_id,
        correlation_id: job.correlation_id.clone(),
        version: E::VERSION,
        ..message::of_ours(E::SCHEMA, tenant, payload, job.now)
    }
}
