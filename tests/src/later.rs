//! Items as a later version of this code would write them: with attributes, members and enum values that this version does not
//! know.

use aws_sdk_dynamodb::types::AttributeValue::{self, N, S};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use testing::App;

/// An attribute, and a member of objects, that this version does not know.
pub const UNKNOWN: &str = "of_a_later_version";
/// An enum value that this version does not know.
pub const WORD: &str = "later_word";

/// All tables. Objects in S3 are left out.
const TABLES: [&str; 4] = ["RecordsTable", "LedgerTable", "KeysTable", "EphemeraTable"];
/// Members of stored objects that are lists of enum values.
const LISTS: [&str; 3] = ["mfa_roles", "scopes", "purposes"];

type Item = HashMap<String, AttributeValue>;
/// Items by table and key.
pub type Items = BTreeMap<(&'static str, String, String), Item>;

pub async fn items(app: &App) -> Items {
    let mut items = Items::new();
    for table in TABLES {
        for item in app.dump(table).await {
            let [pk, sk] = ["pk", "sk"].map(|name| item[name].as_s().unwrap().clone());
            items.insert((table, pk, sk), item);
        }
    }
    items
}

/// Rewrites every item as a later version would, and puts a notification of an unknown kind into each inbox.
pub async fn write_all(app: &App) -> Items {
    for ((table, pk, sk), mut item) in items(app).await {
        extend(table, &mut item);
        if sk == "STATE" && pk.contains("#INBOX#") {
            put(app, table, another_notification(&pk, &mut item)).await;
        }
        put(app, table, item).await;
    }
    // The older version starts a while later.
    app.settle_indexes();
    items(app).await
}

pub async fn put(app: &App, table: &str, item: Item) {
    let put = app.raw().put_item().table_name(&app.provisioned().tables[table]).set_item(Some(item));
    put.send().await.unwrap();
}

fn extend(table: &str, item: &mut Item) {
    item.insert(UNKNOWN.to_owned(), S("stays".to_owned()));
    // The audit log's format has its own versions, and hashes protect it from changes.
    let is_log = table == "LedgerTable" && !item["pk"].as_s().unwrap().ends_with("#EVENTS");
    for (name, value) in item.iter_mut() {
        let Some(mut json) = json_of(value).filter(|_| !is_log) else { continue };
        extend_json(name, &mut json);
        *value = S(json.to_string());
    }
}

fn json_of(value: &AttributeValue) -> Option<Value> {
    serde_json::from_str::<Value>(value.as_s().ok()?).ok().filter(|json| json.is_object() || json.is_array())
}

fn extend_json(name: &str, json: &mut Value) {
    match json {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                extend_json(name, value);
            }
            members.insert(UNKNOWN.to_owned(), json!({ "n": [1] }));
        }
        Value::Array(elements) if name == "grants" => {
            elements.iter_mut().for_each(|grant| extend_json("", grant));
            elements.push(json!({ "role": WORD }));
        }
        Value::Array(elements) if LISTS.contains(&name) => elements.push(WORD.into()),
        _ => {}
    }
}

/// The inbox's next notification, of a kind that this version does not know. Updates the state that counts it.
fn another_notification(pk: &str, state: &mut Item) -> Item {
    let seq: u64 = state["seq"].as_n().unwrap().parse::<u64>().unwrap() + 1;
    let unread: u64 = state["unread"].as_n().unwrap().parse::<u64>().unwrap() + 1;
    state.extend([("seq".to_owned(), N(seq.to_string())), ("unread".to_owned(), N(unread.to_string()))]);
    let texts = [
        ("pk", pk.to_owned()),
        ("sk", format!("N#{seq:012}")),
        ("notification_id", format!("ntf_019b76da1000700080{seq:014x}")),
        ("kind", WORD.to_owned()),
        ("subject_type", "Shipment".to_owned()),
        ("subject_id", "shp_019b76da100070008000000000000000".to_owned()),
        ("event_id", "evt_019b76da100070008000000000000000".to_owned()),
        ("created_at", "2026-01-01T12:00:00.000Z".to_owned()),
        (UNKNOWN, "stays".to_owned()),
    ];
    let mut item: Item = texts.map(|(name, text)| (name.to_owned(), S(text))).into();
    item.extend([("push", "0"), ("email", "1")].map(|(name, n)| (name.to_owned(), N(n.to_owned()))));
    item
}

/// The unknown data that items have lost, although the items still exist.
pub fn lost(before: &Items, after: &Items) -> Vec<String> {
    let mut lost = Vec::new();
    for (key @ (table, pk, sk), old) in before {
        let Some(new) = after.get(key) else { continue };
        for (name, was) in old {
            let place = format!("{table} {pk} {sk} {name}");
            match new.get(name) {
                None if name == UNKNOWN => lost.push(place),
                None => {}
                Some(is) => {
                    if let (Some(was), Some(is)) = (json_of(was), json_of(is)) {
                        compare(&place, &was, &is, &mut lost);
                    }
                }
            }
        }
    }
    lost
}

fn compare(place: &str, was: &Value, is: &Value, lost: &mut Vec<String>) {
    match (was, is) {
        (Value::Object(was), Value::Object(is)) => {
            for (name, was) in was {
                match is.get(name) {
                    None if name == UNKNOWN => lost.push(format!("{place}.{name}")),
                    None => {}
                    Some(is) => compare(&format!("{place}.{name}"), was, is, lost),
                }
            }
        }
        (Value::Array(was), Value::Array(is)) => {
            let later = |element: &&Value| **element == json!(WORD) || element["role"] == WORD;
            lost.extend(was.iter().filter(later).filter(|word| !is.contains(word)).map(|word| format!("{place}: {word}")));
        }
        _ => {}
    }
}
