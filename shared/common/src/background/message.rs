//! A queue's message, before it is anything else: an event from the bus, a message of our own, a wake-up, a report on mails.

use crate::{Envelope, EventId, Message, Schema, TenantId, Timestamp, Undecodable, telemetry::CorrelationId};
use aws_lambda_events::sqs::SqsMessage;
use serde::Deserialize;
use serde_json::Value;

/// What wakes a tenant's sealer. It says nothing else: what there is to seal is in the table.
#[derive(Clone, Copy, Debug, Default)]
pub struct WakeUp;

/// The schema that a wake-up has once it is an envelope.
const WAKE_UP: &str = "audit.wake_up";
/// The schema that the mail service's report has once it is an envelope.
const MAIL_FEEDBACK: &str = "mail.feedback";

impl Message for WakeUp {
    const SCHEMAS: &'static [Schema] = &[];
    fn decode(envelope: &Envelope) -> Result<Self, Undecodable> {
        if envelope.schema == WAKE_UP { Ok(Self) } else { Err(Undecodable::UnknownSchema) }
    }
}

/// The bodies that a queue of ours has.
#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    /// EventBridge's event, whose detail a Pipe made of an outbox item.
    Bus {
        detail: Detail,
    },
    /// What the Pipe makes of an audit item: its partition key.
    WakeUp {
        wake_up: String,
    },
    /// SNS's notification of what became of a mail.
    Mail {
        #[serde(rename = "Message")]
        message: String,
        #[serde(rename = "MessageId")]
        id: String,
        #[serde(rename = "Timestamp")]
        at: Timestamp,
    },
    Own(Box<Envelope>),
}

#[derive(Deserialize)]
struct Detail {
    envelope: String,
}

/// The envelope of a message.
///
/// # Errors
/// [`Undecodable::NotAnEnvelope`].
pub(super) fn envelope(message: &SqsMessage, now: Timestamp) -> Result<Envelope, Undecodable> {
    let refused = Undecodable::NotAnEnvelope;
    let body = message.body.as_deref().ok_or(refused)?;
    match serde_json::from_str(body).map_err(|_| refused)? {
        Body::Bus { detail } => serde_json::from_str(&detail.envelope).map_err(|_| refused),
        Body::Own(envelope) => Ok(*envelope),
        Body::WakeUp { wake_up } => {
            let tenant: TenantId = wake_up.split_once('#').and_then(|(tenant, _)| tenant.parse().ok()).ok_or(refused)?;
            Ok(of_ours(WAKE_UP, tenant, Value::Null, now))
        }
        // Nobody's in particular: whose mail it was is in the report.
        Body::Mail { message, id, at } => {
            let report = serde_json::from_str(&message).map_err(|_| refused)?;
            // The same at each delivery, so that it is known when it comes again.
            let id = EventId::of_minute(at, id.as_bytes());
            Ok(Envelope { id, cause: id, occurred_at: at, ..of_ours(MAIL_FEEDBACK, TenantId::PLATFORM, report, now) })
        }
    }
}

/// An envelope for what no request caused.
pub(super) fn of_ours(schema: &str, tenant: TenantId, payload: Value, now: Timestamp) -> Envelope {
    let id = EventId::new(now);
    Envelope {
        id,
        tenant_id: tenant,
        actor: String::new(),
        on_behalf_of: None,
        cause: id,
        correlation_id: CorrelationId::new(now),
        schema: schema.to_owned(),
        version: 1,
        occurred_at: now,
        payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_268_800_000);

    fn message(body: impl ToString) -> SqsMessage {
        let mut message = SqsMessage::default();
        message.body = Some(body.to_string());
        message
    }

    #[test]
    fn an_envelope_comes_by_the_bus_or_directly() {
        let own = of_ours("shipment.poll_due", TenantId::PLATFORM, serde_json::json!({"n": 1}), NOW);
        let text = own.to_json().unwrap();
        assert_eq!(envelope(&message(&text), NOW).unwrap(), own);
        let bus = serde_json::json!({"version": "0", "source": "cloister", "detail": {"schema": "x", "envelope": text}});
        assert_eq!(envelope(&message(bus), NOW).unwrap(), own);
    }

    #[test]
    fn a_wake_up_names_its_tenant_by_the_items_partition() {
        let body = serde_json::json!({"wake_up": format!("{}#AUDIT", TenantId::PLATFORM)});
        let envelope = envelope(&message(body), NOW).unwrap();
        assert_eq!(envelope.tenant_id, TenantId::PLATFORM);
        assert!(WakeUp::decode(&envelope).is_ok());
    }

    #[test]
    fn a_report_on_mails_is_the_same_event_at_each_delivery() {
        let body = serde_json::json!({"Type": "Notification", "MessageId": "a", "Timestamp": NOW, "Message": "{}"});
        let told = |body: &Value, at| envelope(&message(body), at).unwrap().id;
        let again = told(&body, NOW.plus(std::time::Duration::from_secs(3600)));
        assert_eq!(told(&body, NOW), again);
        let other = serde_json::json!({"Type": "Notification", "MessageId": "b", "Timestamp": NOW, "Message": "{}"});
        assert_ne!(told(&other, NOW), again);
    }

    proptest! {
        #[test]
        fn anything_else_is_refused_without_a_panic(body in ".{0,200}") {
            prop_assert_eq!(envelope(&message(&body), NOW).unwrap_err(), Undecodable::NotAnEnvelope);
        }
    }
}
