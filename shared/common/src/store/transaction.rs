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

impl Unit {
    pub(crate) fn push(&mut self, tenant: TenantId, op: Op, or: Error) {
        self.ops.push((tenant, op));
        self.errors.push(or);
    }

    /// On failure: the operation whose condition failed, the stored item, and its error.
    pub(crate) async fn commit(&self, db: &Db, deadline: Timestamp) -> Result<(), (usize, Option<Row>, Error)> {
        // All attempts of this commit use one token, so that a lost answer does not cause a second commit.
        let token = Uuid::from_bytes(crate::base::random::bytes()).to_string();
        db.commit(&self.ops, &token, deadline).await.map_err(|refused| match refused {
            Refused::Condition { index, old } => {
                (index, old, self.errors.get(index).cloned().unwrap_or(Error::internal("commit")))
            }
            Refused::Error(error) => (usize::MAX, None, error),
        })
    }
}
