//! A client sends a frame: a ping, or a request to replay missed notifications.

use crate::{
    domain::Seq,
    frames::{ClientFrame, ServerFrame},
    store::{self, State},
};
use common::{
    background::{Caller, Socket},
    base::{Need, Result},
    request::SocketRoute,
};

/// The largest number of frames in one replay. A client requests the rest again.
const MOST: usize = 100;

#[derive(Debug)]
pub struct Message;

impl Socket for Message {
    const NAME: &'static str = "message";
    const SUMMARY: &'static str = "Answer a ping, or replay notifications that a client missed";
    const ROUTE: SocketRoute = SocketRoute::Message;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Push];
    type Frame = ClientFrame;

    async fn handle(cx: &mut Caller<'_, Self>, frame: ClientFrame) -> Result<()> {
        match frame {
            ClientFrame::Ping {} => {
                let State { seq, .. } = State::read(cx.reader(), cx.user()).await?;
                cx.reply(&ServerFrame::Pong { latest_seq: seq }).await.map(drop)
            }
            ClientFrame::Replay { from } => replay(cx, from).await,
        }
    }
}

/// Sends the notifications after `from`, oldest first and one after another, so that they arrive in order.
async fn replay(cx: &Caller<'_, Message>, from: Seq) -> Result<()> {
    let from = from.clamp(Seq(0), Seq::MAX);
    let rows = cx.reader().query(&store::after(cx.user(), from).limit(MOST as u32 + 1)).await?;
    let (mut up_to, mut more) = (from, rows.len() > MOST);
    for row in rows.iter().take(MOST) {
        if !cx.has_time() {
            more = true;
            break;
        }
        if let Some(notification) = store::notification(row)?
            && !cx.reply(&ServerFrame::from(&notification)).await?
        {
            return Ok(());
        }
        up_to = store::seq(row)?;
    }
    cx.log("replay.up_to", up_to.0);
    cx.reply(&ServerFrame::Replayed { up_to, more }).await.map(drop)
}
