//! Makes a member of a tenant a permanent administrator, or invites a person as one. A tenant whose only administrator has left
//! or never signed in gets another one this way.

use crate::work::{self, Office};
use common::{
    base::{Error, Need, Result, TenantId, UserId},
    policy::Action,
    request::{Data, IdempotencyKey, Json, Operation, Path, Platform, PlatformEndpoint, Route, Sample, Subject},
};
use phi::Email;

common::input! {
    /// A member, or a person to invite.
    pub struct Appointment {
        optional user_id: UserId,
        optional email: Email,
    }
}

#[derive(Debug)]
pub struct AddAdmin;

impl Operation for AddAdmin {
    const NAME: &'static str = "add_admin";
    const SUMMARY: &'static str = "Make a member an administrator of an organization, or invite one";
    const ROUTE: Route = Route::post("/v1/organizations/{tenant_id}/admins");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions, Need::Seal];
    const STATUS: u16 = 204;
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Required;
    const SAMPLE: Sample = Sample::body(r#"{"user_id": "usr_019b76da100070008000000000000001"}"#);
    type Input = (Path<TenantId>, Json<Appointment>);
    type Output = ();
}

impl PlatformEndpoint for AddAdmin {
    const ACTION: Action = Action("addAdmin");

    fn subject((Path(id), _): &Self::Input) -> Subject {
        Subject::Tenant(*id)
    }

    async fn handle(cx: &mut Platform<'_, Self>, (_, Json(appointment)): Self::Input) -> Result<()> {
        match (appointment.user_id, appointment.email) {
            (Some(user), None) => work::change_admin(cx, user, Office::Appointed).await,
            (None, Some(email)) => work::invite_admin(cx, email).await,
            _ => Err(Error::invalid("user_id", "one_of", "send either `user_id` or `email`")),
        }
    }
}
