//! Shows whether a user's address gets our mail.

use crate::{view::MailSuppressionView, work::Person};
use common::{Action, Data, Endpoint, Membership, Need, Operation, Path, Permit, Result, Route, Sample, Scope, UserId};

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
    // It is part of looking after a user: for whoever may change their record.
    const ACTION: Action = Action("updateUser");
    type Target = Person;

    async fn target(scope: &Scope<'_, Self>, Path(user): &Self::Input) -> Result<Person> {
        Person::read(scope.reader(), *user).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(user): Self::Input) -> Result<MailSuppressionView> {
        cx.log("user.id", user);
        let member = &cx.target().0;
        let pii = cx.open(&Membership::place(user), &member.pii).await?;
        cx.touched("User", user);
        Ok(MailSuppressionView::of(user, cx.mail_suppression(member, &pii.email).await?))
    }
}
