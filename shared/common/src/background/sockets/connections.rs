//! The connections of a user, as the table remembers them.
//!
//! | Partition | Sort | What |
//! |---|---|---|
//! | `SOCKETS#<user>` | `<connection id>` | session, address, time of connecting; gone with the connection, or 2 hours later |
//!
//! API Gateway forgets a connection without always saying so, so an item may name one that is gone: whoever sends to it is
//! told (410), and takes the item away. It says the same of a connection that is still opening, so the item of a young one stays,
//! also of one that is to give way to newer ones: it is closed by whoever sends next, once it is open.
//!
//! Before a frame is sent, the session is asked whether it lives, and whether its user may still come from the connection's
//! address; where not, the connection is closed instead.

use crate::{
    aws::push::{Push, Sent},
    background::{Background, Delivery},
    base::{
        Error, Identity, Need, Principal, Result, Role, SessionId, TenantId, Timestamp, UserId,
        error::{Cause, Refusal},
        need::declares,
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

/// Connections that a user has at most. One more closes the oldest.
const MOST: usize = 20;
/// Sends that are under way at once.
const IN_FLIGHT: usize = 8;
/// For so long a connection may be opening, for which API Gateway answers 410 as well: as long as it waits for the function that
/// lets the client in.
const OPENING: Duration = Duration::from_secs(30);

/// Of a connection that is closed when it can be.
const GIVES_WAY: &str = "gives_way";

/// A user's connection.
#[derive(Clone, Debug)]
struct Connection {
    id: String,
    session: SessionId,
    connected_at: Timestamp,
    /// Whether it was to give way to a newer one while it was still opening.
    gives_way: bool,
    /// Where its client is. Functions of before did not note it: such a client comes from nowhere that a list allows.
    ip: String,
}

/// What became of a frame that was sent to all of a user's connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    pub sent: usize,
    /// Connections that were gone, and are forgotten now.
    pub gone: usize,
    /// Connections that it did not reach. What they missed they see by its number, and ask for it.
    pub failed: usize,
    /// Connections that were closed instead: their session is over, they may not come from where they are, or there are too many.
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

/// Whether somebody may be heard, and told anything, from an address: what the policies ask of every request as well.
///
/// # Errors
/// 403 where the tenant, or the platform of its operators, lets nobody come from there, or only those who have given the second factor
/// that they have enrolled.
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
    /// 503 where DynamoDB does not answer. A connection that could not be reached is counted, and is no error: to send
    /// again would repeat the frame to all the others.
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

    /// A user's connections: those that hear, and those that are over, or too many.
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

    /// Who has a session, while it lives and its tenant is active.
    async fn who(&self, user: UserId, session: SessionId, gate: &Tenant) -> Result<Option<Principal>> {
        let Sockets { deps, tenant, now, .. } = *self;
        let Some(row) = deps.db.get(tenant, Table::Ephemera, &session::key(user, session)).await? else { return Ok(None) };
        let over = session::ended(&row, gate.settings.idle(deps.config.session_idle), now)?.is_some() || gate.enter().is_err();
        let identity = Identity { tenant, user, session, expires_at: session::ends_at(&row)? };
        if over { Ok(None) } else { session::principal(identity, &row, now).map(Some) }
    }

    /// Closes what a session has opened: how many connections that were.
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

    /// Remembers a connection, and closes the oldest of more than twenty.
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
        // One that is still opening cannot be closed yet. Whoever sends to its user next closes it, once it is open.
        for opening in self.close(user, all).await? {
            self.deps.db.edit(self.tenant, Table::Ephemera, &Edit::of(opening).number(GIVES_WAY, true)).await?;
        }
        Ok(())
    }

    pub(super) async fn forget(&self, user: UserId, connection: &str) -> Result<()> {
        self.deps.db.delete_all(self.tenant, Table::Ephemera, &[key(user, connection)]).await
    }

    /// Closes connections and forgets them: which are remembered still, since they may be opening and cannot be closed before they are
    /// open.
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

    /// Those that may still be there.
    async fn of(&self, user: UserId) -> Result<Vec<Connection>> {
        let page = self.deps.db.query(self.tenant, &Query::partition(Table::Ephemera, partition(user)), None).await?;
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
        Ok(Sockets { deps: ground.deps, push: ground.deps.services.sockets()?, tenant: ground.tenant, now: ground.now })
    }

    /// Ends a session that was told to end, and closes what it has opened: how many connections that were. It is over before
    /// they are looked for, so that one which is opened after that finds it over.
    ///
    /// # Errors
    /// 503 where DynamoDB or API Gateway does not answer, or a connection may still be opening; what was not closed is still
    /// remembered then.
    pub async fn close_session(&self, user: UserId, session: SessionId) -> Result<usize> {
        const { assert!(declares(B::NEEDS, Need::Sessions), "ends a session: add Need::Sessions to NEEDS") }
        self.see_ended(user, session).await?;
        self.sockets()?.close_session(user, session).await
    }
}
