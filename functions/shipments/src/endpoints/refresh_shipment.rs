//! Has the carrier asked about a shipment now. The answer says that it will be, not what it said.

use crate::{
    domain::{RefreshRequested, ShipmentId},
    store::{self, Watch},
};
use common::{Action, Data, Endpoint, Error, Need, Operation, Path, Permit, RateLimit, Result, Route, Sample, Scope, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Debug)]
pub struct RefreshShipment;

/// The carrier will be asked as soon as it may be.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Refreshing {
    pub shipment_id: ShipmentId,
    /// When the carrier last answered: once this has moved, the shipment shows what it said.
    pub last_carrier_poll_at: Option<Timestamp>,
}

impl Operation for RefreshShipment {
    const NAME: &'static str = "refresh_shipment";
    const SUMMARY: &'static str = "Have the carrier asked about a shipment now";
    const ROUTE: Route = Route::post("/v1/shipments/{shipment_id}/refresh");
    const DATA: Data = Data::Phi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal];
    const LIMIT: RateLimit = RateLimit::API_STRICT;
    const STATUS: u16 = 202;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<ShipmentId>;
    type Output = Refreshing;
}

impl Endpoint for RefreshShipment {
    const ACTION: Action = Action("refreshShipment");
    type Target = Watch;

    async fn target(scope: &Scope<'_, Self>, Path(id): &Self::Input) -> Result<Watch> {
        Watch::read(scope.reader(), *id).await?.ok_or(Error::NotFound)
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(id): Self::Input) -> Result<Refreshing> {
        cx.log("shipment.id", id);
        let Watch { shipment, poll } = cx.target();
        shipment.facts.may_change()?;
        let now = cx.now();
        // What is due already stays due as it is: it may be in a queue.
        let due_at = poll.due_at.filter(|at| *at <= now).unwrap_or(now);
        let changes = cx.changes();
        if poll.due_at != Some(due_at) {
            changes.edit(store::due_now(id, due_at), Error::internal("bookkeeping"));
        }
        changes.emit(RefreshRequested { shipment_id: id, due_at }.into());
        Ok(Refreshing { shipment_id: id, last_carrier_poll_at: poll.last_polled_at })
    }
}
