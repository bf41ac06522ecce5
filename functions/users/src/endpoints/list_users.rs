//! Lists the tenant's users, newest first.

use crate::{
    view::{UserPage, UserView},
    work::{Person, Users},
};
use common::{
    base::{Need, Result},
    identity::Membership,
    policy::{Action, Resource},
    request::{Data, Endpoint, Limit, Operation, Permit, Query, Route, Sample, Scope},
};

common::input! {
    /// The page to return.
    pub struct Page { optional limit: Limit, optional cursor: String }
}

#[derive(Debug)]
pub struct ListUsers;

impl Operation for ListUsers {
    const NAME: &'static str = "list_users";
    const SUMMARY: &'static str = "List the tenant's users, newest first";
    const ROUTE: Route = Route::get("/v1/users");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Seal, Need::Search];
    const SAMPLE: Sample = Sample::query(&[("limit", "10")]);
    type Input = Query<Page>;
    type Output = UserPage;
}

impl Endpoint for ListUsers {
    const ACTION: Action = Action("listUsers");
    type Target = Users;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<Users> {
        Ok(Users(scope.tenant()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Query(page): Self::Input) -> Result<UserPage> {
        let limit = page.limit.unwrap_or_default().0;
        let (members, next_cursor) = cx.reader().members(limit, page.cursor.as_deref()).await?;
        let mut items = Vec::with_capacity(members.len());
        for member in members {
            let pii = cx.open(&Membership::place(member.user), &member.pii).await?;
            cx.touched(Person::TYPE, member.user);
            items.push(UserView::new(&member, pii, cx.now()));
        }
        Ok(UserPage { items, next_cursor })
    }
}
