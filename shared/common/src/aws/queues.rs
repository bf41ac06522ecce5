//! SQS. Messages are sent only here.

use crate::{
    aws::errors::unavailable,
    base::{Error, Result, error::Cause},
};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

pub(crate) const SERVICE: &str = "sqs";
/// The largest number of messages in one call to SQS.
const MOST: usize = 10;

/// Sends messages to queues.
#[derive(Debug)]
pub(crate) struct Queues {
    client: aws_sdk_sqs::Client,
    /// The part of a queue's URL before its name.
    prefix: String,
}

impl Queues {
    pub(crate) fn new(client: aws_sdk_sqs::Client, prefix: String) -> Self {
        Self { client, prefix }
    }

    pub(crate) const fn client(&self) -> &aws_sdk_sqs::Client {
        &self.client
    }
    /// The URL of a queue, by its name without the deployment's.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Sends serialised envelopes to the queue with this name, without the deployment's.
    pub(crate) async fn send_bodies(&self, name: &str, bodies: &[String]) -> Result<()> {
        let url = self.url(name);
        for chunk in bodies.chunks(MOST) {
            let entry = |(i, body): (usize, &String)| {
                let entry = SendMessageBatchRequestEntry::builder().id(i.to_string()).message_body(body);
                entry.build().map_err(|_| Error::internal("message"))
            };
            let entries = chunk.iter().enumerate().map(entry).collect::<Result<Vec<_>>>()?;
            let sent = self.client.send_message_batch().queue_url(&url).set_entries(Some(entries)).send().await;
            if let Some(failed) = sent.map_err(unavailable(SERVICE))?.failed().first() {
                return Err(Error::Unavailable { service: SERVICE, cause: Cause::code(failed.code()) });
            }
        }
        Ok(())
    }
}
