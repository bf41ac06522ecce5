use std::time::Duration;

use emulators::ups::{Endpoint, Fault, Rule, When};
use serde_json::json;

use crate::rig::{NUMBER, OTHER, Rig, SECRET};

/// A call that succeeds unless a fault is injected.
async fn track(rig: &Rig, token: &str) -> Result<crate::rig::Answer, hyper_util::client::legacy::Error> {
    rig.caller.track(token, NUMBER, "").await
}

#[tokio::test]
async fn error_faults_have_upss_codes_and_end_after_their_count() {
    let rig = Rig::plain();
    let token = rig.caller.token().await;
    let limited = |retry_after| Fault::RateLimited { retry_after };
    for (fault, status, code, retry_after) in [
        (Fault::Unauthorized, 401, "UJ0001", None),
        (limited(None), 429, "10429", None),
        (limited(Some(7)), 429, "10429", Some("7")),
        (Fault::ServerError, 500, "10004", None),
    ] {
        rig.ups.faults().next(2, Endpoint::Track, fault);
        for _ in 0..2 {
            let answer = track(&rig, &token).await.unwrap();
            assert_eq!((answer.status, answer.code(), answer.header("retry-after")), (status, code, retry_after));
        }
        assert_eq!(track(&rig, &token).await.unwrap().status, 200);
    }
    rig.ups.faults().next(1, Endpoint::Token, Fault::Unauthorized);
    let answer = rig.caller.ask_token(SECRET, "grant_type=client_credentials").await;
    assert_eq!((answer.status, answer.code()), (401, "250002"));
    assert_eq!(rig.ups.statistics().answers(429), 4);
    assert_eq!(rig.ups.statistics().answers(401), 3);
}

#[tokio::test]
async fn answers_are_corrupted_in_each_way() {
    let rig = Rig::plain();
    let token = rig.caller.token().await;
    let whole = track(&rig, &token).await.unwrap();
    assert_eq!(whole.header("content-type"), Some("application/json;charset=UTF-8"));

    rig.ups.faults().next(1, Endpoint::Track, Fault::MalformedJson);
    let answer = track(&rig, &token).await.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json;charset=UTF-8")));
    assert!(answer.json.is_null() && answer.text.starts_with("{\"trackResponse\""), "{}", answer.text);

    rig.ups.faults().next(1, Endpoint::Track, Fault::WrongContentType);
    let answer = track(&rig, &token).await.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html;charset=UTF-8")));

    rig.ups.faults().next(1, Endpoint::Track, Fault::TruncatedBody);
    let answer = track(&rig, &token).await.unwrap();
    assert_eq!(answer.header("content-length"), Some(&*whole.text.len().to_string()));
    assert!(answer.text.starts_with("broken off"), "{}", answer.text);

    // On its own connection: a client may retry a failure on a reused connection by itself.
    let fresh = Rig::plain();
    fresh.ups.faults().next(1, Endpoint::Track, Fault::Dropped);
    assert!(track(&fresh, "any").await.is_err());
    assert_eq!(track(&fresh, "any").await.unwrap().status, 401);
    assert_eq!(fresh.ups.statistics().calls(Endpoint::Track), 2);
}

#[tokio::test]
async fn slow_answer_exceeds_the_callers_timeout() {
    let rig = Rig::plain();
    let token = rig.caller.token().await;
    rig.ups.faults().next(1, Endpoint::Track, Fault::Slow { millis: 60_000 });
    let call = tokio::time::timeout(Duration::from_millis(100), track(&rig, &token)).await;
    assert!(call.is_err());
    rig.ups.faults().clear();
    rig.ups.faults().next(1, Endpoint::Track, Fault::Slow { millis: 30 });
    let began = tokio::time::Instant::now();
    assert_eq!(track(&rig, &token).await.unwrap().status, 200);
    assert!(began.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn subscription_with_a_lost_answer_is_created() {
    let rig = Rig::plain();
    rig.ups.faults().next(1, Endpoint::Subscribe, Fault::MalformedJson);
    let answer = rig.subscribe("standard", json!({ "locale": "en_US", "trackingNumberList": [NUMBER] })).await;
    assert!(answer.json.is_null());
    assert!(rig.ups.advance(NUMBER, "PICKED_UP").unwrap().subscribed);

    rig.ups.faults().next(1, Endpoint::Subscribe, Fault::ServerError);
    let answer = rig.subscribe("standard", json!({ "locale": "en_US", "trackingNumberList": [OTHER] })).await;
    assert_eq!(answer.code(), "10004");
    assert!(!rig.ups.advance(OTHER, "PICKED_UP").unwrap().subscribed, "a refused one was not");
}

#[tokio::test]
async fn fraction_of_calls_fails_equally_in_every_run() {
    async fn statuses(seed: u64) -> Vec<u16> {
        let rig = Rig::start(|options| emulators::ups::Options { seed, ..options });
        let token = rig.caller.token().await;
        let rule = Rule { fault: Fault::ServerError, when: When::Fraction(0.3), on: Some(Endpoint::Track) };
        rig.ups.faults().arm(rule).unwrap();
        let mut statuses = Vec::new();
        for _ in 0..100 {
            statuses.push(track(&rig, &token).await.unwrap().status);
        }
        statuses
    }
    let first = statuses(5).await;
    assert_eq!(first, statuses(5).await);
    assert_ne!(first, statuses(6).await);
    let failed = first.iter().filter(|status| **status == 500).count();
    assert!((15..45).contains(&failed), "{failed} of 100");
}
