//! Messages of a stopped tenant. They are stored in the tenant's own partition, where no queue's retention deletes them, and go
//! back into their queues when the tenant is active again.
//!
//! A message is stored on condition that the tenant is stopped at that moment, and messages are put back after the tenant has
//! become active. So no message is stored after the last search. A stored message is deleted only if it is unchanged since it was
//! read; one that was stored again meanwhile stays. Messages that are delivered twice by this are handled once, like all others.

use super::{Background, Delivery, Queue};
use crate::{
    aws::queues::Queues,
    base::{
        Error, Result, TenantId, Timestamp, Uuid,
        error::{Cause, Refusal},
        need::needs,
    },
    identity::tenant::{self, TenantStatus},
    request::Deps,
    store::{
        Envelope,
        changes::{Condition, Op},
        dynamodb::Query,
        item::{Item, Key, Table},
        transaction::{NotCommitted, Unit},
    },
};
use std::time::Duration;

const PARTITION: &str = "WAITING";
/// The number of messages that are put back at a time.
const AT_ONCE: u32 = 100;
/// The time before its end at which a run starts nothing more.
const MARGIN: Duration = Duration::from_secs(5);

/// Stores the message if its tenant is stopped; returns whether it did.
pub(super) async fn put_aside(deps: &Deps, queue: &Queue, envelope: &Envelope, deadline: Timestamp) -> Result<bool> {
    let tenant = envelope.tenant_id;
    if tenant == TenantId::PLATFORM || !is_stopped(deps, tenant).await? {
        return Ok(false);
    }
    let item = Item::new(Key::new(PARTITION, format!("{}#{}", queue.name, envelope.id)))
        .text("queue", queue.full_name())
        .text("envelope", envelope.to_json()?)
        .text("token", Uuid::from_bytes(crate::base::random::bytes()));
    let mut unit = Unit::default();
    unit.push(tenant, Op::Put { table: Table::Records, item, condition: None }, Error::internal("waiting message"));
    // A status that this version does not know makes messages wait, too.
    let goes_on = [TenantStatus::Pending, TenantStatus::Active].map(|s| Condition::IsNot("status", s.as_str().to_owned()));
    let condition = Condition::All([Condition::Present].into_iter().chain(goes_on).collect());
    unit.push(
        tenant,
        Op::Check { table: Table::Records, key: tenant::profile_key(), condition },
        Error::internal("active tenant"),
    );
    match unit.commit(&deps.db, deadline).await {
        Ok(()) => Ok(true),
        // Only the check of the status has a condition: the tenant is active again.
        Err(NotCommitted::Condition { .. }) => Ok(false),
        Err(NotCommitted::Failed(error)) => Err(error),
    }
}

/// The cached profile may be five seconds old, so the status is read again.
async fn is_stopped(deps: &Deps, tenant: TenantId) -> Result<bool> {
    match deps.gates.of(tenant).await {
        Ok(gate) if !gate.status.is_stopped() => Ok(false),
        Ok(_) => Ok(tenant::profile(&deps.db, tenant).await?.is_some_and(|profile| profile.status.is_stopped())),
        // The tenant is unknown.
        Err(Error::Forbidden(Refusal::TenantInactive)) => Ok(false),
        Err(error) => Err(error),
    }
}

impl<B: Background> Delivery<'_, B> {
    /// Puts the tenant's stored messages back into their queues, while the tenant is not stopped. It sends at once, so call it in
    /// [`Background::after`]. Returns their number.
    ///
    /// # Errors
    /// 503 if SQS or DynamoDB does not answer, or the time did not suffice for all.
    pub async fn release_waiting(&self) -> Result<usize> {
        needs!(B, Waiting);
        let (deps, tenant) = (self.job.deps, self.job.tenant);
        let queues = deps.services.queues()?;
        let mut released = 0;
        loop {
            if tenant::profile(&deps.db, tenant).await?.is_none_or(|profile| profile.status.is_stopped()) {
                return Ok(released);
            }
            if deps.clock.now() >= self.job.deadline.minus(MARGIN) {
                return Err(Error::Unavailable { service: "sqs", cause: Cause::code("more waits") });
            }
            // On the heap, because it is the innermost of many futures.
            let some = Box::pin(release_some(deps, queues, tenant)).await?;
            if some == 0 {
                return Ok(released);
            }
            released += some;
        }
    }
}

/// Sends first and then deletes: an interruption in between delivers a message twice.
async fn release_some(deps: &Deps, queues: &Queues, tenant: TenantId) -> Result<usize> {
    let query = Query { newest_first: false, ..Query::partition(Table::Records, PARTITION).limit(AT_ONCE) };
    let rows = deps.db.query(tenant, &query, None).await?.rows;
    // They are sorted by queue.
    for of_one in rows.chunk_by(|a, b| a.maybe_text("queue") == b.maybe_text("queue")) {
        let bodies = of_one.iter().map(|row| row.text("envelope").map(str::to_owned)).collect::<Result<Vec<_>>>()?;
        if let Some(first) = of_one.first() {
            queues.send_bodies(first.text("queue")?, &bodies).await?;
        }
    }
    for row in &rows {
        let as_it_was = Condition::Is("token", row.text("token")?.to_owned());
        let _ = deps.db.take(tenant, Table::Records, &row.key()?, &as_it_was).await?;
    }
    Ok(rows.len())
}
