//! Changes a shipment's reference, recipient, contents or assignee.

use crate::{
    domain::{ShipmentId, ShipmentPatch, ShipmentUpdated},
    store::{self, Stored},
    view::ShipmentView,
    work,
};
use common::{
    base::{Need, Result},
    policy::Action,
    request::{Data, Endpoint, IfMatch, Json, Operation, Path, Permit, Route, Sample, Scope},
};

#[derive(Debug)]
pub struct UpdateShipment;

impl Operation for UpdateShipment {
    const NAME: &'static str = "update_shipment";
    const SUMMARY: &'static str = "Change a shipment's reference, recipient, contents or assignee";
    const ROUTE: Route = Route::patch("/v1/shipments/{shipment_id}");
    const DATA: Data = Data::Phi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search];
    const IF_MATCH: IfMatch = IfMatch::Required;
    const SAMPLE: Sample = Sample::body(r#"{"reference": "ORDER-1002", "contents": "Blood pressure monitor and cuff"}"#);
    type Input = (Path<ShipmentId>, Json<ShipmentPatch>);
    type Output = ShipmentView;
}

impl Endpoint for UpdateShipment {
    const ACTION: Action = Action("updateShipment");
    type Target = Stored;

    async fn target(scope: &Scope<'_, Self>, (Path(id), _): &Self::Input) -> Result<Stored> {
        Stored::read(scope.reader(), *id).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, (Path(id), Json(patch)): Self::Input) -> Result<ShipmentView> {
        cx.log("shipment.id", id);
        let before = cx.target();
        cx.check_version(before.facts.version)?;
        before.facts.may_change()?;
        let mut shipment = work::open(cx, before).await?;
        let changed = shipment.change(patch, cx.now())?;
        if !changed.is_empty() {
            let sealed_shipment = work::seal_for_storage(cx, &shipment, Some(&before.sealed)).await?;
            let changes = cx.changes();
            if changed.contains(&"assigned_to") {
                work::assign(changes, shipment.facts.assigned_to);
            }
            store::update(changes, &shipment.facts, before, sealed_shipment);
            changes.changed(changed.iter().copied());
            changes.emit(ShipmentUpdated::new(&shipment.facts, changed).into());
        }
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
    async fn marketer_changes_a_shipment() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        let provider = app.user_id(Acme, Role::Provider);
        let address = json!({"line1": "2 Sentinel Way", "city": "Reno", "postal_code": "89501", "country": "US"});
        let patch = json!({"reference": "Sentinel Other", "recipient": {"name": "Bo Sentinel", "address": address}, "contents": null, "assigned_to": provider});
        let answer = update(&app, Role::Marketer, &id, 1, patch).await;

        assert_eq!((answer.status, answer.header("etag")), (200, Some("\"2\"")));
        assert_eq!((&answer.json["reference"], &answer.json["contents"]), (&json!("Sentinel Other"), &json!(null)));
        // The recipient is replaced as a whole.
        assert_eq!(
            (&answer.json["recipient"]["name"], &answer.json["recipient"]["phone"]),
            (&json!("Bo Sentinel"), &json!(null))
        );
        assert_eq!((&answer.json["assigned_to"], &answer.json["version"]), (&json!(provider), &json!(2)));
        assert_eq!(
            (&answer.json["created_at"], &answer.json["updated_at"]),
            (&json!("2026-01-01T12:00:00.000Z"), &json!("2026-01-01T12:00:01.000Z"))
        );
        assert_eq!(get(&app, Acme, &id).await.text, answer.text);

        let changed = json!(["reference", "recipient", "contents", "assigned_to"]);
        let log = audit(&app, Acme).await;
        let event = log.iter().find(|e| e["type"] == "api.update_shipment").unwrap();
        assert_eq!(event["changes"], changed);
        assert_eq!(event["resources"], json!([{"type": "Shipment", "id": id}]));
        assert_eq!(event["disclosed"], json!(["tracking_number", "reference", "recipient", "contents"]));
        let payload = json!({"shipment_id": id, "assigned_to": provider, "changed": changed, "version": 2});
        assert_eq!(events(&app, Acme).await[1], ("shipment.updated".to_owned(), payload));
        assert_eq!((audit(&app, Birch).await, app.domain_events(Birch).await), (vec![], vec![]));

        let unassigned = update(&app, Role::Marketer, &id, 2, json!({"assigned_to": null})).await;
        assert_eq!((unassigned.status, &unassigned.json["assigned_to"]), (200, &json!(null)));
    }

    #[tokio::test]
    async fn every_write_seals_all_fields_under_a_new_key() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        let sealed = || async {
            let items = app.dump("RecordsTable").await;
            let item = items.into_iter().find(|i| i.get("shipment_id").is_some() && i.contains_key("sealed")).unwrap();
            item["sealed"].as_b().unwrap().as_ref().to_vec()
        };
        let before = sealed().await;
        assert_eq!(update(&app, Role::Marketer, &id, 1, json!({"contents": "Sentinel bills"})).await.status, 200);
        let after = sealed().await;
        // The length is the same, and no field's bytes are, although only one field has changed.
        assert_eq!(before.len(), after.len());
        let salt = 5..37;
        assert_ne!(before[salt.clone()], after[salt]);
        let same = before.iter().zip(&after).skip(91).filter(|(a, b)| a == b).count();
        assert!(same < before.len() / 4, "{same} of {} bytes are unchanged", before.len());
    }

    #[tokio::test]
    async fn patch_without_changes_writes_nothing() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        for same in [json!({}), json!({"contents": CONTENTS, "assigned_to": null})] {
            let answer = update(&app, Role::Marketer, &id, 1, same).await;
            assert_eq!((answer.status, answer.header("etag")), (200, Some("\"1\"")));
            assert_eq!(last_audit(&app, Acme).await["changes"], json!([]));
        }
        assert_eq!(events(&app, Acme).await.len(), 1);
    }

    #[tokio::test]
    async fn update_with_a_stale_or_missing_version_is_refused() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        assert_eq!(update(&app, Role::Marketer, &id, 1, json!({"reference": "a"})).await.status, 200);
        let stale = update(&app, Role::TenantAdmin, &id, 1, json!({"reference": "b"})).await;
        assert_eq!((stale.status, stale.code()), (412, "precondition_failed"));

        let call = || {
            app.as_role(Acme, Role::Marketer)
                .call(endpoint("update_shipment"))
                .path("shipment_id", &id)
                .json(json!({"reference": "b"}))
        };
        let none = call().await;
        assert_eq!((none.status, none.code()), (428, "precondition_required"));
        assert_eq!(call().header("If-Match", "last week").await.code(), "invalid_if_match");
        assert_eq!(get(&app, Acme, &id).await.json["reference"], "a");
        assert_eq!(events(&app, Acme).await.len(), 2);
    }

    #[tokio::test]
    async fn concurrent_updates_of_one_version_apply_exactly_one() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        let one = update(&app, Role::Marketer, &id, 1, json!({"reference": "a"}));
        let other = update(&app, Role::TenantAdmin, &id, 1, json!({"reference": "b"}));
        let (one, other) = tokio::join!(one, other);
        assert_eq!([one.status.min(other.status), one.status.max(other.status)], [200, 412]);
        assert_eq!(get(&app, Acme, &id).await.json["version"], 2);
    }

    #[tokio::test]
    async fn repeated_key_replays_the_answer_after_the_version_changed() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        let call = || {
            let call = app.as_role(Acme, Role::Marketer).call(endpoint("update_shipment")).path("shipment_id", &id);
            call.if_match(1).key("key-1").json(json!({"reference": "a"}))
        };
        let (first, again) = (call().await, call().await);
        assert_eq!((first.status, again.status), (200, 200));
        assert_eq!((again.text.as_str(), again.header("idempotency-replayed")), (first.text.as_str(), Some("true")));
        assert_eq!(events(&app, Acme).await.len(), 2);
    }

    #[tokio::test]
    async fn update_of_another_tenants_shipment_answers_like_a_missing_one() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        let patch = |id: &str| {
            let call = app.as_role(Birch, Role::Marketer).call(endpoint("update_shipment"));
            call.path("shipment_id", id).if_match(1).json(json!({"reference": "stolen"}))
        };
        let (theirs, none) = (patch(&id).await, patch(&format!("shp_{:032x}", 7)).await);
        assert_eq!(theirs.status, 404);
        assert_eq!(theirs.without_correlation_id(), none.without_correlation_id());
        assert_eq!(get(&app, Acme, &id).await.json["version"], 1);
        assert_eq!(events(&app, Birch).await, []);
    }

    #[tokio::test]
    async fn provider_changes_only_assigned_shipments() {
        let app = App::start().await;
        let mut assigned = body(1);
        assigned["assigned_to"] = json!(app.user_id(Acme, Role::Provider));
        let own = created(&app, Acme, assigned).await;
        let other = created(&app, Acme, body(2)).await;
        assert_eq!(update(&app, Role::Provider, &own, 1, json!({"contents": "x"})).await.status, 200);
        let refused = update(&app, Role::Provider, &other, 1, json!({"contents": "x"})).await;
        assert_eq!((refused.status, refused.code()), (403, "forbidden"));
        assert_eq!(events(&app, Acme).await.len(), 3);
    }

    #[tokio::test]
    async fn update_without_permission_is_403_for_readers_and_404_for_others() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        for (role, status) in [(Role::Viewer, 403), (Role::Analyst, 404), (Role::Auditor, 404), (Role::SuperAdmin, 404)] {
            assert_eq!(update(&app, role, &id, 1, json!({"contents": "x"})).await.status, status, "{role}");
        }
    }

    #[tokio::test]
    async fn shipment_reassigned_to_an_inactive_member_is_refused() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        let stranger = json!({"assigned_to": app.user_id(Birch, Role::Provider), "reference": "a"});
        assert_eq!(errors(&update(&app, Role::Marketer, &id, 1, stranger).await), [("assigned_to", "unknown_member")]);
        assert_eq!(get(&app, Acme, &id).await.json["version"], 1);
        let own = json!({"assigned_to": app.user_id(Acme, Role::Marketer)});
        assert_eq!(update(&app, Role::Marketer, &id, 1, own).await.status, 200);
    }

    #[tokio::test]
    async fn patch_of_any_other_field_is_refused() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        let wrong = json!({"tracking_number": number(2), "status": "DELIVERED", "recipient": {"name": ""}, "assigned_to": 7});
        let answer = update(&app, Role::Marketer, &id, 1, wrong).await;
        assert_eq!(
            errors(&answer),
            [
                ("recipient.name", "invalid"),
                ("recipient.address", "required"),
                ("assigned_to", "invalid"),
                ("status", "unknown_field"),
                ("tracking_number", "unknown_field"),
            ]
        );
        let cleared = update(&app, Role::Marketer, &id, 1, json!({"recipient": null})).await;
        assert_eq!(errors(&cleared), [("recipient", "required")]);
    }

    #[tokio::test]
    async fn update_shipment_makes_three_dynamodb_calls_and_no_kms_call() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        // The first update fetches keys and settings.
        assert_eq!(update(&app, Role::Marketer, &id, 1, json!({"reference": "a"})).await.status, 200);
        count_from_here(&app);
        assert_eq!(update(&app, Role::Marketer, &id, 2, json!({"reference": "b"})).await.status, 200);
        assert_eq!(app.calls().dynamodb, ["UpdateItem", "GetItem", "TransactWriteItems"]);
        assert_eq!(app.calls().kms, [""; 0]);
    }
}
