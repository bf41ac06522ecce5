use serde_json::Value;

use super::properties::Properties;
use super::{Run, attributes, unsupported};
use crate::template::Attributes;
use crate::{ACCOUNT, Error, REGION};

/// A pipe from a table's stream, with all its properties resolved.
///
/// Source: AWS, "Amazon EventBridge Pipes".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipe {
    /// Its name, with the deployment's prefix.
    pub name: String,
    /// The table whose stream it reads.
    pub table: String,
    /// Event patterns for the stream's records in the form of `GetRecords`. It forwards a record that matches at least one, or
    /// every record if there are no patterns.
    pub filters: Vec<Value>,
    /// The most records in a batch.
    pub batch_size: usize,
    /// How often it retries if the target refuses; `None` while the stream keeps the record.
    pub retries: Option<u32>,
    /// The URL of the queue that receives the position of records that were given up.
    pub dead_letters: Option<String>,
    /// The input template: JSON in which `<$.path>` is replaced by the record's value, quotes and escapes included.
    pub input_template: String,
    pub target: PipeTarget,
}

/// The target of a pipe. A setting that begins with `$.` is a path into the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipeTarget {
    /// A queue, by its URL; FIFO if it has a group.
    Queue {
        url: String,
        /// `MessageGroupId`.
        group: Option<String>,
        /// `MessageDeduplicationId`.
        deduplication: Option<String>,
    },
    /// An event bus, by its name.
    Bus {
        name: String,
        /// The event's `source`.
        source: String,
        /// The event's `detail-type`.
        detail_type: String,
    },
}

impl Run<'_> {
    /// Creates nothing; returns the pipe's resolved properties.
    pub(super) fn pipe(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let pipe = properties.text("Name")?;
        let stream = properties.text("Source")?;
        let source = properties.take("SourceParameters").unwrap_or_default();
        let target = properties.text("Target")?;
        let parameters = properties.take("TargetParameters").unwrap_or_default();
        properties.ignore(&["Description", "Tags"]);
        properties.finish()?;

        // `arn:aws:dynamodb:<region>:<account>:table/<table>/stream/<label>`
        let table = stream.split('/').nth(1).filter(|_| stream.contains(":dynamodb:"));
        let table = table.ok_or_else(|| unsupported(name, "its source is not a table's stream"))?.to_owned();
        let reads = &source["DynamoDBStreamParameters"];
        let patterns = source["FilterCriteria"]["Filters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let filters = patterns.iter().map(|filter| {
            let pattern = filter["Pattern"].as_str().and_then(|pattern| serde_json::from_str(pattern).ok());
            pattern.ok_or_else(|| unsupported(name, "a filter's pattern is not JSON"))
        });
        let filters = filters.collect::<Result<_, _>>()?;
        let batch_size = reads["BatchSize"].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(1);
        let retries = reads["MaximumRetryAttempts"].as_u64().and_then(|retries| u32::try_from(retries).ok());
        let dead_letters = match reads["DeadLetterConfig"]["Arn"].as_str() {
            Some(arn) => {
                Some(self.queue_url(arn).ok_or_else(|| unsupported(name, "its dead-letter queue is not in the template"))?)
            }
            None => None,
        };
        let input_template = parameters["InputTemplate"].as_str();
        let input_template = input_template
            .ok_or_else(|| unsupported(name, "a pipe without an input template would send whole items"))?
            .to_owned();
        let target = self.target(name, &target, &parameters)?;
        self.done.pipes.push(Pipe {
            name: pipe.clone(),
            table,
            filters,
            batch_size,
            retries,
            dead_letters,
            input_template,
            target,
        });
        Ok(attributes(&pipe, [("Arn", format!("arn:aws:pipes:{REGION}:{ACCOUNT}:pipe/{pipe}"))]))
    }

    fn target(&self, name: &str, arn: &str, parameters: &Value) -> Result<PipeTarget, Error> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if let Some(url) = self.queue_url(arn) {
            let queue = &parameters["SqsQueueParameters"];
            return Ok(PipeTarget::Queue {
                url,
                group: text(&queue["MessageGroupId"]),
                deduplication: text(&queue["MessageDeduplicationId"]),
            });
        }
        let bus = arn.split_once(":event-bus/").filter(|_| arn.contains(":events:"));
        let (_, bus) =
            bus.ok_or_else(|| unsupported(name, format!("its target `{arn}` is neither a queue nor a bus of the template")))?;
        let event = &parameters["EventBridgeEventBusParameters"];
        match (text(&event["Source"]), text(&event["DetailType"])) {
            (Some(source), Some(detail_type)) => Ok(PipeTarget::Bus { name: bus.to_owned(), source, detail_type }),
            _ => Err(unsupported(name, "events for a bus need a source and a detail type")),
        }
    }

    /// The URL of a queue that exists, by its ARN; its name is the last part of both.
    fn queue_url(&self, arn: &str) -> Option<String> {
        let name = arn.rsplit(':').next().filter(|_| arn.contains(":sqs:"))?;
        self.done.queues.values().find(|url| url.rsplit('/').next() == Some(name)).cloned()
    }
}
