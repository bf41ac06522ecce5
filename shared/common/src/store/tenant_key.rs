//! One tenant's keys: whatever they seal, open or make a token of is bound to that tenant.

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

/// Each answers 503 where the key is not in memory and KMS does not answer.
impl TenantKey<'_> {
    /// Sees that the branch key can be had: it is in memory, or KMS unwraps it now.
    pub(crate) async fn unlock(&self) -> Result<()> {
        self.keyring.current(self.tenant).await.map(drop)
    }

    /// Seals a record's fields under a fresh record key, bound to `record`.
    pub(crate) async fn seal<T: SealedFields>(&self, record: &str, fields: &T) -> Result<Sealed<T>> {
        let key = self.keyring.current(self.tenant).await?;
        Sealed::seal(fields, &key, &self.tenant.to_string(), record).map_err(|_| Error::internal("seal"))
    }

    /// Seals a record's fields in place of what was sealed `before`, which may hold what this version does not know.
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

    /// A cursor that goes on at `position` of the list that `query` reads.
    pub(crate) async fn seal_cursor(&self, position: &Position, query: &Query) -> Result<String> {
        cursor::seal(position, &*self.keyring.search(self.tenant).await?, &self.tenant.to_string(), query)
    }

    /// Where a cursor of the list that `query` reads goes on; 422 `invalid_cursor` where it is none.
    pub(crate) async fn open_cursor(&self, cursor: &str, query: &Query) -> Result<Position> {
        cursor::open(cursor, &*self.keyring.search(self.tenant).await?, &self.tenant.to_string(), query)
    }
}
