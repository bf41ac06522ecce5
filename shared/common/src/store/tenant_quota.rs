//! A tenant's quota: the calls a minute of all of its callers together, counted exactly and with few writes.
//!
//! A process leases calls in blocks, with one write a block, and hands them out from memory. A lease is valid in its minute only,
//! so that unused calls are not used later: the quota may refuse early, but never late. The first block of a minute is small, and
//! each further one is twice as large, up to a hundredth of the quota. So many processes with a call each do not lease the whole
//! quota, and a busy process makes at most about a hundred writes a minute.

use crate::{
    base::{
        CacheStats, Clock, Error, Result, TenantId, Timestamp,
        budget::Budget,
        cache::{Cache, CacheClass},
    },
    store::{
        dynamodb::{Db, Update},
        item::{Key, Table},
        rate_limit,
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The calls a minute of a tenant that has set no other number.
pub(crate) const CALLS: u32 = 6000;
/// The name of the quota in a tenant's settings.
pub const TENANT_QUOTA: &str = "tenant";
const MINUTE: Duration = Duration::from_secs(60);
/// The tenants whose leases a process keeps. The calls of an evicted lease are not used.
const LEASES: CacheClass = CacheClass::new("tenant_quotas", Duration::from_secs(60 * 60), 4096);

/// The calls that a process has leased in a tenant's minute.
#[derive(Clone, Copy, Debug, Default)]
struct Lease {
    minute: i64,
    left: u32,
    /// The size of the last block.
    block: u32,
}

/// A tenant's lease in this process. One caller at a time leases more calls.
#[derive(Debug, Default)]
struct Leased {
    lease: Mutex<Lease>,
    leasing: tokio::sync::Mutex<()>,
}

/// The leases of a process.
#[derive(Debug)]
pub(crate) struct TenantQuotas<M = Db> {
    minutes: M,
    leases: Cache<TenantId, Leased>,
}

/// The counter of leased calls in each minute of a tenant.
pub(crate) trait Minutes {
    /// Leases a block, if at most `calls` are leased including it.
    async fn lease(&self, tenant: TenantId, minute: i64, block: u32, calls: u32) -> Result<bool>;
}

impl<M: Minutes> TenantQuotas<M> {
    pub(crate) fn new(minutes: M, clock: Arc<dyn Clock>) -> Self {
        Self { minutes, leases: Cache::new(LEASES, clock) }
    }

    /// Takes `cost` calls from the tenant's minute; `calls` is the number in its settings, if any.
    ///
    /// # Errors
    /// 429 `tenant_rate_limited` if all of the minute's calls are leased.
    pub(crate) async fn take(&self, tenant: TenantId, calls: Option<u32>, cost: u32, now: Timestamp) -> Result<()> {
        let calls = calls.unwrap_or(CALLS).max(1);
        // A call that costs more than the whole minute takes the whole minute; otherwise it would always be refused.
        let cost = cost.min(calls);
        let minute = now.as_secs().div_euclid(60);
        let none = async { Ok(Some(Leased::default())) };
        let leased = self.leases.get_or_load(tenant, none).await?.ok_or(Error::internal("no lease"))?;
        if leased.draw(minute, cost).is_ok() {
            return Ok(());
        }
        // One at a time, so that the callers who wait find the calls that the first has leased.
        let _leasing = leased.leasing.lock().await;
        let block = match leased.draw(minute, cost) {
            Ok(()) => return Ok(()),
            Err(last) => (last * 2).clamp((calls / 1000).max(1), (calls / 100).max(1)).max(cost),
        };
        let granted = match self.minutes.lease(tenant, minute, block, calls).await? {
            true => block,
            // The rest of the minute may suffice for this call but not for a block.
            false if block > cost && self.minutes.lease(tenant, minute, cost, calls).await? => cost,
            false => {
                let left = (minute + 1) * 60 - now.as_secs();
                let retry_after = Duration::from_secs(u64::try_from(left).unwrap_or(1).max(1));
                let budget = Budget { limit: calls, remaining: 0, reset: retry_after };
                return Err(Error::RateLimited { code: rate_limit::TENANT_LIMITED, retry_after, budget });
            }
        };
        leased.add(minute, granted, cost);
        Ok(())
    }

    pub(crate) fn stats(&self) -> CacheStats {
        self.leases.stats()
    }
}

impl Leased {
    /// Takes from the leased calls; otherwise returns the size of this minute's last block.
    fn draw(&self, minute: i64, cost: u32) -> Result<(), u32> {
        let mut lease = self.lock();
        if lease.minute != minute {
            return Err(0);
        }
        lease.left = lease.left.checked_sub(cost).ok_or(lease.block)?;
        Ok(())
    }

    /// Adds a block, of which the caller takes `cost`.
    fn add(&self, minute: i64, block: u32, cost: u32) {
        let mut lease = self.lock();
        let left = if lease.minute == minute { lease.left } else { 0 };
        *lease = Lease { minute, left: left + block - cost, block };
    }

    fn lock(&self) -> MutexGuard<'_, Lease> {
        // If a panic happened while the lock was held, the lease is still valid.
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Minutes for Db {
    async fn lease(&self, tenant: TenantId, minute: i64, block: u32, calls: u32) -> Result<bool> {
        let n = |v: i64| AttributeValue::N(v.to_string());
        let end = Timestamp::from_millis((minute + 1) * 60_000);
        let update = Update {
            expression: "SET expires_at = :expires ADD leased :block",
            condition: Some("attribute_not_exists(leased) OR leased <= :most"),
            values: vec![
                (":expires", n(end.plus(MINUTE).as_secs())),
                (":block", n(block.into())),
                (":most", n(i64::from(calls) - i64::from(block))),
            ],
            ..Update::default()
        };
        if block > calls {
            return Ok(false);
        }
        let key = Key::new(format!("CEILING#{minute}"), "LEASED");
        Ok(self.update(tenant, Table::Ephemera, &key, update).await?.is_done())
    }
}

#[cfg(test)]
mod tests;
