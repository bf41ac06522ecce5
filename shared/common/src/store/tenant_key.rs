//! One tenant's keys. Their seals and tokens are bound to that tenant.

use crate::{
    base::{Error, Result, TenantId},
    store::{
        cursor,
        dynamodb::{Position, Query},
        keyring::Keyring,
    },
};
use phi::{FieldNumber, Place, Sealed, SealedBytes, SealedFields, SearchToken, Zeroizing};

/// The keys of one tenant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TenantKey<'a> {
    keyring: &'a Keyring,
    tenant: TenantId,
}

impl Keyring {
    pub(crate) const fn of(&self, tenant: TenantId) -> TenantKey<'_> {
        TenantKey { keyring: self, tenant }
    }
}

/// Each method returns 503 if the key is not in memory and KMS does not answer.
impl TenantKey<'_> {
    /// Verifies that the branch key is available: it is in memory, or KMS unwraps it now.
    pub(crate) async fn unlock(&self) -> Result<()> {
        self.keyring.current(self.tenant).await.map(drop)
    }

    /// Seals a record's fields under a fresh record key, bound to `record`.
    pub(crate) async fn seal<T: SealedFields>(&self, record: &str, fields: &T) -> Result<Sealed<T>> {
        let key = self.keyring.current(self.tenant).await?;
        Sealed::seal(fields, &key, &self.tenant.to_string(), record).map_err(|_| Error::internal("seal"))
    }

    /// Seals a record's fields in place of the record `before`, which may contain data that this version does not know.
    pub(crate) async fn reseal<T: SealedFields>(&self, record: &str, fields: &T, before: &Sealed<T>) -> Result<Sealed<T>> {
        let old = self.keyring.branch(self.tenant, before.key_version()).await?;
        let key = self.keyring.current(self.tenant).await?;
        let tenant = self.tenant.to_string();
        let opener = before.opener(&old, &tenant, record).map_err(|_| Error::internal("open"))?;
        Sealed::reseal(fields, &opener, &key, &tenant, record).map_err(|_| Error::internal("seal"))
    }

    /// Opens a record's fields.
    pub(crate) async fn open<T: SealedFields>(&self, record: &str, sealed: &Sealed<T>) -> Result<T> {
        let key = self.keyring.branch(self.tenant, sealed.key_version()).await?;
        sealed.open(&key, &self.tenant.to_string(), record).map_err(|_| Error::internal("open"))
    }

    /// Seals one field of bytes, bound to a record of `table`.
    pub(crate) async fn seal_bytes(&self, table: &str, record: &str, field: FieldNumber, bytes: &[u8]) -> Result<Vec<u8>> {
        let key = self.keyring.current(self.tenant).await?;
        let sealed = key.sealer(&Place { tenant: &self.tenant.to_string(), table, record }).and_then(|mut sealer| {
            sealer.field(field, bytes)?;
            sealer.finish()
        });
        sealed.map(SealedBytes::into_vec).map_err(|_| Error::internal("seal"))
    }

    /// The field that [`seal_bytes`](Self::seal_bytes) sealed.
    pub(crate) async fn open_bytes(
        &self,
        table: &str,
        record: &str,
        field: FieldNumber,
        sealed: &SealedBytes,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let key = self.keyring.branch(self.tenant, sealed.key_version()).await?;
        let opener = key.opener(&Place { tenant: &self.tenant.to_string(), table, record }, sealed);
        opener.and_then(|opener| opener.field(field)).ok().flatten().ok_or(Error::internal("open"))
    }

    /// The search token of a normalised value of `field`.
    pub(crate) async fn search_token(&self, field: &'static str, normalised: &str) -> Result<SearchToken> {
        let key = self.keyring.search(self.tenant).await?;
        Ok(key.field(&self.tenant.to_string(), field).token(normalised))
    }

    /// A cursor that continues at `position` of the list of `query`.
    pub(crate) async fn seal_cursor(&self, position: &Position, query: &Query) -> Result<String> {
        cursor::seal(position, &*self.keyring.search(self.tenant).await?, &self.tenant.to_string(), query)
    }

    /// The position of a cursor of the list of `query`; 422 `invalid_cursor` if it is invalid.
    pub(crate) async fn open_cursor(&self, cursor: &str, query: &Query) -> Result<Position> {
        cursor::open(cursor, &*self.keyring.search(self.tenant).await?, &self.tenant.to_string(), query)
    }
}
