//! Reads a tenant's audit events directly from the tables of a running stack, for developers.

use crate::{
    calls::{CallFailed, Calls, DYNAMODB},
    client::NoAnswer,
};
use serde_json::{Value, json};

/// An audit event that is not sealed yet.
#[derive(Clone, Debug)]
pub struct Seen {
    pub id: String,
    /// In the ledger's format 1.
    pub event: Value,
    /// How often it happened in its minute; more than 1 only for refusals that any caller can repeat.
    pub count: u64,
}

/// A tenant's unsealed events.
#[derive(Clone, Debug)]
pub struct AuditLog {
    tables: Calls,
    table: String,
    partition: String,
}

impl AuditLog {
    /// `endpoint` is DynamoDB's, `tenant` an id.
    pub fn new(endpoint: &str, table: &str, tenant: &str) -> Self {
        Self { tables: Calls::new(endpoint), table: table.to_owned(), partition: format!("{tenant}#AUDIT") }
    }

    /// The events after `id`, oldest first.
    ///
    /// # Errors
    /// [`NoAnswer`] if the stack has stopped or refuses.
    pub async fn after(&self, id: Option<&str>) -> Result<Vec<Seen>, NoAnswer> {
        let mut found = Vec::new();
        let mut after = id.unwrap_or(" ").to_owned();
        loop {
            let query = json!({
                "TableName": self.table,
                "KeyConditionExpression": "pk = :pk AND sk > :after",
                "ExpressionAttributeValues": { ":pk": { "S": self.partition }, ":after": { "S": after } },
            });
            let failed = |e: CallFailed| NoAnswer { url: "the ledger table".to_owned(), why: e.to_string() };
            let page = self.tables.call(DYNAMODB, "Query", &query).await.map_err(failed)?;
            found.extend(page["Items"].as_array().into_iter().flatten().filter_map(seen));
            match page["LastEvaluatedKey"]["sk"]["S"].as_str() {
                Some(last) => last.clone_into(&mut after),
                None => return Ok(found),
            }
        }
    }
}

fn seen(item: &Value) -> Option<Seen> {
    Some(Seen {
        id: item["sk"]["S"].as_str()?.to_owned(),
        event: serde_json::from_str(item["event"]["S"].as_str()?).ok()?,
        count: item["count"]["N"].as_str()?.parse().ok()?,
    })
}
