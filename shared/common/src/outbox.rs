//! Domain events: what other domains hear of. Each is committed with the change that it tells of and leaves by the ledger
//! table's stream.

use crate::{
    EventId, Timestamp,
    table::{Item, Key},
    telemetry::CorrelationId,
};
use serde::Serialize;
use serde_json::Value;

/// Something that happened, named by ids and codes only.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainEvent {
    pub(crate) schema: &'static str,
    pub(crate) version: u32,
    pub(crate) payload: Value,
}

/// The payload of a domain event: a name, a schema version, and fields that are not PHI.
pub trait Event: Serialize {
    /// `shipment.created`
    const SCHEMA: &'static str;
    const VERSION: u32 = 1;
}

impl<E: Event> From<E> for DomainEvent {
    fn from(event: E) -> Self {
        Self { schema: E::SCHEMA, version: E::VERSION, payload: serde_json::to_value(event).unwrap_or(Value::Null) }
    }
}

/// An event on its way: who did it, in what name, why, and when.
#[derive(Debug, Serialize)]
pub(crate) struct Envelope<'a> {
    pub(crate) id: EventId,
    pub(crate) tenant_id: crate::TenantId,
    pub(crate) actor: &'a str,
    pub(crate) on_behalf_of: Option<&'a str>,
    /// The audit event of the request that caused it.
    pub(crate) cause: EventId,
    pub(crate) correlation_id: &'a CorrelationId,
    pub(crate) schema: &'static str,
    pub(crate) version: u32,
    pub(crate) occurred_at: Timestamp,
    pub(crate) payload: &'a Value,
}

impl Envelope<'_> {
    pub(crate) fn into_item(self) -> crate::Result<Item> {
        let text = serde_json::to_string(&self).map_err(|_| crate::Error::internal("domain event"))?;
        Ok(Item::new(Key::new("EVENTS", self.id.to_string())).text("envelope", text))
    }
}
