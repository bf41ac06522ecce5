//! Why a message was given up. The queue moves it to its dead-letter queue by itself, and says nothing of reasons; so the last two
//! tries leave an item here, which `cloister dlq` joins with the message: the last one may end without a word. A message that is not
//! tried, because one before it in its group has failed, is given up like that one, and leaves that one's reason.

use super::Queue;
use crate::{
    base::{EventId, Result, TenantId, Timestamp},
    store::{
        dynamodb::{Db, Query},
        item::{Item, Key, Row, Table},
    },
};
use std::time::Duration;

/// As long as a dead-letter queue keeps a message.
const KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A message that was given up, or will be if its last try fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// SQS's id.
    pub message_id: String,
    pub tenant: Option<TenantId>,
    pub event_id: Option<EventId>,
    pub schema: Option<String>,
    /// A word and a code of ours, or a service's error code; `behind <message>: ` and that of the first of its group that failed.
    pub reason: String,
    pub failed_at: Timestamp,
    pub receives: i64,
}

fn partition(queue: &str) -> String {
    format!("DEAD_LETTERS#{queue}")
}

impl DeadLetter {
    /// Writes it; a second time it is the same.
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

    /// Notes that a message was handled by its last try after all.
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

    /// What was given up of a queue, oldest message id first.
    pub(crate) async fn all(db: &Db, queue: &str) -> Result<Vec<Self>> {
        let query = Query::partition(Table::Ephemera, partition(queue));
        let rows = db.query_all(TenantId::PLATFORM, &query).await?;
        // What was handled after all has no reason.
        rows.iter().filter(|row| row.maybe_text("reason").is_some()).map(Self::from_row).collect()
    }

    /// Forgets a reason: its message is on its way again.
    pub(crate) async fn forget(db: &Db, queue: &str, message_id: &str) -> Result<()> {
        db.delete(TenantId::PLATFORM, Table::Ephemera, &Key::new(partition(queue), message_id)).await
    }
}
