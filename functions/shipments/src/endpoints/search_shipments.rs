//! Finds shipments by tracking number or by reference. It is a POST, so that neither appears in a URL.

use crate::{
    domain::GivenNumber,
    store,
    view::ShipmentPage,
    work::{self, Shipments},
};
use common::{
    base::{Error, Need, Result},
    policy::Action,
    request::{Data, Endpoint, IdempotencyKey, Json, Operation, PageSize, Permit, Route, Sample, Scope},
};
use phi::ShortText;

#[derive(Debug)]
pub struct SearchShipments;

common::input! {
    /// The search term: a tracking number or a reference. Voided shipments are found, too.
    pub struct ShipmentSearch {
        /// White space and letter case are ignored.
        optional tracking_number: GivenNumber,
        /// The whole reference. Letter case, the number of spaces, and Unicode composition and width are ignored.
        optional reference: ShortText,
        optional limit: PageSize,
        optional cursor: String,
    }
}

impl Operation for SearchShipments {
    const NAME: &'static str = "search_shipments";
    const SUMMARY: &'static str = "Find shipments by tracking number or by reference";
    const ROUTE: Route = Route::post("/v1/shipments/search");
    const DATA: Data = Data::Phi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Seal, Need::Search];
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    const SAMPLE: Sample = Sample::body(r#"{"tracking_number": "1ZCIETST0111111114"}"#);
    type Input = Json<ShipmentSearch>;
    type Output = ShipmentPage;
}

impl Endpoint for SearchShipments {
    const ACTION: Action = Action("searchShipments");
    type Target = Shipments;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<Shipments> {
        Ok(Shipments(scope.tenant()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Json(search): Self::Input) -> Result<ShipmentPage> {
        let queries = match (search.tracking_number, search.reference) {
            (Some(GivenNumber(number)), None) => vec![store::with_number(work::number_token(cx, &number).await?)],
            (None, Some(reference)) => {
                work::reference_tokens(cx, &reference).await?.into_iter().map(store::with_reference).collect()
            }
            _ => {
                return Err(Error::invalid(
                    "tracking_number",
                    "filter_combination",
                    "send either `tracking_number` or `reference`",
                ));
            }
        };
        work::pages(cx, queries, search.limit.map(|PageSize(limit)| limit), search.cursor.as_deref()).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use aws_sdk_dynamodb::types::AttributeValue;
    use common::base::Role;
    use serde_json::{Value, json};
    use testing::{
        App,
        Tenant::{Acme, Birch},
    };

    #[tokio::test]
    async fn shipment_is_found_by_number_and_by_reference() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        created(&app, Acme, body(2)).await;
        created(&app, Birch, body(1)).await;

        let spaced = format!(" {} {}", &number(1)[..5].to_lowercase(), &number(1)[5..]);
        for found in [
            json!({"tracking_number": number(1)}),
            json!({"tracking_number": spaced}),
            json!({"reference": " sentinel  ORDER 1 "}),
        ] {
            let page = search(&app, Acme, found).await;
            assert_eq!(ids(&page), [id.as_str()]);
            assert_eq!(page.json["items"][0], get(&app, Acme, &id).await.json);
        }
        for not_found in
            [json!({"tracking_number": number(3)}), json!({"reference": "Sentinel Order"}), json!({"reference": number(1)})]
        {
            assert_eq!(ids(&search(&app, Acme, not_found).await), [""; 0]);
        }
    }

    #[tokio::test]
    async fn search_audits_the_found_shipments_and_not_the_search_term() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        search(&app, Acme, json!({"reference": "Sentinel Order 1"})).await;
        assert_eq!(
            last_audit(&app, Acme).await,
            json!({
                "type": "api.search_shipments",
                "actor": "viewer",
                "action": "searchShipments",
                "resources": [{"type": "Shipment", "id": id}],
                "disclosed": ["tracking_number", "reference", "recipient", "contents"],
                "purpose_of_use": "TREAT",
                "outcome": "success",
                "status": 200,
                "reason": null,
                "changes": [],
            })
        );
        assert_eq!(ids(&search(&app, Birch, json!({"reference": "Sentinel Order 1"})).await), [""; 0]);
        let theirs = last_audit(&app, Birch).await;
        assert_eq!((&theirs["resources"], &theirs["disclosed"]), (&json!([]), &json!([])));
    }

    #[tokio::test]
    async fn changed_reference_is_found_and_the_old_one_is_not() {
        let app = App::start().await;
        let id = created(&app, Acme, body(1)).await;
        assert_eq!(update(&app, Role::Marketer, &id, 1, json!({"reference": "Sentinel Other"})).await.status, 200);
        assert_eq!(ids(&search(&app, Acme, json!({"reference": "Sentinel Order 1"})).await), [""; 0]);
        assert_eq!(ids(&search(&app, Acme, json!({"reference": "Sentinel Other"})).await), [id.as_str()]);
        assert_eq!(ids(&search(&app, Acme, json!({"tracking_number": number(1)})).await), [id.as_str()]);

        assert_eq!(update(&app, Role::Marketer, &id, 2, json!({"reference": null})).await.status, 200);
        assert_eq!(ids(&search(&app, Acme, json!({"reference": "Sentinel Other"})).await), [""; 0]);
    }

    #[tokio::test]
    async fn search_without_exactly_one_field_is_refused() {
        let app = App::start().await;
        for wrong in [json!({}), json!({"tracking_number": number(1), "reference": "x"}), json!({"limit": 5})] {
            let answer = search(&app, Acme, wrong).await;
            assert_eq!((answer.status, answer.code()), (422, "filter_combination"));
        }
        assert_eq!(errors(&search(&app, Acme, json!({"tracking_number": "12"})).await), [("tracking_number", "not_ups")]);
        assert_eq!(errors(&search(&app, Acme, json!({"reference": "x", "name": "Ada"})).await), [("name", "unknown_field")]);
    }

    #[tokio::test]
    async fn shipments_with_the_same_reference_are_found_page_by_page() {
        let app = App::start().await;
        let mut expected = Vec::new();
        for n in 1..=3 {
            let mut new = body(n);
            new["reference"] = json!("Shared");
            expected.insert(0, created(&app, Acme, new).await);
        }
        let first = search(&app, Acme, json!({"reference": "shared", "limit": 2})).await;
        let cursor = &first.json["next_cursor"];
        let second = search(&app, Acme, json!({"reference": "SHARED", "limit": 2, "cursor": cursor})).await;
        assert_eq!([ids(&first), ids(&second)].concat(), expected);
        assert_eq!(second.json["next_cursor"], json!(null));
        let other = search(&app, Acme, json!({"reference": "other", "limit": 2, "cursor": cursor})).await;
        assert_eq!(errors(&other), [("cursor", "invalid_cursor")]);
    }

    /// The partition of a query.
    fn partition(query: &Value) -> String {
        let values = query["ExpressionAttributeValues"].as_object().unwrap().values();
        values.filter_map(|value| value["S"].as_str()).find(|text| text.contains("SHIPMENTS#")).unwrap().to_owned()
    }

    /// Moves a shipment in the index by reference to the key that earlier versions wrote.
    async fn index_as_before(app: &App, id: &str, new: &str, old: &str) {
        let row = app
            .dump("RecordsTable")
            .await
            .into_iter()
            .find(|row| row["pk"].as_s().unwrap().ends_with(id) && row["sk"].as_s().unwrap() == "SHIPMENT");
        let row = row.unwrap();
        let (index, _) = row.iter().find(|(_, value)| value.as_s().is_ok_and(|text| text == new)).unwrap();
        let update = app.raw().update_item().table_name(&app.provisioned().tables["RecordsTable"]);
        let update = update.key("pk", row["pk"].clone()).key("sk", row["sk"].clone());
        let update = update.update_expression("SET #index = :old").expression_attribute_names("#index", index);
        update.expression_attribute_values(":old", AttributeValue::S(old.to_owned())).send().await.unwrap();
    }

    #[tokio::test]
    async fn search_ignores_case_and_composition_and_finds_old_tokens() {
        let app = App::start().await;
        let mut made = Vec::new();
        for (n, reference) in [(1, "Straße 7"), (2, "STRASSE\u{3000}7"), (3, "strasse 7"), (4, "Strasse 8")] {
            let mut new = body(n);
            new["reference"] = json!(reference);
            made.insert(0, created(&app, Acme, new.clone()).await);
            created(&app, Birch, new).await;
        }
        let same = &made[1..];
        for sought in ["Straße 7", "STRASSE 7", "strasse  7", "ＳＴＲＡẞＥ 7"] {
            assert_eq!(ids(&search(&app, Acme, json!({"reference": sought})).await), same, "{sought}");
        }
        // The first was stored under the old token, when `straße` was a different text.
        search(&app, Acme, json!({"reference": "Straße 7"})).await;
        let asked = app.wire().asked("Query");
        let [.., new, old] = &asked[..] else { panic!("{asked:?}") };
        let (new, old) = (partition(new), partition(old));
        assert_ne!(new, old);
        index_as_before(&app, &made[3], &new, &old).await;
        assert_eq!(ids(&search(&app, Acme, json!({"reference": "STRASSE 7"})).await), made[1..3]);
        assert_eq!(ids(&search(&app, Acme, json!({"reference": "straße 7"})).await), made[1..]);
        // Page by page, with pages of every size.
        for limit in 1..=4 {
            let (mut found, mut cursor) = (Vec::new(), json!(null));
            for _ in 0..6 {
                let page = search(&app, Acme, json!({"reference": "STRAßE 7", "limit": limit, "cursor": cursor})).await;
                assert!(page.json["items"].as_array().unwrap().len() <= limit);
                found.extend(ids(&page));
                cursor = page.json["next_cursor"].clone();
                if cursor.is_null() {
                    break;
                }
            }
            assert_eq!(found, made[1..], "{limit} at a time");
        }
        // Writing the shipment again stores the current token.
        assert_eq!(update(&app, Role::Marketer, &made[3], 1, json!({"contents": "Sentinel other"})).await.status, 200);
        assert_eq!(ids(&search(&app, Acme, json!({"reference": "strasse 7"})).await), made[1..]);
    }

    #[tokio::test]
    async fn search_without_permission_is_refused() {
        let app = App::start().await;
        for role in Role::ALL {
            let answer = app.as_role(Acme, role).call(endpoint("search_shipments")).json(json!({"reference": "x"})).await;
            let allowed = matches!(role, Role::Marketer | Role::TenantAdmin | Role::Viewer | Role::Provider | Role::ApiUser);
            assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{role}");
        }
    }

    #[tokio::test]
    async fn search_makes_three_dynamodb_calls_and_no_kms_call() {
        let app = App::start().await;
        created(&app, Acme, body(1)).await;
        let sought = json!({"tracking_number": number(1)});
        assert_eq!(search(&app, Acme, sought.clone()).await.status, 200);
        count_from_here(&app);
        assert_eq!(ids(&search(&app, Acme, sought).await).len(), 1);
        assert_eq!(app.calls().dynamodb, ["UpdateItem", "Query", "UpdateItem"]);
        assert_eq!(app.calls().kms, [""; 0]);
    }
}
