//! Audit events: one for every request, including refused ones, in the log of the tenant that it concerns.
//!
//! The event of a change is in the transaction of the change. The event of a read is written before plaintext is returned.
//! Callers can cause unlimited refusals (401, 429), so these are one event per source and minute, with a count; otherwise they
//! could fill a log that is kept for seven years.

use crate::{
    audit::{activity::Activity, trace::Traced},
    base::{Error, EventId, Purpose, Result, Role, SessionId, TenantId, Timestamp, error::Cause},
    policy::Decided,
    store::{
        changes::{Condition, Op},
        dynamodb::{Db, Update},
        item::{Item, Key, Table},
        outbox::{DomainEvent, Envelope},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use ledger::{
    Actor, ActorType, AtMost, Decision, EventType, Format, Outcome, Policy, PurposeOfUse, Reason, Resource, Severity, UserAgent,
    Word,
};
use std::{borrow::Cow, time::Duration};

/// The partition of a tenant's unsealed events.
pub(crate) const UNSEALED: &str = "AUDIT";
/// The kind attribute of such an item, by which the Pipes select their items.
const KIND: &str = "audit";
/// The time after its minute for which a counted event may still be increased, by a function whose clock is behind.
const SETTLES: Duration = Duration::from_secs(10);
/// The time after its first try for which the SDK may repeat the write of a single event: the timeout of a call, and a second.
/// INVARIANT: together with [`WAKES`] it is at most the delay of the wake-ups, so that a wake-up finds its event settled.
const REPEATED: Duration = Duration::from_secs(6);
/// Wake-ups within this time are combined into one.
const WAKES: Duration = Duration::from_secs(4);

/// The actor of an event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Who {
    pub(crate) id: Option<String>,
    pub(crate) kind: Option<ActorType>,
    pub(crate) role: Option<Role>,
    pub(crate) session: Option<SessionId>,
    pub(crate) ip: String,
    pub(crate) user_agent: String,
}

impl Who {
    /// One of our own functions, on its own.
    pub(crate) fn service(name: &str) -> Self {
        Self { id: Some(name.to_owned()), kind: Some(ActorType::Service), ..Self::default() }
    }
    /// The beginning of the event's type: an API request, or the function's own work.
    fn area(&self) -> &'static str {
        if self.kind == Some(ActorType::Service) { "job" } else { "api" }
    }
}

/// One event before serialisation.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) activity: &'a Activity<'a>,
    pub(crate) id: EventId,
    pub(crate) tenant: TenantId,
    /// The endpoint, such as `create_shipment`.
    pub(crate) name: &'a str,
    pub(crate) who: Who,
    pub(crate) action: Option<&'a str>,
    pub(crate) resources: Vec<(String, String)>,
    pub(crate) disclosed: Vec<Cow<'static, str>>,
    pub(crate) redacted: Vec<Cow<'static, str>>,
    pub(crate) purpose: Option<Purpose>,
    pub(crate) status: u16,
    pub(crate) reason: Option<&'a str>,
    pub(crate) decided: Option<&'a Decided>,
    /// The principal on whose behalf it acted, if not its own.
    pub(crate) on_behalf_of: Option<&'a str>,
    pub(crate) changes: &'a [&'static str],
}

impl<'a> Record<'a> {
    /// The event of a successful activity, without details. Callers set the fields that differ.
    pub(crate) fn of(activity: &'a Activity<'a>, name: &'a str, who: Who) -> Self {
        Self {
            activity,
            id: activity.audit_id,
            tenant: activity.tenant,
            name,
            who,
            action: None,
            resources: Vec::new(),
            disclosed: Vec::new(),
            redacted: Vec::new(),
            purpose: None,
            status: 200,
            reason: None,
            decided: None,
            on_behalf_of: None,
            changes: &[],
        }
    }

    /// Adds the data that the request collected.
    pub(crate) fn gathered(mut self, traced: &Traced) -> Self {
        self.resources.extend(traced.aimed_at.iter().chain(&traced.touched).cloned());
        self.disclosed.clone_from(&traced.disclosed);
        self.redacted.clone_from(&traced.redacted);
        self
    }

    fn event(&self) -> Result<ledger::Event> {
        let fail = |what: &str| Error::internal_because("audit event", Cause::code(what));
        let disclosed: Vec<_> = self.disclosed.iter().map(|name| Word::clean(name)).collect();
        let changes: Vec<_> = self.changes.iter().map(|name| Word::clean(name)).collect();
        // A request touches at most a hundred items; more would be a new kind of endpoint.
        let resources =
            self.resources.iter().map(|(kind, id)| Resource { resource_type: Word::clean(kind), id: Word::clean(id) });
        let mut resources: Vec<_> = resources.collect();
        resources.dedup();
        let policy = self.decided.map(|decided| {
            Ok::<_, Error>(Policy {
                decision: if decided.allowed { Decision::Allow } else { Decision::Deny },
                ids: AtMost::try_from(decided.policies.iter().map(|id| Word::clean(id)).collect::<Vec<_>>())
                    .map_err(|_| fail("policies"))?,
                policy_set_hash: ledger::Hash::parse(self.activity.policies.hash()).map_err(|_| fail("policy hash"))?,
            })
        });
        Ok(ledger::Event {
            format: Format::V1,
            event_id: Word::clean(&self.id.to_string()),
            tenant_id: Word::clean(&self.tenant.to_string()),
            sequence: None,
            occurred_at: ledger::OccurredAt::from_unix_millis(self.activity.now.as_millis()).map_err(|_| fail("time"))?,
            event_type: EventType::parse(format!("{}.{}", self.who.area(), self.name)).map_err(|_| fail("type"))?,
            severity: severity(self.status, self.reason),
            actor: Actor {
                actor_type: self.who.kind.unwrap_or(ActorType::Anonymous),
                id: self.who.id.as_deref().map(Word::clean),
                role: self.who.role.map(|r| Word::clean(r.as_str())),
                session_id: self.who.session.map(|s| Word::clean(&s.to_string())),
                ip: self.who.ip.parse().ok(),
                user_agent: UserAgent::clean(&self.who.user_agent),
            },
            on_behalf_of: self.on_behalf_of.map(|user| ledger::Principal { actor_type: ActorType::User, id: Word::clean(user) }),
            action: self.action.map(Word::clean),
            resources: AtMost::try_from(resources).map_err(|_| fail("resources"))?,
            disclosed: AtMost::try_from(disclosed).map_err(|_| fail("disclosed"))?,
            redacted: AtMost::try_from(self.redacted.iter().map(|name| Word::clean(name)).collect::<Vec<_>>())
                .map_err(|_| fail("redacted"))?,
            purpose_of_use: self.purpose.map(|p| match p {
                Purpose::Treatment => PurposeOfUse::Treatment,
                Purpose::Payment => PurposeOfUse::Payment,
                Purpose::Operations => PurposeOfUse::Operations,
                Purpose::EmergencyTreatment => PurposeOfUse::Emergency,
            }),
            outcome: match self.status {
                0..400 => Outcome::Success,
                400..500 => Outcome::Refused,
                _ => Outcome::Failed,
            },
            status: Some(self.status),
            reason: self.reason.map(|r| Reason::Code(Word::clean(r))),
            policy: policy.transpose()?,
            // The item's count may still increase; the sealer writes the final count.
            count: std::num::NonZeroU32::MIN,
            correlation_id: Word::clean(self.activity.correlation_id.as_str()),
            changes: AtMost::try_from(changes).map_err(|_| fail("changes"))?,
            previous_hash: None,
            hash: None,
        })
    }

    fn text(&self) -> Result<String> {
        let bytes = self.event()?.to_json().map_err(|_| Error::internal("audit event"))?;
        String::from_utf8(bytes).map_err(|_| Error::internal("audit event"))
    }

    /// The attributes of an event that is first written at `written` and not sealed before `settles`.
    fn values(&self, written: Timestamp, settles: Timestamp) -> Result<Vec<(&'static str, AttributeValue)>> {
        Ok(vec![
            (":event", AttributeValue::S(self.text()?)),
            (":one", AttributeValue::N("1".to_owned())),
            (":kind", AttributeValue::S(KIND.to_owned())),
            (":wake", AttributeValue::S(wake(self.tenant, written))),
            (":settles", AttributeValue::N(settles.as_millis().to_string())),
        ])
    }

    /// The operation that writes the event with a change.
    pub(crate) fn op(&self) -> Result<Op> {
        let item = Item::new(key(self.id));
        let item = item
            .text("event", self.text()?)
            .number("count", 1)
            .text("kind", KIND)
            .text("wake", wake(self.tenant, self.activity.now));
        Ok(Op::Put { table: Table::Ledger, item, condition: Some(Condition::Absent) })
    }

    /// Writes the event alone.
    pub(crate) async fn write(&self, db: &Db) -> Result<()> {
        let written = db.now();
        let update = Update {
            expression: "SET #event = :event, #count = :one, #kind = :kind, #wake = :wake, #settles = :settles",
            condition: None,
            names: &NAMES,
            values: self.values(written, written.plus(REPEATED))?,
        };
        // A repetition writes the same item, so a lost answer does no harm: the event is sealed and deleted only after the last
        // possible repetition.
        db.update(self.tenant, Table::Ledger, &key(self.id), update).await.map(drop)
    }

    /// Writes the event, or increases its count if this `source` has caused it in this minute already.
    pub(crate) async fn count(mut self, db: &Db, source: &str) -> Result<()> {
        // The minute of the write counts: a slow request would otherwise count in an event that is sealed already.
        let written = db.now();
        self.id = EventId::of_minute(written, source.as_bytes());
        let update = Update {
            expression: "SET #event = if_not_exists(#event, :event), #kind = :kind, #wake = if_not_exists(#wake, :wake), \
                         #settles = :settles ADD #count :one",
            condition: None,
            names: &NAMES,
            // Until then its count may increase, and it is not sealed.
            values: self.values(written, minute_end(written).plus(SETTLES))?,
        };
        db.update(self.tenant, Table::Ledger, &key(self.id), update).await.map(drop)
    }
}

impl Envelope {
    /// A domain event in `tenant`, which the action of the audit event `cause` has caused.
    pub(crate) fn of(cause: &Record<'_>, tenant: TenantId, event: DomainEvent) -> Self {
        let Record { activity, id, name, who, on_behalf_of, .. } = cause;
        Self {
            id: EventId::new(activity.now),
            tenant_id: tenant,
            actor: who.id.as_deref().unwrap_or(name).to_owned(),
            on_behalf_of: on_behalf_of.map(str::to_owned),
            cause: *id,
            correlation_id: activity.correlation_id.clone(),
            schema: event.schema.to_owned(),
            version: event.version,
            occurred_at: activity.now,
            payload: event.payload,
        }
    }

    /// The operation that writes it with the change.
    pub(crate) fn op(self) -> Result<Op> {
        Ok(Op::Put { table: Table::Ledger, item: self.into_item()?, condition: Some(Condition::Absent) })
    }
}

const NAMES: [(&str, &str); 5] =
    [("#event", "event"), ("#count", "count"), ("#kind", "kind"), ("#wake", "wake"), ("#settles", "settles_at")];

/// The deduplication id that combines the wake-ups within [`WAKES`].
pub(crate) fn wake(tenant: TenantId, now: Timestamp) -> String {
    format!("{tenant}-{}", now.as_secs().unsigned_abs() / WAKES.as_secs())
}

fn minute_end(now: Timestamp) -> Timestamp {
    Timestamp::from_millis((now.as_millis().div_euclid(60_000) + 1) * 60_000)
}

pub(crate) fn key(id: EventId) -> Key {
    Key::new(UNSEALED, id.to_string())
}

/// The severity of an outcome. A reused refresh token means that it was probably stolen.
fn severity(status: u16, reason: Option<&str>) -> Severity {
    match (status, reason) {
        (_, Some("refresh_token_reused")) => Severity::Critical,
        (_, Some(reason)) if reason.starts_with("tampered_") => Severity::Critical,
        (0..400, _) => Severity::Info,
        (401 | 403 | 429, _) => Severity::Warning,
        (400..500, _) => Severity::Info,
        _ => Severity::Error,
    }
}
