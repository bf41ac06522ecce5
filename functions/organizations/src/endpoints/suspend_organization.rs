//! Suspends a tenant. Within five seconds its members have no access; its sessions end, its sockets close and its messages wait.

use crate::{
    domain::{OrganizationSuspended, Transition},
    view::OrganizationView,
    work,
};
use common::{
    base::{Need, Result, TenantId},
    policy::Action,
    request::{Data, IfMatch, Operation, Path, Platform, PlatformEndpoint, Route, Sample, Subject},
};

#[derive(Debug)]
pub struct SuspendOrganization;

impl Operation for SuspendOrganization {
    const NAME: &'static str = "suspend_organization";
    const SUMMARY: &'static str = "Suspend an organization: its sessions end and its messages wait";
    const ROUTE: Route = Route::post("/v1/organizations/{tenant_id}/suspend");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal];
    const IF_MATCH: IfMatch = IfMatch::Optional;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<TenantId>;
    type Output = OrganizationView;
}

impl PlatformEndpoint for SuspendOrganization {
    const ACTION: Action = Action("suspendOrganization");

    fn subject(Path(id): &Self::Input) -> Subject {
        Subject::Tenant(*id)
    }

    async fn handle(cx: &mut Platform<'_, Self>, _: Self::Input) -> Result<OrganizationView> {
        work::transit(cx, Transition::Suspend, OrganizationSuspended {}).await
    }
}
