use std::collections::VecDeque;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::sync::Semaphore;

use super::*;
use crate::token::test_keys::{TestKey, other_key, pool_key};

const NOW: i64 = 1_800_000_000;
const MIN: i64 = MIN_FETCH_INTERVAL as i64;
const STALE: i64 = STALE_AFTER as i64;

/// Answers from a script, fails at its end, and counts the calls.
#[derive(Default)]
struct Scripted {
    answers: StdMutex<VecDeque<Result<Vec<u8>, FetchError>>>,
    calls: AtomicUsize,
    /// If set, an answer waits for a permit.
    gate: Option<Semaphore>,
}

impl FetchJwks for &Scripted {
    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        self.answers.lock().unwrap().pop_front().unwrap_or_else(|| Err(outage()))
    }
}

impl Scripted {
    fn new(answers: impl IntoIterator<Item = Result<Vec<u8>, FetchError>>) -> Self {
        Self { answers: StdMutex::new(answers.into_iter().collect()), ..Self::default() }
    }

    fn gated(answers: impl IntoIterator<Item = Result<Vec<u8>, FetchError>>) -> Self {
        Self { gate: Some(Semaphore::new(0)), ..Self::new(answers) }
    }

    fn open(&self) {
        self.gate.as_ref().unwrap().add_permits(1);
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

fn outage() -> FetchError {
    FetchError("connection refused".to_owned())
}

fn document(keys: &[&TestKey]) -> Result<Vec<u8>, FetchError> {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    Ok(json!({ "keys": keys }).to_string().into_bytes())
}

async fn kid_of(jwks: &Jwks<&Scripted>, kid: &str, now: i64) -> Result<String, KeyError> {
    Ok(jwks.key(kid, now).await?.kid().to_owned())
}

async fn found(jwks: &Jwks<&Scripted>, key: &TestKey, now: i64) -> bool {
    kid_of(jwks, key.kid, now).await.is_ok_and(|kid| kid == key.kid)
}

#[tokio::test]
async fn cached_key_is_fetched_once() {
    let script = Scripted::new([document(&[pool_key()])]);
    let jwks = Jwks::new(&script);
    assert_eq!(script.calls(), 0);
    for later in 0..STALE {
        assert!(found(&jwks, pool_key(), NOW + later).await);
    }
    assert_eq!(script.calls(), 1);
}

#[tokio::test]
async fn unknown_id_causes_one_fetch_and_finds_a_rotated_key() {
    let script = Scripted::new([document(&[pool_key()]), document(&[pool_key(), other_key()])]);
    let jwks = Jwks::new(&script);
    assert!(found(&jwks, pool_key(), NOW).await);
    assert!(found(&jwks, other_key(), NOW + MIN).await);
    assert!(found(&jwks, pool_key(), NOW + MIN).await);
    assert_eq!(script.calls(), 2);
}

#[tokio::test]
async fn invented_ids_cause_at_most_one_fetch_every_thirty_seconds() {
    let script = Scripted::new((0..10).map(|_| document(&[pool_key()])));
    let jwks = Jwks::new(&script);
    for second in 0..3 * MIN {
        for invented in ["a", "b", "c"] {
            assert_eq!(kid_of(&jwks, invented, NOW + second).await, Err(KeyError::Unknown));
        }
    }
    assert_eq!(script.calls(), 3);
}

#[tokio::test]
async fn failed_fetches_count_against_the_limit() {
    let script = Scripted::new([Err(outage()), document(&[pool_key()])]);
    let jwks = Jwks::new(&script);
    for second in 0..MIN {
        assert_eq!(kid_of(&jwks, pool_key().kid, NOW + second).await, Err(KeyError::Unavailable));
    }
    assert_eq!(script.calls(), 1);
    assert!(found(&jwks, pool_key(), NOW + MIN).await);
    assert_eq!(jwks.failure(), None);
}

#[tokio::test]
async fn cached_keys_stay_valid_during_an_outage() {
    let script = Scripted::new([document(&[pool_key()])]);
    let jwks = Jwks::new(&script);
    assert!(found(&jwks, pool_key(), NOW).await);
    for day in 1..400 {
        assert!(found(&jwks, pool_key(), NOW + day * 86_400).await);
        assert_eq!(kid_of(&jwks, "new", NOW + day * 86_400).await, Err(KeyError::Unavailable));
    }
    assert_eq!(jwks.failure(), Some(RefreshError::Fetch(outage())));
    assert_eq!(script.calls(), 400, "one attempt for each request");
}

#[tokio::test]
async fn refused_document_replaces_no_keys() {
    for bad in [&b"<html>"[..], br#"{"keys":[]}"#] {
        let script = Scripted::new([document(&[pool_key()]), Ok(bad.to_vec())]);
        let jwks = Jwks::new(&script);
        assert!(found(&jwks, pool_key(), NOW).await);
        assert!(found(&jwks, pool_key(), NOW + STALE).await);
        assert!(matches!(jwks.failure(), Some(RefreshError::Document(_))));
        assert_eq!(script.calls(), 2);
    }
}

#[tokio::test]
async fn withdrawn_key_is_refused_after_the_hourly_renewal() {
    let script = Scripted::new([document(&[pool_key(), other_key()]), document(&[pool_key()])]);
    let jwks = Jwks::new(&script);
    assert!(found(&jwks, other_key(), NOW + STALE - 1).await);
    assert!(found(&jwks, other_key(), NOW + 2 * STALE - 2).await);
    assert_eq!(kid_of(&jwks, other_key().kid, NOW + 2 * STALE - 1).await, Err(KeyError::Unknown));
    assert!(found(&jwks, pool_key(), NOW + 2 * STALE).await);
    assert_eq!(script.calls(), 2);
}

#[tokio::test]
async fn clock_set_back_does_not_stop_renewal() {
    let script = Scripted::new([document(&[pool_key()]), document(&[other_key()])]);
    let jwks = Jwks::new(&script);
    assert!(found(&jwks, pool_key(), NOW).await);
    assert!(found(&jwks, other_key(), NOW - 86_400).await);
}

#[tokio::test]
async fn hundred_concurrent_callers_share_one_fetch() {
    let script: &'static Scripted = Box::leak(Box::new(Scripted::gated([document(&[pool_key()])])));
    let jwks = Arc::new(Jwks::new(script));
    let callers: Vec<_> = (0..100)
        .map(|i| {
            let jwks = Arc::clone(&jwks);
            // Their clocks were read at slightly different times, some of them before that of the fetching caller.
            tokio::spawn(async move { found(&jwks, pool_key(), NOW - i % 3).await })
        })
        .collect();
    while script.calls() == 0 {
        tokio::task::yield_now().await;
    }
    script.open();
    for caller in callers {
        assert!(caller.await.unwrap());
    }
    assert_eq!(script.calls(), 1);
}

#[tokio::test]
async fn hundred_concurrent_callers_share_one_failure() {
    let script: &'static Scripted = Box::leak(Box::new(Scripted::new([])));
    let jwks = Arc::new(Jwks::new(script));
    let ask = |i: i64| {
        let jwks = Arc::clone(&jwks);
        tokio::spawn(async move { kid_of(&jwks, "any", NOW - i % 3).await })
    };
    let callers: Vec<_> = (0..100).map(ask).collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Err(KeyError::Unavailable));
    }
    assert_eq!(script.calls(), 1);
}

#[tokio::test]
async fn cached_key_is_returned_during_its_renewal() {
    let script: &'static Scripted = Box::leak(Box::new(Scripted::gated([document(&[pool_key()]), document(&[pool_key()])])));
    let jwks = Arc::new(Jwks::new(script));
    script.open();
    assert!(found(&jwks, pool_key(), NOW).await);

    let renewing = Arc::clone(&jwks);
    let renewal = tokio::spawn(async move { found(&renewing, pool_key(), NOW + STALE).await });
    while script.calls() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(found(&jwks, pool_key(), NOW + STALE).await);
    assert!(!renewal.is_finished());
    script.open();
    assert!(renewal.await.unwrap());
    assert_eq!(script.calls(), 2);
}

#[tokio::test]
async fn caller_dropped_during_a_fetch_does_not_block_others() {
    let script: &'static Scripted = Box::leak(Box::new(Scripted::gated([document(&[pool_key()])])));
    let jwks = Arc::new(Jwks::new(script));
    let dropped = Arc::clone(&jwks);
    let task = tokio::spawn(async move { found(&dropped, pool_key(), NOW).await });
    while script.calls() == 0 {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(kid_of(&jwks, pool_key().kid, NOW + 1).await, Err(KeyError::Unavailable));
    script.open();
    assert!(found(&jwks, pool_key(), NOW + MIN).await);
    assert_eq!(script.calls(), 2);
}
