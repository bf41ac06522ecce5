//! Reads a verifier's part of a sealed event's line, in one pass and without an allocation, because a verifier reads millions.
//!
//! An event has exactly one text, so the order and the names of its members are known in advance. This reader accepts the same
//! lines as [`Event::parse`], which is the reference, and which gives the reason when a line is refused.

use std::net::IpAddr;

use crate::canonical::MAX_INTEGER;
use crate::scan::{Refused, Scan};
use crate::{Event, EventError, Hash, InvalidLeaf, MAX_EVENT_LEN, OccurredAt, chain, text};

/// The parts of a sealed event that chain and tree need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf<'a> {
    pub tenant_id: &'a str,
    pub sequence: u64,
    pub previous_hash: Hash,
    pub hash: Hash,
}

impl<'a> Leaf<'a> {
    /// Reads an event's only text, without checking its hash.
    ///
    /// # Errors
    /// [`InvalidLeaf::Event`], [`InvalidLeaf::Unsealed`].
    pub fn read(line: &'a [u8]) -> Result<Self, InvalidLeaf> {
        Found::whole(line).map(|found| found.leaf).map_err(|Refused| why(line))
    }

    /// Reads an event's only text, and checks that its hash matches its content.
    ///
    /// # Errors
    /// [`InvalidLeaf::Event`], [`InvalidLeaf::Unsealed`], [`InvalidLeaf::Modified`].
    pub fn verify(line: &'a [u8]) -> Result<Self, InvalidLeaf> {
        Found::whole(line).map_err(|Refused| why(line))?.verify()
    }

    /// [`verify`](Self::verify) for the event at the beginning of `text`. Also returns the rest of the text.
    pub(crate) fn verify_first(text: &'a [u8]) -> Result<(Self, &'a [u8]), InvalidLeaf> {
        let mut s = Scan::new(text);
        let found = Found::first(&mut s).map_err(|Refused| InvalidLeaf::Event(EventError::NotCanonical))?;
        Ok((found.verify()?, s.rest()))
    }
}

/// A leaf, and its line's text before and after the member `hash`. The hash covers these two parts.
struct Found<'a> {
    leaf: Leaf<'a>,
    before: &'a [u8],
    after: &'a [u8],
}

impl<'a> Found<'a> {
    fn verify(&self) -> Result<Leaf<'a>, InvalidLeaf> {
        let hash = Hash::of_parts([&[0], self.before, self.after]);
        if hash == self.leaf.hash { Ok(self.leaf) } else { Err(InvalidLeaf::Modified) }
    }

    fn whole(line: &'a [u8]) -> Result<Self, Refused> {
        let mut s = Scan::new(line);
        let found = Self::first(&mut s)?;
        if s.rest().is_empty() { Ok(found) } else { Err(Refused) }
    }

    fn first(s: &mut Scan<'a>) -> Result<Self, Refused> {
        let found = scan(s)?;
        if s.passed().len() <= MAX_EVENT_LEN { Ok(found) } else { Err(Refused) }
    }
}

/// The reason why the reference refuses `line`.
fn why(line: &[u8]) -> InvalidLeaf {
    match Event::parse(line) {
        Err(error) => error.into(),
        Ok(event) => chain::verify_leaf(&event).err().unwrap_or(InvalidLeaf::Event(EventError::NotCanonical)),
    }
}

fn scan<'a>(s: &mut Scan<'a>) -> Result<Found<'a>, Refused> {
    s.literal(b"{\"action\":")?;
    s.or_null(word)?;
    s.literal(b",\"actor\":")?;
    actor(s)?;
    s.literal(b",\"changes\":")?;
    s.list(100, word)?;
    s.literal(b",\"correlation_id\":")?;
    word(s)?;
    s.literal(b",\"count\":")?;
    if s.integer(u64::from(u32::MAX))? == 0 {
        return Err(Refused);
    }
    s.literal(b",\"disclosed\":")?;
    s.list(100, word)?;
    s.literal(b",\"event_id\":")?;
    word(s)?;
    s.literal(b",\"format\":1,")?;
    let before = s.passed();
    s.literal(b"\"hash\":")?;
    let hash = s.hash()?;
    s.literal(b",")?;
    let hash_end = s.passed().len();
    s.literal(b"\"occurred_at\":")?;
    occurred_at(s)?;
    s.literal(b",\"on_behalf_of\":")?;
    s.or_null(principal)?;
    s.literal(b",\"outcome\":")?;
    s.one_of(&[b"\"success\"", b"\"refused\"", b"\"failed\""])?;
    s.literal(b",\"policy\":")?;
    s.or_null(policy)?;
    s.literal(b",\"previous_hash\":")?;
    let previous_hash = s.hash()?;
    s.literal(b",\"purpose_of_use\":")?;
    s.one_of(&[b"null", b"\"HOPERAT\"", b"\"TREAT\"", b"\"HPAYMT\"", b"\"ETREAT\""])?;
    s.literal(b",\"reason\":")?;
    s.or_null(reason)?;
    s.literal(b",\"redacted\":")?;
    s.list(100, word)?;
    s.literal(b",\"resources\":")?;
    s.list(100, resource)?;
    s.literal(b",\"sequence\":")?;
    let sequence = s.integer(MAX_INTEGER)?;
    s.literal(b",\"severity\":")?;
    s.one_of(&[b"\"info\"", b"\"debug\"", b"\"warning\"", b"\"error\"", b"\"critical\""])?;
    s.literal(b",\"status\":")?;
    s.or_null(|s| s.integer(u64::from(u16::MAX)).map(drop))?;
    s.literal(b",\"tenant_id\":\"")?;
    let tenant_id = str::from_utf8(s.word()?).map_err(|_| Refused)?;
    s.literal(b",\"type\":\"")?;
    let event_type = s.word()?;
    s.literal(b"}")?;
    if !text::is_noun_verb(event_type) {
        return Err(Refused);
    }
    let after = s.passed().get(hash_end..).unwrap_or_default();
    Ok(Found { leaf: Leaf { tenant_id, sequence, previous_hash, hash }, before, after })
}

fn word(s: &mut Scan<'_>) -> Result<(), Refused> {
    s.literal(b"\"")?;
    s.word().map(drop)
}

fn actor(s: &mut Scan<'_>) -> Result<(), Refused> {
    s.literal(b"{\"id\":")?;
    s.or_null(word)?;
    s.literal(b",\"ip\":")?;
    s.or_null(ip)?;
    s.literal(b",\"role\":")?;
    s.or_null(word)?;
    s.literal(b",\"session_id\":")?;
    s.or_null(word)?;
    s.literal(b",\"type\":")?;
    actor_type(s)?;
    s.literal(b",\"user_agent\":")?;
    s.or_null(Scan::user_agent)?;
    s.literal(b"}")
}

fn actor_type(s: &mut Scan<'_>) -> Result<(), Refused> {
    s.one_of(&[b"\"user\"", b"\"service\"", b"\"api_key\"", b"\"operator\"", b"\"partner\"", b"\"anonymous\""])
}

fn principal(s: &mut Scan<'_>) -> Result<(), Refused> {
    s.literal(b"{\"id\":")?;
    word(s)?;
    s.literal(b",\"type\":")?;
    actor_type(s)?;
    s.literal(b"}")
}

fn policy(s: &mut Scan<'_>) -> Result<(), Refused> {
    s.literal(b"{\"decision\":")?;
    s.one_of(&[b"\"allow\"", b"\"deny\""])?;
    s.literal(b",\"ids\":")?;
    s.list(100, word)?;
    s.literal(b",\"policy_set_hash\":")?;
    s.hash()?;
    s.literal(b"}")
}

fn resource(s: &mut Scan<'_>) -> Result<(), Refused> {
    s.literal(b"{\"id\":")?;
    word(s)?;
    s.literal(b",\"type\":")?;
    word(s)?;
    s.literal(b"}")
}

fn ip(s: &mut Scan<'_>) -> Result<(), Refused> {
    s.literal(b"\"")?;
    let text = s.word()?;
    if text::is_rfc_5952(text) {
        return Ok(());
    }
    let text = str::from_utf8(text).map_err(|_| Refused)?;
    let address: IpAddr = text.parse().map_err(|_| Refused)?;
    if address.to_string() == text { Ok(()) } else { Err(Refused) }
}

fn occurred_at(s: &mut Scan<'_>) -> Result<(), Refused> {
    s.literal(b"\"")?;
    OccurredAt::read(s.word()?).map(drop).ok_or(Refused)
}

fn reason(s: &mut Scan<'_>) -> Result<(), Refused> {
    if s.literal(b"\"sealed ").is_ok() { s.base64url() } else { word(s) }
}
