use crate::{
    account::User,
    domain::{
        recovery,
        totp::{Authenticator, TotpCode},
    },
};
use common::{
    base::{Error, Need, Refusal, Result},
    capabilities::MemberChange,
    policy::Action,
    request::{Data, Endpoint, Issued, Json, Operation, Permit, Route, Sample, Scope},
    store::RateLimit,
};
use schemars::JsonSchema;
use serde::Serialize;

common::input! {
    /// The first code of a new authenticator.
    pub struct FirstCode { required code: TotpCode }
}

/// Recovery codes for the case that the authenticator is lost. Each code works once, and none is shown again.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecoveryCodes {
    pub recovery_codes: Vec<Issued>,
}

impl RecoveryCodes {
    /// New codes, and their hashes.
    pub(crate) fn generate() -> (Self, Vec<u8>) {
        let (codes, hashes) = recovery::generate();
        (Self { recovery_codes: codes.iter().map(|code| Issued::new(code.to_text())).collect() }, hashes)
    }
}

/// Activates an authenticator by its first code. Afterwards every sign-in requires a code.
#[derive(Debug)]
pub struct ActivateTotp;

impl Operation for ActivateTotp {
    const NAME: &'static str = "activate_totp";
    const SUMMARY: &'static str = "Activate an authenticator by its first code and return recovery codes";
    const ROUTE: Route = Route::post("/v1/mfa/totp/activate");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::SecondFactor, Need::Sessions];
    const LIMIT: RateLimit = RateLimit::API_STRICT;
    const ISSUED_AGAIN: Option<&'static str> =
        Some("the recovery codes were shown once and are not stored: create new ones (`POST /v1/mfa/recovery-codes`)");
    const SAMPLE: Sample = Sample::body(r#"{"code":"123456"}"#);
    type Input = Json<FirstCode>;
    type Output = RecoveryCodes;
}

impl Endpoint for ActivateTotp {
    const ACTION: Action = Action("activateTotp");
    type Target = User;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<User> {
        Ok(User::own(scope.principal()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Json(given): Self::Input) -> Result<RecoveryCodes> {
        let (member, _) = cx.own_membership().await?;
        let none = Error::conflict("totp_not_enrolled", "first enrol with `POST /v1/mfa/totp`");
        let factor = cx.try_second_factor().await?.ok_or(none)?;
        if factor.active {
            return Err(Error::conflict("totp_enrolled", "a second factor exists already: remove it first"));
        }
        let authenticator: Authenticator = cx.open_second_factor(&factor).await?;
        let step = authenticator.secret.verify(&given.code, cx.now(), factor.last_step);
        let step = step.map_err(|_| Error::Forbidden(Refusal::InvalidCode))?;
        let (codes, hashes) = RecoveryCodes::generate();
        cx.activate_second_factor(&factor, step, hashes);
        let session = cx.principal().session();
        let change = MemberChange { mfa_enrolled: Some(true), mfa_given_in: Some(session), ..MemberChange::default() };
        cx.change_member(&member, change).await?;
        cx.touched("User", member.user);
        cx.changes().changed(["second_factor"]);
        Ok(codes)
    }
}
