//! Shows one shipment.

use crate::{domain::ShipmentId, store::Watch, view::ShipmentView, work};
use common::{
    base::{Error, Need, Result},
    policy::Action,
    request::{Data, Endpoint, Operation, Path, Permit, Route, Sample, Scope},
};

#[derive(Debug)]
pub struct GetShipment;

impl Operation for GetShipment {
    const NAME: &'static str = "get_shipment";
    const SUMMARY: &'static str = "Show a shipment";
    const ROUTE: Route = Route::get("/v1/shipments/{shipment_id}");
    const DATA: Data = Data::Phi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Seal];
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<ShipmentId>;
    type Output = ShipmentView;
}

impl Endpoint for GetShipment {
    const ACTION: Action = Action("viewShipment");
    type Target = Watch;

    async fn target(scope: &Scope<'_, Self>, Path(id): &Self::Input) -> Result<Watch> {
        Watch::read(scope.reader(), *id).await?.ok_or(Error::NotFound)
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(id): Self::Input) -> Result<ShipmentView> {
        cx.log("shipment.id", id);
        let Watch { shipment: stored, poll } = cx.target();
        let shipment = work::open(cx, stored).await?;
        cx.etag(shipment.facts.version);
        Ok(ShipmentView::shown(shipment, cx)?.polled(poll.last_polled_at))
    }
}

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
    async fn contents_are_redacted_unless_for_treatment_or_by_the_sender() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        for (role, purpose, shown) in [
            (Role::Marketer, "HOPERAT", true),
            (Role::TenantAdmin, "HPAYMT", true),
            (Role::Provider, "TREAT", true),
            (Role::Provider, "HPAYMT", false),
            (Role::Viewer, "TREAT", true),
            (Role::Viewer, "HOPERAT", false),
            (Role::ApiUser, "TREAT", true),
            (Role::ApiUser, "HOPERAT", false),
        ] {
            let call = app.as_role(Acme, role).call(endpoint("get_shipment")).path("shipment_id", &id);
            let answer = call.header("X-Purpose-Of-Use", purpose).await;
            assert_eq!(answer.status, 200, "{role}: {}", answer.text);
            assert_eq!(answer.json.get("contents").is_some(), shown, "{role} {purpose}: {}", answer.text);
            let redacted = if shown { json!(null) } else { json!(["contents"]) };
            assert_eq!(answer.json["redacted"], redacted, "{role} {purpose}");
            let event = app.audit(Acme).await.into_iter().rfind(|e| e["type"] == "api.get_shipment").unwrap();
            assert_eq!(event["redacted"], if shown { json!([]) } else { json!(["contents"]) }, "{role} {purpose}");
            let disclosed = event["disclosed"].as_array().unwrap().contains(&json!("contents"));
            assert_eq!(disclosed, shown, "{role} {purpose}: {event}");
        }
    }

    #[tokio::test]
    async fn viewer_gets_the_registered_shipment() {
        let app = App::start().await;
        let new = create(&app, Acme, body(1)).await;
        let id = new.json["shipment_id"].as_str().unwrap();
        let seen = get(&app, Acme, id).await;
        assert_eq!((seen.status, seen.header("etag")), (200, Some("\"1\"")));
        assert_eq!(seen.text, new.text);
        assert_eq!(
            last_audit(&app, Acme).await,
            json!({
                "type": "api.get_shipment",
                "actor": "viewer",
                "action": "viewShipment",
                "resources": [{"type": "Shipment", "id": id}],
                "disclosed": ["tracking_number", "reference", "recipient", "contents"],
                "purpose_of_use": "TREAT",
                "outcome": "success",
                "status": 200,
                "reason": null,
                "changes": [],
            })
        );
        assert_eq!(events(&app, Acme).await.len(), 1);
    }

    #[tokio::test]
    async fn get_of_another_tenants_shipment_answers_like_a_missing_one() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        let missing = format!("shp_{:032x}", 7);
        let (theirs, none, no_id) = (get(&app, Birch, &id).await, get(&app, Birch, &missing).await, get(&app, Birch, "7").await);
        assert_eq!(theirs.status, 404);
        assert_eq!(theirs.without_correlation_id(), none.without_correlation_id());
        assert_eq!(theirs.without_correlation_id(), no_id.without_correlation_id());
        let event = last_audit(&app, Birch).await;
        assert_eq!((&event["outcome"], &event["disclosed"]), (&json!("refused"), &json!([])));
        assert_eq!(audit(&app, Acme).await.len(), 1);
    }

    #[tokio::test]
    async fn get_without_permission_is_404() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        for role in Role::ALL {
            let answer = app.as_role(Acme, role).call(endpoint("get_shipment")).path("shipment_id", &id).await;
            let allowed = matches!(role, Role::Marketer | Role::TenantAdmin | Role::Viewer | Role::Provider | Role::ApiUser);
            assert_eq!(answer.status, if allowed { 200 } else { 404 }, "{role}");
        }
    }

    #[tokio::test]
    async fn get_shipment_makes_three_dynamodb_calls_and_no_kms_call() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        assert_eq!(get(&app, Acme, &id).await.status, 200);
        count_from_here(&app);
        assert_eq!(get(&app, Acme, &id).await.status, 200);
        assert_eq!(app.calls().dynamodb, ["UpdateItem", "Query", "UpdateItem"]);
        assert_eq!(app.calls().kms, [""; 0]);
    }
}
