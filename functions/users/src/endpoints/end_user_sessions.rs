//! Ends a user's sessions. They can sign in again.

use crate::work::Person;
use common::{
    base::{Need, Result, UserId},
    identity::EndReason,
    policy::Action,
    request::{Data, Endpoint, Operation, Path, Permit, Route, Sample, Scope},
};

#[derive(Debug)]
pub struct EndUserSessions;

impl Operation for EndUserSessions {
    const NAME: &'static str = "end_user_sessions";
    const SUMMARY: &'static str = "End a user's sessions";
    const ROUTE: Route = Route::delete("/v1/users/{user_id}/sessions");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    const STATUS: u16 = 204;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<UserId>;
    type Output = ();
}

impl Endpoint for EndUserSessions {
    const ACTION: Action = Action("endUserSessions");
    type Target = Person;

    async fn target(scope: &Scope<'_, Self>, Path(user): &Self::Input) -> Result<Person> {
        Person::read(scope.reader(), *user).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(user): Self::Input) -> Result<()> {
        cx.log("user.id", user);
        cx.end_sessions(user, None, EndReason::EndedByAdmin).await.map(drop)
    }
}
