//! Registers up to 100 shipments, each independently: a refused one does not fail the others.

use crate::{
    domain::{NewShipment, Registration},
    view::ShipmentView,
    work::{self, Shipments},
};
use common::{
    base::{FieldError, Need, Result},
    policy::Action,
    request::{
        Batch, BatchEndpoint, BatchOutput, Data, IdempotencyKey, Json, Operation, Route, Sample, Scope,
        input::{self, FromJson},
    },
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

/// Shipments that have not been parsed yet. Each is parsed when its turn comes.
pub struct Unread(Vec<Value>);

impl FromJson for Unread {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        match value {
            Value::Array(items) if (1..=MOST).contains(&items.len()) => return Some(Self(items)),
            Value::Array(_) => errors.push(FieldError::new(at, "invalid", format!("expected 1 to {MOST} shipments"))),
            other => errors.push(input::mistyped(at, "an array", &other)),
        }
        None
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
    // A batch of a hundred is a hundred transactions. It costs as much as ten ordinary calls.
    const COST: u32 = 10;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search];
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Required;
    /// A hundred shipments of the maximum length are two million bytes if JSON writes every character in twelve bytes (an escaped
    /// surrogate pair). Some clients escape all characters that are not ASCII.
    const BODY_LIMIT: usize = 2 * 1024 * 1024;
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
        let new: Registration = input::from_value(item)?;
        let shipment = work::register(cx, new).await?;
        ShipmentView::shown(shipment, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use common::base::Role;
    use serde_json::{Value, json};
    use testing::{
        App, Call,
        Tenant::{Acme, Birch},
    };

    fn batch<'a>(app: &'a App, role: Role, shipments: Value) -> Call<'a> {
        app.as_role(Acme, role).call(endpoint("create_shipments")).json(json!({"shipments": shipments}))
    }

    /// The status of every item, and the code of its error.
    fn outcomes(answer: &Value) -> Vec<(u64, u64, &str)> {
        let items = answer["items"].as_array().unwrap().iter();
        items
            .map(|i| {
                (i["index"].as_u64().unwrap(), i["status"].as_u64().unwrap(), i["error"]["code"].as_str().unwrap_or_default())
            })
            .collect()
    }

    #[tokio::test]
    async fn batch_with_one_bad_item_registers_the_others() {
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

        // Each item has its own audit event, whether it succeeded or not, and each shipment has its own domain event.
        let log = audit(&app, Acme).await;
        let mut statuses: Vec<_> =
            log.iter().filter(|e| e["type"] == "api.create_shipments").map(|e| e["status"].as_u64().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 201, 409, 422, 422, 422]);
        assert_eq!(events(&app, Acme).await.len(), 3);
        assert_eq!((audit(&app, Birch).await, app.domain_events(Birch).await), (vec![], vec![]));
    }

    #[tokio::test]
    async fn batch_with_a_repeated_number_registers_it_once() {
        let app = App::start().await;
        let answer = batch(&app, Role::Marketer, json!([body(1), body(1)])).await;
        assert_eq!((&answer.json["succeeded"], &answer.json["failed"]), (&json!(1), &json!(1)));
        assert_eq!(events(&app, Acme).await.len(), 1);
    }

    #[tokio::test]
    async fn repeated_batch_replays_the_answer_and_registers_nothing() {
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
    async fn batch_of_zero_or_over_a_hundred_items_is_refused() {
        let app = App::start().await;
        let many = vec![json!({}); 101];
        for wrong in [json!([]), json!(many), json!(null), json!({"0": body(1)})] {
            assert_eq!(errors(&batch(&app, Role::Marketer, wrong).await), [("shipments", "invalid")]);
        }
        let all = batch(&app, Role::Marketer, (1..=100).map(body).collect()).await;
        assert_eq!((&all.json["succeeded"], &all.json["failed"]), (&json!(100), &json!(0)), "{}", all.text);
    }

    /// Every field has its maximum length, and the body escapes all characters that are not ASCII, as some clients do.
    #[tokio::test]
    async fn batch_of_a_hundred_items_of_the_greatest_length_is_registered_and_no_more_is_read() {
        let app = App::start().await;
        // Mathematical capitals: one character each, four bytes in UTF-8, twelve as an escaped surrogate pair.
        let long = |length| "\u{1d49c}".repeat(length);
        let email = format!("{}@{}.{}.{}.example", "a".repeat(64), "b".repeat(63), "c".repeat(63), "d".repeat(53));
        let item = |n: u32| {
            json!({
                "tracking_number": number(n).chars().flat_map(|c| [c, ' ']).chain([' '; 28]).collect::<String>(),
                "accept_tracking_number": false,
                "reference": long(100),
                "recipient": {
                    "name": long(200), "phone": "+1 555 555 0147", "email": email,
                    "address": {
                        "line1": long(100), "line2": long(100), "city": long(100), "state": long(100),
                        "postal_code": "89501-1234", "country": "US",
                    },
                },
                "contents": long(500),
                "assigned_to": app.user_id(Acme, Role::Provider),
            })
        };
        assert_eq!(email.len(), 254);
        let written = json!({"shipments": (1..=100).map(item).collect::<Vec<_>>()}).to_string();
        let escaped = written.replace('\u{1d49c}', r"\ud835\udc9c");
        let endpoint = endpoint("create_shipments");
        assert!(escaped.len() > 1_500_000 && escaped.len() < endpoint.body_limit, "{} bytes", escaped.len());
        let send =
            |body: String| app.as_role(Acme, Role::Marketer).call(endpoint).header("Content-Type", "application/json").body(body);
        let answer = send(escaped.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!((&answer.json["succeeded"], &answer.json["failed"]), (&json!(100), &json!(0)), "{}", answer.json["items"][0]);
        assert_eq!(events(&app, Birch).await, []);
        // White space fills the body up to the limit; one more byte is too much.
        let filled = |length| format!("{escaped}{}", " ".repeat(length - escaped.len()));
        assert_eq!(send(filled(endpoint.body_limit)).await.status, 200);
        let over = send(filled(endpoint.body_limit + 1)).await;
        assert_eq!((over.status, over.code()), (413, "payload_too_large"));
    }

    #[tokio::test]
    async fn wrong_value_within_an_item_is_named_by_its_path_in_the_item_and_fails_no_other() {
        let app = App::start().await;
        let with = |n, pointer: &str, value: Value| {
            let mut item = body(n);
            *item.pointer_mut(pointer).unwrap() = value;
            item
        };
        let items = json!([
            body(1),
            with(2, "/recipient/address/postal_code", json!({"code": 89501})),
            with(3, "/recipient/address", json!("1 Sentinel Way")),
            with(4, "/recipient/name", json!("Ada\u{fffd}")),
            with(5, "/tracking_number", json!(5)),
        ]);
        let answer = batch(&app, Role::Marketer, items).await;
        let of = |i: usize| answer.json["items"][i]["error"]["errors"][0].clone();
        let fields: Vec<_> = (1..5).map(|i| of(i)["field"].clone()).collect();
        assert_eq!(fields, ["recipient.address.postal_code", "recipient.address", "recipient.name", "tracking_number"]);
        assert_eq!(of(2)["message"], "expected an object, got a string");
        assert_eq!((&answer.json["succeeded"], &answer.json["failed"]), (&json!(1), &json!(4)));
    }

    #[tokio::test]
    async fn batch_is_permitted_only_to_marketer_tenant_admin_and_scoped_key() {
        let app = App::start().await;
        for role in Role::ALL {
            let answer = batch(&app, role, json!([body(role as u32)])).await;
            let allowed = matches!(role, Role::Marketer | Role::TenantAdmin | Role::ApiUser);
            assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{role}");
        }
        assert_eq!(events(&app, Acme).await.len(), 3);
    }
}
