//! Dead letters, for the operator: what was given up and why, and its way back.

use super::{
    DeadLetter, Queue,
    queue::{Queues, SERVICE},
};
use crate::{Error, Result, TenantId, operator::Operator, table::unavailable};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use std::collections::BTreeMap;

/// A message in a dead-letter queue, with the reason where its consumer left one.
#[derive(Clone, Debug)]
pub struct Dead {
    pub message_id: String,
    /// As it lies in the queue: ids and codes, no PHI.
    pub body: String,
    pub why: Option<DeadLetter>,
}

/// For how long messages are hidden while they are looked at or moved.
const LOOKED_AT_SECS: i32 = 20;
/// What SQS hands out at once.
const BATCH: i32 = 10;
/// How often an empty answer is asked again: SQS looks into a part of its machines only.
const EMPTY: usize = 2;

impl Operator<'_> {
    /// What lies in a queue's dead-letter queue, `most` at most. Looking hides messages for 20 seconds, and is on the platform's
    /// record.
    ///
    /// # Errors
    /// 503 where SQS or DynamoDB does not answer.
    pub async fn dead_letters(&self, queue: &Queue, most: usize) -> Result<Vec<Dead>> {
        let queues = self.deps().services.queues()?;
        self.on_record(TenantId::PLATFORM, "view_dead_letters", "Queue", queue.name).await?;
        let why = DeadLetter::all(&self.deps().db, queue.name).await?;
        let mut why: BTreeMap<_, _> = why.into_iter().map(|letter| (letter.message_id.clone(), letter)).collect();
        let messages = queues.dead(queue, most).await?;
        Ok(messages
            .into_iter()
            .map(|message| {
                let message_id = message.message_id.unwrap_or_default();
                Dead { body: message.body.unwrap_or_default(), why: why.remove(&message_id), message_id }
            })
            .collect())
    }

    /// Puts messages back into the queue that they came from: those of `wanted`, or all where it is empty. Each is put back
    /// first and taken away then, so that one cut off between is there twice, which its consumer notices. On record before that,
    /// in the log of the tenant whose message it is. The ids of what was moved.
    ///
    /// # Errors
    /// 404 where none of `wanted` is there; 503 where SQS or DynamoDB does not answer.
    pub async fn redrive(&self, queue: &Queue, wanted: &[String]) -> Result<Vec<String>> {
        let queues = self.deps().services.queues()?;
        let why = DeadLetter::all(&self.deps().db, queue.name).await?;
        let mut moved = Vec::new();
        loop {
            let found = queues.dead(queue, 100).await?;
            let chosen: Vec<_> = found
                .into_iter()
                .filter(|m| {
                    let id = m.message_id.as_deref().unwrap_or_default();
                    !moved.iter().any(|done| done == id) && (wanted.is_empty() || wanted.iter().any(|w| w == id))
                })
                .collect();
            if chosen.is_empty() {
                break;
            }
            for message in chosen {
                let id = message.message_id.clone().unwrap_or_default();
                let tenant = why.iter().find(|letter| letter.message_id == id).and_then(|letter| letter.tenant);
                self.on_record(tenant.unwrap_or(TenantId::PLATFORM), "redrive_dead_letter", "Message", &id).await?;
                queues.put_back(queue, &message).await?;
                DeadLetter::forget(&self.deps().db, queue.name, &id).await?;
                moved.push(id);
            }
        }
        if moved.is_empty() && !wanted.is_empty() { Err(Error::NotFound) } else { Ok(moved) }
    }
}

impl Queues {
    /// Messages of the dead-letter queue, hidden for a while.
    async fn dead(&self, queue: &Queue, most: usize) -> Result<Vec<Message>> {
        let mut found: Vec<Message> = Vec::new();
        let mut empty = 0;
        while found.len() < most && empty < EMPTY {
            let asked = self
                .client()
                .receive_message()
                .queue_url(self.url(&queue.dead_name()))
                .max_number_of_messages(BATCH)
                .visibility_timeout(LOOKED_AT_SECS)
                .message_system_attribute_names(MessageSystemAttributeName::All);
            let messages = asked.send().await.map_err(unavailable(SERVICE))?.messages.unwrap_or_default();
            empty = if messages.is_empty() { empty + 1 } else { 0 };
            for message in messages {
                if !found.iter().any(|m| m.message_id == message.message_id) {
                    found.push(message);
                }
            }
        }
        found.truncate(most);
        Ok(found)
    }

    async fn put_back(&self, queue: &Queue, message: &Message) -> Result<()> {
        let attribute = |name| message.attributes.as_ref().and_then(|all| all.get(&name)).cloned();
        let sent = self
            .client()
            .send_message()
            .queue_url(self.url(&queue.full_name()))
            .set_message_body(message.body.clone())
            .set_message_group_id(attribute(MessageSystemAttributeName::MessageGroupId))
            .set_message_deduplication_id(
                // Not its own again: within five minutes the queue would take it for a copy.
                attribute(MessageSystemAttributeName::MessageDeduplicationId).map(|id| format!("again-{id}")),
            );
        sent.send().await.map_err(unavailable(SERVICE))?;
        let taken = self
            .client()
            .delete_message()
            .queue_url(self.url(&queue.dead_name()))
            .set_receipt_handle(message.receipt_handle.clone());
        taken.send().await.map(drop).map_err(unavailable(SERVICE))
    }
}
