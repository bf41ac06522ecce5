//! Makes a member of a tenant its administrator, for good.

use crate::work::{self, Office};
use common::{
    Action, Data, Json, Need, Operation, Path, Platform, PlatformEndpoint, Result, Route, Sample, Subject, TenantId, UserId,
};

common::input! {
    /// Who is meant.
    pub struct Appointment { required user_id: UserId }
}

#[derive(Debug)]
pub struct AddAdmin;

impl Operation for AddAdmin {
    const NAME: &'static str = "add_admin";
    const SUMMARY: &'static str = "Make a member an organization's administrator";
    const ROUTE: Route = Route::post("/v1/organizations/{tenant_id}/admins");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    const STATUS: u16 = 204;
    const SAMPLE: Sample = Sample::body(r#"{"user_id": "usr_019b76da100070008000000000000001"}"#);
    type Input = (Path<TenantId>, Json<Appointment>);
    type Output = ();
}

impl PlatformEndpoint for AddAdmin {
    const ACTION: Action = Action("addAdmin");

    fn subject((Path(id), _): &Self::Input) -> Subject {
        Subject::Tenant(*id)
    }

    async fn handle(cx: &mut Platform<'_, Self>, (_, Json(Appointment { user_id })): Self::Input) -> Result<()> {
        work::change_admin(cx, user_id, Office::Appointed).await
    }
}
