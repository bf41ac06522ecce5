//! A tenant's quota, with any number of processes that lease from it: the calls that they grant together, and those that they
//! refuse.

use super::*;
use crate::base::{error::Cause, time::ManualClock};
use futures_util::future::join_all;
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

/// Emulates the table's item of each minute: a conditional `ADD`, one at a time. The script determines the order of the calls,
/// and whether they fail before or after they are carried out.
#[derive(Clone, Debug, Default)]
struct Counters(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    leased: BTreeMap<i64, u32>,
    updates: usize,
    /// The script of the calls, repeated: how many other calls go first, and where a call fails.
    script: Vec<(u8, Wire)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Works,
    /// The request never arrived.
    Refused,
    /// The call was carried out, and its answer was lost.
    LostAnswer,
    /// The answer was lost, and the SDK repeated the call.
    AskedTwice,
}

impl Counters {
    fn add(&self, minute: i64, block: u32, calls: u32) -> bool {
        let mut state = self.0.lock().unwrap();
        state.updates += 1;
        let leased = state.leased.entry(minute).or_default();
        let fits = *leased + block <= calls;
        *leased += if fits { block } else { 0 };
        fits
    }
}

impl Minutes for Counters {
    async fn lease(&self, _: TenantId, minute: i64, block: u32, calls: u32) -> Result<bool> {
        let (turns, wire) = {
            let state = self.0.lock().unwrap();
            let n = state.updates;
            if state.script.is_empty() { (0, Wire::Works) } else { state.script[n % state.script.len()] }
        };
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let gone = Error::Unavailable { service: "dynamodb", cause: Cause::default() };
        if wire == Wire::Refused {
            self.0.lock().unwrap().updates += 1;
            return Err(gone);
        }
        let granted = self.add(minute, block, calls);
        tokio::task::yield_now().await;
        match wire {
            Wire::LostAnswer => Err(gone),
            Wire::AskedTwice => Ok(self.add(minute, block, calls)),
            Wire::Works | Wire::Refused => Ok(granted),
        }
    }
}

fn process<M: Minutes>(minutes: M) -> TenantQuotas<M> {
    TenantQuotas::new(minutes, Arc::new(ManualClock::at(0)))
}

/// A call: its process, its second and its cost.
type Call = (usize, i64, u32);

fn call(processes: usize) -> impl Strategy<Value = Call> {
    // Times around the edges of three minutes, so that a lease of one minute still exists in the next.
    (0..processes, prop_oneof![0..3i64, 57..63i64, 117..123i64], prop_oneof![Just(1u32), Just(1), Just(1), Just(10), 1..40u32])
}

fn wire() -> impl Strategy<Value = Wire> {
    prop_oneof![4 => Just(Wire::Works), 1 => Just(Wire::Refused), 1 => Just(Wire::LostAnswer), 1 => Just(Wire::AskedTwice)]
}

/// Makes all calls concurrently. Returns the granted calls of each minute, and the number of refusals.
fn granted(quota: u32, processes: usize, calls: &[Call], counters: &Counters) -> (BTreeMap<i64, u32>, usize) {
    let processes: Vec<_> = (0..processes).map(|_| process(counters.clone())).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answers = runtime.block_on(join_all(calls.iter().map(async |(process, second, cost)| {
        let now = Timestamp::from_millis(second * 1000 + 999);
        (second / 60, (*cost).min(quota), processes[*process].take(TenantId::PLATFORM, Some(quota), *cost, now).await)
    })));
    let mut granted = BTreeMap::new();
    let mut refused = 0;
    for (minute, cost, answer) in answers {
        match answer {
            Ok(()) => *granted.entry(minute).or_default() += cost,
            Err(Error::RateLimited { code, .. }) => {
                assert_eq!(code, rate_limit::TENANT_LIMITED);
                refused += 1;
            }
            Err(error) => assert_eq!(error.status(), 503),
        }
    }
    (granted, refused)
}

proptest! {
    #[test]
    fn all_processes_together_never_exceed_the_quota(
        quota in prop_oneof![1..20u32, 1..400u32],
        (processes, calls) in (1..5usize).prop_flat_map(|n| (Just(n), prop::collection::vec(call(n), 0..400))),
        script in prop::collection::vec((0..4u8, wire()), 0..12),
    ) {
        let counters = Counters::default();
        counters.0.lock().unwrap().script = script;
        let (granted, _) = granted(quota, processes, &calls, &counters);
        for (minute, granted) in granted {
            prop_assert!(granted <= quota, "minute {minute}: {granted} of {quota}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_process_grants_concurrent_calls_up_to_the_quota(quota in 1..3000u32, more in 0..50u32) {
        let counters = Counters::default();
        let calls = vec![(0, 30, 1); (quota + more) as usize];
        let (granted, refused) = granted(quota, 1, &calls, &counters);
        prop_assert_eq!(granted.get(&0), Some(&quota));
        prop_assert_eq!(refused, more as usize);
    }

    #[test]
    fn process_refuses_early_by_at_most_the_blocks_of_others(
        quota in 100..3000u32,
        processes in 2..5usize,
    ) {
        let counters = Counters::default();
        let calls: Vec<_> = (0..2 * quota as usize).map(|n| (n % processes, 30, 1)).collect();
        let (granted, _) = granted(quota, processes, &calls, &counters);
        let block = (quota / 100).max(1);
        prop_assert!(granted[&0] + block * u32::try_from(processes).unwrap() >= quota, "{} of {quota}", granted[&0]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The rest of one block counts towards the next call.
    #[test]
    fn one_process_refuses_only_if_less_than_twice_the_cost_is_left(quota in 1..3000u32, cost in 1..12u32) {
        let cost = cost.min(quota);
        let calls = vec![(0, 30, cost); (quota / cost + 1) as usize];
        let (granted, _) = granted(quota, 1, &calls, &Counters::default());
        prop_assert!(granted[&0] + 2 * cost > quota, "{} of {quota} at {cost} a call", granted[&0]);
    }
}

#[test]
fn process_grants_the_whole_quota_in_each_minute() {
    let calls: Vec<_> = (0..3).flat_map(|minute| vec![(0, minute * 60, 1); 1001]).collect();
    let (granted, refused) = granted(1000, 1, &calls, &Counters::default());
    assert_eq!((granted, refused), (BTreeMap::from([(0, 1000), (1, 1000), (2, 1000)]), 3));
}

#[test]
fn call_is_refused_by_one_update_if_no_block_is_larger() {
    let counters = Counters::default();
    granted(50, 1, &[(0, 30, 1); 51], &counters);
    assert_eq!(counters.0.lock().unwrap().updates, 51);
}

/// A table that grants every lease.
struct Generous;

impl Minutes for Generous {
    async fn lease(&self, _: TenantId, _: i64, _: u32, _: u32) -> Result<bool> {
        Ok(true)
    }
}

#[test]
fn process_keeps_a_bounded_number_of_leases() {
    let process = process(Generous);
    let tenant = |n: u128| TenantId::from_uuid(crate::base::id::Uuid::from_u128(n));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let take = |n: u128, second: i64| {
        let now = Timestamp::from_millis(second * 1000);
        runtime.block_on(process.take(tenant(n), None, 1, now)).unwrap();
        process.stats().entries
    };
    let most = LEASES.most as u128;
    assert_eq!((0..most).map(|n| take(n, 0)).max(), Some(LEASES.most as u64));
    assert_eq!(take(most, 59), LEASES.most as u64);
}

#[test]
fn busy_process_updates_the_table_about_a_hundred_times_a_minute() {
    let counters = Counters::default();
    let process = process(counters.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for _ in 0..6000 {
            process.take(TenantId::PLATFORM, None, 1, Timestamp::from_millis(0)).await.unwrap();
        }
        // Blocks of 6, 12, 24, 48, and 98 of 60 calls; the rest is less than a block.
        let updates = counters.0.lock().unwrap().updates;
        assert!((4 + 98..=4 + 98 + 20).contains(&updates), "{updates}");
        let refused = process.take(TenantId::PLATFORM, None, 1, Timestamp::from_millis(12_345)).await.unwrap_err();
        let budget = Budget { limit: 6000, remaining: 0, reset: Duration::from_secs(48) };
        assert_eq!(
            refused,
            Error::RateLimited { code: rate_limit::TENANT_LIMITED, retry_after: Duration::from_secs(48), budget }
        );
    });
}
