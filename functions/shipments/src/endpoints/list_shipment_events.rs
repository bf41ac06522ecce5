//! Lists the tracking events of a shipment, newest first.

use crate::{
    domain::{Location, ScanPhi, ShipmentId, Status},
    store::{self, Stored, StoredEvent},
};
use common::{
    base::{Need, Result, Timestamp},
    policy::Action,
    request::{Data, Endpoint, Limit, Operation, Path, Permit, Query, Route, Sample, Scope},
};
use phi::{Disclosed, LongText, PhiValue};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Debug)]
pub struct ListShipmentEvents;

common::input! {
    /// The part of the list to return.
    pub struct EventFilters {
        optional limit: Limit,
        optional cursor: String,
    }
}

/// An event of a parcel, as the carrier reported it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShipmentEvent {
    /// Null if the carrier does not give the time zone.
    pub occurred_at: Option<Timestamp>,
    /// The date or time at that place, if the carrier does not give the time zone.
    pub local_time: Option<String>,
    /// `UNKNOWN` if the carrier's type and code are not in our table.
    pub status: Status,
    /// The carrier's own type, such as `I`.
    pub carrier_type: String,
    /// The carrier's own code, such as `021`.
    pub carrier_code: String,
    /// The carrier's own description.
    pub description: Disclosed<Option<LongText>>,
    /// The town; never an address.
    pub location: Disclosed<Option<Location>>,
}

/// One page of a shipment's events, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventPage {
    pub items: Vec<ShipmentEvent>,
    /// The cursor of the next page; null if there is none.
    pub next_cursor: Option<String>,
}

impl Operation for ListShipmentEvents {
    const NAME: &'static str = "list_shipment_events";
    const SUMMARY: &'static str = "List the tracking events of a shipment, newest first";
    const ROUTE: Route = Route::get("/v1/shipments/{shipment_id}/events");
    const DATA: Data = Data::Phi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Seal, Need::Search];
    const SAMPLE: Sample = Sample::query(&[("limit", "10")]);
    type Input = (Path<ShipmentId>, Query<EventFilters>);
    type Output = EventPage;
}

impl Endpoint for ListShipmentEvents {
    const ACTION: Action = Action("listShipmentEvents");
    type Target = Stored;

    async fn target(scope: &Scope<'_, Self>, (Path(id), _): &Self::Input) -> Result<Stored> {
        Stored::read(scope.reader(), *id).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, (Path(id), Query(filters)): Self::Input) -> Result<EventPage> {
        cx.log("shipment.id", id);
        let query = store::events(id).limit(filters.limit.unwrap_or_default().0);
        let (rows, next_cursor) = cx.reader().page(&query, filters.cursor.as_deref()).await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            let StoredEvent { place, occurred_at, local_time, status, kind, code, sealed } = StoredEvent::from_row(&row)?;
            let ScanPhi { description, location } = cx.open(&place, &sealed).await?;
            items.push(ShipmentEvent {
                occurred_at,
                local_time,
                status,
                carrier_type: kind,
                carrier_code: code,
                description: description.disclose(),
                location: location.disclose(),
            });
        }
        cx.log("events.count", items.len());
        Ok(EventPage { items, next_cursor })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::polling::fixture::*;
    use common::base::Role;
    use serde_json::json;
    use testing::Tenant::{Acme, Birch};

    #[tokio::test(flavor = "multi_thread")]
    async fn events_are_listed_only_for_callers_who_may_see_the_shipment() {
        let world = world().await;
        let id = world.shipment(Acme, 1).await;
        let list = |tenant, role| world.app.as_role(tenant, role).call(endpoint("list_shipment_events")).path("shipment_id", &id);
        assert_eq!(list(Acme, Role::Viewer).await.json, json!({"items": [], "next_cursor": null}));
        world.round().await;
        for role in Role::ALL {
            let answer = list(Acme, role).await;
            let allowed = matches!(role, Role::Marketer | Role::TenantAdmin | Role::Viewer | Role::Provider | Role::ApiUser);
            assert_eq!(answer.status, if allowed { 200 } else { 404 }, "{role}");
            assert_eq!(answer.json["items"].as_array().map(Vec::len), allowed.then_some(1), "{role}");
        }
        assert_eq!(list(Birch, Role::TenantAdmin).await.status, 404);
        assert_eq!(list(Acme, Role::Viewer).without("X-Purpose-Of-Use").await.code(), "purpose_of_use_required");
        assert_eq!(errors(&list(Acme, Role::Viewer).query("colour", "red").await), [("colour", "unknown_field")]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn cursor_of_another_shipment_is_refused() {
        let world = world().await;
        let (one, two) = (world.shipment(Acme, 1).await, world.shipment(Acme, 2).await);
        for n in [1, 2] {
            world.scan(n, "PICKED_UP");
        }
        world.round().await;
        let page = |id: &str| {
            world.app.as_role(Acme, Role::Viewer).call(endpoint("list_shipment_events")).path("shipment_id", id).query("limit", 1)
        };
        let first = page(&one).await;
        let cursor = first.json["next_cursor"].as_str().unwrap().to_owned();
        let next = page(&one).query("cursor", &cursor).await;
        assert_eq!(
            (&first.json["items"][0]["status"], &next.json["items"][0]["status"]),
            (&json!("PICKED_UP"), &json!("LABEL_CREATED"))
        );
        assert_eq!(page(&two).query("cursor", &cursor).await.status, 422);
    }
}
