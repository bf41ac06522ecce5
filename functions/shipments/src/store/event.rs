//! The stored scans: one item each, ordered by time.

use super::partition;
use crate::domain::{Scan, ScanPhi, ScanTime, ShipmentId, Status};
use common::{
    base::{Error, Result, Timestamp},
    store::{Changes, Condition, Edit, Key, Row, TableQuery},
};
use phi::{Sealed, SearchToken};

const FIRST: &str = "EVENT#";
/// Sorts after every event, because `$` follows `#`.
const END: &str = "EVENT$";

/// A scan's place. Its sealed data is bound to it, so that it cannot be moved to another scan.
pub(crate) fn place(id: ShipmentId, scan: &Scan, token: &SearchToken) -> String {
    let key = key(id, scan, token);
    format!("{}#{}", key.place(), key.sort())
}

fn key(id: ShipmentId, scan: &Scan, token: &SearchToken) -> Key {
    Key::new(partition(id), format!("{FIRST}{}#{token}", scan.when.position()))
}

/// Stores a scan. Storing it again overwrites the same data.
pub(crate) fn put_event(changes: &mut Changes, id: ShipmentId, scan: &Scan, token: &SearchToken, sealed: Sealed<ScanPhi>) {
    let edit = Edit::of(key(id, scan, token))
        .text("status", scan.status)
        .text("kind", &scan.kind)
        .text("code", &scan.code)
        .bytes("sealed", sealed.into_bytes())
        .when(Condition::Any(vec![Condition::Absent, Condition::Present]));
    let edit = match &scan.when {
        ScanTime::Instant(at) => edit.text("occurred_at", at),
        ScanTime::Local { text, .. } => edit.text("local_time", text),
        ScanTime::Unknown => edit,
    };
    changes.edit(edit, Error::internal("event"));
}

/// The query of a shipment's scans, newest first.
pub(crate) fn events(id: ShipmentId) -> TableQuery {
    TableQuery::items(partition(id)).between(FIRST, END).newest_first()
}

/// The stored form of a scan.
#[derive(Debug)]
pub(crate) struct StoredEvent {
    pub(crate) place: String,
    pub(crate) occurred_at: Option<Timestamp>,
    pub(crate) local_time: Option<String>,
    pub(crate) status: Status,
    pub(crate) kind: String,
    pub(crate) code: String,
    pub(crate) sealed: Sealed<ScanPhi>,
}

impl StoredEvent {
    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        let key = row.key()?;
        Ok(Self {
            place: format!("{}#{}", key.place(), key.sort()),
            occurred_at: row.maybe("occurred_at")?,
            local_time: row.maybe_text("local_time").map(str::to_owned),
            status: row.word("status")?.unwrap_or(Status::Unknown),
            kind: row.text("kind")?.to_owned(),
            code: row.text("code")?.to_owned(),
            sealed: Sealed::from_bytes(row.bytes("sealed")?.to_vec()).map_err(|_| Error::internal("sealed"))?,
        })
    }
}
