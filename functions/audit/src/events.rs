//! The events that this domain publishes.

use common::{
    capabilities::Finding,
    store::{Event, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The sealed log was altered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TamperDetected {
    /// `tampered_segment`, `tampered_head` or `tampered_checkpoint`.
    pub finding: String,
    /// `Segment`, `Head` or `Checkpoint`.
    pub found_in: String,
    /// The sequence of the segment's first event, or the size of the head or of the checkpoint.
    pub found_at: u64,
}

impl Event for TamperDetected {
    const SCHEMA: &'static str = "audit.tamper_detected";
}

impl From<Finding> for TamperDetected {
    fn from(finding: Finding) -> Self {
        Self { finding: finding.reason.to_owned(), found_in: finding.kind.to_owned(), found_at: finding.at }
    }
}

pub const EVENTS: &[Schema] = common::events![TamperDetected];
