use std::{net::IpAddr, num::NonZeroU32};

use serde::{Deserialize, Serialize};

use crate::canonical::CanonicalError;
use crate::line::Line;
use crate::{AtMost, EventType, Hash, OccurredAt, Reason, UserAgent, Word};

/// Longest event, in bytes of canonical JSON, sealed.
pub const MAX_EVENT_LEN: usize = 64 * 1024;

/// The number of bytes that sealing may add. The writer of an event counts them, so that it gets the error and not, much later,
/// the sealer.
const SEALING_ROOM: usize = 256;

/// An audit event, format 1. Every member is always present: one that does not apply is `null`, an empty list is `[]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    pub format: Format,
    pub event_id: Word,
    /// The tenant whose log contains the event.
    pub tenant_id: Word,
    /// Position in the tenant's log, from 0, and the index of its leaf in the Merkle tree. The sealer sets it.
    #[serde(deserialize_with = "present")]
    pub sequence: Option<u64>,
    pub occurred_at: OccurredAt,
    #[serde(rename = "type")]
    pub event_type: EventType,
    pub severity: Severity,
    pub actor: Actor,
    /// For work that a consumer does later: the actor that caused it.
    #[serde(deserialize_with = "present")]
    pub on_behalf_of: Option<Principal>,
    /// The policy's action, such as `createShipment`.
    #[serde(deserialize_with = "present")]
    pub action: Option<Word>,
    /// The resources that the action concerned.
    pub resources: AtMost<Resource, 100>,
    /// PHI fields that were shown.
    pub disclosed: AtMost<Word, 100>,
    /// PHI fields that were withheld.
    pub redacted: AtMost<Word, 100>,
    #[serde(deserialize_with = "present")]
    pub purpose_of_use: Option<PurposeOfUse>,
    pub outcome: Outcome,
    /// The HTTP status of the response.
    #[serde(deserialize_with = "present")]
    pub status: Option<u16>,
    #[serde(deserialize_with = "present")]
    pub reason: Option<Reason>,
    #[serde(deserialize_with = "present")]
    pub policy: Option<Policy>,
    /// The number of occurrences. It is above 1 only for refusals, which are combined into one event for each source and minute.
    pub count: NonZeroU32,
    pub correlation_id: Word,
    /// Names of the fields that changed, never their values.
    pub changes: AtMost<Word, 100>,
    /// Hash of the event before; [`Hash::ZERO`] in the first. The sealer sets it.
    #[serde(deserialize_with = "present")]
    pub previous_hash: Option<Hash>,
    /// The leaf hash of this event. The sealer sets it.
    #[serde(deserialize_with = "present")]
    pub hash: Option<Hash>,
}

/// The number 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Format {
    V1,
}

impl From<Format> for u8 {
    fn from(_: Format) -> Self {
        1
    }
}

impl TryFrom<u8> for Format {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, &'static str> {
        if number == 1 { Ok(Self::V1) } else { Err("expected event format 1") }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The action was done.
    Success,
    /// The caller is not permitted, or the request cannot be fulfilled.
    Refused,
    /// The action should have been done but failed.
    Failed,
}

/// The actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    #[serde(rename = "type")]
    pub actor_type: ActorType,
    /// `null` only for anonymous actors.
    #[serde(deserialize_with = "present")]
    pub id: Option<Word>,
    #[serde(deserialize_with = "present")]
    pub role: Option<Word>,
    #[serde(deserialize_with = "present")]
    pub session_id: Option<Word>,
    #[serde(deserialize_with = "present")]
    pub ip: Option<IpAddr>,
    #[serde(deserialize_with = "present")]
    pub user_agent: Option<UserAgent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorType {
    User,
    ApiKey,
    /// One of this system's own functions.
    Service,
    /// A person at the command line, with cloud credentials.
    Operator,
    /// A partner's system, such as a carrier's webhook.
    Partner,
    /// An unidentified caller: before sign-in, or with a refused credential.
    Anonymous,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    #[serde(rename = "type")]
    pub actor_type: ActorType,
    pub id: Word,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    #[serde(rename = "type")]
    pub resource_type: Word,
    pub id: Word,
}

/// HL7 v3 PurposeOfUse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PurposeOfUse {
    /// Treatment.
    #[serde(rename = "TREAT")]
    Treatment,
    /// Payment.
    #[serde(rename = "HPAYMT")]
    Payment,
    /// Health care operations.
    #[serde(rename = "HOPERAT")]
    Operations,
    /// Emergency treatment.
    #[serde(rename = "ETREAT")]
    Emergency,
}

/// The policy engine's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub decision: Decision,
    /// The policies that determined the decision.
    pub ids: AtMost<Word, 100>,
    /// SHA-256 of the policy set in force.
    pub policy_set_hash: Hash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Allow,
    Deny,
}

/// The reason why an event cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    #[error("an audit event has at most {MAX_EVENT_LEN} bytes, with room for its seal")]
    TooLong,
    #[error("not an audit event")]
    NotAnEvent(#[source] serde_json::Error),
    #[error("the audit event is not in canonical JSON")]
    NotCanonical,
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

impl Event {
    /// The event in canonical JSON, the form in which it is stored.
    ///
    /// # Errors
    /// [`EventError::TooLong`]; [`EventError::Canonical`] when `sequence` is above 2^53 - 1.
    pub fn to_json(&self) -> Result<Vec<u8>, EventError> {
        let json = Line::of(self)?.with_hash(self.hash.as_ref());
        let room = if self.hash.is_some() { 0 } else { SEALING_ROOM };
        if json.len() + room > MAX_EVENT_LEN { Err(EventError::TooLong) } else { Ok(json) }
    }

    /// Reads only the output of [`to_json`](Self::to_json). An event has exactly one text, so any altered byte is detected.
    ///
    /// # Errors
    /// [`EventError`]: too long, an unknown, missing or repeated member, a value out of its bounds, or not canonical.
    pub fn parse(json: &[u8]) -> Result<Self, EventError> {
        if json.len() > MAX_EVENT_LEN {
            return Err(EventError::TooLong);
        }
        let event: Self = serde_json::from_slice(json).map_err(EventError::NotAnEvent)?;
        if Line::of(&event)?.with_hash(event.hash.as_ref()) == json { Ok(event) } else { Err(EventError::NotCanonical) }
    }

    /// RFC 6962's leaf hash of the event: SHA-256 of a zero byte and the canonical JSON without `hash`.
    ///
    /// # Errors
    /// [`EventError::Canonical`].
    pub fn leaf_hash(&self) -> Result<Hash, EventError> {
        Ok(crate::merkle::leaf_hash(Line::of(self)?.without_hash()))
    }
}

/// An `Option` whose member must be present, at least as `null`, so that an event has exactly one text.
fn present<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}
