//! Domain events: the interface between domains. Each is committed with its change. The ledger table's stream delivers it in an
//! [`Envelope`], which contains the actor, the principal on whose behalf it acted, and the cause.
//!
//! A payload contains only ids and codes. It cannot contain PHI, because PHI types cannot be serialised.

use crate::{
    base::{EventId, Result, TenantId, Timestamp, telemetry::CorrelationId},
    store::item::{Item, Key},
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The partition of a tenant's events that have not reached the bus yet.
pub(crate) const OUTBOX: &str = "EVENTS";
/// The kind attribute of an outbox item, by which the Pipes select their items.
pub(crate) const KIND: &str = "event";

/// An event that is described by ids and codes only.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainEvent {
    pub(crate) schema: &'static str,
    pub(crate) version: u32,
    pub(crate) payload: Value,
}

/// The payload of a domain event: a name, a schema version, and fields that are not PHI.
///
/// The publishing domain and each consuming domain declare their own type, with the same name. The publisher's JSON Schema is
/// stored in `docs/events/`, and must contain the members that each consumer requires.
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

    /// The name by which rules on the bus distinguish an event and its version from all others.
    pub fn route(&self) -> String {
        route(self.name, self.version)
    }
}

/// `shipment.created`, and from the second version on `shipment.created.v2`, so that a rule for one never matches the other.
fn route(schema: &str, version: u32) -> String {
    if version == 1 { schema.to_owned() } else { format!("{schema}.v{version}") }
}

/// Lists the events that a domain publishes: `events![ShipmentCreated, ShipmentVoided]`.
#[macro_export]
macro_rules! events {
    ($($Event:ty),* $(,)?) => { &[$($crate::store::Schema::of::<$Event>()),*] };
}

/// The messages of a consumer: one event, or one of several by [`messages!`](crate::messages).
pub trait Message: Sized + Send {
    const SCHEMAS: &'static [Schema];
    /// # Errors
    /// [`Undecodable`] if the envelope contains none of [`Self::SCHEMAS`].
    fn decode(envelope: &Envelope) -> Result<Self, Undecodable>;
}

/// The reason why a message cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    #[error("not an envelope")]
    NotAnEnvelope,
    #[error("unknown schema or schema version")]
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

/// Declares the messages of a consumer: `messages! { pub enum ShipmentEvent { Created(ShipmentCreated), Voided(ShipmentVoided) } }`.
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

/// A payload with its metadata: the actor, on whose behalf, the cause and the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    pub id: EventId,
    pub tenant_id: TenantId,
    /// A user's id, or the name of a function that acted on its own.
    pub actor: String,
    pub on_behalf_of: Option<String>,
    /// The audit event of the cause.
    pub cause: EventId,
    pub correlation_id: CorrelationId,
    pub schema: String,
    pub version: u32,
    pub occurred_at: Timestamp,
    pub payload: Value,
}

impl Envelope {
    /// # Errors
    /// Internal if the payload is not an object, because it could not be serialised.
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

/// Any event on the bus.
#[derive(Clone, Copy, Debug)]
pub struct AnyEvent;

impl Message for AnyEvent {
    const SCHEMAS: &'static [Schema] = &[];
    fn decode(_: &Envelope) -> Result<Self, Undecodable> {
        Ok(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn route_contains_the_version_from_the_second_on() {
        assert_eq!(
            [1, 2, 12].map(|version| route("shipment.created", version)),
            ["shipment.created", "shipment.created.v2", "shipment.created.v12"]
        );
    }
}
