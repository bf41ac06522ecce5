//! Shows the caller's preferences.

use crate::{store::StoredPreferences, view::PreferencesView};
use common::{
    base::{Need, Result},
    policy::Action,
    request::{Data, Endpoint, Operation, Permit, Route, Sample, Scope},
};

#[derive(Debug)]
pub struct GetPreferences;

impl Operation for GetPreferences {
    const NAME: &'static str = "get_preferences";
    const SUMMARY: &'static str = "Show the caller's notification preferences";
    const ROUTE: Route = Route::get("/v1/notifications/preferences");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read];
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = PreferencesView;
}

impl Endpoint for GetPreferences {
    const ACTION: Action = Action("viewPreferences");
    type Target = StoredPreferences;

    async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<StoredPreferences> {
        StoredPreferences::read(scope.reader(), scope.tenant(), scope.principal().user()).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<PreferencesView> {
        let stored = cx.target();
        cx.etag(stored.version());
        Ok(PreferencesView::of(stored.preferences(), stored.version()))
    }
}
