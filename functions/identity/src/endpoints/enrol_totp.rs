use crate::{
    account::User,
    domain::{
        self,
        totp::{Authenticator, TotpSecret},
    },
};
use common::{
    base::{Error, Need, Result},
    identity::{MemberPii, Membership},
    policy::Action,
    request::{Data, Endpoint, Issued, Operation, Permit, Route, Sample, Scope},
    store::RateLimit,
};
use phi::PhiText;
use schemars::JsonSchema;
use serde::Serialize;

/// The data that sets up an authenticator. It is shown once.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Enrolment {
    /// The secret in base32, for typing it in.
    pub secret: Issued,
    /// The content of the QR code.
    pub otpauth_uri: Issued,
    /// The QR code, as an SVG image.
    pub qr_svg: Issued,
}

/// Begins to enrol an authenticator. Sign-in does not require it until its first code has been given. Until then this can be
/// repeated, and the last answer counts.
#[derive(Debug)]
pub struct EnrolTotp;

impl Operation for EnrolTotp {
    const NAME: &'static str = "enrol_totp";
    const SUMMARY: &'static str = "Begin to enrol an authenticator app";
    const ROUTE: Route = Route::post("/v1/mfa/totp");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal];
    const LIMIT: RateLimit = RateLimit::API_STRICT;
    const ISSUED_AGAIN: Option<&'static str> =
        Some("the secret was shown once and is not stored: begin again, under another `Idempotency-Key`");
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = Enrolment;
}

impl Endpoint for EnrolTotp {
    const ACTION: Action = Action("enrolTotp");
    type Target = User;

    async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<User> {
        Ok(User::own(scope.principal()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<Enrolment> {
        let (member, tenant) = cx.own_membership().await?;
        if member.mfa_enrolled {
            return Err(Error::conflict("totp_enrolled", "a second factor exists already: remove it first"));
        }
        let MemberPii { email, .. } = cx.open(&Membership::place(member.user), &member.pii).await?;
        let secret = TotpSecret::generate();
        let uri = secret.uri(&format!("Cloister {}", tenant.name), email.as_str());
        let answer = Enrolment {
            secret: Issued::new(secret.to_base32()),
            qr_svg: Issued::new(domain::svg(&uri).ok_or(Error::internal("qr code"))?),
            otpauth_uri: Issued::new(uri),
        };
        cx.enrol_second_factor(&Authenticator { secret }).await?;
        cx.touched("User", member.user);
        cx.changes().changed(["second_factor"]);
        Ok(answer)
    }
}
