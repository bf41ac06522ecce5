//! Queues: what each is fed by and how it is drained, and the one way to put something into one.

use crate::{
    aws::{
        errors::unavailable,
        queues::{Queues, SERVICE},
    },
    base::{Result, TenantId},
    store::Envelope,
};

/// A consumer's queue. The template's queue, its dead-letter queue and its mapping are written from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// `deliver-notification`: the queue is `<deployment>-deliver-notification`, with `.fifo` where its feed is.
    pub name: &'static str,
    pub feed: Feed,
    /// Messages a run gets at most.
    pub batch: u16,
    /// For how long a run waits for its batch to fill.
    pub window_secs: u16,
    /// Runs at the same time, 2 to 1,000; unlimited where none.
    pub most_at_once: Option<u16>,
    /// For how long a message is hidden when it comes in.
    pub delay_secs: u16,
    /// How often a message is tried before it goes to the dead-letter queue.
    pub receives: u16,
}

impl Queue {
    /// Ten messages at once, as many runs as it takes, five tries.
    pub const fn new(name: &'static str, feed: Feed) -> Self {
        Self { name, feed, batch: 10, window_secs: 0, most_at_once: None, delay_secs: 0, receives: 5 }
    }
    /// Its name after the deployment's.
    pub fn full_name(&self) -> String {
        if self.is_fifo() { format!("{}.fifo", self.name) } else { self.name.to_owned() }
    }
    /// Its dead-letter queue's name after the deployment's.
    pub fn dead_name(&self) -> String {
        if self.is_fifo() { format!("{}-dead.fifo", self.name) } else { format!("{}-dead", self.name) }
    }
    pub const fn is_fifo(&self) -> bool {
        matches!(self.feed, Feed::WakeUps)
    }
}

/// Where a queue's messages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// The bus, by a rule on what its consumer understands.
    Events,
    /// The bus, all of it.
    AllEvents,
    /// Our own functions.
    Direct,
    /// The audit partition of the ledger's stream: FIFO, a group a tenant.
    WakeUps,
    /// What the mail service says of mails that were sent.
    Mail,
}

impl Queues {
    /// Sends all, ten a call.
    ///
    /// # Errors
    /// 503 where one was not taken; some may have been.
    pub(crate) async fn send(&self, queue: &Queue, envelopes: &[Envelope]) -> Result<()> {
        let bodies = envelopes.iter().map(Envelope::to_json).collect::<Result<Vec<_>>>()?;
        self.send_bodies(&queue.full_name(), &bodies).await
    }

    /// About how many messages wait, hidden ones included.
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

/// The tenant that a FIFO queue's group is of: what stands before the first `#`.
pub(crate) fn tenant_of_group(group: &str) -> Option<TenantId> {
    group.split('#').next()?.parse().ok()
}
