//! DynamoDB. A transaction or a batch needs the permissions for each of its items.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html>

use super::{Ask, Malformed, arn, ask, at_rest};
use crate::{ACCOUNT, iam::account::Account};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

pub(super) fn asks(operation: &str, body: &Value, account: &Account) -> Result<Vec<Ask>, Malformed> {
    let wrong = || Malformed(format!("DynamoDB's {operation} is not supported: {body}"));
    let mut of = Of { account, tables: BTreeSet::new(), asks: Vec::new() };
    let list = |name: &str| body[name].as_array().ok_or_else(wrong);
    match operation {
        "GetItem" | "DeleteItem" | "UpdateItem" => of.item(operation, body, &body["Key"], None)?,
        "PutItem" => of.item(operation, body, &body["Item"], None)?,
        "Query" => of.query(body)?,
        // A Scan has no key.
        "Scan" => of.push("Scan", text(&body["TableName"])?, body["IndexName"].as_str(), BTreeSet::new(), None),
        "BatchGetItem" | "BatchWriteItem" => {
            for (table, asked) in body["RequestItems"].as_object().ok_or_else(wrong)? {
                let items = asked["Keys"].as_array().or(asked.as_array()).ok_or_else(wrong)?;
                let mut keys = BTreeSet::new();
                for item in items {
                    let put = item.pointer("/PutRequest/Item").or(item.pointer("/DeleteRequest/Key"));
                    keys.insert(of.leading(table, put.unwrap_or(item))?);
                }
                of.push(operation, table, None, keys, None);
            }
        }
        "TransactWriteItems" | "TransactGetItems" => {
            for item in list("TransactItems")? {
                for (kind, item) in item.as_object().ok_or_else(wrong)? {
                    let (action, key) = match kind.as_str() {
                        "ConditionCheck" => ("ConditionCheckItem", &item["Key"]),
                        "Put" => ("PutItem", &item["Item"]),
                        "Update" => ("UpdateItem", &item["Key"]),
                        "Delete" => ("DeleteItem", &item["Key"]),
                        "Get" => ("GetItem", &item["Key"]),
                        _ => return Err(wrong()),
                    };
                    of.item(action, item, key, Some(operation))?;
                }
            }
        }
        "DescribeTable" => {
            let table = table_name(text(&body["TableName"])?);
            return Ok(vec![ask("dynamodb:DescribeTable", arn("dynamodb", format_args!("table/{table}")))]);
        }
        _ => return Err(wrong()),
    }
    Ok(of.finish())
}

struct Of<'a> {
    account: &'a Account,
    tables: BTreeSet<String>,
    asks: Vec<Ask>,
}

impl Of<'_> {
    fn item(&mut self, action: &str, about: &Value, key: &Value, within: Option<&str>) -> Result<(), Malformed> {
        let table = text(&about["TableName"])?;
        let leading = self.leading(table, key)?;
        self.push(action, table, None, [leading].into(), within);
        Ok(())
    }

    fn query(&mut self, body: &Value) -> Result<(), Malformed> {
        let (table, index) = (text(&body["TableName"])?, body["IndexName"].as_str());
        let hash = self.hash(table, index)?;
        let condition = text(&body["KeyConditionExpression"])?;
        let name = |word: &str| body["ExpressionAttributeNames"][word].as_str().unwrap_or(word).to_owned();
        let pairs = condition.split(" AND ").filter_map(|term| term.split_once('='));
        let mut values = pairs.filter(|(left, _)| name(left.trim()) == hash).map(|(_, right)| right.trim());
        let wanted = values.next().map(|value| &body["ExpressionAttributeValues"][value]);
        let leading = wanted.and_then(scalar).ok_or_else(|| Malformed(format!("a Query has no value of {hash}: {condition}")))?;
        self.push("Query", table, index, [leading].into(), None);
        Ok(())
    }

    fn hash(&self, table: &str, index: Option<&str>) -> Result<String, Malformed> {
        let unknown = || Malformed(format!("the templates have no table `{table}` with an index {index:?}"));
        let table = self.account.table(table_name(table)).ok_or_else(unknown)?;
        Ok(match index {
            None => table.hash.clone(),
            Some(index) => table.indexes.get(index).ok_or_else(unknown)?.clone(),
        })
    }

    /// The partition key of an item or a key.
    fn leading(&self, table: &str, key: &Value) -> Result<String, Malformed> {
        let hash = self.hash(table, None)?;
        scalar(&key[&hash]).ok_or_else(|| Malformed(format!("an item of {table} has no key `{hash}`")))
    }

    fn push(&mut self, action: &str, table: &str, index: Option<&str>, keys: BTreeSet<String>, within: Option<&str>) {
        let table = table_name(table);
        let index = index.map(|index| format!("/index/{index}")).unwrap_or_default();
        let mut ask = ask(format!("dynamodb:{action}"), arn("dynamodb", format_args!("table/{table}{index}")));
        if !keys.is_empty() {
            ask = ask.with("dynamodb:LeadingKeys", keys);
        }
        if let Some(operation) = within {
            ask = ask.with("dynamodb:EnclosingOperation", [operation]);
        }
        self.tables.insert(table.to_owned());
        self.asks.push(ask);
    }

    /// Adds each key of the tables once, at the end.
    fn finish(mut self) -> Vec<Ask> {
        for name in &self.tables {
            if let Some(key) = self.account.table(name).and_then(|table| table.key.as_ref()) {
                let context = [("aws:dynamodb:tableName", name.as_str()), ("aws:dynamodb:subscriberId", ACCOUNT)];
                self.asks.push(at_rest(key, "dynamodb", "Decrypt", &context));
            }
        }
        self.asks
    }
}

/// A table may be given by its ARN.
fn table_name(name: &str) -> &str {
    name.rsplit_once(":table/").map_or(name, |(_, name)| name)
}

fn text(value: &Value) -> Result<&str, Malformed> {
    value.as_str().ok_or_else(|| Malformed("a call to DynamoDB lacks a name".to_owned()))
}

/// A key's value: a text, a number, or bytes as base64.
fn scalar(value: &Value) -> Option<String> {
    let typed: &Map<_, _> = value.as_object()?;
    ["S", "N", "B"].into_iter().find_map(|kind| typed.get(kind)?.as_str()).map(str::to_owned)
}
