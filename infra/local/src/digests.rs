//! `POST /_digests`: makes every pending digest due, and sends it. A developer then need not wait for the digest's hour.

use crate::{
    background::{TaskContext, schedule},
    calls::{CallFailed, Calls, DYNAMODB},
};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use common::base::{Clock, SystemClock};
use serde_json::{Value, json};
use std::future;

const SENDER: &str = "send_digests";

#[derive(Clone, Debug)]
struct Digests {
    context: TaskContext,
    dynamodb: Calls,
}

pub(crate) fn router(context: TaskContext, dynamodb: Calls) -> Router {
    Router::new().route("/_digests", post(send)).with_state(Digests { context, dynamodb })
}

/// Returns the number of digests that are due.
async fn send(State(digests): State<Digests>) -> Response {
    let due = match digests.make_due().await {
        Ok(due) => due,
        Err(failed) => return (StatusCode::BAD_GATEWAY, failed.to_string()).into_response(),
    };
    if let Some(sender) = registry::schedules().find(|schedule| schedule.name == SENDER) {
        schedule::once(&digests.context, sender, future::pending()).await;
    }
    Json(json!({ "due": due })).into_response()
}

impl Digests {
    /// All pending digests of all tenants that are not being sent.
    async fn make_due(&self) -> Result<usize, CallFailed> {
        let table = &self.context.deps.config().tables.records;
        let mut from = Value::Null;
        let mut due = 0;
        loop {
            let mut scan = json!({
                "TableName": table,
                "FilterExpression": "attribute_exists(digest_due) AND attribute_not_exists(digest_id)",
                "ProjectionExpression": "pk, sk",
            });
            if !from.is_null() {
                scan["ExclusiveStartKey"] = from;
            }
            let mut page = self.dynamodb.call(DYNAMODB, "Scan", &scan).await?;
            for key in page["Items"].as_array().into_iter().flatten() {
                let update = json!({
                    "TableName": table,
                    "Key": key,
                    "UpdateExpression": "SET digest_due = :now, ix_due_at = :now",
                    "ConditionExpression": "digest_due > :now AND attribute_not_exists(digest_id)",
                    "ExpressionAttributeValues": { ":now": { "S": SystemClock.now().to_string() } },
                });
                match self.dynamodb.call(DYNAMODB, "UpdateItem", &update).await {
                    Ok(_) => due += 1,
                    // This one is already due or being sent.
                    Err(refused) if refused.to_string().contains("ConditionalCheckFailed") => {}
                    Err(failed) => return Err(failed),
                }
            }
            from = page["LastEvaluatedKey"].take();
            if from.is_null() {
                return Ok(due);
            }
        }
    }
}
