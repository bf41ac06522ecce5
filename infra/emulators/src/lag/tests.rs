use super::*;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};

/// A proxy for a table `things` whose indexes lag for a second, and the seconds of its clock.
fn lag() -> (Lag, Arc<AtomicU64>) {
    let seconds = Arc::new(AtomicU64::new(0));
    let clock = seconds.clone();
    let now = Box::new(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
    let (table, indexes) = (Database::memory().unwrap(), Database::memory().unwrap());
    let lag = Lag::start(table, String::new(), indexes, Duration::from_secs(1), now).unwrap();
    let keys = |hash: &str| json!([{"AttributeName": hash, "KeyType": "HASH"}]);
    let table = json!({
        "TableName": "things", "BillingMode": "PAY_PER_REQUEST", "KeySchema": keys("pk"),
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "ix_all", "AttributeType": "S"},
        ],
        "GlobalSecondaryIndexes": [{"IndexName": "all", "KeySchema": keys("ix_all"), "Projection": {"ProjectionType": "ALL"}}],
    });
    assert_eq!(call(&lag, "CreateTable", &table).0, StatusCode::OK);
    (lag, seconds)
}

fn call(lag: &Lag, operation: &str, body: &Value) -> (StatusCode, Value) {
    let (status, said) = lag.front.answer(Some(&format!("DynamoDB_20120810.{operation}")), body.to_string().as_bytes()).unwrap();
    (status, serde_json::from_slice(&said).unwrap())
}

fn put(lag: &Lag, name: &str, n: usize) {
    let item = json!({"pk": {"S": name}, "ix_all": {"S": "all"}, "n": {"N": n.to_string()}});
    assert_eq!(call(lag, "PutItem", &json!({"TableName": "things", "Item": item})).0, StatusCode::OK);
}

fn query() -> Value {
    json!({
        "TableName": "things", "IndexName": "all", "KeyConditionExpression": "ix_all = :list",
        "ExpressionAttributeValues": {":list": {"S": "all"}},
    })
}

fn listed(lag: &Lag) -> Vec<Value> {
    let (status, mut said) = call(lag, "Query", &query());
    assert_eq!(status, StatusCode::OK, "{said}");
    said["Items"].as_array_mut().unwrap().drain(..).collect()
}

#[test]
fn index_shows_a_write_a_second_later() {
    let (lag, seconds) = lag();
    put(&lag, "a", 1);
    assert_eq!(listed(&lag).len(), 0);
    seconds.store(1, Ordering::Relaxed);
    put(&lag, "b", 1);
    assert_eq!(listed(&lag).len(), 1);
    lag.settle();
    assert_eq!(listed(&lag).len(), 2);
}

#[test]
fn index_never_lacks_more_than_a_bounded_number_of_writes() {
    let (lag, _) = lag();
    for n in 0..MOST_UNSEEN + 3 {
        put(&lag, &n.to_string(), n);
    }
    assert_eq!(lag.front.backlog().unseen.len(), MOST_UNSEEN, "a query has no more to repeat");
    assert_eq!(listed(&lag).len(), 3);
}

#[test]
fn held_index_shows_no_later_write_until_it_is_released() {
    let (lag, seconds) = lag();
    put(&lag, "a", 1);
    lag.hold(true);
    for n in 0..2 * MOST_UNSEEN {
        put(&lag, &n.to_string(), n);
    }
    seconds.store(60, Ordering::Relaxed);
    lag.settle();
    assert_eq!(listed(&lag).len(), 1);
    lag.hold(false);
    assert_eq!(listed(&lag).len(), 1 + 2 * MOST_UNSEEN);
}

#[test]
fn refused_write_does_not_appear_in_the_index() {
    let (lag, _) = lag();
    let absent = json!({
        "TableName": "things", "Key": {"pk": {"S": "a"}}, "UpdateExpression": "SET ix_all = :list",
        "ConditionExpression": "attribute_exists(pk)", "ExpressionAttributeValues": {":list": {"S": "all"}},
    });
    let (status, said) = call(&lag, "UpdateItem", &absent);
    let code = said["__type"].as_str().unwrap();
    assert!(status == StatusCode::BAD_REQUEST && code.ends_with("#ConditionalCheckFailedException"), "{said}");
    assert!(lag.front.answer(Some("DynamoDB_20120810.PutItem"), b"{").is_none(), "the table's server refuses it");
    lag.settle();
    assert_eq!(listed(&lag).len(), 0);
}

#[test]
fn index_repeats_concurrent_writes_in_the_order_of_the_table() {
    let (lag, _) = lag();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let lag = &lag;
            scope.spawn(move || (0..50).for_each(|n| put(lag, &format!("{}", n % 5), 1000 * thread + n)));
        }
    });
    lag.settle();
    let of_table = lag.front.table.query(serde_json::from_value(query()).unwrap()).unwrap();
    assert_eq!(json!(listed(&lag)), serde_json::to_value(of_table).unwrap()["Items"]);
}

#[test]
fn write_that_the_indexes_cannot_repeat_fails_every_later_query() {
    let (lag, _) = lag();
    put(&lag, "a", 1);
    lag.settle();
    let gone = json!({"TableName": "things", "Key": {"pk": {"S": "a"}}});
    lag.front.indexes.delete_item(serde_json::from_value(gone.clone()).unwrap()).unwrap();
    let mut changed = gone;
    changed["ConditionExpression"] = json!("attribute_exists(pk)");
    assert_eq!(call(&lag, "DeleteItem", &changed).0, StatusCode::OK);
    lag.settle();
    for _ in 0..2 {
        assert_eq!(call(&lag, "Query", &query()).0, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
