use super::activate_totp::RecoveryCodes;
use crate::account::User;
use common::{
    base::{Need, Result},
    policy::Action,
    request::{Data, Endpoint, Operation, Permit, Route, Sample, Scope},
    store::RateLimit,
};

/// Replaces the recovery codes. The old ones become invalid.
#[derive(Debug)]
pub struct CreateRecoveryCodes;

impl Operation for CreateRecoveryCodes {
    const NAME: &'static str = "create_recovery_codes";
    const SUMMARY: &'static str = "Replace the recovery codes";
    const ROUTE: Route = Route::post("/v1/mfa/recovery-codes");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write];
    const LIMIT: RateLimit = RateLimit::API_STRICT;
    const ISSUED_AGAIN: Option<&'static str> =
        Some("the recovery codes were shown once and are not stored: create new ones, under another `Idempotency-Key`");
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = RecoveryCodes;
}

impl Endpoint for CreateRecoveryCodes {
    const ACTION: Action = Action("createRecoveryCodes");
    type Target = User;

    async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<User> {
        Ok(User::own(scope.principal()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<RecoveryCodes> {
        let (codes, hashes) = RecoveryCodes::generate();
        cx.replace_recovery_codes(hashes);
        cx.touched("User", cx.principal().user());
        cx.changes().changed(["recovery_codes"]);
        Ok(codes)
    }
}
