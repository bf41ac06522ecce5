//! Messages of a tenant that is stopped. Nobody works for it, and nothing of it is lost: its messages are put aside in its own
//! partition, where no queue's retention ends them, and go back into their queues when it is active again.
//!
//! A message is put aside under the condition that the tenant is stopped at that moment; whoever puts messages back looks after the
//! tenant has become active. So none is put aside after the last look. And it is taken away only as it was read: one that was put
//! aside again meanwhile stays. What is told twice by all this is handled once, as ever.

use super::{Background, Delivery, Queue};
use crate::{
    aws::queues::Queues,
    base::{
        Error, Need, Result, TenantId, Timestamp, Uuid,
        error::{Cause, Refusal},
        need::declares,
    },
    identity::tenant::{self, TenantStatus},
    request::Deps,
    store::{
        Envelope,
        changes::{Condition, Op},
        dynamodb::Query,
        item::{Item, Key, Table},
        transaction::Unit,
    },
};
use std::time::Duration;

const PARTITION: &str = "WAITING";
/// How many are put back at a time.
const AT_ONCE: u32 = 100;
/// How long before its end a run begins nothing more.
const MARGIN: Duration = Duration::from_secs(5);

/// Puts the message aside, where its tenant is stopped. Whether it did.
pub(super) async fn put_aside(deps: &Deps, queue: &Queue, envelope: &Envelope, deadline: Timestamp) -> Result<bool> {
    const ACTIVE: Error = Error::conflict("active", "the tenant is active again");
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
    // A status that this version does not know has messages wait, too.
    let goes_on = [TenantStatus::Pending, TenantStatus::Active].map(|s| Condition::IsNot("status", s.as_str().to_owned()));
    let condition = Condition::All([Condition::Present].into_iter().chain(goes_on).collect());
    unit.push(tenant, Op::Check { table: Table::Records, key: tenant::profile_key(), condition }, ACTIVE);
    match unit.commit(&deps.db, deadline).await {
        Ok(()) => Ok(true),
        Err((_, _, ACTIVE)) => Ok(false),
        Err((_, _, error)) => Err(error),
    }
}

/// What the gate says may be five seconds old: that a tenant is stopped is asked again.
async fn is_stopped(deps: &Deps, tenant: TenantId) -> Result<bool> {
    match deps.gates.of(tenant).await {
        Ok(gate) if !gate.status.is_stopped() => Ok(false),
        Ok(_) => Ok(tenant::profile(&deps.db, tenant).await?.is_some_and(|profile| profile.status.is_stopped())),
        // Of no tenant that is known.
        Err(Error::Forbidden(Refusal::TenantInactive)) => Ok(false),
        Err(error) => Err(error),
    }
}

impl<B: Background> Delivery<'_, B> {
    /// Puts back what waits of the tenant into the queues that it came from, while the tenant is not stopped. It sends at once, so
    /// it belongs into [`Background::after`]. How many there were.
    ///
    /// # Errors
    /// 503 where SQS or DynamoDB does not answer, or there was more than there was time.
    pub async fn release_waiting(&self) -> Result<usize> {
        const { assert!(declares(B::NEEDS, Need::Waiting), "puts messages back: add Need::Waiting to NEEDS") }
        let (deps, tenant) = (self.ground.deps, self.ground.tenant);
        let queues = deps.services.queues()?;
        let mut released = 0;
        loop {
            if tenant::profile(&deps.db, tenant).await?.is_none_or(|profile| profile.status.is_stopped()) {
                return Ok(released);
            }
            if deps.clock.now() >= self.ground.deadline.minus(MARGIN) {
                return Err(Error::Unavailable { service: "sqs", cause: Cause::code("more waits") });
            }
            // On the heap: it is the innermost of many futures.
            let some = Box::pin(release_some(deps, queues, tenant)).await?;
            if some == 0 {
                return Ok(released);
            }
            released += some;
        }
    }
}

/// First sent and then taken away: one cut off between is told twice.
async fn release_some(deps: &Deps, queues: &Queues, tenant: TenantId) -> Result<usize> {
    let query = Query { newest_first: false, ..Query::partition(Table::Records, PARTITION).limit(AT_ONCE) };
    let rows = deps.db.query(tenant, &query, None).await?.rows;
    // They stand in their queues' order.
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
