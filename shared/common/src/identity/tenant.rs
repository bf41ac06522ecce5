//! A tenant's profile, as requests read it: whether its members have access now, and the facts for its policy decisions. Each
//! process reads it at most once in five seconds. No other fact about authority is cached.

use crate::{
    base::{
        CacheStats, Error, Kept, Result, Role, Stored, TenantId, Timestamp,
        cache::{Cache, CacheClass},
        error::Refusal,
        network::AllowList,
        stored,
    },
    store::{
        RateLimit,
        dynamodb::Db,
        item::{Index, Item, Key, Row, Table, Version},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, str::FromStr, sync::Arc, time::Duration};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// Its keys are being created; nobody has access yet.
    Pending,
    Active,
    Suspended,
    /// Permanent: its records are kept, and nobody has access.
    Archived,
}

impl TenantStatus {
    /// Whether the tenant's background work waits. A pending tenant has no work that could wait.
    pub const fn is_stopped(self) -> bool {
        matches!(self, Self::Suspended | Self::Archived)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Archived => "archived",
        }
    }
}

impl FromStr for TenantStatus {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        [Self::Pending, Self::Active, Self::Suspended, Self::Archived].into_iter().find(|v| v.as_str() == s).ok_or(())
    }
}

/// The term of a business associate agreement (45 CFR 164.504(e)): from its signature until it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaaTerm {
    pub signed_at: Timestamp,
    pub expires_at: Timestamp,
}

impl BaaTerm {
    pub fn in_force_at(self, now: Timestamp) -> bool {
        self.signed_at <= now && now < self.expires_at
    }

    /// The time of the first warning that the agreement ends. It may be in the past for an agreement that was recorded late; then
    /// the warning is sent at once.
    pub fn warned_first(self) -> Timestamp {
        self.expires_at.minus(WARNED_BEFORE[0])
    }

    /// The time of the next warning after `then`; `None` after the warning that it has ended.
    pub fn warned_after(self, then: Timestamp) -> Option<Timestamp> {
        WARNED_BEFORE.into_iter().map(|before| self.expires_at.minus(before)).find(|at| *at > then)
    }
}

/// The settings of a tenant. An absent setting has the default of the deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Settings {
    /// The time after which an unused session ends, in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_idle_minutes: Option<u16>,
    /// The longest life of a session, in hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_hours: Option<u16>,
    /// Roles that need a second factor, in addition to those that always do.
    pub mfa_roles: Vec<Role>,
    /// Networks from which the policy may not require a second factor.
    pub trusted_networks: AllowList,
    /// Numbers of calls that replace those of the rate-limit profiles, by profile name; `tenant` is for all callers together, per
    /// minute.
    #[serde(deserialize_with = "stored::numbers")]
    pub rate_limits: BTreeMap<String, u32>,
}

impl Stored for Settings {
    const LISTS: &'static [(&'static str, stored::Knows)] = &[("mfa_roles", stored::is::<Role>)];
}

impl Settings {
    pub(crate) fn idle(&self, otherwise: Duration) -> Duration {
        self.session_idle_minutes.map_or(otherwise, |minutes| Duration::from_secs(u64::from(minutes) * 60))
    }

    /// The tenant's own number of calls for a profile, otherwise the profile's.
    pub(crate) fn limit(&self, profile: RateLimit) -> RateLimit {
        self.rate_limits.get(profile.name).map_or(profile, |calls| profile.with_calls(*calls))
    }

    /// The number of calls a minute for all of the tenant's callers together, if it is set.
    pub(crate) fn tenant_quota(&self) -> Option<u32> {
        self.rate_limits.get(crate::store::TENANT_QUOTA).copied()
    }

    /// The longest life of a session.
    pub(crate) fn lifetime(&self) -> Duration {
        self.session_hours.map_or(crate::identity::session::ABSOLUTE, |hours| Duration::from_secs(u64::from(hours) * 3600))
    }
}

/// The parts of a tenant's profile that requests need.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub name: String,
    pub status: TenantStatus,
    pub baa: Option<BaaTerm>,
    /// The networks from which members may call; anywhere if empty.
    pub allowed_networks: AllowList,
    pub settings: Kept<Settings>,
    pub created_at: Timestamp,
    pub version: Version,
}

/// The platform's list of tenants, in the index of all.
pub(crate) const LIST: &str = "TENANTS";

/// The list of tenants whose agreement ends soon, in the index of due items. A profile is on it at most once.
pub const BAA_WARNINGS: &str = "BAA_WARNINGS";

/// The warnings before the end of an agreement: 30 days, a week, and at its end.
const WARNED_BEFORE: [Duration; 3] = [Duration::from_secs(30 * DAY), Duration::from_secs(7 * DAY), Duration::ZERO];

const DAY: u64 = 24 * 60 * 60;

/// The key of a tenant's profile.
pub fn profile_key() -> Key {
    Key::new("TENANT", "PROFILE")
}

/// The key of the claim to a tenant's name, in the platform's partition.
pub(crate) fn name_key(name: &str) -> Key {
    Key::new(format!("TENANT_NAME#{name}"), "CLAIM")
}

/// The claim to a tenant's name, which is also its entry in the platform's list.
pub fn name_claim(name: &str, tenant: TenantId) -> Item {
    Item::new(name_key(name)).text("tenant_id", tenant).indexed(Index::All, LIST, tenant)
}

impl Tenant {
    /// A new tenant.
    pub fn new(name: String, status: TenantStatus, now: Timestamp) -> Self {
        let (allowed_networks, settings) = (AllowList::default(), Settings::default().into());
        Self { name, status, baa: None, allowed_networks, settings, created_at: now, version: Version::FIRST }
    }

    /// # Errors
    /// Internal if it cannot be serialised.
    pub fn into_item(self) -> Result<Item> {
        let json = |value: Result<String, serde_json::Error>| value.map_err(|_| Error::internal("tenant"));
        let item = Item::new(profile_key())
            .text("name", self.name)
            .text("status", self.status.as_str())
            .text("allowed_networks", json(serde_json::to_string(&self.allowed_networks))?)
            .text("settings", self.settings.to_text())
            .text("created_at", self.created_at)
            .version(self.version);
        let Some(baa) = self.baa else { return Ok(item) };
        let item = item.text("baa_signed_at", baa.signed_at).text("baa_expires_at", baa.expires_at);
        Ok(item.due(BAA_WARNINGS, baa.warned_first()))
    }

    /// # Errors
    /// Internal if the item is not a valid profile.
    pub fn from_row(row: &Row) -> Result<Self> {
        let unreadable = |_| Error::internal("tenant");
        let json = |name: &str| row.maybe_text(name).unwrap_or("null").to_owned();
        let baa = row.maybe("baa_signed_at")?.zip(row.maybe("baa_expires_at")?);
        Ok(Self {
            name: row.text("name")?.to_owned(),
            // A status that this version does not know counts as suspended.
            status: row.word("status")?.unwrap_or(TenantStatus::Suspended),
            baa: baa.map(|(signed_at, expires_at)| BaaTerm { signed_at, expires_at }),
            allowed_networks: serde_json::from_str::<Option<_>>(&json("allowed_networks"))
                .map_err(unreadable)?
                .unwrap_or_default(),
            settings: if row.maybe_text("settings").is_some() { row.kept("settings")? } else { Settings::default().into() },
            created_at: row.parse("created_at")?,
            version: Version(row.number("version")?),
        })
    }

    /// # Errors
    /// 403 `tenant_inactive` if nobody has access.
    pub(crate) fn enter(&self) -> Result<()> {
        if self.status == TenantStatus::Active { Ok(()) } else { Err(Error::Forbidden(Refusal::TenantInactive)) }
    }
}

/// A tenant's current profile, if the tenant exists.
pub(crate) async fn profile(db: &Db, tenant: TenantId) -> Result<Option<Tenant>> {
    let row = db.get(tenant, Table::Records, &profile_key()).await?;
    row.as_ref().map(Tenant::from_row).transpose()
}

/// A tenant's profile is the only cached fact about authority, and its lifetime is a guarantee
/// (`suspended_tenant_is_refused_within_five_seconds`). A new tenant is found within one second.
const GATES: CacheClass =
    CacheClass { absent_for: Duration::from_secs(1), ..CacheClass::new("gate", Duration::from_secs(5), 4096) };

/// The cached profiles of the tenants that a process handles.
#[derive(Debug)]
pub(crate) struct Gates {
    db: Db,
    seen: Cache<TenantId, Tenant>,
}

impl Gates {
    pub(crate) fn new(db: Db, clock: Arc<dyn crate::base::Clock>) -> Self {
        Self { db, seen: Cache::new(GATES, clock) }
    }

    /// A tenant's profile, at most five seconds old.
    ///
    /// # Errors
    /// 403 `tenant_inactive` if there is no such tenant.
    pub(crate) async fn of(&self, tenant: TenantId) -> Result<Arc<Tenant>> {
        let gate = self.seen.get_or_load(tenant, profile(&self.db, tenant)).await?;
        gate.ok_or(Error::Forbidden(Refusal::TenantInactive))
    }

    /// # Errors
    /// 403 `tenant_inactive` if the tenant is not active or does not exist.
    pub(crate) async fn enter(&self, tenant: TenantId) -> Result<Arc<Tenant>> {
        let gate = self.of(tenant).await?;
        gate.enter()?;
        Ok(gate)
    }

    pub(crate) fn stats(&self) -> CacheStats {
        self.seen.stats()
    }
}
