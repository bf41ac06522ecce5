//! A consumer's event: a batch of one message, as its queue delivers it.
//!
//! Source: AWS, "Using Lambda with Amazon SQS".

use super::{super::schemas, sample};
use common::{
    background::{AnyConsumer, Feed},
    store::Schema,
};
use emulators::{ACCOUNT, REGION};
use serde_json::{Value, json};

/// The event for a consumer that receives all events.
const ANY: &str = "shipment.created";

pub(super) fn batch(consumer: &AnyConsumer) -> Result<Value, String> {
    let queue = &consumer.queue;
    let (body, mut attributes) = (body(consumer)?, attributes());
    if queue.is_fifo() {
        attributes["MessageGroupId"] = "{{tenant_id}}#AUDIT".into();
        attributes["MessageDeduplicationId"] = "{{request_id}}".into();
        attributes["SequenceNumber"] = "18849496460467696128".into();
    }
    Ok(json!({
        "Records": [{
            "messageId": "{{request_id}}",
            "receiptHandle": "synthetic",
            "body": body.to_string(),
            "attributes": attributes,
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:cloister-{}", queue.full_name()),
            "awsRegion": REGION,
        }],
    }))
}

fn attributes() -> Value {
    json!({
        "ApproximateReceiveCount": "1",
        "SentTimestamp": "1767268800000",
        "SenderId": ACCOUNT,
        "ApproximateFirstReceiveTimestamp": "1767268800000",
    })
}

fn body(consumer: &AnyConsumer) -> Result<Value, String> {
    let first = || consumer.schemas.first().ok_or_else(|| format!("{} hears nothing", consumer.name));
    Ok(match consumer.queue.feed {
        Feed::Events => {
            // The publisher's schema, because a consumer's own view of the event may leave fields out.
            let heard = first()?;
            by_the_bus(schemas::published()?.get(&(heard.name, heard.version)).map_or(heard, |event| event.schema))
        }
        Feed::AllEvents => {
            let published = schemas::published()?;
            let any = published.iter().find(|((name, _), _)| *name == ANY).or_else(|| published.iter().next());
            by_the_bus(any.ok_or("no event is published")?.1.schema)
        }
        Feed::Direct => envelope(first()?),
        Feed::WakeUps => json!({ "wake_up": "{{tenant_id}}#AUDIT" }),
        Feed::Mail => notification(),
    })
}

/// As a pipe puts it on the bus, and a rule into a queue.
fn by_the_bus(schema: &Schema) -> Value {
    json!({
        "version": "0",
        "id": "{{request_id}}",
        "detail-type": "domain-event",
        "source": "cloister",
        "account": ACCOUNT,
        "time": "{{now}}",
        "region": REGION,
        "resources": [],
        "detail": { "schema": schema.name, "envelope": crate::openapi::sorted(&envelope(schema)).to_string() },
    })
}

fn envelope(schema: &Schema) -> Value {
    json!({
        "id": "{{event_id}}",
        "tenant_id": "{{tenant_id}}",
        "actor": "{{user_id}}",
        "on_behalf_of": null,
        "cause": "{{event_id}}",
        "correlation_id": "{{request_id}}",
        "schema": schema.name,
        "version": schema.version,
        "occurred_at": "{{now}}",
        "payload": sample::of(&schemas::json_schema(schema)),
    })
}

/// A notification of the mail service's topic about a bounced mail.
fn notification() -> Value {
    let report = json!({
        "eventType": "Bounce",
        "bounce": {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [{ "emailAddress": "nobody@acme-health.example", "action": "failed", "status": "5.1.1" }],
            "timestamp": "{{now}}",
            "feedbackId": "synthetic",
        },
        "mail": {
            "timestamp": "{{now}}",
            "source": "no-reply@cloister.example",
            "messageId": "synthetic",
            "destination": ["nobody@acme-health.example"],
        },
    });
    json!({
        "Type": "Notification",
        "MessageId": "{{request_id}}",
        "TopicArn": format!("arn:aws:sns:{REGION}:{ACCOUNT}:cloister-mail-feedback"),
        "Message": crate::openapi::sorted(&report).to_string(),
        "Timestamp": "{{now}}",
    })
}
