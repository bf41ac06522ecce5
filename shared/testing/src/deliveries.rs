//! The stream, the Pipes, the bus and the queues of one test, without their delays. The test runs them itself. They deliver each
//! event at least once, in any order that the test chooses, and dead-letter a message that fails too often.

use crate::{App, Dice, kill_after};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use aws_sdk_dynamodb::types::AttributeValue;
use common::{
    background::{AnyConsumer, Feed},
    base::TenantId,
    request::Deps,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap, VecDeque};

/// A message on its way to one consumer.
#[derive(Clone, Debug)]
struct Waiting {
    consumer: &'static AnyConsumer,
    id: String,
    body: String,
    receives: u32,
}

/// The queues of some consumers.
#[derive(Debug)]
pub struct Deliveries<'a> {
    app: &'a App,
    consumers: Vec<&'static AnyConsumer>,
    /// The tenants whose outboxes are read. `None` means all.
    tenants: Option<Vec<TenantId>>,
    waiting: VecDeque<Waiting>,
    /// Items that the stream has emitted.
    told: BTreeSet<String>,
    /// The envelopes among them.
    events: Vec<Value>,
    copies: u32,
    /// True if JSON inside JSON is delivered as a value, and not as a string.
    as_values: bool,
    /// Decides the order. Without it, messages are delivered in the order in which they were sent.
    dice: Option<Dice>,
    number: u64,
    handled: u64,
    dead: Vec<(&'static str, Value)>,
}

impl App {
    /// Empty queues for `consumers`. Running them reads the events in the outbox.
    pub fn deliveries(&self, consumers: impl IntoIterator<Item = &'static AnyConsumer>) -> Deliveries<'_> {
        Deliveries {
            app: self,
            consumers: consumers.into_iter().collect(),
            tenants: None,
            waiting: VecDeque::new(),
            told: BTreeSet::new(),
            events: Vec::new(),
            copies: 1,
            as_values: false,
            dice: None,
            number: 0,
            handled: 0,
            dead: Vec::new(),
        }
    }
}

impl Deliveries<'_> {
    /// Delivers every message `copies` times.
    #[must_use]
    pub fn copies(self, copies: u32) -> Self {
        Self { copies, ..self }
    }
    /// Delivers JSON inside JSON as an object, as a Pipe or a topic may: the envelope in its event, the report in its
    /// notification.
    #[must_use]
    pub fn as_values(self) -> Self {
        Self { as_values: true, ..self }
    }
    /// Delivers in an order that `seed` decides.
    #[must_use]
    pub fn shuffled(self, seed: u64) -> Self {
        Self { dice: Some(Dice::new(seed)), ..self }
    }
    /// Reads the outboxes of these tenants only. With many items this avoids reading the whole table each time.
    #[must_use]
    pub fn of(self, tenants: impl IntoIterator<Item = TenantId>) -> Self {
        Self { tenants: Some(tenants.into_iter().collect()), ..self }
    }
    /// The dead letters: consumer and body.
    pub fn dead(&self) -> &[(&'static str, Value)] {
        &self.dead
    }
    /// Every event that the bus has carried, oldest first.
    pub fn events(&self) -> &[Value] {
        &self.events
    }
    /// The number of messages that were handled.
    pub const fn handled(&self) -> u64 {
        self.handled
    }
    /// The number of messages that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts a message into a consumer's queue.
    ///
    /// # Panics
    /// If there is no such consumer.
    pub fn send(&mut self, consumer: &str, body: &Value) {
        self.send_text(consumer, &body.to_string());
    }

    /// The same with a body that need not be JSON.
    ///
    /// # Panics
    /// If there is no such consumer.
    pub fn send_text(&mut self, consumer: &str, body: &str) {
        let consumer = *self.consumers.iter().find(|c| c.name == consumer).expect("a consumer of that name");
        self.push(consumer, body);
    }

    fn push(&mut self, consumer: &'static AnyConsumer, body: &str) {
        self.number += 1;
        let body = if self.as_values { with_values(body) } else { body.to_owned() };
        let waiting = Waiting { consumer, id: format!("message-{}", self.number), body, receives: 0 };
        self.waiting.extend(std::iter::repeat_n(waiting, self.copies as usize));
    }

    /// Reads the outboxes as the Pipes do, and the queues that functions have written to. Returns the number of messages that
    /// wait.
    pub async fn collect(&mut self) -> usize {
        let mut sealers = BTreeSet::new();
        let mut told = Vec::new();
        for row in self.outboxes().await {
            let (pk, sk) = (row["pk"].as_s().unwrap(), row["sk"].as_s().unwrap());
            match pk.split_once('#').unwrap().1 {
                "EVENTS" if self.told.insert(sk.clone()) => {
                    told.push((row["schema"].as_s().unwrap().clone(), row["envelope"].as_s().unwrap().clone()));
                }
                "AUDIT" if self.told.insert(sk.clone()) => drop(sealers.insert(pk.clone())),
                _ => {}
            }
        }
        for (schema, envelope) in told {
            self.events.push(serde_json::from_str(&envelope).unwrap());
            let body = json!({"version": "0", "source": "cloister", "detail-type": "domain-event", "detail": {"schema": schema, "envelope": envelope}});
            for consumer in self.consumers.clone() {
                let hears = consumer.schemas.iter().any(|s| s.route() == schema);
                if consumer.queue.feed == Feed::AllEvents || (consumer.queue.feed == Feed::Events && hears) {
                    self.push(consumer, &body.to_string());
                }
            }
        }
        for (queue, body) in self.app.wire().take_queued() {
            // The deployment's prefix comes first, and the queue's own name is at the end.
            let to = self.consumers.iter().copied().find(|c| queue.ends_with(&c.queue.full_name()));
            if let Some(consumer) = to {
                self.push(consumer, &body);
            }
        }
        let sealer = self.consumers.iter().copied().find(|c| c.queue.feed == Feed::WakeUps);
        for partition in sealers.iter().filter(|_| sealer.is_some()) {
            let body = json!({"wake_up": partition}).to_string();
            if let Some(sealer) = sealer.filter(|_| !self.waiting.iter().any(|w| w.body == body)) {
                self.push(sealer, &body);
            }
        }
        self.waiting.len()
    }

    async fn outboxes(&self) -> Vec<HashMap<String, AttributeValue>> {
        let Some(tenants) = &self.tenants else { return self.app.dump("LedgerTable").await };
        let mut rows = Vec::new();
        for (tenant, name) in tenants.iter().flat_map(|tenant| ["EVENTS", "AUDIT"].map(|name| (tenant, name))) {
            rows.extend(self.app.partition("LedgerTable", &format!("{tenant}#{name}")).await);
        }
        rows
    }

    /// Delivers one message to its consumer. False if there is none.
    pub async fn step(&mut self) -> bool {
        self.step_as(None).await.is_some()
    }

    /// The same with a consumer that dies after this many polls. Its unfinished message is delivered again, as by SQS. True if it
    /// died.
    pub async fn step_killed(&mut self, polls: usize) -> bool {
        self.step_as(Some(polls)).await == Some(true)
    }

    async fn step_as(&mut self, dies: Option<usize>) -> Option<bool> {
        let message = self.receive()?;
        let handled = handle(self.app.deps(), message, dies).await;
        Some(self.done(handled))
    }

    /// Delivers all messages that wait, `at_once` at the same time. For each, `dies` returns the number of polls after which its
    /// consumer dies, if it does. Returns the number of consumers that died.
    pub async fn run_at_once(&mut self, at_once: usize, mut dies: impl FnMut() -> Option<usize>) -> usize {
        let (mut died, mut running) = (0, FuturesUnordered::new());
        loop {
            while running.len() < at_once
                && let Some(message) = self.receive()
            {
                running.push(handle(self.app.deps(), message, dies()));
            }
            let Some(handled) = running.next().await else { return died };
            died += usize::from(self.done(handled));
        }
    }

    /// Puts back a message that must be delivered again. True if its consumer died.
    fn done(&mut self, (message, failed): Handled) -> bool {
        match &failed {
            Some(failed) if failed.batch_item_failures.is_empty() => self.handled += 1,
            _ if message.receives >= u32::from(message.consumer.queue.receives) => {
                let body = serde_json::from_str(&message.body).unwrap_or(Value::String(message.body));
                self.dead.push((message.consumer.name, body));
            }
            _ => self.waiting.push_back(message),
        }
        failed.is_none()
    }

    /// Redrives the dead letters, as an operator does. Returns their number.
    pub fn redrive(&mut self) -> usize {
        let dead = std::mem::take(&mut self.dead);
        for (consumer, body) in &dead {
            self.send(consumer, body);
        }
        dead.len()
    }

    /// Takes the next message out of the queue, as Lambda's event. For a test that interferes with its handling.
    pub fn take(&mut self) -> Option<(&'static AnyConsumer, SqsEvent)> {
        let message = self.receive()?;
        Some((message.consumer, event(&message)))
    }

    fn receive(&mut self) -> Option<Waiting> {
        let i = match &mut self.dice {
            Some(dice) if !self.waiting.is_empty() => usize::try_from(dice.below(self.waiting.len() as u64)).unwrap_or(0),
            _ => 0,
        };
        let message = self.waiting.remove(i)?;
        Some(Waiting { receives: message.receives + 1, ..message })
    }

    /// Runs until no event and no message is left.
    ///
    /// # Panics
    /// After a million messages, since they would never end.
    pub async fn settle(&mut self) -> &mut Self {
        for _ in 0..1_000_000 {
            if self.step().await {
                continue;
            }
            if self.collect().await == 0 {
                return self;
            }
        }
        panic!("more than a million messages");
    }
}

/// A message, and its consumer's response. `None` if the consumer died.
type Handled = (Waiting, Option<SqsBatchResponse>);

async fn handle(deps: &Deps, message: Waiting, dies: Option<usize>) -> Handled {
    let consumed = message.consumer.consume(deps, event(&message));
    let failed = match dies {
        Some(polls) => kill_after(polls, consumed).await,
        None => Some(consumed.await),
    };
    (message, failed)
}

fn event(message: &Waiting) -> SqsEvent {
    let queue = message.consumer.queue.full_name();
    let group = message.consumer.queue.is_fifo().then(|| tenant_of(&message.body));
    let mut record = json!({
        "messageId": message.id,
        "receiptHandle": message.id,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": message.receives.to_string(),
            "MessageGroupId": group,
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:test-{queue}"),
        "awsRegion": "us-east-1",
    });
    if group.is_none() {
        record["attributes"].as_object_mut().unwrap().remove("MessageGroupId");
    }
    serde_json::from_value(json!({"Records": [record]})).expect("Lambda's event")
}

/// The body with the JSON strings of its envelope and its message replaced by their values.
fn with_values(body: &str) -> String {
    let Ok(mut body) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    for place in ["/detail/envelope", "/Message"] {
        if let Some(inner) = body.pointer_mut(place)
            && let Some(value) = inner.as_str().and_then(|text| serde_json::from_str(text).ok())
        {
            *inner = value;
        }
    }
    body.to_string()
}

fn tenant_of(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    body["wake_up"].as_str().map_or_else(|| TenantId::PLATFORM.to_string(), str::to_owned)
}
