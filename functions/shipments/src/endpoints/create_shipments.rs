//! Registers up to 100 shipments, each by itself: one that is refused does not fail the others.

use crate::{
    domain::{NewShipment, Registration},
    view::ShipmentView,
    work::{self, Shipments},
};
use common::{
    Action, Batch, BatchEndpoint, BatchOutput, Data, Error, FieldError, IdempotencyKey, Json, Need, Operation, Result, Route,
    Sample, Scope, input::FromJson,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use std::{borrow::Cow, fmt};

const MOST: usize = 100;

#[derive(Debug)]
pub struct CreateShipments;

common::input! {
    /// Shipments to register.
    pub struct ShipmentBatch {
        required shipments: Unread,
    }
}

/// Shipments that have not been looked into yet: each is, when its turn comes.
pub struct Unread(Vec<Value>);

impl FromJson for Unread {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        match value {
            Value::Array(items) if (1..=MOST).contains(&items.len()) => Some(Self(items)),
            _ => {
                errors.push(FieldError::new(at, "invalid", format!("expected 1 to {MOST} shipments")));
                None
            }
        }
    }
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unread({} shipments)", self.0.len())
    }
}

impl JsonSchema for Unread {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Unread".into()
    }
    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "array", "items": schemas.subschema_for::<NewShipment>(), "minItems": 1, "maxItems": MOST})
    }
}

impl Operation for CreateShipments {
    const NAME: &'static str = "create_shipments";
    const SUMMARY: &'static str = "Register up to 100 shipments, with a result for each";
    const ROUTE: Route = Route::post("/v1/shipments/batch");
    const DATA: Data = Data::Phi;
    // A batch of a hundred is a hundred transactions: ten ordinary calls.
    const COST: u32 = 10;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search];
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Required;
    const SAMPLE: Sample = Sample::body(
        r#"{
  "shipments": [
    {
      "tracking_number": "1ZCIETST0422222228",
      "reference": "ORDER-2001",
      "recipient": {
        "name": "Bo Sample",
        "address": {"line1": "200 Example Street", "city": "Springfield", "state": "IL", "postal_code": "62701", "country": "US"}
      }
    }
  ]
}"#,
    );
    type Input = Json<ShipmentBatch>;
    type Output = BatchOutput<ShipmentView>;
}

impl BatchEndpoint for CreateShipments {
    const ACTION: Action = Action("createShipments");
    type Target = Shipments;
    type Item = Value;
    type Done = ShipmentView;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<Shipments> {
        Ok(Shipments(scope.tenant()))
    }

    fn items(Json(batch): Self::Input) -> Vec<Value> {
        batch.shipments.0
    }

    async fn handle(cx: &mut Batch<'_, Self>, item: Value) -> Result<ShipmentView> {
        let mut errors = Vec::new();
        match Registration::from_json(item, "", &mut errors) {
            Some(new) if errors.is_empty() => Ok(work::register(cx, new).await?.into()),
            _ => Err(Error::Invalid(errors)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use common::Role;
    use serde_json::{Value, json};
    use testing::{
        App, Call,
        Tenant::{Acme, Birch},
    };

    fn batch<'a>(app: &'a App, role: Role, shipments: Value) -> Call<'a> {
        app.as_role(Acme, role).call(endpoint("create_shipments")).json(json!({"shipments": shipments}))
    }

    /// Status of every item, and the code of its error.
    fn outcomes(answer: &Value) -> Vec<(u64, u64, &str)> {
        let items = answer["items"].as_array().unwrap().iter();
        items
            .map(|i| {
                (i["index"].as_u64().unwrap(), i["status"].as_u64().unwrap(), i["error"]["code"].as_str().unwrap_or_default())
            })
            .collect()
    }

    #[tokio::test]
    async fn one_bad_item_does_not_fail_the_others() {
        let app = App::start().await;
        created(&app, Acme, body(9)).await;
        let mut stranger = body(4);
        stranger["assigned_to"] = json!(app.user_id(Birch, Role::Provider));
        let items = json!([body(1), {"colour": "red"}, body(9), stranger, "a text", body(2)]);
        let answer = batch(&app, Role::Marketer, items).await;

        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!((&answer.json["succeeded"], &answer.json["failed"]), (&json!(2), &json!(4)));
        assert_eq!(
            outcomes(&answer.json),
            [
                (0, 201, ""),
                (1, 422, "validation_failed"),
                (2, 409, "duplicate_tracking_number"),
                (3, 422, "validation_failed"),
                (4, 422, "validation_failed"),
                (5, 201, ""),
            ]
        );
        let missing: Vec<_> =
            answer.json["items"][1]["error"]["errors"].as_array().unwrap().iter().map(|e| &e["field"]).collect();
        assert_eq!(missing, ["tracking_number", "recipient", "colour"]);
        let first = &answer.json["items"][0]["result"];
        assert_eq!(*first, get(&app, Acme, first["shipment_id"].as_str().unwrap()).await.json);

        // Each item has an event of its own, whatever became of it, and each shipment told of itself.
        let log = audit(&app, Acme).await;
        let mut statuses: Vec<_> =
            log.iter().filter(|e| e["type"] == "api.create_shipments").map(|e| e["status"].as_u64().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 201, 409, 422, 422, 422]);
        assert_eq!(events(&app, Acme).await.len(), 3);
        assert_eq!((audit(&app, Birch).await, app.domain_events(Birch).await), (vec![], vec![]));
    }

    #[tokio::test]
    async fn of_two_items_with_one_number_one_is_registered() {
        let app = App::start().await;
        let answer = batch(&app, Role::Marketer, json!([body(1), body(1)])).await;
        assert_eq!((&answer.json["succeeded"], &answer.json["failed"]), (&json!(1), &json!(1)));
        assert_eq!(events(&app, Acme).await.len(), 1);
    }

    #[tokio::test]
    async fn a_repeated_batch_gets_the_first_answer_and_registers_nothing() {
        let app = App::start().await;
        let items = json!([body(1), {"colour": "red"}, body(2)]);
        let first = batch(&app, Role::Marketer, items.clone()).key("key-1").await;
        let again = batch(&app, Role::Marketer, items).key("key-1").await;
        assert_eq!(outcomes(&first.json), [(0, 201, ""), (1, 422, "validation_failed"), (2, 201, "")]);
        assert_eq!(outcomes(&again.json), outcomes(&first.json));
        for i in [0, 2] {
            assert_eq!(again.json["items"][i], first.json["items"][i]);
        }
        assert_eq!(events(&app, Acme).await.len(), 2);

        let other = batch(&app, Role::Marketer, json!([body(3)])).key("key-1").await;
        assert_eq!((other.status, other.code()), (422, "idempotency_mismatch"));
    }

    #[tokio::test]
    async fn a_batch_has_one_to_a_hundred_items() {
        let app = App::start().await;
        let many = vec![json!({}); 101];
        for wrong in [json!([]), json!(many), json!(null), json!({"0": body(1)})] {
            assert_eq!(errors(&batch(&app, Role::Marketer, wrong).await), [("shipments", "invalid")]);
        }
        let all = batch(&app, Role::Marketer, (1..=100).map(body).collect()).await;
        assert_eq!((&all.json["succeeded"], &all.json["failed"]), (&json!(100), &json!(0)), "{}", all.text);
    }

    #[tokio::test]
    async fn only_marketers_tenant_administrators_and_keys_with_the_scope_may_register() {
        let app = App::start().await;
        for role in Role::ALL {
            let answer = batch(&app, role, json!([body(role as u32)])).await;
            let allowed = matches!(role, Role::Marketer | Role::TenantAdmin | Role::ApiUser);
            assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{role}");
        }
        assert_eq!(events(&app, Acme).await.len(), 3);
    }
}
