//! Enables a disabled user. Ended sessions stay ended.

use crate::{
    domain::UserEnabled,
    view::UserView,
    work::{self, Person},
};
use common::{
    base::{Need, Result, UserId},
    capabilities::MemberChange,
    policy::Action,
    request::{Data, Endpoint, IfMatch, Operation, Path, Permit, Route, Sample, Scope},
    store::Version,
};

#[derive(Debug)]
pub struct EnableUser;

impl Operation for EnableUser {
    const NAME: &'static str = "enable_user";
    const SUMMARY: &'static str = "Enable a user again";
    const ROUTE: Route = Route::post("/v1/users/{user_id}/enable");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Sessions];
    const IF_MATCH: IfMatch = IfMatch::Optional;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<UserId>;
    type Output = UserView;
}

impl Endpoint for EnableUser {
    const ACTION: Action = Action("enableUser");
    type Target = Person;

    async fn target(scope: &Scope<'_, Self>, Path(user): &Self::Input) -> Result<Person> {
        Person::read(scope.reader(), *user).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(user): Self::Input) -> Result<UserView> {
        cx.log("user.id", user);
        let member = &cx.target().0;
        cx.check_version(Version(member.version))?;
        if member.active {
            return work::shown(cx, member).await;
        }
        let change = MemberChange { active: Some(true), ..MemberChange::default() };
        let member = work::change(cx, member, change, "status", UserEnabled { user_id: user }).await?;
        work::shown(cx, &member).await
    }
}
