//! Disables a user. Their sessions end in the same transaction, and they cannot sign in any more.

use crate::{
    domain::UserDisabled,
    view::UserView,
    work::{self, OWN_ACCOUNT, Person},
};
use common::{
    base::{Need, Result, UserId},
    capabilities::MemberChange,
    policy::Action,
    request::{Data, Endpoint, IfMatch, Operation, Path, Permit, Route, Sample, Scope},
    store::Version,
};

#[derive(Debug)]
pub struct DisableUser;

impl Operation for DisableUser {
    const NAME: &'static str = "disable_user";
    const SUMMARY: &'static str = "Disable a user immediately";
    const ROUTE: Route = Route::post("/v1/users/{user_id}/disable");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Sessions];
    const IF_MATCH: IfMatch = IfMatch::Optional;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<UserId>;
    type Output = UserView;
}

impl Endpoint for DisableUser {
    const ACTION: Action = Action("disableUser");
    type Target = Person;

    async fn target(scope: &Scope<'_, Self>, Path(user): &Self::Input) -> Result<Person> {
        Person::read(scope.reader(), *user).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(user): Self::Input) -> Result<UserView> {
        cx.log("user.id", user);
        let member = &cx.target().0;
        cx.check_version(Version(member.version))?;
        if user == cx.principal().user() {
            return Err(OWN_ACCOUNT);
        }
        if !member.active {
            return work::shown(cx, member).await;
        }
        let change = MemberChange { active: Some(false), ..MemberChange::default() };
        let member = work::change(cx, member, change, "status", UserDisabled { user_id: user }).await?;
        work::shown(cx, &member).await
    }
}
