//! Issues a ticket for a socket. It is valid once, for thirty seconds, from the caller's own network.

use super::Inbox;
use common::{
    base::{Need, Result, Timestamp},
    identity::Ticket,
    policy::Action,
    request::{Data, Endpoint, IdempotencyKey, Issued, Operation, Permit, Route, Sample, Scope},
};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Debug)]
pub struct CreateSocketTicket;

/// The permission to open one socket.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SocketTicket")]
pub struct TicketView {
    pub ticket: Issued,
    /// The URL to open, including the ticket.
    pub url: Issued,
    pub expires_at: Timestamp,
}

impl From<Ticket> for TicketView {
    fn from(ticket: Ticket) -> Self {
        let text = ticket.text();
        let url = Issued::new(format!("{}?ticket={text}", ticket.sockets_url));
        Self { url, ticket: Issued::new(text), expires_at: ticket.expires_at }
    }
}

impl Operation for CreateSocketTicket {
    const NAME: &'static str = "create_socket_ticket";
    const SUMMARY: &'static str = "Get a ticket that opens one socket";
    const ROUTE: Route = Route::post("/v1/notifications/tickets");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    // A ticket is used once and immediately. A replayed answer would contain a used ticket.
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = TicketView;
}

impl Endpoint for CreateSocketTicket {
    const ACTION: Action = Action("createSocketTicket");
    type Target = Inbox;

    async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<Inbox> {
        Ok(Inbox::of(scope.principal()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<TicketView> {
        Ok(cx.socket_ticket().into())
    }
}
