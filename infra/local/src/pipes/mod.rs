//! EventBridge Pipes: each reads a table's stream, filters the records, and sends them to its target.
//!
//! As on AWS, a pipe advances only after its target has accepted the previous records, and may resend records that the target
//! accepted just before a crash: delivery is at least once. Filter, input template and target parameters are the template's own.

mod pattern;
mod position;
mod target;
mod template;
#[cfg(test)]
mod tests;

pub(crate) use position::Positions;

use crate::{
    Error,
    background::{Bell, Halt},
    calls::{Calls, SQS, STREAMS},
};
use pattern::Pattern;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use target::{MOST, Target};
use template::InputTemplate;

/// How often the stream is polled without a ring.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The pause after a failure, which doubles up to the second value.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A parsed pipe.
#[derive(Clone, Debug)]
pub(crate) struct Pipe {
    name: String,
    /// The emulator identifies streams by their table.
    stream_arn: String,
    batch: usize,
    retries: Option<u32>,
    dead_letters: Option<String>,
    /// A record passes if any matches, or if there are none.
    filters: Vec<Pattern>,
    template: InputTemplate,
    target: Target,
}

/// The resources of pipes.
#[derive(Clone, Debug)]
pub(crate) struct Plumbing {
    pub(crate) dynamodb: Calls,
    pub(crate) other: Calls,
    pub(crate) positions: Arc<Positions>,
    /// Rings when records may have been written; the pipe rings it when it has sent some.
    pub(crate) bell: Bell,
}

/// A pipe's position in its stream.
#[derive(Debug, Default)]
struct Reader {
    iterator: Option<String>,
    /// How often in a row the next records were refused.
    failures: u32,
    told: Option<String>,
}

impl Pipe {
    /// # Errors
    /// [`Error::Config`] names an unsupported part.
    pub(crate) fn new(declared: &emulators::Pipe) -> Result<Self, Error> {
        let wrong = |what: String| Error::Config(format!("pipe `{}`: {what}", declared.name));
        Ok(Self {
            name: declared.name.clone(),
            stream_arn: format!(
                "arn:aws:dynamodb:{}:{}:table/{}/stream/local",
                emulators::REGION,
                emulators::ACCOUNT,
                declared.table
            ),
            batch: declared.batch_size,
            retries: declared.retries,
            dead_letters: declared.dead_letters.clone(),
            filters: declared.filters.iter().map(Pattern::parse).collect::<Result<_, _>>().map_err(wrong)?,
            template: InputTemplate::parse(&declared.input_template).map_err(wrong)?,
            target: Target::new(&declared.target),
        })
    }

    /// Runs until stopped.
    pub(crate) async fn run(self, on: Plumbing, halt: Halt) {
        let mut reader = Reader::default();
        let mut ear = on.bell.ear();
        while !halt.stopping() {
            let wait = tokio::select! {
                wait = self.step(&on, &mut reader) => wait,
                // Records that the target has accepted but whose position is not stored are sent again by the next run.
                () = halt.stopped() => return,
            };
            let quiet = reader.failures == 0;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = ear.rung(), if quiet => {}
                () = halt.stopped() => return,
            }
        }
    }

    /// One batch. Returns the time to wait before the next.
    async fn step(&self, on: &Plumbing, reader: &mut Reader) -> Duration {
        let why = match self.carry(on, reader).await {
            Ok(0) => return LOOK_EVERY,
            Ok(_) => {
                *reader = Reader { iterator: reader.iterator.take(), ..Reader::default() };
                return Duration::ZERO;
            }
            Err(why) => why,
        };
        // Continue from the stored position.
        reader.iterator = None;
        reader.failures = reader.failures.saturating_add(1);
        if reader.told.as_ref() != Some(&why) {
            eprintln!("pipe {}: {why}; retrying", self.name);
            reader.told = Some(why);
        }
        PAUSE.1.min(PAUSE.0 * 2_u32.saturating_pow(reader.failures.min(10)))
    }

    /// Returns the number of records that were read. After an error the next attempt continues with the others.
    async fn carry(&self, on: &Plumbing, reader: &mut Reader) -> Result<usize, String> {
        let at = match reader.iterator.take() {
            Some(iterator) => iterator,
            None => self.iterator(on).await?,
        };
        let batch = on.call(STREAMS, "GetRecords", &json!({ "ShardIterator": at, "Limit": self.batch })).await?;
        let records = batch["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
        let wanted: Vec<_> = records.iter().filter(|record| self.lets_through(record)).collect();
        let sent = self.send(on, &wanted).await;
        if let Err(why) = sent {
            match (self.retries, &self.dead_letters) {
                (Some(retries), Some(queue)) if reader.failures >= retries => self.give_up(on, queue, records).await?,
                _ => return Err(why),
            }
        }
        if let Some(last) = records.last() {
            self.done_with(on, last)?;
        }
        reader.iterator = batch["NextShardIterator"].as_str().map(str::to_owned);
        Ok(records.len())
    }

    fn lets_through(&self, record: &Value) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| filter.matches(record))
    }

    async fn send(&self, on: &Plumbing, records: &[&Value]) -> Result<(), String> {
        let parcels = records.iter().map(|record| self.target.parcel(record, self.template.fill(record)?));
        let parcels = parcels.collect::<Result<Vec<_>, String>>()?;
        let mut done = 0;
        while done < parcels.len() {
            let next = &parcels[done..parcels.len().min(done + MOST)];
            done += self.target.send(&on.other, next).await?;
            on.bell.ring();
            if let Some(last) = records.get(done - 1) {
                self.done_with(on, last)?;
            }
        }
        Ok(())
    }

    fn done_with(&self, on: &Plumbing, record: &Value) -> Result<(), String> {
        on.positions.advance(&self.name, sequence_number(record)).map_err(|e| e.to_string())
    }

    /// Sends the records' positions, not their contents; the stream keeps them for a day.
    async fn give_up(&self, on: &Plumbing, queue: &str, records: &[Value]) -> Result<(), String> {
        let (first, last) = (records.first().map(sequence_number), records.last().map(sequence_number));
        let body = json!({
            "context": { "partnerResourceArn": self.name, "condition": "RetryAttemptsExhausted" },
            "version": "1.0",
            "DDBStreamBatchInfo": {
                "streamArn": self.stream_arn,
                "startSequenceNumber": first,
                "endSequenceNumber": last,
                "batchSize": records.len(),
            },
        });
        let mut input = json!({ "QueueUrl": queue, "MessageBody": body.to_string() });
        if queue.ends_with(".fifo") {
            input["MessageGroupId"] = self.name.as_str().into();
            input["MessageDeduplicationId"] = format!("{}-{}", self.name, first.unwrap_or_default()).into();
        }
        on.other.call(SQS, "SendMessage", &input).await.map(drop).map_err(|e| e.to_string())
    }

    async fn iterator(&self, on: &Plumbing) -> Result<String, String> {
        let described = on.call(STREAMS, "DescribeStream", &json!({ "StreamArn": self.stream_arn })).await?;
        // The emulator's streams have one shard that never closes.
        let shard = &described["StreamDescription"]["Shards"][0]["ShardId"];
        let mut input = json!({ "StreamArn": self.stream_arn, "ShardId": shard });
        match on.positions.of(&self.name) {
            Some(sequence_number) => {
                input["ShardIteratorType"] = "AFTER_SEQUENCE_NUMBER".into();
                input["SequenceNumber"] = sequence_number.into();
            }
            // On AWS a new pipe may start at the stream's end. Here stream and pipe are created together, so the pipe reads all
            // of it.
            None => input["ShardIteratorType"] = "TRIM_HORIZON".into(),
        }
        let answer = on.call(STREAMS, "GetShardIterator", &input).await?;
        answer["ShardIterator"].as_str().map(str::to_owned).ok_or_else(|| "the stream gives no iterator".to_owned())
    }
}

impl Plumbing {
    async fn call(&self, service: crate::calls::Service, action: &'static str, input: &Value) -> Result<Value, String> {
        self.dynamodb.call(service, action, input).await.map_err(|e| e.to_string())
    }
}

fn sequence_number(record: &Value) -> &str {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default()
}
