//! Dead letters, for operators: their content and reasons, and putting them back or discarding them.
//!
//! A FIFO queue delivers no message of a group while one of its messages is hidden, and at most ten at once ([message groups]).
//! So one look shows ten messages of a group. The others are found by the reasons that their consumer stored in the table. They
//! can be put back or discarded after those before them.
//!
//! [message groups]: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/using-messagegroupid-property.html

use crate::{
    aws::{
        errors::unavailable,
        queues::{Queues, SERVICE},
    },
    background::{DeadLetter, Feed, Queue, queue::tenant_of_group},
    base::{Error, Result, TenantId},
    run::operator::Operator,
};
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName};
use std::collections::{BTreeMap, BTreeSet};

/// A message in a dead-letter queue, with the reason if its consumer stored one.
#[derive(Clone, Debug)]
pub struct Dead {
    pub message_id: String,
    /// The body in the queue: ids and codes, no PHI. Unknown for a message behind others of its group.
    pub body: Option<String>,
    pub why: Option<DeadLetter>,
}

impl Dead {
    /// The sources of dead letters that are not consumers: pipes, and runs of schedules. These letters cannot be put back into a
    /// queue.
    pub const OTHERS: [Queue; 2] = [Queue::new("pipes", Feed::Direct), Queue::new("schedules", Feed::Direct)];
}

/// The time for which an interrupted look hides messages.
const HIDDEN_SECS: i32 = 60;
/// The largest number of messages in one receive.
const BATCH: i32 = 10;
/// The largest number of entries in one call.
const MOST: usize = 10;
/// The number of retries after an empty answer, because SQS queries only some of its machines.
const EMPTY: usize = 2;

impl Operator<'_> {
    /// The dead letters of a queue: at most `most` of those that can be received, and for a FIFO queue also those behind them.
    /// The look hides messages until it ends, and is audited in the platform's log.
    ///
    /// # Errors
    /// 503 if SQS or DynamoDB does not answer.
    pub async fn dead_letters(&self, queue: &Queue, most: usize) -> Result<Vec<Dead>> {
        let queues = self.deps().services.queues()?;
        self.on_record(TenantId::PLATFORM, "view_dead_letters", "Queue", queue.name).await?;
        let why = DeadLetter::all(&self.deps().db, queue.name).await?;
        let mut why: BTreeMap<_, _> = why.into_iter().map(|letter| (letter.message_id.clone(), letter)).collect();
        let mut look = queues.look(queue);
        let messages = look.up_to(most).await;
        look.end().await?;
        let messages = messages?;
        let groups: BTreeSet<_> = messages.iter().filter_map(group_of).collect();
        let dead = |message: Message| {
            let message_id = message.message_id.unwrap_or_default();
            Dead { body: message.body, why: why.remove(&message_id), message_id }
        };
        let mut found: Vec<_> = messages.into_iter().map(dead).collect();
        // A reason without its message has no messages of its group before it.
        let behind = why.into_values().filter(|letter| letter.tenant.is_some_and(|tenant| groups.contains(&tenant)));
        if queue.is_fifo() {
            found.extend(behind.map(|letter| Dead { message_id: letter.message_id.clone(), body: None, why: Some(letter) }));
        }
        Ok(found)
    }

    /// Puts messages back into their queue: those in `wanted`, or all if it is empty. Each is sent first and then deleted, so
    /// that after an interruption it exists twice, which its consumer recognises. This is audited before, in the log of the
    /// message's tenant. Returns the ids of the moved messages.
    ///
    /// # Errors
    /// 404 if none of `wanted` exists; 422 for one of [`Dead::OTHERS`], and if those in `wanted` are behind others of their
    /// group; 503 if SQS or DynamoDB does not answer.
    pub async fn redrive(&self, queue: &Queue, wanted: &[String]) -> Result<Vec<String>> {
        if Dead::OTHERS.contains(queue) {
            let why = format!("nothing of `{}` is put back: a later run does what was missed", queue.name);
            return Err(Error::invalid("queue", "no_way_back", why));
        }
        self.take_out(queue, wanted, &Way::Back).await
    }

    /// Deletes these messages permanently, or all if `wanted` is empty. This is audited before, with the reason, in the log of
    /// the message's tenant. Returns the ids of the deleted messages.
    ///
    /// # Errors
    /// 404 and 503 as [`redrive`](Self::redrive); 422 for a reason that is not a code, and as there.
    pub async fn discard(&self, queue: &Queue, wanted: &[String], reason: &str) -> Result<Vec<String>> {
        let code = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        if !(3..=64).contains(&reason.len()) || !reason.bytes().all(code) {
            let why = "a reason is a code, of 3 to 64 of `a-z 0-9 _ -`, such as `handled-by-hand`: it stands in the audit log";
            return Err(Error::invalid("reason", "invalid_format", why));
        }
        self.take_out(queue, wanted, &Way::Out(reason)).await
    }

    async fn take_out(&self, queue: &Queue, wanted: &[String], way: &Way<'_>) -> Result<Vec<String>> {
        let why = DeadLetter::all(&self.deps().db, queue.name).await?;
        let mut look = self.deps().services.queues()?.look(queue);
        let moved = self.take_each(&mut look, wanted, way, &why).await;
        let ended = look.end().await;
        let moved = moved?;
        // The moved messages are reported even if the others stay hidden for a while.
        if !moved.is_empty() {
            return Ok(moved);
        }
        ended?;
        if wanted.is_empty() {
            return Ok(moved);
        }
        if queue.is_fifo() && why.iter().any(|letter| wanted.contains(&letter.message_id)) {
            let why = "it lies behind others of its group: put those back, or discard them, first";
            return Err(Error::invalid("message_id", "behind_others", why));
        }
        Err(Error::NotFound)
    }

    async fn take_each(&self, look: &mut Look<'_>, wanted: &[String], way: &Way<'_>, why: &[DeadLetter]) -> Result<Vec<String>> {
        let (db, queue) = (&self.deps().db, look.queue);
        let mut moved = Vec::new();
        while wanted.is_empty() || moved.len() < wanted.len() {
            let found = look.more().await?;
            if found.is_empty() {
                break;
            }
            for message in found {
                let id = message.message_id.clone().unwrap_or_default();
                if !wanted.is_empty() && !wanted.contains(&id) {
                    continue;
                }
                let tenant = why.iter().find(|letter| letter.message_id == id).and_then(|letter| letter.tenant);
                let tenant = tenant.unwrap_or(TenantId::PLATFORM);
                match way {
                    Way::Back => {
                        self.on_record(tenant, "redrive_dead_letter", "Message", &id).await?;
                        look.queues.put_back(queue, &message).await?;
                    }
                    Way::Out(reason) => {
                        self.on_record_because(tenant, "discard_dead_letter", "Message", &id, Some(reason)).await?;
                    }
                }
                look.queues.take_away(queue, &message).await?;
                look.seen.insert(id.clone(), None);
                DeadLetter::forget(db, queue.name, &id).await?;
                moved.push(id);
            }
        }
        Ok(moved)
    }
}

/// The destination of a message that is taken out of its dead-letter queue.
enum Way<'a> {
    Back,
    /// It is deleted, for this reason.
    Out(&'a str),
}

fn group_of(message: &Message) -> Option<TenantId> {
    tenant_of_group(message.attributes.as_ref()?.get(&MessageSystemAttributeName::MessageGroupId)?)
}

/// A look through a dead-letter queue. Its messages are hidden from others until it ends.
struct Look<'a> {
    queues: &'a Queues,
    queue: &'a Queue,
    /// The handle of each message, which makes it visible again, unless it was taken.
    seen: BTreeMap<String, Option<String>>,
}

impl Look<'_> {
    /// Further messages; `None` if there are no more.
    async fn more(&mut self) -> Result<Vec<Message>> {
        for _ in 0..EMPTY {
            let asked = self
                .queues
                .client()
                .receive_message()
                .queue_url(self.queues.url(&self.queue.dead_name()))
                .max_number_of_messages(BATCH)
                .visibility_timeout(HIDDEN_SECS)
                .message_system_attribute_names(MessageSystemAttributeName::All);
            let mut messages = asked.send().await.map_err(unavailable(SERVICE))?.messages.unwrap_or_default();
            messages.retain(|message| {
                let id = message.message_id.clone().unwrap_or_default();
                self.seen.insert(id, message.receipt_handle.clone()).is_none()
            });
            if !messages.is_empty() {
                return Ok(messages);
            }
        }
        Ok(Vec::new())
    }

    async fn up_to(&mut self, most: usize) -> Result<Vec<Message>> {
        let mut found = Vec::new();
        while found.len() < most {
            let more = self.more().await?;
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        found.truncate(most);
        Ok(found)
    }

    /// Makes the messages that were not taken visible again. A message for which SQS refuses this is visible already, or deleted.
    async fn end(self) -> Result<()> {
        let handles: Vec<_> = self.seen.into_values().flatten().collect();
        for chunk in handles.chunks(MOST) {
            let entry = |(i, handle): (usize, &String)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(i.to_string()).receipt_handle(handle);
                entry.visibility_timeout(0).build().map_err(|_| Error::internal("receipt handle"))
            };
            let entries = chunk.iter().enumerate().map(entry).collect::<Result<Vec<_>>>()?;
            let shown = self.queues.client().change_message_visibility_batch().set_entries(Some(entries));
            let url = self.queues.url(&self.queue.dead_name());
            shown.queue_url(url).send().await.map_err(unavailable(SERVICE))?;
        }
        Ok(())
    }
}

impl Queues {
    fn look<'a>(&'a self, queue: &'a Queue) -> Look<'a> {
        Look { queues: self, queue, seen: BTreeMap::new() }
    }

    async fn put_back(&self, queue: &Queue, message: &Message) -> Result<()> {
        let group = message.attributes.as_ref().and_then(|all| all.get(&MessageSystemAttributeName::MessageGroupId)).cloned();
        // The id must differ from the original, because the queue would treat it as a duplicate for five minutes. The message id is
        // unique to this stay in the dead-letter queue, and the new id does not grow each time that a message is put back.
        let id = message.message_id.as_ref().map(|id| format!("again-{id}"));
        let sent = self
            .client()
            .send_message()
            .queue_url(self.url(&queue.full_name()))
            .set_message_body(message.body.clone())
            .set_message_deduplication_id(id.filter(|_| group.is_some()))
            .set_message_group_id(group);
        sent.send().await.map(drop).map_err(unavailable(SERVICE))
    }

    async fn take_away(&self, queue: &Queue, message: &Message) -> Result<()> {
        let taken = self
            .client()
            .delete_message()
            .queue_url(self.url(&queue.dead_name()))
            .set_receipt_handle(message.receipt_handle.clone());
        taken.send().await.map(drop).map_err(unavailable(SERVICE))
    }
}
