//! The operations of the signer: sign a checkpoint with the deployment's key, and store it.

use super::{AuditLog, StoredCheckpoint, checkpoint_key, signing_key};
use crate::{
    aws::objects::Created,
    base::{Error, Result, error::Cause},
    store::{
        Condition,
        changes::{Edit, Op},
        item::Table,
    },
};
use ledger::{
    Checkpoint, Head,
    checkpoint::{Signed, Unsigned},
};
use std::ops::Deref;

/// Signs one tenant's log.
#[derive(Clone, Copy, Debug)]
pub struct AuditSigner<'a>(pub(super) AuditLog<'a>);

impl<'a> Deref for AuditSigner<'a> {
    type Target = AuditLog<'a>;
    fn deref(&self) -> &AuditLog<'a> {
        &self.0
    }
}

/// The size of the last begun checkpoint, as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Begun(Option<i64>);

impl Begun {
    pub fn size(self) -> Option<u64> {
        u64::try_from(self.0?).ok()
    }
}

impl AuditSigner<'_> {
    /// The size of the last begun checkpoint. If it is read before the head, it never exceeds the head.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn begun(&self) -> Result<Begun> {
        let row = self.deps.db.get(self.activity.tenant, Table::Ledger, &signing_key()).await?;
        Ok(Begun(row.and_then(|row| row.maybe_number("size"))))
    }

    /// Begins a checkpoint of `size`, if none was begun since `before` was read. A signer that finds a begun size without a row
    /// in the table completes that one instead, so that all notes without a row have one size.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer; it may have begun then.
    pub async fn begin(&self, size: u64, Begun(before): Begun) -> Result<bool> {
        let unmoved = before.map_or(Condition::Missing("size"), |before| Condition::NumberIs("size", before));
        let size = i64::try_from(size).map_err(|_| Error::internal("size"))?;
        let edit = Edit::of(signing_key()).number("size", size).when(unmoved);
        self.deps.db.edit(self.activity.tenant, Table::Ledger, &edit).await
    }

    /// Signs a checkpoint of `head`. The caller must have read the log again and reached this head.
    ///
    /// # Errors
    /// 503 if KMS does not answer.
    pub async fn sign(&self, head: &Head) -> Result<Signed> {
        let checkpoint = Checkpoint { origin: self.origin()?, size: head.size(), root: head.root() };
        let unsigned = Unsigned::new(&checkpoint, self.verifier_key().await?).map_err(|_| Error::internal("checkpoint"))?;
        let signature = self.key()?.sign(unsigned.bytes()).await?;
        unsigned.sign(&signature).map_err(|_| Error::internal("signature"))
    }

    /// Stores a signed checkpoint: in the bucket, locked, and then in the table. If the bucket has another note for that size, it
    /// returns that note and stores nothing.
    ///
    /// # Errors
    /// 503 if S3 or DynamoDB do not answer; it may be in the bucket, or in both, then.
    pub async fn keep(&self, signed: &Signed, head: &Head) -> Result<Option<Vec<u8>>> {
        let note = signed.to_string();
        let key = checkpoint_key(self.activity.tenant, head.size());
        let bytes = note.clone().into_bytes();
        let version = match self.objects()?.create(self.activity.tenant, &key, "text/plain; charset=utf-8", bytes).await? {
            Created::Done(version) => version,
            Created::Exists => match self.kept_checkpoint(head.size(), None).await? {
                // An earlier run was interrupted here. The signature of a text is always the same.
                Some((version, bytes)) if bytes == note.as_bytes() => version,
                Some((_, other)) => return Ok(Some(other)),
                None => return Err(Error::Unavailable { service: "s3", cause: Cause::code("neither there nor not") }),
            },
        };
        self.store(&StoredCheckpoint { note, head: head.clone(), signed_at: self.activity.now, version }).await.map(|()| None)
    }

    /// Stores the table's row for a checkpoint in the bucket, unless the table has one of its size.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer; it may be stored then.
    pub async fn store(&self, checkpoint: &StoredCheckpoint) -> Result<()> {
        let op = Op::Put { table: Table::Ledger, item: checkpoint.to_item()?, condition: Some(Condition::Absent) };
        self.once(&[(self.activity.tenant, op)]).await
    }
}
