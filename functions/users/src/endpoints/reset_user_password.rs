//! Requires a user to choose another password: their sessions end, and they get a mail with a temporary password. Nobody else
//! sees it.

use crate::{domain::PasswordResetByAdmin, work::Person};
use common::{
    base::{Error, Need, Result, UserId},
    identity::EndReason,
    policy::Action,
    request::{Data, Endpoint, Operation, Path, Permit, Route, Sample, Scope},
    store::RateLimit,
};

#[derive(Debug)]
pub struct ResetUserPassword;

impl Operation for ResetUserPassword {
    const NAME: &'static str = "reset_user_password";
    const SUMMARY: &'static str = "Mail a user a temporary password and sign them out";
    const ROUTE: Route = Route::post("/v1/users/{user_id}/reset-password");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    const LIMIT: RateLimit = RateLimit::API_STRICT;
    const STATUS: u16 = 204;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<UserId>;
    type Output = ();
}

impl Endpoint for ResetUserPassword {
    const ACTION: Action = Action("resetUserPassword");
    type Target = Person;

    async fn target(scope: &Scope<'_, Self>, Path(user): &Self::Input) -> Result<Person> {
        Person::read(scope.reader(), *user).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(user): Self::Input) -> Result<()> {
        cx.log("user.id", user);
        if !cx.target().0.active {
            return Err(Error::conflict("user_disabled", "the user is disabled"));
        }
        cx.end_sessions(user, None, EndReason::PasswordReset).await?;
        let changes = cx.changes();
        changes.changed(["password"]);
        changes.emit(PasswordResetByAdmin { user_id: user }.into());
        Ok(())
    }
}
