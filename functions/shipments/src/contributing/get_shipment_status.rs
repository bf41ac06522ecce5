//! Shows where a shipment is, and nothing that is PHI.

use crate::{
    domain::{ShipmentId, Status},
    store::Stored,
};
use common::{
    base::{Need, Result},
    policy::Action,
    request::{Data, Endpoint, Operation, Path, Permit, Route, Sample, Scope},
};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Debug, Serialize, JsonSchema)]
pub struct ShipmentStatus {
    pub shipment_id: ShipmentId,
    pub status: Status,
}

#[derive(Debug)]
pub struct GetShipmentStatus;

impl Operation for GetShipmentStatus {
    const NAME: &'static str = "get_shipment_status";
    const SUMMARY: &'static str = "Show where a shipment is";
    const ROUTE: Route = Route::get("/v1/shipments/{shipment_id}/status");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read];
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<ShipmentId>;
    type Output = ShipmentStatus;
}

impl Endpoint for GetShipmentStatus {
    const ACTION: Action = Action("viewShipmentStatus");
    type Target = Stored;

    async fn target(scope: &Scope<'_, Self>, Path(id): &Self::Input) -> Result<Stored> {
        Stored::read(scope.reader(), *id).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(id): Self::Input) -> Result<ShipmentStatus> {
        let facts = &cx.target().facts;
        cx.etag(facts.version);
        Ok(ShipmentStatus { shipment_id: id, status: facts.status })
    }
}

#[expect(dead_code, reason = "the committed policies do not know the example's action, so it cannot run")]
fn compiled_only() {
    #[cfg(test)]
    mod tests {
        use super::super::fixture::*;
        use common::base::Role;
        use serde_json::json;
        use testing::{
            App,
            Tenant::{Acme, Birch},
        };

        #[tokio::test]
        async fn viewer_sees_the_status_in_its_own_tenant_only() {
            let app = App::start().await;
            let id = created(&app, Acme, body(1)).await;
            let ask = |tenant| app.as_role(tenant, Role::Viewer).call(endpoint("get_shipment_status")).path("shipment_id", &id);
            assert_eq!(ask(Acme).await.json, json!({"shipment_id": id, "status": "UNKNOWN"}));
            assert_eq!(ask(Birch).await.status, 404);
        }
    }
}
