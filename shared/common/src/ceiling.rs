//! A tenant's ceiling: how many calls all of its callers together make in a minute, counted exactly and cheaply.
//!
//! A process leases calls in blocks, one write a block, and hands them out from memory. A lease is good for its minute only, so
//! that what was leased and never used is not used later: the ceiling may refuse early, never late. The first block of a minute
//! is small and each further one twice as large, up to a hundredth of the ceiling: many processes with a call each do not lease
//! it all, and a busy one writes a hundred times a minute at most.

use crate::{
    Error, Result, TenantId, Timestamp,
    db::{Db, Update},
    limit,
    table::{Key, Table},
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Calls a minute of a tenant that has set no other number.
const CALLS: u32 = 6000;
/// The name under which a tenant's settings hold another number.
pub const CEILING: &str = "tenant";
/// How many tenants a process keeps leases of.
const MOST: usize = 4096;

const MINUTE: Duration = Duration::from_secs(60);

/// What a process has leased of a tenant's minute.
#[derive(Clone, Copy, Debug)]
struct Lease {
    minute: i64,
    left: u32,
    /// How many calls the last block had.
    block: u32,
}

/// The leases of a process.
#[derive(Debug)]
pub(crate) struct Ceilings {
    db: Db,
    leases: Mutex<HashMap<TenantId, Lease>>,
}

impl Ceilings {
    pub(crate) fn new(db: Db) -> Self {
        Self { db, leases: Mutex::default() }
    }

    /// Takes `cost` calls from the tenant's minute; `calls` is what its settings say, if anything.
    ///
    /// # Errors
    /// 429 `tenant_rate_limited` where the minute's calls are leased.
    pub(crate) async fn take(&self, tenant: TenantId, calls: Option<u32>, cost: u32, now: Timestamp) -> Result<()> {
        let calls = calls.unwrap_or(CALLS).max(1);
        let minute = now.as_secs().div_euclid(60);
        let block = match self.draw(tenant, minute, cost) {
            Ok(()) => return Ok(()),
            Err(last) => (last * 2).clamp((calls / 1000).max(1), (calls / 100).max(1)).max(cost),
        };
        let granted = match self.lease(tenant, minute, block, calls).await? {
            true => block,
            // There may be room for this call and not for a block.
            false if block > cost && self.lease(tenant, minute, cost, calls).await? => cost,
            false => {
                let left = (minute + 1) * 60 - now.as_secs();
                let retry_after = Duration::from_secs(u64::try_from(left).unwrap_or(1).max(1));
                return Err(Error::RateLimited { code: limit::TENANT_LIMITED, retry_after });
            }
        };
        let mut leases = self.lock();
        if leases.len() >= MOST {
            leases.retain(|_, lease| lease.minute == minute);
        }
        let lease = leases.entry(tenant).or_insert(Lease { minute, left: 0, block });
        if lease.minute != minute {
            *lease = Lease { minute, left: 0, block };
        }
        lease.left += granted - cost;
        lease.block = block;
        Ok(())
    }

    /// Takes from what is leased; otherwise how large the last block of this minute was.
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
        Ok(self.db.update(tenant, Table::Ephemera, &key, update).await?.is_ok())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
