//! The bookkeeping beside a shipment: the times of the next poll and of the next subscription to pushes. It contains no PHI.

use super::{Stored, partition};
use crate::domain::ShipmentId;
use common::{
    background::DueItem,
    base::{Error, Kept, Result, TenantId, Timestamp},
    capabilities::HINTED_AT,
    policy::{Action, Attribute, Resource},
    request::Reader,
    store::{Condition, Edit, Item, Key, Row, TableQuery},
};
use phi::SearchToken;
use ups::Progress;

/// The list of shipments that are due for a poll.
pub(crate) const POLLS: &str = "POLL";
/// The list of shipments that are due for a subscription.
pub(crate) const ALERTS: &str = "ALERT";

/// The attribute that sorts the list.
const DUE_AT: &str = "ix_due_at";
/// The number of bytes that are kept of a scan's token: enough to distinguish all scans of a parcel.
const KNOWN_BYTES: usize = 12;
/// The number of scans whose tokens are kept: more than one answer holds. A parcel usually has a few dozen scans.
const MOST_KNOWN: usize = 1024;

fn poll_key(id: ShipmentId) -> Key {
    Key::new(partition(id), "POLL")
}

pub(super) fn new_poll(id: ShipmentId, due_at: Timestamp) -> Item {
    Item::new(poll_key(id)).text("shipment_id", id).due(POLLS, due_at)
}

/// The state of polling a shipment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Poll {
    /// The time of the next poll; `None` if there will be no more.
    pub(crate) due_at: Option<Timestamp>,
    pub(crate) last_polled_at: Option<Timestamp>,
    /// The number of consecutive calls without an answer.
    pub(crate) failures: u32,
    /// A token of the last answer.
    pub(crate) answer: Option<String>,
    /// The result of all scans so far.
    pub(crate) progress: Progress,
    /// The same, as it was read.
    pub(crate) stored_progress: Kept<Progress>,
    pub(crate) known: Vec<u8>,
    /// The time of the carrier's last push while the shipment had polls to come.
    pub(crate) hinted_at: Option<Timestamp>,
}

impl Poll {
    fn from_row(row: &Row) -> Result<Self> {
        // Unreadable progress is rebuilt from the carrier's next answer, which contains the whole history.
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

    /// The edit that stores this state, if the shipment is still due at `was` and the carrier has pushed nothing since it was
    /// read. Otherwise the edit fails, because another write was faster; the shipment stays due.
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

    /// Like `edit`, also with the content of the last answer.
    pub(crate) fn edit_with_answer(&self, id: ShipmentId, was: Timestamp) -> Edit {
        let progress = self.stored_progress.with(self.progress.clone()).to_text();
        let edit = self.edit(id, was).text("progress", progress).bytes("known", self.known.clone());
        match &self.answer {
            Some(answer) => edit.text("answer", answer),
            None => edit.remove("answer"),
        }
    }
}

/// The edit that makes a shipment due now.
pub(crate) fn due_now(id: ShipmentId, now: Timestamp) -> Edit {
    Edit::of(poll_key(id)).due(POLLS, now)
}

/// The edits after which a shipment is never due again.
pub(crate) fn never_due(id: ShipmentId) -> [Edit; 2] {
    [Edit::of(poll_key(id)).not_due(), Edit::of(alert_key(id)).not_due()]
}

/// The first characters of a token's digest, which is base64url: 72 bits.
fn known_name(token: &SearchToken) -> Vec<u8> {
    let text = token.to_string();
    let digest = text.rsplit('.').next().unwrap_or_default();
    let mut name = digest.as_bytes().to_vec();
    name.resize(KNOWN_BYTES, b'-');
    name
}

/// A shipment and the state of polling it.
#[derive(Debug)]
pub struct Watch {
    pub(crate) shipment: Stored,
    pub(crate) poll: Poll,
}

impl Watch {
    /// Reads both by one Query; `None` if the tenant has no such shipment.
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

/// The policy treats it as the shipment.
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

/// The state of a shipment's subscription to pushes.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) id: ShipmentId,
    /// The time at which the subscription was due.
    pub(crate) due_at: Timestamp,
}

impl Alert {
    /// # Errors
    /// Internal if the item does not belong to a shipment.
    pub(crate) fn of(due: &DueItem) -> Result<Self> {
        let id = shipment_of(&due.key)?;
        Ok(Self { id, due_at: due.at })
    }

    /// The edit that sets the next due time, or none, if the due time is unchanged since it was read.
    pub(crate) fn edit(&self, next: Option<Timestamp>) -> Edit {
        let edit = Edit::of(alert_key(self.id));
        let edit = match next {
            Some(at) => edit.due(ALERTS, at),
            None => edit.not_due(),
        };
        edit.when(Condition::Is(DUE_AT, self.due_at.to_string()))
    }
}

/// The shipment to which a bookkeeping item belongs.
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
    fn poll_keeps_only_the_newest_scans() {
        let key = SearchKey::new(phi::KeyVersion::FIRST, phi::Zeroizing::new([7; 32]));
        let tokens: Vec<_> = (0..MOST_KNOWN + 500).map(|n| key.field("ten_1", "scan").token(&n.to_string())).collect();
        let mut poll = Poll::default();
        tokens.iter().for_each(|token| poll.learn(token));
        assert_eq!(poll.known.len(), 12 * 1024);
        assert!(tokens[500..].iter().all(|token| poll.knows(token)) && !poll.knows(&tokens[499]));
    }
}
