//! Seals a tenant's events: gives each its place in the chain, writes them as one segment, moves the head over it, and deletes
//! the unsealed items.
//!
//! The message only says that there may be unsealed events; the table contains them. A run may be killed after any step, and the
//! next run continues from there:
//!
//! | Killed after | The next run |
//! |---|---|
//! | reading | reads again |
//! | the segment was written | finds the segment at the key of its own, verifies that it holds the unsealed events, and adopts it
//! |
//! | the head was moved | sees on the head that the last segment's events may still exist, and deletes them |
//! | they were deleted | deletes them again, without effect |
//!
//! Two concurrent runs write to the same key, and the bucket accepts only one of them. The head moves only from the position
//! where it was read.

use crate::{TamperDetected, walk::segment_finding};
use common::{
    background::{Background, Consumer, Delivery, Feed, Incoming, Queue, WakeUp},
    base::{Cause, Error, EventId, Need, Result},
    capabilities::{AuditSealer, Backlog, LogHead, Put, SegmentEntry, Unsealed},
};
use ledger::{Event, Hash, Segment};
use std::collections::HashMap;

/// The number of times that a run starts again because another was faster. Wake-ups of one tenant are handled one after another,
/// so this is rare.
const TRIES: u32 = 5;

#[derive(Debug)]
pub struct SealAudit;

impl Background for SealAudit {
    const NAME: &'static str = "seal_audit";
    const SUMMARY: &'static str = "Seal audit events into immutable segments";
    const NEEDS: &'static [Need] = &[Need::SealLog];
    const TIMEOUT_SECS: u16 = 60;
    const WAITS: bool = false;
    type Part = ();

    async fn handle(cx: &mut Delivery<'_, Self>, (): &()) -> Result<()> {
        let mut run = Run { log: cx.audit_sealer(), sealed: 0, segments: 0, adopted: 0, unreadable: 0, oldest: None };
        let result = run.seal().await;
        if let Some(oldest) = run.oldest {
            let lag = u64::try_from(cx.now().as_millis()).unwrap_or(0).saturating_sub(oldest);
            cx.log("audit.lag_ms", lag);
        }
        cx.log("audit.sealed", run.sealed);
        cx.log("audit.segments", run.segments);
        cx.log("audit.adopted", run.adopted);
        cx.log("audit.unreadable", run.unreadable);
        result
    }
}

impl Consumer for SealAudit {
    const QUEUE: Queue = Queue { delay_secs: 10, ..Queue::new("seal-audit", Feed::WakeUps) };
    type Message = WakeUp;

    async fn parts(_: &Incoming<'_, Self>, _: WakeUp) -> Result<Vec<()>> {
        Ok(vec![()])
    }
}

/// One run and its progress.
struct Run<'a> {
    log: AuditSealer<'a>,
    sealed: u64,
    segments: u32,
    /// Segments that an earlier or a concurrent run had written.
    adopted: u32,
    /// Unsealed items that are not events.
    unreadable: usize,
    /// The time of the oldest event that it sealed, in Unix milliseconds.
    oldest: Option<u64>,
}

/// The result for one segment.
enum Step {
    /// The head has moved over the segment.
    Sealed {
        head: Box<LogHead>,
        ids: Vec<EventId>,
        more: bool,
    },
    /// Another run has moved the head.
    Overtaken,
    Nothing,
}

impl Run<'_> {
    async fn seal(&mut self) -> Result<()> {
        let mut head = self.tidy().await?;
        let mut tries = TRIES;
        loop {
            match self.step(&head).await? {
                Step::Nothing => break,
                Step::Overtaken if tries == 0 => {
                    return Err(Error::Unavailable { service: "audit log", cause: Cause::code("overtaken") });
                }
                Step::Overtaken => {
                    tries -= 1;
                    head = self.tidy().await?;
                }
                Step::Sealed { head: moved, ids, more } => {
                    self.log.delete(ids).await?;
                    head = *moved;
                    if !more || !self.log.has_time() {
                        break;
                    }
                }
            }
        }
        // The next segment's move also records the cleanup of the last one, which saves this call.
        if head.cleanup { self.log.cleaned(&head).await } else { Ok(()) }
    }

    /// Returns the head after deleting unsealed items that it covers. Otherwise these events would be sealed twice.
    async fn tidy(&self) -> Result<LogHead> {
        let head = self.log.head().await?;
        if head.cleanup
            && let Some(last) = &head.last
        {
            let read = self.log.read(last.first, Some(&last.version)).await?;
            let segment = read.filter(|(_, bytes)| Hash::of(bytes) == last.sha256);
            let segment = segment.and_then(|(_, bytes)| Segment::parse(bytes).ok());
            let Some(segment) = segment else { return Err(self.tampered(last.first).await?) };
            self.log.delete(ids(&segment)?).await?;
        }
        Ok(head)
    }

    async fn step(&mut self, head: &LogHead) -> Result<Step> {
        let backlog = self.log.unsealed().await?;
        self.unreadable = self.unreadable.max(backlog.unreadable);
        let events = backlog.events.iter().map(|unsealed| unsealed.event.clone());
        let Some(segment) = Segment::seal(&head.head, events).map_err(|_| Error::internal("segment"))? else {
            return Ok(Step::Nothing);
        };
        match self.log.put(&segment).await? {
            Put::Done(version) => {
                let more = backlog.more || segment.len() < backlog.events.len();
                let entry = SegmentEntry::of(&segment, version, self.now())?;
                self.move_over(head, &segment, entry, more).await
            }
            Put::Exists => self.adopt(head, backlog).await,
        }
    }

    /// Adopts the segment at the key of this run's segment. It must follow the head and hold only unsealed events.
    async fn adopt(&mut self, head: &LogHead, backlog: Backlog) -> Result<Step> {
        let first = head.head.size();
        let Some((version, bytes)) = self.log.read(first, None).await? else {
            return Err(Error::Unavailable { service: "audit log", cause: Cause::code("segment exists but was not found") });
        };
        let segment = Segment::parse_after(&head.head, bytes).ok();
        let segment = match segment {
            Some(segment) if self.is_unsealed(&segment, backlog).await? => segment,
            // Its events may be sealed by now, by a run that has moved the head.
            _ if self.log.head().await?.head.size() != first => return Ok(Step::Overtaken),
            _ => return Err(self.tampered(first).await?),
        };
        let entry = SegmentEntry::of(&segment, version, self.now())?;
        self.adopted += 1;
        // The segment may have been written before some of the unsealed events.
        self.move_over(head, &segment, entry, true).await
    }

    async fn move_over(&mut self, head: &LogHead, segment: &Segment, entry: SegmentEntry, more: bool) -> Result<Step> {
        let after = head.head.extend(segment).map_err(|_| Error::internal("segment"))?;
        let moved = LogHead { head: after, last: Some(entry.clone()), cleanup: true };
        if !self.log.move_head(head, &moved, &entry).await? {
            return Ok(Step::Overtaken);
        }
        self.sealed += entry.events();
        self.segments += 1;
        let oldest = u64::try_from(entry.occurred_from.as_millis()).unwrap_or(0);
        self.oldest = Some(self.oldest.map_or(oldest, |before| before.min(oldest)));
        Ok(Step::Sealed { head: Box::new(moved), ids: ids(segment)?, more })
    }

    /// Whether every event of the segment is among the unsealed ones, byte for byte.
    async fn is_unsealed(&self, segment: &Segment, backlog: Backlog) -> Result<bool> {
        let known: HashMap<EventId, Event> = backlog.events.into_iter().map(|Unsealed { id, event }| (id, event)).collect();
        for sealed in segment.events() {
            let sealed = sealed.map_err(|_| Error::internal("segment"))?;
            let Ok(id) = sealed.event_id.as_str().parse() else { return Ok(false) };
            let bare = Event { sequence: None, previous_hash: None, hash: None, ..sealed };
            let same = match known.get(&id) {
                Some(event) => *event == bare,
                None => self.log.unsealed_event(id).await?.is_some_and(|unsealed| unsealed.event == bare),
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Stops sealing, because further segments would be chained to a segment that we did not write.
    async fn tampered(&self, first: u64) -> Result<Error> {
        let finding = segment_finding(first);
        self.log.raise(finding, SealAudit::NAME, TamperDetected::from(finding)).await?;
        Ok(Error::internal("tampered segment"))
    }

    fn now(&self) -> common::base::Timestamp {
        self.log.now()
    }
}

fn ids(segment: &Segment) -> Result<Vec<EventId>> {
    let id = |event: std::result::Result<Event, _>| {
        let event = event.map_err(|_: ledger::EventError| Error::internal("segment"))?;
        event.event_id.as_str().parse().map_err(|_| Error::internal("event id"))
    };
    segment.events().map(id).collect()
}

#[cfg(test)]
mod tests;
