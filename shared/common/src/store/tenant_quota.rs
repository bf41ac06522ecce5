//! A tenant's quota: the calls a minute of all of its callers together, counted exactly and with few writes.
//!
//! A process leases calls in blocks, with one write a block, and hands them out from memory. A lease is valid in its minute only,
//! so that unused calls are not used later: the quota may refuse early, but never late. The first block of a minute is small, and
//! each further one is twice as large, up to a hundredth of the quota. So many processes with a call each do not lease the whole
//! quota, and a busy process makes at most about a hundred writes a minute.

use crate::{
    base::{Error, Result, TenantId, Timestamp, budget::Budget},
    store::{
        dynamodb::{Db, Update},
        item::{Key, Table},
        rate_limit,
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The calls a minute of a tenant that has set no other number.
pub(crate) const CALLS: u32 = 6000;
/// The name of the quota in a tenant's settings.
pub const TENANT_QUOTA: &str = "tenant";
/// The largest number of tenants whose leases a process keeps.
const MOST: usize = 4096;

const MINUTE: Duration = Duration::from_secs(60);

/// The calls that a process has leased in a tenant's minute.
#[derive(Clone, Copy, Debug)]
struct Lease {
    minute: i64,
    left: u32,
    /// The size of the last block.
    block: u32,
}

/// The leases of a process.
#[derive(Debug)]
pub(crate) struct TenantQuotas<M = Db> {
    minutes: M,
    leases: Mutex<HashMap<TenantId, Lease>>,
    leasing: tokio::sync::Mutex<()>,
}

/// The counter of leased calls in each minute of a tenant.
pub(crate) trait Minutes {
    /// Leases a block, if at most `calls` are leased including it.
    async fn lease(&self, tenant: TenantId, minute: i64, block: u32, calls: u32) -> Result<bool>;
}

impl<M: Minutes> TenantQuotas<M> {
    pub(crate) fn new(minutes: M) -> Self {
        Self { minutes, leases: Mutex::default(), leasing: tokio::sync::Mutex::default() }
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
        if self.draw(tenant, minute, cost).is_ok() {
            return Ok(());
        }
        // One at a time, so that the callers who wait find the calls that the first has leased.
        let _leasing = self.leasing.lock().await;
        let block = match self.draw(tenant, minute, cost) {
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
        let mut leases = self.lock();
        if leases.len() >= MOST {
            leases.retain(|_, lease| lease.minute == minute);
        }
        let lease = leases.entry(tenant).or_insert(Lease { minute, left: 0, block: granted });
        if lease.minute != minute {
            *lease = Lease { minute, left: 0, block: granted };
        }
        lease.left += granted - cost;
        lease.block = granted;
        Ok(())
    }

    /// Takes from the leased calls; otherwise returns the size of this minute's last block.
    fn draw(&self, tenant: TenantId, minute: i64, cost: u32) -> Result<(), u32> {
        match self.lock().get_mut(&tenant).filter(|lease| lease.minute == minute) {
            Some(lease) if lease.left >= cost => {
                lease.left -= cost;
                Ok(())
            }
            Some(lease) => Err(lease.block),
            None => Err(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
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
        Ok(self.update(tenant, Table::Ephemera, &key, update).await?.is_ok())
    }
}

#[cfg(test)]
mod tests;
