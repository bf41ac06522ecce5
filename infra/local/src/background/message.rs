//! The event that Lambda makes from a queue's messages.
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>

use serde_json::{Map, Value, json};

/// The event for a batch; `messages` are in ReceiveMessage's form.
pub(super) fn event(messages: &[Value], queue_arn: &str) -> Value {
    json!({ "Records": messages.iter().map(|message| record(message, queue_arn)).collect::<Vec<_>>() })
}

fn record(message: &Value, queue_arn: &str) -> Value {
    let mut record = json!({
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes").cloned().unwrap_or_else(|| json!({})),
        "messageAttributes": attributes(&message["MessageAttributes"]),
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": emulators::REGION,
    });
    if let Some(md5) = message.get("MD5OfMessageAttributes") {
        record["md5OfMessageAttributes"] = md5.clone();
    }
    record
}

fn attributes(given: &Value) -> Map<String, Value> {
    let given = given.as_object().into_iter().flatten();
    let lambdas = given.map(|(name, value)| {
        let mut attribute = json!({ "stringListValues": [], "binaryListValues": [], "dataType": value["DataType"] });
        for (from, to) in [("StringValue", "stringValue"), ("BinaryValue", "binaryValue")] {
            if let Some(value) = value.get(from) {
                attribute[to] = value.clone();
            }
        }
        (name.clone(), attribute)
    });
    lambdas.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lambda_events::sqs::SqsEvent;

    #[test]
    fn message_becomes_the_record_that_lambda_sends() {
        let received = json!({
            "MessageId": "m-1", "ReceiptHandle": "r-1", "Body": "{}", "MD5OfBody": "0",
            "Attributes": { "ApproximateReceiveCount": "2", "SentTimestamp": "1", "MessageGroupId": "g", "SequenceNumber": "7" },
            "MessageAttributes": { "kind": { "DataType": "String", "StringValue": "x" } },
        });
        let event: SqsEvent = serde_json::from_value(event(&[received], "arn:aws:sqs:us-east-1:0:q")).unwrap();
        let record = &event.records[0];
        assert_eq!(record.message_id.as_deref(), Some("m-1"));
        assert_eq!(record.receipt_handle.as_deref(), Some("r-1"));
        assert_eq!(record.event_source.as_deref(), Some("aws:sqs"));
        assert_eq!(record.event_source_arn.as_deref(), Some("arn:aws:sqs:us-east-1:0:q"));
        assert_eq!(record.attributes["ApproximateReceiveCount"], "2");
        assert_eq!(record.attributes["SequenceNumber"], "7");
        assert_eq!(record.message_attributes["kind"].string_value.as_deref(), Some("x"));
    }
}
