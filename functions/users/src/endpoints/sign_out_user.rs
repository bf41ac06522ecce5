//! Signs a user out everywhere: in our API immediately, and in the user pool afterwards.

use crate::{domain::UserSignedOut, work::Person};
use common::{
    base::{Need, Result, UserId},
    identity::EndReason,
    policy::Action,
    request::{Data, Endpoint, Operation, Path, Permit, Route, Sample, Scope},
};

#[derive(Debug)]
pub struct SignOutUser;

impl Operation for SignOutUser {
    const NAME: &'static str = "sign_out_user";
    const SUMMARY: &'static str = "Sign a user out everywhere";
    const ROUTE: Route = Route::post("/v1/users/{user_id}/sign-out");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    const STATUS: u16 = 204;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<UserId>;
    type Output = ();
}

impl Endpoint for SignOutUser {
    const ACTION: Action = Action("signOutUser");
    type Target = Person;

    async fn target(scope: &Scope<'_, Self>, Path(user): &Self::Input) -> Result<Person> {
        Person::read(scope.reader(), *user).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(user): Self::Input) -> Result<()> {
        cx.log("user.id", user);
        cx.end_sessions(user, None, EndReason::EndedByAdmin).await?;
        cx.changes().emit(UserSignedOut { user_id: user }.into());
        Ok(())
    }
}
