//! Keeps a note of each parcel that came back.

use super::events::ShipmentReturned;
use crate::domain::ShipmentId;
use common::{
    background::{Background, CONTENDED, Consumer, Delivery, Feed, Incoming, Part, Queue},
    base::{Need, Result},
    store::{Item, Key},
};
use std::time::Duration;

/// The list of returns that are still open, by the time at which they close.
pub const RETURNS: &str = "RETURNS";
const OPEN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Debug)]
pub struct FileReturn;

/// The whole message is one part, which the shipment's id tells from others.
#[derive(Debug)]
pub struct Returned(ShipmentId);

impl Part for Returned {
    fn name(&self) -> String {
        self.0.to_string()
    }
}

impl Background for FileReturn {
    const NAME: &'static str = "file_return";
    const SUMMARY: &'static str = "Keep a note of each parcel that came back";
    const NEEDS: &'static [Need] = &[Need::Write];
    type Part = Returned;

    async fn handle(cx: &mut Delivery<'_, Self>, Returned(id): &Returned) -> Result<()> {
        let closes_at = cx.now().plus(OPEN_FOR);
        let note = Item::new(Key::new(format!("RETURN#{id}"), "RETURN")).text("shipment_id", id).due(RETURNS, closes_at);
        cx.changes().create(note, CONTENDED);
        Ok(())
    }
}

impl Consumer for FileReturn {
    const QUEUE: Queue = Queue::new("file-return", Feed::Events);
    type Message = ShipmentReturned;

    async fn parts(_: &Incoming<'_, Self>, message: ShipmentReturned) -> Result<Vec<Returned>> {
        Ok(vec![Returned(message.shipment_id)])
    }
}
