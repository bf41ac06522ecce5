//! A tenant's sealed log: its items in the ledger table, its segments in the audit bucket, and the operations on it. `ledger`
//! defines segments and verification; the audit domain decides when to do which step.
//!
//! | Partition | Sort | Content |
//! |---|---|---|
//! | `AUDIT` | `<event>` | an unsealed event |
//! | `HEAD` | `HEAD` | the end of the log, the last segment, and whether its unsealed items are still to be deleted |
//! | `SEGMENTS` | `SEGMENT#<sequence of its first event in twelve digits>` | a segment: its object's version, its hash |
//! | `CHECKPOINTS` | `CHECKPOINT#<size in twelve digits>` | a signed checkpoint, and its head |
//! | `SIGNING` | `SIGNING` | the size of the last begun checkpoint: a signer completes that one before another |
//! | `FINDINGS` | `<reason>#<place>` | the time of the last alarm about a finding, or of its resolution |
//!
//! The objects are `segments/<tenant>/<first sequence>.jsonl` and `checkpoints/<tenant>/<size>.txt`.

use crate::{
    audit::activity::Activity,
    aws::{ObjectVersion, checkpoint_key::CheckpointKey, objects::Objects},
    background::{Background, Delivery},
    base::{
        Error, EventId, Need, Result, TenantId, Timestamp,
        need::{declares, needs},
    },
    request::{Deps, Endpoint, Permit},
    store::{
        Row,
        dynamodb::{Position, Query},
        item::{Key, Table},
    },
};
mod entry;
mod raise;
mod seal;
mod sign;

pub use entry::{LogHead, SegmentEntry, StoredCheckpoint};
pub use raise::{Finding, FindingPlace, OpenFinding};
pub use seal::{AuditSealer, Backlog, Put, Unsealed};
pub use sign::{AuditSigner, Begun};

use ledger::{Checkpoint, Head, Origin, Segment, VerifierKey, Word, checkpoint::Signed, segment::object_key};
use std::time::Duration;

const HEAD: &str = "HEAD";
const SEGMENTS: &str = "SEGMENTS";
const CHECKPOINTS: &str = "CHECKPOINTS";
const SIGNING: &str = "SIGNING";
/// A limit above the longest note of ours, in bytes.
const NOTE_MAX: usize = 4096;

/// Reads one tenant's log.
#[derive(Clone, Copy, Debug)]
pub struct AuditLog<'a> {
    deps: &'a Deps,
    activity: &'a Activity<'a>,
}

/// The end at which a list begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Oldest,
    Newest,
}

/// Notes in the bucket, smallest size first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewerNotes {
    pub found: Vec<(u64, ObjectVersion)>,
    /// Whether there are more.
    pub more: bool,
}

impl<'a, E: Endpoint> Permit<'a, E> {
    /// The caller's tenant's sealed log.
    pub fn audit_log(&self) -> AuditLog<'a> {
        needs!(E, ReadLog);
        AuditLog { deps: self.context.deps, activity: &self.context.activity }
    }

    /// A cursor of the list `name` that continues at `sequence`.
    ///
    /// # Errors
    /// 503 if the tenant's search key is not in memory and KMS does not answer.
    pub async fn audit_cursor(&self, name: &str, sequence: u64) -> Result<String> {
        needs!(E, Search);
        let (deps, tenant) = (self.context.deps, self.context.tenant);
        let position = Position(name.to_owned(), sequence.to_string(), String::new());
        deps.keyring.of(tenant).seal_cursor(&position, &Query::partition(Table::Ledger, name)).await
    }

    /// The position of a cursor of the list `name`.
    ///
    /// # Errors
    /// 422 `invalid_cursor`; 503 as [`audit_cursor`](Self::audit_cursor).
    pub async fn audit_position(&self, name: &str, cursor: &str) -> Result<u64> {
        needs!(E, Search);
        let (deps, tenant) = (self.context.deps, self.context.tenant);
        let query = Query::partition(Table::Ledger, name);
        let Position(_, sequence, _) = deps.keyring.of(tenant).open_cursor(cursor, &query).await?;
        sequence.parse().map_err(|_| Error::internal("cursor"))
    }
}

impl<'a, B: Background> Delivery<'a, B> {
    /// The tenant's sealed log, for reading.
    pub fn audit_log(&self) -> AuditLog<'a> {
        needs!(B, ReadLog);
        self.log_of_tenant()
    }
    /// The tenant's log, for sealing.
    pub fn audit_sealer(&self) -> AuditSealer<'a> {
        needs!(B, SealLog);
        AuditSealer(self.log_of_tenant())
    }
    /// The tenant's log, for signing.
    pub fn audit_signer(&self) -> AuditSigner<'a> {
        needs!(B, SignLog);
        AuditSigner(self.log_of_tenant())
    }

    fn log_of_tenant(&self) -> AuditLog<'a> {
        AuditLog { deps: self.job.deps, activity: &self.job.activity }
    }
}

impl<'a> AuditLog<'a> {
    pub fn tenant(&self) -> TenantId {
        self.activity.tenant
    }
    pub fn now(&self) -> Timestamp {
        self.activity.now
    }

    /// Whether the bucket's lifecycle may have deleted a segment that a checkpoint of this time covers. It allows for a day,
    /// because a segment that was written before midnight may be signed after it.
    pub fn may_have_expired(&self, signed_at: Timestamp) -> bool {
        const SIGNED_LATE: Duration = Duration::from_secs(24 * 60 * 60);
        let expiry = self.deps.config().audit_expiry;
        expiry.is_some_and(|after| self.activity.now.since(signed_at) + SIGNED_LATE >= after)
    }

    /// The head of this log before its first event.
    pub fn beginning(&self) -> Head {
        Head::empty(self.name())
    }

    fn objects(&self) -> Result<&'a Objects> {
        self.deps.services.objects()
    }

    fn key(&self) -> Result<&'a CheckpointKey> {
        self.deps.services.checkpoint_key()
    }

    fn name(&self) -> Word {
        Word::clean(&self.activity.tenant.to_string())
    }

    /// The end of the log, read consistently; an empty head if nothing is sealed yet.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn head(&self) -> Result<LogHead> {
        match self.deps.db.get(self.activity.tenant, Table::Ledger, &head_key()).await? {
            Some(row) => LogHead::from_row(&row),
            None => Ok(LogHead::empty(self.name())),
        }
    }

    /// The segments whose first event has sequence `from` or more (or less, for newest first), at most `most`.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn segments(&self, from: u64, direction: Direction, most: u32) -> Result<Vec<SegmentEntry>> {
        let query = Query::partition(Table::Ledger, SEGMENTS).limit(most);
        let query = match direction {
            Direction::Oldest => query.between(segment_sort(from), segment_sort(LAST)),
            Direction::Newest => query.between(segment_sort(0), segment_sort(from)).newest_first(),
        };
        let page = self.deps.db.query(self.activity.tenant, &query, None).await?;
        page.rows.iter().map(SegmentEntry::from_row).collect()
    }

    /// The segment whose first event has sequence `first`.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn segment(&self, first: u64) -> Result<Option<SegmentEntry>> {
        let row = self.deps.db.get(self.activity.tenant, Table::Ledger, &segment_key(first)).await?;
        row.as_ref().map(SegmentEntry::from_row).transpose()
    }

    /// The bytes of a segment's object in one version, or in its newest one, and that version.
    ///
    /// # Errors
    /// 503 if S3 does not answer.
    pub async fn read(&self, first: u64, version: Option<&ObjectVersion>) -> Result<Option<(ObjectVersion, Vec<u8>)>> {
        let object =
            self.objects()?.get(self.activity.tenant, &object_key(&self.name(), first), version, Segment::MAX_LEN).await?;
        Ok(object.map(|object| (object.version, object.bytes)))
    }

    /// The newest checkpoint of `size` or less.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn checkpoint_up_to(&self, size: u64) -> Result<Option<StoredCheckpoint>> {
        let query = Query::partition(Table::Ledger, CHECKPOINTS).between(checkpoint_sort(0), checkpoint_sort(size));
        self.one_checkpoint(&query.newest_first().limit(1)).await
    }

    /// The oldest checkpoint of more than `size`.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn checkpoint_after(&self, size: u64) -> Result<Option<StoredCheckpoint>> {
        let query = Query::partition(Table::Ledger, CHECKPOINTS).between(checkpoint_sort(size + 1), checkpoint_sort(LAST));
        self.one_checkpoint(&query.limit(1)).await
    }

    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn last_checkpoint(&self) -> Result<Option<StoredCheckpoint>> {
        self.checkpoint_up_to(LAST).await
    }

    async fn one_checkpoint(&self, query: &Query) -> Result<Option<StoredCheckpoint>> {
        let page = self.deps.db.query(self.activity.tenant, query, None).await?;
        page.rows.first().map(StoredCheckpoint::from_row).transpose()
    }

    /// The note in the bucket for a checkpoint of `size`.
    ///
    /// # Errors
    /// 503 if S3 does not answer.
    pub async fn kept_checkpoint(&self, size: u64, version: Option<&ObjectVersion>) -> Result<Option<(ObjectVersion, Vec<u8>)>> {
        let object =
            self.objects()?.get(self.activity.tenant, &checkpoint_key(self.activity.tenant, size), version, NOTE_MAX).await?;
        Ok(object.map(|object| (object.version, object.bytes)))
    }

    /// The bucket's checkpoints of more than `size` events: each version of each note, with the size in its key. An attacker can
    /// empty the table and put a newer version over a note, but cannot change this list.
    ///
    /// # Errors
    /// 503 if S3 does not answer.
    pub async fn notes_after(&self, size: u64) -> Result<NewerNotes> {
        let (prefix, after) = (checkpoint_folder(self.activity.tenant), checkpoint_key(self.activity.tenant, size));
        let versions = self.objects()?.versions_after(self.activity.tenant, &prefix, &after).await?;
        let of_size = |(key, version): (String, ObjectVersion)| {
            let size = key.strip_prefix(&prefix)?.strip_suffix(".txt")?.parse().ok()?;
            (checkpoint_key(self.activity.tenant, size) == key).then_some((size, version))
        };
        Ok(NewerNotes { found: versions.found.into_iter().filter_map(of_size).collect(), more: versions.more })
    }

    /// The checkpoint of a note, if it is signed as a checkpoint of this log.
    ///
    /// # Errors
    /// 503 if KMS does not answer.
    pub async fn said_by(&self, note: &[u8]) -> Result<Option<Checkpoint>> {
        let (key, origin) = (self.verifier_key().await?, self.origin()?);
        Ok(Signed::parse(note).ok().and_then(|note| note.verify(&[key], &origin).ok()))
    }

    /// The origin of this log in its checkpoints.
    ///
    /// # Errors
    /// Internal, for a deployment whose name cannot be part of an origin.
    pub fn origin(&self) -> Result<Origin> {
        Origin::new(self.deps.config.deployment.clone(), self.name()).map_err(|_| Error::internal("origin"))
    }

    /// The public key of the checkpoints, with this log's name.
    ///
    /// # Errors
    /// 503 if KMS does not answer.
    pub async fn verifier_key(&self) -> Result<VerifierKey> {
        self.key()?.verifier(self.origin()?.to_string()).await
    }

    /// The checkpoint of a stored one, if its signature, its origin and its head match.
    ///
    /// # Errors
    /// 503 if KMS does not answer.
    pub async fn verified(&self, stored: &StoredCheckpoint) -> Result<Option<Checkpoint>> {
        let said = self.said_by(stored.note.as_bytes()).await?;
        Ok(said.filter(|said| (said.size, said.root) == (stored.head.size(), stored.head.root())))
    }

    /// The time of the oldest unsealed event; for a counted event, the beginning of its minute.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn unsealed_since(&self) -> Result<Option<Timestamp>> {
        let query = Query::partition(Table::Ledger, crate::audit::event::UNSEALED).limit(1);
        let page = self.deps.db.query(self.activity.tenant, &query, None).await?;
        // The time is that of its id, which also an unreadable item has.
        let at = |row: &Row| {
            let made = row.parse::<EventId>("sk")?.uuid().get_timestamp().ok_or(Error::internal("event id"))?.to_unix();
            let millis = i64::try_from(made.0 * 1000 + u64::from(made.1) / 1_000_000).map_err(|_| Error::internal("event id"))?;
            Ok(Timestamp::from_millis(millis))
        };
        page.rows.first().map(at).transpose()
    }
}

/// Whether a function uses the sealed log.
pub(crate) const fn declared(needs: &[Need]) -> bool {
    declares(needs, Need::ReadLog) || declares(needs, Need::SealLog) || declares(needs, Need::SignLog)
}

/// Above every sequence that a key can have.
const LAST: u64 = 999_999_999_999;

fn head_key() -> Key {
    Key::new(HEAD, HEAD)
}

fn signing_key() -> Key {
    Key::new(SIGNING, SIGNING)
}

fn segment_sort(first: u64) -> String {
    format!("SEGMENT#{:012}", first.min(LAST))
}

fn segment_key(first: u64) -> Key {
    Key::new(SEGMENTS, segment_sort(first))
}

fn checkpoint_sort(size: u64) -> String {
    format!("CHECKPOINT#{:012}", size.min(LAST))
}

fn checkpoint_folder(tenant: TenantId) -> String {
    format!("checkpoints/{tenant}/")
}

fn checkpoint_key(tenant: TenantId, size: u64) -> String {
    format!("{}{size:012}.txt", checkpoint_folder(tenant))
}
