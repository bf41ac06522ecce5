//! Has a user's address get our mail again, after it bounced or its reader complained.

use crate::{view::MailSuppressionView, work::Person};
use common::{Action, Data, Endpoint, Membership, Need, Operation, Path, Permit, Result, Route, Sample, Scope, UserId};

#[derive(Debug)]
pub struct LiftMailSuppression;

impl Operation for LiftMailSuppression {
    const NAME: &'static str = "lift_mail_suppression";
    const SUMMARY: &'static str = "Send mail to a user's address again";
    const ROUTE: Route = Route::delete("/v1/users/{user_id}/mail-suppression");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search];
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<UserId>;
    type Output = MailSuppressionView;
}

impl Endpoint for LiftMailSuppression {
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
        if cx.lift_mail_suppression(member, &pii.email).await?.is_some() {
            cx.changes().changed(["mail_suppression"]);
        }
        Ok(MailSuppressionView::of(user, None))
    }
}
