use std::collections::BTreeSet;

use axum::http::Method;
use emulators::ups::Options;
use serde_json::Value;

use crate::rig::{DAY, NUMBER, OTHER, Rig};

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("`{value}` is not a text"))
}

/// The types of all activities, in the answer's order.
fn types(package: &Value) -> Vec<&str> {
    package["activity"].as_array().unwrap().iter().map(|activity| text(&activity["status"]["type"])).collect()
}

#[tokio::test]
async fn both_headers_are_required() {
    let rig = Rig::plain();
    let token = format!("Bearer {}", rig.caller.token().await);
    let path = format!("/api/track/v1/details/{NUMBER}");
    for only in ["transId", "transactionSrc"] {
        let headers = [("authorization", &*token), (only, "1")];
        let answer = rig.caller.send(Method::GET, &path, &headers, String::new()).await.unwrap();
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(!answer.code().is_empty());
    }
}

#[tokio::test]
async fn unknown_number_is_a_warning_and_no_error() {
    let rig = Rig::plain();
    let token = rig.caller.token().await;
    let answer = rig.caller.track(&token, NUMBER, "").await.unwrap();
    assert_eq!(answer.status, 200);
    let shipment = &answer.json["trackResponse"]["shipment"][0];
    assert_eq!(shipment["warnings"][0]["code"], "TW0001");
    assert!(shipment.get("package").is_none());
    assert_eq!(rig.caller.track(&token, "short", "").await.unwrap().status, 400);
}

#[tokio::test]
async fn package_is_deleted_after_120_days() {
    let rig = Rig::plain();
    rig.ups.advance(NUMBER, "DELIVERED").unwrap();
    rig.pass(120 * DAY);
    assert_eq!(rig.package(NUMBER).await["trackingNumber"], NUMBER);
    rig.pass(1);
    assert!(rig.package(NUMBER).await.is_null());
}

#[tokio::test]
async fn request_creates_a_package_only_with_auto_create() {
    let rig = Rig::start(|options| Options { auto_create: true, ..options });
    assert_eq!(rig.package(NUMBER).await["currentStatus"]["type"], "M");
    assert!(rig.package("7777777777").await.is_null(), "no 1Z number");
    assert_eq!(rig.ups.packages().len(), 1);
}

#[tokio::test]
async fn first_advance_creates_the_label_and_newest_comes_first() {
    let rig = Rig::plain();
    rig.ups.advance(NUMBER, "IN_TRANSIT").unwrap();
    rig.pass(DAY);
    rig.ups.advance(NUMBER, "EXCEPTION").unwrap();
    rig.pass(DAY);
    rig.ups.advance(NUMBER, "DELIVERED").unwrap();
    rig.ups.advance(OTHER, "LABEL_CREATED").unwrap();
    let package = rig.package(NUMBER).await;
    assert_eq!(types(&package), ["D", "X", "I", "M"]);
    let dates: Vec<_> = package["activity"].as_array().unwrap().iter().map(|activity| text(&activity["gmtDate"])).collect();
    assert_eq!(dates, ["20260202", "20260201", "20260131", "20260131"]);
    assert_eq!(rig.ups.packages()[1].activities, 1, "the other package is untouched");
}

#[tokio::test]
async fn unknown_code_is_returned_as_given() {
    let rig = Rig::plain();
    rig.ups.advance(NUMBER, "ZZ/Q9").unwrap();
    let package = rig.package(NUMBER).await;
    let newest = &package["activity"][0]["status"];
    assert_eq!((text(&newest["type"]), text(&newest["code"])), ("ZZ", "Q9"));
}

/// Minutes since midnight, UTC, of each time format of UPS.
fn minutes(time: &str) -> (&'static str, u32) {
    let number = |text: &str| text.parse::<u32>().unwrap();
    match time.split_once(':') {
        Some((hour, rest)) => ("colons", number(hour) * 60 + number(rest.split_once(':').unwrap().0)),
        None => {
            let form = if time.len() == 6 { "six digits" } else { "short" };
            (form, number(time) / 10_000 * 60 + number(time) / 100 % 100)
        }
    }
}

#[tokio::test]
async fn every_irregularity_of_the_format_occurs() {
    let rig = Rig::plain();
    let mut seen = BTreeSet::new();
    for n in 0..60 {
        let number = format!("1ZSYNTHETIC{n:07}");
        rig.ups.advance(&number, "LABEL_CREATED").unwrap();
        let labelled = rig.package(&number).await;
        seen.insert(if labelled["activity"].is_null() { "no activities" } else { "activities" });
        seen.insert(if labelled["deliveryDate"].is_null() { "no date" } else { "date" });
        rig.ups.advance(&number, "IN_TRANSIT").unwrap();
        rig.ups.advance(&number, "OUT_FOR_DELIVERY").unwrap();
        let package = rig.package(&number).await;
        let out = &package["activity"][0]["status"];
        assert_eq!(out["statusCode"], "021");
        seen.insert(if out["type"] == "O" { "type O" } else { "type I" });
        let lags = package["currentStatus"]["statusCode"] != "021";
        assert_eq!(package["currentStatus"]["type"], if lags { "I" } else { text(&out["type"]) });
        seen.insert(if lags { "lags" } else { "is current" });
        seen.insert(if package.get("milestones").is_some_and(Value::is_null) { "null list" } else { "absent list" });
        for activity in package["activity"].as_array().unwrap() {
            let (form, at) = minutes(text(&activity["gmtTime"]));
            assert_eq!(at, 9 * 60 + 30, "{activity}");
            seen.insert(form);
            let offset = text(&activity["gmtOffset"]);
            seen.insert(if offset.contains(':') { "-05:00" } else { "-05.00" });
            let local = minutes(text(&activity["time"])).1;
            assert_eq!(offset, format!("-{:02}{}00", (at - local) / 60, &offset[3..4]));
            assert!(text(&activity["status"]["description"]).ends_with(' '));
        }
        assert_eq!(package["synthetic"], true, "a field that UPS's pages do not name");
    }
    let all = [
        "-05.00",
        "-05:00",
        "absent list",
        "activities",
        "colons",
        "date",
        "is current",
        "lags",
        "no activities",
        "no date",
        "null list",
        "short",
        "six digits",
        "type I",
        "type O",
    ];
    // Half past nine has five digits only without the leading zero.
    assert_eq!(seen, BTreeSet::from(all));
}

#[tokio::test]
async fn parts_of_dates_and_statuses_are_texts_or_null() {
    fn check(value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(check),
            Value::Object(fields) => fields.values().for_each(check),
            Value::Null | Value::String(_) => {}
            other => panic!("{other}"),
        }
    }
    let rig = Rig::plain();
    for status in ["LABEL_CREATED", "PICKED_UP", "EXCEPTION", "OUT_FOR_DELIVERY", "DELIVERED"] {
        rig.ups.advance(NUMBER, status).unwrap();
        let package = rig.package(NUMBER).await;
        for name in ["activity", "currentStatus", "deliveryDate", "deliveryTime", "service", "weight", "packageAddress"] {
            check(&package[name]);
        }
    }
    let package = rig.package(NUMBER).await;
    assert_eq!(package["deliveryDate"], serde_json::json!([{ "type": "DEL", "date": "20260131" }]));
    assert_eq!(package["deliveryTime"]["endTime"], "033000", "local");
}

#[tokio::test]
async fn answer_contains_data_that_must_not_be_stored() {
    let rig = Rig::plain();
    rig.ups.advance(NUMBER, "OUT_FOR_DELIVERY").unwrap();
    assert!(rig.package(NUMBER).await.get("deliveryInformation").is_none());
    rig.ups.advance(NUMBER, "DELIVERED").unwrap();
    let package = rig.package(NUMBER).await;
    let information = &package["deliveryInformation"];
    assert_eq!(information["receivedBy"], "SYNTHETIC RECEIVER");
    assert!(!text(&information["deliveryPhoto"]["photo"]).is_empty());
    assert!(information.get("signature").is_none(), "only on request");
    assert_eq!(package["packageAddress"][1]["attentionName"], "SYNTHETIC RECEIVER");
    assert_eq!(package["referenceNumber"][0]["number"], "SYNTHETIC-REFERENCE");

    let token = rig.caller.token().await;
    let query = "?returnSignature=true&returnPOD=true&returnMilestones=true&locale=en_US";
    let answer = rig.caller.track(&token, NUMBER, query).await.unwrap();
    let package = &answer.json["trackResponse"]["shipment"][0]["package"][0];
    assert!(!text(&package["deliveryInformation"]["signature"]["image"]).is_empty());
    assert!(!text(&package["deliveryInformation"]["pod"]["content"]).is_empty());
    let current: Vec<_> = package["milestones"].as_array().unwrap().iter().filter(|one| one["current"] == true).collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["description"], "Delivered");
}

#[tokio::test]
async fn answer_depends_only_on_the_seed() {
    async fn all(seed: u64) -> Vec<Value> {
        let rig = Rig::start(|options| Options { seed, ..options });
        let mut packages = Vec::new();
        for number in [NUMBER, OTHER] {
            for status in ["PICKED_UP", "IN_TRANSIT", "DELIVERED"] {
                rig.ups.advance(number, status).unwrap();
            }
            packages.push(rig.package(number).await);
            assert_eq!(packages.last(), Some(&rig.package(number).await), "the next poll says the same");
        }
        packages
    }
    assert_eq!(all(1).await, all(1).await);
    assert_ne!(all(1).await, all(2).await);
}
