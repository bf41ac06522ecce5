//! Lists the deployment's tenants, newest first.

use crate::{
    store::Stored,
    view::{OrganizationPage, OrganizationSummary},
};
use common::{
    base::{Need, Result},
    policy::Action,
    request::{Data, Limit, Operation, Platform, PlatformEndpoint, Query, Route, Sample, Subject},
};

common::input! {
    /// The page to return.
    pub struct Page { optional limit: Limit, optional cursor: String }
}

#[derive(Debug)]
pub struct ListOrganizations;

impl Operation for ListOrganizations {
    const NAME: &'static str = "list_organizations";
    const SUMMARY: &'static str = "List the organizations, newest first";
    const ROUTE: Route = Route::get("/v1/organizations");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Search, Need::Tenants];
    const SAMPLE: Sample = Sample::query(&[("limit", "10")]);
    type Input = Query<Page>;
    type Output = OrganizationPage;
}

impl PlatformEndpoint for ListOrganizations {
    const ACTION: Action = Action("listOrganizations");
    const OF_TENANT: bool = false;

    fn subject(_: &Self::Input) -> Subject {
        Subject::Platform
    }

    async fn handle(cx: &mut Platform<'_, Self>, Query(page): Self::Input) -> Result<OrganizationPage> {
        let limit = page.limit.unwrap_or_default().0;
        let (tenants, next_cursor) = cx.tenants(limit, page.cursor.as_deref()).await?;
        let mut items = Vec::with_capacity(tenants.len());
        for (id, row) in tenants {
            cx.touched("Organization", id);
            items.push(OrganizationSummary::from(Stored::from_row(id, &row)?));
        }
        Ok(OrganizationPage { items, next_cursor })
    }
}
