//! Shows whether we send mail to a user's address.

use crate::{
    view::MailSuppressionView,
    work::{Person, addressed},
};
use common::{
    base::{Need, Result, UserId},
    policy::Action,
    request::{Data, Endpoint, Operation, Path, Permit, Route, Sample, Scope},
};

#[derive(Debug)]
pub struct GetMailSuppression;

impl Operation for GetMailSuppression {
    const NAME: &'static str = "get_mail_suppression";
    const SUMMARY: &'static str = "Show whether a user's address gets mail";
    const ROUTE: Route = Route::get("/v1/users/{user_id}/mail-suppression");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Seal, Need::Search];
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<UserId>;
    type Output = MailSuppressionView;
}

impl Endpoint for GetMailSuppression {
    const ACTION: Action = Action("viewMailSuppression");
    type Target = Person;

    async fn target(scope: &Scope<'_, Self>, Path(user): &Self::Input) -> Result<Person> {
        Person::read(scope.reader(), *user).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(user): Self::Input) -> Result<MailSuppressionView> {
        let (member, email) = addressed(cx).await?;
        Ok(MailSuppressionView::of(user, cx.mail_suppression(member, &email).await?))
    }
}
