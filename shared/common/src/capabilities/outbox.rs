//! Keeping a tenant's outbox empty.

use crate::{
    audit::event,
    background::{Background, Delivery, Ground},
    base::{EventId, Need, Result, Timestamp, need::declares},
    store::{
        changes::Edit,
        dynamodb::Query,
        item::{Key, Row, Table},
        outbox::OUTBOX,
    },
};
use futures_util::{StreamExt, stream};
use std::time::Duration;

/// A tenant's outbox, for those who keep it empty.
#[derive(Debug)]
pub struct Outbox<'a> {
    ground: &'a Ground<'a>,
}

/// How many events of a tenant one sweep has told again, besides those that are urgent: more are the next one's.
pub(crate) const SWEPT: usize = 5_000;
/// How many are read at once.
const PAGE: u32 = 1_000;
/// How many are told at once.
const TOLD_AT_ONCE: usize = 16;
/// How long before its end a sweep reads no more.
const SWEEP_ENDS: Duration = Duration::from_secs(10);

/// Whether somebody's access, or a person's attention, waits for it. What becomes of shipments is the bulk, and can wait.
fn is_urgent(schema: &str) -> bool {
    !schema.starts_with("shipment.")
}

impl<B: Background> Delivery<'_, B> {
    pub fn outbox(&self) -> Outbox<'_> {
        const { assert!(declares(B::NEEDS, Need::Outbox), "keeps the outbox: add Need::Outbox to NEEDS") }
        Outbox { ground: self.ground }
    }
}

impl Outbox<'_> {
    /// Takes out an event that has arrived. One that is gone is gone.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer.
    pub async fn settle(&self, id: EventId) -> Result<()> {
        let Ground { deps, tenant, .. } = self.ground;
        deps.db.delete(*tenant, Table::Ledger, &Key::new(OUTBOX, id.to_string())).await
    }

    /// Touches events that were committed before `then` and are still here, and the oldest audit event that is not sealed:
    /// the stream tells what changes. The urgent ones come first, then the others, the oldest first. One that was told after `then` is
    /// on its way, and is passed over. How many there were.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer.
    pub async fn tell_again(&self, then: Timestamp) -> Result<usize> {
        let Ground { deps, tenant, now, .. } = self.ground;
        let unsealed = deps.db.query(*tenant, &missed(event::UNSEALED, then, 1), None).await?.rows;
        for row in &unsealed {
            let wake = event::wake(*tenant, *now);
            deps.db.edit(*tenant, Table::Ledger, &Edit::of(row.key()?).text("wake", wake)).await?;
        }
        let mut told = unsealed.len();
        for urgent in [true, false] {
            told += self.tell(then, urgent).await?;
        }
        Ok(told)
    }

    async fn tell(&self, then: Timestamp, urgent: bool) -> Result<usize> {
        let Ground { deps, tenant, now, deadline, .. } = self.ground;
        let most = if urgent { usize::MAX } else { SWEPT };
        let waits = |row: &Row| {
            let told_lately = row.maybe_number("told_at").is_some_and(|at| at > then.as_millis());
            !told_lately && row.maybe_text("schema").is_none_or(is_urgent) == urgent
        };
        let tell = async |row: Row| {
            let edit = Edit::of(row.key()?).add("told_again", 1).number("told_at", now.as_millis());
            deps.db.edit(*tenant, Table::Ledger, &edit).await
        };
        let (mut told, mut from) = (0, None);
        while told < most && deps.clock.now() < deadline.minus(SWEEP_ENDS) {
            let page = deps.db.query(*tenant, &missed(OUTBOX, then, PAGE), from).await?;
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

/// The oldest of what a partition has from before `then`.
fn missed(partition: &str, then: Timestamp, most: u32) -> Query {
    let (first, before) = (EventId::first_at(Timestamp::from_millis(0)), EventId::first_at(then));
    Query::partition(Table::Ledger, partition).between(first, before).limit(most)
}
