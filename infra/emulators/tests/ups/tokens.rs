use axum::http::Method;
use emulators::ups::{Endpoint, Fault};

use crate::rig::{CLIENT, NUMBER, OTHER, PATIENCE, Rig, SECRET};

const GRANT: &str = "grant_type=client_credentials";

#[tokio::test]
async fn every_field_of_a_token_is_a_string() {
    let rig = Rig::plain();
    let answer = rig.caller.ask_token(SECRET, GRANT).await;
    assert_eq!(answer.status, 200);
    let fields = answer.json.as_object().unwrap();
    assert!(fields.values().all(serde_json::Value::is_string), "{fields:?}");
    assert_eq!(fields["expires_in"], "14399");
    assert_eq!(fields["issued_at"], "1769851800000", "milliseconds since the epoch");
    assert_eq!(fields["client_id"], CLIENT);
    assert_eq!(rig.ups.statistics().calls(Endpoint::Token), 1);
}

#[tokio::test]
async fn wrong_client_gets_no_token() {
    let rig = Rig::plain();
    let answer = rig.caller.ask_token("wrong", GRANT).await;
    assert_eq!((answer.status, answer.code()), (401, "250002"));
    assert_eq!(answer.json["response"]["errors"][0]["message"], "Invalid Authentication Information.");
    let answer = rig.caller.send(Method::POST, "/security/v1/oauth/token", &[], GRANT.to_owned()).await.unwrap();
    assert_eq!((answer.status, answer.code()), (401, "250002"));
    assert_eq!(rig.caller.ask_token(SECRET, "grant_type=password").await.status, 400);
    assert_eq!(rig.caller.ask_token(SECRET, GRANT).await.status, 200);
}

#[tokio::test]
async fn call_without_a_valid_token_is_refused() {
    let rig = Rig::plain();
    let answer = rig.caller.track("invented", NUMBER, "").await.unwrap();
    assert_eq!((answer.status, answer.code()), (401, "UJ0001"));
    let headers = [("transId", "1"), ("transactionSrc", "test")];
    let path = format!("/api/track/v1/details/{NUMBER}");
    let answer = rig.caller.send(Method::GET, &path, &headers, String::new()).await.unwrap();
    assert_eq!((answer.status, answer.code()), (401, "UJ0001"));
}

#[tokio::test]
async fn token_ends_after_four_hours_or_when_revoked() {
    let rig = Rig::plain();
    let token = rig.caller.token().await;
    rig.pass(14_398_999);
    assert_eq!(rig.caller.track(&token, NUMBER, "").await.unwrap().status, 200);
    rig.pass(1);
    let answer = rig.caller.track(&token, NUMBER, "").await.unwrap();
    assert_eq!((answer.status, answer.code()), (401, "251004"));

    let token = rig.caller.token().await;
    assert_eq!(rig.caller.track(&token, NUMBER, "").await.unwrap().status, 200);
    rig.ups.revoke_tokens();
    let answer = rig.caller.track(&token, NUMBER, "").await.unwrap();
    assert_eq!((answer.status, answer.code()), (401, "251004"));
    let token = rig.caller.token().await;
    assert_eq!(rig.caller.track(&token, NUMBER, "").await.unwrap().status, 200);
}

#[tokio::test]
async fn rotated_secret_replaces_the_old_one_and_keeps_tokens() {
    let rig = Rig::plain();
    let token = rig.caller.token().await;
    rig.ups.rotate_secret("newer");
    assert_eq!(rig.caller.ask_token(SECRET, GRANT).await.code(), "250002");
    assert_eq!(rig.caller.ask_token("newer", GRANT).await.status, 200);
    assert_eq!(rig.caller.track(&token, OTHER, "").await.unwrap().status, 200);
}

#[tokio::test]
async fn overlapping_token_calls_are_counted() {
    let rig = Rig::plain();
    rig.caller.token().await;
    rig.caller.token().await;
    assert_eq!(rig.ups.statistics().max_concurrent(Endpoint::Token), 1);

    rig.ups.faults().next(3, Endpoint::Token, Fault::Slow { millis: 60_000 });
    let held: Vec<_> = (0..3)
        .map(|_| {
            let caller = rig.caller.clone();
            tokio::spawn(async move { caller.token().await })
        })
        .collect();
    let all_there = async {
        while rig.ups.statistics().max_concurrent(Endpoint::Token) < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, all_there).await.unwrap();
    held.iter().for_each(tokio::task::JoinHandle::abort);
    rig.caller.token().await;
    let statistics = rig.ups.statistics();
    assert_eq!(statistics.calls(Endpoint::Token), 6);
    assert_eq!(statistics.busiest_second, 6, "the test's clock stands still");
}
