//! The cost of a decision with the current number of policies: every action for every role, in turns.
//!
//! A decision contains all that a request waits for: the request as entities and context, Cedar's answer, and the names of the
//! determining policies. `cargo bench -p common --bench decide --profile release` measures it with the profile that is deployed.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at what it cannot do")]

use common::{
    base::Role,
    policy::{Action, POLICIES, Policies, RESOURCES},
};
use std::time::{Duration, Instant};

const ROUNDS: usize = 200;
const TARGET: Duration = Duration::from_micros(30);

fn main() {
    let start = Instant::now();
    let policies = Policies::load().unwrap();
    let loaded = start.elapsed();
    let questions: Vec<_> = RESOURCES
        .lines()
        .map(|line| line.split_once(": ").unwrap())
        .flat_map(|(action, kinds)| kinds.split(' ').map(move |kind| (Action(action), kind)))
        .flat_map(|(action, kind)| Role::ALL.map(|role| (role, action, kind)))
        .collect();
    let mut times = Vec::with_capacity(ROUNDS * questions.len());
    for _ in 0..ROUNDS {
        for &(role, action, kind) in &questions {
            let start = Instant::now();
            std::hint::black_box(policies.may(role, action, kind, false).unwrap());
            times.push(start.elapsed());
        }
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let count: usize = POLICIES.iter().map(|(_, text)| text.matches("@id(").count()).sum();
    println!("{count} policies, {} questions, {ROUNDS} rounds; loaded in {:.1} ms", questions.len(), loaded.as_secs_f64() * 1e3);
    for (name, share) in [("least", 0.0), ("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
        println!("  {name:<6} {:>7.1} us", at(share).as_secs_f64() * 1e6);
    }
    let verdict = if at(0.5) < TARGET { "met" } else { "missed" };
    println!("  target: p50 under {} us: {verdict}", TARGET.as_micros());
}
