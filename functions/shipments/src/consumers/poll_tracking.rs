//! Polls the carrier for the shipments that are due.

use crate::{
    domain::PollDue,
    polling::{self, Due, Turn},
};
use common::{
    background::{Background, Consumer, Delivery, Feed, Incoming, Queue},
    base::{Need, Result},
};

#[derive(Debug)]
pub struct PollTracking;

/// At most two instances run at once. This limits the calls to the carrier that the shared circuit breaker does not limit.
pub(crate) const QUEUE: Queue = Queue { most_at_once: Some(2), ..Queue::new("poll-tracking", Feed::Direct) };

impl Background for PollTracking {
    const NAME: &'static str = "poll_tracking";
    const SUMMARY: &'static str = "Poll the carrier for the shipments that are due";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search, Need::Carrier];
    const TIMEOUT_SECS: u16 = 60;
    type Part = Due;

    async fn handle(cx: &mut Delivery<'_, Self>, due: &Due) -> Result<()> {
        polling::poll(cx, due, Turn::Share).await
    }
}

impl Consumer for PollTracking {
    const QUEUE: Queue = QUEUE;
    type Message = PollDue;

    async fn parts(_: &Incoming<'_, Self>, PollDue { shipment_id, due_at }: PollDue) -> Result<Vec<Due>> {
        Ok(vec![Due { id: shipment_id, at: due_at }])
    }
}
