use crate::{
    account::User,
    domain::{
        recovery::RecoveryCode,
        totp::{Authenticator, TotpCode},
    },
    second_factor::Given,
};
use common::{
    base::{Error, Need, Refusal, Result, Timestamp},
    policy::Action,
    request::{Data, Endpoint, Json, Operation, Permit, Route, Sample, Scope},
    store::RateLimit,
};
use schemars::JsonSchema;
use serde::Serialize;

common::input! {
    /// A second factor: one of the two members.
    pub struct Code {
        /// The authenticator's code.
        optional code: TotpCode,
        /// A recovery code. It works once.
        optional recovery_code: RecoveryCode,
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SteppedUp {
    /// The time at which the second factor was given. Sensitive actions accept it for ten minutes.
    pub mfa_at: Timestamp,
}

/// Verifies a second factor in this session, for actions that require a recent one.
#[derive(Debug)]
pub struct VerifyMfa;

impl Operation for VerifyMfa {
    const NAME: &'static str = "verify_mfa";
    const SUMMARY: &'static str = "Step up: verify a second factor in this session";
    const ROUTE: Route = Route::post("/v1/mfa/verify");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::SecondFactor, Need::Sessions];
    const LIMIT: RateLimit = RateLimit::API_STRICT;
    const SAMPLE: Sample = Sample::body(r#"{"code":"123456"}"#);
    type Input = Json<Code>;
    type Output = SteppedUp;
}

impl Endpoint for VerifyMfa {
    const ACTION: Action = Action("verifyMfa");
    type Target = User;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<User> {
        Ok(User::own(scope.principal()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Json(given): Self::Input) -> Result<SteppedUp> {
        let given = Given::of(given.code, given.recovery_code)?;
        let none = Error::conflict("totp_not_enrolled", "there is no second factor");
        let factor = cx.try_second_factor().await?.filter(|factor| factor.active).ok_or(none)?;
        let authenticator: Authenticator = cx.open_second_factor(&factor).await?;
        let mfa_at = cx.now();
        let spent = given.judge(&factor, &authenticator, mfa_at).ok_or(Error::Forbidden(Refusal::InvalidCode))?;
        cx.spend_second_factor(&factor, spent);
        cx.stamp_second_factor();
        cx.touched("Session", cx.principal().session());
        Ok(SteppedUp { mfa_at })
    }
}
