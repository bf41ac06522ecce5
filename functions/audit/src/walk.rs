//! Reads the log again, from a trusted head to a given size.
//!
//! A signed checkpoint is trusted because of its signature. For later events, the segments are read by version and hashed again,
//! and the tree is computed from them. So an altered segment is found at the next signed root, even if the table was altered to
//! match it.

use common::{
    aws::ObjectVersion,
    base::Result,
    capabilities::{AuditLog, Direction, Finding, FindingPlace, SegmentEntry, StoredCheckpoint},
};
use ledger::{Hash, Head, Segment};

/// A valid value, or the finding.
pub(crate) type Found<T> = std::result::Result<T, Finding>;

/// The number of segments that one Query lists.
const LISTED: u32 = 100;

pub(crate) const fn segment_finding(first: u64) -> Finding {
    Finding { reason: "tampered_segment", kind: "Segment", at: first, place: FindingPlace::At }
}

/// The finding for a signed head.
pub(crate) const fn head_finding(size: u64) -> Finding {
    Finding { reason: "tampered_head", kind: "Head", at: size, place: FindingPlace::At }
}

/// The finding for the current head of the log.
pub(crate) const fn end_finding(size: u64) -> Finding {
    Finding { place: FindingPlace::End, ..head_finding(size) }
}

pub(crate) const fn checkpoint_finding(size: u64) -> Finding {
    Finding { reason: "tampered_checkpoint", kind: "Checkpoint", at: size, place: FindingPlace::At }
}

/// The finding for a checkpoint that the bucket has and the table does not.
pub(crate) const fn newer_finding(size: u64) -> Finding {
    Finding { place: FindingPlace::Newer, ..checkpoint_finding(size) }
}

/// The finding for a log that is shorter than the checkpoint that auditors were mailed.
pub(crate) const fn mailed_finding(size: u64) -> Finding {
    Finding { place: FindingPlace::Mailed, ..checkpoint_finding(size) }
}

/// The head of a stored checkpoint, if its signature and the note in the bucket confirm it. Without a checkpoint, the empty head.
///
/// # Errors
/// 503 if a service does not answer.
pub(crate) async fn signed_head(log: &AuditLog<'_>, stored: Option<&StoredCheckpoint>) -> Result<Found<Head>> {
    let Some(stored) = stored else { return Ok(Ok(log.beginning())) };
    let size = stored.head.size();
    if log.verified(stored).await?.is_none() {
        return Ok(Err(checkpoint_finding(size)));
    }
    let kept = log.kept_checkpoint(size, Some(&stored.version)).await?;
    let same = kept.is_some_and(|(_, note)| note == stored.note.as_bytes());
    Ok(if same { Ok(stored.head.clone()) } else { Err(checkpoint_finding(size)) })
}

/// The checkpoints in the bucket after the table's newest.
#[derive(Debug)]
pub(crate) enum Newer {
    Nothing,
    /// A signer that was killed between its two writes has left it.
    Unnoted(Box<StoredCheckpoint>),
    /// Another run has signed since the table was read.
    Overtaken,
}

/// The checkpoints in the bucket after the table's newest, whose head is `signed`. The log is read on, to at most `size` events.
/// A killed signer leaves one note, and the log leads to it.
///
/// Anything else means that the table has lost checkpoints, or that an attacker has written to the bucket. Then nothing may be
/// signed, because it could be another history than the signed one.
///
/// # Errors
/// 503 if a service does not answer.
pub(crate) async fn newer(log: &AuditLog<'_>, signed: &Head, size: u64) -> Result<Found<Newer>> {
    let notes = log.notes_after(signed.size()).await?;
    if notes.found.is_empty() && !notes.more {
        return Ok(Ok(Newer::Nothing));
    }
    if let ([(noted, version)], false) = (notes.found.as_slice(), notes.more)
        && *noted <= size
        && let Some(unnoted) = unnoted(log, signed, *noted, version).await?
    {
        return Ok(Ok(Newer::Unnoted(Box::new(unnoted))));
    }
    let newest = notes.found.last().map_or(signed.size(), |(noted, _)| *noted);
    let known = log.last_checkpoint().await?;
    let noted =
        known.as_ref().is_some_and(|known| known.head.size() > signed.size()) && signed_head(log, known.as_ref()).await?.is_ok();
    // A note that was signed after the head was read may not have its row yet.
    let overtaken = newest > size && log.head().await?.head.size() >= newest;
    Ok(if noted || overtaken { Ok(Newer::Overtaken) } else { Err(newer_finding(newest)) })
}

/// The note of this version, if it is a checkpoint of the log that continues from `signed`.
async fn unnoted(log: &AuditLog<'_>, signed: &Head, size: u64, version: &ObjectVersion) -> Result<Option<StoredCheckpoint>> {
    let Some((_, note)) = log.kept_checkpoint(size, Some(version)).await? else { return Ok(None) };
    let Some(said) = log.said_by(&note).await?.filter(|said| said.size == size) else { return Ok(None) };
    let head = reach(log, signed.clone(), size).await?.ok().filter(|head| head.root() == said.root);
    let stored = |(head, note)| StoredCheckpoint { note, head, signed_at: log.now(), version: version.clone() };
    Ok(head.zip(String::from_utf8(note).ok()).map(stored))
}

/// The head after reading on from `from`, segment by segment, to `size` events.
///
/// # Errors
/// 503 if a service does not answer.
pub(crate) async fn reach(log: &AuditLog<'_>, from: Head, size: u64) -> Result<Found<Head>> {
    let mut at = from;
    while at.size() < size {
        let entries = log.segments(at.size(), Direction::Oldest, LISTED).await?;
        if entries.is_empty() {
            return Ok(Err(segment_finding(at.size())));
        }
        for entry in entries.iter().take_while(|entry| entry.first < size) {
            let Some(next) = read_on(log, &at, entry).await? else { return Ok(Err(segment_finding(at.size()))) };
            at = next;
        }
    }
    Ok(if at.size() == size { Ok(at) } else { Err(head_finding(size)) })
}

/// The head after one more segment, unless another segment was sealed after this head.
async fn read_on(log: &AuditLog<'_>, at: &Head, entry: &SegmentEntry) -> Result<Option<Head>> {
    let Some(bytes) = bytes(log, entry).await? else { return Ok(None) };
    let segment = Segment::parse_after(at, bytes).ok().filter(|segment| segment.next() == entry.last + 1);
    Ok(segment.and_then(|segment| at.extend(&segment).ok()))
}

/// A single segment, as the table describes it.
///
/// # Errors
/// 503 if a service does not answer.
pub(crate) async fn segment(log: &AuditLog<'_>, entry: &SegmentEntry) -> Result<Found<Segment>> {
    let read = bytes(log, entry).await?.and_then(|bytes| Segment::parse(bytes).ok());
    let fits = |s: &Segment| (s.first(), s.next()) == (entry.first, entry.last + 1);
    Ok(read.filter(fits).ok_or(segment_finding(entry.first)))
}

/// Whether the segment that begins at `first` was deleted at the end of its retention: its checkpoint is that old, and the bucket
/// no longer has the version in the table. A segment that exists and differs has not expired, at any age; before the end, the
/// bucket's lock prevents deletion.
///
/// # Errors
/// 503 if a service does not answer.
pub(crate) async fn has_expired(log: &AuditLog<'_>, covered_by: &StoredCheckpoint, first: u64) -> Result<bool> {
    if !log.may_have_expired(covered_by.signed_at) {
        return Ok(false);
    }
    let Some(entry) = log.segment(first).await? else { return Ok(false) };
    Ok(log.read(first, Some(&entry.version)).await?.is_none())
}

async fn bytes(log: &AuditLog<'_>, entry: &SegmentEntry) -> Result<Option<Vec<u8>>> {
    let read = log.read(entry.first, Some(&entry.version)).await?;
    Ok(read.map(|(_, bytes)| bytes).filter(|bytes| Hash::of(bytes) == entry.sha256))
}
