//! Writes a bundle of synthetic events, to measure the time and memory of a verification:
//!
//! ```text
//! cargo run -p auditor --example million --profile fast -- DIR 1000000
//! ```

#![expect(clippy::unwrap_used, reason = "a benchmark stops at what it cannot do")]

use auditor::Writer;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use ledger::checkpoint::Unsigned;
use ledger::{Checkpoint, Event, Head, OccurredAt, Origin, Segment, Word};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, directory, count] = args.as_slice() else { panic!("expected a directory and a number of events") };
    let count: u64 = count.parse().unwrap();
    let golden = include_str!("../../../shared/ledger/tests/golden.json");
    let golden = Event::parse(golden.trim_end().as_bytes()).unwrap();
    let origin = Origin::new("cloister.example", golden.tenant_id.clone()).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let key = origin.key(pair.public_key().as_ref().try_into().unwrap());

    let mut writer = Writer::create(directory, origin.clone(), None).unwrap();
    let mut head = Head::empty(golden.tenant_id.clone());
    let event = |n| Event { event_id: Word::parse(format!("evt_{n:032x}")).unwrap(), ..golden.clone() };
    while head.size() < count {
        let segment = Segment::seal(&head, (head.size()..count).map(event)).unwrap().unwrap();
        head = head.extend(&segment).unwrap();
        writer.segment(&segment, Word::literal("synthetic")).unwrap();
        // About the number of checkpoints of a busy tenant, which gets one a minute.
        if head.size().is_multiple_of(10_000) || head.size() == count {
            let unsigned = Unsigned::new(&Checkpoint::of("cloister.example", &head).unwrap(), key.clone()).unwrap();
            let signature = pair.sign(unsigned.bytes());
            writer.checkpoint(head.size(), unsigned.sign(signature.as_ref()).unwrap().to_string().as_bytes()).unwrap();
        }
    }
    writer.key(&key).unwrap();
    writer.finish(OccurredAt::parse("2026-02-01T00:00:00.000Z").unwrap()).unwrap();
    println!("{count} events in {directory}");
}
