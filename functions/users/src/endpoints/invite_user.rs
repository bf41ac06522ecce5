//! Invites a person into the tenant.
//!
//! A consumer checks after the answer whether the e-mail already belongs to a user of this or another tenant. The inviting caller
//! never learns the result.

use crate::{
    domain::{Department, InvitedRoles},
    view::UserView,
    work::{self, Users},
};
use common::{
    base::{Need, Result},
    capabilities::Invitation,
    policy::Action,
    request::{Data, Endpoint, IdempotencyKey, Json, Operation, Permit, Route, Sample, Scope},
    store::RateLimit,
};
use phi::{Email, PersonName};

common::input! {
    /// The invited person and their roles.
    pub struct NewUser {
        required email: Email,
        optional name: PersonName,
        required roles: InvitedRoles,
        optional department: Department,
    }
}

#[derive(Debug)]
pub struct InviteUser;

impl Operation for InviteUser {
    const NAME: &'static str = "invite_user";
    const SUMMARY: &'static str = "Invite a person by e-mail";
    const ROUTE: Route = Route::post("/v1/users");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal];
    const LIMIT: RateLimit = RateLimit::API_STRICT;
    const STATUS: u16 = 201;
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Required;
    const SAMPLE: Sample = Sample::body(
        r#"{"email": "new.colleague@acme-health.example", "name": "Ada Sample", "roles": ["marketer"], "department": "Outreach"}"#,
    );
    type Input = Json<NewUser>;
    type Output = UserView;
}

impl Endpoint for InviteUser {
    const ACTION: Action = Action("inviteUser");
    type Target = Users;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<Users> {
        Ok(Users(scope.tenant()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Json(new): Self::Input) -> Result<UserView> {
        let NewUser { email, name, roles, department } = new;
        let department = department.map(Department::into_inner);
        let member = cx.invite(Invitation { email, name, grants: roles.into_grants(), department }).await?;
        cx.log("user.id", member.user);
        cx.location(format!("/v1/users/{}", member.user));
        work::shown(cx, &member).await
    }
}
