//! Polls the carrier for a shipment immediately, on a user's request.

use crate::{
    domain::RefreshRequested,
    polling::{self, Due, Turn},
};
use common::{
    background::{Background, Consumer, Delivery, Feed, Incoming, Queue},
    base::{Need, Result},
};

#[derive(Debug)]
pub struct RefreshTracking;

impl Background for RefreshTracking {
    const NAME: &'static str = "refresh_tracking";
    const SUMMARY: &'static str = "Poll the carrier for a shipment on a user's request";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search, Need::Carrier];
    const TIMEOUT_SECS: u16 = 60;
    type Part = Due;

    async fn handle(cx: &mut Delivery<'_, Self>, due: &Due) -> Result<()> {
        polling::poll(cx, due, Turn::Requested).await
    }
}

impl Consumer for RefreshTracking {
    const QUEUE: Queue = Queue { most_at_once: Some(2), ..Queue::new("refresh-tracking", Feed::Events) };
    type Message = RefreshRequested;

    async fn parts(_: &Incoming<'_, Self>, RefreshRequested { shipment_id, due_at }: RefreshRequested) -> Result<Vec<Due>> {
        Ok(vec![Due { id: shipment_id, at: due_at }])
    }
}
