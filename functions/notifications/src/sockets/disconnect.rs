//! A client goes. API Gateway says so when it can; who goes without a word is found gone by the next send.

use common::{Caller, Need, Result, Socket, SocketRoute};

#[derive(Debug)]
pub struct Disconnect;

impl Socket for Disconnect {
    const NAME: &'static str = "disconnect";
    const SUMMARY: &'static str = "Forget a socket that was closed";
    const ROUTE: SocketRoute = SocketRoute::Disconnect;
    const NEEDS: &'static [Need] = &[Need::Push];
    type Frame = ();

    async fn handle(cx: &mut Caller<'_, Self>, (): ()) -> Result<()> {
        cx.forget().await
    }
}
