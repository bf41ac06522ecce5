//! A transaction that is being built.

use crate::{
    base::{Error, Result, TenantId, Timestamp, Uuid},
    store::{
        changes::Op,
        dynamodb::{Db, Refused},
        item::Row,
    },
};

/// A transaction that is being built: each operation with the error for its failed condition.
#[derive(Default)]
pub(crate) struct Unit {
    pub(crate) ops: Vec<(TenantId, Op)>,
    errors: Vec<Error>,
}

/// Why a transaction has not succeeded.
pub(crate) enum NotCommitted {
    /// The condition of the operation at `index` failed, on the stored item `old`. Nothing was written.
    Condition { index: usize, old: Option<Row>, error: Error },
    /// It is unknown whether anything was written.
    Failed(Error),
}

impl From<NotCommitted> for Error {
    fn from(not_committed: NotCommitted) -> Self {
        match not_committed {
            NotCommitted::Condition { error, .. } | NotCommitted::Failed(error) => error,
        }
    }
}

impl Unit {
    pub(crate) fn push(&mut self, tenant: TenantId, op: Op, or: Error) {
        self.ops.push((tenant, op));
        self.errors.push(or);
    }

    /// Whether the operation at `index` is the last one.
    pub(crate) fn is_last(&self, index: usize) -> bool {
        index + 1 == self.ops.len()
    }

    pub(crate) async fn commit(&self, db: &Db, deadline: Timestamp) -> Result<(), NotCommitted> {
        // All attempts of this commit use one token, so that a lost answer does not cause a second commit.
        let token = Uuid::from_bytes(crate::base::random::bytes()).to_string();
        db.commit(&self.ops, &token, deadline).await.map_err(|refused| match refused {
            Refused::Condition { index, old } => {
                let error = self.errors.get(index).cloned().unwrap_or(Error::internal("commit"));
                NotCommitted::Condition { index, old, error }
            }
            Refused::Error(error) => NotCommitted::Failed(error),
        })
    }
}
