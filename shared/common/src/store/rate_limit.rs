//! Rate limits of callers: each is a [`Gcra`] on an item.
//!
//! A caller who continues after their budget is spent is blocked for a while, by a time on the same item. A tenant as a whole has
//! a quota, which processes lease in blocks: [`crate::store::tenant_quota`].

use crate::{
    base::{Error, Result, TenantId, Timestamp, budget::Budget},
    store::{
        dynamodb::{Db, Outcome, Update},
        gcra::{self, Branch, Gcra, micros},
        item::{Key, Row, Table},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::time::Duration;

/// A number of calls in a period. All of them may come at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub name: &'static str,
    /// The attribute that holds this profile's `tat`.
    attribute: &'static str,
    pub calls: u32,
    pub per: Duration,
}

impl RateLimit {
    pub const API_DEFAULT: Self = Self::new("api_default", "tat_api_default", 60, 60);
    pub const API_STRICT: Self = Self::new("api_strict", "tat_api_strict", 10, 60);
    pub const API_RELAXED: Self = Self::new("api_relaxed", "tat_api_relaxed", 120, 60);
    /// Pushes of a partner's service, from few addresses.
    pub const WEBHOOK: Self = Self::new("webhook", "tat_webhook", 3000, 60);
    pub const AUTH_LOGIN: Self = Self::new("auth_login", "tat_auth_login", 5, 15 * 60);
    pub const PASSWORD_RESET: Self = Self::new("password_reset", "tat_password_reset", 3, 60 * 60);
    pub const EXPORT: Self = Self::new("export", "tat_export", 10, 60 * 60);
    /// Frames of all sockets of a session.
    pub const SOCKET: Self = Self::new("socket", "tat_socket", 120, 60);
    pub const ASSESSMENT: Self = Self::new("assessment", "tat_assessment", 30, 60);

    /// The profiles of callers who have signed in or are signing in. A tenant may change their numbers for itself.
    pub const PROFILES: [Self; 7] = [
        Self::API_DEFAULT,
        Self::API_STRICT,
        Self::API_RELAXED,
        Self::AUTH_LOGIN,
        Self::PASSWORD_RESET,
        Self::EXPORT,
        Self::ASSESSMENT,
    ];

    /// Wrong passwords for one e-mail, from any address: ten at a time, and one more every six minutes. Beyond that, its account
    /// is locked.
    const WRONG_PASSWORDS: Self = Self::new("wrong_passwords", "tat_wrong_passwords", 10, 60 * 60);

    /// Wrong credentials of a partner's service, for one address.
    pub(crate) const WRONG_CREDENTIALS: Self = Self::new("wrong_credentials", "tat_wrong_credentials", 10, 60);

    /// Refusals before sign-in because of the request's content, for one network.
    pub const FAILURES: Self = Self::new("failures", "tat_failures", 60, 60);
    /// Failed sign-ins, for one network: enough at a time for the mistakes of a clinic, and few enough per hour to stop password
    /// spraying over many accounts.
    pub const SIGN_IN_FAILURES: Self = Self::new("sign_in_failures", "tat_sign_in_failures", 100, 60 * 60);
    /// Mails that reset a password, for one network.
    pub const RESETS: Self = Self::new("resets", "tat_resets", 60, 60 * 60);

    /// The number of times that a caller is told to wait, before they are blocked.
    const VIOLATIONS: Self = Self::new("violations", "tat_violations", 60, 60);

    /// The same limit with another number of calls.
    #[must_use]
    pub(crate) const fn with_calls(self, calls: u32) -> Self {
        Self { calls: if calls == 0 { 1 } else { calls }, ..self }
    }

    const fn new(name: &'static str, attribute: &'static str, calls: u32, per_secs: u64) -> Self {
        Self { name, attribute, calls, per: Duration::from_secs(per_secs) }
    }

    pub(crate) const fn gcra(self) -> Gcra {
        let interval = (self.per.as_micros() / self.calls as u128) as i64;
        Gcra { attribute: self.attribute, interval, burst: self.calls }
    }
}

/// The parts of an UpdateItem that takes one call from the budget of a caller who is not blocked: `#tat` is the attribute.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) attribute: &'static str,
    pub(crate) set: &'static str,
    pub(crate) condition: String,
    pub(crate) values: Vec<(&'static str, AttributeValue)>,
}

impl Step {
    pub(crate) fn new(limit: RateLimit, cost: u32, branch: Branch, now: Timestamp) -> Self {
        let gcra::Step { set, condition, values } = limit.gcra().step(cost, branch, now);
        let condition = format!("{condition} AND (attribute_not_exists(blocked_until) OR blocked_until <= :tat_now)");
        Self { attribute: limit.attribute, set, condition, values }
    }
}

/// The state of the limit according to an item that refused a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed(Branch),
    Exhausted(Spent),
    Blocked(Spent),
}

/// The time at which a refused caller may come back, and their remaining budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) retry_after: Duration,
    pub(crate) budget: Budget,
}

impl Spent {
    pub(crate) fn limited(self) -> Error {
        Error::RateLimited { code: LIMITED, retry_after: self.retry_after, budget: self.budget }
    }
    pub(crate) fn blocked(self) -> Error {
        Error::RateLimited { code: BLOCKED, retry_after: self.retry_after, budget: self.budget }
    }
    fn shut_for(self, retry_after: Duration) -> Self {
        Self { retry_after, budget: self.budget.shut(retry_after) }
    }
}

pub(crate) fn judge(limit: RateLimit, cost: u32, row: &Row, now: Timestamp) -> Verdict {
    let budget = budget(limit, row, now);
    let until = |end: i64| Duration::from_micros(u64::try_from(end - micros(now)).unwrap_or(0));
    if let Some(end) = row.maybe_number(BLOCKED_UNTIL).filter(|end| *end > micros(now)) {
        return Verdict::Blocked(Spent { retry_after: until(end), budget }.shut_for(until(end)));
    }
    match limit.gcra().judge(cost, row, now) {
        Ok(branch) => Verdict::Allowed(branch),
        Err(from) => Verdict::Exhausted(Spent { retry_after: until(from), budget }),
    }
}

/// The time until which this item refuses all calls, in microseconds.
const BLOCKED_UNTIL: &str = "blocked_until";
/// The duration of a block.
const BLOCKED_FOR: Duration = Duration::from_secs(5 * 60);

/// Counts a call that follows a refusal, on the item that refused it, and returns the error. Up to sixty such calls a minute get
/// the time to wait; more get a block of five minutes. So a burst that exceeds the limit a little is tolerated, and a caller who
/// ignores the refusals is blocked.
pub(crate) async fn violated(db: &Db, tenant: TenantId, key: &Key, spent: Spent, now: Timestamp) -> Error {
    let mut branch = Branch::Busy;
    for _ in 0..STEPS {
        let step = Step::new(RateLimit::VIOLATIONS, 1, branch, now);
        let update = Update {
            expression: &format!("SET {}", step.set),
            condition: Some(&format!("attribute_exists(pk) AND {}", step.condition)),
            names: &[("#tat", step.attribute)],
            values: step.values,
        };
        match db.update(tenant, Table::Ephemera, key, update).await {
            // The caller is refused, whether or not the violation could be counted.
            Ok(Outcome::Done(_) | Outcome::Refused(None)) | Err(_) => return spent.limited(),
            Ok(Outcome::Refused(Some(old))) => match judge(RateLimit::VIOLATIONS, 1, &old, now) {
                Verdict::Allowed(actual) => branch = if actual == branch { branch.other() } else { actual },
                Verdict::Blocked(Spent { retry_after, .. }) => return spent.shut_for(retry_after).blocked(),
                Verdict::Exhausted(_) => {
                    let until = AttributeValue::N(micros(now.plus(BLOCKED_FOR)).to_string());
                    let update = Update {
                        expression: "SET blocked_until = :until",
                        condition: Some("attribute_exists(pk)"),
                        values: vec![(":until", until)],
                        ..Update::default()
                    };
                    return match db.update(tenant, Table::Ephemera, key, update).await {
                        Ok(Outcome::Done(_)) => spent.shut_for(BLOCKED_FOR).blocked(),
                        _ => spent.limited(),
                    };
                }
            },
        }
    }
    spent.limited()
}

/// The error for a caller whose step lost every race for the same number.
pub(crate) fn raced(limit: RateLimit, last: Option<&Row>, now: Timestamp) -> Error {
    let full = Budget { limit: limit.calls, remaining: limit.calls, reset: Duration::ZERO };
    let budget = last.map_or(full, |row| budget(limit, row, now));
    let second = Duration::from_secs(1);
    Spent { retry_after: second, budget }.shut_for(second).limited()
}

/// The codes of refusals by rate limits: the budget is spent, the caller is blocked, the tenant as a whole is over its quota.
pub(crate) const LIMITED: &str = "rate_limited";
pub(crate) const BLOCKED: &str = "temporarily_blocked";
pub(crate) const TENANT_LIMITED: &str = "tenant_rate_limited";

pub(crate) fn budget(limit: RateLimit, row: &Row, now: Timestamp) -> Budget {
    let (left, used) = (limit.gcra().left(row, now), limit.gcra().used(row, now));
    Budget { limit: limit.calls, remaining: left, reset: Duration::from_micros(u64::try_from(used).unwrap_or(0)) }
}

/// The number of tries of a step while others change the same number.
pub(crate) const STEPS: u32 = 6;

/// The item of a caller who has not signed in.
pub(crate) fn key(limit: RateLimit, caller: &str) -> Key {
    Key::new(format!("LIMIT#{}#{caller}", limit.name), "LIMIT")
}

/// Takes one call from the budget of a caller who has not signed in: an address, or an e-mail's token.
pub(crate) async fn before_sign_in(db: &Db, limit: RateLimit, caller: &str, now: Timestamp) -> Result<Budget> {
    let key = key(limit, caller);
    let mut branch = Branch::Idle;
    let mut last = None;
    // The first branch, the other branch, and again if others changed the number in between.
    for _ in 0..STEPS {
        let mut step = Step::new(limit, 1, branch, now);
        step.values.push((":expires_at", AttributeValue::N(now.plus(limit.per.max(BLOCKED_FOR) * 2).as_secs().to_string())));
        let update = Update {
            expression: &format!("SET {}, expires_at = :expires_at", step.set),
            condition: Some(&step.condition),
            names: &[("#tat", step.attribute)],
            values: step.values,
        };
        match db.update(TenantId::PLATFORM, Table::Ephemera, &key, update).await? {
            Outcome::Done(row) => return Ok(budget(limit, &row, now)),
            Outcome::Refused(old) => {
                match old.as_ref().map_or(Verdict::Allowed(Branch::Idle), |row| judge(limit, 1, row, now)) {
                    Verdict::Allowed(actual) => branch = if actual == branch { branch.other() } else { actual },
                    Verdict::Blocked(spent) => return Err(spent.blocked()),
                    Verdict::Exhausted(spent) => return Err(violated(db, TenantId::PLATFORM, &key, spent, now).await),
                }
                last = old;
            }
        }
    }
    Err(raced(limit, last.as_ref(), now))
}

/// Returns five sixths of a call that was not a failure.
pub(crate) async fn give_back(db: &Db, limit: RateLimit, caller: &str, now: Timestamp) -> Result<()> {
    let number = |n: i64| AttributeValue::N(n.to_string());
    let update = Update {
        expression: "SET #tat = #tat - :step",
        condition: Some("#tat > :now"),
        names: &[("#tat", limit.attribute)],
        values: vec![(":step", number(limit.gcra().interval / 6 * 5)), (":now", number(micros(now)))],
    };
    db.update(TenantId::PLATFORM, Table::Ephemera, &key(limit, caller), update).await.map(drop)
}

async fn wrong_passwords(db: &Db, email_token: &str) -> Result<Option<Row>> {
    db.get(TenantId::PLATFORM, Table::Ephemera, &key(RateLimit::WRONG_PASSWORDS, email_token)).await
}

/// Whether an e-mail has so many wrong passwords that its account is locked.
pub(crate) async fn is_locked(db: &Db, email_token: &str, now: Timestamp) -> Result<bool> {
    let row = wrong_passwords(db, email_token).await?;
    Ok(row.is_some_and(|row| !matches!(judge(RateLimit::WRONG_PASSWORDS, 1, &row, now), Verdict::Allowed(_))))
}

/// Whether an e-mail had no wrong password within an hour.
pub(crate) async fn no_wrong_password(db: &Db, email_token: &str, now: Timestamp) -> Result<bool> {
    let limit = RateLimit::WRONG_PASSWORDS;
    let tat = wrong_passwords(db, email_token).await?.and_then(|row| limit.gcra().tat(&row));
    // Each wrong password moves `tat` on by an interval, from its own time at least.
    Ok(tat.is_none_or(|tat| tat - limit.gcra().interval <= micros(now.minus(limit.per))))
}

/// Counts a wrong password.
pub(crate) async fn wrong_password(db: &Db, email_token: &str, now: Timestamp) -> Result<()> {
    match before_sign_in(db, RateLimit::WRONG_PASSWORDS, email_token, now).await {
        Ok(_) | Err(Error::RateLimited { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::budget::whole_seconds;
    use proptest::prelude::*;

    fn row(attributes: &[(&str, i64)]) -> Row {
        Row::new(attributes.iter().map(|(name, n)| ((*name).to_owned(), AttributeValue::N(n.to_string()))).collect())
    }

    /// Any profile, with any `tat` and end of a block, and any cost of a call.
    fn refused() -> impl Strategy<Value = (RateLimit, u32, Row, Timestamp)> {
        let limit = (1..300u32, prop_oneof![Just(60u64), Just(900), Just(3600)])
            .prop_map(|(calls, secs)| RateLimit::new("any", "tat_any", calls, secs));
        let now = 1_767_268_800_000..1_767_268_860_000i64;
        (limit, 1..40u32, now, 0..8_000_000_000i64, prop::option::of(0..400_000_000i64)).prop_map(
            |(limit, cost, now, ahead, shut)| {
                let micros = now * 1000;
                let mut attributes = vec![("tat_any", micros + ahead % (limit.per.as_micros() as i64 + 1))];
                attributes.extend(shut.map(|shut| (BLOCKED_UNTIL, micros + shut)));
                (limit, cost, row(&attributes), Timestamp::from_millis(now))
            },
        )
    }

    /// The numbers of docs/authorization.md and docs/identity.md.
    #[test]
    fn each_profile_allows_its_documented_calls_in_its_documented_time() {
        let others = [
            RateLimit::WEBHOOK,
            RateLimit::SOCKET,
            RateLimit::WRONG_PASSWORDS,
            RateLimit::WRONG_CREDENTIALS,
            RateLimit::FAILURES,
            RateLimit::SIGN_IN_FAILURES,
            RateLimit::RESETS,
            RateLimit::VIOLATIONS,
        ];
        let all: Vec<_> = RateLimit::PROFILES.iter().chain(&others).map(|l| (l.name, l.calls, l.per.as_secs())).collect();
        let expected = [
            ("api_default", 60, 60),
            ("api_strict", 10, 60),
            ("api_relaxed", 120, 60),
            ("auth_login", 5, 900),
            ("password_reset", 3, 3600),
            ("export", 10, 3600),
            ("assessment", 30, 60),
            ("webhook", 3000, 60),
            ("socket", 120, 60),
            ("wrong_passwords", 10, 3600),
            ("wrong_credentials", 10, 60),
            ("failures", 60, 60),
            ("sign_in_failures", 100, 3600),
            ("resets", 60, 3600),
            ("violations", 60, 60),
        ];
        assert_eq!(all, expected);
    }

    /// Ten calls a minute: one every six seconds.
    #[test]
    fn verdict_changes_at_the_exact_microsecond() {
        let limit = RateLimit::new("any", "tat_any", 10, 60);
        let now = Timestamp::from_millis(1_767_268_800_000);
        let judged = |cost, name: &'static str, ahead: i64| judge(limit, cost, &row(&[(name, micros(now) + ahead)]), now);
        let spent = |remaining, reset| Spent {
            retry_after: Duration::from_micros(1),
            budget: Budget { limit: 10, remaining, reset: Duration::from_micros(reset) },
        };
        let (idle, busy) = (Verdict::Allowed(Branch::Idle), Verdict::Allowed(Branch::Busy));
        assert_eq!(judge(limit, 1, &row(&[]), now), idle);
        assert_eq!((judged(1, "tat_any", -1), judged(1, "tat_any", 0)), (idle, busy));
        // The tenth call of a full minute, and the eleventh.
        assert_eq!(judged(1, "tat_any", 54_000_000), busy);
        assert_eq!(judged(1, "tat_any", 54_000_001), Verdict::Exhausted(spent(0, 54_000_001)));
        // A cost of three takes three calls, and a cost above the whole budget takes all of it.
        assert_eq!(judged(3, "tat_any", 42_000_000), busy);
        assert_eq!(judged(3, "tat_any", 42_000_001), Verdict::Exhausted(spent(2, 42_000_001)));
        for cost in [10, 11, 40] {
            assert_eq!(judged(cost, "tat_any", 0), busy);
            assert_eq!(judged(cost, "tat_any", 1), Verdict::Exhausted(spent(9, 1)));
        }
        assert_eq!(judged(1, BLOCKED_UNTIL, 0), idle);
        assert_eq!(judged(1, BLOCKED_UNTIL, 1), Verdict::Blocked(spent(0, 1)));
        assert_eq!(budget(limit, &row(&[("tat_any", micros(now) + 12_000_000)]), now).remaining, 8);
        // A limit of zero calls would divide by zero.
        assert_eq!((limit.with_calls(0).calls, limit.with_calls(7).calls), (1, 7));
    }

    proptest! {
        #[test]
        fn refused_caller_is_admitted_after_retry_after_and_not_earlier((limit, cost, row, now) in refused()) {
            let allowed_after = |secs: u64| judge(limit, cost, &row, now.plus(Duration::from_secs(secs)));
            match judge(limit, cost, &row, now) {
                Verdict::Allowed(_) => {}
                Verdict::Exhausted(spent) => {
                    let wait = whole_seconds(spent.retry_after);
                    prop_assert!(wait >= 1);
                    prop_assert!(matches!(allowed_after(wait), Verdict::Allowed(_)), "{spent:?}");
                    prop_assert!(!matches!(allowed_after(wait - 1), Verdict::Allowed(_)), "{spent:?}");
                }
                Verdict::Blocked(spent) => {
                    let wait = whole_seconds(spent.retry_after);
                    prop_assert!(wait >= 1 && spent.budget.remaining == 0);
                    prop_assert!(!matches!(allowed_after(wait), Verdict::Blocked(_)), "{spent:?}");
                    prop_assert!(matches!(allowed_after(wait - 1), Verdict::Blocked(_)), "{spent:?}");
                }
            }
        }

        #[test]
        fn budget_of_a_refusal_is_full_at_its_reset_and_not_before_retry_after((limit, cost, row, now) in refused()) {
            let (Verdict::Exhausted(spent) | Verdict::Blocked(spent)) = judge(limit, cost, &row, now) else { return Ok(()) };
            prop_assert!(whole_seconds(spent.budget.reset) >= whole_seconds(spent.retry_after));
            let then = now.plus(Duration::from_secs(whole_seconds(spent.budget.reset)));
            prop_assert_eq!(budget(limit, &row, then).remaining, limit.calls);
            prop_assert!(matches!(judge(limit, limit.calls, &row, then), Verdict::Allowed(_)));
            prop_assert_eq!(spent.budget.limit, limit.calls);
            for error in [spent.limited(), spent.blocked(), raced(limit, Some(&row), now)] {
                let Error::RateLimited { retry_after, budget, .. } = error else { panic!("{error:?}") };
                prop_assert!(budget.reset >= retry_after);
            }
        }
    }
}
