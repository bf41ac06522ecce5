//! Lets us send mail to a user's address again, after it bounced or its reader complained.

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
pub struct LiftMailSuppression;

impl Operation for LiftMailSuppression {
    const NAME: &'static str = "lift_mail_suppression";
    const SUMMARY: &'static str = "Lift the mail suppression of a user's address";
    const ROUTE: Route = Route::delete("/v1/users/{user_id}/mail-suppression");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search];
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<UserId>;
    type Output = MailSuppressionView;
}

impl Endpoint for LiftMailSuppression {
    const ACTION: Action = Action("liftMailSuppression");
    type Target = Person;

    async fn target(scope: &Scope<'_, Self>, Path(user): &Self::Input) -> Result<Person> {
        Person::read(scope.reader(), *user).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(user): Self::Input) -> Result<MailSuppressionView> {
        let (member, email) = addressed(cx).await?;
        if cx.lift_mail_suppression(member, &email).await?.is_some() {
            cx.changes().changed(["mail_suppression"]);
        }
        Ok(MailSuppressionView::of(user, None))
    }
}
