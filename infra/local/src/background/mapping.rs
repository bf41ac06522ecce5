//! Event-source mappings: polls a queue and invokes its function, as Lambda does.
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>

use super::{Halt, TaskContext, message};
use crate::{
    Error,
    calls::{CallFailed, SQS},
    live::{Kind, Ran},
};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use common::background::AnyConsumer;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

/// The most messages that SQS receives or deletes in one call.
const MOST: usize = 10;
/// How often an idle queue is polled without a ring, because delayed and hidden messages appear without one. Lambda uses long
/// polls. Here a bell wakes the poller sooner, and no poll is open when the stack stops.
const ASK_EVERY: Duration = Duration::from_millis(400);
/// How often the queue is polled again while a batch waits for its window.
const FILL_EVERY: Duration = Duration::from_millis(100);
/// The concurrency of a consumer without its own limit. Lambda would scale to a thousand.
const RUNS: usize = 5;
/// The pause after a failed call to the queue.
const PAUSE: Duration = Duration::from_secs(1);

/// A queue and its function.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    context: TaskContext,
    consumer: &'static AnyConsumer,
    queue: Arc<Source>,
}

/// The queue's attributes in SQS.
#[derive(Debug)]
struct Source {
    url: String,
    arn: String,
    /// The visibility timeout in seconds.
    hidden_secs: u32,
}

impl Mapping {
    /// # Errors
    /// [`Error::Config`] if the consumer's queue is not among `queues` (URLs by short name), or its attributes cannot be read.
    pub(super) async fn new(
        context: TaskContext,
        consumer: &'static AnyConsumer,
        queues: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let name = consumer.queue.name;
        let context = TaskContext { other: context.other.in_place_of(&context.gate, consumer.name), ..context };
        let missing = || Error::Config(format!("the template has no queue `{name}` for `{}`", consumer.name));
        let url = queues.get(name).ok_or_else(missing)?.clone();
        let input = json!({ "QueueUrl": url, "AttributeNames": ["QueueArn", "VisibilityTimeout"] });
        let described = context.other.call(SQS, "GetQueueAttributes", &input).await.map_err(|e| Error::Config(e.to_string()))?;
        let attribute = |name: &str| described["Attributes"][name].as_str().unwrap_or_default();
        let source = Source {
            arn: attribute("QueueArn").to_owned(),
            hidden_secs: attribute("VisibilityTimeout").parse().unwrap_or(30),
            url,
        };
        Ok(Self { context, consumer, queue: Arc::new(source) })
    }

    /// Polls until stopped, then waits for running batches.
    pub(super) async fn run(self, halt: Halt) {
        let at_once = self.consumer.queue.most_at_once.map_or(RUNS, usize::from);
        let permits = Arc::new(Semaphore::new(at_once));
        let mut runs = JoinSet::new();
        while !halt.stopping() {
            let permit = tokio::select! {
                permit = permits.clone().acquire_owned() => permit,
                () = halt.stopped() => break,
            };
            let batch = self.batch(&halt).await;
            if batch.is_empty() {
                break;
            }
            let (mapping, halt) = (self.clone(), halt.clone());
            runs.spawn(async move {
                mapping.invoke(batch, &halt).await;
                drop(permit);
            });
            while runs.try_join_next().is_some() {}
        }
        while runs.join_next().await.is_some() {}
    }

    /// Waits for messages, and then for more until the batch is full or its window has passed. When stopped, it returns its
    /// messages so far, which may be none, so that none stays hidden without a function.
    async fn batch(&self, halt: &Halt) -> Vec<Value> {
        let most = usize::from(self.consumer.queue.batch.max(1));
        let window = Duration::from_secs(self.consumer.queue.window_secs.into());
        let mut ear = self.context.bell.ear();
        let (mut batch, mut until, mut told) = (Vec::new(), None, None);
        while !halt.stopping() {
            let mut wait = ASK_EVERY;
            match self.receive(most - batch.len()).await {
                Ok(more) => {
                    batch.extend(more);
                    told = None;
                }
                Err(error) => {
                    wait = PAUSE;
                    if told.as_ref() != Some(&error) {
                        eprintln!("{}: {error}; retrying", self.consumer.name);
                        told = Some(error);
                    }
                }
            }
            if batch.is_empty() {
                tokio::select! {
                    () = ear.rung(), if told.is_none() => {}
                    () = tokio::time::sleep(wait) => {}
                    () = halt.stopped() => {}
                }
                continue;
            }
            let until = *until.get_or_insert_with(|| Instant::now() + window);
            if batch.len() >= most || Instant::now() >= until {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep_until(until.min(Instant::now() + FILL_EVERY)) => {}
                () = halt.stopped() => {}
            }
        }
        batch
    }

    async fn receive(&self, most: usize) -> Result<Vec<Value>, CallFailed> {
        let input = json!({
            "QueueUrl": self.queue.url,
            "MaxNumberOfMessages": most.clamp(1, MOST),
            "WaitTimeSeconds": 0,
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        let mut answer = self.context.other.call(SQS, "ReceiveMessage", &input).await?;
        Ok(match answer["Messages"].take() {
            Value::Array(messages) => messages,
            _ => Vec::new(),
        })
    }

    async fn invoke(&self, batch: Vec<Value>, halt: &Halt) {
        let began = Instant::now();
        let (done, lines) = self.context.lines.heard(self.result(&batch, halt)).await;
        let (failed, error) = match done {
            Ok(failed) => (failed, None),
            Err(why) => (ids(&batch), Some(why)),
        };
        let (failed, settled): (Vec<_>, Vec<_>) = batch.iter().partition(|message| failed.contains(id(message)));
        let cut = error == Some(CUT);
        let kept = self.settle(&settled, &failed, cut).await;
        self.context.bell.ring();
        let ran = Ran {
            kind: Kind::Consumer,
            domain: self.consumer.domain,
            name: self.consumer.name,
            items: batch.len(),
            failed: failed.len(),
            took: began.elapsed(),
            error: error.map(str::to_owned).or(kept),
            lines,
        };
        self.context.lines.ran(&ran);
    }

    /// The messages that must be retried, or the reason why all must.
    async fn result(&self, batch: &[Value], halt: &Halt) -> Result<BTreeSet<String>, &'static str> {
        // Through JSON text, as to a real function.
        let event = message::event(batch, &self.queue.arn).to_string();
        let event: SqsEvent = serde_json::from_str(&event).map_err(|_| "an event that does not parse")?;
        let limit = Duration::from_secs(self.consumer.timeout_secs.into());
        let response = tokio::select! {
            response = timeout(limit, self.consumer.consume(&self.context.deps, event)) => response.map_err(|_| "timed out")?,
            () = halt.cut() => return Err(CUT),
        };
        Ok(reported(&response, batch))
    }

    /// Deletes handled messages. Failed ones stay hidden until their timeout, which is shorter with a faster clock. Messages of a
    /// dropped run become visible at once.
    async fn settle(&self, settled: &[&Value], failed: &[&Value], cut: bool) -> Option<String> {
        let entries = |messages: &[&Value], seconds: Option<u32>| {
            let entries = messages.iter().enumerate().map(|(n, message)| {
                let mut entry = json!({ "Id": n.to_string(), "ReceiptHandle": message["ReceiptHandle"] });
                if let Some(seconds) = seconds {
                    entry["VisibilityTimeout"] = seconds.into();
                }
                entry
            });
            json!({ "QueueUrl": self.queue.url, "Entries": entries.collect::<Vec<_>>() })
        };
        let mut problem = None;
        for chunk in settled.chunks(MOST) {
            // A message that could not be deleted comes again, and the consumer recognises it.
            let deleted = self.context.other.call(SQS, "DeleteMessageBatch", &entries(chunk, None)).await;
            problem = problem.or(deleted.err());
        }
        let hidden = match (cut, self.context.time_scale) {
            (true, _) => Some(0),
            (false, 0 | 1) => None,
            (false, scale) => Some(self.queue.hidden_secs / scale),
        };
        if let Some(seconds) = hidden {
            for chunk in failed.chunks(MOST) {
                let input = entries(chunk, Some(seconds));
                let changed = self.context.other.call(SQS, "ChangeMessageVisibilityBatch", &input).await;
                problem = problem.or(changed.err());
            }
        }
        problem.map(|e| e.to_string())
    }
}

const CUT: &str = "interrupted: the stack is stopping";

fn id(message: &Value) -> &str {
    message["MessageId"].as_str().unwrap_or_default()
}

fn ids(batch: &[Value]) -> BTreeSet<String> {
    batch.iter().map(|message| id(message).to_owned()).collect()
}

/// Lambda treats an answer that names a message outside the batch as a failure of the whole batch.
fn reported(response: &SqsBatchResponse, batch: &[Value]) -> BTreeSet<String> {
    let all = ids(batch);
    let failed: BTreeSet<_> = response.batch_item_failures.iter().map(|failure| failure.item_identifier.clone()).collect();
    if failed.is_subset(&all) { failed } else { all }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lambda_events::sqs::BatchItemFailure;

    #[test]
    fn answer_with_a_message_outside_the_batch_fails_the_whole_batch() {
        let batch = [json!({ "MessageId": "a" }), json!({ "MessageId": "b" })];
        let naming = |ids: &[&str]| {
            let mut response = SqsBatchResponse::default();
            response.batch_item_failures = ids
                .iter()
                .map(|id| {
                    let mut failure = BatchItemFailure::default();
                    failure.item_identifier = (*id).to_owned();
                    failure
                })
                .collect();
            reported(&response, &batch).into_iter().collect::<Vec<_>>()
        };
        assert!(naming(&[]).is_empty());
        assert_eq!(naming(&["b"]), ["b"]);
        assert_eq!(naming(&["c"]), ["a", "b"]);
        assert_eq!(naming(&[""]), ["a", "b"]);
    }
}
