//! Sessions: one item a sign-in, touched by ONE conditional UpdateItem a request, which says that it is live, not idle and
//! within its rate limit, and returns the grants. It is kept small, for it is written with every request: what only a
//! refresh needs lies in an item beside it.

use crate::{
    base::{
        Error, Grant, Kept, Listed, Result, SessionId, TenantId, Timestamp, UserId,
        budget::Budget,
        error::AuthFailure,
        principal::{Identity, KeyBounds, Principal, SessionKind},
    },
    identity::session_end,
    store::{
        changes::Condition,
        dynamodb::{Db, Update},
        item::{Index, Item, Key, Row, Table, prefixed},
        rate_limit::{self, Branch, RateLimit, STEPS, Step, Verdict},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::time::Duration;

/// A session lives this long, whatever its user does.
pub(crate) const ABSOLUTE: Duration = Duration::from_secs(12 * 60 * 60);

/// How much of a `User-Agent` a session remembers, in characters.
pub(crate) const USER_AGENT: usize = 160;

const LIVE: &str = "live";
pub(crate) const ENDED: &str = "ended";

/// A session as it is stored, without the caller's limits.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub user: UserId,
    pub session: SessionId,
    pub kind: SessionKind,
    pub grants: Listed<Grant>,
    pub membership_version: i64,
    pub department: Option<String>,
    pub mfa_enrolled: bool,
    pub mfa_at: Option<Timestamp>,
    /// An API key's.
    pub bounds: Option<Kept<KeyBounds>>,
    /// Where it was opened from, and with what.
    pub ip: String,
    pub user_agent: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// When it is looked at first, by whoever ends sessions that are over.
    pub look_at: Timestamp,
}

/// What a refresh needs, as it is stored when a session opens.
#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    pub session: SessionId,
    pub ends_at: Timestamp,
    /// SHA-256 of the refresh token that is good now.
    pub refresh_hash: [u8; 32],
    /// SHA-256 of the caller's `User-Agent`: a lost answer is repeated only to the same device.
    pub device_hash: [u8; 32],
    /// The pool's own refresh token, sealed.
    pub pool_token: Vec<u8>,
}

/// A user's sessions.
pub(crate) fn partition(user: UserId) -> String {
    format!("SESSIONS#{user}")
}

pub(crate) fn key(user: UserId, session: SessionId) -> Key {
    Key::new(partition(user), session.to_string())
}

/// Where a session's refresh tokens are remembered.
pub(crate) fn refresh_key(session: SessionId) -> Key {
    Key::new(format!("REFRESH#{session}"), "TOKENS")
}

/// Kept a while past the session's end, so that a late refresh token is known for what it was.
fn forgotten_at(ends_at: Timestamp) -> i64 {
    ends_at.plus(ABSOLUTE).as_secs()
}

impl Refresh {
    pub(crate) fn into_item(self) -> Item {
        Item::new(refresh_key(self.session))
            .number("expires_at", forgotten_at(self.ends_at))
            .bytes("refresh_hash", self.refresh_hash)
            .bytes("device_hash", self.device_hash)
            .bytes("pool_token", self.pool_token)
    }
}

impl Session {
    pub(crate) fn key(&self) -> Key {
        key(self.user, self.session)
    }

    pub(crate) fn into_item(self) -> Item {
        let bounds = self.bounds.as_ref().map(Kept::to_text);
        let mfa_at = self.mfa_at.map(|at| at.to_string());
        Item::new(self.key())
            .text("status", LIVE)
            .text("user_id", self.user)
            .text("kind", self.kind.as_str())
            .text("grants", self.grants.to_text())
            .number("membership_version", self.membership_version)
            .maybe("department", self.department)
            .number("mfa_enrolled", self.mfa_enrolled)
            .maybe("mfa_at", mfa_at)
            .maybe("bounds", bounds)
            .text("ip", self.ip)
            .text("user_agent", self.user_agent)
            .text("created_at", self.created_at)
            .number("last_seen", self.created_at.as_millis())
            .number("ends_at", self.expires_at.as_millis())
            .number("expires_at", forgotten_at(self.expires_at))
            .due(session_end::LIST, self.look_at)
    }
}

/// Who makes a request: only a person's keep a session from idling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    Person,
    Machine,
}

/// Touches the session of `identity`: the caller, and what is left of the budget.
///
/// # Errors
/// 401 where the session is not live, 429 where its budget is spent.
pub(crate) async fn touch(
    db: &Db,
    identity: Identity,
    (limit, cost): (RateLimit, u32),
    idle: Duration,
    now: Timestamp,
    by: Activity,
) -> Result<(Principal, Budget)> {
    if identity.expires_at <= now {
        return Err(Error::Unauthenticated(AuthFailure::TokenExpired));
    }
    let (tenant, key) = (identity.tenant, key(identity.user, identity.session));
    let n = |v: i64| AttributeValue::N(v.to_string());
    // A person's next request usually comes after the last one's interval has passed.
    let mut branch = Branch::Idle;
    let mut last = None;
    for _ in 0..STEPS {
        let mut step = Step::new(limit, cost, branch, now);
        step.values.extend([
            (":now", n(now.as_millis())),
            (":idle_since", n(now.minus(idle).as_millis())),
            (":live", AttributeValue::S(LIVE.to_owned())),
            (":api_key", AttributeValue::S(SessionKind::ApiKey.as_str().to_owned())),
            (":list", AttributeValue::S(prefixed(tenant, session_end::LIST))),
            (":look_at", AttributeValue::S(session_end::first_look(idle, now).to_string())),
        ]);
        // A session of before the list is put on it. Of one that is on it the entry stays, and costs nothing.
        let listed = "#due = if_not_exists(#due, :list), #due_at = if_not_exists(#due_at, :look_at)";
        let update = Update {
            expression: &match by {
                Activity::Person => format!("SET last_seen = :now, {listed}, {}", step.set),
                Activity::Machine => format!("SET {listed}, {}", step.set),
            },
            condition: Some(&format!(
                "#status = :live AND ends_at > :now AND (last_seen > :idle_since OR #kind = :api_key) AND {}",
                step.condition
            )),
            names: &[
                ("#tat", step.attribute),
                ("#status", "status"),
                ("#kind", "kind"),
                ("#due", Index::Due.attribute()),
                ("#due_at", Index::Due.sort_attribute()),
            ],
            values: step.values,
        };
        let old = match db.update(identity.tenant, Table::Ephemera, &key, update).await? {
            Ok(row) => return Ok((principal(identity, &row, now)?, rate_limit::budget(limit, &row, now))),
            Err(None) => return Err(Error::Unauthenticated(AuthFailure::NoSession)),
            Err(Some(old)) => old,
        };
        if let Some(failure) = ended(&old, idle, now)? {
            return Err(Error::Unauthenticated(failure));
        }
        match rate_limit::judge(limit, cost, &old, now) {
            Verdict::Allowed(actual) => branch = if actual == branch { branch.other() } else { actual },
            Verdict::Blocked(spent) => return Err(spent.blocked()),
            Verdict::Exhausted(spent) => return Err(rate_limit::violated(db, tenant, &key, spent, now).await),
        }
        last = Some(old);
    }
    Err(rate_limit::raced(limit, last.as_ref(), now))
}

/// Whether somebody has ended it.
pub(crate) fn has_ended(row: &Row) -> Result<bool> {
    Ok(row.text("status")? != LIVE)
}

/// That nobody has ended it.
pub(crate) fn is_live() -> Condition {
    Condition::Is("status", LIVE.to_owned())
}

pub(crate) fn last_seen(row: &Row) -> Result<Timestamp> {
    row.number("last_seen").map(Timestamp::from_millis)
}

pub(crate) fn ends_at(row: &Row) -> Result<Timestamp> {
    row.number("ends_at").map(Timestamp::from_millis)
}

/// Why a session is over, if it is.
pub(crate) fn ended(row: &Row, idle: Duration, now: Timestamp) -> Result<Option<AuthFailure>> {
    Ok(if let Some(over) = over(row, now)? {
        Some(over)
    } else {
        match row.word("kind")? {
            // Nobody knows here what it is good for.
            None => Some(AuthFailure::NoSession),
            Some(kind) if idled(kind, last_seen(row)?, idle, now) => Some(AuthFailure::SessionIdle),
            Some(_) => None,
        }
    })
}

/// Whether a session has been silent for too long. A program may be, for as long as its key holds.
pub(crate) fn idled(kind: SessionKind, last_seen: Timestamp, idle: Duration, now: Timestamp) -> bool {
    kind != SessionKind::ApiKey && last_seen <= now.minus(idle)
}

/// Why a session has ended for good, if it has.
pub(crate) fn over(row: &Row, now: Timestamp) -> Result<Option<AuthFailure>> {
    Ok(if has_ended(row)? {
        Some(AuthFailure::NoSession)
    } else if ends_at(row)? <= now {
        Some(AuthFailure::SessionExpired)
    } else {
        None
    })
}

/// The caller whom a session's item tells of.
pub(crate) fn principal(identity: Identity, row: &Row, now: Timestamp) -> Result<Principal> {
    let grants: Listed<Grant> = row.listed("grants")?;
    let roles = grants.iter().filter(|g| g.holds_at(now)).map(|g| g.role).collect();
    let bounds = match row.maybe_text("bounds") {
        Some(_) => KeyBounds::clone(&*row.kept("bounds")?),
        None => KeyBounds::default(),
    };
    Ok(Principal {
        kind: row.word("kind")?.ok_or(Error::Unauthenticated(AuthFailure::NoSession))?,
        roles,
        grants: grants.to_vec(),
        membership_version: row.number("membership_version")?,
        department: row.maybe_text("department").map(str::to_owned),
        mfa_enrolled: row.number("mfa_enrolled")? != 0,
        mfa_at: row.maybe("mfa_at")?,
        bounds,
        signed_in_at: row.parse("created_at")?,
        session_ends_at: ends_at(row)?,
        identity,
    })
}

/// # Errors
/// 401 where the session is over.
pub(crate) async fn lives(db: &Db, tenant: TenantId, user: UserId, session: SessionId, now: Timestamp) -> Result<()> {
    match db.get(tenant, Table::Ephemera, &key(user, session)).await? {
        Some(row) if over(&row, now)?.is_none() => Ok(()),
        _ => Err(Error::Unauthenticated(AuthFailure::NoSession)),
    }
}

/// Says that the session was used, if it lives.
///
/// # Errors
/// 401 where it does not.
pub(crate) async fn used(db: &Db, tenant: TenantId, user: UserId, session: SessionId, now: Timestamp) -> Result<()> {
    let update = Update {
        expression: "SET last_seen = :now",
        condition: Some("#status = :live"),
        names: &[("#status", "status")],
        values: vec![(":now", AttributeValue::N(now.as_millis().to_string())), (":live", AttributeValue::S(LIVE.to_owned()))],
    };
    let used = db.update(tenant, Table::Ephemera, &key(user, session), update).await?;
    used.map(drop).map_err(|_| Error::Unauthenticated(AuthFailure::NoSession))
}
