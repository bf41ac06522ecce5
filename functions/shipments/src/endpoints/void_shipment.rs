//! Voids a shipment. This is final, and it frees the tracking number. The carrier is not informed.

use crate::{
    domain::{ShipmentId, ShipmentVoided},
    store::{self, Stored},
    view::ShipmentView,
    work,
};
use common::{
    base::{Error, Need, Result},
    policy::Action,
    request::{Data, Endpoint, IfMatch, Operation, Path, Permit, Route, Sample, Scope},
};

#[derive(Debug)]
pub struct VoidShipment;

impl Operation for VoidShipment {
    const NAME: &'static str = "void_shipment";
    const SUMMARY: &'static str = "Void a shipment and free its tracking number";
    const ROUTE: Route = Route::post("/v1/shipments/{shipment_id}/void");
    const DATA: Data = Data::Phi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search];
    const IF_MATCH: IfMatch = IfMatch::Optional;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<ShipmentId>;
    type Output = ShipmentView;
}

impl Endpoint for VoidShipment {
    const ACTION: Action = Action("voidShipment");
    type Target = Stored;

    async fn target(scope: &Scope<'_, Self>, Path(id): &Self::Input) -> Result<Stored> {
        Stored::read(scope.reader(), *id).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(id): Self::Input) -> Result<ShipmentView> {
        cx.log("shipment.id", id);
        let before = cx.target();
        cx.check_version(before.facts.version)?;
        before.facts.may_be_voided()?;
        let mut shipment = work::open(cx, before).await?;
        shipment.void(cx.now())?;
        let sealed_shipment = work::seal_for_storage(cx, &shipment, Some(&before.sealed)).await?;
        let number = sealed_shipment.number;
        let changes = cx.changes();
        store::update(changes, &shipment.facts, before, sealed_shipment);
        store::free_number(changes, id, &number);
        for edit in store::never_due(id) {
            changes.edit(edit, Error::internal("bookkeeping"));
        }
        changes.changed(["status"]);
        changes.emit(ShipmentVoided::from(&shipment.facts).into());
        cx.etag(shipment.facts.version);
        ShipmentView::shown(shipment, cx)
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
    async fn voided_shipment_is_final_and_its_number_is_free() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        let answer = void(&app, &id).await;
        assert_eq!((answer.status, answer.header("etag")), (200, Some("\"2\"")));
        assert_eq!((&answer.json["status"], &answer.json["version"]), (&json!("VOIDED"), &json!(2)));
        assert_eq!(
            last_audit(&app, Acme).await,
            json!({
                "type": "api.void_shipment",
                "actor": "marketer",
                "action": "voidShipment",
                "resources": [{"type": "Shipment", "id": id}],
                "disclosed": ["tracking_number", "reference", "recipient", "contents"],
                "purpose_of_use": "TREAT",
                "outcome": "success",
                "status": 200,
                "reason": null,
                "changes": ["status"],
            })
        );
        let payload = json!({"shipment_id": id, "assigned_to": null, "version": 2});
        assert_eq!(events(&app, Acme).await[1], ("shipment.voided".to_owned(), payload));
        assert_eq!((audit(&app, Birch).await, app.domain_events(Birch).await), (vec![], vec![]));

        let twice = void(&app, &id).await;
        assert_eq!((twice.status, twice.code()), (409, "already_voided"));
        let changed = update(&app, Role::Marketer, &id, 2, json!({"reference": "a"})).await;
        assert_eq!((changed.status, changed.code()), (409, "shipment_final"));

        // The number is free again, and a search for it finds both shipments.
        let next = created(&app, Acme, body(1)).await;
        assert_eq!(ids(&search(&app, Acme, json!({"tracking_number": number(1)})).await), [next.clone(), id.clone()]);
        // Voiding the old shipment again does not free the number of the new one.
        assert_eq!(void(&app, &id).await.status, 409);
        assert_eq!(create(&app, Acme, body(1)).await.code(), "duplicate_tracking_number");
        assert_eq!(void(&app, &next).await.status, 200);
    }

    #[tokio::test]
    async fn void_checks_the_version_if_one_is_given() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        let call = |version| {
            app.as_role(Acme, Role::TenantAdmin).call(endpoint("void_shipment")).path("shipment_id", &id).if_match(version)
        };
        assert_eq!(call(2).await.code(), "precondition_failed");
        assert_eq!(events(&app, Acme).await.len(), 1);
        assert_eq!(call(1).await.status, 200);
    }

    #[tokio::test]
    async fn repeated_void_with_the_same_key_replays_the_answer() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        let call = || app.as_role(Acme, Role::Marketer).call(endpoint("void_shipment")).path("shipment_id", &id).key("key-1");
        let (first, again) = (call().await, call().await);
        assert_eq!((first.status, again.status, again.text == first.text), (200, 200, true));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(events(&app, Acme).await.len(), 2);
    }

    #[tokio::test]
    async fn void_of_another_tenants_shipment_answers_like_a_missing_one() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        let void_in_birch = |id: &str| app.as_role(Birch, Role::Marketer).call(endpoint("void_shipment")).path("shipment_id", id);
        let (theirs, none) = (void_in_birch(&id).await, void_in_birch(&format!("shp_{:032x}", 7)).await);
        assert_eq!(theirs.status, 404);
        assert_eq!(theirs.without_correlation_id(), none.without_correlation_id());
        assert_eq!(get(&app, Acme, &id).await.json["status"], "UNKNOWN");
    }

    #[tokio::test]
    async fn provider_cannot_void_an_assigned_shipment() {
        let app = App::start().await;
        let mut assigned = body(1);
        assigned["assigned_to"] = json!(app.user_id(Acme, Role::Provider));
        let id = created(&app, Acme, assigned).await;
        for (role, status) in [(Role::Provider, 403), (Role::Viewer, 403), (Role::Analyst, 404), (Role::SuperAdmin, 404)] {
            let answer = app.as_role(Acme, role).call(endpoint("void_shipment")).path("shipment_id", &id).await;
            assert_eq!(answer.status, status, "{role}");
        }
        assert_eq!(events(&app, Acme).await.len(), 1);
    }

    #[tokio::test]
    async fn void_shipment_makes_three_dynamodb_calls_and_no_kms_call() {
        let app = App::start().await;
        let (first, second) = (created(&app, Acme, body(1)).await, created(&app, Acme, body(2)).await);
        let void = |id| app.as_role(Acme, Role::Marketer).call(endpoint("void_shipment")).path("shipment_id", id);
        // The first call fetches keys and settings.
        assert_eq!(void(&first).key("key-1").await.status, 200);
        count_from_here(&app);
        assert_eq!(void(&second).key("key-2").await.status, 200);
        assert_eq!(app.calls().dynamodb, ["UpdateItem", "BatchGetItem", "TransactWriteItems"]);
        assert_eq!(app.calls().kms, [""; 0]);
    }
}
