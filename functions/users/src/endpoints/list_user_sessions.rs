//! Lists a user's live sessions.

use crate::{view::SessionList, work::Person};
use common::{
    base::{Need, Result, UserId},
    policy::Action,
    request::{Data, Endpoint, Operation, Path, Permit, Route, Sample, Scope},
};

#[derive(Debug)]
pub struct ListUserSessions;

impl Operation for ListUserSessions {
    const NAME: &'static str = "list_user_sessions";
    const SUMMARY: &'static str = "List a user's live sessions";
    const ROUTE: Route = Route::get("/v1/users/{user_id}/sessions");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Sessions];
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<UserId>;
    type Output = SessionList;
}

impl Endpoint for ListUserSessions {
    const ACTION: Action = Action("listUserSessions");
    type Target = Person;

    async fn target(scope: &Scope<'_, Self>, Path(user): &Self::Input) -> Result<Person> {
        Person::read(scope.reader(), *user).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(user): Self::Input) -> Result<SessionList> {
        cx.log("user.id", user);
        let sessions = cx.sessions(user).await?;
        Ok(SessionList { items: sessions.into_iter().map(Into::into).collect() })
    }
}
