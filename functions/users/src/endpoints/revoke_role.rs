//! Revokes a role. It is invalid from the user's next request on.

use crate::{
    domain::{self, UserRolesChanged},
    work::{self, RoleGrant},
};
use common::{
    base::{Need, Result, Role, UserId},
    capabilities::MemberChange,
    policy::Action,
    request::{Data, Endpoint, IfMatch, Operation, Path, Permit, Route, Sample, Scope},
    store::Version,
};

#[derive(Debug)]
pub struct RevokeRole;

impl Operation for RevokeRole {
    const NAME: &'static str = "revoke_role";
    const SUMMARY: &'static str = "Revoke a role of a user";
    const ROUTE: Route = Route::delete("/v1/users/{user_id}/roles/{role}");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    const STATUS: u16 = 204;
    const IF_MATCH: IfMatch = IfMatch::Optional;
    const SAMPLE: Sample = Sample::NONE;
    type Input = (Path<UserId>, Path<Role>);
    type Output = ();
}

impl Endpoint for RevokeRole {
    const ACTION: Action = Action("revokeRole");
    type Target = RoleGrant;

    async fn target(scope: &Scope<'_, Self>, (Path(user), Path(role)): &Self::Input) -> Result<RoleGrant> {
        RoleGrant::read(scope.reader(), *user, *role).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, (Path(user), Path(role)): Self::Input) -> Result<()> {
        cx.log("user.id", user);
        let member = &cx.target().member;
        cx.check_version(Version(member.version))?;
        if let Some(grants) = domain::revoked(&member.grants, role) {
            let change = MemberChange { grants: Some(grants), ..MemberChange::default() };
            work::change(cx, member, change, "grants", UserRolesChanged { user_id: user }).await?;
        }
        Ok(())
    }
}
