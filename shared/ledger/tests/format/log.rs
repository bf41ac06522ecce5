//! A growing log: segments, the head that they extend, and the fault that is found in an invalid segment.

use crate::support::{OTHER_TENANT, TENANT, event, numbered, sealed_length, words};
use ledger::{Breach, Event, Frontier, Hash, Head, InvalidLeaf, MAX_EVENT_LEN, Segment, Word, merkle, segment};
use proptest::prelude::*;

fn seal(head: &Head, count: u64) -> Segment {
    let first = head.size();
    Segment::seal(head, (first..first + count).map(numbered)).unwrap().unwrap()
}

/// Grows the log of an empty head by segments of these lengths.
fn grown(lengths: &[u64]) -> (Head, Vec<Segment>) {
    let mut head = Head::empty(TENANT);
    let mut grow = |length: &u64| {
        let segment = seal(&head, *length);
        head = head.extend(&segment).unwrap();
        segment
    };
    let segments = lengths.iter().map(&mut grow).collect();
    (head, segments)
}

fn lines(segment: &Segment) -> Vec<Vec<u8>> {
    segment.body().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// The sequence, line and kind of the fault that is found.
fn found(head: &Head, body: Vec<u8>) -> (u64, usize, Breach) {
    let broken = Segment::parse_after(head, body).unwrap_err();
    (broken.sequence, broken.line, broken.how)
}

#[test]
fn head_is_the_same_for_any_division_into_segments() {
    let (head, segments) = grown(&[1, 4, 10, 1]);
    let (other, _) = grown(&[16]);
    assert_eq!(head, other);
    let leaves: Vec<Hash> = segments.iter().flat_map(|segment| segment.leaves().to_vec()).collect();
    assert_eq!(head.root(), merkle::root(&leaves));
    assert_eq!((head.size(), head.last_hash()), (16, leaves[15]));
}

#[test]
fn parsed_segment_equals_the_sealed_one() {
    let (head, _) = grown(&[3]);
    let sealed = seal(&head, 5);
    let adopted = Segment::parse_after(&head, sealed.body().to_vec()).unwrap();
    assert_eq!(adopted, sealed);
    assert_eq!(Segment::parse(sealed.body().to_vec()).unwrap(), sealed);
    assert_eq!((sealed.first(), sealed.next(), sealed.len()), (3, 8, 5));
    assert_eq!(sealed.object_key(), "segments/ten_01997a2e51a07cc2a3a9a1f0c7b1d2e4/000000000003.jsonl");
    assert_eq!(sealed.object_key(), segment::object_key(&TENANT, 3));
    assert_eq!(sealed.sha256(), Hash::of(sealed.body()));
    let events: Vec<Event> = sealed.events().map(Result::unwrap).collect();
    assert_eq!(events[4].hash, Some(sealed.last_hash()));
    assert_eq!(sealed.clone().into_body(), sealed.body());
    let shown = format!("Segment({TENANT}, 5 events from 3, {} bytes)", sealed.body().len());
    assert_eq!(format!("{sealed:?}"), shown);
}

#[test]
fn sealing_takes_only_the_events_that_fit_one_segment() {
    let head = Head::empty(TENANT);
    assert_eq!(Segment::seal(&head, []).unwrap(), None);
    assert_eq!(seal(&head, 1001).len(), Segment::MAX_EVENTS);

    let long = words::<100>(&vec!["x".repeat(128).as_str(); 100]);
    let long = || Event { disclosed: long.clone(), redacted: long.clone(), changes: long.clone(), ..event() };
    let segment = Segment::seal(&head, std::iter::repeat_with(long)).unwrap().unwrap();
    let line = segment.body().len() / segment.len();
    assert!(segment.len() < Segment::MAX_EVENTS && segment.body().len() <= Segment::MAX_LEN);
    assert!(segment.body().len() + line + 2 > Segment::MAX_LEN);
    Segment::parse_after(&head, segment.into_body()).unwrap();
}

#[test]
fn segment_is_filled_up_to_its_maximum_length() {
    let head = Head::empty(TENANT);
    // Each of these fills a 64th of a segment, including its line end.
    let mut events: Vec<Event> = (0..64).map(|n| sealed_length(n, Segment::MAX_LEN / 64 - 1)).collect();
    let full = Segment::seal(&head, events.clone()).unwrap().unwrap();
    assert_eq!((full.len(), full.body().len()), (64, Segment::MAX_LEN));
    assert_eq!(Segment::parse_after(&head, full.body().to_vec()).unwrap(), full);

    events[63] = sealed_length(63, MAX_EVENT_LEN);
    assert_eq!(Segment::seal(&head, events).unwrap().unwrap().len(), 63);
}

#[test]
fn event_of_another_tenant_is_neither_sealed_nor_read() {
    let head = Head::empty(TENANT);
    let foreign = Event { tenant_id: OTHER_TENANT, ..numbered(1) };
    let broken = Segment::seal(&head, [numbered(0), numbered(1), foreign]).unwrap_err();
    assert!(matches!((broken.sequence, broken.line, broken.how), (2, 3, Breach::Tenant)));

    let theirs = Segment::seal(&Head::empty(OTHER_TENANT), [Event { tenant_id: OTHER_TENANT, ..numbered(0) }]).unwrap().unwrap();
    assert!(matches!(head.extend(&theirs).unwrap_err().how, Breach::Tenant));
    assert!(matches!(found(&head, theirs.body().to_vec()), (0, 1, Breach::Tenant)));
}

#[test]
fn segment_out_of_order_is_refused() {
    let (head, segments) = grown(&[4, 4, 4]);
    let before = Head::empty(TENANT).extend(&segments[0]).unwrap();
    let missing = before.extend(&segments[2]).unwrap_err();
    assert!(matches!((missing.sequence, missing.how), (4, Breach::Missing { last: 7 })));
    let repeated = head.extend(&segments[1]).unwrap_err();
    assert!(matches!((repeated.sequence, repeated.how), (12, Breach::Repeated { found: 4 })));

    let other = Segment::seal(&Head::empty(TENANT), (0..4).map(|n| numbered(n + 1))).unwrap().unwrap();
    let other = Head::empty(TENANT).extend(&other).unwrap();
    let unchained = other.extend(&segments[1]).unwrap_err();
    assert!(matches!((unchained.sequence, unchained.how), (4, Breach::Unchained)));
}

#[test]
fn altered_segment_is_refused_with_kind_and_position() {
    let (head, before) = grown(&[10]);
    let segment = seal(&head, 5);
    let lines = lines(&segment);
    let with = |order: &[usize]| order.iter().flat_map(|n| lines[*n].clone()).collect::<Vec<u8>>();

    assert!(matches!(found(&head, with(&[0, 1, 3, 4])), (12, 3, Breach::Missing { last: 12 })));
    assert!(matches!(found(&head, with(&[1, 2, 3, 4])), (10, 1, Breach::Missing { last: 10 })));
    assert!(matches!(found(&head, with(&[0, 2, 1, 3, 4])), (11, 2, Breach::Reordered { found: 12 })));
    assert!(matches!(found(&head, with(&[1, 0, 2, 3, 4])), (10, 1, Breach::Reordered { found: 11 })));
    assert!(matches!(found(&head, with(&[0, 1, 1, 2, 3, 4])), (12, 3, Breach::Repeated { found: 11 })));
    assert!(matches!(found(&head, with(&[0, 1, 2, 3, 4])[..segment.body().len() - 1].to_vec()), (14, 5, Breach::CutOff)));
    assert!(matches!(found(&head, Vec::new()), (10, 1, Breach::Size)));
    assert!(matches!(found(&head, before[0].body().to_vec()), (10, 1, Breach::Reordered { found: 0 })));

    // A forged event after the second, which claims to be the third.
    let own = Segment::seal(&Head::empty(TENANT), [numbered(99)]).unwrap().unwrap().events().next().unwrap().unwrap();
    let own = ledger::chain(own, 12, segment.leaves()[1]).unwrap().to_json().unwrap();
    let inserted = [with(&[0, 1]), own.clone(), b"\n".to_vec(), with(&[2, 3, 4])].concat();
    assert!(matches!(found(&head, inserted), (13, 4, Breach::Repeated { found: 12 })));
    let replaced = [with(&[0, 1]), own, b"\n".to_vec(), with(&[3, 4])].concat();
    assert!(matches!(found(&head, replaced), (13, 4, Breach::Unchained)));
    let noise = [with(&[0, 1]), b"\n".to_vec(), with(&[2, 3, 4])].concat();
    assert!(matches!(found(&head, noise), (12, 3, Breach::Leaf(InvalidLeaf::Event(_)))));
    let modified = String::from_utf8(segment.body().to_vec()).unwrap().replacen("getShipment", "getShipmenT", 1).into_bytes();
    let at = lines.iter().position(|line| line.windows(11).any(|word| word == b"getShipment")).unwrap();
    let (sequence, line, how) = found(&head, modified);
    assert!(matches!(how, Breach::Leaf(InvalidLeaf::Modified)));
    assert_eq!((sequence, line), (10 + at as u64, at + 1));

    // A segment by itself may begin at any sequence, but must be complete.
    assert_eq!(Segment::parse(with(&[1, 2, 3, 4])).unwrap().first(), 11);
    assert!(matches!(Segment::parse(with(&[1, 0, 2])).unwrap_err().how, Breach::Reordered { found: 10 }));
    assert!(matches!(Segment::parse(Vec::new()).unwrap_err().how, Breach::Size));
    assert!(matches!(Segment::parse(b"{}\n".to_vec()).unwrap_err().how, Breach::Leaf(_)));
    assert!(matches!(Segment::parse(with(&[0])[..9].to_vec()).unwrap_err().how, Breach::CutOff));
}

#[test]
fn segment_with_too_many_events_is_refused() {
    let head = Head::empty(TENANT);
    let segment = seal(&head, 1000);
    let next = head.extend(&segment).unwrap();
    let body = [segment.body(), seal(&next, 1).body()].concat();
    assert!(matches!(found(&head, body), (1000, 1001, Breach::Size)));
    assert!(matches!(found(&head, vec![b'\n'; Segment::MAX_LEN + 1]), (0, 1, Breach::Size)));
}

#[test]
fn head_text_is_canonical_and_round_trips() {
    let (head, _) = grown(&[7, 6]);
    let text = head.to_text().unwrap();
    assert!(
        text.starts_with(r#"{"format":1,"last_hash":""#)
            && text.ends_with(r#""size":13,"tenant_id":"ten_01997a2e51a07cc2a3a9a1f0c7b1d2e4"}"#)
    );
    assert_eq!(Head::parse(&text).unwrap(), head);
    let empty = Head::empty(TENANT);
    assert_eq!(Head::parse(&empty.to_text().unwrap()).unwrap(), empty);
    let last = head.last_hash().to_string();
    let others = [
        text.replace("\"size\":13", "\"size\":12"),
        text.replace(",", ", "),
        text.replace("\"format\":1", "\"format\":2"),
        text.replace(&format!("\"last_hash\":\"{last}\""), &format!("\"last_hash\":\"{}\"", Hash::ZERO)),
        text.replace("\"size\":13", "\"size\":13,\"more\":1"),
        String::new(),
    ];
    for other in others {
        assert!(Head::parse(&other).is_err(), "{other}");
    }
    assert!(Head::new(TENANT, Hash::of(b"x"), Frontier::empty()).is_err());
}

#[test]
fn frontier_with_wrong_number_of_hashes_is_refused() {
    let mut frontier = Frontier::empty();
    (0..13_u8).for_each(|n| frontier.push(merkle::leaf_hash(&[n])));
    let bytes = frontier.to_bytes();
    assert_eq!(bytes.len(), 8 + 3 * 32);
    for cut in [0, 7, 8, bytes.len() - 1, bytes.len() - 32] {
        assert!(Frontier::from_bytes(&bytes[..cut]).is_err(), "{cut}");
    }
    assert!(Frontier::from_bytes(&[bytes.as_slice(), &[0; 32]].concat()).is_err());
    assert!(Frontier::new(3, frontier.peaks().to_vec()).is_err());
    assert!(Frontier::new(u64::MAX, vec![Hash::ZERO; 64]).is_err());
    assert!(serde_json::from_str::<Frontier>(r#"{"size":1,"peaks":[]}"#).is_err());
}

proptest! {
    #[test]
    fn frontier_root_equals_tree_root_at_every_size(seeds in prop::collection::vec(any::<[u8; 32]>(), 0..300)) {
        let leaves: Vec<Hash> = seeds.into_iter().map(Hash::new).collect();
        let mut frontier = Frontier::empty();
        for size in 0..=leaves.len() {
            prop_assert_eq!((frontier.size(), frontier.root()), (size as u64, merkle::root(&leaves[..size])));
            prop_assert_eq!(frontier.peaks().len() as u32, size.count_ones());
            let text = serde_json::to_string(&frontier).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Frontier>(&text).unwrap(), &frontier);
            frontier = Frontier::from_bytes(&frontier.to_bytes()).unwrap();
            if let Some(leaf) = leaves.get(size) {
                frontier.push(*leaf);
            }
        }
    }

    #[test]
    fn segment_with_any_altered_byte_is_refused(at: prop::sample::Index, flip in 1..=255_u8) {
        let (head, _) = grown(&[3]);
        let segment = seal(&head, 4);
        let mut body = segment.body().to_vec();
        let at = at.index(body.len());
        body[at] ^= flip;
        prop_assert!(Segment::parse_after(&head, body).is_err());
    }
}

#[test]
fn log_of_an_unknown_tenant_id_is_separate() {
    let tenant = Word::literal("another");
    let head = Head::empty(tenant.clone());
    let segment = Segment::seal(&head, [Event { tenant_id: tenant.clone(), ..numbered(0) }]).unwrap().unwrap();
    assert_eq!(segment.object_key(), "segments/another/000000000000.jsonl");
    assert_eq!(head.extend(&segment).unwrap().tenant_id(), &tenant);
}
