//! Shows a tenant's settings.

use crate::{view::SettingsView, work};
use common::{
    base::{Need, Result, TenantId},
    policy::Action,
    request::{Data, Operation, Path, Platform, PlatformEndpoint, Route, Sample, Subject},
};

#[derive(Debug)]
pub struct GetSettings;

impl Operation for GetSettings {
    const NAME: &'static str = "get_settings";
    const SUMMARY: &'static str = "Show an organization's settings";
    const ROUTE: Route = Route::get("/v1/organizations/{tenant_id}/settings");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read];
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<TenantId>;
    type Output = SettingsView;
}

impl PlatformEndpoint for GetSettings {
    const ACTION: Action = Action("viewSettings");

    fn subject(Path(id): &Self::Input) -> Subject {
        Subject::Tenant(*id)
    }

    async fn handle(cx: &mut Platform<'_, Self>, _: Self::Input) -> Result<SettingsView> {
        let stored = work::read(cx).await?;
        cx.etag(stored.version());
        Ok(SettingsView::from(&stored))
    }
}
