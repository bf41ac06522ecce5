//! A cache-aside cache in this process's memory, based on our own clock. All caches of a process are of this type.
//!
//! A [`CacheClass`] defines how long a value is valid, how long its absence is valid, and how many entries are kept. A caller who
//! finds no valid entry loads it. Concurrent callers wait for that load and share its result, including an error. An error is
//! returned only to the callers who waited, and is not cached. If a caller is dropped during a load, the next one loads.
//!
//! `quick_cache` bounds the number of entries, evicts those that were not used lately, and merges concurrent loads. Times are
//! ours: a value's age counts from the moment before its load, by the [`Clock`] that the rest of the code uses. A value that is
//! evicted or replaced is dropped at once. A value that is too old is dropped by a later lookup of any key; lookups look for such
//! values once a second.
//!
//! Limit: a change cannot be pushed into a frozen process, so every entry may be stale up to its documented age.

use crate::base::{Clock, Error, Result, Timestamp};
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, UnitWeighter,
    sync::{DefaultLifecycle, EntryAction, EntryResult, PlaceholderGuard},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    fmt,
    future::Future,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
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
    pub(crate) stale_if_error: Option<StaleIfError>,
    /// The largest number of entries.
    pub(crate) most: usize,
}

/// Allows the use of an old value if its replacement cannot be loaded (as `stale-if-error` does in RFC 5861).
#[derive(Clone, Copy, Debug)]
pub(crate) struct StaleIfError {
    /// The age up to which the value may be used.
    pub(crate) usable_for: Duration,
    /// The time after a failed load until the next.
    pub(crate) retry_after: Duration,
}

impl CacheClass {
    /// Values that are valid for `fresh_for`. Neither their absence nor an old value is used.
    pub(crate) const fn new(name: &'static str, fresh_for: Duration, most: usize) -> Self {
        Self { name, fresh_for, absent_for: Duration::ZERO, stale_if_error: None, most }
    }
}

/// The time between two removals of all entries that are too old.
const REMOVED_EVERY: Duration = Duration::from_secs(1);

type Entries<K, V> = quick_cache::sync::Cache<K, Entry<V>>;
type Place<'a, K, V> = PlaceholderGuard<'a, K, Entry<V>, UnitWeighter, DefaultHashBuilder, DefaultLifecycle<K, Entry<V>>>;

pub(crate) struct Cache<K, V> {
    class: CacheClass,
    clock: Arc<dyn Clock>,
    entries: Entries<K, V>,
    /// Orders the arrivals of callers and the ends of loads.
    events: AtomicU64,
    /// The time of the next removal of old entries, in milliseconds.
    next_removal: AtomicI64,
    counts: Counts,
}

/// The result of one load.
struct Entry<V> {
    /// The time at which the load began, because it may have read data that was current at that time.
    loaded_at: Timestamp,
    valid_until: Timestamp,
    /// The end of the load, as a number in the order of events. Callers who arrived before it have waited for the load.
    ended: u64,
    result: Result<Option<Arc<V>>>,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self { loaded_at: self.loaded_at, valid_until: self.valid_until, ended: self.ended, result: self.result.clone() }
    }
}

impl<V> Entry<V> {
    fn is_valid(&self, now: Timestamp) -> bool {
        self.is_younger_than(self.valid_until.since(self.loaded_at), now)
    }

    /// If the clock goes back, entries do not stay valid longer.
    fn is_younger_than(&self, age: Duration, now: Timestamp) -> bool {
        self.loaded_at <= now && now.since(self.loaded_at) < age
    }
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(crate) fn new(class: CacheClass, clock: Arc<dyn Clock>) -> Self {
        let mut options = OptionsBuilder::new();
        // A function serves one request at a time, so one lock suffices.
        options.shards(1).estimated_items_capacity(class.most).weight_capacity(u64::try_from(class.most).unwrap_or(u64::MAX));
        // INVARIANT: the builder only fails without capacities.
        let entries = options.build().map_or_else(
            |_| Entries::new(class.most),
            |options| Entries::with_options(options, UnitWeighter, DefaultHashBuilder::default(), DefaultLifecycle::default()),
        );
        Self {
            entries,
            class,
            clock,
            events: AtomicU64::new(0),
            next_removal: AtomicI64::new(i64::MIN),
            counts: Counts::default(),
        }
    }

    /// The value of `key`. If there is no valid entry, `load` provides it; `load` returns `None` if there is no such value.
    ///
    /// # Errors
    /// The error of the load: of this call's own, or of the one that it waited for.
    pub(crate) async fn get_or_load(&self, key: K, load: impl Future<Output = Result<Option<V>>>) -> Result<Option<Arc<V>>> {
        let now = self.clock.now();
        self.remove_old(now);
        if let Some(held) = self.entries.get(&key).filter(|held| held.is_valid(now)) {
            self.counts.hit();
            return held.result;
        }
        self.counts.miss();
        // Boxed, because it is rarely needed, and otherwise every lookup would carry its size.
        Box::pin(self.load(key, load)).await
    }

    async fn load(&self, key: K, load: impl Future<Output = Result<Option<V>>>) -> Result<Option<Arc<V>>> {
        let arrived = self.next_event();
        let look = |_: &K, held: &mut Entry<V>| {
            let waited = held.ended > arrived;
            if waited || held.is_valid(self.clock.now()) {
                EntryAction::Retain(held.result.clone())
            } else {
                EntryAction::ReplaceWithGuard
            }
        };
        let (place, old) = match self.entries.entry_async(&key, look).await {
            EntryResult::Retained(result) => return result,
            EntryResult::Vacant(place) => (place, None),
            EntryResult::Replaced(place, old) => (place, Some(old)),
            EntryResult::Removed(..) | EntryResult::Timeout => return Err(Error::internal("cache")),
        };
        let loading = Loading { place: Some(place), old };
        let loaded_at = self.clock.now();
        let result = self.counts.load(load).await.map(|value| value.map(Arc::new));
        let valid_for = match &result {
            Ok(Some(_)) => self.class.fresh_for,
            Ok(None) => self.class.absent_for,
            Err(_) => Duration::ZERO,
        };
        let mut entry = Entry { loaded_at, valid_until: loaded_at.plus(valid_for), ended: self.next_event(), result };
        if let (Err(_), Some(old)) = (&entry.result, self.usable(loading.old.as_ref())) {
            entry = Entry { ended: entry.ended, ..old };
        }
        loading.end(entry.clone());
        entry.result
    }

    /// The old entry, valid until the next load, if it may replace a failed one.
    fn usable(&self, old: Option<&Entry<V>>) -> Option<Entry<V>> {
        let (rule, now) = (self.class.stale_if_error?, self.clock.now());
        let old = old.filter(|old| old.result.is_ok() && old.is_younger_than(rule.usable_for, now))?;
        Some(Entry { valid_until: now.plus(rule.retry_after).min(old.loaded_at.plus(rule.usable_for)), ..old.clone() })
    }

    /// Removes a value, unless it has been replaced since it was `seen`.
    pub(crate) fn forget(&self, key: &K, seen: &Arc<V>) {
        self.entries.remove_if(key, |held| matches!(&held.result, Ok(Some(value)) if Arc::ptr_eq(value, seen)));
    }

    fn remove_old(&self, now: Timestamp) {
        let due = self.next_removal.load(Ordering::Relaxed);
        if now.as_millis() < due && now.plus(REMOVED_EVERY).as_millis() >= due {
            return;
        }
        self.next_removal.store(now.plus(REMOVED_EVERY).as_millis(), Ordering::Relaxed);
        let usable_for = self.class.stale_if_error.map_or(Duration::ZERO, |rule| rule.usable_for);
        self.entries.retain(|_, held| held.is_valid(now) || held.result.is_ok() && held.is_younger_than(usable_for, now));
    }

    fn next_event(&self) -> u64 {
        self.events.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn stats(&self) -> CacheStats {
        self.counts.stats(self.class.name, u64::try_from(self.entries.len()).unwrap_or(u64::MAX))
    }
}

/// A running load. If it is dropped, the old entry returns to its place.
struct Loading<'a, K: Eq + Hash, V> {
    place: Option<Place<'a, K, V>>,
    old: Option<Entry<V>>,
}

impl<K: Eq + Hash, V> Loading<'_, K, V> {
    fn end(mut self, entry: Entry<V>) {
        self.old = Some(entry);
    }
}

impl<K: Eq + Hash, V> Drop for Loading<'_, K, V> {
    fn drop(&mut self) {
        if let (Some(place), Some(entry)) = (self.place.take(), self.old.take()) {
            // If the place was removed meanwhile, the entry is not kept.
            let _ = place.insert(entry);
        }
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
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    loads: AtomicU64,
    failures: AtomicU64,
}

impl Counts {
    fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one load, and whether it failed.
    async fn load<T>(&self, load: impl Future<Output = Result<T>>) -> Result<T, Error> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let loaded = load.await;
        self.failures.fetch_add(u64::from(loaded.is_err()), Ordering::Relaxed);
        loaded
    }

    fn stats(&self, name: &'static str, entries: u64) -> CacheStats {
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
        CacheClass { absent_for: Duration::from_secs(1), ..CacheClass::new("test", Duration::from_secs(5), 8) };
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
        assert_eq!(cache.stats(), CacheStats { name: "test", hits: 1, misses: 3, loads: 3, failures: 0, entries: 2 });
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
            assert_eq!(cache.stats().loads, round, "also where an old one is there");
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
        let CacheStats { hits, misses, loads, failures, .. } = cache.stats();
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
        assert_eq!(cache.stats().entries, 8);
    }

    #[tokio::test]
    async fn failure_is_not_kept_for_callers_who_come_later() {
        let (cache, clock) = cache();
        cache.get_or_load("acme", async { Ok(Some(1)) }).await.unwrap();
        clock.advance(CLASS.fresh_for);
        for _ in 0..2 {
            assert_eq!(cache.get_or_load("acme", async { Err(gone()) }).await, Err(gone()));
            assert_eq!(cache.get_or_load("birch", async { Err(gone()) }).await, Err(gone()));
        }
        assert_eq!(cache.stats().failures, 4);
    }

    #[tokio::test]
    async fn old_values_are_dropped_by_a_later_lookup_of_another_key() {
        let (cache, clock) = cache();
        let acme = cache.get_or_load("acme", async { Ok(Some(1)) }).await.unwrap().unwrap();
        clock.advance(CLASS.fresh_for - A_MOMENT);
        cache.get_or_load("birch", async { Ok(Some(2)) }).await.unwrap();
        assert_eq!(Arc::strong_count(&acme), 2);
        clock.advance(REMOVED_EVERY);
        cache.get_or_load("birch", never()).await.unwrap();
        assert_eq!((Arc::strong_count(&acme), cache.stats().entries), (1, 1));
    }

    #[tokio::test]
    async fn evicted_value_is_dropped_at_once() {
        let cache = Cache::new(CLASS, Arc::new(ManualClock::at(0)));
        let mut values = Vec::new();
        for key in 0..9_u64 {
            values.push(cache.get_or_load(key, async { Ok(Some(key)) }).await.unwrap().unwrap());
        }
        assert_eq!(values.iter().filter(|value| Arc::strong_count(value) == 1).count(), 1);
    }

    #[tokio::test]
    async fn forgotten_value_is_loaded_again_unless_it_was_replaced() {
        let (cache, _) = cache();
        let one = cache.get_or_load("acme", async { Ok(Some(1)) }).await.unwrap().unwrap();
        cache.forget(&"acme", &one);
        let two = cache.get_or_load("acme", async { Ok(Some(2)) }).await.unwrap().unwrap();
        cache.forget(&"acme", &one);
        assert_eq!(cache.get_or_load("acme", never()).await, Ok(Some(two)));
    }

    const USABLE: CacheClass = CacheClass {
        stale_if_error: Some(StaleIfError { usable_for: Duration::from_secs(9), retry_after: Duration::from_secs(3) }),
        ..CLASS
    };

    #[tokio::test]
    async fn old_value_is_used_while_its_replacement_cannot_be_loaded() {
        let clock = Arc::new(ManualClock::at(1_000_000));
        let cache = Cache::new(USABLE, clock.clone());
        let fails = || cache.get_or_load("acme", async { Err(gone()) });
        assert_eq!(fails().await, Err(gone()), "there is none");
        cache.get_or_load("acme", async { Ok(Some(1)) }).await.unwrap();
        clock.advance(USABLE.fresh_for);
        assert_eq!(fails().await, Ok(Some(Arc::new(1))));
        clock.advance(Duration::from_secs(3) - A_MOMENT);
        assert_eq!(cache.get_or_load("acme", never()).await, Ok(Some(Arc::new(1))), "no load before the retry");
        clock.advance(A_MOMENT);
        assert_eq!(fails().await, Ok(Some(Arc::new(1))));
        clock.advance(Duration::from_secs(1));
        assert_eq!(fails().await, Err(gone()), "after nine seconds it is not used");
        assert_eq!(cache.get_or_load("acme", async { Ok(Some(2)) }).await, Ok(Some(Arc::new(2))));
    }

    #[tokio::test]
    async fn old_value_is_kept_if_its_load_is_dropped() {
        let clock = Arc::new(ManualClock::at(1_000_000));
        let cache = Cache::new(USABLE, clock.clone());
        cache.get_or_load("acme", async { Ok(Some(1)) }).await.unwrap();
        clock.advance(USABLE.fresh_for);
        assert!(cache.get_or_load("acme", std::future::pending()).now_or_never().is_none());
        assert_eq!(cache.get_or_load("acme", async { Err(gone()) }).await, Ok(Some(Arc::new(1))));
    }
}
