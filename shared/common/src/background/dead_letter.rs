//! The reasons of dead letters. The queue moves a message to its dead-letter queue by itself, without a reason. So the last two
//! tries store an item here, because the last one may end without any output; `cloister dlq` joins it with the message. A message
//! that was not tried, because an earlier one in its group has failed, goes the same way with the earlier one's reason.

use super::Queue;
use crate::{
    base::{EventId, Result, TenantId, Timestamp},
    store::{
        dynamodb::{Db, Query},
        item::{Item, Key, Row, Table},
    },
};
use std::time::Duration;

/// The retention of a dead-letter queue.
const KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A message that is a dead letter, or becomes one if its last try fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// SQS's id.
    pub message_id: String,
    pub tenant: Option<TenantId>,
    pub event_id: Option<EventId>,
    pub schema: Option<String>,
    /// A fixed text and a code, or a service's error code; `behind <message>: ` and the reason of the first failed message of its
    /// group.
    pub reason: String,
    pub failed_at: Timestamp,
    pub receives: i64,
}

fn partition(queue: &str) -> String {
    format!("DEAD_LETTERS#{queue}")
}

impl DeadLetter {
    /// Writes it. A repetition writes the same item.
    pub(super) async fn write(&self, db: &Db, queue: &Queue) -> Result<()> {
        let item = Item::new(Key::new(partition(queue.name), &self.message_id))
            .maybe("tenant_id", self.tenant)
            .maybe("event_id", self.event_id)
            .maybe("schema", self.schema.as_deref())
            .text("reason", &self.reason)
            .text("failed_at", self.failed_at)
            .number("receives", self.receives)
            .number("expires_at", self.failed_at.plus(KEPT).as_secs());
        db.put(TenantId::PLATFORM, Table::Ephemera, item).await
    }

    /// Records that the last try of a message succeeded after all.
    pub(super) async fn write_handled(db: &Db, queue: &Queue, message_id: &str, now: Timestamp) -> Result<()> {
        let item = Item::new(Key::new(partition(queue.name), message_id)).number("expires_at", now.as_secs());
        db.put(TenantId::PLATFORM, Table::Ephemera, item).await
    }

    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            message_id: row.text("sk")?.to_owned(),
            tenant: row.maybe("tenant_id")?,
            event_id: row.maybe("event_id")?,
            schema: row.maybe_text("schema").map(str::to_owned),
            reason: row.text("reason")?.to_owned(),
            failed_at: row.parse("failed_at")?,
            receives: row.number("receives")?,
        })
    }

    /// The dead letters of a queue, sorted by message id.
    pub(crate) async fn all(db: &Db, queue: &str) -> Result<Vec<Self>> {
        let query = Query::partition(Table::Ephemera, partition(queue));
        let rows = db.query_all(TenantId::PLATFORM, &query).await?;
        // A message that was handled after all has no reason.
        rows.iter().filter(|row| row.maybe_text("reason").is_some()).map(Self::from_row).collect()
    }

    /// Deletes a reason, because its message is in its queue again.
    pub(crate) async fn forget(db: &Db, queue: &str, message_id: &str) -> Result<()> {
        db.delete(TenantId::PLATFORM, Table::Ephemera, &Key::new(partition(queue), message_id)).await
    }
}
