//! Takes events out of the outbox once they have come by the bus: that they are here proves it. What stays is what the stream
//! or a Pipe has missed, and `sweep_outbox` has it told again.

use common::{AnyEvent, Background, Consumer, Delivery, Feed, Incoming, Need, Queue, Result};

#[derive(Debug)]
pub struct SettleOutbox;

impl Background for SettleOutbox {
    const NAME: &'static str = "settle_outbox";
    const SUMMARY: &'static str = "Takes events out of the outbox that have come by the bus";
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
