//! What is done when the log is not what it was: a line for the alarm, an event in the log, an event for who listens.

use super::AuditLog;
use crate::{
    Condition, Envelope, Event, EventId, Result,
    audit::{Record, Who},
    db::Refused,
    table::{Item, Key, Table},
    telemetry::WideEvent,
    unit::Op,
};

/// What does not stand. Its reason is a code that begins with `tampered_`: such an event is critical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    pub reason: &'static str,
    /// What it was found in: `Segment`, `Head`, `Checkpoint`.
    pub kind: &'static str,
    /// The sequence, or the size, at which it was found.
    pub at: u64,
}

/// The log line that the alarm counts.
const TAMPER_DETECTED: &str = "audit.tamper_detected";
const FINDINGS: &str = "FINDINGS";

impl AuditLog<'_> {
    /// Reports a finding: a critical line each time, and once an hour a critical audit event with `event` for others.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer.
    pub async fn raise<E: Event>(&self, finding: Finding, by: &'static str, event: E) -> Result<()> {
        let mut line = WideEvent::default();
        line.set("level", "critical");
        line.set("event", TAMPER_DETECTED);
        line.set("timestamp", self.now);
        line.set("function", by);
        line.set("tenant.id", self.tenant);
        line.set("audit.finding", finding.reason);
        line.set("audit.found_in", finding.kind);
        line.set("audit.found_at", finding.at);
        line.set("correlation_id", self.correlation_id.clone());
        self.deps.log.write(&line);

        let at = format!("{:012}", finding.at);
        let record = Record {
            id: EventId::new(self.now),
            tenant: self.tenant,
            now: self.now,
            name: by,
            who: Who::service(by),
            action: None,
            resources: vec![(finding.kind.to_owned(), at.clone())],
            disclosed: Vec::new(),
            redacted: Vec::new(),
            purpose: None,
            status: 500,
            reason: Some(finding.reason),
            decided: None,
            on_behalf_of: None,
            policy_set_hash: self.deps.policies.hash(),
            correlation_id: self.correlation_id,
            changes: &[],
        };
        let envelope = Envelope {
            id: EventId::new(self.now),
            tenant_id: self.tenant,
            actor: by.to_owned(),
            on_behalf_of: None,
            cause: record.id,
            correlation_id: self.correlation_id.clone(),
            schema: E::SCHEMA.to_owned(),
            version: E::VERSION,
            occurred_at: self.now,
            payload: serde_json::to_value(event).map_err(|_| crate::Error::internal("domain event"))?,
        };
        let hour = self.now.as_secs().div_euclid(3600);
        let told = Item::new(Key::new(FINDINGS, format!("{}#{at}", finding.reason))).number("hour", hour);
        let not_told = Condition::Any(vec![Condition::Absent, Condition::AtMost("hour", hour - 1)]);
        let put = |item, condition| (self.tenant, Op::Put { table: Table::Ledger, item, condition });
        let ops = [put(told, Some(not_told)), (self.tenant, record.op()?), put(envelope.into_item()?, None)];
        let token = crate::Uuid::from_bytes(crate::random::bytes()).to_string();
        match self.deps.db.commit(&ops, &token, self.deadline).await {
            Ok(()) | Err(Refused::Condition { .. }) => Ok(()),
            Err(Refused::Error(error)) => Err(error),
        }
    }
}
