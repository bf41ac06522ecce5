//! Lists sealed events of the caller's tenant: newest first, or from a given event on.

use super::SealedLog;
use crate::walk;
use common::{
    base::{Error, Need, Result},
    capabilities::{AuditLog, Direction},
    policy::Action,
    request::{Data, Endpoint, Limit, Operation, Permit, Query, Route, Sample, Scope, input::Digits},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;

/// The number of segments that are read for one page. The segments of a tenant with little activity hold few events each, so its
/// pages may be short and still have a cursor.
const SEGMENTS: u32 = 8;

common::input! {
    /// The sealed events to list.
    pub struct EventFilters {
        /// Only events after this one, oldest first. If absent, all events, newest first.
        optional after_sequence: Sequence,
        optional limit: Limit,
        optional cursor: String,
    }
}

/// An event's position in its tenant's log, from 0, with as many digits as a key has.
type Sequence = Digits<0, 999_999_999_999>;

/// A sealed event.
#[derive(Debug, Serialize)]
pub struct SealedEvent(Value);

impl JsonSchema for SealedEvent {
    fn schema_name() -> Cow<'static, str> {
        "SealedEvent".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "description": "A sealed audit event, in the format of docs/audit-format.md"})
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct EventPage {
    pub items: Vec<SealedEvent>,
    pub next_cursor: Option<String>,
}

#[derive(Debug)]
pub struct ListAuditEvents;

impl Operation for ListAuditEvents {
    const NAME: &'static str = "list_audit_events";
    const SUMMARY: &'static str = "List sealed audit events";
    const ROUTE: Route = Route::get("/v1/audit/events");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::ReadLog, Need::Search];
    const SAMPLE: Sample = Sample::query(&[("limit", "10")]);
    type Input = Query<EventFilters>;
    type Output = EventPage;
}

impl Endpoint for ListAuditEvents {
    const ACTION: Action = Action("listAuditEvents");
    type Target = SealedLog;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<SealedLog> {
        Ok(SealedLog(scope.tenant()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Query(filters): Self::Input) -> Result<EventPage> {
        let log = cx.audit_log();
        let (direction, list) = match filters.after_sequence {
            Some(_) => (Direction::Oldest, "events-after"),
            None => (Direction::Newest, "events"),
        };
        // The sequence of the first event that may be shown.
        let from = match (&filters.cursor, filters.after_sequence) {
            (Some(cursor), _) => Some(cx.audit_position(list, cursor).await?),
            (None, Some(after)) => Some(after.get() + 1),
            (None, None) => log.head().await?.head.size().checked_sub(1),
        };
        let Some(from) = from else { return Ok(EventPage { items: Vec::new(), next_cursor: None }) };
        let found = page(&log, from, direction, filters.limit.unwrap_or_default().0 as usize).await?;
        for first in &found.segments {
            cx.touched("AuditSegment", format!("{first:012}"));
        }
        let next_cursor = match found.next {
            Some(next) => Some(cx.audit_cursor(list, next).await?),
            None => None,
        };
        Ok(EventPage { items: found.items, next_cursor })
    }
}

/// A page, the segments from which it was read, and the sequence at which the next one starts.
struct Found {
    items: Vec<SealedEvent>,
    segments: Vec<u64>,
    next: Option<u64>,
}

async fn page(log: &AuditLog<'_>, from: u64, direction: Direction, limit: usize) -> Result<Found> {
    // The segment that holds an event begins at or before it.
    let start = match direction {
        Direction::Newest => from,
        Direction::Oldest => log.segments(from, Direction::Newest, 1).await?.first().map_or(0, |entry| entry.first),
    };
    let entries = log.segments(start, direction, SEGMENTS + 1).await?;
    let mut found = Found { items: Vec::new(), segments: Vec::new(), next: None };
    for (read, entry) in entries.iter().enumerate() {
        let wanted = match direction {
            Direction::Newest => entry.first..=entry.last.min(from),
            Direction::Oldest => entry.first.max(from)..=entry.last,
        };
        let Some(next) = (match direction {
            Direction::Newest => Some(*wanted.end()),
            Direction::Oldest => Some(*wanted.start()),
        })
        .filter(|_| !wanted.is_empty()) else {
            continue;
        };
        if found.items.len() == limit || read == SEGMENTS as usize {
            found.next = Some(next);
            break;
        }
        let segment = walk::segment(log, entry).await?.map_err(|_| Error::internal("tampered segment"))?;
        found.segments.push(entry.first);
        let mut events: Vec<_> =
            segment.body().split(|b| *b == b'\n').filter(|line| !line.is_empty()).zip(entry.first..).collect();
        if direction == Direction::Newest {
            events.reverse();
        }
        for (line, sequence) in events.into_iter().filter(|(_, sequence)| wanted.contains(sequence)) {
            if found.items.len() == limit {
                found.next = Some(sequence);
                return Ok(found);
            }
            found.items.push(SealedEvent(serde_json::from_slice(line).map_err(|_| Error::internal("segment"))?));
        }
    }
    Ok(found)
}
