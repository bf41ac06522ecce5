use crate::events::PasswordResetRequested;
use common::{
    aws::cognito::EMAIL_TOKEN_FIELD,
    base::{Need, Result},
    request::{Data, IdempotencyKey, Json, Operation, PerNetwork, Public, PublicEndpoint, Route, Sample},
    store::RateLimit,
};
use phi::Email;
use schemars::JsonSchema;
use serde::Serialize;

common::input! {
    /// The e-mail of the account.
    pub struct Forgotten { required email: Email }
}

/// Empty: the answer does not show whether the account exists.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Accepted {}

/// Requests a mail that resets a password, if the account exists.
///
/// The endpoint does the same work in both cases: it stores an intent. Only the consumer of the intent looks for the account.
#[derive(Debug)]
pub struct ForgotPassword;

impl Operation for ForgotPassword {
    const NAME: &'static str = "forgot_password";
    const SUMMARY: &'static str = "Request a mail that resets a password";
    const ROUTE: Route = Route::post("/v1/auth/password/forgot");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Search];
    const LIMIT: RateLimit = RateLimit::PASSWORD_RESET;
    const STATUS: u16 = 202;
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    const SAMPLE: Sample = Sample::body(r#"{"email":"marketer@acme-health.example"}"#);
    type Input = Json<Forgotten>;
    type Output = Accepted;
}

impl PublicEndpoint for ForgotPassword {
    // Every request counts, because none can be recognised as wrong: an unknown e-mail gets the same answer.
    const PER_NETWORK: PerNetwork = PerNetwork::Requests(RateLimit::RESETS);

    async fn handle(cx: &mut Public<'_, Self>, Json(given): Json<Forgotten>) -> Result<Accepted> {
        let email_token = cx.platform_token(EMAIL_TOKEN_FIELD, &given.email.normalised()).await?;
        cx.limit_email(Self::LIMIT, &email_token).await?;
        cx.emit_to_platform(PasswordResetRequested { email_token }.into());
        Ok(Accepted {})
    }
}
