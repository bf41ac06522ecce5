//! The connections of a user, as stored in the table.
//!
//! | Partition | Sort | Content |
//! |---|---|---|
//! | `SOCKETS#<user>` | `<connection id>` | session, address, time of connecting; deleted with the connection, or 2 hours later |
//!
//! API Gateway may close a connection without an event, so an item may belong to a closed connection. The next send to it gets
//! 410 and deletes the item. API Gateway also answers 410 for a connection that is still opening, so the item of a new connection
//! stays. This also applies to one that should be closed because of newer ones: the next send closes it, once it is open.
//!
//! Before a frame is sent, it is checked that the session is live and that its user may call from the connection's address.
//! Otherwise the connection is closed instead.

use crate::{
    aws::push::{Push, Sent},
    background::{Background, Delivery},
    base::{
        Error, Identity, Principal, Result, Role, SessionId, TenantId, Timestamp, UserId,
        error::{Cause, Refusal},
        need::needs,
        network::AllowList,
    },
    identity::{session, tenant::Tenant, ticket::LONGEST},
    policy::Circumstances,
    request::Deps,
    store::{
        changes::Edit,
        dynamodb::Query,
        item::{Item, Key, Row, Table},
    },
};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// The largest number of a user's connections. One more closes the oldest.
const MOST: usize = 20;
/// The number of concurrent sends.
const IN_FLIGHT: usize = 8;
/// The time for which a connection may still be opening, while API Gateway answers 410: as long as API Gateway waits for the
/// connect function.
const OPENING: Duration = Duration::from_secs(30);

/// Marks a connection that is closed as soon as possible.
const GIVES_WAY: &str = "gives_way";

/// A user's connection.
#[derive(Clone, Debug)]
struct Connection {
    id: String,
    session: SessionId,
    connected_at: Timestamp,
    /// Whether it should be closed because of a newer one, when it was still opening.
    gives_way: bool,
    /// The client's address. Older versions did not store it; such a client counts as outside every allowlist.
    ip: String,
}

/// The result of sending a frame to all of a user's connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    pub sent: usize,
    /// Closed connections, which are now removed.
    pub gone: usize,
    /// Connections that the frame did not reach. Their clients see the gap by the number, and request a replay.
    pub failed: usize,
    /// Connections that were closed instead: their session is over, their address is not allowed, or there are too many.
    pub closed: usize,
}

/// The connections of one tenant's users.
#[derive(Clone, Copy, Debug)]
pub struct Sockets<'a> {
    pub(crate) deps: &'a Deps,
    pub(crate) push: &'a Push,
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
        Ok(Self {
            id: row.text("sk")?.to_owned(),
            session: row.parse("session_id")?,
            connected_at: Timestamp::from_millis(row.number("connected_at")?),
            gives_way: row.maybe_number(GIVES_WAY).is_some_and(|n| n != 0),
            ip: row.maybe_text("ip").unwrap_or_default().to_owned(),
        })
    }

    fn may_be_opening(&self, now: Timestamp) -> bool {
        now < self.connected_at.plus(OPENING)
    }
}

/// Checks whether a user may receive and send from an address: the same rules that the policies apply to every request.
///
/// # Errors
/// 403 if the tenant, or the platform for its operators, does not allow the address, or requires the enrolled second factor,
/// which the session has not given.
pub(super) fn check_network(who: &Principal, gate: &Tenant, operators: &AllowList, ip: &str, now: Timestamp) -> Result<()> {
    let circumstances = Circumstances::of(who, gate, operators, ip, None, now);
    let Circumstances { on_allowed_network, on_operator_network, on_trusted_network, mfa_age, .. } = circumstances;
    let operates = who.roles.contains(&Role::SuperAdmin);
    let allowed = on_allowed_network && (on_operator_network || !operates);
    if !allowed {
        Err(Error::Forbidden(Refusal::NetworkNotAllowed))
    } else if who.mfa_enrolled && mfa_age.is_none() && !on_trusted_network {
        Err(Error::Forbidden(Refusal::MfaRequired))
    } else {
        Ok(())
    }
}

impl Sockets<'_> {
    /// Sends a frame to each of a user's connections, eight at a time.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer. A connection that could not be reached is counted and is not an error, because a retry
    /// would repeat the frame to all others.
    pub async fn push(&self, user: UserId, frame: &(impl Serialize + Sync)) -> Result<Pushed> {
        let frame = serde_json::to_vec(frame).map_err(|_| crate::base::Error::internal("frame"))?;
        let push = self.push;
        let (heard, over) = self.by_standing(user).await?;
        let mut pushed = Pushed { closed: over.len(), ..Pushed::default() };
        let sends = stream::iter(heard).map(|connection| {
            let frame = frame.clone();
            async move {
                let sent = push.send(&connection.id, frame).await;
                (connection, sent)
            }
        });
        let sends: Vec<_> = sends.buffer_unordered(IN_FLIGHT).collect().await;
        let mut gone = Vec::new();
        for (connection, sent) in sends {
            match sent {
                Ok(Sent::Accepted) => pushed.sent += 1,
                Ok(Sent::Gone) if !connection.may_be_opening(self.now) => gone.push(key(user, &connection.id)),
                Ok(Sent::Gone) | Err(_) => pushed.failed += 1,
            }
        }
        pushed.gone = gone.len();
        self.deps.db.delete_all(self.tenant, Table::Ephemera, &gone).await?;
        // One that could not be closed is found again by the next frame.
        let _ = self.close(user, over).await;
        Ok(pushed)
    }

    /// A user's connections: those that may get frames, and those to be closed.
    async fn by_standing(&self, user: UserId) -> Result<(Vec<Connection>, Vec<Connection>)> {
        let connections = self.of(user).await?;
        if connections.is_empty() {
            return Ok((connections, Vec::new()));
        }
        let gate = self.deps.gates.of(self.tenant).await?;
        let mut sessions: BTreeMap<SessionId, Option<Principal>> = BTreeMap::new();
        for Connection { session, .. } in &connections {
            if !sessions.contains_key(session) {
                sessions.insert(*session, self.who(user, *session, &gate).await?);
            }
        }
        let operators = &self.deps.config.operator_networks;
        let hears = |connection: &Connection| {
            let who = sessions.get(&connection.session).and_then(Option::as_ref).filter(|_| !connection.gives_way);
            who.is_some_and(|who| check_network(who, &gate, operators, &connection.ip, self.now).is_ok())
        };
        Ok(connections.into_iter().partition(hears))
    }

    /// The caller of a session, if it is live and its tenant is active.
    async fn who(&self, user: UserId, session: SessionId, gate: &Tenant) -> Result<Option<Principal>> {
        let Sockets { deps, tenant, now, .. } = *self;
        let Some(row) = deps.db.get(tenant, Table::Ephemera, &session::key(user, session)).await? else { return Ok(None) };
        let over = session::ended(&row, gate.settings.idle(deps.config.session_idle), now)?.is_some() || gate.enter().is_err();
        let identity = Identity { tenant, user, session, expires_at: session::ends_at(&row)? };
        if over { Ok(None) } else { session::principal(identity, &row, now).map(Some) }
    }

    /// Closes a session's connections; returns their number.
    async fn close_session(&self, user: UserId, session: SessionId) -> Result<usize> {
        let all = self.of(user).await?;
        let connections: Vec<_> = all.into_iter().filter(|connection| connection.session == session).collect();
        let count = connections.len();
        if !self.close(user, connections).await?.is_empty() {
            return Err(Error::Unavailable { service: "sockets", cause: Cause::code("still opening") });
        }
        Ok(count)
    }

    pub(super) async fn remembers(&self, user: UserId, connection: &str) -> Result<bool> {
        Ok(self.deps.db.get(self.tenant, Table::Ephemera, &key(user, connection)).await?.is_some())
    }

    /// Stores a connection, and closes the oldest if there are more than twenty.
    pub(super) async fn register(&self, user: UserId, connection: &str, session: SessionId, ip: &str) -> Result<()> {
        let item = Item::new(key(user, connection))
            .text("session_id", session)
            .text("ip", ip)
            .number("connected_at", self.now.as_millis())
            .number("expires_at", self.now.plus(LONGEST).as_secs());
        self.deps.db.put(self.tenant, Table::Ephemera, item).await?;
        let mut all = self.of(user).await?;
        all.retain(|other| !other.gives_way);
        let too_many = all.len().saturating_sub(MOST);
        all.retain(|other| other.id != connection);
        all.sort_by_key(|other| other.connected_at);
        all.truncate(too_many);
        // One that is still opening cannot be closed yet. The next send to its user closes it, once it is open.
        for opening in self.close(user, all).await? {
            self.deps.db.edit(self.tenant, Table::Ephemera, &Edit::of(opening).number(GIVES_WAY, true)).await?;
        }
        Ok(())
    }

    pub(super) async fn forget(&self, user: UserId, connection: &str) -> Result<()> {
        self.deps.db.delete_all(self.tenant, Table::Ephemera, &[key(user, connection)]).await
    }

    /// Closes connections and deletes their items. Returns those that are still stored, because they may be opening and cannot be
    /// closed yet.
    async fn close(&self, user: UserId, connections: Vec<Connection>) -> Result<Vec<Key>> {
        let push = self.push;
        let closing = stream::iter(connections).map(|connection| async move { (push.close(&connection.id).await, connection) });
        let closing: Vec<_> = closing.buffer_unordered(IN_FLIGHT).collect().await;
        let (mut closed, mut opening) = (Vec::new(), Vec::new());
        for (sent, connection) in &closing {
            match sent {
                Ok(Sent::Gone) if connection.may_be_opening(self.now) => opening.push(key(user, &connection.id)),
                Ok(_) => closed.push(key(user, &connection.id)),
                Err(_) => {}
            }
        }
        self.deps.db.delete_all(self.tenant, Table::Ephemera, &closed).await?;
        closing.into_iter().try_for_each(|(sent, _)| sent.map(drop))?;
        Ok(opening)
    }

    /// The connections that may still exist.
    async fn of(&self, user: UserId) -> Result<Vec<Connection>> {
        let page = self.deps.db.query(self.tenant, &Query::partition(Table::Ephemera, partition(user)), None).await?;
        let live = page.rows.iter().filter(|row| row.maybe_number("expires_at").is_some_and(|at| at > self.now.as_secs()));
        live.map(Connection::from_row).collect()
    }
}

impl<'a, B: Background> Delivery<'a, B> {
    /// The sockets of the tenant's users. A sent frame cannot be recalled, so send in [`Background::after`].
    ///
    /// # Errors
    /// Internal if the function was not given the client.
    pub fn sockets(&self) -> Result<Sockets<'a>> {
        needs!(B, Push);
        let job = self.job;
        Ok(Sockets { deps: job.deps, push: job.deps.services.sockets()?, tenant: job.tenant, now: job.now })
    }

    /// Ends a session whose end was published, and closes its connections; returns their number. The session ends before the
    /// search for connections, so that a connection that is opened later finds it ended.
    ///
    /// # Errors
    /// 503 if DynamoDB or API Gateway does not answer, or a connection may still be opening; connections that were not closed are
    /// still stored then.
    pub async fn close_session(&self, user: UserId, session: SessionId) -> Result<usize> {
        needs!(B, Sessions);
        self.see_ended(user, session).await?;
        self.sockets()?.close_session(user, session).await
    }
}
