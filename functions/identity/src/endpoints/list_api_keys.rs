use crate::api_keys::{ApiKeyView, ApiKeys, LIST, Stored};
use common::{
    base::{Need, Result},
    policy::Action,
    request::{Data, Endpoint, Limit, Operation, Permit, Query, Route, Sample, Scope},
    store::{Index, TableQuery},
};
use schemars::JsonSchema;
use serde::Serialize;

common::input! {
    /// The page to return.
    pub struct KeyPage { optional limit: Limit, optional cursor: String }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct KeyList {
    pub items: Vec<ApiKeyView>,
    pub next_cursor: Option<String>,
}

/// Lists the tenant's API keys, newest first, including revoked and expired ones.
#[derive(Debug)]
pub struct ListApiKeys;

impl Operation for ListApiKeys {
    const NAME: &'static str = "list_api_keys";
    const SUMMARY: &'static str = "List the tenant's API keys";
    const ROUTE: Route = Route::get("/v1/api-keys");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Search, Need::Sessions];
    const SAMPLE: Sample = Sample::query(&[("limit", "10")]);
    type Input = Query<KeyPage>;
    type Output = KeyList;
}

impl Endpoint for ListApiKeys {
    const ACTION: Action = Action("listApiKeys");
    type Target = ApiKeys;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<ApiKeys> {
        Ok(ApiKeys(scope.tenant()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Query(page): Self::Input) -> Result<KeyList> {
        let query = TableQuery::index(Index::All, LIST).limit(page.limit.unwrap_or_default().0);
        let (rows, next_cursor) = cx.reader().page(&query, page.cursor.as_deref()).await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            let stored = Stored::from_row(row)?;
            cx.touched("ApiKey", stored.key);
            let sessions = cx.sessions(stored.key.user()).await?;
            items.push(ApiKeyView::of(stored, &sessions, cx.now()));
        }
        Ok(KeyList { items, next_cursor })
    }
}
