//! The key hierarchy over KMS: a tenant's branch and search keys. They are stored wrapped in the `keys` table, unwrapped in
//! memory for at most 15 minutes, and zeroised when they are dropped.
//!
//! One Query reads a tenant's rows, and only the used keys are unwrapped. With a warm cache no calls are made. Not protected: a
//! process's memory while it contains a key.

use crate::{
    aws::errors::{cause, unavailable},
    base::{
        CacheStats, Clock, Error, Result, TenantId, Timestamp,
        cache::{Cache, CacheClass},
    },
    store::{
        changes::{Condition, Op},
        dynamodb::{Db, Query},
        item::{Item, Key, Row, Table},
    },
};
use aws_sdk_kms::{
    Client,
    primitives::Blob,
    types::{KeySpec, Tag},
};
use phi::{BranchKey, KeyVersion, SearchKey};
use std::{sync::Arc, time::Duration};
use zeroize::Zeroizing;

/// The longest time for which an unwrapped key may stay in memory.
pub const CACHED_FOR: Duration = Duration::from_secs(15 * 60);
/// The number of tenants whose keys one process holds. Most tenants have a branch key and a search key.
pub(crate) const TENANTS: usize = 512;
const ROWS: CacheClass = CacheClass::new("wrapped_keys", CACHED_FOR, TENANTS);
const KEYS: CacheClass = CacheClass::new("keys", CACHED_FOR, 2 * TENANTS);

const SERVICE: &str = "kms";
const PARTITION: &str = "KEYS";

#[derive(Debug)]
pub(crate) struct Keyring {
    kms: Client,
    db: Db,
    clock: Arc<dyn Clock>,
    rows: Cache<TenantId, Vec<Wrapped>>,
    keys: Cache<(TenantId, Use, KeyVersion), Unwrapped>,
}

#[derive(Debug)]
enum Unwrapped {
    Branch(Arc<BranchKey>),
    Search(Arc<SearchKey>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Use {
    Branch,
    Search,
}

impl std::str::FromStr for Use {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Branch, Self::Search].into_iter().find(|purpose| purpose.as_str() == text).ok_or(())
    }
}

impl Use {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Branch => "branch",
            Self::Search => "search",
        }
    }
}

#[derive(Clone, Debug)]
struct Wrapped {
    purpose: Use,
    version: KeyVersion,
    kms_key_arn: String,
    ciphertext: Vec<u8>,
}

impl Keyring {
    pub(crate) fn new(kms: Client, db: Db, clock: Arc<dyn Clock>) -> Self {
        let (rows, keys) = (Cache::new(ROWS, clock.clone()), Cache::new(KEYS, clock.clone()));
        Self { kms, db, clock, rows, keys }
    }

    /// The branch key that seals `tenant`'s records now.
    pub(super) async fn current(&self, tenant: TenantId) -> Result<Arc<BranchKey>> {
        let newest = |rows: &[Wrapped]| rows.iter().filter(|w| w.purpose == Use::Branch).max_by_key(|w| w.version).cloned();
        self.branch_key(tenant, &self.find(tenant, newest, "no branch key").await?).await
    }

    /// The branch key with a version, which sealed a record.
    pub(super) async fn branch(&self, tenant: TenantId, version: KeyVersion) -> Result<Arc<BranchKey>> {
        let that = |rows: &[Wrapped]| rows.iter().find(|w| w.purpose == Use::Branch && w.version == version).cloned();
        self.branch_key(tenant, &self.find(tenant, that, "unknown key version").await?).await
    }

    pub(super) async fn search(&self, tenant: TenantId) -> Result<Arc<SearchKey>> {
        let that = |rows: &[Wrapped]| rows.iter().find(|w| w.purpose == Use::Search).cloned();
        let wrapped = self.find(tenant, that, "no search key").await?;
        match &*self.unwrapped(tenant, &wrapped).await? {
            Unwrapped::Search(key) => Ok(key.clone()),
            Unwrapped::Branch(_) => Err(Error::internal("not a search key")),
        }
    }

    async fn branch_key(&self, tenant: TenantId, wrapped: &Wrapped) -> Result<Arc<BranchKey>> {
        match &*self.unwrapped(tenant, wrapped).await? {
            Unwrapped::Branch(key) => Ok(key.clone()),
            Unwrapped::Search(_) => Err(Error::internal("not a branch key")),
        }
    }

    async fn unwrapped(&self, tenant: TenantId, wrapped: &Wrapped) -> Result<Arc<Unwrapped>> {
        let Wrapped { purpose, version, .. } = *wrapped;
        let load = async {
            let bytes = Box::pin(self.unwrap(tenant, wrapped)).await?;
            Ok(Some(match purpose {
                Use::Branch => Unwrapped::Branch(Arc::new(BranchKey::new(version, bytes))),
                Use::Search => Unwrapped::Search(Arc::new(SearchKey::new(version, bytes))),
            }))
        };
        self.keys.get_or_load((tenant, purpose, version), load).await?.ok_or(Error::internal("no key"))
    }

    /// The statistics of the wrapped and of the unwrapped keys.
    pub(crate) fn stats(&self) -> [CacheStats; 2] {
        [self.keys.stats(), self.rows.stats()]
    }

    /// The wrapped key that `wanted` selects. Only existing keys are cached: if the cached rows lack the wanted one, the rows are
    /// read again, because it may have been stored since.
    async fn find(
        &self,
        tenant: TenantId,
        wanted: impl Fn(&[Wrapped]) -> Option<Wrapped>,
        missing: &'static str,
    ) -> Result<Wrapped> {
        let mut current = false;
        loop {
            let load = async {
                current = true;
                Box::pin(self.load(tenant)).await.map(Some)
            };
            let rows = self.rows.get_or_load(tenant, load).await?.ok_or(Error::internal("no keys"))?;
            match wanted(&rows) {
                Some(wrapped) => return Ok(wrapped),
                None if current => return Err(Error::internal(missing)),
                None => self.rows.forget(&tenant, &rows),
            }
        }
    }

    async fn load(&self, tenant: TenantId) -> Result<Vec<Wrapped>> {
        let page = self.db.query(tenant, &Query::partition(Table::Keys, PARTITION), None).await?;
        // An empty result is not cached, because a new tenant may get its keys a moment later.
        if page.rows.is_empty() {
            return Err(Error::internal("no keys"));
        }
        page.rows.iter().filter_map(|row| Wrapped::from_row(row).transpose()).collect()
    }

    async fn unwrap(&self, tenant: TenantId, wrapped: &Wrapped) -> Result<Zeroizing<[u8; 32]>> {
        let mut request = self.kms.decrypt().key_id(&wrapped.kms_key_arn).ciphertext_blob(Blob::new(wrapped.ciphertext.clone()));
        for (name, value) in context(tenant, wrapped.purpose, wrapped.version) {
            request = request.encryption_context(name, value);
        }
        let answer = request.send().await.map_err(|e| match e.as_service_error() {
            // The key was wrapped for another tenant, purpose or version, or is damaged, so a retry would fail too.
            Some(refused) if refused.is_invalid_ciphertext_exception() || refused.is_incorrect_key_exception() => {
                Error::internal_because("open", cause(&e))
            }
            _ => unavailable(SERVICE)(e),
        })?;
        let plaintext = Zeroizing::new(answer.plaintext.ok_or(Error::internal("kms decrypt"))?.into_inner());
        let bytes: &[u8; 32] = plaintext.as_slice().try_into().map_err(|_| Error::internal("key length"))?;
        Ok(Zeroizing::new(*bytes))
    }

    /// Creates a tenant's first keys, wrapped by `kms_key_arn`, and returns the operations that store them.
    pub(crate) async fn first_keys(&self, tenant: TenantId, kms_key_arn: &str) -> Result<Vec<(Op, Error)>> {
        let mut ops = Vec::new();
        for purpose in [Use::Branch, Use::Search] {
            let version = KeyVersion::FIRST;
            let mut request = self.kms.generate_data_key_without_plaintext().key_id(kms_key_arn).number_of_bytes(32);
            for (name, value) in context(tenant, purpose, version) {
                request = request.encryption_context(name, value);
            }
            let answer = request.send().await.map_err(unavailable(SERVICE))?;
            let ciphertext = answer.ciphertext_blob.ok_or(Error::internal("kms generate data key"))?.into_inner();
            let item = Wrapped { purpose, version, kms_key_arn: kms_key_arn.to_owned(), ciphertext }.into_item(self.clock.now());
            let taken = Error::conflict("keys_exist", "the tenant already has keys");
            ops.push((Op::Put { table: Table::Keys, item, condition: Some(Condition::Absent) }, taken));
        }
        Ok(ops)
    }

    /// Whether a tenant has its first keys.
    pub(crate) async fn has_keys(&self, tenant: TenantId) -> Result<bool> {
        let query = Query::partition(Table::Keys, PARTITION).limit(1);
        Ok(!self.db.query(tenant, &query, None).await?.rows.is_empty())
    }

    /// The ARN of the tenant's own KMS key, which is created if it does not exist. The key is found by its alias, which is
    /// derived from the tenant. A key without its alias, because the process ended in between or another was faster, has wrapped
    /// nothing. It has the tenant's tag and no alias, so it can be found.
    ///
    /// The key has automatic rotation from the start. AWS may take five minutes to apply a new key's tags in authorization, so
    /// calls after its creation may be denied at first. The caller retries, and finds the key by its alias.
    pub(crate) async fn kms_key(&self, tenant: TenantId, deployment: &str) -> Result<String> {
        let alias = tenants_alias(tenant, deployment);
        let arn = match self.named(&alias).await? {
            Some(arn) => arn,
            None => self.make_kms_key(tenant, deployment, &alias).await?,
        };
        self.rotate_yearly(&arn).await?;
        Ok(arn)
    }

    /// Switches automatic rotation on for the tenant's own KMS key. Returns whether the tenant has one.
    pub(crate) async fn rotate_tenants_key(&self, tenant: TenantId, deployment: &str) -> Result<bool> {
        match self.named(&tenants_alias(tenant, deployment)).await? {
            Some(arn) => self.rotate_yearly(&arn).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// If the key rotates already, nothing changes.
    async fn rotate_yearly(&self, arn: &str) -> Result<()> {
        self.kms.enable_key_rotation().key_id(arn).send().await.map(drop).map_err(unavailable(SERVICE))
    }

    async fn make_kms_key(&self, tenant: TenantId, deployment: &str, alias: &str) -> Result<String> {
        let tag = |key: &str, value: &str| {
            Tag::builder().tag_key(key).tag_value(value).build().map_err(|_| Error::internal("kms key tag"))
        };
        let request = self.kms.create_key().key_spec(KeySpec::SymmetricDefault).description(format!("tenant keys of {tenant}"));
        let request = request.tags(tag("cloister:deployment", deployment)?).tags(tag("cloister:tenant", &tenant.to_string())?);
        let answer = request.send().await.map_err(unavailable(SERVICE))?;
        let made = answer.key_metadata.and_then(|m| m.arn).ok_or(Error::internal("kms create key"))?;
        match self.kms.create_alias().alias_name(alias).target_key_id(&made).send().await {
            Ok(_) => Ok(made),
            // Another run was faster, so its key is the tenant's.
            Err(e) if e.as_service_error().is_some_and(|e| e.is_already_exists_exception()) => {
                self.named(alias).await?.ok_or(Error::internal("kms alias"))
            }
            Err(e) => Err(unavailable(SERVICE)(e)),
        }
    }

    /// The ARN of the KMS key with an alias, if there is one.
    async fn named(&self, alias: &str) -> Result<Option<String>> {
        match self.kms.describe_key().key_id(alias).send().await {
            Ok(answer) => Ok(answer.key_metadata.and_then(|m| m.arn)),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_not_found_exception()) => Ok(None),
            Err(e) => Err(unavailable(SERVICE)(e)),
        }
    }
}

/// The alias of a tenant's own KMS key.
fn tenants_alias(tenant: TenantId, deployment: &str) -> String {
    format!("alias/{deployment}-{tenant}")
}

/// The encryption context of a wrapped key.
fn context(tenant: TenantId, purpose: Use, version: KeyVersion) -> [(&'static str, String); 3] {
    [("tenant", tenant.to_string()), ("purpose", purpose.as_str().to_owned()), ("version", version.to_string())]
}

impl Wrapped {
    /// `None` for a key whose purpose this version does not know.
    fn from_row(row: &Row) -> Result<Option<Self>> {
        let Some(purpose) = row.word("purpose")? else { return Ok(None) };
        let version =
            u32::try_from(row.number("version")?).ok().and_then(KeyVersion::new).ok_or(Error::internal("key version"))?;
        Ok(Some(Self {
            purpose,
            version,
            kms_key_arn: row.text("kms_key_arn")?.to_owned(),
            ciphertext: row.bytes("wrapped")?.to_owned(),
        }))
    }

    fn into_item(self, now: Timestamp) -> Item {
        Item::new(Key::new(PARTITION, format!("{}#{:010}", self.purpose.as_str(), self.version.get())))
            .text("purpose", self.purpose.as_str())
            .number("version", self.version.get())
            .text("kms_key_arn", self.kms_key_arn)
            .bytes("wrapped", self.ciphertext)
            .text("created_at", now)
    }
}
