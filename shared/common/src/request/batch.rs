//! Batches: one transaction and one result for each item.

use crate::{
    base::{Error, Result},
    request::{http::Response, idempotency::Claim, scope::Context},
    store::{dynamodb::Update, item::Table},
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::marker::PhantomData;

/// The answer to a batch: a result for every item, in the order of the request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BatchOutput<T> {
    pub succeeded: usize,
    pub failed: usize,
    pub items: Vec<BatchItem>,
    #[serde(skip)]
    of: PhantomData<fn() -> T>,
}

/// The result of one item: `result` if it succeeded, otherwise `error` (a problem, as for a single request).
#[derive(Debug, Serialize, JsonSchema)]
pub struct BatchItem {
    /// Its index in the request, from 0.
    pub index: usize,
    /// The status that a single request would have had.
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

pub(crate) struct ItemResult {
    pub(crate) index: usize,
    pub(crate) response: Response,
}

impl<T> BatchOutput<T> {
    pub(crate) fn of(results: Vec<ItemResult>) -> Result<Self> {
        let mut items = Vec::with_capacity(results.len());
        for ItemResult { index, response } in results {
            let body = serde_json::from_slice(&response.body).map_err(|_| Error::internal("batch item"))?;
            let status = response.status;
            let (result, error) = if status < 400 { (Some(body), None) } else { (None, Some(body)) };
            items.push(BatchItem { index, status, result, error });
        }
        let succeeded = items.iter().filter(|i| i.result.is_some()).count();
        Ok(Self { succeeded, failed: items.len() - succeeded, items, of: PhantomData })
    }
}

/// The record of a batch's key: it binds the key to this request, for any results of its items.
pub(crate) struct Head;

impl Head {
    /// # Errors
    /// 422 `idempotency_mismatch` if the key was used for another batch, purpose or authority.
    pub(crate) async fn claim(context: &Context<'_>, claim: &Claim) -> Result<()> {
        let update = Update {
            // It is never older than the records of its items, because a repetition that executes an item writes both again.
            expression: "SET request_hash = :hash, membership = :membership, expires_at = :until",
            condition: Some(
                "attribute_not_exists(pk) OR (request_hash = :hash AND membership = :membership) OR expires_at < :now",
            ),
            names: &[],
            values: vec![
                (":hash", AttributeValue::B(Blob::new(claim.request_hash()))),
                (":membership", AttributeValue::N(claim.membership().to_string())),
                (":until", AttributeValue::N(claim.until(context.now).as_secs().to_string())),
                (":now", AttributeValue::N(context.now.as_secs().to_string())),
            ],
        };
        let tenant = context.principal.tenant();
        let claimed = context.deps.db.update(tenant, Table::Ephemera, claim.key(), update).await?;
        claimed.done_or(Error::IdempotencyMismatch).map(drop)
    }
}
