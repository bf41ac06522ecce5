//! Requests an immediate poll of the carrier for a shipment. The answer confirms the request; it does not wait for the carrier's
//! reply.

use crate::{
    domain::{RefreshRequested, ShipmentId},
    store::{self, Watch},
};
use common::{
    base::{Error, Need, Result, Timestamp},
    policy::Action,
    request::{Data, Endpoint, Operation, Path, Permit, Route, Sample, Scope},
    store::RateLimit,
};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Debug)]
pub struct RefreshShipment;

/// The carrier will be polled as soon as its limits allow.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Refreshing {
    pub shipment_id: ShipmentId,
    /// The time of the carrier's last answer. Once it has advanced, the shipment shows the new data.
    pub last_carrier_poll_at: Option<Timestamp>,
}

impl Operation for RefreshShipment {
    const NAME: &'static str = "refresh_shipment";
    const SUMMARY: &'static str = "Request an immediate carrier update of a shipment";
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
        // If the shipment is already due, its due time stays, because a message with this due time may be in a queue.
        let due_at = poll.due_at.filter(|at| *at <= now).unwrap_or(now);
        let changes = cx.changes();
        if poll.due_at != Some(due_at) {
            changes.edit(store::due_now(id, due_at), Error::internal("bookkeeping"));
        }
        changes.emit(RefreshRequested { shipment_id: id, due_at }.into());
        Ok(Refreshing { shipment_id: id, last_carrier_poll_at: poll.last_polled_at })
    }
}
