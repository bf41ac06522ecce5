//! Deletes a user. Their personal data is removed; audit events of their actions stay.

use crate::{
    domain::UserDeleted,
    work::{OWN_ACCOUNT, SomebodyOnce},
};
use common::{
    base::{Error, Need, Result, UserId},
    policy::Action,
    request::{Data, Endpoint, IfMatch, Operation, Path, Permit, Route, Sample, Scope},
    store::Version,
};

#[derive(Debug)]
pub struct DeleteUser;

impl Operation for DeleteUser {
    const NAME: &'static str = "delete_user";
    const SUMMARY: &'static str = "Delete a user permanently";
    const ROUTE: Route = Route::delete("/v1/users/{user_id}");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    const STATUS: u16 = 204;
    const IF_MATCH: IfMatch = IfMatch::Optional;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<UserId>;
    type Output = ();
}

impl Endpoint for DeleteUser {
    const ACTION: Action = Action("deleteUser");
    type Target = SomebodyOnce;

    async fn target(scope: &Scope<'_, Self>, Path(user): &Self::Input) -> Result<SomebodyOnce> {
        SomebodyOnce::read(scope.reader(), scope.tenant(), *user).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(user): Self::Input) -> Result<()> {
        cx.log("user.id", user);
        let member = cx.target().member.as_ref().ok_or(Error::NotFound)?;
        cx.check_version(Version(member.version))?;
        if user == cx.principal().user() {
            return Err(OWN_ACCOUNT);
        }
        cx.remove_member(member).await?;
        let changes = cx.changes();
        changes.changed(["status", "email", "name", "grants", "department"]);
        changes.emit(UserDeleted { user_id: user }.into());
        Ok(())
    }
}
