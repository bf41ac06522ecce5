//! The domain's endpoints, one a file.

common::endpoints! {
    tenant get_checkpoint::GetCheckpoint,
    tenant list_segments::ListSegments,
    tenant get_segment::GetSegment,
    tenant list_audit_events::ListAuditEvents,
}

use common::{
    base::{TenantId, Timestamp},
    capabilities::SegmentEntry,
    policy::Resource,
    request::{PathId, input::plain_number},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use std::{borrow::Cow, str::FromStr};

/// A tenant's whole audit log.
#[derive(Clone, Copy, Debug)]
pub struct SealedLog(pub TenantId);

impl Resource for SealedLog {
    const TYPE: &'static str = "AuditLog";
    fn id(&self) -> String {
        self.0.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.0)
    }
}

/// A segment, identified by the sequence of its first event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstSequence(pub u64);

/// The text is not a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASequence;

impl FromStr for FirstSequence {
    type Err = NotASequence;
    fn from_str(text: &str) -> Result<Self, NotASequence> {
        plain_number(text).filter(|_| text.len() <= 12).map(Self).ok_or(NotASequence)
    }
}

impl PathId for FirstSequence {
    const NAME: &'static str = "first_sequence";
}

impl JsonSchema for FirstSequence {
    fn schema_name() -> Cow<'static, str> {
        "FirstSequence".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^(0|[1-9][0-9]{0,11})$"})
    }
}

/// Up to a thousand consecutive sealed events, in one object.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SegmentView {
    pub first_sequence: u64,
    pub last_sequence: u64,
    pub events: u64,
    /// The length of its text: its lines, each with a newline.
    pub bytes: usize,
    /// The version of its object in the audit bucket.
    pub version_id: String,
    /// SHA-256 of its text.
    pub sha256: String,
    /// The time of its earliest event.
    pub occurred_from: Timestamp,
    /// The time of its latest event.
    pub occurred_to: Timestamp,
    pub sealed_at: Timestamp,
}

impl From<&SegmentEntry> for SegmentView {
    fn from(entry: &SegmentEntry) -> Self {
        Self {
            first_sequence: entry.first,
            last_sequence: entry.last,
            events: entry.events(),
            bytes: entry.bytes,
            version_id: entry.version.as_str().to_owned(),
            sha256: entry.sha256.to_string(),
            occurred_from: entry.occurred_from,
            occurred_to: entry.occurred_to,
            sealed_at: entry.sealed_at,
        }
    }
}

#[cfg(test)]
mod tests;
