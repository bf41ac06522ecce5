use axum::http::Method;
use emulators::ups::{Endpoint, Seen};
use serde_json::{Value, json};

use crate::rig::{NUMBER, OTHER, Rig};

#[tokio::test]
async fn packages_are_moved_and_listed() {
    let rig = Rig::plain();
    let moved = |number: &str, status: &str| json!({ "tracking_number": number, "status": status });
    let answer = rig.caller.control(Method::POST, "advance", moved(NUMBER, "OUT_FOR_DELIVERY")).await;
    let seen: Seen = serde_json::from_value(answer.json).unwrap();
    assert_eq!((seen.newest.status_code.as_str(), seen.activities, seen.at.as_str()), ("021", 2, "2026-01-31T09:30:00Z"));
    rig.caller.control(Method::POST, "advance", moved(OTHER, "ZZ/Q9")).await;
    let listed = rig.caller.control(Method::GET, "packages", Value::Null).await.json;
    let listed: Vec<Seen> = serde_json::from_value(listed["packages"].clone()).unwrap();
    assert_eq!(listed, rig.ups.packages());
    assert_eq!(listed[1].newest.kind, "ZZ");
}

#[tokio::test]
async fn invalid_request_is_refused_with_a_reason() {
    let rig = Rig::plain();
    for (what, body, reason) in [
        ("advance", json!({ "tracking_number": NUMBER, "status": "LOST" }), "`LOST` is not a status"),
        ("advance", json!({ "tracking_number": "123", "status": "DELIVERED" }), "`123` is not a 1Z tracking number"),
        ("advance", json!({ "status": "DELIVERED" }), "missing field `tracking_number`"),
        ("faults", json!({ "fault": "dropped", "fraction": 2 }), "a fraction is between 0 and 1, not 2"),
        ("faults", json!({ "fault": "bored", "next": 1 }), "unknown variant `bored`"),
        ("play", json!({ "speed": 0 }), "`0` is not a speed"),
        ("webhook", json!({ "url": "http://example.com/", "credentialType": "Bearer", "credential": "x" }), "not an http URL"),
    ] {
        let answer = rig.caller.control(Method::POST, what, body).await;
        assert_eq!(answer.status, 400);
        let error = answer.json["error"].as_str().unwrap();
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(rig.caller.control(Method::GET, "nothing", Value::Null).await.status, 404);
    assert!(rig.ups.packages().is_empty());
}

#[tokio::test]
async fn faults_are_added_and_cleared() {
    let rig = Rig::plain();
    let token = rig.caller.token().await;
    let rule = json!({ "fault": "rate_limited", "retry_after": 2, "next": 5, "on": "track" });
    let answer = rig.caller.control(Method::POST, "faults", rule.clone()).await;
    assert_eq!(answer.json, json!({ "faults": [rule] }));
    assert_eq!(rig.caller.track(&token, NUMBER, "").await.unwrap().header("retry-after"), Some("2"));
    let left = rig.caller.control(Method::GET, "faults", Value::Null).await.json;
    assert_eq!(left["faults"][0]["next"], 4);
    assert_eq!(rig.caller.control(Method::DELETE, "faults", Value::Null).await.json, json!({ "faults": [] }));
    assert_eq!(rig.caller.track(&token, NUMBER, "").await.unwrap().status, 200);
    rig.caller.control(Method::POST, "revoke", Value::Null).await;
    assert_eq!(rig.caller.track(&token, NUMBER, "").await.unwrap().code(), "251004");
}

#[tokio::test]
async fn webhook_is_set_and_removed() {
    let rig = Rig::plain();
    let mut receiver = rig.subscribed("standard").await;
    let webhook = serde_json::to_value(receiver.oauth()).unwrap();
    assert_eq!(webhook["credentialType"], "OAuth");
    assert_eq!(rig.caller.control(Method::DELETE, "webhook", Value::Null).await.status, 200);
    rig.ups.advance(NUMBER, "LABEL_CREATED").unwrap();
    assert_eq!(rig.caller.control(Method::POST, "webhook", webhook).await.status, 200);
    rig.ups.advance(OTHER, "LABEL_CREATED").unwrap();
    assert_eq!(receiver.push().await.event(), format!("M {OTHER}"));
}

#[tokio::test]
async fn statistics_do_not_count_control_calls() {
    let rig = Rig::plain();
    let token = rig.caller.token().await;
    rig.caller.track(&token, NUMBER, "").await.unwrap();
    rig.caller.track("invented", NUMBER, "").await.unwrap();
    rig.pass(1_000);
    rig.caller.track(&token, OTHER, "").await.unwrap();
    let statistics = rig.caller.control(Method::GET, "statistics", Value::Null).await.json;
    assert_eq!(statistics["calls"], json!({ "token": 1, "track": 3 }));
    assert_eq!(statistics["answers"], json!({ "200": 3, "401": 1 }));
    assert_eq!(statistics["busiest_second"], 3);
    assert_eq!(rig.ups.statistics().calls(Endpoint::Subscribe), 0);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_as_ups_does() {
    let rig = Rig::plain();
    let answer = rig.caller.send(Method::GET, "/api/nothing", &[], String::new()).await.unwrap();
    assert_eq!((answer.status, answer.code()), (404, "404"));
    let answer = rig.caller.send(Method::GET, "/security/v1/oauth/token", &[], String::new()).await.unwrap();
    assert_eq!((answer.status, answer.code()), (405, "405"));
}
