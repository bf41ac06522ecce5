//! A transaction in the making.

use crate::{
    base::{Error, Result, TenantId, Timestamp, Uuid},
    store::{
        changes::Op,
        dynamodb::{Db, Refused},
        item::Row,
    },
};

/// A transaction in the making: each operation with the error that its failed condition means.
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

    /// On failure: the operation whose condition did not hold, what stood there, and the error that it means.
    pub(crate) async fn commit(&self, db: &Db, deadline: Timestamp) -> Result<(), (usize, Option<Row>, Error)> {
        // One token for every attempt of this commit: an answer that was lost is not a second commit.
        let token = Uuid::from_bytes(crate::base::random::bytes()).to_string();
        db.commit(&self.ops, &token, deadline).await.map_err(|refused| match refused {
            Refused::Condition { index, old } => {
                (index, old, self.errors.get(index).cloned().unwrap_or(Error::internal("commit")))
            }
            Refused::Error(error) => (usize::MAX, None, error),
        })
    }
}
