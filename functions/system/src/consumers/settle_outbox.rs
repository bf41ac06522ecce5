//! Deletes an event from the outbox when it arrives here over the bus, which proves its delivery. Events that stay were missed by
//! the stream or a Pipe, and `sweep_outbox` emits them again.

use common::{
    background::{Background, Consumer, Delivery, Feed, Incoming, Queue},
    base::{Need, Result},
    store::AnyEvent,
};

#[derive(Debug)]
pub struct SettleOutbox;

impl Background for SettleOutbox {
    const NAME: &'static str = "settle_outbox";
    const SUMMARY: &'static str = "Delete delivered events from the outbox";
    const NEEDS: &'static [Need] = &[Need::Outbox];
    const WAITS: bool = false;
    type Part = ();

    async fn handle(_: &mut Delivery<'_, Self>, (): &()) -> Result<()> {
        Ok(())
    }

    async fn after(cx: &mut Delivery<'_, Self>, (): &()) -> Result<()> {
        match cx.envelope() {
            Some(envelope) => cx.outbox().settle(envelope.id).await,
            None => Ok(()),
        }
    }
}

impl Consumer for SettleOutbox {
    const QUEUE: Queue = Queue { batch: 100, window_secs: 5, ..Queue::new("settle-outbox", Feed::AllEvents) };
    type Message = AnyEvent;

    async fn parts(_: &Incoming<'_, Self>, _: AnyEvent) -> Result<Vec<()>> {
        Ok(vec![()])
    }
}
