//! A cache-aside cache in this process's memory, based on our own clock.
//!
//! A [`CacheClass`] defines how long a value is valid, how long its absence is valid, and how many entries are kept. A caller who
//! finds no valid entry loads it. Concurrent callers wait for that load and share its result, including an error. An error is
//! returned only to the callers who waited, and is not cached. If a caller is dropped during a load, the next one loads.
//!
//! `moka` bounds the number of entries, evicts the least used ones and merges concurrent loads. Its own clock is not used: a
//! value's age counts from the moment before its load, by the [`Clock`] that the rest of the code uses.
//!
//! Limits: moka removes a value from memory at some later time and not immediately, so no key is kept here
//! ([`crate::store::keyring`] keeps keys). A change cannot be pushed into a frozen process, so every entry may be stale up to its
//! documented age.

use crate::base::{Clock, Error, Result, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    fmt,
    future::Future,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The kind of entries and their lifetime. Each kind has one class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheClass {
    pub(crate) name: &'static str,
    pub(crate) fresh_for: Duration,
    /// How long the absence of a value is valid; absence is not cached if this is zero.
    pub(crate) absent_for: Duration,
    /// The largest number of entries.
    pub(crate) most: u64,
}

impl CacheClass {
    /// A tenant's profile. It is the only cached fact about authority, and its lifetime is a guarantee
    /// (`suspended_tenant_is_refused_within_five_seconds`). A new tenant is found within one second.
    pub(crate) const GATE: Self =
        Self { name: "gate", fresh_for: Duration::from_secs(5), absent_for: Duration::from_secs(1), most: 4096 };
}

pub(crate) struct Cache<K, V> {
    class: CacheClass,
    clock: Arc<dyn Clock>,
    held: moka::future::Cache<K, CachedValue<V>>,
    counts: Counts,
}

/// The result of one load.
struct CachedValue<V> {
    /// The time at which the load began, because it may have read data that was current at that time.
    at: Timestamp,
    what: Result<Option<Arc<V>>>,
}

impl<V> Clone for CachedValue<V> {
    fn clone(&self) -> Self {
        Self { at: self.at, what: self.what.clone() }
    }
}

impl<V> CachedValue<V> {
    fn is_fresh(&self, class: CacheClass, now: Timestamp) -> bool {
        let lasts = match &self.what {
            Ok(Some(_)) => class.fresh_for,
            Ok(None) => class.absent_for,
            Err(_) => return false,
        };
        // If the clock goes back, entries do not stay valid longer.
        self.at <= now && now.since(self.at) < lasts
    }
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(crate) fn new(class: CacheClass, clock: Arc<dyn Clock>) -> Self {
        Self { class, clock, held: moka::future::Cache::new(class.most), counts: Counts::default() }
    }

    /// The value of `key`. If there is no valid entry, `load` provides it; `load` returns `None` if there is no such value.
    ///
    /// # Errors
    /// The error of the load: of this call's own, or of the one that it waited for.
    pub(crate) async fn get_or_load(&self, key: K, load: impl Future<Output = Result<Option<V>>>) -> Result<Option<Arc<V>>> {
        let now = self.clock.now();
        if let Some(held) = self.held.get(&key).await.filter(|held| held.is_fresh(self.class, now)) {
            self.counts.hit();
            return held.what;
        }
        self.counts.miss();
        let load = async {
            let at = self.clock.now();
            let what = self.counts.load(load).await.map(|value| value.map(Arc::new));
            CachedValue { at, what }
        };
        let stale = |held: &CachedValue<V>| !held.is_fresh(self.class, self.clock.now());
        self.held.entry(key).or_insert_with_if(load, stale).await.into_value().what
    }

    pub(crate) async fn stats(&self) -> CacheStats {
        self.held.run_pending_tasks().await;
        self.counts.stats(self.class.name, self.held.entry_count())
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("class", &self.class).field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// The statistics of a cache since this process began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CacheStats {
    pub name: &'static str,
    /// Lookups that were answered from memory.
    pub hits: u64,
    /// Lookups that were not: each ran a load, or waited for one.
    pub misses: u64,
    pub loads: u64,
    /// Loads that failed.
    pub failures: u64,
    /// The number of entries, valid or not.
    pub entries: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    loads: AtomicU64,
    failures: AtomicU64,
}

impl Counts {
    pub(crate) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one load, and whether it failed.
    pub(crate) async fn load<T>(&self, load: impl Future<Output = Result<T>>) -> Result<T, Error> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let loaded = load.await;
        self.failures.fetch_add(u64::from(loaded.is_err()), Ordering::Relaxed);
        loaded
    }

    pub(crate) fn stats(&self, name: &'static str, entries: u64) -> CacheStats {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CacheStats {
            name,
            hits: of(&self.hits),
            misses: of(&self.misses),
            loads: of(&self.loads),
            failures: of(&self.failures),
            entries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{error::Cause, time::ManualClock};
    use futures_util::{FutureExt, future::join_all};
    use std::pin::pin;

    const CLASS: CacheClass =
        CacheClass { name: "test", fresh_for: Duration::from_secs(5), absent_for: Duration::from_secs(1), most: 8 };
    const A_MOMENT: Duration = Duration::from_millis(1);

    fn cache() -> (Cache<&'static str, u64>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(1_000_000));
        (Cache::new(CLASS, clock.clone()), clock)
    }

    fn gone() -> Error {
        Error::Unavailable { service: "dynamodb", cause: Cause::code("gone") }
    }

    async fn never() -> Result<Option<u64>> {
        panic!("what is fresh is not loaded");
    }

    #[tokio::test]
    async fn value_is_valid_for_its_lifetime_by_key() {
        let (cache, clock) = cache();
        assert_eq!(cache.get_or_load("acme", async { Ok(Some(1)) }).await, Ok(Some(Arc::new(1))));
        assert_eq!(cache.get_or_load("birch", async { Ok(Some(2)) }).await, Ok(Some(Arc::new(2))));
        clock.advance(CLASS.fresh_for - A_MOMENT);
        assert_eq!(cache.get_or_load("acme", never()).await, Ok(Some(Arc::new(1))), "a moment before");
        clock.advance(A_MOMENT);
        assert_eq!(cache.get_or_load("acme", async { Ok(Some(3)) }).await, Ok(Some(Arc::new(3))));
        assert_eq!(cache.stats().await, CacheStats { name: "test", hits: 1, misses: 3, loads: 3, failures: 0, entries: 2 });
    }

    #[tokio::test]
    async fn absence_is_valid_for_a_shorter_time() {
        let (cache, clock) = cache();
        assert_eq!(cache.get_or_load("acme", async { Ok(None) }).await, Ok(None));
        clock.advance(CLASS.absent_for - A_MOMENT);
        assert_eq!(cache.get_or_load("acme", never()).await, Ok(None));
        clock.advance(A_MOMENT);
        assert_eq!(cache.get_or_load("acme", async { Ok(Some(1)) }).await, Ok(Some(Arc::new(1))));
    }

    #[tokio::test]
    async fn age_counts_from_the_beginning_of_the_load() {
        let (cache, clock) = cache();
        let slow = async {
            clock.advance(CLASS.fresh_for);
            Ok(Some(1))
        };
        assert_eq!(cache.get_or_load("acme", slow).await, Ok(Some(Arc::new(1))));
        assert_eq!(cache.get_or_load("acme", async { Ok(Some(2)) }).await, Ok(Some(Arc::new(2))), "it was old when it came");
    }

    #[tokio::test]
    async fn value_from_the_future_is_not_valid() {
        let (cache, clock) = cache();
        cache.get_or_load("acme", async { Ok(Some(1)) }).await.unwrap();
        clock.set(Timestamp::from_millis(0));
        assert_eq!(cache.get_or_load("acme", async { Ok(Some(2)) }).await, Ok(Some(Arc::new(2))));
    }

    #[tokio::test]
    async fn concurrent_callers_share_one_load() {
        let (cache, clock) = cache();
        for round in 1..=2 {
            let ask = || {
                cache.get_or_load("acme", async {
                    tokio::task::yield_now().await;
                    Ok(Some(round))
                })
            };
            for answer in join_all((0..100).map(|_| ask())).await {
                assert_eq!(answer, Ok(Some(Arc::new(round))));
            }
            assert_eq!(cache.stats().await.loads, round, "also where an old one is there");
            clock.advance(CLASS.fresh_for);
        }
    }

    #[tokio::test]
    async fn failure_is_returned_to_waiting_callers_and_not_cached() {
        let (cache, _) = cache();
        let fails = || async {
            tokio::task::yield_now().await;
            Err(gone())
        };
        for answer in join_all((0..100).map(|_| cache.get_or_load("acme", fails()))).await {
            assert_eq!(answer, Err(gone()));
        }
        assert_eq!(cache.get_or_load("acme", async { Ok(Some(1)) }).await, Ok(Some(Arc::new(1))));
        let CacheStats { hits, misses, loads, failures, .. } = cache.stats().await;
        assert_eq!((hits, misses, loads, failures), (0, 101, 2, 1));
    }

    #[tokio::test]
    async fn failed_load_does_not_renew_a_stale_value() {
        let (cache, clock) = cache();
        cache.get_or_load("acme", async { Ok(Some(1)) }).await.unwrap();
        clock.advance(CLASS.fresh_for);
        assert_eq!(cache.get_or_load("acme", async { Err(gone()) }).await, Err(gone()));
    }

    #[tokio::test]
    async fn caller_dropped_during_a_load_lets_the_next_load() {
        let (cache, _) = cache();
        let mut first = Box::pin(cache.get_or_load("acme", std::future::pending()));
        assert!(first.as_mut().now_or_never().is_none());
        let mut second = pin!(cache.get_or_load("acme", async { Ok(Some(2)) }));
        assert!(second.as_mut().now_or_never().is_none(), "waits for the first");
        drop(first);
        assert_eq!(second.await, Ok(Some(Arc::new(2))));
    }

    #[tokio::test]
    async fn cache_holds_at_most_its_class_limit() {
        let clock = Arc::new(ManualClock::at(0));
        let cache = Cache::new(CLASS, clock);
        for key in 0..1000_u64 {
            assert_eq!(cache.get_or_load(key, async { Ok(Some(key)) }).await, Ok(Some(Arc::new(key))));
        }
        assert!(cache.stats().await.entries <= CLASS.most);
    }
}
