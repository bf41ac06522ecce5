//! Sessions: one item for each sign-in. Each request updates it by ONE conditional UpdateItem, which checks that the session is
//! live, not idle and within its rate limit, and returns the grants. The item is small, because every request writes it. Data
//! that only a refresh needs is in an item beside it.

use crate::{
    base::{
        Error, Grant, Kept, Listed, Result, SessionId, TenantId, Timestamp, UserId,
        budget::Budget,
        error::AuthFailure,
        principal::{Identity, KeyBounds, Principal, SessionKind},
    },
    identity::session_end,
    store::{
        changes::{Condition, Edit},
        dynamodb::{Db, Outcome, Update},
        gcra::Branch,
        item::{Index, Item, Key, Row, Table, prefixed},
        rate_limit::{self, RateLimit, STEPS, Step, Verdict},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::time::Duration;

/// The longest life of a session, even if it is used.
pub(crate) const ABSOLUTE: Duration = Duration::from_secs(12 * 60 * 60);

/// The number of characters of a `User-Agent` that a session stores.
pub(crate) const USER_AGENT: usize = 160;

const LIVE: &str = "live";
const ENDED: &str = "ended";

/// The stored form of a session, without the caller's limits.
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
    /// The bounds of an API key.
    pub bounds: Option<Kept<KeyBounds>>,
    /// The address and the device from which it was opened.
    pub ip: String,
    pub user_agent: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// The time of the first check by the schedule that ends sessions.
    pub look_at: Timestamp,
}

/// The data for a refresh, as it is stored when a session opens.
#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    pub session: SessionId,
    pub ends_at: Timestamp,
    /// SHA-256 of the valid refresh token.
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

/// The place of a session's refresh tokens.
pub(crate) fn refresh_key(session: SessionId) -> Key {
    Key::new(format!("REFRESH#{session}"), "TOKENS")
}

/// The item is kept for a while after the session's end, so that a late refresh token is recognised.
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

/// The origin of a request. Only requests by a person keep a session from becoming idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Person,
    Machine,
}

/// Updates the session of `identity`. Returns the caller and the remaining budget.
///
/// # Errors
/// 401 if the session is not live, 429 if its budget is spent.
pub(crate) async fn touch(
    db: &Db,
    identity: Identity,
    (limit, cost): (RateLimit, u32),
    idle: Duration,
    now: Timestamp,
    by: Presence,
) -> Result<(Principal, Budget)> {
    if identity.expires_at <= now {
        return Err(Error::Unauthenticated(AuthFailure::TokenExpired));
    }
    let (tenant, key) = (identity.tenant, key(identity.user, identity.session));
    let n = |v: i64| AttributeValue::N(v.to_string());
    // A person's next request usually comes after the interval of the last one has passed.
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
        // Puts a session from before the list existed on the list. For a session that is on it, the entry stays unchanged without
        // cost.
        let listed = "#due = if_not_exists(#due, :list), #due_at = if_not_exists(#due_at, :look_at)";
        let update = Update {
            expression: &match by {
                Presence::Person => format!("SET last_seen = :now, {listed}, {}", step.set),
                Presence::Machine => format!("SET {listed}, {}", step.set),
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
            Outcome::Done(row) => return Ok((principal(identity, &row, now)?, rate_limit::budget(limit, &row, now))),
            Outcome::Refused(None) => return Err(Error::Unauthenticated(AuthFailure::NoSession)),
            Outcome::Refused(Some(old)) => old,
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

/// Whether the session was ended.
pub(crate) fn has_ended(row: &Row) -> Result<bool> {
    Ok(row.text("status")? != LIVE)
}

/// Ends a session. Its item stays until it expires. An end is published and recorded by `audit::session_end`.
pub(crate) fn end(user: UserId, session: SessionId) -> Edit {
    Edit::of(key(user, session)).text("status", ENDED).not_due()
}

/// The condition that the session was not ended.
pub(crate) fn is_live() -> Condition {
    Condition::Is("status", LIVE.to_owned())
}

pub(crate) fn last_seen(row: &Row) -> Result<Timestamp> {
    row.number("last_seen").map(Timestamp::from_millis)
}

pub(crate) fn ends_at(row: &Row) -> Result<Timestamp> {
    row.number("ends_at").map(Timestamp::from_millis)
}

/// The reason why a session is over, if it is.
pub(crate) fn ended(row: &Row, idle: Duration, now: Timestamp) -> Result<Option<AuthFailure>> {
    Ok(if let Some(over) = over(row, now)? {
        Some(over)
    } else {
        match row.word("kind")? {
            // A kind of session that this version does not know grants nothing.
            None => Some(AuthFailure::NoSession),
            Some(kind) if idled(kind, last_seen(row)?, idle, now) => Some(AuthFailure::SessionIdle),
            Some(_) => None,
        }
    })
}

/// Whether a session has been idle for too long. A session of an API key is never idle while the key is valid.
pub(crate) fn idled(kind: SessionKind, last_seen: Timestamp, idle: Duration, now: Timestamp) -> bool {
    kind != SessionKind::ApiKey && last_seen <= now.minus(idle)
}

/// The reason why a session has ended permanently, if it has.
pub(crate) fn over(row: &Row, now: Timestamp) -> Result<Option<AuthFailure>> {
    Ok(if has_ended(row)? {
        Some(AuthFailure::NoSession)
    } else if ends_at(row)? <= now {
        Some(AuthFailure::SessionExpired)
    } else {
        None
    })
}

/// The caller of a session's item.
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
/// 401 if the session is over.
pub(crate) async fn lives(db: &Db, tenant: TenantId, user: UserId, session: SessionId, now: Timestamp) -> Result<()> {
    match db.get(tenant, Table::Ephemera, &key(user, session)).await? {
        Some(row) if over(&row, now)?.is_none() => Ok(()),
        _ => Err(Error::Unauthenticated(AuthFailure::NoSession)),
    }
}

/// Records that the session was used, if it is live.
///
/// # Errors
/// 401 if it is not.
pub(crate) async fn used(db: &Db, tenant: TenantId, user: UserId, session: SessionId, now: Timestamp) -> Result<()> {
    let update = Update {
        expression: "SET last_seen = :now",
        condition: Some("#status = :live"),
        names: &[("#status", "status")],
        values: vec![(":now", AttributeValue::N(now.as_millis().to_string())), (":live", AttributeValue::S(LIVE.to_owned()))],
    };
    let used = db.update(tenant, Table::Ephemera, &key(user, session), update).await?;
    used.done_or(Error::Unauthenticated(AuthFailure::NoSession)).map(drop)
}
