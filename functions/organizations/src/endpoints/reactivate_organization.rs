//! Reactivates a suspended tenant, and releases its waiting messages.

use crate::{
    domain::{OrganizationReactivated, Transition},
    view::OrganizationView,
    work,
};
use common::{
    base::{Need, Result, TenantId},
    policy::Action,
    request::{Data, IfMatch, Operation, Path, Platform, PlatformEndpoint, Route, Sample, Subject},
};

#[derive(Debug)]
pub struct ReactivateOrganization;

impl Operation for ReactivateOrganization {
    const NAME: &'static str = "reactivate_organization";
    const SUMMARY: &'static str = "Reactivate a suspended organization";
    const ROUTE: Route = Route::post("/v1/organizations/{tenant_id}/reactivate");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal];
    const IF_MATCH: IfMatch = IfMatch::Optional;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<TenantId>;
    type Output = OrganizationView;
}

impl PlatformEndpoint for ReactivateOrganization {
    const ACTION: Action = Action("reactivateOrganization");

    fn subject(Path(id): &Self::Input) -> Subject {
        Subject::Tenant(*id)
    }

    async fn handle(cx: &mut Platform<'_, Self>, _: Self::Input) -> Result<OrganizationView> {
        work::transit(cx, Transition::Reactivate, OrganizationReactivated {}).await
    }
}
