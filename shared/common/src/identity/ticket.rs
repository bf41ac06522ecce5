//! Tickets identify the user of a page's socket. A browser cannot set a header on a handshake, and a token in a URL would be
//! logged. So the API issues a secret that is valid once, for thirty seconds, from the network that requested it.
//!
//! | Partition | Sort | Content |
//! |---|---|---|
//! | `TICKET#<hash>` | `TICKET` | its user and session; deleted when it is used |
//!
//! The item is in its user's own tenant and is written with the audit event of its creation; the ticket's text contains its
//! place.

use crate::{
    base::{
        Result, SessionId, TenantId, Timestamp, UserId, Uuid, digest::hash, error::TokenRefused, network::network,
        principal::Identity,
    },
    store::{
        changes::Condition,
        dynamodb::{Db, Outcome},
        item::{Key, Table},
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::time::Duration;

/// API Gateway keeps a connection for at most two hours.
pub(crate) const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);
pub(crate) const GOOD_FOR: Duration = Duration::from_secs(30);

/// A ticket in the form for its user. Its `Debug` is redacted.
#[derive(Clone)]
pub struct Ticket {
    pub(crate) tenant: TenantId,
    pub(crate) secret: [u8; 32],
    pub expires_at: Timestamp,
    /// The URL at which to present it.
    pub sockets_url: String,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket")
    }
}

impl Ticket {
    const BYTES: usize = 16 + 32;

    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode([self.tenant.uuid().as_bytes().as_slice(), &self.secret].concat())
    }
}

pub(crate) fn key(secret: &[u8]) -> Key {
    Key::new(format!("TICKET#{}", URL_SAFE_NO_PAD.encode(hash(&[secret]))), "TICKET")
}

/// Uses a ticket up; returns the identity for the socket. If it is presented twice at the same time, one succeeds.
pub(crate) async fn take(db: &Db, text: &str, ip: &str, now: Timestamp) -> Result<Identity, TokenRefused> {
    let refused = |reason| TokenRefused::Because(reason);
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|b| b.len() == Ticket::BYTES).ok_or(refused("ticket_malformed"))?;
    let (tenant, secret) = bytes.split_at(16);
    let tenant = TenantId::from_uuid(Uuid::from_slice(tenant).map_err(|_| refused("ticket_malformed"))?);
    let good = Condition::All(vec![Condition::Present, Condition::Is("network", network(ip))]);
    let row = match db.take(tenant, Table::Ephemera, &key(secret), &good).await {
        Ok(Outcome::Done(row)) => row,
        Ok(Outcome::Refused(None)) => return Err(refused("ticket_unknown")),
        Ok(Outcome::Refused(Some(_))) => return Err(refused("ticket_of_another_network")),
        Err(_) => return Err(TokenRefused::Unavailable),
    };
    let read = || -> Result<(i64, i64, UserId, SessionId)> {
        Ok((row.number("good_until")?, row.number("socket_until")?, row.parse("user_id")?, row.parse("session_id")?))
    };
    let (good_until, socket_until, user, session) = read().map_err(|_| TokenRefused::Unavailable)?;
    if good_until <= now.as_millis() {
        return Err(refused("ticket_expired"));
    }
    Ok(Identity { tenant, user, session, expires_at: Timestamp::from_millis(socket_until) })
}

/// The end of a connection's permission: with the caller's session, or when API Gateway closes the connection in any case.
pub(crate) fn ends_at(now: Timestamp, session_ends_at: Timestamp) -> Timestamp {
    now.plus(LONGEST).min(session_ends_at)
}
