//! Sets all of a tenant's settings. They take effect within five seconds, when the caches of the tenant's profile expire.

use crate::{domain::NewSettings, view::SettingsView, work};
use common::{
    base::{Need, Result, TenantId},
    policy::Action,
    request::{Data, IfMatch, Json, Operation, Path, Platform, PlatformEndpoint, Route, Sample, Subject},
};

#[derive(Debug)]
pub struct PutSettings;

impl Operation for PutSettings {
    const NAME: &'static str = "put_settings";
    const SUMMARY: &'static str = "Set an organization's settings";
    const ROUTE: Route = Route::put("/v1/organizations/{tenant_id}/settings");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write];
    const IF_MATCH: IfMatch = IfMatch::Required;
    const SAMPLE: Sample = Sample::body(
        r#"{"session_idle_minutes": 30, "session_hours": 10, "mfa_roles": ["provider"], "trusted_networks": [], "rate_limits": {"export": 20}}"#,
    );
    type Input = (Path<TenantId>, Json<NewSettings>);
    type Output = SettingsView;
}

impl PlatformEndpoint for PutSettings {
    const ACTION: Action = Action("setSettings");

    fn subject((Path(id), _): &Self::Input) -> Subject {
        Subject::Tenant(*id)
    }

    async fn handle(cx: &mut Platform<'_, Self>, (_, Json(NewSettings(settings))): Self::Input) -> Result<SettingsView> {
        let mut stored = work::read_to_change(cx).await?;
        cx.check_version(stored.version())?;
        let edit = stored.set_settings(settings);
        work::change(cx, edit, ["settings"]);
        cx.etag(stored.version());
        Ok(SettingsView::from(&stored))
    }
}
