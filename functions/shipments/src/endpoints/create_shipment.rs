//! Registers a shipment that already has a UPS number.

use crate::{
    domain::Registration,
    view::ShipmentView,
    work::{self, Shipments},
};
use common::{
    base::{Need, Result},
    policy::Action,
    request::{Data, Endpoint, IdempotencyKey, Json, Operation, Permit, Route, Sample, Scope},
};

#[derive(Debug)]
pub struct CreateShipment;

impl Operation for CreateShipment {
    const NAME: &'static str = "create_shipment";
    const SUMMARY: &'static str = "Register a shipment that already has a UPS number";
    const ROUTE: Route = Route::post("/v1/shipments");
    const DATA: Data = Data::Phi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search];
    const STATUS: u16 = 201;
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Required;
    const SAMPLE: Sample = Sample::body(
        r#"{
  "tracking_number": "1ZCIETST0111111114",
  "reference": "ORDER-1001",
  "recipient": {
    "name": "Ada Sample",
    "phone": "+15555550100",
    "email": "ada.sample@patients.example",
    "address": {"line1": "100 Example Street", "city": "Springfield", "state": "IL", "postal_code": "62701", "country": "US"}
  },
  "contents": "Blood pressure monitor"
}"#,
    );
    type Input = Json<Registration>;
    type Output = ShipmentView;
}

impl Endpoint for CreateShipment {
    const ACTION: Action = Action("createShipment");
    type Target = Shipments;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<Shipments> {
        Ok(Shipments(scope.tenant()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Json(new): Self::Input) -> Result<ShipmentView> {
        let shipment = work::register(cx, new).await?;
        cx.etag(shipment.facts.version);
        cx.location(format!("/v1/shipments/{}", shipment.facts.id));
        ShipmentView::shown(shipment, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use common::base::Role;
    use serde_json::{Value, json};
    use testing::{
        App,
        Tenant::{Acme, Birch},
    };

    #[tokio::test]
    async fn marketer_registers_a_shipment() {
        let app = App::start().await;
        let answer = create(&app, Acme, body(1)).await;
        let marketer = app.user_id(Acme, Role::Marketer);
        let id = answer.json["shipment_id"].as_str().unwrap();

        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("etag"), Some("\"1\""));
        assert_eq!(answer.header("location"), Some(format!("/v1/shipments/{id}").as_str()));
        assert_eq!(
            answer.json,
            json!({
                "shipment_id": id,
                "tracking_number": number(1),
                "carrier": "UPS",
                "reference": "Sentinel Order 1",
                "status": "UNKNOWN",
                "status_description": null,
                "eta": null,
                "estimated_delivery": null,
                "last_event": null,
                "last_carrier_poll_at": null,
                "recipient": {
                    "name": NAME,
                    "phone": "+15555550147",
                    "email": "ada.sentinel@patients.example",
                    "address": {"line1": "1 Sentinel Way", "line2": null, "city": "Sentinelville", "state": "NV", "postal_code": "89501", "country": "US"},
                },
                "contents": CONTENTS,
                "created_by": marketer,
                "assigned_to": null,
                "created_at": "2026-01-01T12:00:00.000Z",
                "updated_at": "2026-01-01T12:00:00.000Z",
                "version": 1,
            })
        );
        assert_eq!(
            last_audit(&app, Acme).await,
            json!({
                "type": "api.create_shipment",
                "actor": "marketer",
                "action": "createShipment",
                "resources": [{"type": "Shipment", "id": id}],
                "disclosed": [],
                "purpose_of_use": "TREAT",
                "outcome": "success",
                "status": 201,
                "reason": null,
                "changes": [],
            })
        );
        let payload = json!({"shipment_id": id, "status": "UNKNOWN", "created_by": marketer, "assigned_to": null, "version": 1});
        assert_eq!(events(&app, Acme).await, [("shipment.created".to_owned(), payload)]);
        assert_eq!((audit(&app, Birch).await, app.domain_events(Birch).await), (vec![], vec![]));
    }

    #[tokio::test]
    async fn shipment_with_only_the_required_fields_is_registered() {
        let app = App::start().await;
        let address = json!({"line1": "1 Way", "city": "Reno", "postal_code": "89501", "country": "US"});
        let least = json!({"tracking_number": " 1z ciets t01 1111 1114 ", "recipient": {"name": "Ada", "address": address}});
        let answer = create(&app, Acme, least).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_eq!(answer.json["tracking_number"], "1ZCIETST0111111114");
        assert_eq!((&answer.json["reference"], &answer.json["contents"]), (&json!(null), &json!(null)));
        assert_eq!(answer.json["recipient"]["phone"], json!(null));
    }

    #[tokio::test]
    async fn phone_and_postal_code_are_checked_by_country_of_the_address() {
        let app = App::start().await;
        let sent = |n: u32, phone: &str, postal_code: Value, country: &str| {
            let mut sent = body(n);
            sent["recipient"]["phone"] = json!(phone);
            sent["recipient"]["address"]["postal_code"] = postal_code;
            sent["recipient"]["address"]["state"] = json!(null);
            sent["recipient"]["address"]["country"] = json!(country);
            sent
        };
        let british = create(&app, Acme, sent(1, "+44 (0)20 7946 0958", json!("SW1A 1AA"), "GB")).await;
        assert_eq!(british.json["recipient"]["phone"], "+442079460958", "{}", british.text);
        let in_hong_kong = create(&app, Acme, sent(2, "2345 6789", json!(null), "HK")).await;
        assert_eq!(in_hong_kong.json["recipient"]["phone"], "+85223456789", "{}", in_hong_kong.text);
        assert_eq!(in_hong_kong.json["recipient"]["address"]["postal_code"], json!(null));
        let shown = get(&app, Acme, in_hong_kong.json["shipment_id"].as_str().unwrap()).await;
        assert_eq!(shown.text, in_hong_kong.text);
        let wrong = create(&app, Acme, sent(3, "+0000000", json!(null), "US")).await;
        assert_eq!(errors(&wrong), [("recipient.address.postal_code", "required"), ("recipient.phone", "invalid")]);
        let id = british.json["shipment_id"].as_str().unwrap();
        let patch = json!({"recipient": sent(1, "020 7946 0958", json!("94016"), "GB")["recipient"]});
        assert_eq!(errors(&update(&app, Role::Marketer, id, 1, patch).await), [("recipient.address.postal_code", "invalid")]);
    }

    #[tokio::test]
    async fn stored_and_logged_data_contains_no_phi() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        assert_eq!(get(&app, Acme, &id).await.status, 200);
        assert_eq!(update(&app, Role::Marketer, &id, 1, json!({"reference": "Sentinel Other"})).await.status, 200);
        assert_eq!(search(&app, Acme, json!({"tracking_number": number(1)})).await.json["items"].as_array().unwrap().len(), 1);
        assert_eq!(create(&app, Acme, body(1)).await.status, 409);
        assert_eq!(void(&app, &id).await.status, 200);

        let kept = everything_kept(&app).await.to_lowercase();
        assert!(kept.contains(&id), "the text contains the tables' rows");
        for phi in ["sentinel", "15555550147", "555 0147", "89501", &number(1).to_lowercase()] {
            assert!(!kept.contains(phi), "`{phi}` is kept in the clear");
        }
    }

    #[tokio::test]
    async fn tracking_number_is_unique_within_a_tenant_only() {
        let app = App::start().await;
        created(&app, Acme, body(1)).await;
        let mut other_spelling = body(1);
        other_spelling["tracking_number"] = number(1).to_lowercase().into();
        let twice = create(&app, Acme, other_spelling).await;
        assert_eq!((twice.status, twice.code()), (409, "duplicate_tracking_number"));
        let event = last_audit(&app, Acme).await;
        assert_eq!((&event["outcome"], &event["reason"]), (&json!("refused"), &json!("duplicate_tracking_number")));
        assert_eq!(events(&app, Acme).await.len(), 1);

        created(&app, Birch, body(1)).await;
        assert_eq!((events(&app, Acme).await.len(), events(&app, Birch).await.len()), (1, 1));
    }

    #[tokio::test]
    async fn concurrent_registrations_of_a_number_create_one_shipment() {
        let app = App::start().await;
        let (marketer, admin) = (app.as_role(Acme, Role::Marketer), app.as_role(Acme, Role::TenantAdmin));
        let calls = [&marketer, &admin].map(|who| who.call(endpoint("create_shipment")).json(body(1)));
        let [a, b] = calls.map(|call| async move { call.await.status });
        let (a, b) = tokio::join!(a, b);
        assert_eq!([a.min(b), a.max(b)], [201, 409]);
        assert_eq!(events(&app, Acme).await.len(), 1);
    }

    #[tokio::test]
    async fn repeated_idempotency_key_replays_the_answer_without_a_second_shipment() {
        let app = App::start().await;
        let call = || app.as_role(Acme, Role::Marketer).call(endpoint("create_shipment")).key("key-1");
        let first = call().json(body(1)).await;
        let again = call().json(body(1)).await;
        assert_eq!((first.status, first.header("idempotency-replayed")), (201, None));
        assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")));
        assert_eq!(again.text, first.text);
        assert_eq!((again.header("etag"), again.header("location")), (first.header("etag"), first.header("location")));
        assert_eq!((events(&app, Acme).await.len(), audit(&app, Acme).await.len()), (1, 2));

        let other = call().json(body(2)).await;
        assert_eq!((other.status, other.code()), (422, "idempotency_mismatch"));
        // An idempotency key belongs to its caller: in another tenant, or from another caller, it is another key.
        let birch = app.as_role(Birch, Role::Marketer).call(endpoint("create_shipment")).key("key-1").json(body(1)).await;
        let admin = app.as_role(Acme, Role::TenantAdmin).call(endpoint("create_shipment")).key("key-1").json(body(2)).await;
        assert_eq!((birch.status, admin.status), (201, 201));
        assert!(birch.header("idempotency-replayed").is_none() && admin.header("idempotency-replayed").is_none());
    }

    #[tokio::test]
    async fn create_without_idempotency_key_is_refused() {
        let app = App::start().await;
        let call = app.as_role(Acme, Role::Marketer).call(endpoint("create_shipment")).without("Idempotency-Key");
        let answer = call.json(body(1)).await;
        assert_eq!((answer.status, answer.code()), (400, "idempotency_key_required"));
        assert_eq!(events(&app, Acme).await, []);
    }

    #[tokio::test]
    async fn wrong_check_digit_is_registered_only_with_accept_tracking_number() {
        let app = App::start().await;
        let mut doubtful = body(1);
        doubtful["tracking_number"] = json!("1Z1234567891234551");
        assert_eq!(errors(&create(&app, Acme, doubtful.clone()).await), [("tracking_number", "bad_check_digit")]);
        doubtful["accept_tracking_number"] = json!(true);
        let answer = create(&app, Acme, doubtful.clone()).await;
        assert_eq!((answer.status, &answer.json["tracking_number"]), (201, &json!("1Z1234567891234551")));
        // The number is stored and read back unchanged.
        assert_eq!(get(&app, Acme, answer.json["shipment_id"].as_str().unwrap()).await.text, answer.text);

        doubtful["tracking_number"] = json!("9400111899223197428490");
        assert_eq!(errors(&create(&app, Acme, doubtful).await), [("tracking_number", "not_ups")]);
    }

    #[tokio::test]
    async fn all_input_errors_are_reported_together() {
        let app = App::start().await;
        let wrong = json!({
            "tracking_number": "1Z1234567891234551",
            "reference": 7,
            "recipient": {"phone": "call me", "address": {"line1": "", "city": "Reno", "postal_code": "89501", "country": "Utopia", "planet": "Earth"}},
            "assigned_to": "somebody",
            "colour": "red",
        });
        let answer = create(&app, Acme, wrong).await;
        let mut found = errors(&answer);
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("assigned_to", "invalid"),
                ("colour", "unknown_field"),
                ("recipient.address.country", "invalid"),
                ("recipient.address.line1", "invalid"),
                ("recipient.address.planet", "unknown_field"),
                ("recipient.name", "required"),
                ("recipient.phone", "invalid"),
                ("reference", "invalid"),
                ("tracking_number", "bad_check_digit"),
            ]
        );
        assert_eq!(last_audit(&app, Acme).await["reason"], "validation_failed");
        assert_eq!(events(&app, Acme).await, []);
    }

    #[tokio::test]
    async fn create_is_permitted_only_to_marketer_tenant_admin_and_scoped_key() {
        let app = App::start().await;
        for role in Role::ALL {
            let answer = app.as_role(Acme, role).call(endpoint("create_shipment")).json(body(role as u32)).await;
            let allowed = matches!(role, Role::Marketer | Role::TenantAdmin | Role::ApiUser);
            assert_eq!(answer.status, if allowed { 201 } else { 403 }, "{role}");
        }
        assert_eq!(events(&app, Acme).await.len(), 3);
    }

    #[tokio::test]
    async fn shipment_created_for_an_inactive_assignee_is_refused() {
        let app = App::start().await;
        let mut new = body(1);
        for stranger in [app.user_id(Birch, Role::Provider).to_string(), format!("usr_{:032x}", 7)] {
            new["assigned_to"] = stranger.into();
            assert_eq!(errors(&create(&app, Acme, new.clone()).await), [("assigned_to", "unknown_member")]);
        }
        assert_eq!((events(&app, Acme).await, audit(&app, Birch).await), (vec![], vec![]));
        // The caller can assign it to a colleague or to themselves.
        for (n, role) in [(1, Role::Provider), (2, Role::Marketer)] {
            let mut new = body(n);
            new["assigned_to"] = json!(app.user_id(Acme, role));
            let answer = create(&app, Acme, new.clone()).await;
            assert_eq!((answer.status, &answer.json["assigned_to"]), (201, &new["assigned_to"]));
        }
    }

    #[tokio::test]
    async fn create_shipment_makes_two_dynamodb_calls_and_no_kms_call() {
        let app = App::start().await;
        created(&app, Acme, body(1)).await;
        count_from_here(&app);
        let mut assigned = body(2);
        assigned["assigned_to"] = json!(app.user_id(Acme, Role::Provider));
        created(&app, Acme, assigned).await;
        let calls = app.calls();
        assert_eq!(calls.dynamodb, ["UpdateItem", "TransactWriteItems"]);
        assert_eq!(calls.kms, [""; 0]);
    }
}
