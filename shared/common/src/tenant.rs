//! A tenant's gate: whether anybody of it may enter now. Read once in five seconds and process, and no other fact about
//! authority is cached.

use crate::{
    CacheStats, Clock, Error, Result, TenantId, Timestamp,
    cache::{Cache, CacheClass},
    db::Db,
    error::Refusal,
    table::{Item, Key, Table},
};
use std::{str::FromStr, sync::Arc};

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
    seen: Cache<TenantId, TenantStatus>,
}

impl Gates {
    pub(crate) fn new(db: Db, clock: Arc<dyn Clock>) -> Self {
        Self { db, seen: Cache::new(CacheClass::GATE, clock) }
    }

    /// # Errors
    /// 403 `tenant_inactive` where the tenant is not active, or is not.
    pub(crate) async fn enter(&self, tenant: TenantId) -> Result<()> {
        let load = async { Ok(profile(&self.db, tenant).await?.map(|tenant| tenant.status)) };
        match self.seen.get_or_load(tenant, load).await?.as_deref() {
            Some(TenantStatus::Active) => Ok(()),
            _ => Err(Error::Forbidden(Refusal::TenantInactive)),
        }
    }

    pub(crate) async fn stats(&self) -> CacheStats {
        self.seen.stats().await
    }
}
