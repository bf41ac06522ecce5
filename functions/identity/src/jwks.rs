//! The user pool's signing keys, fetched when needed and kept for as long as the pool lists them.
//!
//! The authorizer requests a key by its id. A cached key needs no call. An unknown id causes a fetch of the pool's document,
//! because keys rotate. At most one fetch runs at a time, and at most one starts every [`MIN_FETCH_INTERVAL`] seconds, whether or
//! not the last one succeeded, so that invented ids cannot cause many calls to the pool. The first request after [`STALE_AFTER`]
//! seconds renews the document, while other requests use the cached keys. If the renewal fails, the cached keys stay. So an
//! outage of the pool's endpoint does not affect cached keys, and a key that the pool withdraws becomes invalid within the hour,
//! or when the outage ends.
//!
//! Time is a parameter, in seconds since 1970.

mod document;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;

use crate::token::PublicKey;
pub use document::{DocumentError, MAX_DOCUMENT_BYTES, MAX_KEYS, parse};

/// The least time between the starts of two fetches, in seconds.
pub const MIN_FETCH_INTERVAL: u64 = 30;

/// The age, in seconds, at which a document is renewed.
pub const STALE_AFTER: u64 = 3600;

/// The source of the document: `<issuer>/.well-known/jwks.json`.
///
/// An implementation limits the time of a fetch, and stops reading after [`MAX_DOCUMENT_BYTES`].
pub trait FetchJwks: Send + Sync {
    /// Fetches the document's bytes, from the network and not from a cache.
    fn fetch(&self) -> impl Future<Output = Result<Vec<u8>, FetchError>> + Send;
}

/// The reason why the document could not be fetched, as text for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key document could not be fetched: {0}")]
pub struct FetchError(pub String);

/// The reason why the last attempt to renew the keys failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// No document arrived, or the attempt has not finished.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The fetched document is not acceptable.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// The reason why there is no key for an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The pool was queried within the last [`MIN_FETCH_INTERVAL`] seconds and lists no such key.
    #[error("the key id is unknown")]
    Unknown,
    /// The key is not cached, and the pool could not be queried.
    #[error("the signing keys could not be fetched")]
    Unavailable,
}

/// The keys of one user pool.
pub struct Jwks<F> {
    fetcher: F,
    known: RwLock<Arc<FetchedKeys>>,
    /// Held during a fetch, so that only one runs at a time. Its content is the time at which the last one started.
    fetching: Mutex<Option<i64>>,
}

/// The cached keys of the pool. Replaced as a whole.
#[derive(Debug, Clone, Default)]
struct FetchedKeys {
    keys: HashMap<String, Arc<PublicKey>>,
    fetched_at: Option<i64>,
    failure: Option<RefreshError>,
}

impl FetchedKeys {
    fn is_stale(&self, now: i64) -> bool {
        self.fetched_at.is_none_or(|at| at.abs_diff(now) >= STALE_AFTER)
    }
}

impl<F: FetchJwks> Jwks<F> {
    /// Starts without keys; the first request for a key causes the first fetch.
    pub fn new(fetcher: F) -> Self {
        Self { fetcher, known: RwLock::default(), fetching: Mutex::const_new(None) }
    }

    /// The key with the id `kid`. Fetches the document if that can help.
    pub async fn key(&self, kid: &str, now: i64) -> Result<Arc<PublicKey>, KeyError> {
        let known = self.known();
        if let Some(key) = known.keys.get(kid) {
            if !known.is_stale(now) {
                return Ok(Arc::clone(key));
            }
            let Ok(mut last_start) = self.fetching.try_lock() else {
                return Ok(Arc::clone(key));
            };
            self.refresh(&mut last_start, now).await;
            return self.find(kid);
        }
        let mut last_start = self.fetching.lock().await;
        // Does nothing if the previous holder of the lock has just fetched.
        self.refresh(&mut last_start, now).await;
        self.find(kid)
    }

    /// The reason why the last fetch failed, until one succeeds. It is logged, because cached keys hide the failure otherwise.
    pub fn failure(&self) -> Option<RefreshError> {
        self.known().failure.clone()
    }

    fn find(&self, kid: &str) -> Result<Arc<PublicKey>, KeyError> {
        let known = self.known();
        match known.keys.get(kid) {
            Some(key) => Ok(Arc::clone(key)),
            None if known.failure.is_some() => Err(KeyError::Unavailable),
            None => Err(KeyError::Unknown),
        }
    }

    /// Replaces the cached keys, unless the last attempt started too recently.
    async fn refresh(&self, last_start: &mut Option<i64>, now: i64) {
        // Only the distance of the times counts, not their order: the times of concurrent callers differ slightly, and a clock
        // that was set back must not stop the renewal.
        if last_start.is_some_and(|at| at.abs_diff(now) < MIN_FETCH_INTERVAL) {
            return;
        }
        *last_start = Some(now);
        // Stored before the fetch, in case the caller is dropped during it.
        self.keep_after(RefreshError::Fetch(FetchError("not finished".to_owned())));
        match self.fetched().await {
            Ok(keys) => self.replace(FetchedKeys { keys, fetched_at: Some(now), failure: None }),
            Err(why) => self.keep_after(why),
        }
    }

    async fn fetched(&self) -> Result<HashMap<String, Arc<PublicKey>>, RefreshError> {
        let keys = parse(&self.fetcher.fetch().await?)?;
        Ok(keys.into_iter().map(|key| (key.kid().to_owned(), Arc::new(key))).collect())
    }

    fn keep_after(&self, failure: RefreshError) {
        let known = self.known();
        self.replace(FetchedKeys { failure: Some(failure), ..FetchedKeys::clone(&known) });
    }

    fn known(&self) -> Arc<FetchedKeys> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, known: FetchedKeys) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
    }
}

impl<F> fmt::Debug for Jwks<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks").field("known", &self.known).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
