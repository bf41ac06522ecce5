//! Segments: the objects that store a tenant's sealed events, up to a thousand each, one line an event.

use crate::chain::chain_line;
use crate::leaf::Leaf;
use crate::{Event, EventError, Hash, Head, InvalidLeaf, Word};

/// Sealed events that follow one another, one a line. A value of this type was checked: every line is an event's only text, every
/// hash matches its content, and each event follows the one before it.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    tenant_id: Word,
    first: u64,
    previous_hash: Hash,
    /// Never empty.
    leaves: Vec<Hash>,
    body: Vec<u8>,
}

/// The first fault of a segment, and its position.
#[derive(Debug, thiserror::Error)]
#[error("sequence {sequence}: {how}")]
pub struct Broken {
    /// The sequence that was expected at this position.
    pub sequence: u64,
    /// Line of the segment, from 1.
    pub line: usize,
    pub how: Breach,
}

/// The kind of a segment's fault.
#[derive(Debug, thiserror::Error)]
pub enum Breach {
    #[error("a segment has 1 to {} events and at most {} bytes", Segment::MAX_EVENTS, Segment::MAX_LEN)]
    Size,
    #[error("the last line is cut off")]
    CutOff,
    /// The line is not a sealed event's only text, or its hash does not match its content.
    #[error(transparent)]
    Leaf(#[from] InvalidLeaf),
    #[error("the event is another tenant's")]
    Tenant,
    #[error("events are missing up to and with sequence {last}")]
    Missing { last: u64 },
    /// The expected event comes later.
    #[error("found sequence {found} here: events are reordered")]
    Reordered { found: u64 },
    /// The event at this position occurred before.
    #[error("found sequence {found} again: an event was inserted or repeated")]
    Repeated { found: u64 },
    #[error("the event does not follow the event before it, which was replaced and hashed again")]
    Unchained,
}

impl Segment {
    /// Most events in a segment.
    pub const MAX_EVENTS: usize = 1000;
    /// Longest segment, in bytes; it holds about sixty events of the maximum length.
    pub const MAX_LEN: usize = 4 * 1024 * 1024;

    /// Seals the first of `events`, as many as one segment holds, to follow `head`; [`len`](Self::len) returns their number.
    /// `None` if there are no events. Only the tenant's sealer calls this.
    ///
    /// # Errors
    /// [`Broken`] for an event of another tenant, or one that cannot be sealed.
    pub fn seal(head: &Head, events: impl IntoIterator<Item = Event>) -> Result<Option<Self>, Broken> {
        let mut segment = Self {
            tenant_id: head.tenant_id().clone(),
            first: head.size(),
            previous_hash: head.last_hash(),
            leaves: Vec::new(),
            body: Vec::new(),
        };
        for event in events.into_iter().take(Self::MAX_EVENTS) {
            let broken = |how| Broken { sequence: segment.next(), line: segment.leaves.len() + 1, how };
            if event.tenant_id != segment.tenant_id {
                return Err(broken(Breach::Tenant));
            }
            let refused = |error: EventError| broken(Breach::Leaf(error.into()));
            let (sealed, line) = chain_line(event, segment.next(), segment.last_hash()).map_err(refused)?;
            if segment.body.len() + line.len() + 1 > Self::MAX_LEN {
                break;
            }
            let Some(hash) = sealed.hash else { return Err(broken(Breach::Leaf(InvalidLeaf::Unsealed))) };
            segment.leaves.push(hash);
            segment.body.extend_from_slice(&line);
            segment.body.push(b'\n');
        }
        Ok(if segment.leaves.is_empty() { None } else { Some(segment) })
    }

    /// Reads a segment and checks it by itself, for any beginning and any log before it.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn parse(body: Vec<u8>) -> Result<Self, Broken> {
        let broken = |how| Broken { sequence: 0, line: 1, how };
        if body.is_empty() {
            return Err(broken(Breach::Size));
        }
        let (first, _) = first_line(&body).map_err(broken)?;
        let (tenant_id, sequence, previous_hash) = (Word::clean(first.tenant_id), first.sequence, first.previous_hash);
        Self::check(body, tenant_id, sequence, previous_hash)
    }

    /// Reads a segment and checks that it follows `head`.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn parse_after(head: &Head, body: Vec<u8>) -> Result<Self, Broken> {
        Self::check(body, head.tenant_id().clone(), head.size(), head.last_hash())
    }

    fn check(body: Vec<u8>, tenant_id: Word, first: u64, previous_hash: Hash) -> Result<Self, Broken> {
        if body.is_empty() || body.len() > Self::MAX_LEN {
            return Err(Broken { sequence: first, line: 1, how: Breach::Size });
        }
        let mut leaves = Vec::new();
        let (mut rest, mut last_hash) = (body.as_slice(), previous_hash);
        while !rest.is_empty() {
            let expected = first.saturating_add(leaves.len() as u64);
            let broken = |how| Broken { sequence: expected, line: leaves.len() + 1, how };
            if leaves.len() == Self::MAX_EVENTS {
                return Err(broken(Breach::Size));
            }
            let (leaf, after) = first_line(rest).map_err(broken)?;
            if leaf.tenant_id != tenant_id.as_str() {
                return Err(broken(Breach::Tenant));
            }
            if leaf.sequence != expected {
                return Err(broken(misplaced(&body, first, expected, leaf.sequence)));
            }
            if leaf.previous_hash != last_hash {
                return Err(broken(Breach::Unchained));
            }
            last_hash = leaf.hash;
            leaves.push(leaf.hash);
            rest = after;
        }
        Ok(Self { tenant_id, first, previous_hash, leaves, body })
    }

    pub const fn tenant_id(&self) -> &Word {
        &self.tenant_id
    }

    /// Sequence of the first event.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// Sequence of the event after the last.
    pub fn next(&self) -> u64 {
        self.first + self.leaves.len() as u64
    }

    /// Number of events: 1 to [`MAX_EVENTS`](Self::MAX_EVENTS).
    #[expect(clippy::len_without_is_empty, reason = "a segment is never empty")]
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// The `previous_hash` of the first event.
    pub const fn previous_hash(&self) -> Hash {
        self.previous_hash
    }

    /// Hash of the last event.
    pub fn last_hash(&self) -> Hash {
        self.leaves.last().copied().unwrap_or(self.previous_hash)
    }

    /// The events' hashes, which are the leaves of the tree.
    pub fn leaves(&self) -> &[Hash] {
        &self.leaves
    }

    /// The stored bytes.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// SHA-256 of the stored bytes.
    pub fn sha256(&self) -> Hash {
        Hash::of(&self.body)
    }

    /// Key of the object: `segments/<tenant>/<sequence of the first event in twelve digits>.jsonl`.
    pub fn object_key(&self) -> String {
        object_key(&self.tenant_id, self.first)
    }

    /// The events, parsed again from their lines.
    pub fn events(&self) -> impl Iterator<Item = Result<Event, EventError>> {
        lines(&self.body).map(Event::parse)
    }
}

/// Key of the object that holds the segment whose first event has sequence `first`.
pub fn object_key(tenant_id: &Word, first: u64) -> String {
    format!("segments/{tenant_id}/{first:012}.jsonl")
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tenant_id, first, leaves, body, .. } = self;
        write!(f, "Segment({tenant_id}, {} events from {first}, {} bytes)", leaves.len(), body.len())
    }
}

/// The texts of the lines. If the last line is cut off, its remaining text.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

/// The verified leaf on the first line of `body`, and the lines after it. A valid line determines its own end.
fn first_line(body: &[u8]) -> Result<(Leaf<'_>, &[u8]), Breach> {
    if let Ok((leaf, after)) = Leaf::verify_first(body)
        && let Some(after) = after.strip_prefix(b"\n")
    {
        return Ok((leaf, after));
    }
    let end = body.iter().position(|byte| *byte == b'\n').ok_or(Breach::CutOff)?;
    let (line, after) = body.split_at(end);
    Ok((Leaf::verify(line)?, after.get(1..).unwrap_or_default()))
}

/// The fault if sequence `found` is at the position of `expected`, in a segment that begins with `first`.
fn misplaced(body: &[u8], first: u64, expected: u64, found: u64) -> Breach {
    if (first..expected).contains(&found) {
        return Breach::Repeated { found };
    }
    let due = |sequence| lines(body).any(|line| Leaf::read(line).is_ok_and(|leaf| leaf.sequence == sequence));
    if found < first || due(expected) { Breach::Reordered { found } } else { Breach::Missing { last: found - 1 } }
}
