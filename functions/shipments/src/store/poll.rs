//! The bookkeeping beside a shipment: when the carrier is asked again, and when its pushes are asked for again. No PHI.

use super::{Stored, partition};
use crate::domain::ShipmentId;
use common::{
    Action, Attribute, Condition, DueItem, Edit, Error, HINTED_AT, Item, Kept, Key, Reader, Resource, Result, Row, TableQuery,
    TenantId, Timestamp,
};
use phi::SearchToken;
use ups::Progress;

/// The list of shipments that the carrier is to be asked about.
pub(crate) const POLLS: &str = "POLL";
/// The list of shipments whose pushes are to be asked for.
pub(crate) const ALERTS: &str = "ALERT";

/// The attribute by which the list is sorted.
const DUE_AT: &str = "ix_due_at";
/// What is remembered of a scan's token: enough that no two of one parcel share it.
const KNOWN_BYTES: usize = 12;
/// Scans that are remembered: more than one answer holds. A parcel has a few dozen.
const MOST_KNOWN: usize = 1024;

fn poll_key(id: ShipmentId) -> Key {
    Key::new(partition(id), "POLL")
}

pub(super) fn new_poll(id: ShipmentId, due_at: Timestamp) -> Item {
    Item::new(poll_key(id)).text("shipment_id", id).due(POLLS, due_at)
}

/// How polling a shipment stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Poll {
    /// When the carrier is to be asked; never again where there is none.
    pub(crate) due_at: Option<Timestamp>,
    pub(crate) last_polled_at: Option<Timestamp>,
    /// Calls in a row without an answer.
    pub(crate) failures: u32,
    /// What the last answer said, as a token.
    pub(crate) answer: Option<String>,
    /// What all scans so far amount to.
    pub(crate) progress: Progress,
    /// The same as it was read.
    pub(crate) stored_progress: Kept<Progress>,
    pub(crate) known: Vec<u8>,
    /// When the carrier last pushed while it was to be asked.
    pub(crate) hinted_at: Option<Timestamp>,
}

impl Poll {
    fn from_row(row: &Row) -> Result<Self> {
        // What cannot be read is made anew of the carrier's next answer, which tells the whole story.
        let stored_progress: Kept<Progress> = match row.maybe_text("progress") {
            Some(_) => row.kept("progress").unwrap_or_default(),
            None => Kept::default(),
        };
        Ok(Self {
            due_at: row.maybe(DUE_AT)?,
            last_polled_at: row.maybe("last_polled_at")?,
            failures: u32::try_from(row.maybe_number("failures").unwrap_or(0)).unwrap_or(u32::MAX),
            answer: row.maybe_text("answer").map(str::to_owned),
            progress: Progress::clone(&stored_progress),
            stored_progress,
            known: row.maybe_bytes("known").unwrap_or_default().to_vec(),
            hinted_at: row.maybe(HINTED_AT)?,
        })
    }

    /// Whether the scan with that token is stored.
    pub(crate) fn knows(&self, token: &SearchToken) -> bool {
        let name = known_name(token);
        self.known.chunks_exact(KNOWN_BYTES).any(|known| known == name)
    }

    /// Remembers that a scan is stored.
    pub(crate) fn learn(&mut self, token: &SearchToken) {
        self.known.extend(known_name(token));
        self.known.drain(..self.known.len().saturating_sub(MOST_KNOWN * KNOWN_BYTES));
    }

    /// The edit after which the item says what this says, provided that it is due as it `was` and the carrier has pushed nothing
    /// since it was read. Who finds it otherwise has been overtaken: it stays due.
    pub(crate) fn edit(&self, id: ShipmentId, was: Timestamp) -> Edit {
        let edit = Edit::of(poll_key(id)).number("failures", i64::from(self.failures));
        let unhinted = Condition::as_read(HINTED_AT, self.hinted_at);
        let edit = edit.when(Condition::All(vec![Condition::Is(DUE_AT, was.to_string()), unhinted]));
        let edit = match self.due_at {
            Some(at) => edit.due(POLLS, at),
            None => edit.not_due(),
        };
        match self.last_polled_at {
            Some(at) => edit.text("last_polled_at", at),
            None => edit,
        }
    }

    /// The same with what the last answer said.
    pub(crate) fn edit_with_answer(&self, id: ShipmentId, was: Timestamp) -> Edit {
        let progress = self.stored_progress.with(self.progress.clone()).to_text();
        let edit = self.edit(id, was).text("progress", progress).bytes("known", self.known.clone());
        match &self.answer {
            Some(answer) => edit.text("answer", answer),
            None => edit.remove("answer"),
        }
    }
}

/// The edit that has the carrier asked now.
pub(crate) fn due_now(id: ShipmentId, now: Timestamp) -> Edit {
    Edit::of(poll_key(id)).due(POLLS, now)
}

/// The edits that have the carrier asked no more.
pub(crate) fn never_due(id: ShipmentId) -> [Edit; 2] {
    [Edit::of(poll_key(id)).not_due(), Edit::of(alert_key(id)).not_due()]
}

/// The first letters of a token's digest, which is base64url: 72 bits.
fn known_name(token: &SearchToken) -> Vec<u8> {
    let text = token.to_string();
    let digest = text.rsplit('.').next().unwrap_or_default();
    let mut name = digest.as_bytes().to_vec();
    name.resize(KNOWN_BYTES, b'-');
    name
}

/// A shipment and how polling it stands.
#[derive(Debug)]
pub struct Watch {
    pub(crate) shipment: Stored,
    pub(crate) poll: Poll,
}

impl Watch {
    /// Both by one Query: nothing where the tenant has no such shipment.
    pub(crate) async fn read(reader: Reader<'_>, id: ShipmentId) -> Result<Option<Self>> {
        let query = TableQuery::items(partition(id)).between("POLL", "SHIPMENT");
        let rows = reader.query(&query).await?;
        let mut poll = Poll::default();
        for row in &rows {
            match row.text("sk")? {
                "POLL" => poll = Poll::from_row(row)?,
                "SHIPMENT" => return Ok(Some(Self { shipment: Stored::from_row(row)?, poll })),
                _ => {}
            }
        }
        Ok(None)
    }
}

/// To the policy it is the shipment.
impl Resource for Watch {
    const VIEW: Option<Action> = Stored::VIEW;
    const TYPE: &'static str = Stored::TYPE;
    fn id(&self) -> String {
        self.shipment.id()
    }
    fn tenant(&self) -> Option<TenantId> {
        self.shipment.tenant()
    }
    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.shipment.attributes()
    }
}

fn alert_key(id: ShipmentId) -> Key {
    Key::new(partition(id), "ALERT")
}

pub(super) fn new_alert(id: ShipmentId, due_at: Timestamp) -> Item {
    Item::new(alert_key(id)).text("shipment_id", id).due(ALERTS, due_at)
}

/// How having a shipment's news pushed stands.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) id: ShipmentId,
    /// When that was due.
    pub(crate) due_at: Timestamp,
}

impl Alert {
    /// # Errors
    /// Internal where the item is no shipment's.
    pub(crate) fn of(due: &DueItem) -> Result<Self> {
        let id = shipment_of(&due.key)?;
        Ok(Self { id, due_at: due.at })
    }

    /// The edit after which it is due then, or never again, provided that it is due as it was.
    pub(crate) fn edit(&self, next: Option<Timestamp>) -> Edit {
        let edit = Edit::of(alert_key(self.id));
        let edit = match next {
            Some(at) => edit.due(ALERTS, at),
            None => edit.not_due(),
        };
        edit.when(Condition::Is(DUE_AT, self.due_at.to_string()))
    }
}

/// Whose bookkeeping an item is.
pub(crate) fn shipment_of(key: &Key) -> Result<ShipmentId> {
    key.place().strip_prefix("SHIPMENT#").and_then(|id| id.parse().ok()).ok_or(Error::internal("due item"))
}

/// The item that a push makes due.
pub(crate) fn pushed(id: ShipmentId) -> Key {
    poll_key(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use phi::SearchKey;

    #[test]
    fn a_poll_remembers_the_newest_scans_and_grows_no_further() {
        let key = SearchKey::new(phi::KeyVersion::FIRST, phi::Zeroizing::new([7; 32]));
        let tokens: Vec<_> = (0..MOST_KNOWN + 500).map(|n| key.field("ten_1", "scan").token(&n.to_string())).collect();
        let mut poll = Poll::default();
        tokens.iter().for_each(|token| poll.learn(token));
        assert_eq!(poll.known.len(), 12 * 1024);
        assert!(tokens[500..].iter().all(|token| poll.knows(token)) && !poll.knows(&tokens[499]));
    }
}
