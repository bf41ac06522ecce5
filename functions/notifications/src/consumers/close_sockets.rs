//! Closes the sockets of a session after it has ended.

use common::{
    background::{Background, Consumer, Delivery, Feed, Incoming, Part, Queue},
    base::{Need, Result},
    identity::SessionEnded,
};

#[derive(Debug)]
pub struct CloseSockets;

/// The session.
#[derive(Debug)]
pub struct Ended(SessionEnded);

impl Part for Ended {
    fn name(&self) -> String {
        self.0.session_id.to_string()
    }
}

impl Background for CloseSockets {
    const NAME: &'static str = "close_sockets";
    const SUMMARY: &'static str = "Close the sockets of a session that has ended";
    const NEEDS: &'static [Need] = &[Need::Push, Need::Sessions];
    const WAITS: bool = false;
    type Part = Ended;

    async fn handle(_: &mut Delivery<'_, Self>, _: &Ended) -> Result<()> {
        Ok(())
    }

    async fn after(cx: &mut Delivery<'_, Self>, Ended(ended): &Ended) -> Result<()> {
        let closed = cx.close_session(ended.user_id, ended.session_id).await?;
        cx.log("sockets.closed", closed);
        Ok(())
    }
}

impl Consumer for CloseSockets {
    const QUEUE: Queue = Queue::new("close-sockets", Feed::Events);
    type Message = SessionEnded;

    async fn parts(_: &Incoming<'_, Self>, ended: SessionEnded) -> Result<Vec<Ended>> {
        Ok(vec![Ended(ended)])
    }
}
