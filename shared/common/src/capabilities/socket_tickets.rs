//! Issues a ticket for a socket.

use crate::{
    base::{Error, need::needs, network::network, random},
    identity::ticket::{GOOD_FOR, Ticket, ends_at, key},
    request::{Endpoint, Permit},
    store::{
        changes::Condition,
        item::{Item, Table},
    },
};

impl<E: Endpoint> Permit<'_, E> {
    /// A ticket for the caller's own session and network, written with this request's audit event.
    pub fn socket_ticket(&mut self) -> Ticket {
        needs!(E, Write, Sessions);
        let context = self.context;
        let (who, now) = (&context.principal, context.now);
        let ticket = Ticket {
            tenant: context.tenant,
            secret: random::bytes(),
            expires_at: now.plus(GOOD_FOR),
            sockets_url: context.deps.config.sockets_url.clone(),
        };
        let item = Item::new(key(&ticket.secret))
            .text("user_id", who.user())
            .text("session_id", who.session())
            .text("network", network(&context.request.source_ip))
            .number("good_until", ticket.expires_at.as_millis())
            .number("socket_until", ends_at(now, who.session_ends_at()).as_millis())
            .number("expires_at", ticket.expires_at.as_secs() + 1);
        self.effects.changes.put(Table::Ephemera, item, Condition::Absent, Error::internal("ticket exists"));
        ticket
    }
}
