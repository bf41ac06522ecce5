//! Removes an administrator role in a tenant. The last administrator stays. The query names the user, because a body of a DELETE
//! has no meaning (RFC 9110, section 9.3.5) and proxies drop it.

use crate::work::{self, Office};
use common::{
    base::{Need, Result, TenantId, UserId},
    policy::Action,
    request::{Data, Operation, Path, Platform, PlatformEndpoint, Query, Route, Sample, Subject},
};

common::input! {
    /// The administrator to remove.
    pub struct Dismissal { required user_id: UserId }
}

#[derive(Debug)]
pub struct RemoveAdmin;

impl Operation for RemoveAdmin {
    const NAME: &'static str = "remove_admin";
    const SUMMARY: &'static str = "Remove an organization's administrator";
    const ROUTE: Route = Route::delete("/v1/organizations/{tenant_id}/admins");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    const STATUS: u16 = 204;
    const SAMPLE: Sample = Sample::query(&[("user_id", "usr_019b76da100070008000000000000001")]);
    type Input = (Path<TenantId>, Query<Dismissal>);
    type Output = ();
}

impl PlatformEndpoint for RemoveAdmin {
    const ACTION: Action = Action("removeAdmin");

    fn subject((Path(id), _): &Self::Input) -> Subject {
        Subject::Tenant(*id)
    }

    async fn handle(cx: &mut Platform<'_, Self>, (_, Query(Dismissal { user_id })): Self::Input) -> Result<()> {
        work::change_admin(cx, user_id, Office::Dismissed).await
    }
}
