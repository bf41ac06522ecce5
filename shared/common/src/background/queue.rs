//! Queues: their sources and consumers, and sending to them.

use crate::{
    aws::{
        errors::unavailable,
        queues::{Queues, SERVICE},
    },
    base::{Result, TenantId},
    store::Envelope,
};

/// A consumer's queue. The template's queue, its dead-letter queue and its mapping are generated from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// `deliver-notification`: the queue is `<deployment>-deliver-notification`, with `.fifo` if its feed is.
    pub name: &'static str,
    pub feed: Feed,
    /// The largest number of messages in a run.
    pub batch: u16,
    /// The time for which a run waits for its batch to fill.
    pub window_secs: u16,
    /// The limit of concurrent runs, 2 to 1,000; unlimited if `None`.
    pub most_at_once: Option<u16>,
    /// The delay of new messages.
    pub delay_secs: u16,
    /// The number of tries of a message before it goes to the dead-letter queue.
    pub receives: u16,
}

impl Queue {
    /// Ten messages at once, unlimited concurrent runs, five tries.
    pub const fn new(name: &'static str, feed: Feed) -> Self {
        Self { name, feed, batch: 10, window_secs: 0, most_at_once: None, delay_secs: 0, receives: 5 }
    }
    /// Its name without the deployment's.
    pub fn full_name(&self) -> String {
        if self.is_fifo() { format!("{}.fifo", self.name) } else { self.name.to_owned() }
    }
    /// Its dead-letter queue's name without the deployment's.
    pub fn dead_name(&self) -> String {
        if self.is_fifo() { format!("{}-dead.fifo", self.name) } else { format!("{}-dead", self.name) }
    }
    pub const fn is_fifo(&self) -> bool {
        matches!(self.feed, Feed::WakeUps)
    }
}

/// The source of a queue's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// The bus, by a rule for the events of its consumer.
    Events,
    /// The bus, all events.
    AllEvents,
    /// Our own functions.
    Direct,
    /// The audit partition of the ledger's stream: FIFO, one group for each tenant.
    WakeUps,
    /// The mail service's reports about sent mails.
    Mail,
}

impl Queues {
    /// Sends all, ten in a call.
    ///
    /// # Errors
    /// 503 if one was not accepted; some may have been sent.
    pub(crate) async fn send(&self, queue: &Queue, envelopes: &[Envelope]) -> Result<()> {
        let bodies = envelopes.iter().map(Envelope::to_json).collect::<Result<Vec<_>>>()?;
        self.send_bodies(&queue.full_name(), &bodies).await
    }

    /// The approximate number of waiting messages, including hidden ones.
    pub(crate) async fn depth(&self, queue: &Queue) -> Result<u64> {
        use aws_sdk_sqs::types::QueueAttributeName::{
            ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed, ApproximateNumberOfMessagesNotVisible,
        };
        let names = [ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed, ApproximateNumberOfMessagesNotVisible];
        let asked = self
            .client()
            .get_queue_attributes()
            .queue_url(self.url(&queue.full_name()))
            .set_attribute_names(Some(names.to_vec()));
        let answer = asked.send().await.map_err(unavailable(SERVICE))?;
        let attributes = answer.attributes.unwrap_or_default();
        Ok(names.iter().filter_map(|name| attributes.get(name)?.parse::<u64>().ok()).sum())
    }
}

/// The tenant of a FIFO queue's group: the part before the first `#`.
pub(crate) fn tenant_of_group(group: &str) -> Option<TenantId> {
    group.split('#').next()?.parse().ok()
}
