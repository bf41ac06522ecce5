//! What the sealer may do: see what is not sealed, write a segment, move the head, delete what was sealed.

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

/// Most bytes of events in one segment: less than a segment may have, so that it fits into one answer of a function, 6 MB,
/// as lines of text in JSON in JSON. A thousand events have half as many.
const MOST_BYTES: usize = 2_000_000;
/// Kept for what comes after the last segment: the delete, the answer.
const LAST_STEPS: Duration = Duration::from_secs(8);

/// No event takes so long to settle: what says that it does was written by a clock that has since gone back.
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

/// An event that is not sealed yet, with the count that it has come to.
#[derive(Clone, Debug)]
pub struct Unsealed {
    pub id: EventId,
    pub event: Event,
}

/// What there is to seal, oldest first.
#[derive(Debug, Default)]
pub struct Backlog {
    pub events: Vec<Unsealed>,
    /// Whether there is more than this.
    pub more: bool,
    /// Items that are no event of this tenant's: they stay where they are.
    pub unreadable: usize,
}

/// What became of a segment that was written.
#[derive(Debug)]
pub enum Put {
    Done(ObjectVersion),
    /// Another run was first.
    Exists,
}

impl AuditSealer<'_> {
    /// The oldest events that are not sealed, as many as a segment holds. An event that is still counted is left out.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer.
    pub async fn unsealed(&self) -> Result<Backlog> {
        let query = Query::partition(Table::Ledger, UNSEALED).limit(1000);
        let (mut backlog, mut bytes, mut from) = (Backlog::default(), 0, None);
        loop {
            let page = self.deps.db.query(self.tenant, &query, from).await?;
            for row in &page.rows {
                let settles_in = row.maybe_number("settles_at").map_or(0, |at| at.saturating_sub(self.now.as_millis()));
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

    /// One event that is not sealed.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer.
    pub async fn unsealed_event(&self, id: EventId) -> Result<Option<Unsealed>> {
        let row = self.deps.db.get(self.tenant, Table::Ledger, &event::key(id)).await?;
        Ok(row.as_ref().and_then(|row| self.event(row)))
    }

    /// The event of an item, if it is one, of this tenant, under its own id.
    fn event(&self, row: &Row) -> Option<Unsealed> {
        let mut event = Event::parse(row.maybe_text("event")?.as_bytes()).ok()?;
        let id: EventId = row.maybe_text("sk")?.parse().ok()?;
        event.count = u32::try_from(row.maybe_number("count")?).ok().and_then(NonZeroU32::new)?;
        let own = event.event_id.as_str() == id.to_string() && event.tenant_id == self.name();
        (own && event.hash.is_none()).then_some(Unsealed { id, event })
    }

    /// Writes a segment where none is.
    ///
    /// # Errors
    /// 503 where S3 does not answer; the segment may then be there.
    pub async fn put(&self, segment: &Segment) -> Result<Put> {
        let body = segment.body().to_vec();
        match self.objects()?.create(self.tenant, &segment.object_key(), "application/jsonl", body).await? {
            Created::Done(version) => Ok(Put::Done(version)),
            Created::Exists => Ok(Put::Exists),
        }
    }

    /// Moves the head over one segment, and notes the segment, in one transaction. False where the head was not where it was
    /// expected: somebody else has moved it.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer; the head may then have moved.
    pub async fn move_head(&self, from: &LogHead, to: &LogHead, segment: &SegmentEntry) -> Result<bool> {
        let size = i64::try_from(from.head.size()).map_err(|_| crate::base::Error::internal("size"))?;
        let condition = if from.last.is_none() { Condition::Absent } else { Condition::NumberIs("size", size) };
        let put = |item, condition| (self.tenant, Op::Put { table: Table::Ledger, item, condition: Some(condition) });
        let ops = [put(to.to_item()?, condition), put(segment.to_item()?, Condition::Absent)];
        let token = crate::base::Uuid::from_bytes(crate::base::random::bytes()).to_string();
        match self.deps.db.commit(&ops, &token, self.deadline).await {
            Ok(()) => Ok(true),
            Err(Refused::Condition { .. }) => Ok(false),
            Err(Refused::Error(error)) => Err(error),
        }
    }

    /// Deletes events that are sealed from among those that are not.
    ///
    /// # Errors
    /// 503 where DynamoDB does not take them; some may be deleted.
    pub async fn delete(&self, sealed: impl IntoIterator<Item = EventId>) -> Result<()> {
        let keys: Vec<Key> = sealed.into_iter().map(event::key).collect();
        self.deps.db.delete_all(self.tenant, Table::Ledger, &keys).await
    }

    /// Notes that everything that `head` covers is deleted. Where the head has moved on, whoever moved it knows.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer.
    pub async fn cleaned(&self, head: &LogHead) -> Result<()> {
        let size = i64::try_from(head.head.size()).map_err(|_| crate::base::Error::internal("size"))?;
        let edit = Edit::of(head_key()).remove("cleanup").when(Condition::NumberIs("size", size));
        self.deps.db.edit(self.tenant, Table::Ledger, &edit).await.map(drop)
    }

    /// Whether there is time for another segment.
    pub fn has_time(&self) -> bool {
        self.deps.clock.now().plus(LAST_STEPS) < self.deadline
    }
}
