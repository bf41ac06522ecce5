//! The layout of shipments in the table.
//!
//! | Partition | Sort | Content |
//! |---|---|---|
//! | `SHIPMENT#<shipment id>` | `SHIPMENT` | a shipment with its sealed PHI; the carrier's latest report, sealed separately |
//! | | `POLL` | the time of the next poll and the last answer; on the list `POLL` while a poll is due |
//! | | `ALERT` | the time of the next subscription to pushes; on the list `ALERT` while one is due |
//! | | `EVENT#<time>#<search token>` | one scan of the carrier; its description and place are sealed |
//! | `CLAIM#tracking_number#<search token>` | `CLAIM` | the shipment that has that number; deleted when it is voided |
//!
//! A shipment is in the indexes `all`, `status`, `assignee` and `status_assignee` (the last two while it is assigned), in
//! `token_1` by its number and in `token_2` by its reference. All sort by shipment id, and so by the time of registration.

mod event;
mod poll;

pub(crate) use event::{StoredEvent, events, place as event_place, put_event};
pub(crate) use poll::{ALERTS, Alert, POLLS, Poll, Watch, due_now, never_due, pushed, shipment_of};

use crate::domain::{Estimate, Facts, LastScan, News, NewsPhi, Shipment, ShipmentId, ShipmentPhi, Status};
use common::{
    base::{Error, Result, TenantId, Timestamp, UserId},
    policy::{Action, Attribute, Resource},
    request::Reader,
    store::{Changes, Condition, Edit, Index, Item, Key, Row, TableQuery, Version},
};
use phi::{Sealed, SearchToken};

const LIST: &str = "SHIPMENTS";
const DUPLICATE: Error =
    Error::conflict("duplicate_tracking_number", "a shipment with this tracking number is already registered");

pub(crate) fn key(id: ShipmentId) -> Key {
    Key::new(partition(id), "SHIPMENT")
}

fn partition(id: ShipmentId) -> String {
    format!("SHIPMENT#{id}")
}

fn claim_key(token: &SearchToken) -> Key {
    Key::new(format!("CLAIM#tracking_number#{token}"), "CLAIM")
}

/// The stored form of a shipment.
#[derive(Debug)]
pub struct Stored {
    tenant: TenantId,
    pub(crate) facts: Facts,
    /// The stored status. A status that this version does not know is `UNKNOWN` in the facts, and stays in the table until it
    /// changes.
    status: String,
    pub(crate) sealed: Sealed<ShipmentPhi>,
    /// The carrier's latest report, if there is one.
    pub(crate) eta: Option<Timestamp>,
    pub(crate) estimate: Option<Estimate>,
    pub(crate) last_event: Option<LastScan>,
    pub(crate) sealed_news: Option<Sealed<NewsPhi>>,
}

impl Stored {
    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        let facts = Facts {
            id: row.parse("shipment_id")?,
            status: row.word("status")?.unwrap_or(Status::Unknown),
            created_by: row.parse("created_by")?,
            assigned_to: row.maybe("assigned_to")?,
            updated_at: row.parse("updated_at")?,
            version: row.version()?,
        };
        let sealed = Sealed::from_bytes(row.bytes("sealed")?.to_vec()).map_err(|_| Error::internal("sealed"))?;
        let last_event = match (row.maybe("last_event_at")?, row.maybe_text("last_event_status")) {
            (Some(occurred_at), Some(_)) => {
                Some(LastScan { occurred_at, status: row.word("last_event_status")?.unwrap_or(Status::Unknown) })
            }
            _ => None,
        };
        let news = row.maybe_bytes("news").map(|bytes| Sealed::from_bytes(bytes.to_vec()));
        Ok(Self {
            tenant: row.tenant()?,
            facts,
            status: row.text("status")?.to_owned(),
            sealed,
            eta: row.maybe("eta")?,
            estimate: match row.maybe("estimated_date")? {
                Some(date) => Some(Estimate { date, from: row.maybe("estimated_from")?, to: row.maybe("estimated_to")? }),
                None => None,
            },
            last_event,
            sealed_news: news.transpose().map_err(|_| Error::internal("news"))?,
        })
    }

    /// # Errors
    /// [`Error::NotFound`] if the tenant has no such shipment.
    pub(crate) async fn read(reader: Reader<'_>, id: ShipmentId) -> Result<Self> {
        let row = reader.get(&key(id)).await?.ok_or(Error::NotFound)?;
        Self::from_row(&row)
    }

    /// The shipment, with its opened PHI.
    pub(crate) fn opened(&self, phi: ShipmentPhi, news: Option<NewsPhi>) -> Shipment {
        let news = News { eta: self.eta, estimate: self.estimate, last_event: self.last_event, phi: news.unwrap_or_default() };
        Shipment { facts: self.facts.clone(), phi, news }
    }
}

impl Resource for Stored {
    const VIEW: Option<Action> = Some(Action("viewShipment"));
    const TYPE: &'static str = "Shipment";
    fn id(&self) -> String {
        self.facts.id.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }
    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        let user = |id: UserId| Attribute::Entity("User", id.to_string());
        let mut attributes = vec![("created_by", user(self.facts.created_by))];
        attributes.extend(self.facts.assigned_to.map(|id| ("assigned_to", user(id))));
        attributes
    }
}

/// The stored form of a shipment's PHI.
#[derive(Debug)]
pub(crate) struct SealedShipment {
    pub(crate) sealed: Sealed<ShipmentPhi>,
    pub(crate) number: SearchToken,
    pub(crate) reference: Option<SearchToken>,
}

/// Stores a new shipment and claims its number. The carrier is polled from `first_poll` on.
pub(crate) fn create(changes: &mut Changes, facts: &Facts, sealed_shipment: SealedShipment, first_poll: Timestamp) {
    let claim = Item::new(claim_key(&sealed_shipment.number)).text("shipment_id", facts.id);
    changes.create(claim, DUPLICATE);
    let taken = || Error::internal("shipment id is taken");
    changes.create(item(facts, sealed_shipment), taken());
    changes.create(poll::new_poll(facts.id, first_poll), taken());
    changes.create(poll::new_alert(facts.id, facts.updated_at), taken());
}

/// Stores a caller's changes of a shipment that was read before. The carrier's data stays.
pub(crate) fn update(changes: &mut Changes, facts: &Facts, before: &Stored, sealed_shipment: SealedShipment) {
    let Facts { id, assigned_to, .. } = *facts;
    let status = if facts.status == before.facts.status { &before.status } else { facts.status.as_str() };
    let mut edit = status_edit(facts, status, before.facts.version).bytes("sealed", sealed_shipment.sealed.into_bytes());
    edit = match assigned_to {
        Some(user) => edit.text("assigned_to", user).indexed(Index::Assignee, part(user), id),
        None => edit.remove("assigned_to").unindexed(Index::Assignee).unindexed(Index::StatusAssignee),
    };
    edit = match sealed_shipment.reference {
        Some(token) => edit.indexed(Index::Token2, part(token), id),
        None => edit.unindexed(Index::Token2),
    };
    changes.edit(edit, Error::Stale);
}

/// Stores the carrier's report over version `before` of a shipment. The caller's data stays.
pub(crate) fn report(changes: &mut Changes, facts: &Facts, before: Version, news: &News, sealed: Sealed<NewsPhi>) {
    let mut edit = if facts.version == before {
        Edit::of(key(facts.id)).when(Condition::VersionIs(before))
    } else {
        status_edit(facts, facts.status.as_str(), before)
    };
    let (date, from, to) = news.estimate.map_or((None, None, None), |e| (Some(e.date.to_string()), e.from, e.to));
    let told = [
        ("eta", news.eta.map(|at| at.to_string())),
        ("estimated_date", date),
        ("estimated_from", from.map(|time| time.to_string())),
        ("estimated_to", to.map(|time| time.to_string())),
    ];
    for (name, value) in told {
        edit = match value {
            Some(value) => edit.text(name, value),
            None => edit.remove(name),
        };
    }
    edit = match news.last_event {
        Some(LastScan { occurred_at, status }) => edit.text("last_event_at", occurred_at).text("last_event_status", status),
        None => edit.remove("last_event_at").remove("last_event_status"),
    };
    changes.edit(edit.bytes("news", sealed.into_bytes()), Error::Stale);
}

/// A new version, with its status, in the indexes that contain the status.
fn status_edit(facts: &Facts, status: &str, before: Version) -> Edit {
    let Facts { id, assigned_to, updated_at, version, .. } = *facts;
    let edit = Edit::of(key(id))
        .text("status", status)
        .text("updated_at", updated_at)
        .number("version", version.0)
        .indexed(Index::Status, part(status), id)
        .when(Condition::VersionIs(before));
    match assigned_to {
        Some(user) => edit.indexed(Index::StatusAssignee, both(status, user), id),
        None => edit,
    }
}

/// Frees a shipment's number. It is part of the transaction that voids the shipment, which checks the version.
pub(crate) fn free_number(changes: &mut Changes, id: ShipmentId, number: &SearchToken) {
    let own = Condition::Is("shipment_id", id.to_string());
    changes.delete(claim_key(number), own, Error::internal("claim"));
}

fn item(facts: &Facts, sealed_shipment: SealedShipment) -> Item {
    let Facts { id, status, created_by, assigned_to, updated_at, version } = facts;
    let mut item = Item::new(key(*id))
        .text("shipment_id", id)
        .text("status", status)
        .text("created_by", created_by)
        .maybe("assigned_to", assigned_to.as_ref())
        .text("updated_at", updated_at)
        .version(*version)
        .bytes("sealed", sealed_shipment.sealed.into_bytes())
        .indexed(Index::All, LIST, id)
        .indexed(Index::Status, part(status), id)
        .indexed(Index::Token1, part(sealed_shipment.number), id);
    if let Some(user) = assigned_to {
        item = item.indexed(Index::Assignee, part(user), id).indexed(Index::StatusAssignee, both(*status, *user), id);
    }
    match sealed_shipment.reference {
        Some(token) => item.indexed(Index::Token2, part(token), id),
        None => item,
    }
}

fn part(of: impl std::fmt::Display) -> String {
    format!("{LIST}#{of}")
}

fn both(status: impl std::fmt::Display, user: UserId) -> String {
    format!("{LIST}#{user}#{status}")
}

/// The query of a list. Every combination of the two filters has its own index.
pub(crate) fn list(status: Option<Status>, assigned_to: Option<UserId>) -> TableQuery {
    match (status, assigned_to) {
        (None, None) => TableQuery::index(Index::All, LIST),
        (Some(status), None) => TableQuery::index(Index::Status, part(status)),
        (None, Some(user)) => TableQuery::index(Index::Assignee, part(user)),
        (Some(status), Some(user)) => TableQuery::index(Index::StatusAssignee, both(status, user)),
    }
}

/// Only shipments registered from `after` on and before `before`.
///
/// Ids begin with the millisecond of their creation, so a range of time is a range of ids. The query includes its upper end,
/// which is the least id of that millisecond, with 74 random bits of zero; no shipment has this id.
pub(crate) fn registered_between(query: TableQuery, after: Option<Timestamp>, before: Option<Timestamp>) -> TableQuery {
    if after.is_none() && before.is_none() {
        return query;
    }
    let (low, high) = (after.unwrap_or_default(), before.unwrap_or(Timestamp::MAX));
    query.between(ShipmentId::first_at(low), ShipmentId::first_at(high))
}

pub(crate) fn with_number(token: SearchToken) -> TableQuery {
    TableQuery::index(Index::Token1, part(token))
}

pub(crate) fn with_reference(token: SearchToken) -> TableQuery {
    TableQuery::index(Index::Token2, part(token))
}
