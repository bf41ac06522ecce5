//! The calls to DynamoDB. Every call has one tenant, which becomes the prefix of the keys in [`crate::store::item`].

use crate::{
    aws::{
        errors::{cause, unavailable},
        resilience,
        tenant_credentials::TenantCredentials,
    },
    base::{Clock, Error, Result, TenantId, config::TableNames, error::Cause, random::backoff, stored::Unknown},
    store::{
        changes::{Condition, Edit, Op},
        item::{Attributes, Index, Item, Key, Row, Table, prefixed},
        quotas,
    },
};
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        AttributeValue, CancellationReason, KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem,
    },
};
use std::{collections::HashMap, sync::Arc};

pub(crate) const SERVICE: &str = "dynamodb";

/// The number of tries of one commit, or one write of an item, if DynamoDB reports a conflict with another transaction.
const CONFLICT_ATTEMPTS: u32 = 6;
/// DynamoDB's error for a write of an item that is part of a running transaction.
const HELD: &str = "TransactionConflictException";
/// The limit of BatchWriteItem.
const MOST_BATCHED: usize = 25;

#[derive(Clone, Debug)]
pub(crate) struct Db {
    own: Client,
    tenant_credentials: Option<Arc<TenantCredentials>>,
    names: Arc<TableNames>,
    clock: Arc<dyn Clock>,
    unknown: Unknown,
}

/// The parameters of one Query.
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) table: Table,
    pub(crate) index: Option<Index>,
    pub(crate) partition: String,
    pub(crate) range: Option<(String, String)>,
    pub(crate) newest_first: bool,
    pub(crate) limit: u32,
}

impl Query {
    /// Items of one partition of an index, newest first.
    pub fn index(index: Index, partition: impl Into<String>) -> Self {
        Self {
            table: Table::Records,
            index: Some(index),
            partition: partition.into(),
            range: None,
            newest_first: true,
            limit: 100,
        }
    }
    /// Business items of one partition, in the order of their sort keys.
    pub fn items(partition: impl Into<String>) -> Self {
        Self::partition(Table::Records, partition)
    }
    /// Items of one partition of a table, in the order of their sort keys.
    pub fn partition(table: Table, partition: impl Into<String>) -> Self {
        Self { table, index: None, partition: partition.into(), range: None, newest_first: false, limit: 1000 }
    }
    /// Only sort keys from `low` to `high`, inclusive.
    #[must_use]
    pub fn between(mut self, low: impl ToString, high: impl ToString) -> Self {
        self.range = Some((low.to_string(), high.to_string()));
        self
    }
    #[must_use]
    pub const fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }
    #[must_use]
    pub const fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }
    const fn sort_attribute(&self) -> &'static str {
        match self.index {
            Some(index) => index.sort_attribute(),
            None => "sk",
        }
    }
}

/// One page of a Query: its rows, and the position of the next one.
#[derive(Debug)]
pub(crate) struct Page {
    pub rows: Vec<Row>,
    pub(crate) next: Option<Position>,
}

/// The end of a page, relative to the query: table key and sort attribute of its last item.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Position(pub(crate) String, pub(crate) String, pub(crate) String);

/// The reason why a commit failed.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The condition of operation `index` failed; `old` is the stored item.
    Condition {
        index: usize,
        old: Option<Row>,
    },
    Error(Error),
}

/// The outcome of one conditional write.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The item: after an update, or as it was deleted.
    Done(Row),
    /// The condition does not hold. The stored item, if there is one.
    Refused(Option<Row>),
}

impl Outcome {
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    pub(crate) fn done_or(self, error: Error) -> Result<Row> {
        match self {
            Self::Done(row) => Ok(row),
            Self::Refused(_) => Err(error),
        }
    }
}

impl Db {
    pub(crate) fn new(
        own: Client,
        tenant_credentials: Option<TenantCredentials>,
        names: TableNames,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            own,
            tenant_credentials: tenant_credentials.map(Arc::new),
            names: Arc::new(names),
            clock,
            unknown: Unknown::default(),
        }
    }

    fn row(&self, attributes: Attributes) -> Row {
        Row::new(attributes).counted(&self.unknown)
    }

    /// The amount of unknown data that was read since the last call.
    pub(crate) fn take_unknown(&self) -> Option<u64> {
        self.unknown.take()
    }

    pub(crate) fn tenant_credentials(&self) -> Option<Arc<TenantCredentials>> {
        self.tenant_credentials.clone()
    }

    /// The client for `tenant`'s items: with tenant credentials, a session of that tenant. The platform's partition belongs to
    /// the function's own role.
    async fn client(&self, tenant: TenantId) -> Result<Client> {
        match TenantCredentials::needed_for(self.tenant_credentials.as_ref(), tenant) {
            Some(tenant_credentials) => tenant_credentials.tables(tenant).await,
            None => Ok(self.own.clone()),
        }
    }

    /// The client for a transaction. A transaction with several tenants cannot use a tenant's session, so it uses the function's
    /// own role, which permits this only for few functions.
    async fn client_of(&self, ops: &[(TenantId, Op)]) -> Result<Client> {
        match ops {
            [(tenant, _), others @ ..] if others.iter().all(|(other, _)| other == tenant) => self.client(*tenant).await,
            _ => Ok(self.own.clone()),
        }
    }

    pub(crate) fn now(&self) -> crate::base::Timestamp {
        self.clock.now()
    }

    fn name(&self, table: Table) -> &str {
        match table {
            Table::Records => &self.names.records,
            Table::Ledger => &self.names.ledger,
            Table::Keys => &self.names.keys,
            Table::Ephemera => &self.names.ephemera,
        }
    }

    /// A consistent GetItem.
    pub(crate) async fn get(&self, tenant: TenantId, table: Table, key: &Key) -> Result<Option<Row>> {
        let got = self
            .client(tenant)
            .await?
            .get_item()
            .table_name(self.name(table))
            .set_key(Some(key.attributes(tenant)))
            .consistent_read(true)
            .send();
        Ok(got.await.map_err(unavailable(SERVICE))?.item.map(|item| self.row(item)))
    }

    /// Reads one item from each of several tables in one BatchGetItem: each consistently, but not all at one instant.
    pub(crate) async fn get_each<const N: usize>(&self, tenant: TenantId, items: [(Table, &Key); N]) -> Result<[Option<Row>; N]> {
        let keys = |key: &Key| {
            KeysAndAttributes::builder()
                .consistent_read(true)
                .keys(key.attributes(tenant))
                .build()
                .map_err(|_| Error::internal("batch get"))
        };
        let mut wanted =
            items.iter().map(|(table, key)| Ok((self.name(*table).to_owned(), keys(key)?))).collect::<Result<HashMap<_, _>>>()?;
        let mut found: HashMap<String, Vec<Attributes>> = HashMap::new();
        // DynamoDB may answer a part and return the rest. There are at most two keys, so two rounds suffice, and the third is a
        // reserve.
        let client = self.client(tenant).await?;
        for _ in 0..3 {
            let got = client.batch_get_item().set_request_items(Some(wanted)).send().await.map_err(unavailable(SERVICE))?;
            for (table, items) in got.responses.unwrap_or_default() {
                found.entry(table).or_default().extend(items);
            }
            wanted = got.unprocessed_keys.unwrap_or_default();
            if wanted.is_empty() {
                let mut take =
                    |table| found.remove(self.name(table)).and_then(|items| items.into_iter().next()).map(|item| self.row(item));
                return Ok(items.map(|(table, _)| take(table)));
            }
        }
        Err(Error::Unavailable { service: SERVICE, cause: Cause::code("unprocessed keys") })
    }

    pub(crate) async fn query(&self, tenant: TenantId, query: &Query, from: Option<Position>) -> Result<Page> {
        let hash = query.index.map_or("pk", Index::attribute);
        let partition = AttributeValue::S(prefixed(tenant, &query.partition));
        let mut request = self
            .client(tenant)
            .await?
            .query()
            .table_name(self.name(query.table))
            .set_index_name(query.index.map(|i| i.name().to_owned()))
            .limit(i32::try_from(query.limit).unwrap_or(i32::MAX))
            .scan_index_forward(!query.newest_first)
            .consistent_read(query.index.is_none())
            .expression_attribute_names("#h", hash)
            .expression_attribute_values(":h", partition.clone());
        request = match &query.range {
            None => request.key_condition_expression("#h = :h"),
            Some((low, high)) => request
                .key_condition_expression("#h = :h AND #s BETWEEN :low AND :high")
                .expression_attribute_names("#s", query.sort_attribute())
                .expression_attribute_values(":low", AttributeValue::S(low.clone()))
                .expression_attribute_values(":high", AttributeValue::S(high.clone())),
        };
        if let Some(Position(pk, sk, sort)) = from {
            let mut start = Key::new(pk, sk).attributes(tenant);
            if let Some(index) = query.index {
                start.insert(index.attribute().to_owned(), partition);
                start.insert(index.sort_attribute().to_owned(), AttributeValue::S(sort));
            }
            request = request.set_exclusive_start_key(Some(start));
        }
        let answer = request.send().await.map_err(unavailable(SERVICE))?;
        let next = answer.last_evaluated_key.map(|last| position(tenant, &last, query.sort_attribute())).transpose()?;
        Ok(Page { rows: answer.items.unwrap_or_default().into_iter().map(|item| self.row(item)).collect(), next })
    }

    /// Every item of a query, page after page, for lists that one process can hold.
    pub(crate) async fn query_all(&self, tenant: TenantId, query: &Query) -> Result<Vec<Row>> {
        let (mut rows, mut from) = (Vec::new(), None);
        loop {
            let page = self.query(tenant, query, from).await?;
            rows.extend(page.rows);
            from = page.next;
            if from.is_none() {
                return Ok(rows);
            }
        }
    }

    /// One conditional UpdateItem on an item that is not a business item: a session, a limit, a counter.
    pub(crate) async fn update(&self, tenant: TenantId, table: Table, key: &Key, update: Update<'_>) -> Result<Outcome> {
        quotas::check_values(
            tenant,
            table,
            key,
            update.values.iter().map(|(name, value)| (name.trim_start_matches(':'), value)),
        )?;
        let names = update.names.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let values = update.values.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<HashMap<_, _>>();
        let request = self
            .client(tenant)
            .await?
            .update_item()
            .table_name(self.name(table))
            .set_key(Some(key.attributes(tenant)))
            .update_expression(update.expression)
            .set_condition_expression(update.condition.map(str::to_owned))
            .set_expression_attribute_names(Some(names).filter(|n: &HashMap<_, _>| !n.is_empty()))
            .set_expression_attribute_values(Some(values).filter(|v| !v.is_empty()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match self.unless_held(|| request.clone().send()).await {
            Ok(answer) => Ok(Outcome::Done(self.row(answer.attributes.unwrap_or_default()))),
            Err(e) => match e.as_service_error() {
                Some(e) if e.is_conditional_check_failed_exception() => {
                    use aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException as Failed;
                    let Failed(failed) = e else { return Ok(Outcome::Refused(None)) };
                    Ok(Outcome::Refused(failed.item().cloned().map(|item| self.row(item))))
                }
                _ => Err(unavailable(SERVICE)(e)),
            },
        }
    }

    /// Puts an item, replacing any existing one.
    pub(crate) async fn put(&self, tenant: TenantId, table: Table, item: Item) -> Result<()> {
        quotas::check_item(tenant, table, &item)?;
        let put = self.client(tenant).await?.put_item().table_name(self.name(table)).set_item(Some(item.into_attributes(tenant)));
        self.unless_held(|| put.clone().send()).await.map(drop).map_err(unavailable(SERVICE))
    }

    /// Deletes an item if `condition` holds, and returns it.
    pub(crate) async fn take(&self, tenant: TenantId, table: Table, key: &Key, condition: &Condition) -> Result<Outcome> {
        use aws_sdk_dynamodb::operation::delete_item::DeleteItemError::ConditionalCheckFailedException as Failed;
        let (expression, names, values) = condition.expression();
        let request = self
            .client(tenant)
            .await?
            .delete_item()
            .table_name(self.name(table))
            .set_key(Some(key.attributes(tenant)))
            .condition_expression(expression)
            .set_expression_attribute_names(Some(names).filter(|n| !n.is_empty()))
            .set_expression_attribute_values(Some(values).filter(|v| !v.is_empty()))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match self.unless_held(|| request.clone().send()).await {
            Ok(answer) => Ok(answer.attributes.map_or(Outcome::Refused(None), |item| Outcome::Done(self.row(item)))),
            Err(e) => match e.as_service_error() {
                Some(Failed(failed)) => Ok(Outcome::Refused(failed.item().cloned().map(|item| self.row(item)))),
                _ => Err(unavailable(SERVICE)(e)),
            },
        }
    }

    /// One item's edit alone; false if its condition does not hold.
    pub(crate) async fn edit(&self, tenant: TenantId, table: Table, edit: &Edit) -> Result<bool> {
        quotas::check_edit(tenant, table, edit)?;
        let (update, mut names, mut values) = edit.expression(tenant);
        let (condition, more_names, more_values) = edit.condition.expression();
        names.extend(more_names);
        values.extend(more_values);
        let request = self
            .client(tenant)
            .await?
            .update_item()
            .table_name(self.name(table))
            .set_key(Some(edit.key.attributes(tenant)))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names).filter(|n| !n.is_empty()))
            .set_expression_attribute_values(Some(values).filter(|v| !v.is_empty()));
        match self.unless_held(|| request.clone().send()).await {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(false),
            Err(e) => Err(unavailable(SERVICE)(e)),
        }
    }

    /// Deletes an item; deleting a missing item succeeds.
    pub(crate) async fn delete(&self, tenant: TenantId, table: Table, key: &Key) -> Result<()> {
        let delete = self.client(tenant).await?.delete_item().table_name(self.name(table)).set_key(Some(key.attributes(tenant)));
        self.unless_held(|| delete.clone().send()).await.map(drop).map_err(unavailable(SERVICE))
    }

    /// Sends a write that is not a transaction, and repeats it while a transaction holds its item. The SDK does not repeat it,
    /// and DynamoDB has not evaluated the condition in this case. The tries are limited like those of a commit: by number, and by
    /// the deadline.
    async fn unless_held<T, E, R, F>(&self, send: impl Fn() -> F) -> Result<T, SdkError<E, R>>
    where
        E: ProvideErrorMetadata,
        F: Future<Output = Result<T, SdkError<E, R>>>,
    {
        let mut attempt = 0;
        loop {
            let sent = send().await;
            let code = sent.as_ref().err().and_then(SdkError::as_service_error).and_then(ProvideErrorMetadata::code);
            attempt += 1;
            let pause = backoff(attempt);
            let over = resilience::deadline().is_some_and(|end| self.clock.now().plus(pause) >= end);
            if code != Some(HELD) || attempt >= CONFLICT_ATTEMPTS || over {
                return sent;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Deletes items, 25 in a call; deleting a missing item succeeds.
    pub(crate) async fn delete_all(&self, tenant: TenantId, table: Table, keys: &[Key]) -> Result<()> {
        use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
        let client = self.client(tenant).await?;
        for chunk in keys.chunks(MOST_BATCHED) {
            let delete = |key: &Key| {
                let request = DeleteRequest::builder().set_key(Some(key.attributes(tenant))).build();
                let request = request.map_err(|_| Error::internal("batch write"))?;
                Ok(WriteRequest::builder().delete_request(request).build())
            };
            let mut wanted =
                HashMap::from([(self.name(table).to_owned(), chunk.iter().map(delete).collect::<Result<Vec<_>>>()?)]);
            for attempt in 0..CONFLICT_ATTEMPTS {
                let request = client.batch_write_item().set_request_items(Some(wanted));
                let sent = self.unless_held(|| request.clone().send()).await;
                wanted = sent.map_err(unavailable(SERVICE))?.unprocessed_items.unwrap_or_default();
                if wanted.is_empty() {
                    break;
                }
                tokio::time::sleep(backoff(attempt + 1)).await;
            }
            if !wanted.is_empty() {
                return Err(Error::Unavailable { service: SERVICE, cause: Cause::code("unprocessed items") });
            }
        }
        Ok(())
    }

    /// Commits all operations or none. A conflict with another transaction is retried until `deadline`.
    pub(crate) async fn commit(
        &self,
        ops: &[(TenantId, Op)],
        token: &str,
        deadline: crate::base::Timestamp,
    ) -> Result<(), Refused> {
        quotas::check_transaction(ops).map_err(Refused::Error)?;
        let items =
            ops.iter().map(|(tenant, op)| self.transact_item(*tenant, op)).collect::<Result<Vec<_>>>().map_err(Refused::Error)?;
        let client = self.client_of(ops).await.map_err(Refused::Error)?;
        let mut attempt = 0;
        loop {
            let sent =
                client.transact_write_items().client_request_token(token).set_transact_items(Some(items.clone())).send().await;
            let Err(e) = sent else { return Ok(()) };
            let reasons = match e.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(e)) => e.cancellation_reasons().to_vec(),
                // The first attempt with this token is still running; it will have ended by the next attempt.
                Some(TransactWriteItemsError::TransactionInProgressException(_)) => Vec::new(),
                _ => return Err(Refused::Error(unavailable(SERVICE)(e))),
            };
            if let Some(refused) = failed_condition(&reasons) {
                return Err(refused);
            }
            if let Some(other) = reasons.iter().filter_map(CancellationReason::code).find(|c| !RETRYABLE.contains(c)) {
                return Err(Refused::Error(Error::internal_because("commit", Cause::code(other))));
            }
            attempt += 1;
            let pause = backoff(attempt);
            if attempt >= CONFLICT_ATTEMPTS || self.clock.now().plus(pause) >= deadline {
                return Err(Refused::Error(Error::Unavailable { service: SERVICE, cause: cause(&e) }));
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn transact_item(&self, tenant: TenantId, op: &Op) -> Result<TransactWriteItem> {
        use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put, Update};
        let (table, condition) = (self.name(op.table()).to_owned(), op.condition());
        let all_old = ReturnValuesOnConditionCheckFailure::AllOld;
        let (expression, names, values) = condition.map(Condition::expression).unwrap_or_default();
        let expression = (!expression.is_empty()).then_some(expression);
        let (names, values) = (Some(names).filter(|n| !n.is_empty()), Some(values).filter(|v| !v.is_empty()));
        let item = TransactWriteItem::builder();
        let built = match op {
            Op::Put { item: put, .. } => Put::builder()
                .table_name(table)
                .set_item(Some(put.clone().into_attributes(tenant)))
                .set_condition_expression(expression)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .return_values_on_condition_check_failure(all_old)
                .build()
                .map(|put| item.put(put)),
            Op::Delete { key, .. } => Delete::builder()
                .table_name(table)
                .set_key(Some(key.attributes(tenant)))
                .set_condition_expression(expression)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .return_values_on_condition_check_failure(all_old)
                .build()
                .map(|delete| item.delete(delete)),
            Op::Check { key, .. } => ConditionCheck::builder()
                .table_name(table)
                .set_key(Some(key.attributes(tenant)))
                .set_condition_expression(expression)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .return_values_on_condition_check_failure(all_old)
                .build()
                .map(|check| item.condition_check(check)),
            Op::Edit { edit, .. } => {
                let (update, more_names, more_values) = edit.expression(tenant);
                let (mut names, mut values) = (names.unwrap_or_default(), values.unwrap_or_default());
                names.extend(more_names);
                values.extend(more_values);
                Update::builder()
                    .table_name(table)
                    .set_key(Some(edit.key.attributes(tenant)))
                    .update_expression(update)
                    .set_condition_expression(expression)
                    .set_expression_attribute_names(Some(names))
                    .set_expression_attribute_values(Some(values).filter(|v| !v.is_empty()))
                    .return_values_on_condition_check_failure(all_old)
                    .build()
                    .map(|update| item.update(update))
            }
        };
        Ok(built.map_err(|_| Error::internal("transaction item"))?.build())
    }
}

/// A conditional UpdateItem: its expressions, names and values.
#[derive(Debug, Default)]
pub(crate) struct Update<'a> {
    pub(crate) expression: &'a str,
    pub(crate) condition: Option<&'a str>,
    pub(crate) names: &'a [(&'a str, &'a str)],
    pub(crate) values: Vec<(&'static str, AttributeValue)>,
}

/// A failed condition may also appear among these; if it decides, it was handled before.
const RETRYABLE: [&str; 5] =
    ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "ConditionalCheckFailed"];

fn failed_condition(reasons: &[CancellationReason]) -> Option<Refused> {
    // The last operation is the idempotency record, if there is one. Its result takes precedence over all others, so the search
    // begins at the end. While another transaction holds that record, its result is unknown, and nothing can be decided.
    let undecided = |code| !matches!(code, "None" | "ConditionalCheckFailed");
    if reasons.last().and_then(CancellationReason::code).is_some_and(undecided) {
        return None;
    }
    let index = reasons.iter().rposition(|r| r.code() == Some("ConditionalCheckFailed"))?;
    let first = reasons.iter().position(|r| r.code() == Some("ConditionalCheckFailed"))?;
    let index = if index + 1 == reasons.len() { index } else { first };
    Some(Refused::Condition { index, old: reasons[index].item().cloned().map(Row::new) })
}

fn position(tenant: TenantId, last: &Attributes, sort: &str) -> Result<Position> {
    let text = |name: &str| last.get(name).and_then(|v| v.as_s().ok()).map(String::as_str);
    let prefix = prefixed(tenant, "");
    let pk = text("pk").and_then(|pk| pk.strip_prefix(&prefix)).ok_or(Error::internal("page end"))?;
    let sk = text("sk").ok_or(Error::internal("page end"))?;
    Ok(Position(pk.to_owned(), sk.to_owned(), text(sort).unwrap_or_default().to_owned()))
}
