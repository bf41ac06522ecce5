//! Domain events: what other domains hear of. Each is committed with the change that it tells of and leaves by the ledger
//! table's stream, in an [`Envelope`] that says who did it, in whose name, and why.
//!
//! A payload is ids and codes: no PHI type can be serialised, so none can be in one.

use crate::{
    audit::event,
    background::{Background, Delivery, Ground},
    base::{EventId, Result, TenantId, Timestamp, telemetry::CorrelationId},
    request::{Need, endpoint::declares},
    store::{
        changes::Edit,
        dynamodb::Query,
        item::{Item, Key, Row, Table},
    },
};
use futures_util::{StreamExt, stream};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::time::Duration;

/// The partition of a tenant's events that have not reached the bus yet.
pub(crate) const OUTBOX: &str = "EVENTS";
/// What an outbox item says of its kind: the Pipes tell by it what they carry.
pub(crate) const KIND: &str = "event";

/// Something that happened, named by ids and codes only.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainEvent {
    pub(crate) schema: &'static str,
    pub(crate) version: u32,
    pub(crate) payload: Value,
}

/// The payload of a domain event: a name, a schema version, and fields that are not PHI.
///
/// The domain that publishes it and each that hears it declare a type of their own, under the same name. The publisher's
/// JSON Schema is kept in `docs/events/`, and must have what each hearer requires.
pub trait Event: Serialize + DeserializeOwned + JsonSchema + Send {
    /// `shipment.created`
    const SCHEMA: &'static str;
    const VERSION: u32 = 1;
}

impl<E: Event> From<E> for DomainEvent {
    fn from(event: E) -> Self {
        Self { schema: E::SCHEMA, version: E::VERSION, payload: serde_json::to_value(event).unwrap_or(Value::Null) }
    }
}

/// The name, version and JSON Schema of a payload.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    pub name: &'static str,
    pub version: u32,
    pub json: fn(&mut SchemaGenerator) -> schemars::Schema,
}

impl Schema {
    pub const fn of<E: Event>() -> Self {
        Self { name: E::SCHEMA, version: E::VERSION, json: |schemas| schemas.subschema_for::<E>() }
    }

    /// The word by which rules on the bus tell an event and its version from all others.
    pub fn route(&self) -> String {
        route(self.name, self.version)
    }
}

/// `shipment.created`, and from its second version on `shipment.created.v2`: a rule that names the one never matches the other.
fn route(schema: &str, version: u32) -> String {
    if version == 1 { schema.to_owned() } else { format!("{schema}.v{version}") }
}

/// Lists what a domain publishes: `events![ShipmentCreated, ShipmentVoided]`.
#[macro_export]
macro_rules! events {
    ($($Event:ty),* $(,)?) => { &[$($crate::store::Schema::of::<$Event>()),*] };
}

/// What a consumer understands: one event, or one of several by [`messages!`](crate::messages).
pub trait Message: Sized + Send {
    const SCHEMAS: &'static [Schema];
    /// # Errors
    /// [`Undecodable`] where the envelope holds none of [`Self::SCHEMAS`].
    fn decode(envelope: &Envelope) -> Result<Self, Undecodable>;
}

/// Why a message cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    #[error("not an envelope")]
    NotAnEnvelope,
    #[error("a schema, or a version of it, that is not known here")]
    UnknownSchema,
    #[error("the payload does not fit its schema")]
    DoesNotFit,
}

impl<E: Event> Message for E {
    const SCHEMAS: &'static [Schema] = &[Schema::of::<E>()];
    fn decode(envelope: &Envelope) -> Result<Self, Undecodable> {
        if (envelope.schema.as_str(), envelope.version) != (E::SCHEMA, E::VERSION) {
            return Err(Undecodable::UnknownSchema);
        }
        E::deserialize(&envelope.payload).map_err(|_| Undecodable::DoesNotFit)
    }
}

/// Declares what a consumer understands: `messages! { pub enum Heard { Created(ShipmentCreated), Voided(ShipmentVoided) } }`.
#[macro_export]
macro_rules! messages {
    ($(#[$doc:meta])* $vis:vis enum $Name:ident { $($Variant:ident($Event:ty)),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        $vis enum $Name { $($Variant($Event)),+ }

        impl $crate::store::Message for $Name {
            const SCHEMAS: &'static [$crate::store::Schema] = &[$($crate::store::Schema::of::<$Event>()),+];
            fn decode(envelope: &$crate::store::Envelope) -> ::std::result::Result<Self, $crate::store::Undecodable> {
                match (envelope.schema.as_str(), envelope.version) {
                    $((<$Event as $crate::store::Event>::SCHEMA, <$Event as $crate::store::Event>::VERSION) =>
                        <$Event as $crate::store::Message>::decode(envelope).map(Self::$Variant),)+
                    _ => Err($crate::store::Undecodable::UnknownSchema),
                }
            }
        }
    };
}

/// A payload on its way: who did it, in whose name, why, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    pub id: EventId,
    pub tenant_id: TenantId,
    /// A user's id, or the function that acted by itself.
    pub actor: String,
    pub on_behalf_of: Option<String>,
    /// The audit event of what caused it.
    pub cause: EventId,
    pub correlation_id: CorrelationId,
    pub schema: String,
    pub version: u32,
    pub occurred_at: Timestamp,
    pub payload: Value,
}

impl Envelope {
    /// # Errors
    /// Internal where the payload is no object: it could not be serialised.
    pub(crate) fn to_json(&self) -> Result<String> {
        if !self.payload.is_object() {
            return Err(crate::base::Error::internal("payload"));
        }
        serde_json::to_string(self).map_err(|_| crate::base::Error::internal("envelope"))
    }

    pub(crate) fn into_item(self) -> Result<Item> {
        let text = self.to_json()?;
        Ok(Item::new(self.key()).text("kind", KIND).text("schema", self.route()).text("envelope", text))
    }

    fn key(&self) -> Key {
        Key::new(OUTBOX, self.id.to_string())
    }

    fn route(&self) -> String {
        route(&self.schema, self.version)
    }
}

/// Whatever the bus carries.
#[derive(Clone, Copy, Debug)]
pub struct AnyEvent;

impl Message for AnyEvent {
    const SCHEMAS: &'static [Schema] = &[];
    fn decode(_: &Envelope) -> Result<Self, Undecodable> {
        Ok(Self)
    }
}

/// A tenant's outbox, for those who keep it empty.
#[derive(Debug)]
pub struct Outbox<'a> {
    ground: &'a Ground<'a>,
}

/// How many events of a tenant one sweep has told again, besides those that are urgent: more are the next one's.
pub(crate) const SWEPT: usize = 5_000;
/// How many are read at once.
const PAGE: u32 = 1_000;
/// How many are told at once.
const TOLD_AT_ONCE: usize = 16;
/// How long before its end a sweep reads no more.
const SWEEP_ENDS: Duration = Duration::from_secs(10);

/// Whether somebody's access, or a person's attention, waits for it. What becomes of shipments is the bulk, and can wait.
fn is_urgent(schema: &str) -> bool {
    !schema.starts_with("shipment.")
}

impl<B: Background> Delivery<'_, B> {
    pub fn outbox(&self) -> Outbox<'_> {
        const { assert!(declares(B::NEEDS, Need::Outbox), "keeps the outbox: add Need::Outbox to NEEDS") }
        Outbox { ground: self.ground }
    }
}

impl Outbox<'_> {
    /// Takes out an event that has arrived. One that is gone is gone.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer.
    pub async fn settle(&self, id: EventId) -> Result<()> {
        let Ground { deps, tenant, .. } = self.ground;
        deps.db.delete(*tenant, Table::Ledger, &Key::new(OUTBOX, id.to_string())).await
    }

    /// Touches events that were committed before `then` and are still here, and the oldest audit event that is not sealed:
    /// the stream tells what changes. The urgent ones come first, then the others, the oldest first. One that was told after `then` is
    /// on its way, and is passed over. How many there were.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer.
    pub async fn tell_again(&self, then: Timestamp) -> Result<usize> {
        let Ground { deps, tenant, now, .. } = self.ground;
        let unsealed = deps.db.query(*tenant, &missed(event::UNSEALED, then, 1), None).await?.rows;
        for row in &unsealed {
            let wake = event::wake(*tenant, *now);
            deps.db.edit(*tenant, Table::Ledger, &Edit::of(row.key()?).text("wake", wake)).await?;
        }
        let mut told = unsealed.len();
        for urgent in [true, false] {
            told += self.tell(then, urgent).await?;
        }
        Ok(told)
    }

    async fn tell(&self, then: Timestamp, urgent: bool) -> Result<usize> {
        let Ground { deps, tenant, now, deadline, .. } = self.ground;
        let most = if urgent { usize::MAX } else { SWEPT };
        let waits = |row: &Row| {
            let told_lately = row.maybe_number("told_at").is_some_and(|at| at > then.as_millis());
            !told_lately && row.maybe_text("schema").is_none_or(is_urgent) == urgent
        };
        let tell = async |row: Row| {
            let edit = Edit::of(row.key()?).add("told_again", 1).number("told_at", now.as_millis());
            deps.db.edit(*tenant, Table::Ledger, &edit).await
        };
        let (mut told, mut from) = (0, None);
        while told < most && deps.clock.now() < deadline.minus(SWEEP_ENDS) {
            let page = deps.db.query(*tenant, &missed(OUTBOX, then, PAGE), from).await?;
            let waiting = page.rows.into_iter().filter(waits).take(most - told);
            let done: Vec<_> = stream::iter(waiting).map(tell).buffer_unordered(TOLD_AT_ONCE).collect().await;
            told += done.len();
            done.into_iter().collect::<Result<Vec<_>>>()?;
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        Ok(told)
    }
}

/// The oldest of what a partition has from before `then`.
fn missed(partition: &str, then: Timestamp, most: u32) -> Query {
    let (first, before) = (EventId::first_at(Timestamp::from_millis(0)), EventId::first_at(then));
    Query::partition(Table::Ledger, partition).between(first, before).limit(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_version_is_routed_by_its_name_and_each_later_one_by_a_word_of_its_own() {
        assert_eq!(
            [1, 2, 12].map(|version| route("shipment.created", version)),
            ["shipment.created", "shipment.created.v2", "shipment.created.v12"]
        );
    }
}
