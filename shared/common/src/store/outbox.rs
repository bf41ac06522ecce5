//! Domain events: what other domains hear of. Each is committed with the change that it tells of and leaves by the ledger
//! table's stream, in an [`Envelope`] that says who did it, in whose name, and why.
//!
//! A payload is ids and codes: no PHI type can be serialised, so none can be in one.

use crate::{
    base::{EventId, Result, TenantId, Timestamp, telemetry::CorrelationId},
    store::item::{Item, Key},
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

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
