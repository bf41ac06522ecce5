//! Classifies a queue's message: an event from the bus, an internal message, a wake-up, a report on mails, or a notice that a
//! service sends when it is configured to send to us.

use crate::{
    base::{EventId, TenantId, Timestamp, telemetry::CorrelationId},
    store::{Envelope, Message, Schema, Undecodable},
};
use aws_lambda_events::sqs::SqsMessage;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::Value;

/// Wakes a tenant's sealer. It contains nothing else; the unsealed events are in the table.
#[derive(Clone, Copy, Debug, Default)]
pub struct WakeUp;

/// The schema of a wake-up in an envelope.
const WAKE_UP: &str = "audit.wake_up";
/// The schema of the mail service's report in an envelope.
const MAIL_FEEDBACK: &str = "mail.feedback";

impl Message for WakeUp {
    const SCHEMAS: &'static [Schema] = &[];
    fn decode(envelope: &Envelope) -> Result<Self, Undecodable> {
        if envelope.schema == WAKE_UP { Ok(Self) } else { Err(Undecodable::UnknownSchema) }
    }
}

/// The bodies that our queues receive.
#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    /// EventBridge's event. A Pipe made its detail from an outbox item.
    Bus {
        detail: Json<Detail>,
    },
    /// The Pipe's message for an audit item: its partition key.
    WakeUp {
        wake_up: String,
    },
    /// SNS's notification about a mail.
    Mail {
        #[serde(rename = "Message")]
        message: Json<Value>,
        #[serde(rename = "MessageId")]
        id: String,
        #[serde(rename = "Timestamp")]
        at: Timestamp,
    },
    Own(Box<Envelope>),
}

#[derive(Deserialize)]
struct Detail {
    envelope: Json<Envelope>,
}

/// JSON inside JSON, as text or as the value itself. A Pipe inserts a string that is valid JSON as an object, and an input
/// template of a rule or a Pipe may turn an object into text.
///
/// Source: EventBridge, "Amazon EventBridge Pipes input transformation" ("Implicit body data parsing", "Common issues").
struct Json<T>(T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Json<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = match Value::deserialize(deserializer)? {
            Value::String(text) => serde_json::from_str(&text).map_err(D::Error::custom)?,
            value => value,
        };
        serde_json::from_value(value).map(Self).map_err(D::Error::custom)
    }
}

/// The classified message.
#[derive(Debug, PartialEq)]
pub(super) enum Received {
    Envelope(Box<Envelope>),
    /// A service's notice that it can send here, with its name. It needs no action.
    Notice(&'static str),
}

/// # Errors
/// [`Undecodable::NotAnEnvelope`].
pub(super) fn received(message: &SqsMessage, now: Timestamp) -> Result<Received, Undecodable> {
    let body = message.body.as_deref().ok_or(Undecodable::NotAnEnvelope)?;
    match notice(body) {
        Some(name) => Ok(Received::Notice(name)),
        None => envelope(body, now).map(|envelope| Received::Envelope(Box::new(envelope))),
    }
}

/// The plain text that SES publishes to the topic of a new event destination.
const SES_EVENT_PUBLISHING: &str = "Successfully validated SNS topic for Amazon SES event publishing.";

/// The members that identify notices.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Sent {
    /// SNS's: `Notification`, `SubscriptionConfirmation`, `UnsubscribeConfirmation`.
    #[serde(rename = "Type")]
    kind: Option<String>,
    #[serde(rename = "TopicArn")]
    topic: Option<String>,
    #[serde(rename = "Message")]
    message: Option<Value>,
    /// SES's, to a topic for an identity's feedback.
    #[serde(rename = "notificationType")]
    notification_type: Option<String>,
    /// S3's, to the destination of a bucket's new notifications.
    #[serde(rename = "Service")]
    service: Option<String>,
    #[serde(rename = "Event")]
    event: Option<String>,
}

/// The notice in a body, directly or in an SNS notification. Each is matched exactly, so that nothing else counts as one.
///
/// EventBridge, its Pipes and Scheduler, DynamoDB's streams and API Gateway send no notices.
///
/// Sources: SES, "Set up an Amazon SNS event destination for event publishing" and "Contents of SNS notifications"; SNS, "Parsing
/// message formats"; S3, "Event message structure" (test message).
fn notice(body: &str) -> Option<&'static str> {
    let sent = serde_json::from_str::<Sent>(body).unwrap_or_default();
    match sent.kind.as_deref() {
        Some("Notification") => match sent.message? {
            Value::String(text) => of_service(&text),
            value => of_service(&value.to_string()),
        },
        Some("SubscriptionConfirmation") if sent.topic.is_some() => Some("sns.subscription_confirmation"),
        Some("UnsubscribeConfirmation") if sent.topic.is_some() => Some("sns.unsubscribe_confirmation"),
        Some(_) => None,
        None => of_service(body),
    }
}

fn of_service(body: &str) -> Option<&'static str> {
    if body.trim() == SES_EVENT_PUBLISHING {
        return Some("ses.event_publishing");
    }
    let sent = serde_json::from_str::<Sent>(body).ok()?;
    match (sent.service.as_deref(), sent.event.as_deref(), sent.notification_type.as_deref()) {
        (Some("Amazon S3"), Some("s3:TestEvent"), None) => Some("s3.test_event"),
        (None, None, Some("AmazonSnsSubscriptionSucceeded")) => Some("ses.subscription_succeeded"),
        _ => None,
    }
}

/// The envelope of a message.
fn envelope(body: &str, now: Timestamp) -> Result<Envelope, Undecodable> {
    let refused = Undecodable::NotAnEnvelope;
    match serde_json::from_str(body).map_err(|_| refused)? {
        Body::Bus { detail: Json(Detail { envelope: Json(envelope) }) } => Ok(envelope),
        Body::Own(envelope) => Ok(*envelope),
        Body::WakeUp { wake_up } => {
            let tenant: TenantId = wake_up.split_once('#').and_then(|(tenant, _)| tenant.parse().ok()).ok_or(refused)?;
            Ok(of_ours(WAKE_UP, tenant, Value::Null, now))
        }
        // It belongs to no tenant; the report contains the recipient.
        Body::Mail { message: Json(report), id, at } => {
            // The id is the same at each delivery, so that a redelivery is recognised.
            let id = EventId::of_minute(at, id.as_bytes());
            Ok(Envelope { id, cause: id, occurred_at: at, ..of_ours(MAIL_FEEDBACK, TenantId::PLATFORM, report, now) })
        }
    }
}

/// An envelope for a message that no request caused.
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

    fn sent(body: impl ToString) -> Result<Received, Undecodable> {
        let mut message = SqsMessage::default();
        message.body = Some(body.to_string());
        received(&message, NOW)
    }

    fn message(body: impl ToString) -> String {
        body.to_string()
    }

    #[test]
    fn envelope_is_read_from_the_bus_or_directly() {
        let own = of_ours("shipment.poll_due", TenantId::PLATFORM, serde_json::json!({"n": 1}), NOW);
        let text = own.to_json().unwrap();
        assert_eq!(envelope(&message(&text), NOW).unwrap(), own);
        let bus = serde_json::json!({"version": "0", "source": "cloister", "detail": {"schema": "x", "envelope": text}});
        assert_eq!(envelope(&message(bus), NOW).unwrap(), own);
    }

    #[test]
    fn json_inside_json_is_read_as_text_or_value() {
        let payload =
            serde_json::json!({"n": 1, "text": "{\"is\": \"no envelope\"}", "big": 9_007_199_254_740_993_u64, "none": null});
        let own = of_ours("shipment.created", TenantId::PLATFORM, payload, NOW);
        let text = own.to_json().unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let detail = |envelope: Value| serde_json::json!({"schema": "shipment.created", "envelope": envelope});
        let details = [
            detail(text.clone().into()),
            detail(value.clone()),
            Value::String(detail(text.into()).to_string()),
            Value::String(detail(value).to_string()),
        ];
        for detail in details {
            let bus = serde_json::json!({"version": "0", "source": "cloister", "detail": detail});
            assert_eq!(envelope(&message(&bus), NOW).as_ref(), Ok(&own), "{bus}");
        }
        let report = serde_json::json!({"eventType": "Bounce", "bounce": {"bounceType": "Permanent"}});
        let told = |report: Value| {
            serde_json::json!({"Type": "Notification", "MessageId": "a", "Timestamp": NOW, "Message": report}).to_string()
        };
        let (text, value) =
            (envelope(&told(report.to_string().into()), NOW).unwrap(), envelope(&told(report.clone()), NOW).unwrap());
        assert_eq!((&text.payload, &value.payload, text.id), (&report, &report, value.id));
    }

    #[test]
    fn detail_without_an_envelope_is_refused_in_every_form() {
        let no_envelope = [
            serde_json::json!({"id": "x"}),
            serde_json::json!([]),
            serde_json::json!(null),
            serde_json::json!(1),
            serde_json::json!("{"),
            serde_json::json!("\"{}\""),
        ];
        for envelope in no_envelope {
            for detail in
                [serde_json::json!({"envelope": envelope}), Value::String(serde_json::json!({"envelope": envelope}).to_string())]
            {
                let body = serde_json::json!({"version": "0", "source": "cloister", "detail": detail}).to_string();
                assert_eq!(sent(&body), Err(Undecodable::NotAnEnvelope), "{body}");
            }
        }
    }

    #[test]
    fn wake_up_gets_its_tenant_from_the_partition() {
        let body = serde_json::json!({"wake_up": format!("{}#AUDIT", TenantId::PLATFORM)});
        let envelope = envelope(&message(body), NOW).unwrap();
        assert_eq!(envelope.tenant_id, TenantId::PLATFORM);
        assert!(WakeUp::decode(&envelope).is_ok());
    }

    #[test]
    fn mail_report_has_the_same_event_id_at_each_delivery() {
        let body = serde_json::json!({"Type": "Notification", "MessageId": "a", "Timestamp": NOW, "Message": "{}"});
        let told = |body: &Value, at| envelope(&message(body), at).unwrap().id;
        let again = told(&body, NOW.plus(std::time::Duration::from_secs(3600)));
        assert_eq!(told(&body, NOW), again);
        let other = serde_json::json!({"Type": "Notification", "MessageId": "b", "Timestamp": NOW, "Message": "{}"});
        assert_ne!(told(&other, NOW), again);
    }

    fn notification(message: impl ToString) -> Value {
        serde_json::json!({
            "Type": "Notification", "MessageId": "a", "TopicArn": "arn:aws:sns:us-east-1:000000000000:test", "Timestamp": NOW,
            "Message": message.to_string(),
        })
    }

    #[test]
    fn setup_notice_is_recognised_directly_and_from_sns() {
        let subscribed = serde_json::json!({
            "notificationType": "AmazonSnsSubscriptionSucceeded",
            "message": "You have successfully subscribed your Amazon SNS topic 'arn:aws:sns:us-east-1:000000000000:test' to receive \
                'Bounce' notifications from Amazon SES for identity 'mail.example'.",
        });
        let tested = serde_json::json!({
            "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": NOW, "Bucket": "synthetic", "RequestId": "a", "HostId": "b",
        });
        let of_service = [
            (SES_EVENT_PUBLISHING.to_owned(), "ses.event_publishing"),
            (format!("{SES_EVENT_PUBLISHING}\n"), "ses.event_publishing"),
            (subscribed.to_string(), "ses.subscription_succeeded"),
            (format!("{subscribed}\n"), "ses.subscription_succeeded"),
            (tested.to_string(), "s3.test_event"),
        ];
        for (body, name) in of_service {
            assert_eq!(sent(&body), Ok(Received::Notice(name)), "{body}");
            assert_eq!(sent(notification(&body)), Ok(Received::Notice(name)), "{body}");
        }
        for (kind, name) in [
            ("SubscriptionConfirmation", "sns.subscription_confirmation"),
            ("UnsubscribeConfirmation", "sns.unsubscribe_confirmation"),
        ] {
            let mut body = notification("You have chosen to subscribe to the topic.");
            body["Type"] = kind.into();
            body["Token"] = "synthetic".into();
            body["SubscribeURL"] = "https://sns.example/".into();
            assert_eq!(sent(&body), Ok(Received::Notice(name)));
            body.as_object_mut().unwrap().remove("TopicArn");
            assert!(!matches!(sent(&body), Ok(Received::Notice(_))), "{body}");
        }
    }

    #[test]
    fn text_similar_to_a_notice_is_not_one() {
        let bounce = serde_json::json!({"eventType": "Bounce", "bounce": {"bounceType": "Permanent", "bouncedRecipients": []}});
        assert!(matches!(sent(notification(&bounce)), Ok(Received::Envelope(_))));
        let own = of_ours("s3:TestEvent", TenantId::PLATFORM, serde_json::json!({"Event": "s3:TestEvent"}), NOW);
        assert!(matches!(sent(own.to_json().unwrap()), Ok(Received::Envelope(_))));
        for body in [
            format!("{SES_EVENT_PUBLISHING} And more."),
            serde_json::json!({"Service": "Amazon S3", "Event": "s3:ObjectCreated:Put"}).to_string(),
            serde_json::json!({"Event": "s3:TestEvent"}).to_string(),
            serde_json::json!({"notificationType": "Bounce"}).to_string(),
            serde_json::json!({"Type": "Confirmation", "TopicArn": "a"}).to_string(),
            notification("Successfully validated").to_string(),
        ] {
            assert_eq!(sent(&body), Err(Undecodable::NotAnEnvelope), "{body}");
        }
    }

    proptest! {
        #[test]
        fn other_bodies_are_refused_without_panic(body in ".{0,200}") {
            prop_assert_eq!(sent(&body), Err(Undecodable::NotAnEnvelope));
        }
    }
}
