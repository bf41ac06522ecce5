//! The user pool's signing keys, fetched when needed and kept for as long as the pool lists them.
//!
//! The authorizer asks for a key by its id. A key it knows costs nothing. An id it does not know makes it fetch
//! the pool's document once more, because keys rotate, but at most one fetch runs at a time and at most one starts
//! every [`MIN_FETCH_INTERVAL`] seconds, whatever came of the last: invented ids cannot make us hammer the pool. A
//! document older than [`STALE_AFTER`] seconds is renewed by whichever request comes first, while the others go on
//! with what is known; where that fails, what is known stays. So an outage of the pool's endpoint stops no key that
//! we know, and a key that the pool withdraws stops within the hour, or when the outage ends.
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

/// Where the document comes from: `<issuer>/.well-known/jwks.json`.
///
/// An implementation bounds the time it takes, and stops reading after [`MAX_DOCUMENT_BYTES`].
pub trait FetchJwks: Send + Sync {
    /// Fetches the document's bytes, from the network and not from a cache.
    fn fetch(&self) -> impl Future<Output = Result<Vec<u8>, FetchError>> + Send;
}

/// Why the document could not be fetched, in words for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key document could not be fetched: {0}")]
pub struct FetchError(pub String);

/// Why the last attempt to renew the keys failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// Nothing came, or the attempt has not come to its end.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Something came, and it is not a document that we accept.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// Why there is no key under an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The pool, asked within the last [`MIN_FETCH_INTERVAL`] seconds, lists no such key.
    #[error("the key id is unknown")]
    Unknown,
    /// The key is not among those known, and the pool could not be asked.
    #[error("the signing keys could not be fetched")]
    Unavailable,
}

/// The keys of one user pool.
pub struct Jwks<F> {
    fetcher: F,
    known: RwLock<Arc<Known>>,
    /// Held through a fetch, so that one runs at a time. Its content is when the last one started.
    fetching: Mutex<Option<i64>>,
}

/// What is known of the pool's keys. Replaced as a whole.
#[derive(Debug, Clone, Default)]
struct Known {
    keys: HashMap<String, Arc<PublicKey>>,
    fetched_at: Option<i64>,
    failure: Option<RefreshError>,
}

impl Known {
    fn is_stale(&self, now: i64) -> bool {
        self.fetched_at.is_none_or(|at| at.abs_diff(now) >= STALE_AFTER)
    }
}

impl<F: FetchJwks> Jwks<F> {
    /// Starts with no keys; nothing is fetched before the first question.
    pub fn new(fetcher: F) -> Self {
        Self { fetcher, known: RwLock::default(), fetching: Mutex::const_new(None) }
    }

    /// The key under `kid`, fetching the document where that can help.
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
        // Does nothing where whoever held the lock before has just fetched.
        self.refresh(&mut last_start, now).await;
        self.find(kid)
    }

    /// Why the last fetch failed, until one succeeds: for the log, since known keys go on working without it.
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

    /// Replaces what is known, unless the last attempt started too recently.
    async fn refresh(&self, last_start: &mut Option<i64>, now: i64) {
        // The distance counts, not the order: callers that waited together bring times a little apart, and a clock
        // that was set back far must not stop renewal.
        if last_start.is_some_and(|at| at.abs_diff(now) < MIN_FETCH_INTERVAL) {
            return;
        }
        *last_start = Some(now);
        // Noted before the fetch, for the case that the caller is dropped in its midst.
        self.keep_after(RefreshError::Fetch(FetchError("not finished".to_owned())));
        match self.fetched().await {
            Ok(keys) => self.replace(Known { keys, fetched_at: Some(now), failure: None }),
            Err(why) => self.keep_after(why),
        }
    }

    async fn fetched(&self) -> Result<HashMap<String, Arc<PublicKey>>, RefreshError> {
        let keys = parse(&self.fetcher.fetch().await?)?;
        Ok(keys.into_iter().map(|key| (key.kid().to_owned(), Arc::new(key))).collect())
    }

    fn keep_after(&self, failure: RefreshError) {
        let known = self.known();
        self.replace(Known { failure: Some(failure), ..Known::clone(&known) });
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, known: Known) {
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
