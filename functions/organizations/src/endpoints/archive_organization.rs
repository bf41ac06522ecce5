//! Archives a suspended tenant permanently. Its records are kept, and its members have no access.

use crate::{
    domain::{OrganizationArchived, Transition},
    view::OrganizationView,
    work,
};
use common::{
    base::{Need, Result, TenantId},
    policy::Action,
    request::{Data, IfMatch, Operation, Path, Platform, PlatformEndpoint, Route, Sample, Subject},
};

#[derive(Debug)]
pub struct ArchiveOrganization;

impl Operation for ArchiveOrganization {
    const NAME: &'static str = "archive_organization";
    const SUMMARY: &'static str = "Archive a suspended organization permanently";
    const ROUTE: Route = Route::post("/v1/organizations/{tenant_id}/archive");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal];
    const IF_MATCH: IfMatch = IfMatch::Optional;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<TenantId>;
    type Output = OrganizationView;
}

impl PlatformEndpoint for ArchiveOrganization {
    const ACTION: Action = Action("archiveOrganization");

    fn subject(Path(id): &Self::Input) -> Subject {
        Subject::Tenant(*id)
    }

    async fn handle(cx: &mut Platform<'_, Self>, _: Self::Input) -> Result<OrganizationView> {
        work::transit(cx, Transition::Archive, OrganizationArchived {}).await
    }
}
