//! The items of the audit log. Only this module reads and writes them.

use super::{CHECKPOINTS, checkpoint_sort, head_key, segment_key};
use crate::{
    aws::ObjectVersion,
    base::{Error, Result, Timestamp},
    store::{
        Row,
        item::{Item, Key},
    },
};
use ledger::{Hash, Head, Segment, Word};

/// The end of a tenant's log, according to the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHead {
    pub head: Head,
    /// The last segment; `None` if nothing is sealed yet.
    pub last: Option<SegmentEntry>,
    /// Whether unsealed copies of the last segment's events may still exist.
    pub cleanup: bool,
}

impl LogHead {
    pub(super) fn empty(tenant: Word) -> Self {
        Self { head: Head::empty(tenant), last: None, cleanup: false }
    }

    pub(super) fn to_item(&self) -> Result<Item> {
        let text = self.head.to_text().map_err(|_| Error::internal("head"))?;
        let item = Item::new(head_key()).text("head", text).number("size", number(self.head.size())?);
        let item = if self.cleanup { item.number("cleanup", 1) } else { item };
        self.last.as_ref().map_or(Ok(item.clone()), |last| last.fill(item))
    }

    pub(super) fn from_row(row: &Row) -> Result<Self> {
        let head = Head::parse(row.text("head")?).map_err(|_| Error::internal("head"))?;
        Ok(Self { head, last: Some(SegmentEntry::from_row(row)?), cleanup: row.maybe_number("cleanup").is_some() })
    }
}

/// The table's entry for a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Sequences of its first and its last event.
    pub first: u64,
    pub last: u64,
    /// The version of its object. This version is read, even if newer ones exist.
    pub version: ObjectVersion,
    pub sha256: Hash,
    pub bytes: usize,
    /// The times of its earliest and its latest event.
    pub occurred_from: Timestamp,
    pub occurred_to: Timestamp,
    pub sealed_at: Timestamp,
}

impl SegmentEntry {
    /// # Errors
    /// Internal, for a segment whose events cannot be read; a checked segment has none.
    pub fn of(segment: &Segment, version: ObjectVersion, sealed_at: Timestamp) -> Result<Self> {
        let (mut from, mut to) = (u64::MAX, 0);
        for event in segment.events() {
            let at = event.map_err(|_| Error::internal("segment"))?.occurred_at.unix_millis();
            (from, to) = (from.min(at), to.max(at));
        }
        let time = |millis| i64::try_from(millis).map(Timestamp::from_millis).map_err(|_| Error::internal("segment"));
        Ok(Self {
            first: segment.first(),
            last: segment.next() - 1,
            version,
            sha256: segment.sha256(),
            bytes: segment.body().len(),
            occurred_from: time(from)?,
            occurred_to: time(to)?,
            sealed_at,
        })
    }

    pub const fn events(&self) -> u64 {
        self.last - self.first + 1
    }

    pub(super) fn to_item(&self) -> Result<Item> {
        self.fill(Item::new(segment_key(self.first)))
    }

    fn fill(&self, item: Item) -> Result<Item> {
        Ok(item
            .number("first", number(self.first)?)
            .number("last", number(self.last)?)
            .text("version_id", self.version.as_str())
            .text("sha256", self.sha256)
            .number("bytes", number(self.bytes as u64)?)
            .text("occurred_from", self.occurred_from)
            .text("occurred_to", self.occurred_to)
            .text("sealed_at", self.sealed_at))
    }

    pub(super) fn from_row(row: &Row) -> Result<Self> {
        let (first, last) = (sequence(row, "first")?, sequence(row, "last")?);
        if last < first {
            return Err(Error::internal("segment"));
        }
        Ok(Self {
            first,
            last,
            version: ObjectVersion::new(row.text("version_id")?),
            sha256: row.parse("sha256")?,
            bytes: usize::try_from(row.number("bytes")?).map_err(|_| Error::internal("bytes"))?,
            occurred_from: row.parse("occurred_from")?,
            occurred_to: row.parse("occurred_to")?,
            sealed_at: row.parse("sealed_at")?,
        })
    }
}

/// A signed checkpoint from the table. It is untrusted until [`AuditLog::verified`](super::AuditLog::verified).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// The signed note.
    pub note: String,
    /// Its head, from which the next checkpoint is computed.
    pub head: Head,
    pub signed_at: Timestamp,
    /// The version of the note's object.
    pub version: ObjectVersion,
}

impl StoredCheckpoint {
    pub(super) fn to_item(&self) -> Result<Item> {
        let head = self.head.to_text().map_err(|_| Error::internal("head"))?;
        Ok(Item::new(Key::new(CHECKPOINTS, checkpoint_sort(self.head.size())))
            .text("note", &self.note)
            .text("head", head)
            .text("signed_at", self.signed_at)
            .text("version_id", self.version.as_str()))
    }

    pub(super) fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            note: row.text("note")?.to_owned(),
            head: Head::parse(row.text("head")?).map_err(|_| Error::internal("head"))?,
            signed_at: row.parse("signed_at")?,
            version: ObjectVersion::new(row.text("version_id")?),
        })
    }
}

fn number(n: u64) -> Result<i64> {
    i64::try_from(n).map_err(|_| Error::internal("sequence"))
}

fn sequence(row: &Row, name: &'static str) -> Result<u64> {
    u64::try_from(row.number(name)?).map_err(|_| Error::internal(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::TenantId, store::quotas};

    /// `docs/scale.md` states the same limit.
    const MOST: usize = 6 * 1024;

    #[test]
    fn head_and_checkpoint_of_the_largest_log_stay_within_their_bound() {
        // The largest number that every JSON reader reads exactly (RFC 8259, section 6), and a peak for each of its bits.
        let (size, hash) = ((1u64 << 53) - 1, "f".repeat(64));
        let peaks = vec![hash.as_str(); 53].join("\",\"");
        let tenant = TenantId::PLATFORM;
        let text = format!(r#"{{"format":1,"last_hash":"{hash}","peaks":["{peaks}"],"size":{size},"tenant_id":"{tenant}"}}"#);
        let head = Head::parse(&text).unwrap();
        let (version, now) = (ObjectVersion::new("v".repeat(1024)), Timestamp::from_millis(253_402_300_799_999));
        let last = SegmentEntry {
            first: size - 1000,
            last: size - 1,
            version: version.clone(),
            sha256: hash.parse().unwrap(),
            bytes: Segment::MAX_LEN,
            occurred_from: now,
            occurred_to: now,
            sealed_at: now,
        };
        let segment = last.to_item().unwrap();
        let log = LogHead { head: head.clone(), last: Some(last), cleanup: true };
        let checkpoint = StoredCheckpoint { note: "n".repeat(512), head, signed_at: now, version };
        for item in [log.to_item().unwrap(), checkpoint.to_item().unwrap(), segment] {
            let bytes = quotas::size(&item.into_attributes(tenant));
            assert!(bytes <= MOST && MOST * 4 < quotas::MOST_ITEM_BYTES, "{bytes} bytes");
        }
    }
}
