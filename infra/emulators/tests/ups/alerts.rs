use emulators::ups::{Credential, Fault, Webhook};
use serde_json::{Value, json};

use crate::rig::{DAY, NUMBER, OTHER, Rig};

#[tokio::test]
async fn numbers_are_divided_into_valid_and_invalid_ones() {
    let rig = Rig::plain();
    let roadie = "1R12345678912345";
    let body = json!({ "locale": "en_US", "countryCode": "US", "trackingNumberList": [NUMBER, "1Z1234567$8", roadie] });
    let answer = rig.subscribe("standard", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json, json!({ "validTrackingNumbers": [NUMBER, roadie], "invalidTrackingNumbers": ["1Z1234567$8"] }));
    let answer = rig.subscribe("standard", json!({ "locale": "en_US", "trackingNumberList": [NUMBER] })).await;
    assert_eq!(answer.json, json!({ "validTrackingNumbers": [NUMBER] }));
}

#[tokio::test]
async fn hundred_numbers_are_accepted_and_one_more_refuses_all() {
    let rig = Rig::plain();
    let numbers = |count: u64| (0..count).map(|n| format!("1Z{n:016}")).collect::<Vec<_>>();
    let body = |count| json!({ "locale": "en_US", "trackingNumberList": numbers(count) });
    let answer = rig.subscribe("standard", body(101)).await;
    assert_eq!((answer.status, answer.code()), (400, "VSS220"));
    assert!(!rig.ups.advance(&numbers(1)[0], "PICKED_UP").unwrap().subscribed);
    let answer = rig.subscribe("standard", body(100)).await;
    assert_eq!(answer.json["validTrackingNumbers"].as_array().unwrap().len(), 100);
    assert!(rig.ups.advance(&numbers(1)[0], "PICKED_UP").unwrap().subscribed);
}

#[tokio::test]
async fn each_mistake_has_its_code() {
    let rig = Rig::plain();
    let list = json!([NUMBER]);
    let cases: [(&str, Value, &str); 7] = [
        ("premium", json!({ "locale": "en_US", "trackingNumberList": list }), "VSS930"),
        ("standard", json!([]), "VSS000"),
        ("standard", json!({ "trackingNumberList": list }), "VSS300"),
        ("standard", json!({ "locale": "fr", "trackingNumberList": list }), "VSS310"),
        ("standard", json!({ "locale": "en_US", "countryCode": "usa", "trackingNumberList": list }), "VSS400"),
        ("standard", json!({ "locale": "en_US", "trackingNumberList": [] }), "VSS200"),
        ("standard", json!({ "locale": "en_US", "trackingNumberList": ["1Z1234567$8"] }), "VSS210"),
    ];
    for (kind, body, code) in cases {
        let answer = rig.subscribe(kind, &body).await;
        assert_eq!((answer.status, answer.code()), (400, code), "{body}");
    }
    assert_eq!(rig.subscribe("standard", "").await.code(), "VSS110");
    let body = json!({ "locale": "en_US", "trackingNumberList": ["1Z1234567$8"] });
    assert_eq!(rig.subscribe("standard", body).await.json["invalidTrackingNumbers"], json!(["1Z1234567$8"]));
    let path = "/api/track/v2/subscription/standard/package";
    let token = format!("Bearer {}", rig.caller.token().await);
    for (headers, code) in [
        (vec![("authorization", &*token)], "VSS002"),
        (vec![("authorization", &*token), ("transId", "1")], "VSS004"),
        (vec![("authorization", &*token), ("transId", "1"), ("transactionSrc", "test")], "10007"),
        (vec![], "UJ0001"),
    ] {
        let answer = rig.caller.send(axum::http::Method::POST, path, &headers, "{}".to_owned()).await.unwrap();
        assert_eq!(answer.code(), code);
    }
}

#[tokio::test]
async fn push_sends_a_token_from_the_webhooks_token_endpoint() {
    let rig = Rig::plain();
    let mut receiver = rig.subscribed("standard").await;
    rig.ups.advance(NUMBER, "PICKED_UP").unwrap();
    let asked = receiver.next().await;
    assert_eq!((asked.path.as_str(), asked.body.as_str()), ("/token", "grant_type=client_credentials"));
    assert_eq!(asked.header("authorization"), "Basic dXBzLWNsaWVudDpzeW50aGV0aWM=");
    let pushed = receiver.next().await;
    assert_eq!(pushed.path, "/hook");
    assert_eq!(pushed.header("user-agent"), "UPSPubSubTrackingService");
    assert_eq!(pushed.header("authorization"), "Bearer from-us");
    assert_eq!(pushed.header("x-api-key"), "ups-client");
    assert_eq!(pushed.event(), format!("M {NUMBER}"));
    assert_eq!(receiver.next().await.event(), format!("P {NUMBER}"), "the token is used again");

    receiver.answers(&[401]);
    rig.ups.advance(NUMBER, "IN_TRANSIT").unwrap();
    let paths = [receiver.next().await.path, receiver.next().await.path, receiver.next().await.path];
    assert_eq!(paths, ["/hook", "/token", "/hook"], "until it is refused");
    rig.pass(600_000);
    rig.ups.advance(OTHER, "LABEL_CREATED").unwrap();
    assert_eq!(receiver.next().await.path, "/token", "or has ended");
    assert_eq!(receiver.next().await.event(), format!("M {OTHER}"));
}

#[tokio::test]
async fn fixed_token_is_sent_unchanged() {
    let rig = Rig::plain();
    let mut receiver = rig.subscribed("standard").await;
    let credential = Credential::Bearer { credential: "fixed".to_owned() };
    rig.ups.set_webhook(Some(Webhook { url: receiver.url(), credential }));
    rig.ups.advance(NUMBER, "LABEL_CREATED").unwrap();
    let pushed = receiver.next().await;
    assert_eq!((pushed.path.as_str(), pushed.header("authorization")), ("/hook", "Bearer fixed"));
    assert_eq!(pushed.header("x-api-key"), "");
}

#[tokio::test]
async fn push_has_empty_texts_for_unknown_values() {
    let rig = Rig::plain();
    let mut receiver = rig.subscribed("enhanced").await;
    rig.ups.advance(NUMBER, "OUT_FOR_DELIVERY").unwrap();
    rig.ups.advance(NUMBER, "DELIVERED").unwrap();
    receiver.push().await;
    let out = receiver.push().await.json();
    assert_eq!(out["activityStatus"]["descriptionCode"], "021");
    assert_eq!((&out["actualDeliveryDate"], &out["actualDeliveryTime"]), (&json!(""), &json!("")));
    assert_eq!(out["activityLocation"]["postalCode"], "");
    assert_eq!((&out["gmtActivityDate"], &out["gmtActivityTime"]), (&json!("20260131"), &json!("093000")));
    assert_eq!((&out["localActivityTime"], &out["gmtOffset"]), (&json!("033000"), &json!("-06.00")));
    let delivered = receiver.push().await.json();
    assert_eq!((&delivered["actualDeliveryDate"], &delivered["actualDeliveryTime"]), (&json!("20260131"), &json!("033000")));
    assert_eq!(delivered["receivedBy"], "SYNTHETIC RECEIVER");

    let mut receiver = rig.subscribed("standard").await;
    rig.ups.advance(NUMBER, "DELIVERED").unwrap();
    assert!(receiver.push().await.json().get("receivedBy").is_none(), "for enhanced subscriptions only");
}

#[tokio::test]
async fn enhanced_subscription_gets_its_preferred_kinds() {
    let rig = Rig::plain();
    let mut receiver = rig.subscribed("standard").await;
    let body = json!({ "locale": "en_US", "trackingNumberList": [NUMBER], "eventPreferences": ["D"] });
    assert_eq!(rig.subscribe("enhanced", body).await.status, 200);
    for status in ["PICKED_UP", "EXCEPTION", "DELIVERED"] {
        rig.ups.advance(NUMBER, status).unwrap();
    }
    assert_eq!(receiver.push().await.event(), format!("D {NUMBER}"));
    let body = json!({ "locale": "en_US", "trackingNumberList": [NUMBER], "eventPreferences": ["Q"] });
    assert_eq!(rig.subscribe("enhanced", body).await.code(), "VSS000");
}

#[tokio::test]
async fn subscription_ends_after_fourteen_days() {
    let rig = Rig::plain();
    let mut receiver = rig.subscribed("standard").await;
    rig.pass(14 * DAY - 1);
    assert!(rig.ups.advance(NUMBER, "LABEL_CREATED").unwrap().subscribed);
    rig.pass(1);
    assert!(!rig.ups.advance(NUMBER, "PICKED_UP").unwrap().subscribed);
    let renewed = rig.subscribe("standard", json!({ "locale": "en_US", "trackingNumberList": [NUMBER] })).await;
    assert_eq!(renewed.status, 200);
    rig.ups.advance(NUMBER, "DELIVERED").unwrap();
    assert_eq!(receiver.push().await.event(), format!("M {NUMBER}"));
    assert_eq!(receiver.push().await.event(), format!("D {NUMBER}"), "nothing between was sent");
}

#[tokio::test]
async fn push_that_is_refused_three_times_is_dropped() {
    let rig = Rig::plain();
    let mut receiver = rig.subscribed("standard").await;
    receiver.answers(&[500, 200, 503, 404, 500]);
    rig.ups.advance(NUMBER, "LABEL_CREATED").unwrap();
    rig.ups.advance(NUMBER, "PICKED_UP").unwrap();
    rig.ups.advance(NUMBER, "DELIVERED").unwrap();
    let mut events = Vec::new();
    for _ in 0..6 {
        events.push(receiver.push().await.event().remove(0));
    }
    assert_eq!(events, ['M', 'M', 'P', 'P', 'P', 'D']);
    let statistics = rig.ups.statistics();
    assert_eq!((statistics.pushes_refused, statistics.pushes_given_up, statistics.webhook_tokens), (4, 1, 1));
}

#[tokio::test]
async fn push_faults_repeat_delay_swap_and_lose_pushes() {
    let rig = Rig::plain();
    let mut receiver = rig.subscribed("standard").await;
    rig.ups.faults().next_pushes(1, Fault::PushTwice);
    rig.ups.advance(NUMBER, "LABEL_CREATED").unwrap();
    assert_eq!(receiver.push().await.body, receiver.push().await.body);

    rig.ups.faults().next_pushes(1, Fault::PushSwapped);
    rig.ups.advance(NUMBER, "PICKED_UP").unwrap();
    rig.ups.advance(NUMBER, "IN_TRANSIT").unwrap();
    assert_eq!(receiver.push().await.event(), format!("I {NUMBER}"));
    assert_eq!(receiver.push().await.event(), format!("P {NUMBER}"));

    rig.ups.faults().next_pushes(1, Fault::PushLate { millis: 500 });
    rig.ups.advance(NUMBER, "EXCEPTION").unwrap();
    rig.ups.advance(NUMBER, "RETURNED").unwrap();
    assert_eq!(receiver.push().await.event(), format!("RS {NUMBER}"));
    assert_eq!(receiver.push().await.event(), format!("X {NUMBER}"));

    rig.ups.faults().next_pushes(1, Fault::PushLost);
    rig.ups.advance(NUMBER, "DELIVERED").unwrap();
    rig.ups.advance(OTHER, "LABEL_CREATED").unwrap();
    assert_eq!(receiver.push().await.event(), format!("M {OTHER}"));
}
