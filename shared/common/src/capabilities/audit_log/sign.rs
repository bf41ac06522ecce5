//! What the signer may do: sign a checkpoint by the deployment's key, and keep it.

use super::{AuditLog, StoredCheckpoint, checkpoint_key, signing_key};
use crate::{
    aws::objects::Created,
    base::{Error, Result, error::Cause},
    store::{
        Condition,
        changes::{Edit, Op},
        dynamodb::Refused,
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

/// Of which size a checkpoint was begun last, as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Begun(Option<i64>);

impl Begun {
    pub fn size(self) -> Option<u64> {
        u64::try_from(self.0?).ok()
    }
}

impl AuditSigner<'_> {
    /// Of which size a checkpoint was begun last. Read before the head, it is never beyond that.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer.
    pub async fn begun(&self) -> Result<Begun> {
        let row = self.deps.db.get(self.tenant, Table::Ledger, &signing_key()).await?;
        Ok(Begun(row.and_then(|row| row.maybe_number("size"))))
    }

    /// Begins a checkpoint of `size`, where none was begun since `before` was read. Whoever reads `before` and finds that size not
    /// noted yet finishes that one instead: so all notes that are not in the table are of one size.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer; it may then be begun.
    pub async fn begin(&self, size: u64, Begun(before): Begun) -> Result<bool> {
        let unmoved = before.map_or(Condition::Missing("size"), |before| Condition::NumberIs("size", before));
        let size = i64::try_from(size).map_err(|_| Error::internal("size"))?;
        let edit = Edit::of(signing_key()).number("size", size).when(unmoved);
        self.deps.db.edit(self.tenant, Table::Ledger, &edit).await
    }

    /// Signs what `head` says of the log. Whoever asks has re-read the log and come to this head.
    ///
    /// # Errors
    /// 503 where KMS does not answer.
    pub async fn sign(&self, head: &Head) -> Result<Signed> {
        let checkpoint = Checkpoint { origin: self.origin()?, size: head.size(), root: head.root() };
        let unsigned = Unsigned::new(&checkpoint, self.verifier_key().await?).map_err(|_| Error::internal("checkpoint"))?;
        let signature = self.key()?.sign(unsigned.bytes()).await?;
        unsigned.sign(&signature).map_err(|_| Error::internal("signature"))
    }

    /// Keeps a signed checkpoint: in the bucket, locked, and then in the table. Answers what the bucket holds for that size
    /// where that is another note, and keeps nothing.
    ///
    /// # Errors
    /// 503 where S3 or DynamoDB do not answer; it may then be in the bucket, or in both.
    pub async fn keep(&self, signed: &Signed, head: &Head) -> Result<Option<Vec<u8>>> {
        let note = signed.to_string();
        let key = checkpoint_key(self.tenant, head.size());
        let bytes = note.clone().into_bytes();
        let version = match self.objects()?.create(self.tenant, &key, "text/plain; charset=utf-8", bytes).await? {
            Created::Done(version) => version,
            Created::Exists => match self.kept_checkpoint(head.size(), None).await? {
                // An earlier run got no further than here: the signature of one text is one.
                Some((version, bytes)) if bytes == note.as_bytes() => version,
                Some((_, other)) => return Ok(Some(other)),
                None => return Err(Error::Unavailable { service: "s3", cause: Cause::code("neither there nor not") }),
            },
        };
        self.store(&StoredCheckpoint { note, head: head.clone(), signed_at: self.now, version }).await.map(|()| None)
    }

    /// Notes in the table a checkpoint that is in the bucket, unless the table has one of its size.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer; it may then be noted.
    pub async fn store(&self, checkpoint: &StoredCheckpoint) -> Result<()> {
        let op = Op::Put { table: Table::Ledger, item: checkpoint.to_item()?, condition: Some(Condition::Absent) };
        let token = crate::base::Uuid::from_bytes(crate::base::random::bytes()).to_string();
        match self.deps.db.commit(&[(self.tenant, op)], &token, self.deadline).await {
            // Another run stored the same.
            Ok(()) | Err(Refused::Condition { .. }) => Ok(()),
            Err(Refused::Error(error)) => Err(error),
        }
    }
}
