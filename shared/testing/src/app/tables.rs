//! Reads and writes the tables without the wire, and controls the delay of their indexes.

use super::{App, Tenant};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::{SharedHttpConnector, http_client_fn};
use common::base::TenantId;
use serde_json::Value;
use std::collections::HashMap;

impl App {
    /// With `held`, indexes show from now on the items that exist now, and no later change. Without it, they show again the items
    /// as they were a second ago.
    pub fn hold_indexes(&self, held: bool) {
        if let Some((dynamo, _)) = &self.emulators {
            dynamo.hold_indexes(held);
        }
    }

    /// Has indexes show all writes so far, as they do a second later. For a test whose next step comes a while after its last
    /// write, and whose clock must not move.
    pub fn settle_indexes(&self) {
        if let Some((dynamo, _)) = &self.emulators {
            dynamo.settle_indexes();
        }
    }

    /// A tenant's audit events that are not sealed yet, oldest first, each with its `count`.
    pub async fn audit(&self, tenant: Tenant) -> Vec<Value> {
        self.audit_of(self.tenant_id(tenant)).await
    }
    pub async fn platform_audit(&self) -> Vec<Value> {
        self.audit_of(TenantId::PLATFORM).await
    }
    pub async fn audit_of(&self, tenant: TenantId) -> Vec<Value> {
        let rows = self.partition("LedgerTable", &format!("{tenant}#AUDIT")).await;
        let event = |row: &HashMap<String, AttributeValue>| {
            let mut event: Value = serde_json::from_str(row["event"].as_s().unwrap()).unwrap();
            event["count"] = row["count"].as_n().unwrap().parse::<u64>().unwrap().into();
            event
        };
        rows.iter().map(event).collect()
    }

    /// A tenant's domain events in the outbox, oldest first.
    pub async fn domain_events(&self, tenant: Tenant) -> Vec<Value> {
        let rows = self.partition("LedgerTable", &format!("{}#EVENTS", self.tenant_id(tenant))).await;
        rows.iter().map(|row| serde_json::from_str(row["envelope"].as_s().unwrap()).unwrap()).collect()
    }

    /// Every item of one partition of a table.
    pub(crate) async fn partition(&self, table: &str, pk: &str) -> Vec<HashMap<String, AttributeValue>> {
        let query = self
            .raw
            .query()
            .table_name(&self.provisioned.tables[table])
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()));
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let page = query.clone().set_exclusive_start_key(start).send().await.expect("the partition is read");
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return items;
            }
        }
    }

    /// Breaks the seal of a record, or mends it at the second call. `partition` is the end of its partition key, `sort` its sort
    /// key.
    pub async fn break_seal(&self, partition: &str, sort: &str) {
        let is_it = |row: &HashMap<_, AttributeValue>| {
            row["pk"].as_s().is_ok_and(|pk| pk.ends_with(partition)) && row["sk"].as_s().is_ok_and(|sk| sk == sort)
        };
        let mut row = self.dump("RecordsTable").await.into_iter().find(is_it).expect("the record is there");
        let mut sealed = row["sealed"].as_b().expect("it is sealed").as_ref().to_vec();
        *sealed.last_mut().expect("a sealed record is not empty") ^= 1;
        row.insert("sealed".to_owned(), AttributeValue::B(sealed.into()));
        let put = self.raw.put_item().table_name(&self.provisioned.tables["RecordsTable"]);
        put.set_item(Some(row)).send().await.expect("the record is written");
    }

    /// Every item of a table (`RecordsTable`), of all tenants.
    pub async fn dump(&self, table: &str) -> Vec<HashMap<String, AttributeValue>> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let scan = self.raw.scan().table_name(&self.provisioned.tables[table]).set_exclusive_start_key(start);
            let page = scan.send().await.expect("the table is read");
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return items;
            }
        }
    }

    /// Puts an item of strings without the wire, as a function of another version might have written it.
    pub async fn put_raw(&self, table: &str, pk: &str, sk: &str, texts: &[(&str, &str)]) {
        let mut put = self.raw.put_item().table_name(&self.provisioned.tables[table]);
        for (name, text) in [("pk", pk), ("sk", sk)].iter().chain(texts) {
            put = put.item(*name, AttributeValue::S((*text).to_owned()));
        }
        put.send().await.expect("the item is put");
    }

    /// DynamoDB without the wire, to set up and to inspect: its calls are not counted, and no faults are injected.
    pub fn raw(&self) -> &aws_sdk_dynamodb::Client {
        &self.raw
    }
}

/// A client that does not use the wire.
pub(super) fn raw_client(endpoint: &str, connector: SharedHttpConnector) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::v2026_01_12())
        .region(aws_sdk_dynamodb::config::Region::new(emulators::REGION))
        .credentials_provider(aws_sdk_dynamodb::config::Credentials::new("synthetic", "synthetic", None, None, "test"))
        .endpoint_url(endpoint)
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}
