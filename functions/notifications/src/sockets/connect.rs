//! A client connects.

use common::{
    background::{Caller, Socket},
    base::{Need, Result},
    request::SocketRoute,
};

#[derive(Debug)]
pub struct Connect;

impl Socket for Connect {
    const NAME: &'static str = "connect";
    const SUMMARY: &'static str = "Store a socket that a ticket has opened";
    const ROUTE: SocketRoute = SocketRoute::Connect;
    const NEEDS: &'static [Need] = &[Need::Push];
    type Frame = ();

    async fn handle(cx: &mut Caller<'_, Self>, (): ()) -> Result<()> {
        cx.register().await
    }
}
