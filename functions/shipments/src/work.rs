//! The work that the endpoints share, for every kind of permit.

use crate::{
    domain::{Registration, Shipment, ShipmentCreated, ShipmentPhi},
    store::{self, SealedShipment, Stored},
    tracking_number::TrackingNumber,
    view::{ShipmentPage, ShipmentView},
};
use common::{
    base::{Error, Result, TenantId, UserId},
    policy::Resource,
    request::{Endpoint, Limit, Operation, Permit, Work},
    store::{Changes, TableQuery},
};
use phi::{PhiText, Sealed, SearchToken, ShortText};
use std::time::Duration;

/// A new shipment is due for its first poll within this number of milliseconds.
const FIRST_POLL_MS: u64 = 30_000;

/// The collection of a tenant's shipments.
#[derive(Clone, Copy, Debug)]
pub struct Shipments(pub(crate) TenantId);

impl Resource for Shipments {
    const TYPE: &'static str = "Shipments";
    fn id(&self) -> String {
        self.0.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.0)
    }
}

/// Registers a shipment. The caller only has to build the answer.
pub(crate) async fn register<E: Operation>(cx: &mut Work<'_, E>, new: Registration) -> Result<Shipment> {
    let shipment = Shipment::register(new, cx.principal().user(), cx.now());
    cx.touched(Stored::TYPE, shipment.facts.id);
    cx.log("shipment.id", shipment.facts.id);
    let sealed_shipment = seal_for_storage(cx, &shipment, None).await?;
    assign(cx.changes(), shipment.facts.assigned_to);
    // The shipments of a batch are due at slightly different times, so that they are not polled in the same moment.
    let first_poll =
        cx.now().plus(Duration::from_millis(u64::from(u16::from_le_bytes(common::base::random::bytes())) % FIRST_POLL_MS));
    store::create(cx.changes(), &shipment.facts, sealed_shipment, first_poll);
    cx.changes().emit(ShipmentCreated::from(&shipment.facts).into());
    Ok(shipment)
}

/// Shipments are assigned to active members only. The commit checks this, so that the check needs no call of its own.
pub(crate) fn assign(changes: &mut Changes, to: Option<UserId>) {
    if let Some(user) = to {
        changes
            .check_member(user, Error::invalid("assigned_to", "unknown_member", "no active member of this tenant has this id"));
    }
}

/// Seals all of a shipment's PHI under a fresh record key, in place of the record `before` if there is one, and makes its search
/// tokens.
pub(crate) async fn seal_for_storage<E: Operation>(
    cx: &Work<'_, E>,
    shipment: &Shipment,
    before: Option<&Sealed<ShipmentPhi>>,
) -> Result<SealedShipment> {
    let Shipment { facts, phi, .. } = shipment;
    let key = store::key(facts.id);
    let sealed = match before {
        Some(before) => cx.reseal(key.place(), phi, before).await?,
        None => cx.seal(key.place(), phi).await?,
    };
    let number = number_token(cx, &phi.tracking_number).await?;
    let reference = match &phi.reference {
        Some(reference) => Some(reference_token(cx, reference).await?),
        None => None,
    };
    Ok(SealedShipment { sealed, number, reference })
}

pub(crate) async fn number_token<E: Operation>(cx: &Work<'_, E>, number: &TrackingNumber) -> Result<SearchToken> {
    cx.search_token("tracking_number", number.as_str()).await
}

pub(crate) async fn reference_token<E: Operation>(cx: &Work<'_, E>, reference: &ShortText) -> Result<SearchToken> {
    cx.search_token("reference", &reference.normalised()).await
}

/// Every token under which a shipment with this reference may be stored, the current one first. Most texts have one.
pub(crate) async fn reference_tokens<E: Operation>(cx: &Work<'_, E>, reference: &ShortText) -> Result<Vec<SearchToken>> {
    let mut tokens = vec![reference_token(cx, reference).await?];
    let before = cx.search_token("reference", &reference.normalised_v1()).await?;
    if !tokens.contains(&before) {
        tokens.push(before);
    }
    Ok(tokens)
}

pub(crate) async fn open<E: Endpoint>(cx: &Permit<'_, E>, stored: &Stored) -> Result<Shipment> {
    let place = store::key(stored.facts.id);
    let phi = cx.open(place.place(), &stored.sealed).await?;
    let news = match &stored.sealed_news {
        Some(sealed) => Some(cx.open(place.place(), sealed).await?),
        None => None,
    };
    Ok(stored.opened(phi, news))
}

/// One page of shipments; each is recorded in the audit event.
pub(crate) async fn page<E: Endpoint>(
    cx: &Permit<'_, E>,
    query: TableQuery,
    limit: Option<Limit>,
    cursor: Option<&str>,
) -> Result<ShipmentPage> {
    pages(cx, vec![query], limit, cursor).await
}

/// Pages through several lists in sequence. A cursor belongs to one of them; after the end of one list, the page continues with
/// the next.
pub(crate) async fn pages<E: Endpoint>(
    cx: &Permit<'_, E>,
    queries: Vec<TableQuery>,
    limit: Option<Limit>,
    cursor: Option<&str>,
) -> Result<ShipmentPage> {
    let limit = limit.unwrap_or_default().0;
    let (mut cursor, mut next_cursor, last) = (cursor, None, queries.len().saturating_sub(1));
    let mut items = Vec::new();
    for (i, query) in queries.into_iter().enumerate() {
        let left = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(limit));
        let rows = match cx.reader().page(&query.limit(left), cursor).await {
            // It may be a cursor of the next list.
            Err(Error::Invalid(_)) if i < last => continue,
            read => read?,
        };
        cursor = None;
        for row in rows.0 {
            let stored = Stored::from_row(&row)?;
            cx.touched(Stored::TYPE, stored.facts.id);
            items.push(ShipmentView::shown(open(cx, &stored).await?, cx)?);
        }
        next_cursor = rows.1;
        if next_cursor.is_some() {
            break;
        }
    }
    cx.log("shipments.count", items.len());
    Ok(ShipmentPage { items, next_cursor })
}
