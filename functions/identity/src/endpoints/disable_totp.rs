use crate::account::User;
use common::{
    base::{Need, Result},
    capabilities::MemberChange,
    policy::Action,
    request::{Data, Endpoint, IdempotencyKey, Operation, Permit, Route, Sample, Scope},
    store::RateLimit,
};

/// Removes the second factor and its recovery codes. A user whose role requires one enrols another at the next sign-in.
#[derive(Debug)]
pub struct DisableTotp;

impl Operation for DisableTotp {
    const NAME: &'static str = "disable_totp";
    const SUMMARY: &'static str = "Remove the second factor";
    const ROUTE: Route = Route::delete("/v1/mfa/totp");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    const LIMIT: RateLimit = RateLimit::API_STRICT;
    const STATUS: u16 = 204;
    // The repetition of this request comes in a session without a second factor, and gets the error for that.
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = ();
}

impl Endpoint for DisableTotp {
    const ACTION: Action = Action("disableTotp");
    type Target = User;

    async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<User> {
        Ok(User::own(scope.principal()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<()> {
        let (member, _) = cx.own_membership().await?;
        cx.remove_second_factor();
        cx.change_member(&member, MemberChange { mfa_enrolled: Some(false), ..MemberChange::default() }).await?;
        cx.touched("User", member.user);
        cx.changes().changed(["second_factor"]);
        Ok(())
    }
}
