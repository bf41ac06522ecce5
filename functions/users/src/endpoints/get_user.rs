//! Shows a user.

use crate::{
    view::UserView,
    work::{self, Person},
};
use common::{
    base::{Need, Result, UserId},
    policy::Action,
    request::{Data, Endpoint, Operation, Path, Permit, Route, Sample, Scope},
};

#[derive(Debug)]
pub struct GetUser;

impl Operation for GetUser {
    const NAME: &'static str = "get_user";
    const SUMMARY: &'static str = "Show a user";
    const ROUTE: Route = Route::get("/v1/users/{user_id}");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Seal];
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<UserId>;
    type Output = UserView;
}

impl Endpoint for GetUser {
    const ACTION: Action = Action("viewUser");
    type Target = Person;

    async fn target(scope: &Scope<'_, Self>, Path(user): &Self::Input) -> Result<Person> {
        Person::read(scope.reader(), *user).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(user): Self::Input) -> Result<UserView> {
        cx.log("user.id", user);
        work::shown(cx, &cx.target().0).await
    }
}
