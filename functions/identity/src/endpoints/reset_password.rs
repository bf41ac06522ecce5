use super::challenge::WEAK;
use crate::secret::Secret;
use common::{
    base::{AuthFailure, Error, Need, Result},
    request::{Data, IdempotencyKey, Json, Operation, Public, PublicEndpoint, Route, Sample},
    store::RateLimit,
};

common::input! {
    /// The token from the mail, and the new password.
    pub struct Reset { required token: Secret, required new_password: Secret }
}

/// Sets a password by the token from a mail. All sessions of the user end; a second factor stays.
#[derive(Debug)]
pub struct ResetPassword;

impl Operation for ResetPassword {
    const NAME: &'static str = "reset_password";
    const SUMMARY: &'static str = "Set a new password by the token from a mail";
    const ROUTE: Route = Route::post("/v1/auth/password/reset");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Sessions, Need::SignIn, Need::Passwords];
    const LIMIT: RateLimit = RateLimit::FAILURES;
    const STATUS: u16 = 204;
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    const SAMPLE: Sample = Sample::body(r#"{"token":"the token from the mail","new_password":"another synthetic password"}"#);
    type Input = Json<Reset>;
    type Output = ();
}

impl PublicEndpoint for ResetPassword {
    const REFUSED: AuthFailure = AuthFailure::InvalidResetToken;

    async fn handle(cx: &mut Public<'_, Self>, Json(given): Json<Reset>) -> Result<()> {
        if cx.reset_password(given.token.expose(), given.new_password.expose()).await? {
            return Ok(());
        }
        Err(Error::invalid("new_password", "weak", WEAK))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        consumers::CONSUMERS,
        fixtures::{caller, endpoint, login, sign_in, text},
    };
    use common::base::Role;
    use serde_json::json;
    use std::time::Duration;
    use testing::{Answer, App, PASSWORD, Tenant};

    const CHOSEN: &str = "Chosen-Passw0rd-7!";

    async fn forgot(app: &App, email: &str, ip: &str) -> Answer {
        app.anonymous().call(endpoint("forgot_password")).json(json!({"email": email})).from_ip(ip).await
    }

    async fn reset(app: &App, token: &str) -> Answer {
        let body = json!({"token": token, "new_password": CHOSEN});
        app.anonymous().call(endpoint("reset_password")).json(body).await
    }

    /// The tokens in the mails so far.
    fn tokens(app: &App) -> Vec<String> {
        let mails = app.mails();
        let text = |mail: &serde_json::Value| mail["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap().to_owned();
        mails.iter().map(text).filter_map(|t| Some(t.split_once("token: ")?.1.split_whitespace().next()?.to_owned())).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn forgotten_password_is_reset_once_by_the_mailed_token() {
        let app = App::with_cognito().await;
        let email = app.email(Tenant::Acme, Role::Marketer);
        let before = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let asked = forgot(&app, &email, "198.51.100.1").await;
        assert_eq!((asked.status, &asked.json), (202, &json!({})), "{}", asked.text);
        let mut deliveries = app.deliveries(CONSUMERS).copies(2);
        deliveries.settle().await;
        let tokens = tokens(&app);
        assert!(
            !tokens.is_empty() && tokens.iter().all(|t| *t == tokens[0]),
            "the message arrived twice, with one token: {tokens:?}"
        );
        let mails = serde_json::to_string(&app.mails()).unwrap();
        assert!(mails.contains("X-Cloister-Id") && !mails.contains("acme-health.example/"), "{mails}");

        let invented = reset(&app, "invented").await;
        assert_eq!((invented.status, invented.code()), (401, "invalid_credentials"));
        assert_eq!(invented.json["detail"], "the token is wrong, was used before, or has expired");
        assert_eq!(reset(&app, &tokens[0]).await.status, 204);
        assert_eq!(reset(&app, &tokens[0]).await.status, 401, "the token works once");
        assert_eq!(caller(&app, text(&before, "access_token")).await.call(endpoint("me")).await.status, 401);
        assert_eq!(login(&app, &email, PASSWORD, "192.0.2.9").await.status, 401);
        assert_eq!(login(&app, &email, CHOSEN, "192.0.2.9").await.status, 200);
        // The user with the same role in the other tenant still has their old password.
        assert_eq!(login(&app, &app.email(Tenant::Birch, Role::Marketer), PASSWORD, "192.0.2.9").await.status, 200);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn unknown_email_gets_the_same_answer_and_no_mail() {
        let app = App::with_cognito().await;
        forgot(&app, "nobody@acme-health.example", "198.51.100.9").await;
        let mut seen = Vec::new();
        for (i, email) in [app.email(Tenant::Acme, Role::Viewer), "nobody2@acme-health.example".to_owned()].iter().enumerate() {
            app.reset_calls();
            let answer = forgot(&app, email, &format!("198.51.100.{i}")).await;
            seen.push((answer.status, answer.text.clone(), app.calls().dynamodb));
        }
        assert_eq!(seen[0], seen[1]);
        app.deliveries(CONSUMERS).settle().await;
        assert_eq!(app.mails().len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn reset_token_is_valid_for_half_an_hour_and_active_members() {
        let app = App::with_cognito().await;
        for (role, late) in [(Role::Marketer, true), (Role::Viewer, false)] {
            forgot(&app, &app.email(Tenant::Acme, role), "198.51.100.1").await;
            app.deliveries(CONSUMERS).settle().await;
            let token = tokens(&app).pop().unwrap();
            if late {
                app.clock().advance(Duration::from_secs(1800));
            } else {
                app.disable_member(Tenant::Acme, role).await;
            }
            assert_eq!(reset(&app, &token).await.status, 401);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn email_gets_at_most_three_reset_mails_an_hour() {
        let app = App::with_cognito().await;
        let email = app.email(Tenant::Acme, Role::Viewer);
        for i in 0..3 {
            assert_eq!(forgot(&app, &email, &format!("198.51.100.{i}")).await.status, 202);
        }
        assert_eq!(forgot(&app, &email, "198.51.100.9").await.status, 429);
    }
}
