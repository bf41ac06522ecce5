//! Reports an altered log: a line for the alarm, an audit event, and a domain event; once for each finding until it is resolved,
//! and again once a day.

use super::AuditLog;
use crate::{
    audit::event::{Record, Who},
    base::{EventId, Result, TenantId, error::Cause, telemetry},
    store::{
        Condition, Envelope, Event, Row,
        changes::Op,
        dynamodb::{Query, Refused},
        item::{Item, Key, Table},
    },
};
use std::{borrow::Cow, time::Duration};

/// A fault in the log. Its reason is a code that begins with `tampered_`, which makes the event critical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    pub reason: &'static str,
    /// The kind of the faulty data: `Segment`, `Head`, `Checkpoint`.
    pub kind: &'static str,
    /// The sequence or the size at which the fault was found.
    pub at: u64,
    pub place: FindingPlace,
}

/// Distinguishes a finding from others with the same reason. A size that grows with the log must not be part of it; otherwise
/// each minute would raise another finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingPlace {
    /// The data at [`Finding::at`], which does not move.
    At,
    /// The current end of the log.
    End,
    /// The objects in the bucket after the newest checkpoint.
    Newer,
    /// The checkpoint that was mailed to auditors.
    Mailed,
}

impl FindingPlace {
    fn text(self, at: u64) -> Cow<'static, str> {
        match self {
            Self::At => format!("{at:012}").into(),
            Self::End => "END".into(),
            Self::Newer => "NEWER".into(),
            Self::Mailed => "MAILED".into(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let named = [Self::End, Self::Newer, Self::Mailed].into_iter().find(|place| place.text(0) == text);
        named.or_else(|| text.bytes().all(|b| b.is_ascii_digit()).then_some(Self::At))
    }
}

impl Finding {
    /// Identifies the finding, and stays the same while the log grows.
    pub fn key(&self) -> String {
        format!("{}#{}", self.reason, self.place.text(self.at))
    }
}

/// A finding that was raised and is not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFinding {
    key: String,
    kind: String,
    pub at: u64,
    pub place: FindingPlace,
    alarmed_at: i64,
}

impl OpenFinding {
    /// `None` for a resolved finding, or one that was recorded before findings had this form.
    fn from_row(row: &Row) -> Option<Self> {
        let key = row.maybe_text("sk")?.to_owned();
        let place = FindingPlace::parse(key.rsplit_once('#')?.1)?;
        let (kind, at) = (row.maybe_text("kind")?.to_owned(), u64::try_from(row.maybe_number("at")?).ok()?);
        Some(Self { place, at, kind, alarmed_at: row.maybe_number("alarmed_at")?, key })
    }

    /// The sequence of an event that the finding concerns.
    pub fn sequence(&self) -> u64 {
        // A head and a checkpoint cover the events before their size.
        if self.kind == "Segment" { self.at } else { self.at.saturating_sub(1) }
    }
}

/// The log line that the alarm counts.
const TAMPER_DETECTED: &str = "audit.tamper_detected";
const FINDINGS: &str = "FINDINGS";
/// An open finding raises its alarm again after this time.
const REMINDED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

impl AuditLog<'_> {
    /// Reports a finding: a critical log line each time. If it is new, or its last alarm was a day ago, also a critical audit
    /// event and `event` for other domains.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn raise<E: Event>(&self, finding: Finding, by: &'static str, event: E) -> Result<()> {
        telemetry::line! {
            "level" = "critical",
            "event" = TAMPER_DETECTED,
            "timestamp" = self.activity.now,
            "function" = by,
            "tenant.id" = self.activity.tenant,
            "correlation_id" = self.activity.correlation_id,
            "audit.finding" = finding.reason,
            "audit.found_in" = finding.kind,
            "audit.found_at" = finding.at,
        };

        let at = format!("{:012}", finding.at);
        let record = self.record(by, (finding.kind, at), Some(finding.reason));
        let envelope = Envelope::of(&record, self.activity.tenant, event.into());
        let told = Item::new(Key::new(FINDINGS, finding.key()))
            .text("kind", finding.kind)
            .number("at", i64::try_from(finding.at).unwrap_or(i64::MAX))
            .number("alarmed_at", self.activity.now.as_secs());
        let is_due = Condition::Any(vec![
            Condition::Missing("alarmed_at"),
            Condition::AtMost("alarmed_at", self.activity.now.minus(REMINDED_AFTER).as_secs()),
        ]);
        let put = |item, condition| (self.activity.tenant, Op::Put { table: Table::Ledger, item, condition });
        let ops = [put(told, Some(is_due)), (self.activity.tenant, record.op()?), (self.activity.tenant, envelope.op()?)];
        self.once(&ops).await
    }

    /// The findings that were raised and are not resolved.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn open_findings(&self) -> Result<Vec<OpenFinding>> {
        let rows = self.deps.db.query_all(self.activity.tenant, &Query::partition(Table::Ledger, FINDINGS)).await?;
        Ok(rows.iter().filter_map(OpenFinding::from_row).collect())
    }

    /// Resolves a finding, because its data is valid again. If the fault returns, it is a new finding. The resolution is audited.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn resolve(&self, finding: &OpenFinding, by: &'static str) -> Result<()> {
        let resolved = Item::new(Key::new(FINDINGS, &finding.key)).number("resolved_at", self.activity.now.as_secs());
        let unmoved = Some(Condition::NumberIs("alarmed_at", finding.alarmed_at));
        let record = Record { changes: &["resolved"], ..self.record(by, (&finding.kind, format!("{:012}", finding.at)), None) };
        self.once(&[
            (self.activity.tenant, Op::Put { table: Table::Ledger, item: resolved, condition: unmoved }),
            (self.activity.tenant, record.op()?),
        ])
        .await?;
        telemetry::line! {
            "level" = "info",
            "event" = "audit.finding_resolved",
            "timestamp" = self.activity.now,
            "function" = by,
            "tenant.id" = self.activity.tenant,
            "correlation_id" = self.activity.correlation_id,
            "audit.finding" = Cause::code(finding.key.split('#').next().unwrap_or_default()),
            "audit.found_at" = finding.at,
        };
        Ok(())
    }

    fn record<'r>(&'r self, by: &'r str, (kind, at): (&str, String), reason: Option<&'r str>) -> Record<'r> {
        Record {
            id: EventId::new(self.activity.now),
            resources: vec![(kind.to_owned(), at)],
            status: if reason.is_some() { 500 } else { 200 },
            reason,
            ..Record::of(self.activity, by, Who::service(by))
        }
    }

    /// Commits if the first operation's condition holds. If it does not, another run has done the same.
    pub(super) async fn once(&self, ops: &[(TenantId, Op)]) -> Result<()> {
        let token = crate::base::Uuid::from_bytes(crate::base::random::bytes()).to_string();
        match self.deps.db.commit(ops, &token, self.activity.deadline).await {
            Ok(()) | Err(Refused::Condition { .. }) => Ok(()),
            Err(Refused::Error(error)) => Err(error),
        }
    }
}
