//! The one-pass reader accepts exactly the bytes that the reference accepts, and returns the same values.

use crate::support::{any_event, bare, event};
use ledger::{Event, Hash, InvalidLeaf, Leaf, Reason, chain, verify_leaf};
use proptest::prelude::*;

/// Bytes next to the limits of the allowed ranges, and bytes that form the structure.
const OTHERS: [u8; 23] = *b"\0\n !\"#,-./019:AZ[\\]_a\x7f\xff";

/// The reference's result for a line: tenant, sequence, previous hash and hash, if the line is valid.
fn reference(line: &[u8]) -> Option<(String, u64, Hash, Hash)> {
    let event = Event::parse(line).ok()?;
    let hash = verify_leaf(&event).ok()?;
    Some((event.tenant_id.to_string(), event.sequence?, event.previous_hash?, hash))
}

fn one_pass(line: &[u8]) -> Option<(String, u64, Hash, Hash)> {
    let Leaf { tenant_id, sequence, previous_hash, hash } = Leaf::verify(line).ok()?;
    Some((tenant_id.to_owned(), sequence, previous_hash, hash))
}

/// Whether both readers accept the form of a line, for any hash. An unsealed event has no leaf.
fn agree_on_form(line: &[u8]) -> bool {
    let sealed = |event: Event| event.sequence.is_some() && event.previous_hash.is_some() && event.hash.is_some();
    Event::parse(line).is_ok_and(sealed) == Leaf::read(line).is_ok()
}

fn sealed_line(event: Event, sequence: u64) -> Vec<u8> {
    chain(event, sequence, Hash::of(b"before")).unwrap().to_json().unwrap()
}

#[test]
fn unsealed_line_is_refused_as_leaf() {
    let line = event().to_json().unwrap();
    assert!(matches!(Leaf::read(&line), Err(InvalidLeaf::Unsealed)));
    assert!(matches!(Leaf::verify(&line), Err(InvalidLeaf::Unsealed)));
}

#[test]
fn every_code_is_written_like_the_reference() {
    use ledger::{ActorType::*, Outcome, PurposeOfUse, Severity};
    let actors = [User, ApiKey, Service, Operator, Partner, Anonymous];
    let purposes = [PurposeOfUse::Treatment, PurposeOfUse::Payment, PurposeOfUse::Operations, PurposeOfUse::Emergency];
    let severities = [Severity::Debug, Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];
    let outcomes = [Outcome::Success, Outcome::Refused, Outcome::Failed];
    for n in 0..actors.len() {
        let mut event = Event {
            purpose_of_use: purposes.get(n).copied(),
            severity: severities[n % severities.len()],
            outcome: outcomes[n % outcomes.len()],
            ..event()
        };
        event.actor.actor_type = actors[n];
        event.on_behalf_of.as_mut().unwrap().actor_type = actors[n];
        event.policy.as_mut().unwrap().decision = if n == 0 { ledger::Decision::Deny } else { ledger::Decision::Allow };
        let line = sealed_line(event, n as u64);
        assert_eq!(line, ledger::canonical::to_vec(&Event::parse(&line).unwrap()).unwrap());
        assert!(one_pass(&line).is_some() && one_pass(&line) == reference(&line));
    }
}

#[test]
fn line_with_any_byte_replaced_gets_the_reference_result() {
    for event in [event(), bare()] {
        let line = sealed_line(event, 1234);
        assert!(agree_on_form(&line) && one_pass(&line) == reference(&line) && one_pass(&line).is_some());
        let mut altered = line.clone();
        for at in 0..line.len() {
            for byte in OTHERS.into_iter().filter(|byte| *byte != line[at]) {
                altered[at] = byte;
                assert!(agree_on_form(&altered), "{}", String::from_utf8_lossy(&altered));
                assert!(Leaf::verify(&altered).is_err(), "{}", String::from_utf8_lossy(&altered));
            }
            altered[at] = line[at];
        }
    }
}

#[test]
fn line_with_value_at_its_bound_gets_the_reference_result() {
    let line = String::from_utf8(sealed_line(event(), 7)).unwrap();
    let list = |n: usize| format!("\"changes\":[{}]", vec!["\"a\""; n].join(","));
    let swaps = [
        ("\"count\":1", vec!["\"count\":4294967295", "\"count\":4294967296", "\"count\":01", "\"count\":1.0", "\"count\":1e0"]),
        ("\"status\":200", vec!["\"status\":65535", "\"status\":65536", "\"status\":0", "\"status\":-0", "\"status\":null"]),
        ("\"sequence\":7", vec!["\"sequence\":9007199254740991", "\"sequence\":9007199254740992", "\"sequence\":null"]),
        (
            "2001:db8::1",
            vec![
                "2001:DB8::1",
                "2001:db8:0::1",
                "::ffff:1.2.3.4",
                "::1:2:3:4:5:6:7:8",
                "1.2.3.4",
                "01.2.3.4",
                "::1",
                "fe80::1%1",
            ],
        ),
        ("2026-01-31T", vec!["2024-02-29T", "2026-02-29T", "1970-01-01T", "1969-12-31T", "9999-12-31T", "0000-02-30T"]),
        ("shipment.read", vec!["shipment", "a.b.c", "a1_.b", "1a.b", "a._b"]),
        (
            "sealed AQID_w",
            vec!["sealed AQID_x", "sealed ", "sealed A", "sealed AQ", "sealed AR", "sealed AQID", "code", "sealed"],
        ),
        ("Example/1.0", vec!["", " x", "\\\"x", "\\\\", "\\u0041", "x ", "\\/"]),
        ("back\\\\slash)", vec!["", "x ", "x\\\\", "x\\\""]),
        ("\"changes\":[]", vec!["\"changes\":[\"\"]", "\"changes\":[,]", "\"changes\":[\"a\",]", "\"changes\":null"]),
        ("\"format\":1", vec!["\"format\":1.0", "\"format\":2", "\"format\":\"1\""]),
        ("\"hash\":\"", vec!["\"hash\":null,\"x\":\"", "\"hash\": \""]),
    ];
    for (from, alternatives) in swaps {
        for to in alternatives {
            let altered = line.replace(from, to);
            assert_ne!(altered, line, "{from}");
            assert!(agree_on_form(altered.as_bytes()), "{altered}");
        }
    }
    for n in [100, 101] {
        let altered = line.replace("\"changes\":[]", &list(n));
        assert!(agree_on_form(altered.as_bytes()), "{n}");
        assert_eq!(Leaf::read(altered.as_bytes()).is_ok(), n == 100);
    }
    for length in [128, 129] {
        let altered = line.replace("\"action\":\"getShipment\"", &format!("\"action\":\"{}\"", "w".repeat(length)));
        assert!(agree_on_form(altered.as_bytes()), "{length}");
        assert_eq!(Leaf::read(altered.as_bytes()).is_ok(), length == 128);
    }
    for length in [256, 257] {
        let agent = "Example/1.0".len() + length - event().actor.user_agent.unwrap().as_str().len();
        let altered = line.replace("Example/1.0", &"E".repeat(agent));
        assert!(agree_on_form(altered.as_bytes()), "{length}");
        assert_eq!(Leaf::read(altered.as_bytes()).is_ok(), length == 256);
    }
    for length in [Reason::MAX_SEALED, Reason::MAX_SEALED + 1] {
        let longest =
            sealed_line(ledger::Event { reason: Some(Reason::sealed(vec![255; Reason::MAX_SEALED]).unwrap()), ..event() }, 0);
        let text = String::from_utf8(longest).unwrap();
        // 8,192 bytes are 10,922 digits and two thirds of one; one more digit is 8,193 bytes.
        let altered = if length == Reason::MAX_SEALED { text } else { text.replace("sealed __", "sealed ___") };
        assert!(agree_on_form(altered.as_bytes()), "{length}");
    }
    for (with, ok) in [("", true), (" ", false), ("\n", false), ("{}", false)] {
        let altered = format!("{line}{with}");
        assert!(agree_on_form(altered.as_bytes()) && Leaf::read(altered.as_bytes()).is_ok() == ok, "`{with}`");
    }
}

proptest! {
    #[test]
    fn any_sealed_event_is_read_like_the_reference(event in any_event(), sequence in 0..=ledger::canonical::MAX_INTEGER) {
        prop_assert_eq!(event.to_json().unwrap(), ledger::canonical::to_vec(&event).unwrap());
        let line = sealed_line(event, sequence);
        prop_assert_eq!(&line, &ledger::canonical::to_vec(&Event::parse(&line).unwrap()).unwrap());
        prop_assert!(agree_on_form(&line));
        prop_assert_eq!(one_pass(&line), reference(&line));
        prop_assert!(one_pass(&line).is_some());
    }

    #[test]
    fn cut_doubled_or_extended_line_gets_the_reference_result(
        event in any_event(), from: prop::sample::Index, to: prop::sample::Index, with in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let line = sealed_line(event, 5);
        let (from, to) = (from.index(line.len()), to.index(line.len()));
        let altered = [&line[..from], &with, &line[to..]].concat();
        prop_assert!(agree_on_form(&altered), "{}", String::from_utf8_lossy(&altered));
        prop_assert_eq!(one_pass(&altered), reference(&altered));
    }
}
