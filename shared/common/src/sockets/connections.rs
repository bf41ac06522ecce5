//! The connections of a user, as the table remembers them.
//!
//! | Partition | Sort | What |
//! |---|---|---|
//! | `SOCKETS#<user>` | `<connection id>` | session, time of connecting; gone with the connection, or 2 hours later |
//!
//! API Gateway forgets a connection without always saying so, so an item may name one that is gone: whoever sends to it is
//! told (410), and takes the item away.

use super::{Push, push::Sent};
use crate::{
    Background, Delivery, Need, Result, SessionId, TenantId, Timestamp, UserId,
    db::{Db, Query},
    endpoint::declares,
    session,
    table::{Item, Key, Row, Table},
};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use std::time::Duration;

/// API Gateway keeps a connection for two hours at most.
pub(crate) const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);
/// Connections that a user has at most. One more closes the oldest.
const MOST: usize = 20;
/// Sends that are under way at once.
const IN_FLIGHT: usize = 8;

/// A user's connection.
#[derive(Clone, Debug)]
struct Connection {
    id: String,
    session: SessionId,
    connected_at: i64,
}

/// What became of a frame that was sent to all of a user's connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    pub sent: usize,
    /// Connections that were gone, and are forgotten now.
    pub gone: usize,
    /// Connections that it did not reach. What they missed they see by its number, and ask for it.
    pub failed: usize,
}

/// The connections of one tenant's users.
#[derive(Clone, Copy, Debug)]
pub struct Sockets<'a> {
    pub(crate) push: &'a Push,
    pub(crate) db: &'a Db,
    pub(crate) tenant: TenantId,
    pub(crate) now: Timestamp,
}

fn partition(user: UserId) -> String {
    format!("SOCKETS#{user}")
}

fn key(user: UserId, connection: &str) -> Key {
    Key::new(partition(user), connection)
}

impl Connection {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { id: row.text("sk")?.to_owned(), session: row.parse("session_id")?, connected_at: row.number("connected_at")? })
    }
}

impl Sockets<'_> {
    /// Sends a frame to each of a user's connections, eight at a time.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer. A connection that could not be reached is counted, and is no error: to send
    /// again would repeat the frame to all the others.
    pub async fn push(&self, user: UserId, frame: &(impl Serialize + Sync)) -> Result<Pushed> {
        let frame = serde_json::to_vec(frame).map_err(|_| crate::Error::internal("frame"))?;
        let push = self.push;
        let sends = stream::iter(self.of(user).await?).map(|connection| {
            let frame = frame.clone();
            async move {
                let sent = push.send(&connection.id, frame).await;
                (connection, sent)
            }
        });
        let sends: Vec<_> = sends.buffer_unordered(IN_FLIGHT).collect().await;
        let mut pushed = Pushed::default();
        let mut gone = Vec::new();
        for (connection, sent) in sends {
            match sent {
                Ok(Sent::Accepted) => pushed.sent += 1,
                Ok(Sent::Gone) => gone.push(key(user, &connection.id)),
                Err(_) => pushed.failed += 1,
            }
        }
        pushed.gone = gone.len();
        self.db.delete_all(self.tenant, Table::Ephemera, &gone).await?;
        Ok(pushed)
    }

    /// Closes what a session has opened: how many connections that were.
    async fn close_session(&self, user: UserId, session: SessionId) -> Result<usize> {
        let all = self.of(user).await?;
        let connections: Vec<_> = all.into_iter().filter(|connection| connection.session == session).collect();
        let count = connections.len();
        self.close(user, connections).await?;
        Ok(count)
    }

    /// Remembers a connection, and closes the oldest of more than twenty.
    pub(super) async fn register(&self, user: UserId, connection: &str, session: SessionId) -> Result<()> {
        let item = Item::new(key(user, connection))
            .text("session_id", session)
            .number("connected_at", self.now.as_millis())
            .number("expires_at", self.now.plus(LONGEST).as_secs());
        self.db.put(self.tenant, Table::Ephemera, item).await?;
        let mut all = self.of(user).await?;
        let too_many = all.len().saturating_sub(MOST);
        all.retain(|other| other.id != connection);
        all.sort_by_key(|other| other.connected_at);
        all.truncate(too_many);
        self.close(user, all).await
    }

    pub(super) async fn forget(&self, user: UserId, connection: &str) -> Result<()> {
        self.db.delete_all(self.tenant, Table::Ephemera, &[key(user, connection)]).await
    }

    async fn close(&self, user: UserId, connections: Vec<Connection>) -> Result<()> {
        let push = self.push;
        let closing = stream::iter(connections).map(|connection| async move { (push.close(&connection.id).await, connection) });
        let closing: Vec<_> = closing.buffer_unordered(IN_FLIGHT).collect().await;
        let closed: Vec<_> = closing.iter().filter(|(done, _)| done.is_ok()).map(|(_, c)| key(user, &c.id)).collect();
        self.db.delete_all(self.tenant, Table::Ephemera, &closed).await?;
        closing.into_iter().try_for_each(|(done, _)| done)
    }

    /// Those that may still be there.
    async fn of(&self, user: UserId) -> Result<Vec<Connection>> {
        let page = self.db.query(self.tenant, &Query::partition(Table::Ephemera, partition(user)), None).await?;
        let live = page.rows.iter().filter(|row| row.maybe_number("expires_at").is_some_and(|at| at > self.now.as_secs()));
        live.map(Connection::from_row).collect()
    }
}

impl<'a, B: Background> Delivery<'a, B> {
    /// The sockets of the tenant's users. What is sent cannot be taken back, so it belongs into [`Background::after`].
    ///
    /// # Errors
    /// Internal where the function was not given the client.
    pub fn sockets(&self) -> Result<Sockets<'a>> {
        const { assert!(declares(B::NEEDS, Need::Push), "sends to sockets: add Need::Push to NEEDS") }
        let ground = self.ground;
        Ok(Sockets { push: ground.deps.services.sockets()?, db: &ground.deps.db, tenant: ground.tenant, now: ground.now })
    }

    /// Ends a session that was told to end, and closes what it has opened: how many connections that were. It is over before
    /// they are looked for, so that one which is opened after that finds it over.
    ///
    /// # Errors
    /// 503 where DynamoDB or API Gateway does not answer; what was not closed is still remembered then.
    pub async fn close_session(&self, user: UserId, session: SessionId) -> Result<usize> {
        const { assert!(declares(B::NEEDS, Need::Sessions), "ends a session: add Need::Sessions to NEEDS") }
        let sockets = self.sockets()?;
        session::shut(sockets.db, sockets.tenant, user, session).await?;
        sockets.close_session(user, session).await
    }
}
