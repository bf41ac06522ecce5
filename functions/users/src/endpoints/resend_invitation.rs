//! Sends another invitation to a user who has not signed in yet. The password of the previous mail becomes invalid.

use crate::{domain::InvitationResent, work::Person};
use common::{
    base::{Error, Need, Result, UserId},
    policy::Action,
    request::{Data, Endpoint, Operation, Path, Permit, Route, Sample, Scope},
    store::RateLimit,
};

#[derive(Debug)]
pub struct ResendInvitation;

impl Operation for ResendInvitation {
    const NAME: &'static str = "resend_invitation";
    const SUMMARY: &'static str = "Resend the invitation of a user who has not signed in yet";
    const ROUTE: Route = Route::post("/v1/users/{user_id}/resend-invitation");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write];
    const LIMIT: RateLimit = RateLimit::API_STRICT;
    const STATUS: u16 = 204;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<UserId>;
    type Output = ();
}

impl Endpoint for ResendInvitation {
    const ACTION: Action = Action("resendInvitation");
    type Target = Person;

    async fn target(scope: &Scope<'_, Self>, Path(user): &Self::Input) -> Result<Person> {
        Person::read(scope.reader(), *user).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(user): Self::Input) -> Result<()> {
        cx.log("user.id", user);
        let member = &cx.target().0;
        if !member.active || !member.invited {
            return Err(Error::conflict("not_invited", "the user has already signed in, or is disabled"));
        }
        cx.changes().emit(InvitationResent { user_id: user }.into());
        Ok(())
    }
}
