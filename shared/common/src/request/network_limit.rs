//! Limits before sign-in, by the network of a request and by the account that it names.
//!
//! A clinic has one address for all its people. So a network's budget counts refusals, and a success is free. That alone would
//! let an attacker at the same address lock everybody there out. So a network with a spent budget still admits:
//!
//! - a caller with a secret that cannot be guessed: a refresh token, a handle, a mailed token;
//! - by password, an e-mail that has signed in from there within thirty days and has had no wrong password within an hour.
//!
//! Every other sign-in by password from there gets 429, for a right or wrong password and with or without an account, after the
//! same calls to the same services: a name that nobody has is checked instead of the account.
//!
//! | Partition | Sort | Content |
//! |---|---|---|
//! | *platform* `LIMIT#failures#ip#<network>` | `LIMIT` | the refusals from there |
//! | *platform* `LIMIT#sign_in_failures#ip#<network>` | `LIMIT` | the wrong passwords from there |
//! | *platform* `KNOWN#<network>#<email token>` | `KNOWN` | an e-mail that has signed in from there, for thirty days |

use crate::{
    base::{Error, Result, TenantId, Timestamp, budget::Budget, digest::hash, network::network},
    request::{Public, PublicEndpoint, http::Request},
    store::{
        RateLimit,
        changes::Op,
        dynamodb::{Db, Outcome, Update},
        gcra::{Branch, Gcra},
        item::{Item, Key, Row, Table},
        rate_limit::{self, Spent, Verdict},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{borrow::Cow, collections::HashMap, time::Duration};

/// The time for which an e-mail is known to a network after it signed in.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The requests that a public endpoint counts against the caller's network: an address, or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerNetwork {
    /// Every request. Only for endpoints that few addresses call, or whose requests cannot be recognised as wrong.
    Requests(RateLimit),
    /// Refused requests. A request with valid credentials passes, whatever others behind the same address send; unless the
    /// endpoint uses the [`SignInGuard`].
    Failures(RateLimit),
}

/// The name of the network of a request.
pub(crate) fn caller(request: &Request) -> String {
    format!("ip#{}", network(&request.source_ip))
}

/// The state of a network's budget of failures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) budget: Budget,
    /// The error, if the budget is spent.
    pub(crate) spent: Option<Spent>,
}

impl Standing {
    fn of(limit: RateLimit, row: &Row, now: Timestamp) -> Self {
        match rate_limit::judge(limit, 1, row, now) {
            Verdict::Allowed(_) => Self { budget: rate_limit::budget(limit, row, now), spent: None },
            Verdict::Exhausted(spent) | Verdict::Blocked(spent) => Self { budget: spent.budget, spent: Some(spent) },
        }
    }
}

/// The state of `caller`'s budget of failures.
pub(crate) async fn standing(db: &Db, limit: RateLimit, caller: &str, now: Timestamp) -> Result<Standing> {
    let row = db.get(TenantId::PLATFORM, Table::Ephemera, &rate_limit::key(limit, caller)).await?;
    Ok(Standing::of(limit, &row.unwrap_or_else(|| Row::new(HashMap::new())), now))
}

/// Counts a failure. Returns the remaining budget, or the refusal if nothing remained. Concurrent failures are all counted, up to
/// one budget more, so that their network waits longer afterwards.
pub(crate) async fn failed(db: &Db, limit: RateLimit, caller: &str, now: Timestamp) -> Result<Budget> {
    let key = rate_limit::key(limit, caller);
    // Up to this many failures are counted.
    let counted = Gcra { burst: 2 * limit.calls + 1, ..limit.gcra() };
    let mut branch = Branch::Busy;
    for _ in 0..rate_limit::STEPS {
        let mut step = counted.step(1, branch, now);
        step.values.push((":expires_at", AttributeValue::N(now.plus(limit.per * 4).as_secs().to_string())));
        let update = Update {
            expression: &format!("SET {}, expires_at = :expires_at", step.set),
            condition: Some(step.condition),
            names: &[("#tat", counted.attribute)],
            values: step.values,
        };
        let row = match db.update(TenantId::PLATFORM, Table::Ephemera, &key, update).await? {
            Outcome::Done(row) => row,
            Outcome::Refused(Some(row)) if counted.judge(1, &row, now).is_err() => row,
            Outcome::Refused(_) => {
                branch = branch.other();
                continue;
            }
        };
        let over = limit.gcra().used(&row, now) > limit.gcra().interval * i64::from(limit.calls);
        let Standing { budget, spent } = Standing::of(limit, &row, now);
        return spent.filter(|_| over).map_or(Ok(budget), |spent| Err(spent.limited()));
    }
    Err(rate_limit::raced(limit, None, now))
}

/// Protects the password of an account that a caller names.
#[derive(Debug)]
pub struct SignInGuard {
    /// The error for this network, if its budget is spent.
    spent: Option<Spent>,
    admits: bool,
}

impl SignInGuard {
    /// The account to check; if this network is refused for it, a name that nobody has.
    pub fn account<'a>(&self, email: &'a str, subject: &'a str) -> (Cow<'a, str>, Cow<'a, str>) {
        if self.admits {
            return (email.into(), subject.into());
        }
        let decoy = URL_SAFE_NO_PAD.encode(hash(&[b"door", subject.as_bytes()]));
        (format!("{decoy}@door.invalid").into(), decoy.into())
    }

    /// The error for a refused caller. If the network's budget is spent, it is the same for every reason, so that it does not
    /// reveal the admitted accounts.
    pub fn refusal(&self, error: Error) -> Error {
        match &self.spent {
            Some(spent) if matches!(error.status(), 401 | 429) => spent.limited(),
            _ => error,
        }
    }
}

impl<E: PublicEndpoint> Public<'_, E> {
    /// Whether the account of this e-mail may be checked from this network.
    ///
    /// # Errors
    /// 503.
    pub async fn sign_in_guard(&self, subject: &str) -> Result<SignInGuard> {
        let Some(spent) = self.spent else { return Ok(SignInGuard { spent: None, admits: true }) };
        let known = self.deps.db.get(TenantId::PLATFORM, Table::Ephemera, &self.known_key(subject)).await?;
        let quiet = rate_limit::no_wrong_password(&self.deps.db, subject, self.now()).await?;
        let known = known.and_then(|row| row.maybe_number("expires_at")).is_some_and(|at| at > self.now().as_secs());
        Ok(SignInGuard { spent: Some(spent), admits: known && quiet })
    }

    /// Records, in this request's transaction, that the e-mail has signed in from this network, and returns most of the try's
    /// cost to its account: a right password costs a sixth of a wrong one.
    pub async fn came_in(&mut self, limit: RateLimit, subject: &str) {
        // If this fails, the account has one try less.
        let _ = rate_limit::give_back(&self.deps.db, limit, &of_email(subject), self.now()).await;
        let item = Item::new(self.known_key(subject)).number("expires_at", self.now().plus(KNOWN_FOR).as_secs());
        let op = Op::Put { table: Table::Ephemera, item, condition: None };
        self.writes.ops.push((TenantId::PLATFORM, op, Error::internal("known e-mail")));
    }

    fn known_key(&self, subject: &str) -> Key {
        Key::new(format!("KNOWN#{}#{subject}", network(&self.request.source_ip)), "KNOWN")
    }
}

/// The name of an e-mail's own budget.
pub(crate) fn of_email(subject: &str) -> String {
    format!("email#{subject}")
}
