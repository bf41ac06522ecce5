use crate::{domain::ShipmentId, endpoints::UpdateShipment};
use common::{request::Permit, store::Event};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ShipmentReturned {
    pub shipment_id: ShipmentId,
}

impl Event for ShipmentReturned {
    const SCHEMA: &'static str = "shipment.returned";
}

#[expect(dead_code, reason = "an example of a handler's line")]
fn handled(cx: &mut Permit<'_, UpdateShipment>, shipment_id: ShipmentId) {
    cx.changes().emit(ShipmentReturned { shipment_id }.into());
}
