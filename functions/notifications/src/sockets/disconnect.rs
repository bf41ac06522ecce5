//! A client disconnects. API Gateway reports this if it can; other closed connections are found by the next push.

use common::{
    background::{Caller, Socket},
    base::{Need, Result},
    request::SocketRoute,
};

#[derive(Debug)]
pub struct Disconnect;

impl Socket for Disconnect {
    const NAME: &'static str = "disconnect";
    const SUMMARY: &'static str = "Remove a closed socket";
    const ROUTE: SocketRoute = SocketRoute::Disconnect;
    const NEEDS: &'static [Need] = &[Need::Push];
    type Frame = ();

    async fn handle(cx: &mut Caller<'_, Self>, (): ()) -> Result<()> {
        cx.forget().await
    }
}
