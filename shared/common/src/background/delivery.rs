//! What background work is given: a message's envelope and a tenant's scope, before and at the work.

use super::{Background, Consumer, Queue, Schedule, message};
use crate::{
    Deps, Envelope, Error, Event, EventId, Membership, Need, Reader, Result, TableQuery, TenantId, Timestamp,
    db::Query,
    endpoint::declares,
    error::Refusal,
    membership, permit,
    scope::Trace,
    table::{Index, Key},
    telemetry::{CorrelationId, LogValue},
    tenant,
    unit::Changes,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use phi::{Sealed, SealedFields, SearchToken};
use std::marker::PhantomData;

/// How many tenants' gates, or lists, one run asks for at once.
const TENANTS_AT_ONCE: usize = 16;

/// What the pipeline knows of one piece of work in one tenant.
#[derive(Clone, Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) deps: &'a Deps,
    pub(crate) tenant: TenantId,
    pub(crate) now: Timestamp,
    pub(crate) deadline: Timestamp,
    pub(crate) correlation_id: CorrelationId,
    /// The id of the audit event that this work will leave.
    pub(crate) audit_id: EventId,
    pub(crate) envelope: Option<&'a Envelope>,
    pub(crate) trace: &'a Trace,
}

impl<'a> Ground<'a> {
    fn reader(&self) -> Reader<'a> {
        Reader { deps: self.deps, tenant: self.tenant, context: None }
    }
}

/// A message, before its parts are known.
#[derive(Debug)]
pub struct Incoming<'a, C> {
    pub(crate) ground: &'a Ground<'a>,
    pub(crate) of: PhantomData<fn() -> C>,
}

/// One part of background work, in one tenant. It reads, seals, opens and says what is to change; it cannot commit.
///
/// ```
/// fn handle<B: common::Background>(cx: &common::Delivery<'_, B>) -> common::TenantId {
///     cx.tenant()
/// }
/// ```
/// ```compile_fail,E0451
/// fn forge<'a, B: common::Background>() -> common::Delivery<'a, B> {
///     common::Delivery { ground: unreachable!(), changes: unreachable!(), of: unreachable!() }
/// }
/// ```
#[derive(Debug)]
pub struct Delivery<'a, B> {
    pub(crate) ground: &'a Ground<'a>,
    pub(crate) changes: Changes,
    pub(crate) of: PhantomData<fn() -> B>,
}

/// One run of a schedule, before it is in any tenant. It sees who there is and what is due, and no item.
#[derive(Debug)]
pub struct Tick<'a, S> {
    pub(crate) ground: &'a Ground<'a>,
    pub(crate) of: PhantomData<fn() -> S>,
}

/// An item whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueItem {
    pub key: Key,
    pub at: Timestamp,
}

macro_rules! scoped {
    ($Type:ident) => {
        impl<'a, B: Background> $Type<'a, B> {
            pub fn tenant(&self) -> TenantId {
                self.ground.tenant
            }
            pub fn now(&self) -> Timestamp {
                self.ground.now
            }
            /// The message; a schedule's work has none.
            pub fn envelope(&self) -> Option<&'a Envelope> {
                self.ground.envelope
            }
            pub fn reader(&self) -> Reader<'a> {
                const { assert!(declares(B::NEEDS, Need::Read), "reads items: add Need::Read to NEEDS") }
                self.ground.reader()
            }
            /// Everybody of the tenant, those who are disabled included.
            ///
            /// # Errors
            /// 503 where DynamoDB does not answer.
            pub async fn members(&self) -> Result<Vec<Membership>> {
                const { assert!(declares(B::NEEDS, Need::Read), "reads items: add Need::Read to NEEDS") }
                membership::all(&self.ground.deps.db, self.ground.tenant).await
            }
            /// A field of the log line.
            pub fn log(&self, name: &'static str, value: impl LogValue) {
                self.ground.trace.with(|t| t.line.set(name, value));
            }
            /// The search token of a normalised value of `field`.
            ///
            /// # Errors
            /// 503 where the tenant's key is not in memory and KMS does not answer.
            pub async fn search_token(&self, field: &'static str, normalised: &str) -> Result<SearchToken> {
                const { assert!(declares(B::NEEDS, Need::Search), "makes search tokens: add Need::Search to NEEDS") }
                let Ground { deps, tenant, .. } = self.ground;
                Ok(deps.keyring.search(*tenant).await?.field(&tenant.to_string(), field).token(normalised))
            }
        }
    };
}
scoped!(Incoming);
scoped!(Delivery);

impl<C: Consumer> Incoming<'_, C> {
    /// Puts what the message is about on the audit record.
    pub fn about(&self, kind: &str, id: impl ToString) {
        self.ground.trace.with(|t| t.aimed_at.push((kind.to_owned(), id.to_string())));
    }
}

impl<'a, B: Background> Delivery<'a, B> {
    pub(crate) fn new(ground: &'a Ground<'a>) -> Self {
        Self { ground, changes: Changes::default(), of: PhantomData }
    }
    /// What is to change. The pipeline commits it, in one transaction with the audit event.
    pub fn changes(&mut self) -> &mut Changes {
        const { assert!(declares(B::NEEDS, Need::Write), "changes items: add Need::Write to NEEDS") }
        &mut self.changes
    }
    /// Seals a record's PHI under a fresh record key, bound to `record`.
    ///
    /// # Errors
    /// 503 where the tenant's key is not in memory and KMS does not answer.
    pub async fn seal<T: SealedFields>(&self, record: &str, fields: &T) -> Result<Sealed<T>> {
        const { assert!(declares(B::NEEDS, Need::Seal), "seals PHI: add Need::Seal to NEEDS") }
        permit::seal(self.ground.deps, self.ground.tenant, record, fields).await
    }
    /// Opens a record's PHI. It stays in the system, so nothing is disclosed.
    ///
    /// # Errors
    /// 503 as [`seal`](Self::seal); internal where the record does not open.
    pub async fn open<T: SealedFields>(&self, record: &str, sealed: &Sealed<T>) -> Result<T> {
        const { assert!(declares(B::NEEDS, Need::Seal), "opens PHI: add Need::Seal to NEEDS") }
        permit::open(self.ground.deps, self.ground.tenant, record, sealed).await
    }
    /// A member of the tenant, if there is one of that id.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer.
    pub async fn member(&self, user: crate::UserId) -> Result<Option<Membership>> {
        const { assert!(declares(B::NEEDS, Need::Read), "reads items: add Need::Read to NEEDS") }
        membership::of(&self.ground.deps.db, self.ground.tenant, user).await
    }
    /// Puts an item on the audit record as changed.
    pub fn touched(&self, kind: &str, id: impl ToString) {
        self.ground.trace.with(|t| t.touched.push((kind.to_owned(), id.to_string())));
    }
    /// A message to a consumer of ours, about this tenant.
    pub fn message<E: Event>(&self, event: E) -> Envelope {
        to_ourselves::<B, E>(self.ground, self.ground.tenant, event)
    }
    /// Puts messages into a consumer's queue, at once: so it belongs into [`Background::after`].
    ///
    /// # Errors
    /// 503 where SQS did not take all of them.
    pub async fn enqueue(&self, queue: &Queue, messages: &[Envelope]) -> Result<()> {
        const { assert!(declares(B::NEEDS, Need::Enqueue), "puts messages into queues: add Need::Enqueue to NEEDS") }
        self.ground.deps.services.queues()?.send(queue, messages).await
    }
}

impl<S: Schedule> Tick<'_, S> {
    pub fn now(&self) -> Timestamp {
        self.ground.now
    }

    /// A field of the log line.
    pub fn log(&self, name: &'static str, value: impl LogValue) {
        self.ground.trace.with(|t| t.line.set(name, value));
    }

    /// Every tenant, the platform's own included, in the order in which they were made. Of a schedule that [waits](Background::WAITS)
    /// those that are active, by what the gate knew at most five seconds ago, and that have an [agreement](Schedule::UNDER_AGREEMENT)
    /// where it takes one.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer.
    pub async fn tenants(&self) -> Result<Vec<TenantId>> {
        const { assert!(declares(S::NEEDS, Need::Tenants), "looks over all tenants: add Need::Tenants to NEEDS") }
        let query = Query { newest_first: false, ..TableQuery::index(Index::All, tenant::LIST).limit(1000) };
        let rows = self.ground.deps.db.query_all(TenantId::PLATFORM, &query).await?;
        let tenants: Vec<TenantId> = rows.iter().map(|row| row.parse("tenant_id")).collect::<Result<_>>()?;
        if !S::WAITS {
            return Ok(tenants);
        }
        let agreed = |gate: &tenant::Tenant| gate.baa.is_some_and(|baa| baa.in_force_at(self.ground.now));
        let active = async |tenant| match self.ground.deps.gates.enter(tenant).await {
            Ok(gate) => Ok((!S::UNDER_AGREEMENT || agreed(&gate)).then_some(tenant)),
            Err(Error::Forbidden(Refusal::TenantInactive)) => Ok(None),
            Err(error) => Err(error),
        };
        let active: Vec<_> = stream::iter(tenants).map(active).buffered(TENANTS_AT_ONCE).try_collect().await?;
        Ok(active.into_iter().flatten().collect())
    }

    /// What of each tenant's `list` is due, longest first, `most` of each at most; who has nothing due is left out. One Query a
    /// tenant; it may lag behind by a moment, so whoever acts on it looks at the item itself. A tenant whose list cannot be read
    /// has its turn the next time, and holds up nobody else.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer, for any of them.
    pub async fn due(&self, list: &str, most: u32) -> Result<Vec<(TenantId, Vec<DueItem>)>> {
        let read = async |tenant| (tenant, self.due_of(tenant, list, most).await);
        let read: Vec<_> = stream::iter(self.tenants().await?).map(read).buffered(TENANTS_AT_ONCE).collect().await;
        let (mut due, mut unread) = (Vec::new(), Vec::new());
        for (tenant, items) in read {
            match items {
                Ok(items) => due.push((tenant, items)),
                Err(error) => unread.push(error),
            }
        }
        self.log("tenants.unread", unread.len());
        if let (true, Some(error)) = (due.is_empty(), unread.pop()) {
            return Err(error);
        }
        due.retain(|(_, items)| !items.is_empty());
        Ok(due)
    }

    async fn due_of(&self, tenant: TenantId, list: &str, most: u32) -> Result<Vec<DueItem>> {
        let query = TableQuery::index(Index::Due, list).between("0", self.ground.now).limit(most);
        let query = Query { newest_first: false, ..query };
        let page = self.ground.deps.db.query(tenant, &query, None).await?;
        page.rows.iter().map(|row| Ok(DueItem { key: row.key()?, at: row.parse(Index::Due.sort_attribute())? })).collect()
    }

    /// A message to a consumer of ours, about a tenant.
    pub fn message<E: Event>(&self, tenant: TenantId, event: E) -> Envelope {
        to_ourselves::<S, E>(self.ground, tenant, event)
    }

    /// About how many messages wait in a consumer's queue.
    ///
    /// # Errors
    /// 503 where SQS does not answer.
    pub async fn depth(&self, queue: &Queue) -> Result<u64> {
        const { assert!(declares(S::NEEDS, Need::Enqueue), "looks at queues: add Need::Enqueue to NEEDS") }
        self.ground.deps.services.queues()?.depth(queue).await
    }

    /// Puts messages into a consumer's queue.
    ///
    /// # Errors
    /// 503 where SQS did not take all of them.
    pub async fn enqueue(&self, queue: &Queue, messages: &[Envelope]) -> Result<()> {
        const { assert!(declares(S::NEEDS, Need::Enqueue), "puts messages into queues: add Need::Enqueue to NEEDS") }
        self.ground.deps.services.queues()?.send(queue, messages).await
    }
}

fn to_ourselves<B: Background, E: Event>(ground: &Ground<'_>, tenant: TenantId, event: E) -> Envelope {
    let payload = serde_json::to_value(event).unwrap_or_default();
    let on_behalf_of = ground.envelope.and_then(|e| e.on_behalf_of.clone());
    Envelope {
        actor: B::NAME.to_owned(),
        on_behalf_of,
        cause: ground.audit_id,
        correlation_id: ground.correlation_id.clone(),
        version: E::VERSION,
        ..message::of_ours(E::SCHEMA, tenant, payload, ground.now)
    }
}
