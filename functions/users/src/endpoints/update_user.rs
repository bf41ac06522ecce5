//! Changes a user's name and department.

use crate::{domain::Department, view::UserView, work::Person};
use common::{
    base::{Need, Result, UserId},
    capabilities::MemberChange,
    identity::Membership,
    policy::{Action, Resource},
    request::{Data, Endpoint, IfMatch, Json, Operation, Patch, Path, Permit, Route, Sample, Scope},
    store::Version,
};
use phi::PersonName;

common::input! {
    /// The fields to change. An e-mail cannot be changed; another e-mail needs a new account.
    pub struct UserPatch { patch name: PersonName, patch department: Department }
}

#[derive(Debug)]
pub struct UpdateUser;

impl Operation for UpdateUser {
    const NAME: &'static str = "update_user";
    const SUMMARY: &'static str = "Change a user's name or department";
    const ROUTE: Route = Route::patch("/v1/users/{user_id}");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Sessions];
    const IF_MATCH: IfMatch = IfMatch::Required;
    const SAMPLE: Sample = Sample::body(r#"{"name": "Ada Example", "department": "Cardiology"}"#);
    type Input = (Path<UserId>, Json<UserPatch>);
    type Output = UserView;
}

impl Endpoint for UpdateUser {
    const ACTION: Action = Action("updateUser");
    type Target = Person;

    async fn target(scope: &Scope<'_, Self>, (Path(user), _): &Self::Input) -> Result<Person> {
        Person::read(scope.reader(), *user).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, (Path(user), Json(patch)): Self::Input) -> Result<UserView> {
        cx.log("user.id", user);
        let before = &cx.target().0;
        cx.check_version(Version(before.version))?;
        let mut pii = cx.open(&Membership::place(user), &before.pii).await?;
        cx.touched(Person::TYPE, user);
        let mut after = before.clone();
        let (mut change, mut changed) = (MemberChange::default(), Vec::new());
        let name = pii.name.clone();
        patch.name.apply(&mut pii.name);
        if pii.name != name {
            after.pii = cx.reseal(&Membership::place(user), &pii, &before.pii).await?;
            change.sealed = Some(after.pii.clone().into_bytes());
            changed.push("name");
        }
        let mut department = before.department.clone();
        match patch.department {
            Patch::Keep => {}
            Patch::Clear => department = None,
            Patch::Set(new) => department = Some(new.into_inner()),
        }
        if department != before.department {
            change.department = Some(department.clone());
            after.department = department;
            changed.push("department");
        }
        if !changed.is_empty() {
            after.version = cx.change_member(before, change).await?.0;
            cx.changes().changed(changed);
        }
        cx.etag(Version(after.version));
        Ok(UserView::new(&after, pii, cx.now()))
    }
}
