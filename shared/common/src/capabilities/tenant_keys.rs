//! The creation of a new tenant's keys, and access to the data that the platform stored for it before it had keys.

use crate::{
    background::{Background, CONTENDED, Delivery},
    base::{Result, TenantId, TenantKeyMode, need::needs},
};
use phi::{Sealed, SealedFields};

impl<B: Background> Delivery<'_, B> {
    /// Creates the tenant's first keys and, if each tenant has its own, the KMS key that wraps them. Existing keys stay.
    ///
    /// # Errors
    /// 503 if KMS or DynamoDB does not answer.
    pub async fn make_keys(&mut self) -> Result<()> {
        needs!(B, TenantKeys, Write);
        let (deps, tenant) = (self.job.deps, self.job.tenant);
        if deps.keyring.has_keys(tenant).await? {
            return Ok(());
        }
        let kms_key = match deps.config.tenant_key_mode {
            TenantKeyMode::Own => deps.keyring.kms_key(tenant, &deps.config.deployment).await?,
            TenantKeyMode::Pool => deps.config.pool_key_arn.clone(),
        };
        let keys = deps.keyring.first_keys(tenant, &kms_key).await?;
        self.changes.ops.extend(keys.into_iter().map(|(op, _)| (op, CONTENDED)));
        Ok(())
    }

    /// Opens data that a request sealed in the platform's scope for a tenant without keys. The data stays in the system, so
    /// nothing is disclosed.
    ///
    /// # Errors
    /// 503 if the platform's key is not in memory and KMS does not answer; internal if the record does not open.
    pub async fn open_platforms<T: SealedFields>(&self, record: &str, sealed: &Sealed<T>) -> Result<T> {
        needs!(B, TenantKeys, Seal);
        self.job.deps.keyring.of(TenantId::PLATFORM).open(record, sealed).await
    }
}
