//! A tenant's gate: whether anybody of it may enter now. Read once in five seconds and process, and no other fact about
//! authority is cached.

use crate::{
    Clock, Error, Result, TenantId, Timestamp,
    db::Db,
    error::Refusal,
    table::{Item, Key, Table},
};
use std::{
    collections::HashMap,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

const FRESH_FOR: Duration = Duration::from_secs(5);
const TENANTS: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantStatus {
    Active,
    Suspended,
    Archived,
}

impl TenantStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Archived => "archived",
        }
    }
}

impl FromStr for TenantStatus {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        [Self::Active, Self::Suspended, Self::Archived].into_iter().find(|v| v.as_str() == s).ok_or(())
    }
}

/// A tenant's profile, as far as the gate needs it.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub name: String,
    pub status: TenantStatus,
}

/// The platform's list of tenants, in the index of all.
pub(crate) const LIST: &str = "TENANTS";

pub(crate) fn key() -> Key {
    Key::new("TENANT", "PROFILE")
}

impl Tenant {
    pub(crate) fn into_item(self, now: Timestamp) -> Item {
        Item::new(key()).text("name", self.name).text("status", self.status.as_str()).text("created_at", now).number("version", 1)
    }
}

/// A tenant's profile, if there is such a tenant.
pub(crate) async fn profile(db: &Db, tenant: TenantId) -> Result<Option<Tenant>> {
    let row = db.get(tenant, Table::Records, &key()).await?;
    row.map(|row| Ok(Tenant { name: row.text("name")?.to_owned(), status: row.parse("status")? })).transpose()
}

#[derive(Debug)]
pub(crate) struct Gates {
    db: Db,
    clock: Arc<dyn Clock>,
    seen: Mutex<HashMap<TenantId, (Timestamp, TenantStatus)>>,
}

impl Gates {
    pub(crate) fn new(db: Db, clock: Arc<dyn Clock>) -> Self {
        Self { db, clock, seen: Mutex::default() }
    }

    /// # Errors
    /// 403 `tenant_inactive` where the tenant is not active, or is not.
    pub(crate) async fn enter(&self, tenant: TenantId) -> Result<()> {
        let now = self.clock.now();
        let known =
            self.lock().get(&tenant).filter(|(at, _)| now.since(*at) < FRESH_FOR && *at <= now).map(|(_, status)| *status);
        let status = match known {
            Some(status) => status,
            None => {
                let profile = profile(&self.db, tenant).await?;
                let status = profile.ok_or(Error::Forbidden(Refusal::TenantInactive))?.status;
                let mut seen = self.lock();
                if seen.len() >= TENANTS {
                    seen.clear();
                }
                seen.insert(tenant, (now, status));
                status
            }
        };
        if status == TenantStatus::Active { Ok(()) } else { Err(Error::Forbidden(Refusal::TenantInactive)) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, (Timestamp, TenantStatus)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
