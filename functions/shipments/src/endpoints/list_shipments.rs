//! Lists shipments, newest first: all, or those with a status, with an assignee, or with both.

use crate::{
    domain::Status,
    store,
    view::ShipmentPage,
    work::{self, Shipments},
};
use common::{
    base::{FieldError, Need, Result, Timestamp, UserId},
    policy::Action,
    request::{Data, Endpoint, Limit, Operation, Permit, Query, Route, Sample, Scope, input::FromJson},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use std::borrow::Cow;

#[derive(Debug)]
pub struct ListShipments;

common::input! {
    /// The shipments to list.
    pub struct ShipmentFilters {
        optional status: Status,
        optional assigned_to: UserId,
        /// Registered at this time or later.
        optional created_after: Timestamp,
        /// Registered before this time.
        optional created_before: Timestamp,
        optional limit: Limit,
        optional cursor: String,
    }
}

/// Fields of a shipment by which a list cannot be filtered.
const UNSERVED: [&str; 14] = [
    "carrier",
    "contents",
    "created_at",
    "created_by",
    "estimated_delivery",
    "eta",
    "last_event",
    "recipient",
    "reference",
    "shipment_id",
    "tracking_number",
    "updated_after",
    "updated_at",
    "updated_before",
];

/// [`ShipmentFilters`] that one index can serve.
#[derive(Debug)]
pub struct ServedFilters(ShipmentFilters);

impl FromJson for ServedFilters {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        if let Some(name) = UNSERVED.into_iter().find(|name| value.get(name).is_some()) {
            let message = "filter a list by `status` and `assigned_to`; to find a number or a reference, use the search";
            errors.push(FieldError::new(name, "filter_combination", message));
            return None;
        }
        let filters = ShipmentFilters::from_json(value, at, errors)?;
        if let (Some(after), Some(before)) = (filters.created_after, filters.created_before)
            && after >= before
        {
            errors.push(FieldError::new("created_before", "empty_range", "expected a time later than `created_after`"));
        }
        Some(Self(filters))
    }
}

impl JsonSchema for ServedFilters {
    fn schema_name() -> Cow<'static, str> {
        ShipmentFilters::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        ShipmentFilters::schema_id()
    }
    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        ShipmentFilters::json_schema(schemas)
    }
}

impl Operation for ListShipments {
    const NAME: &'static str = "list_shipments";
    const SUMMARY: &'static str = "List shipments, newest first";
    const ROUTE: Route = Route::get("/v1/shipments");
    const DATA: Data = Data::Phi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Seal, Need::Search];
    const SAMPLE: Sample = Sample::query(&[("status", "UNKNOWN"), ("limit", "10")]);
    type Input = Query<ServedFilters>;
    type Output = ShipmentPage;
}

impl Endpoint for ListShipments {
    const ACTION: Action = Action("listShipments");
    type Target = Shipments;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<Shipments> {
        Ok(Shipments(scope.tenant()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Query(ServedFilters(filters)): Self::Input) -> Result<ShipmentPage> {
        let query = store::list(filters.status, filters.assigned_to);
        let query = store::registered_between(query, filters.created_after, filters.created_before);
        work::page(cx, query, filters.limit, filters.cursor.as_deref()).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use common::base::Role;
    use serde_json::json;
    use testing::{
        Answer, App,
        Tenant::{self, Acme, Birch},
    };

    async fn list(app: &App, tenant: Tenant, filters: &[(&str, &str)]) -> Answer {
        let call = app.as_role(tenant, Role::Viewer).call(endpoint("list_shipments"));
        filters.iter().fold(call, |call, (name, value)| call.query(name, value)).await
    }

    /// Shipments 1 to 3: unassigned, the provider's, and the provider's but voided.
    async fn three(app: &App) -> [String; 3] {
        let provider = json!(app.user_id(Acme, Role::Provider));
        let one = created(app, Acme, body(1)).await;
        let mut assigned = body(2);
        assigned["assigned_to"] = provider.clone();
        let two = created(app, Acme, assigned).await;
        let mut assigned = body(3);
        assigned["assigned_to"] = provider;
        let three = created(app, Acme, assigned).await;
        assert_eq!(void(app, &three).await.status, 200);
        [one, two, three]
    }

    #[tokio::test]
    async fn list_filters_by_status_and_assignee_newest_first() {
        let app = App::start().await;
        let [one, two, three] = three(&app).await;
        let provider = app.user_id(Acme, Role::Provider).to_string();
        let by = [("assigned_to", provider.as_str())];
        assert_eq!(ids(&list(&app, Acme, &[]).await), [&three, &two, &one].map(String::clone));
        assert_eq!(ids(&list(&app, Acme, &[("status", "UNKNOWN")]).await), [two.clone(), one]);
        assert_eq!(ids(&list(&app, Acme, &[("status", "VOIDED")]).await), [three.as_str()]);
        assert_eq!(ids(&list(&app, Acme, &by).await), [three.clone(), two.clone()]);
        assert_eq!(ids(&list(&app, Acme, &[("status", "UNKNOWN"), by[0]]).await), [two]);
        assert_eq!(ids(&list(&app, Acme, &[("status", "DELIVERED"), by[0]]).await), [""; 0]);

        created(&app, Birch, body(1)).await;
        assert_eq!(list(&app, Acme, &[]).await.json["items"].as_array().unwrap().len(), 3);
        assert_eq!(list(&app, Birch, &[]).await.json["items"].as_array().unwrap().len(), 1);
        assert_eq!(ids(&list(&app, Birch, &by).await), [""; 0]);
    }

    #[tokio::test]
    async fn list_shows_whole_shipments_and_audits_each() {
        let app = App::start().await;
        let [one, two, three] = three(&app).await;
        let page = list(&app, Acme, &[]).await;
        assert_eq!(page.json["items"][2], get(&app, Acme, &one).await.json);
        let log = audit(&app, Acme).await;
        let event = log.iter().find(|e| e["type"] == "api.list_shipments").unwrap();
        let listed = [three, two, one].map(|id| json!({"type": "Shipment", "id": id}));
        assert_eq!(event["resources"], json!(listed));
        assert_eq!(event["disclosed"], json!(["tracking_number", "reference", "recipient", "contents"]));
    }

    #[tokio::test]
    async fn pages_have_no_gap_and_no_repeat() {
        let app = App::start().await;
        let mut expected = Vec::new();
        for n in 1..=7 {
            expected.insert(0, created(&app, Acme, body(n)).await);
        }
        let (mut found, mut sizes, mut cursor) = (Vec::new(), Vec::new(), None);
        loop {
            let mut filters = vec![("limit", "3")];
            filters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page = list(&app, Acme, &filters).await;
            sizes.push(ids(&page).len());
            found.extend(ids(&page));
            match page.json["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!((sizes, found), (vec![3, 3, 1], expected));
    }

    #[tokio::test]
    async fn cursor_of_another_list_is_refused() {
        let app = App::start().await;
        for n in 1..=3 {
            created(&app, Acme, body(n)).await;
            created(&app, Birch, body(n)).await;
        }
        let page = list(&app, Acme, &[("limit", "1"), ("status", "UNKNOWN")]).await;
        let cursor = page.json["next_cursor"].as_str().unwrap();
        assert_eq!(ids(&list(&app, Acme, &[("status", "UNKNOWN"), ("cursor", cursor)]).await).len(), 2);

        let mut tampered = cursor.to_owned();
        let middle = tampered.len() / 2;
        let other = if tampered.as_bytes()[middle] == b'A' { "B" } else { "A" };
        tampered.replace_range(middle..=middle, other);
        let refused = [
            (Birch, vec![("status", "UNKNOWN"), ("cursor", cursor)]),
            (Acme, vec![("cursor", cursor)]),
            (Acme, vec![("status", "VOIDED"), ("cursor", cursor)]),
            (Acme, vec![("status", "UNKNOWN"), ("created_after", "2026-01-01T00:00:00Z"), ("cursor", cursor)]),
            (Acme, vec![("status", "UNKNOWN"), ("cursor", &tampered)]),
            (Acme, vec![("status", "UNKNOWN"), ("cursor", "e30")]),
            (Acme, vec![("status", "UNKNOWN"), ("cursor", "")]),
        ];
        for (tenant, filters) in refused {
            let answer = list(&app, tenant, &filters).await;
            assert_eq!(errors(&answer), [("cursor", "invalid_cursor")], "{tenant:?} {filters:?}");
        }
    }

    #[tokio::test]
    async fn time_range_includes_its_start_and_excludes_its_end() {
        let app = App::start().await;
        let mut made = Vec::new();
        for n in 0..4 {
            made.push(created(&app, Acme, body(n)).await);
        }
        let (at_1, at_3) = ("2026-01-01T12:00:01Z", "2026-01-01T12:00:03Z");
        let after = [("created_after", at_1)];
        let before = [("created_before", at_3)];
        assert_eq!(ids(&list(&app, Acme, &after).await), [&made[3], &made[2], &made[1]].map(Clone::clone));
        assert_eq!(ids(&list(&app, Acme, &before).await), [&made[2], &made[1], &made[0]].map(Clone::clone));
        assert_eq!(ids(&list(&app, Acme, &[after[0], before[0]]).await), [&made[2], &made[1]].map(Clone::clone));
        assert_eq!(ids(&list(&app, Acme, &[("status", "UNKNOWN"), after[0], before[0]]).await).len(), 2);
        assert_eq!(ids(&list(&app, Acme, &[("status", "VOIDED"), after[0], before[0]]).await).len(), 0);

        let backwards = list(&app, Acme, &[("created_after", at_3), ("created_before", at_1)]).await;
        assert_eq!(errors(&backwards), [("created_before", "empty_range")]);
    }

    #[tokio::test]
    async fn filter_without_an_index_is_refused_by_name() {
        let app = App::start().await;
        let phi = list(&app, Acme, &[("status", "UNKNOWN"), ("reference", "x")]).await;
        assert_eq!((phi.status, phi.code()), (422, "filter_combination"));
        assert_eq!(errors(&phi), [("reference", "filter_combination")]);

        let unknown = list(&app, Acme, &[("colour", "red"), ("limit", "0"), ("status", "LOST")]).await;
        assert_eq!(unknown.code(), "validation_failed");
        assert_eq!(errors(&unknown), [("status", "invalid"), ("limit", "invalid"), ("colour", "unknown_field")]);
    }

    #[tokio::test]
    async fn list_without_permission_is_refused() {
        let app = App::start().await;
        for role in Role::ALL {
            let answer = app.as_role(Acme, role).call(endpoint("list_shipments")).await;
            let allowed = matches!(role, Role::Marketer | Role::TenantAdmin | Role::Viewer | Role::Provider | Role::ApiUser);
            assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{role}");
        }
    }

    #[tokio::test]
    async fn list_shipments_makes_three_dynamodb_calls_and_no_kms_call() {
        let app = App::start().await;
        created(&app, Acme, body(1)).await;
        created(&app, Acme, body(2)).await;
        assert_eq!(list(&app, Acme, &[("limit", "2")]).await.status, 200);
        count_from_here(&app);
        assert_eq!(ids(&list(&app, Acme, &[("limit", "2")]).await).len(), 2);
        assert_eq!(app.calls().dynamodb, ["UpdateItem", "Query", "UpdateItem"]);
        assert_eq!(app.calls().kms, [""; 0]);
    }

    /// The query filters nothing after reading and requests no more than a page, so DynamoDB reads only the returned items.
    #[tokio::test]
    async fn list_query_reads_only_the_returned_items() {
        let app = App::start().await;
        three(&app).await;
        let provider = app.user_id(Acme, Role::Provider).to_string();
        let (status, by) = (("status", "UNKNOWN"), ("assigned_to", provider.as_str()));
        let after = ("created_after", "2026-01-01T00:00:00Z");
        for filters in [vec![], vec![status], vec![by], vec![status, by], vec![status, by, after]] {
            count_from_here(&app);
            let filters = [vec![("limit", "2")], filters].concat();
            let found = ids(&list(&app, Acme, &filters).await).len();
            let asked = app.wire().asked("Query");
            let queries: Vec<_> = asked.iter().filter(|q| !q["IndexName"].is_null()).collect();
            assert_eq!(queries.len(), 1, "{filters:?}");
            assert_eq!((&queries[0]["Limit"], &queries[0]["ScanIndexForward"]), (&json!(2), &json!(false)), "{filters:?}");
            assert!(queries[0]["FilterExpression"].is_null() && queries[0]["QueryFilter"].is_null(), "{filters:?}");
            assert!((1..=2).contains(&found), "{filters:?}");
        }
    }
}
