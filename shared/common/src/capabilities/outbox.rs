//! Keeping a tenant's outbox empty.

use crate::{
    audit::event,
    background::{Background, Delivery, JobContext},
    base::{EventId, Result, Timestamp, need::needs},
    store::{
        changes::Edit,
        dynamodb::Query,
        item::{Key, Row, Table},
        outbox::OUTBOX,
    },
};
use futures_util::{StreamExt, stream};
use std::time::Duration;

/// A tenant's outbox, for the functions that empty it.
#[derive(Debug)]
pub struct Outbox<'a> {
    job: &'a JobContext<'a>,
}

/// The number of a tenant's events that one sweep emits again, besides urgent ones. The next sweep handles the rest.
pub(crate) const SWEPT: usize = 5_000;
/// The number of items that are read at once.
const PAGE: u32 = 1_000;
/// The number of items that are rewritten concurrently.
const TOLD_AT_ONCE: usize = 16;
/// The time before its end at which a sweep stops reading.
const SWEEP_ENDS: Duration = Duration::from_secs(10);

/// Whether a user's access or a person's attention depends on it. Events of shipments are the majority, and can wait.
fn is_urgent(schema: &str) -> bool {
    !schema.starts_with("shipment.")
}

impl<B: Background> Delivery<'_, B> {
    pub fn outbox(&self) -> Outbox<'_> {
        needs!(B, Outbox);
        Outbox { job: self.job }
    }
}

impl Outbox<'_> {
    /// Deletes a delivered event. Deleting a missing event succeeds.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn settle(&self, id: EventId) -> Result<()> {
        let (deps, tenant) = (self.job.deps, self.job.tenant);
        deps.db.delete(tenant, Table::Ledger, &Key::new(OUTBOX, id.to_string())).await
    }

    /// Rewrites events that were committed before `then` and still exist, and the oldest unsealed audit event, so that the stream
    /// emits them again. Urgent events come first, then the others, oldest first. An event that was rewritten after `then` is
    /// being delivered and is skipped. Returns the number of rewritten events.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn tell_again(&self, then: Timestamp) -> Result<usize> {
        let (deps, tenant, now) = (self.job.deps, self.job.tenant, self.job.now);
        let unsealed = deps.db.query(tenant, &missed(event::UNSEALED, then, 1), None).await?.rows;
        for row in &unsealed {
            let wake = event::wake(tenant, now);
            deps.db.edit(tenant, Table::Ledger, &Edit::of(row.key()?).text("wake", wake)).await?;
        }
        let mut told = unsealed.len();
        for urgent in [true, false] {
            told += self.tell(then, urgent).await?;
        }
        Ok(told)
    }

    async fn tell(&self, then: Timestamp, urgent: bool) -> Result<usize> {
        let (deps, tenant, now, deadline) = (self.job.deps, self.job.tenant, self.job.now, self.job.deadline);
        let most = if urgent { usize::MAX } else { SWEPT };
        let waits = |row: &Row| {
            let told_lately = row.maybe_number("told_at").is_some_and(|at| at > then.as_millis());
            !told_lately && row.maybe_text("schema").is_none_or(is_urgent) == urgent
        };
        let tell = async |row: Row| {
            let edit = Edit::of(row.key()?).add("told_again", 1).number("told_at", now.as_millis());
            deps.db.edit(tenant, Table::Ledger, &edit).await
        };
        let (mut told, mut from) = (0, None);
        while told < most && deps.clock.now() < deadline.minus(SWEEP_ENDS) {
            let page = deps.db.query(tenant, &missed(OUTBOX, then, PAGE), from).await?;
            let waiting = page.rows.into_iter().filter(waits).take(most - told);
            let done: Vec<_> = stream::iter(waiting).map(tell).buffer_unordered(TOLD_AT_ONCE).collect().await;
            told += done.len();
            done.into_iter().collect::<Result<Vec<_>>>()?;
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        Ok(told)
    }
}

/// The oldest items of a partition from before `then`.
fn missed(partition: &str, then: Timestamp, most: u32) -> Query {
    let (first, before) = (EventId::first_at(Timestamp::from_millis(0)), EventId::first_at(then));
    Query::partition(Table::Ledger, partition).between(first, before).limit(most)
}
