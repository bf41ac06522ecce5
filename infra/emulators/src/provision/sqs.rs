use serde_json::{Map, Value, json};

use super::properties::Properties;
use super::{Run, attributes, member, refused};
use crate::Error;
use crate::http_client::SQS;
use crate::template::Attributes;

/// Properties that SQS takes as attributes, whose values are strings.
const ATTRIBUTES: &[&str] = &[
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
];

impl Run<'_> {
    /// The queue's name in the functions: without the deployment's prefix, and without `.fifo`.
    fn short_name(&self, queue: &str) -> String {
        let prefix = self.template.parameter("Prefix").map(|prefix| format!("{prefix}-")).unwrap_or_default();
        let name = queue.strip_prefix(&prefix).unwrap_or(queue);
        name.strip_suffix(".fifo").unwrap_or(name).to_owned()
    }

    pub(super) async fn queue(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let queue = properties.text("QueueName")?;
        let set: Map<String, Value> = ATTRIBUTES
            .iter()
            .filter_map(|attribute| {
                let value = match properties.take(attribute)? {
                    text @ Value::String(_) => text,
                    other => Value::String(other.to_string()),
                };
                Some(((*attribute).to_owned(), value))
            })
            .collect();
        properties.ignore(&["Tags"]);
        properties.finish()?;

        let endpoint = self.other(name)?;
        let lookup = json!({ "QueueName": queue });
        let found = match self.client.call(endpoint, SQS, "GetQueueUrl", &lookup).await {
            Ok(found) => found,
            Err(error) if error.code.contains("NonExistentQueue") || error.code == "QueueDoesNotExist" => {
                let input = json!({ "QueueName": queue, "Attributes": set });
                self.client.call(endpoint, SQS, "CreateQueue", &input).await.map_err(refused(name, "CreateQueue"))?
            }
            Err(error) => return Err(refused(name, "GetQueueUrl")(error)),
        };
        let url = member(name, "CreateQueue", &found, "/QueueUrl")?;
        let input = json!({ "QueueUrl": url, "AttributeNames": ["QueueArn"] });
        let described =
            self.client.call(endpoint, SQS, "GetQueueAttributes", &input).await.map_err(refused(name, "GetQueueAttributes"))?;
        let arn = member(name, "GetQueueAttributes", &described, "/Attributes/QueueArn")?;
        self.done.queues.insert(name.to_owned(), url.clone());
        self.done.queues_by_name.insert(self.short_name(&queue), url.clone());
        Ok(attributes(&url, [("Arn", arn), ("QueueName", queue), ("QueueUrl", url.clone())]))
    }
}
