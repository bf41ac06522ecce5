//! The cost of an auditor's work relative to SHA-256 of the same bytes, measured in one run. The results are ratios, because
//! absolute times mostly describe the machine.
//!
//! Raw is one SHA-256 of aws-lc-rs over each line; every verifier needs at least that. A ratio is raw time / our time; each time
//! is the best of many rounds, and the two sides alternate.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at what it cannot do")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use ledger::{Event, Frontier, Hash, Head, Leaf, Segment, chain};

const EVENTS: usize = Segment::MAX_EVENTS;
const ROUNDS: u32 = 300;

fn main() {
    // Synthetic: the golden event, repeated.
    let golden = Event::parse(include_str!("../tests/golden.json").trim_end().as_bytes()).unwrap();
    let head = Head::empty(golden.tenant_id.clone());
    let events = vec![golden; EVENTS];
    let segment = Segment::seal(&head, events.clone()).unwrap().unwrap();
    let lines: Vec<&[u8]> = segment.body().split(|byte| *byte == b'\n').take(EVENTS).collect();
    let raw = || lines.iter().map(|line| digest(&SHA256, black_box(line)).as_ref()[0]).fold(0, u8::wrapping_add);

    println!("{EVENTS} events, {} bytes each (target 0.6)", segment.body().len() / EVENTS);
    let (ours, theirs) = race(|| lines.iter().map(|line| Leaf::read(black_box(line)).unwrap().sequence).sum::<u64>(), raw);
    report("read a line", ours, theirs);
    let (ours, theirs) = race(|| lines.iter().map(|line| Leaf::verify(black_box(line)).unwrap().sequence).sum::<u64>(), raw);
    report("verify a leaf", ours, theirs);
    let tree = || {
        let mut frontier = Frontier::empty();
        segment.leaves().iter().for_each(|leaf| frontier.push(*leaf));
        frontier.root()
    };
    let (ours, theirs) = race(tree, raw);
    report("tree alone", ours, theirs);
    let mut body = segment.body().to_vec();
    let verify = || {
        let read = Segment::parse_after(&head, std::mem::take(&mut body)).unwrap();
        let root = head.extend(&read).unwrap().root();
        body = read.into_body();
        root
    };
    let (ours, theirs) = race(verify, raw);
    report("leaf, chain, tree", ours, theirs);
    let mut events = events;
    let seal = || {
        let mut previous = Hash::ZERO;
        let seal = |(event, sequence)| {
            let sealed = chain(event, sequence, previous).unwrap();
            previous = sealed.hash.unwrap();
            sealed
        };
        events = std::mem::take(&mut events).into_iter().zip(0..).map(seal).collect();
    };
    let (ours, theirs) = race(seal, raw);
    report("hash a leaf", ours, theirs);
}

/// The best time of one event's share of each. The rounds alternate, so that a disturbance of the machine affects both.
fn race<A, B>(mut ours: impl FnMut() -> A, mut theirs: impl FnMut() -> B) -> (Duration, Duration) {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        best.0 = best.0.min(time(&mut ours));
        best.1 = best.1.min(time(&mut theirs));
    }
    (best.0, best.1)
}

fn time<T>(work: &mut impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed() / EVENTS as u32
}

fn report(what: &str, ours: Duration, theirs: Duration) {
    let (ours, theirs) = (ours.as_secs_f64(), theirs.as_secs_f64());
    let rate = 1.0 / ours;
    println!("  {what:<18} {:>6.0} ns, {rate:>9.0} a second, raw {:>5.0} ns: {:.2} x", ours * 1e9, theirs * 1e9, theirs / ours);
}
