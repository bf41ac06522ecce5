//! Parcels' journeys with calls that fail, responses that are lost, messages that are delivered three times in any order, and
//! consumers that die. This test runs a few. `cargo run -p suite --bin journeys` runs as many as you choose.

use suite::journeys::{Plan, play};

const PLAN: Plan = Plan { shipments: 6, seed: 7, failing: 30, copies: 3, killed: 5, at_once: 1 };

#[tokio::test(flavor = "multi_thread")]
async fn journeys_with_faults_lose_nothing_and_do_nothing_twice() {
    let (outcome, calm) = tokio::join!(play(PLAN, |_| ()), play(PLAN.calm(), |_| ()));
    for outcome in [&outcome, &calm] {
        assert_eq!(outcome.wrong, Vec::<String>::new());
        assert_eq!(outcome.statuses.values().collect::<Vec<_>>(), outcome.truth.values().collect::<Vec<_>>());
        assert_eq!(outcome.statuses.len(), PLAN.shipments);
        assert!(outcome.notifications >= PLAN.shipments, "{outcome:?}");
    }
    assert!(outcome.killed > 0, "{outcome:?}");
    assert_eq!(outcome.statuses, calm.statuses);
}
