//! How shipments lie in the table.
//!
//! | Partition | Sort | What |
//! |---|---|---|
//! | `SHIPMENT#<shipment id>` | `SHIPMENT` | a shipment, its PHI sealed |
//! | `CLAIM#tracking_number#<search token>` | `CLAIM` | which shipment has that number; gone once it is voided |
//!
//! A shipment is in the indexes `all`, `status`, `assignee` and `status_assignee` (those two while it is assigned), `token_1` by its
//! number and `token_2` by its reference. All sort by shipment id, and so by the time of registration.

use crate::domain::{Facts, ShipmentId, ShipmentPhi, Status};
use common::{
    Action, Attribute, Changes, Condition, Error, Index, Item, Key, Reader, Resource, Result, Row, TableQuery, TenantId,
    Timestamp, UserId, Version,
};
use phi::{Sealed, SearchToken};

const LIST: &str = "SHIPMENTS";
const DUPLICATE: Error =
    Error::conflict("duplicate_tracking_number", "a shipment with this tracking number is registered already");

pub(crate) fn key(id: ShipmentId) -> Key {
    Key::new(format!("SHIPMENT#{id}"), "SHIPMENT")
}

fn claim_key(token: &SearchToken) -> Key {
    Key::new(format!("CLAIM#tracking_number#{token}"), "CLAIM")
}

/// A shipment as it is stored.
#[derive(Debug)]
pub struct Stored {
    tenant: TenantId,
    pub(crate) facts: Facts,
    pub(crate) sealed: Sealed<ShipmentPhi>,
}

impl Stored {
    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        let facts = Facts {
            id: row.parse("shipment_id")?,
            status: row.parse("status")?,
            created_by: row.parse("created_by")?,
            assigned_to: row.maybe("assigned_to")?,
            updated_at: row.parse("updated_at")?,
            version: row.version()?,
        };
        let sealed = Sealed::from_bytes(row.bytes("sealed")?.to_vec()).map_err(|_| Error::internal("sealed"))?;
        Ok(Self { tenant: row.tenant()?, facts, sealed })
    }

    /// # Errors
    /// [`Error::NotFound`] where the tenant has no such shipment.
    pub(crate) async fn read(reader: Reader<'_>, id: ShipmentId) -> Result<Self> {
        let row = reader.get(&key(id)).await?.ok_or(Error::NotFound)?;
        Self::from_row(&row)
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

/// What a shipment's PHI becomes at rest.
#[derive(Debug)]
pub(crate) struct AtRest {
    pub(crate) sealed: Sealed<ShipmentPhi>,
    pub(crate) number: SearchToken,
    pub(crate) reference: Option<SearchToken>,
}

/// Stores a new shipment and claims its number.
pub(crate) fn create(changes: &mut Changes, facts: &Facts, at_rest: AtRest) {
    let claim = Item::new(claim_key(&at_rest.number)).text("shipment_id", facts.id);
    changes.create(claim, DUPLICATE);
    changes.create(item(facts, at_rest), Error::internal("shipment id is taken"));
}

/// Stores a shipment over its `before` version.
pub(crate) fn replace(changes: &mut Changes, facts: &Facts, before: Version, at_rest: AtRest) {
    changes.replace(item(facts, at_rest), before);
}

/// Gives a shipment's number up. Goes with the write that voids it, whose version check comes first.
pub(crate) fn free_number(changes: &mut Changes, id: ShipmentId, number: &SearchToken) {
    let own = Condition::Is("shipment_id", id.to_string());
    changes.delete(claim_key(number), own, Error::internal("claim"));
}

fn item(facts: &Facts, at_rest: AtRest) -> Item {
    let Facts { id, status, created_by, assigned_to, updated_at, version } = facts;
    let mut item = Item::new(key(*id))
        .text("shipment_id", id)
        .text("status", status)
        .text("created_by", created_by)
        .maybe("assigned_to", assigned_to.as_ref())
        .text("updated_at", updated_at)
        .version(*version)
        .bytes("sealed", at_rest.sealed.into_bytes())
        .indexed(Index::All, LIST, id)
        .indexed(Index::Status, part(status), id)
        .indexed(Index::Token1, part(at_rest.number), id);
    if let Some(user) = assigned_to {
        item = item.indexed(Index::Assignee, part(user), id).indexed(Index::StatusAssignee, both(*status, *user), id);
    }
    match at_rest.reference {
        Some(token) => item.indexed(Index::Token2, part(token), id),
        None => item,
    }
}

fn part(of: impl std::fmt::Display) -> String {
    format!("{LIST}#{of}")
}

fn both(status: Status, user: UserId) -> String {
    format!("{LIST}#{user}#{status}")
}

/// The query of a list. Every combination of the two filters has an index of its own.
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
/// Ids begin with the millisecond of their making, so a range of time is a range of ids. The query includes its upper end,
/// which is the least id of that millisecond, with 74 random bits all zero: no shipment has it.
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
