use crate::line::Line;
use crate::{Event, EventError, Hash, MAX_EVENT_LEN, merkle};

/// Gives `event` its place: its number, the hash of the event before, and its own hash. Only the tenant's sealer calls this.
///
/// `previous` is [`Hash::ZERO`] for sequence 0. Values of these members that the event already has are replaced.
///
/// # Errors
/// [`EventError::TooLong`] for an event that [`Event::to_json`] refuses too; [`EventError::Canonical`] for more than 2^53 - 1
/// events.
pub fn chain(event: Event, sequence: u64, previous: Hash) -> Result<Event, EventError> {
    let (event, _) = chain_line(event, sequence, previous)?;
    Ok(event)
}

/// [`chain`], which also returns the event's text.
pub(crate) fn chain_line(event: Event, sequence: u64, previous: Hash) -> Result<(Event, Vec<u8>), EventError> {
    let mut event = Event { sequence: Some(sequence), previous_hash: Some(previous), hash: None, ..event };
    let line = Line::of(&event)?;
    event.hash = Some(merkle::leaf_hash(line.without_hash()));
    let line = line.with_hash(event.hash.as_ref());
    if line.len() > MAX_EVENT_LEN { Err(EventError::TooLong) } else { Ok((event, line)) }
}

/// The reason why a sealed event is invalid.
#[derive(Debug, thiserror::Error)]
pub enum InvalidLeaf {
    #[error("the event is not sealed")]
    Unsealed,
    #[error("the event was modified: its hash does not match its content")]
    Modified,
    #[error("expected sequence {expected}, found {found}: events are missing or reordered")]
    OutOfSequence { expected: u64, found: u64 },
    #[error("the event at sequence {0} does not follow the one before it")]
    Unchained(u64),
    #[error(transparent)]
    Event(#[from] EventError),
}

/// Checks that a sealed event's `hash` is that of its content. Returns the hash, which is the event's leaf in the Merkle tree.
///
/// # Errors
/// [`InvalidLeaf::Unsealed`], [`InvalidLeaf::Modified`].
pub fn verify_leaf(event: &Event) -> Result<Hash, InvalidLeaf> {
    let (Some(hash), Some(_), Some(_)) = (event.hash, event.sequence, event.previous_hash) else {
        return Err(InvalidLeaf::Unsealed);
    };
    if event.leaf_hash()? == hash { Ok(hash) } else { Err(InvalidLeaf::Modified) }
}

/// Checks that `events` follow one another without a gap, beginning with number `sequence` and after the event whose hash is
/// `previous` ([`Hash::ZERO`] for number 0). Returns the hash of the last event.
///
/// # Errors
/// [`InvalidLeaf`] of the first invalid event.
pub fn verify_chain<'a>(events: impl IntoIterator<Item = &'a Event>, sequence: u64, previous: Hash) -> Result<Hash, InvalidLeaf> {
    let mut previous = previous;
    for (event, expected) in events.into_iter().zip(sequence..) {
        let hash = verify_leaf(event)?;
        let found = event.sequence.ok_or(InvalidLeaf::Unsealed)?;
        if found != expected {
            return Err(InvalidLeaf::OutOfSequence { expected, found });
        }
        if event.previous_hash != Some(previous) {
            return Err(InvalidLeaf::Unchained(found));
        }
        previous = hash;
    }
    Ok(previous)
}
