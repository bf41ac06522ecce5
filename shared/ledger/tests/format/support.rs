//! Synthetic events. They describe no real person.

use ledger::{
    Actor, ActorType, AtMost, Decision, Event, EventType, Format, Hash, OccurredAt, Outcome, Policy, Principal, PurposeOfUse,
    Reason, Resource, Severity, UserAgent, Word, canonical, chain,
};
use proptest::prelude::*;
use std::num::NonZeroU32;

pub(crate) fn words<const MAX: usize>(words: &[&str]) -> AtMost<Word, MAX> {
    words.iter().map(|word| Word::parse(*word).unwrap()).collect::<Vec<_>>().try_into().unwrap()
}

pub(crate) fn event() -> Event {
    Event {
        format: Format::V1,
        event_id: Word::literal("evt_01997a2e51a07cc2a3a9a1f0c7b1d2e3"),
        tenant_id: Word::literal("ten_01997a2e51a07cc2a3a9a1f0c7b1d2e4"),
        sequence: None,
        occurred_at: OccurredAt::parse("2026-01-31T09:30:00.125Z").unwrap(),
        event_type: EventType::literal("shipment.read"),
        severity: Severity::Info,
        actor: Actor {
            actor_type: ActorType::User,
            id: Some(Word::literal("usr_01997a2e51a07cc2a3a9a1f0c7b1d2e5")),
            role: Some(Word::literal("marketer")),
            session_id: Some(Word::literal("ses_01997a2e51a07cc2a3a9a1f0c7b1d2e6")),
            ip: Some("2001:db8::1".parse().unwrap()),
            user_agent: UserAgent::clean("Example/1.0 (\"quoted\"; back\\slash)"),
        },
        on_behalf_of: Some(Principal { actor_type: ActorType::Service, id: Word::literal("poll_tracking") }),
        action: Some(Word::literal("getShipment")),
        resources: AtMost::one(Resource {
            resource_type: Word::literal("shipment"),
            id: Word::literal("shp_01997a2e51a07cc2a3a9a1f0c7b1d2e7"),
        }),
        disclosed: words(&["tracking_number", "recipient"]),
        redacted: words(&["contents"]),
        purpose_of_use: Some(PurposeOfUse::Operations),
        outcome: Outcome::Success,
        status: Some(200),
        reason: Some(Reason::sealed(vec![1, 2, 3, 255]).unwrap()),
        policy: Some(Policy {
            decision: Decision::Allow,
            ids: words(&["marketer-reads-shipments"]),
            policy_set_hash: Hash::of(b"permit(principal, action, resource);"),
        }),
        count: NonZeroU32::MIN,
        correlation_id: Word::literal("cor_01997a2e51a07cc2a3a9a1f0c7b1d2e8"),
        changes: AtMost::none(),
        previous_hash: None,
        hash: None,
    }
}

pub(crate) fn bare() -> Event {
    Event {
        event_type: EventType::literal("login.refused"),
        severity: Severity::Warning,
        actor: Actor { actor_type: ActorType::Anonymous, id: None, role: None, session_id: None, ip: None, user_agent: None },
        on_behalf_of: None,
        action: None,
        resources: AtMost::none(),
        disclosed: AtMost::none(),
        redacted: AtMost::none(),
        purpose_of_use: None,
        outcome: Outcome::Refused,
        status: None,
        reason: None,
        policy: None,
        ..event()
    }
}

fn word() -> impl Strategy<Value = Word> {
    "[!#-\\[\\]-~]{1,128}".prop_map(|text| Word::parse(text).unwrap())
}

prop_compose! {
    pub(crate) fn any_event()(
        event_id in word(), tenant_id in word(), action in prop::option::of(word()),
        millis in 0..253_402_300_800_000_i64,
        event_type in "[a-z][a-z0-9_]{0,20}\\.[a-z][a-z0-9_]{0,20}",
        user_agent in "\\PC{0,40}", ip: Option<std::net::IpAddr>, status: Option<u16>,
        changes in prop::collection::vec(word(), 0..8),
        sealed in prop::option::of(prop::collection::vec(any::<u8>(), 1..300)),
        correlation in "\\PC{0,40}",
    ) -> Event {
        let mut event = Event {
            event_id, tenant_id, action, status,
            occurred_at: OccurredAt::from_unix_millis(millis).unwrap(),
            event_type: EventType::parse(event_type).unwrap(),
            reason: sealed.map(|record| Reason::sealed(record).unwrap()),
            changes: changes.try_into().unwrap(),
            correlation_id: Word::clean(&correlation),
            ..event()
        };
        event.actor.user_agent = UserAgent::clean(&user_agent);
        event.actor.ip = ip;
        event
    }
}

/// An event whose text has this many bytes before it is sealed.
pub(crate) fn of_length(bytes: usize) -> Event {
    let long = |n: usize| vec!["x".repeat(128); n];
    let list = |items: &[String]| words::<100>(&items.iter().map(String::as_str).collect::<Vec<_>>());
    let resource = Resource { resource_type: Word::clean(&"t".repeat(128)), id: Word::clean(&"i".repeat(128)) };
    let full = Event {
        resources: vec![resource; 100].try_into().unwrap(),
        disclosed: list(&long(100)),
        redacted: list(&long(100)),
        ..event()
    };
    let len = |event: &Event| canonical::to_vec(event).unwrap().len();
    // Another word adds three bytes to a list: two quotes and a comma, which the first word does not need.
    let missing = bytes + 1 - len(&full);
    let mut changes = long(missing / 131 - 1);
    let rest = missing - changes.len() * 131;
    changes.extend(["y".repeat(rest / 2 - 3), "z".repeat(rest - rest / 2 - 3)]);
    let event = Event { changes: list(&changes), ..full };
    assert_eq!(len(&event), bytes);
    event
}

/// An event whose text has this many bytes once it is sealed with this `sequence`.
pub(crate) fn sealed_length(sequence: u64, bytes: usize) -> Event {
    let len = |event: &Event| canonical::to_vec(event).unwrap().len();
    let seal = len(&chain(event(), sequence, Hash::ZERO).unwrap()) - len(&event());
    of_length(bytes - seal)
}

/// The `n`th event of a log of similar events.
pub(crate) fn numbered(n: u64) -> Event {
    Event { event_id: Word::parse(format!("evt_{n:032x}")).unwrap(), ..if n.is_multiple_of(3) { bare() } else { event() } }
}

pub(crate) const TENANT: Word = Word::literal("ten_01997a2e51a07cc2a3a9a1f0c7b1d2e4");
pub(crate) const OTHER_TENANT: Word = Word::literal("ten_01997a2e51a07cc2a3a9a1f0c7b1d2ff");
