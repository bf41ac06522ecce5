//! Shows a tenant's profile.

use crate::{view::OrganizationView, work};
use common::{
    base::{Need, Result, TenantId},
    policy::Action,
    request::{Data, Operation, Path, Platform, PlatformEndpoint, Route, Sample, Subject},
};

#[derive(Debug)]
pub struct GetOrganization;

impl Operation for GetOrganization {
    const NAME: &'static str = "get_organization";
    const SUMMARY: &'static str = "Show an organization";
    const ROUTE: Route = Route::get("/v1/organizations/{tenant_id}");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Seal];
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<TenantId>;
    type Output = OrganizationView;
}

impl PlatformEndpoint for GetOrganization {
    const ACTION: Action = Action("viewOrganization");

    fn subject(Path(id): &Self::Input) -> Subject {
        Subject::Tenant(*id)
    }

    async fn handle(cx: &mut Platform<'_, Self>, _: Self::Input) -> Result<OrganizationView> {
        let stored = work::read(cx).await?;
        let persons = work::persons(cx, stored.persons.as_ref()).await?;
        Ok(work::shown(cx, &stored, persons))
    }
}
