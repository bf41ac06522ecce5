//! Events: each has exactly one text, is refused when altered, and is hashed and chained as in the frozen golden event.

use crate::support::{any_event, bare, event, of_length, sealed_length, words};
use ledger::{
    AtMost, Event, EventError, Hash, InvalidLeaf, MAX_EVENT_LEN, Outcome, Resource, Word, chain, verify_chain, verify_leaf,
};
use proptest::prelude::*;

fn sealed(count: u64) -> Vec<Event> {
    let mut previous = Hash::ZERO;
    let next = |sequence| {
        let event = Event { event_id: Word::parse(format!("evt_{sequence}")).unwrap(), ..event() };
        let event = chain(event, sequence, previous).unwrap();
        previous = event.hash.unwrap();
        event
    };
    (0..count).map(next).collect()
}

fn text(event: &Event) -> String {
    String::from_utf8(event.to_json().unwrap()).unwrap()
}

const GOLDEN: &str = include_str!("../golden.json");
const GOLDEN_HASH: &str = "8e9c070276d560bff7f903840d4b6a62e4cc68bc5eeef292ba0e7ddf64cdb4fd";

#[test]
fn golden_event_has_its_frozen_text_and_hash() {
    let golden = GOLDEN.trim_end();
    let first = chain(event(), 0, Hash::ZERO).unwrap();
    assert_eq!(text(&first), golden);
    assert_eq!(first.hash.unwrap().to_string(), GOLDEN_HASH);
    assert_eq!(Event::parse(golden.as_bytes()).unwrap(), first);
    assert_eq!(verify_leaf(&first).unwrap().to_string(), GOLDEN_HASH);
}

#[test]
fn leaf_hash_covers_a_zero_byte_and_the_text_without_hash() {
    let sealed = chain(event(), 7, Hash::of(b"before")).unwrap();
    let hash = sealed.hash.unwrap();
    let without = text(&sealed).replace(&format!(r#""hash":"{hash}","#), "");
    assert_eq!(Hash::of(&[b"\0", without.as_bytes()].concat()), hash);
}

#[test]
fn every_member_is_written_even_if_it_does_not_apply() {
    let expected = concat!(
        r#"{"action":null,"actor":{"id":null,"ip":null,"role":null,"session_id":null,"type":"anonymous","user_agent":null},"#,
        r#""changes":[],"correlation_id":"cor_01997a2e51a07cc2a3a9a1f0c7b1d2e8","count":1,"disclosed":[],"#,
        r#""event_id":"evt_01997a2e51a07cc2a3a9a1f0c7b1d2e3","format":1,"hash":null,"occurred_at":"2026-01-31T09:30:00.125Z","#,
        r#""on_behalf_of":null,"outcome":"refused","policy":null,"previous_hash":null,"purpose_of_use":null,"reason":null,"#,
        r#""redacted":[],"resources":[],"sequence":null,"severity":"warning","status":null,"#,
        r#""tenant_id":"ten_01997a2e51a07cc2a3a9a1f0c7b1d2e4","type":"login.refused"}"#,
    );
    assert_eq!(text(&bare()), expected);
    assert_eq!(Event::parse(expected.as_bytes()).unwrap(), bare());
}

#[test]
fn event_with_any_member_missing_is_refused() {
    for (event, at_least) in [(bare(), 22), (event(), 22)] {
        let value: serde_json::Value = serde_json::from_str(&text(&event)).unwrap();
        let names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        assert!(names.len() >= at_least);
        for name in names {
            let mut without = value.clone();
            without.as_object_mut().unwrap().remove(&name);
            let refused = serde_json::from_value::<Event>(without).unwrap_err().to_string();
            assert!(refused.contains(&format!("missing field `{name}`")), "{refused}");
        }
    }
}

#[test]
fn event_with_unknown_member_at_any_depth_is_refused() {
    let json = text(&event());
    for object in ["{\"action\"", "{\"id\":\"usr", "{\"id\":\"shp", "{\"id\":\"poll", "{\"decision\""] {
        assert!(json.contains(object), "{object}");
        let more = json.replace(object, &object.replace('{', "{\"a\":1,"));
        assert!(matches!(Event::parse(more.as_bytes()), Err(EventError::NotAnEvent(_))), "{object}");
    }
}

#[test]
fn event_with_repeated_member_at_any_depth_is_refused() {
    let json = text(&event());
    for member in [r#""action":"getShipment""#, r#""role":"marketer""#, r#""decision":"allow""#, r#""type":"shipment""#] {
        assert!(json.contains(member), "{member}");
        let twice = json.replace(member, &format!("{member},{member}"));
        assert!(matches!(Event::parse(twice.as_bytes()), Err(EventError::NotAnEvent(_))), "{member}");
    }
}

#[test]
fn other_text_of_the_same_event_is_refused() {
    let json = text(&event());
    let others = [
        format!(" {json}"),
        format!("{json}\n"),
        json.replace("\"action\":", "\"action\": "),
        json.replace("getShipment", "get\\u0053hipment"),
        json.replace("2001:db8::1", "2001:0db8::1"),
        json.replace("\"format\":1,", "").replace("{\"action\"", "{\"format\":1,\"action\""),
    ];
    for other in others {
        assert_ne!(other, json);
        assert!(matches!(Event::parse(other.as_bytes()), Err(EventError::NotCanonical)), "{other}");
    }
}

#[test]
fn event_with_value_out_of_bounds_is_refused() {
    let json = text(&event());
    let many = format!("\"changes\":[{}]", vec!["\"a\""; 101].join(","));
    let altered = [
        ("\"format\":1", "\"format\":2"),
        ("\"format\":1", "\"format\":1.0"),
        ("\"severity\":\"info\"", "\"severity\":\"loud\""),
        ("\"outcome\":\"success\"", "\"outcome\":\"maybe\""),
        ("shipment.read", "read"),
        ("\"count\":1", "\"count\":0"),
        ("\"count\":1", "\"count\":4294967296"),
        ("\"status\":200", "\"status\":65536"),
        ("\"status\":200", "\"status\":-1"),
        ("\"sequence\":null", "\"sequence\":9007199254740992"),
        ("HOPERAT", "FUN"),
        ("2026-01-31T09:30:00.125Z", "2026-01-31T09:30:00Z"),
        ("marketer\"", "two words\""),
        ("\"changes\":[]", &many),
    ];
    for (from, to) in altered {
        let other = json.replace(from, to);
        assert_ne!(other, json, "{from}");
        assert!(Event::parse(other.as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn event_over_64_kib_is_neither_written_nor_read() {
    let long = |n: usize| words::<100>(&vec!["x".repeat(128); n].iter().map(String::as_str).collect::<Vec<_>>());
    let resources =
        (0..100).map(|_| Resource { resource_type: Word::clean(&"t".repeat(128)), id: Word::clean(&"i".repeat(128)) });
    let resources: AtMost<Resource, 100> = resources.collect::<Vec<_>>().try_into().unwrap();
    let full = Event { resources, disclosed: long(100), redacted: long(100), changes: long(87), ..event() };
    assert!(matches!(full.to_json(), Err(EventError::TooLong)));
    assert!(matches!(chain(full.clone(), 0, Hash::ZERO), Err(EventError::TooLong)));
    let mut spaces = vec![b' '; MAX_EVENT_LEN + 1];
    spaces[..2].copy_from_slice(b"{}");
    assert!(matches!(Event::parse(&spaces), Err(EventError::TooLong)));

    // An event that is short enough to be written is short enough to be sealed, at every sequence.
    let last = (0..=87).rev().map(|n| Event { changes: long(n), ..full.clone() }).find(|event| event.to_json().is_ok());
    let sealed = chain(last.unwrap(), ledger::canonical::MAX_INTEGER, Hash::of(b"x")).unwrap();
    assert!(sealed.to_json().unwrap().len() > MAX_EVENT_LEN - 512);
}

#[test]
fn longest_event_is_written_and_sealed_and_longer_one_is_refused() {
    assert_eq!(MAX_EVENT_LEN, 65_536);
    // The length of an unsealed event includes the bytes that sealing adds.
    let (longest, longer) = (of_length(MAX_EVENT_LEN - 256), of_length(MAX_EVENT_LEN - 255));
    assert_eq!(longest.to_json().unwrap().len(), MAX_EVENT_LEN - 256);
    assert!(matches!(longer.to_json(), Err(EventError::TooLong)));
    let sealed = chain(sealed_length(0, MAX_EVENT_LEN), 0, Hash::ZERO).unwrap();
    let json = sealed.to_json().unwrap();
    assert_eq!(json.len(), MAX_EVENT_LEN);
    assert_eq!(Event::parse(&json).unwrap(), sealed);
    assert!(matches!(chain(sealed_length(0, MAX_EVENT_LEN + 1), 0, Hash::ZERO), Err(EventError::TooLong)));
}

#[test]
fn sealing_at_sequence_2_to_53_is_refused() {
    let error = chain(event(), ledger::canonical::MAX_INTEGER + 1, Hash::ZERO).unwrap_err();
    assert!(matches!(error, EventError::Canonical(_)), "{error}");
}

#[test]
fn sealed_event_with_any_altered_byte_is_refused() {
    let json = text(&chain(event(), 3, Hash::of(b"before")).unwrap()).into_bytes();
    for at in 0..json.len() {
        for flip in [0x01, 0x02, 0x10, 0x20, 0x80] {
            let mut altered = json.clone();
            altered[at] ^= flip;
            let stands = Event::parse(&altered).is_ok_and(|event| verify_leaf(&event).is_ok());
            assert!(!stands, "byte {at} ^ {flip:#x}: {}", String::from_utf8_lossy(&altered));
        }
    }
}

#[test]
fn unsealed_event_is_refused_as_leaf() {
    assert!(matches!(verify_leaf(&event()), Err(InvalidLeaf::Unsealed)));
}

#[test]
fn chain_verifies_from_any_kept_hash() {
    let events = sealed(5);
    let head = verify_chain(&events, 0, Hash::ZERO).unwrap();
    assert_eq!(Some(head), events[4].hash);
    assert_eq!(verify_chain(&events[2..], 2, events[1].hash.unwrap()).unwrap(), head);
    assert_eq!(verify_chain([], 5, head).unwrap(), head);
}

#[test]
fn missing_reordered_and_modified_events_get_different_errors() {
    let events = sealed(5);
    let missing = [events[0].clone(), events[2].clone()];
    assert!(matches!(verify_chain(&missing, 0, Hash::ZERO), Err(InvalidLeaf::OutOfSequence { expected: 1, found: 2 })));
    let reordered = [events[0].clone(), events[2].clone(), events[1].clone()];
    assert!(matches!(verify_chain(&reordered, 0, Hash::ZERO), Err(InvalidLeaf::OutOfSequence { expected: 1, found: 2 })));

    let mut modified = events.clone();
    modified[3].outcome = Outcome::Failed;
    assert!(matches!(verify_chain(&modified, 0, Hash::ZERO), Err(InvalidLeaf::Modified)));

    let mut forged = events.clone();
    let next = chain(Event { outcome: Outcome::Failed, ..forged[3].clone() }, 3, events[2].hash.unwrap()).unwrap();
    forged[3] = next;
    assert!(matches!(verify_chain(&forged, 0, Hash::ZERO), Err(InvalidLeaf::Unchained(4))));

    assert!(matches!(verify_chain(&events, 0, Hash::of(b"another log")), Err(InvalidLeaf::Unchained(0))));
}

#[test]
fn sealing_again_replaces_sequence_and_hashes() {
    let once = chain(event(), 0, Hash::ZERO).unwrap();
    let claimed = chain(event(), 9, Hash::of(b"elsewhere")).unwrap();
    assert_eq!(chain(claimed, 0, Hash::ZERO).unwrap(), once);
}

proptest! {
    #[test]
    fn any_event_round_trips_and_verifies(
        event in any_event(), sequence in 0..=ledger::canonical::MAX_INTEGER, previous: [u8; 32],
    ) {
        prop_assert_eq!(&Event::parse(&event.to_json().unwrap()).unwrap(), &event);
        let sealed = chain(event, sequence, Hash::new(previous)).unwrap();
        prop_assert_eq!(&Event::parse(&sealed.to_json().unwrap()).unwrap(), &sealed);
        prop_assert!(verify_leaf(&sealed).is_ok());
    }

    #[test]
    fn arbitrary_event_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Event::parse(&bytes).is_err());
    }

    #[test]
    fn hashes_round_trip_as_text(bytes: [u8; 32]) {
        let hash = Hash::new(bytes);
        prop_assert_eq!(Hash::parse(&hash.to_string()), Ok(hash));
        prop_assert!(Hash::parse(&hash.to_string()[1..]).is_err());
    }
}

#[test]
fn hash_with_other_character_than_hex_digit_is_refused() {
    let digits = "0123456789abcdef".repeat(4);
    for at in 0..64 {
        for byte in 0..128_u8 {
            let mut text = digits.clone().into_bytes();
            text[at] = byte;
            let text = String::from_utf8(text).unwrap();
            let parsed = Hash::parse(&text).map(|hash| hash.to_string());
            assert_eq!(parsed.is_ok(), b"0123456789abcdef".contains(&byte), "{at}: {byte:#x}");
            assert!(parsed.is_err() || parsed.unwrap() == text);
        }
    }
}

#[test]
fn hash_in_upper_case_is_refused() {
    assert!(Hash::parse(&"ab".repeat(32)).is_ok());
    assert!(Hash::parse(&"AB".repeat(32)).is_err());
    assert!(Hash::parse(&"é".repeat(32)).is_err());
    assert_eq!(format!("{:?}", Hash::of(GOLDEN.as_bytes())), format!("Hash({})", Hash::of(GOLDEN.as_bytes())));
}
