use crate::{
    domain::{
        recovery::RecoveryCode,
        totp::{Authenticator, TotpCode},
    },
    second_factor::Given,
    secret::Secret,
    sign_in::{self, ChallengeName, SignedIn},
};
use common::{
    aws::cognito::SignIn,
    base::{AuthFailure, Error, Need, Result},
    identity::PendingSignIn,
    request::{Data, IdempotencyKey, Json, Operation, Public, PublicEndpoint, Route, Sample},
    store::RateLimit,
};

common::input! {
    /// The answer to a challenge. The challenge determines which members are required.
    pub struct Response {
        required challenge: ChallengeName,
        /// The `session` of the login answer.
        required session: Secret,
        /// For NEW_PASSWORD_REQUIRED: the new password.
        optional new_password: Secret,
        /// For TOTP: the authenticator's code.
        optional code: TotpCode,
        /// For TOTP: a recovery code instead of `code`.
        optional recovery_code: RecoveryCode,
    }
}

/// The parsed answer to a challenge.
enum ChallengeAnswer {
    NewPassword(Secret),
    Code(Given),
    /// The second factor has been enrolled, in a separate session.
    Enrolled,
}

impl ChallengeAnswer {
    fn of(given: Response) -> Result<Self> {
        let foreign =
            |field: &str| Err(Error::invalid(field, "not_with_this_challenge", "this challenge does not accept this member"));
        match (given.challenge, given.new_password, given.code, given.recovery_code) {
            (ChallengeName::NewPasswordRequired, Some(password), None, None) => Ok(Self::NewPassword(password)),
            (ChallengeName::NewPasswordRequired, None, None, None) => {
                Err(Error::invalid("new_password", "required", "a new password is required"))
            }
            (ChallengeName::Totp, None, code, recovery_code) => Given::of(code, recovery_code).map(Self::Code),
            (ChallengeName::MfaSetup, None, None, None) => Ok(Self::Enrolled),
            (ChallengeName::Totp | ChallengeName::MfaSetup, Some(_), ..) => foreign("new_password"),
            (_, _, Some(_), _) => foreign("code"),
            _ => foreign("recovery_code"),
        }
    }
}

/// Continues a sign-in that waits for the answer to a challenge.
#[derive(Debug)]
pub struct Challenge;

impl Operation for Challenge {
    const NAME: &'static str = "challenge";
    const SUMMARY: &'static str = "Answer a sign-in challenge";
    const ROUTE: Route = Route::post("/v1/auth/challenge");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Seal, Need::Sessions, Need::SecondFactor, Need::SignIn];
    // The tries of the sign-in and of the second factor limit guesses. This limit stops an address from inventing handles.
    const LIMIT: RateLimit = RateLimit::FAILURES;
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    const SAMPLE: Sample = Sample::body(r#"{"challenge":"TOTP","session":"the session of the login answer","code":"123456"}"#);
    type Input = Json<Response>;
    type Output = SignedIn;
}

impl PublicEndpoint for Challenge {
    const REFUSED: AuthFailure = AuthFailure::InvalidAnswer;

    async fn handle(cx: &mut Public<'_, Self>, Json(given): Json<Response>) -> Result<SignedIn> {
        let (challenge, handle) = (given.challenge, given.session.expose().to_owned());
        let answer = ChallengeAnswer::of(given)?;
        let pending = cx.resume(&handle).await?;
        if pending.challenge.0 != challenge.as_str() {
            return Err(invalid());
        }
        let signed_in = match answer {
            ChallengeAnswer::NewPassword(password) => Box::pin(new_password(cx, &pending, &password)).await?,
            ChallengeAnswer::Code(code) => Box::pin(second_factor(cx, &pending, &code)).await?,
            ChallengeAnswer::Enrolled => Box::pin(enrolled(cx, &pending)).await?,
        };
        cx.resumed(&handle);
        Ok(signed_in)
    }
}

fn invalid() -> Error {
    Error::Unauthenticated(AuthFailure::InvalidCredentials)
}

async fn new_password(cx: &mut Public<'_, Challenge>, pending: &PendingSignIn, password: &Secret) -> Result<SignedIn> {
    let pool_session = pending.pool_session.as_ref().ok_or(Error::internal("pending sign-in"))?;
    match cx.cognito()?.new_password(&pending.user.0, &pool_session.0, password.expose()).await? {
        SignIn::Done(tokens) => sign_in::after_password(cx, tokens).await,
        SignIn::WeakPassword => Err(Error::invalid("new_password", "weak", WEAK)),
        SignIn::Refused | SignIn::NewPasswordRequired { .. } => Err(invalid()),
    }
}

/// The pool's password rules.
pub(super) const WEAK: &str = "the password does not meet the rules: 12 characters or more, with lower and upper case, a digit and a \
                               symbol, none of them invisible, and not one used before";

async fn second_factor(cx: &mut Public<'_, Challenge>, pending: &PendingSignIn, given: &Given) -> Result<SignedIn> {
    let tokens = pending.tokens().ok_or(Error::internal("pending sign-in"))?;
    let member = sign_in::member(cx, &tokens).await?;
    let factor = cx.try_second_factor(&member).await?.ok_or_else(invalid)?;
    let authenticator: Authenticator = cx.open_second_factor(&factor).await?;
    let now = cx.now();
    let spent = given.judge(&factor, &authenticator, now).ok_or_else(invalid)?;
    cx.spend_second_factor(&factor, spent);
    sign_in::open(cx, &member, tokens, Some(now)).await
}

async fn enrolled(cx: &mut Public<'_, Challenge>, pending: &PendingSignIn) -> Result<SignedIn> {
    let (tokens, session) = pending.tokens().zip(pending.enrolment()).ok_or(Error::internal("pending sign-in"))?;
    let member = sign_in::member(cx, &tokens).await?;
    let given_at = cx.enrolled_in(&member, session).await?;
    let given_at =
        given_at.ok_or(Error::conflict("not_enrolled", "enrol a second factor first, with `session` as the bearer token"))?;
    sign_in::open(cx, &member, tokens, Some(given_at)).await
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{caller, endpoint, event, login, text};
    use common::{base::Role, identity::TenantStatus, run::operator::NewUser};
    use serde_json::json;
    use std::time::Duration;
    use testing::{Answer, App, Fault, Tenant};

    const TEMPORARY: &str = "Temporary-Passw0rd!";
    const CHOSEN: &str = "Chosen-Passw0rd-7!";

    /// Creates a member with a temporary password and returns their e-mail.
    async fn invited(app: &App) -> String {
        let email = format!("new.{}", app.email(Tenant::Acme, Role::Viewer));
        let parsed = email.parse().unwrap();
        let new = NewUser { email: &parsed, password: TEMPORARY, permanent: false, roles: &[Role::Viewer] };
        app.as_administrator(app.operator().create_user(app.tenant_id(Tenant::Acme), &new)).await.unwrap();
        email
    }

    /// Signs in with the temporary password and returns the handle of the pending sign-in.
    async fn pending(app: &App, email: &str) -> String {
        let answer = login(app, email, TEMPORARY, "192.0.2.1").await;
        assert_eq!((answer.status, &answer.json["challenge"]), (200, &json!("NEW_PASSWORD_REQUIRED")), "{}", answer.text);
        assert_eq!(answer.json.as_object().unwrap().len(), 2, "{}", answer.text);
        text(&answer, "session").to_owned()
    }

    async fn answer(app: &App, handle: &str, password: &str) -> Answer {
        let body = json!({"challenge": "NEW_PASSWORD_REQUIRED", "session": handle, "new_password": password});
        app.anonymous().call(endpoint("challenge")).json(body).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn temporary_password_is_replaced_and_the_member_is_signed_in() {
        let app = App::with_cognito().await;
        let email = invited(&app).await;
        let handle = pending(&app, &email).await;
        let done = answer(&app, &handle, CHOSEN).await;
        assert_eq!(done.status, 200, "{}", done.text);
        let me = caller(&app, text(&done, "access_token")).await.call(endpoint("me")).await;
        assert_eq!(me.json["email"], json!(email));
        let events = app.audit(Tenant::Acme).await;
        let session = &event(&events, "api.challenge", 200)["actor"]["session_id"];
        assert_eq!(session, &me.json["session"]["session_id"]);
        assert!(
            event(&events, "api.login", 200)["actor"]["session_id"].is_null(),
            "there is no session before the challenge is answered"
        );

        let twice = answer(&app, &handle, "Another-Passw0rd-7!").await;
        assert_eq!((twice.status, twice.code()), (401, "invalid_credentials"));
        assert_eq!(login(&app, &email, TEMPORARY, "192.0.2.1").await.status, 401);
        assert_eq!(login(&app, &email, CHOSEN, "192.0.2.1").await.status, 200);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn weak_password_is_refused_and_the_sign_in_stays_pending() {
        let app = App::with_cognito().await;
        let email = invited(&app).await;
        let handle = pending(&app, &email).await;
        for code in ["InvalidPasswordException", "PasswordHistoryPolicyViolationException"] {
            app.wire().fail("AdminRespondToAuthChallenge", 0, 1, Fault::Refused(code));
            let weak = answer(&app, &handle, "weak").await;
            assert_eq!((weak.status, &weak.json["errors"][0]["field"]), (422, &json!("new_password")), "{}", weak.text);
        }
        assert_eq!(answer(&app, &handle, CHOSEN).await.status, 200);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pending_sign_in_ends_after_five_tries_or_five_minutes() {
        let app = App::with_cognito().await;
        let email = invited(&app).await;
        let handle = pending(&app, &email).await;
        app.wire().fail("AdminRespondToAuthChallenge", 0, 5, Fault::Refused("InvalidPasswordException"));
        for _ in 0..5 {
            assert_eq!(answer(&app, &handle, "weak").await.status, 422);
        }
        assert_eq!(answer(&app, &handle, CHOSEN).await.status, 401);

        let handle = pending(&app, &email).await;
        app.clock().advance(Duration::from_secs(300));
        assert_eq!(answer(&app, &handle, CHOSEN).await.status, 401);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn new_password_challenge_of_a_suspended_tenant_is_refused() {
        let app = App::with_cognito().await;
        let email = invited(&app).await;
        app.as_administrator(app.operator().set_status(app.tenant_id(Tenant::Acme), TenantStatus::Suspended)).await.unwrap();
        let refused = login(&app, &email, TEMPORARY, "192.0.2.1").await;
        assert_eq!((refused.status, refused.code()), (403, "tenant_inactive"));
    }

    #[tokio::test]
    async fn invented_handle_is_refused() {
        let app = App::start().await;
        let refused = answer(&app, "invented", CHOSEN).await;
        assert_eq!((refused.status, refused.code()), (401, "invalid_credentials"));
    }
}
