//! The operations of the sealer: read unsealed events, write a segment, move the head, delete sealed items.

use super::{AuditLog, LogHead, SegmentEntry, head_key};
use crate::{
    audit::event::{self, UNSEALED},
    aws::{ObjectVersion, objects::Created},
    base::{EventId, Result},
    store::{
        Condition, Row,
        changes::{Edit, Op},
        dynamodb::{Query, Refused},
        item::{Key, Table},
    },
};
use ledger::{Event, Segment};
use std::{num::NonZeroU32, ops::Deref, time::Duration};

/// The largest number of event bytes in one segment. It is below the segment's limit, so that the segment fits into one answer of
/// a function, 6 MB, as lines of text in JSON in JSON. A thousand events have half as many bytes.
const MOST_BYTES: usize = 2_000_000;
/// The time that is reserved for the steps after the last segment: the deletion and the answer.
const LAST_STEPS: Duration = Duration::from_secs(8);

/// No event needs longer to settle. A later time was written by a clock that has since gone back.
const SETTLES_WITHIN_MILLIS: i64 = 2 * 60 * 1000;

/// Seals one tenant's log.
#[derive(Clone, Copy, Debug)]
pub struct AuditSealer<'a>(pub(super) AuditLog<'a>);

impl<'a> Deref for AuditSealer<'a> {
    type Target = AuditLog<'a>;
    fn deref(&self) -> &AuditLog<'a> {
        &self.0
    }
}

/// An unsealed event, with its current count.
#[derive(Clone, Debug)]
pub struct Unsealed {
    pub id: EventId,
    pub event: Event,
}

/// The unsealed events, oldest first.
#[derive(Debug, Default)]
pub struct Backlog {
    pub events: Vec<Unsealed>,
    /// Whether there is more than this.
    pub more: bool,
    /// Items that are not events of this tenant. They stay.
    pub unreadable: usize,
}

/// The result of writing a segment.
#[derive(Debug)]
pub enum Put {
    Done(ObjectVersion),
    /// Another run has written it.
    Exists,
}

impl AuditSealer<'_> {
    /// The oldest unsealed events, as many as one segment holds. Events that may still be counted are left out.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn unsealed(&self) -> Result<Backlog> {
        let query = Query::partition(Table::Ledger, UNSEALED).limit(1000);
        let (mut backlog, mut bytes, mut from) = (Backlog::default(), 0, None);
        loop {
            let page = self.deps.db.query(self.activity.tenant, &query, from).await?;
            for row in &page.rows {
                let settles_in = row.maybe_number("settles_at").map_or(0, |at| at.saturating_sub(self.activity.now.as_millis()));
                if settles_in > 0 && settles_in <= SETTLES_WITHIN_MILLIS {
                    continue;
                }
                bytes += row.maybe_text("event").map_or(0, str::len);
                if backlog.events.len() == Segment::MAX_EVENTS || bytes > MOST_BYTES {
                    backlog.more = true;
                    return Ok(backlog);
                }
                match self.event(row) {
                    Some(unsealed) => backlog.events.push(unsealed),
                    None => backlog.unreadable += 1,
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok(backlog);
            }
        }
    }

    /// One unsealed event.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn unsealed_event(&self, id: EventId) -> Result<Option<Unsealed>> {
        let row = self.deps.db.get(self.activity.tenant, Table::Ledger, &event::key(id)).await?;
        Ok(row.as_ref().and_then(|row| self.event(row)))
    }

    /// The event of an item, if it is an event of this tenant with the item's id.
    fn event(&self, row: &Row) -> Option<Unsealed> {
        let mut event = Event::parse(row.maybe_text("event")?.as_bytes()).ok()?;
        let id: EventId = row.maybe_text("sk")?.parse().ok()?;
        event.count = u32::try_from(row.maybe_number("count")?).ok().and_then(NonZeroU32::new)?;
        let own = event.event_id.as_str() == id.to_string() && event.tenant_id == self.name();
        (own && event.hash.is_none()).then_some(Unsealed { id, event })
    }

    /// Writes a segment if none exists at its key.
    ///
    /// # Errors
    /// 503 if S3 does not answer; the segment may exist then.
    pub async fn put(&self, segment: &Segment) -> Result<Put> {
        let body = segment.body().to_vec();
        match self.objects()?.create(self.activity.tenant, &segment.object_key(), "application/jsonl", body).await? {
            Created::Done(version) => Ok(Put::Done(version)),
            Created::Exists => Ok(Put::Exists),
        }
    }

    /// Moves the head over one segment and records the segment, in one transaction. False if the head is not at the expected
    /// position, because another run has moved it.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer; the head may have moved then.
    pub async fn move_head(&self, from: &LogHead, to: &LogHead, segment: &SegmentEntry) -> Result<bool> {
        let size = i64::try_from(from.head.size()).map_err(|_| crate::base::Error::internal("size"))?;
        let condition = if from.last.is_none() { Condition::Absent } else { Condition::NumberIs("size", size) };
        let put = |item, condition| (self.activity.tenant, Op::Put { table: Table::Ledger, item, condition: Some(condition) });
        let ops = [put(to.to_item()?, condition), put(segment.to_item()?, Condition::Absent)];
        let token = crate::base::Uuid::from_bytes(crate::base::random::bytes()).to_string();
        match self.deps.db.commit(&ops, &token, self.activity.deadline).await {
            Ok(()) => Ok(true),
            Err(Refused::Condition { .. }) => Ok(false),
            Err(Refused::Error(error)) => Err(error),
        }
    }

    /// Deletes the unsealed items of sealed events.
    ///
    /// # Errors
    /// 503 if DynamoDB does not accept the deletion; some items may be deleted.
    pub async fn delete(&self, sealed: impl IntoIterator<Item = EventId>) -> Result<()> {
        let keys: Vec<Key> = sealed.into_iter().map(event::key).collect();
        self.deps.db.delete_all(self.activity.tenant, Table::Ledger, &keys).await
    }

    /// Records that all unsealed items that `head` covers are deleted. If the head has moved on, the run that moved it records
    /// this.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn cleaned(&self, head: &LogHead) -> Result<()> {
        let size = i64::try_from(head.head.size()).map_err(|_| crate::base::Error::internal("size"))?;
        let edit = Edit::of(head_key()).remove("cleanup").when(Condition::NumberIs("size", size));
        self.deps.db.edit(self.activity.tenant, Table::Ledger, &edit).await.map(drop)
    }

    /// Whether the time suffices for another segment.
    pub fn has_time(&self) -> bool {
        self.deps.clock.now().plus(LAST_STEPS) < self.activity.deadline
    }
}
