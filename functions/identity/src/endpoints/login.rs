use crate::{
    secret::Secret,
    sign_in::{self, ChallengeName, SignedIn},
};
use common::{
    aws::cognito::SignIn,
    base::{AuthFailure, Error, Need, Result},
    identity::PendingSignIn,
    request::{Data, IdempotencyKey, Json, Operation, PerNetwork, Public, PublicEndpoint, Route, Sample},
    store::RateLimit,
};
use phi::Email;
use std::borrow::Cow;

common::input! {
    /// The user's credentials.
    pub struct Credentials { required email: Email, required password: Secret }
}

/// Signs in with e-mail and password.
///
/// The answer does not show whether the account exists. An unknown e-mail, a wrong password and a disabled user take the same
/// steps, count equally against the limits of the network and of the e-mail, and get the same answer.
#[derive(Debug)]
pub struct Login;

impl Operation for Login {
    const NAME: &'static str = "login";
    const SUMMARY: &'static str = "Sign in with e-mail and password";
    const ROUTE: Route = Route::post("/v1/auth/login");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Seal, Need::Search, Need::Sessions, Need::SignIn];
    const LIMIT: RateLimit = RateLimit::AUTH_LOGIN;
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    const SAMPLE: Sample = Sample::body(r#"{"email":"marketer@acme-health.example","password":"a synthetic password"}"#);
    type Input = Json<Credentials>;
    type Output = SignedIn;
}

impl PublicEndpoint for Login {
    const PER_NETWORK: PerNetwork = PerNetwork::Failures(RateLimit::SIGN_IN_FAILURES);

    async fn handle(cx: &mut Public<'_, Self>, Json(given): Json<Credentials>) -> Result<SignedIn> {
        let email = given.email.normalised();
        let subject = cx.platform_token("login.email", &email).await?;
        let guard = cx.sign_in_guard(&subject).await?;
        let signed_in = Box::pin(try_password(cx, &given, guard.account(&email, &subject))).await;
        let signed_in = signed_in.map_err(|error| guard.refusal(error))?;
        cx.came_in(Self::LIMIT, &subject).await;
        Ok(signed_in)
    }
}

async fn try_password(
    cx: &mut Public<'_, Login>,
    given: &Credentials,
    account: (Cow<'_, str>, Cow<'_, str>),
) -> Result<SignedIn> {
    let (email, subject) = account;
    cx.limit_email(Login::LIMIT, &subject).await?;
    cx.unless_locked(&subject).await?;
    match cx.cognito()?.password(&email, given.password.expose()).await? {
        SignIn::Done(tokens) => sign_in::after_password(cx, tokens).await,
        SignIn::NewPasswordRequired { user, session } => {
            let member = cx.member_of_email(&given.email).await;
            sign_in::like_a_wrong_password(cx, member)?;
            let challenge = ChallengeName::NewPasswordRequired;
            let pending = PendingSignIn::of_pool(challenge.as_str(), user, session);
            Ok(challenge.answer(cx.suspend(&pending).await?))
        }
        SignIn::Refused | SignIn::WeakPassword => {
            cx.wrong_password(&subject).await?;
            Err(Error::Unauthenticated(AuthFailure::InvalidCredentials))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{caller, endpoint, event, login, sign_in, text};
    use common::{base::Role, identity::TenantStatus};
    use futures_util::future::join_all;
    use serde_json::json;
    use std::{future::IntoFuture, time::Duration};
    use testing::{App, PASSWORD, Tenant};

    const WRONG: &str = "Not-The-Passw0rd!";

    #[tokio::test(flavor = "multi_thread")]
    async fn member_signs_in_and_the_tenants_audit_log_records_it() {
        let app = App::with_cognito().await;
        let before = (app.platform_audit().await.len(), app.audit(Tenant::Birch).await.len());
        let answer = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        assert_eq!((&answer.json["token_type"], &answer.json["expires_in"]), (&json!("Bearer"), &json!(900)));
        assert_eq!((answer.header("ratelimit-limit"), answer.header("ratelimit-remaining")), (Some("100"), Some("100")));

        let me = caller(&app, text(&answer, "access_token")).await.call(endpoint("me")).await;
        assert_eq!((me.status, &me.json["email"]), (200, &json!(app.email(Tenant::Acme, Role::Marketer))), "{}", me.text);

        let events = app.audit(Tenant::Acme).await;
        let event = events.iter().find(|e| e["type"] == "api.login").unwrap();
        assert_eq!(
            json!([
                event["outcome"],
                event["status"],
                event["actor"]["type"],
                event["actor"]["id"],
                event["actor"]["session_id"]
            ]),
            json!([
                "success",
                200,
                "user",
                app.user_id(Tenant::Acme, Role::Marketer).to_string(),
                me.json["session"]["session_id"]
            ])
        );
        assert_eq!((app.platform_audit().await.len(), app.audit(Tenant::Birch).await.len()), before);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn passwords_and_tokens_are_in_no_log_event_or_table() {
        let app = App::with_cognito().await;
        let answer = sign_in(&app, Tenant::Acme, Role::Viewer).await;
        let email = app.email(Tenant::Acme, Role::Viewer);
        let mut all = serde_json::to_string(&app.log_lines()).unwrap();
        all += &serde_json::to_string(&app.audit(Tenant::Acme).await).unwrap();
        for table in ["RecordsTable", "LedgerTable", "EphemeraTable", "KeysTable"] {
            all += &format!("{:?}", app.dump(table).await);
        }
        for secret in [PASSWORD, &email, text(&answer, "access_token"), text(&answer, "id_token"), text(&answer, "refresh_token")]
        {
            assert!(!all.contains(secret), "{secret}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn wrong_passwords_from_any_address_lock_the_account_silently() {
        let app = App::with_cognito().await;
        let email = app.email(Tenant::Acme, Role::Marketer);
        let mut said = Vec::new();
        for i in 0..19 {
            // The e-mail's own limit allows a try this often, from other addresses.
            app.clock().advance(Duration::from_secs(180));
            said.push(login(&app, &email, WRONG, &format!("198.51.100.{i}")).await);
        }
        app.clock().advance(Duration::from_secs(180));
        let locked = login(&app, &email, PASSWORD, "198.51.100.50").await;
        assert_eq!((locked.status, locked.code()), (401, "invalid_credentials"));
        assert_eq!(locked.without_correlation_id(), said[0].without_correlation_id());
        assert!(app.platform_audit().await.iter().any(|e| e["reason"] == "account_locked"));
        assert_eq!(login(&app, &app.email(Tenant::Birch, Role::Marketer), PASSWORD, "198.51.100.51").await.status, 200);
        app.clock().advance(Duration::from_secs(360));
        assert_eq!(login(&app, &email, PASSWORD, "198.51.100.52").await.status, 200);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn unknown_email_wrong_password_and_disabled_user_get_the_same_answer() {
        let app = App::with_cognito().await;
        let disabled = app.user_id(Tenant::Acme, Role::Analyst);
        app.cognito("AdminDisableUser", json!({"Username": disabled.to_string()})).await;
        // Fills the caches that a process fills at its first call.
        login(&app, "nobody@acme-health.example", WRONG, "192.0.2.1").await;
        let mut seen = Vec::new();
        for (email, password) in [
            (app.email(Tenant::Acme, Role::Marketer), WRONG),
            (format!("unknown.{}", app.email(Tenant::Acme, Role::Marketer)), WRONG),
            (app.email(Tenant::Acme, Role::Analyst), PASSWORD),
        ] {
            app.reset_calls();
            let answer = login(&app, &email, password, &format!("198.51.100.{}", seen.len())).await;
            let names: Vec<_> = answer.headers.iter().map(|(name, _)| name.clone()).collect();
            seen.push((answer.status, answer.without_correlation_id(), names, app.calls()));
        }
        assert_eq!(seen[0].0, 401);
        assert!(seen[0].1.contains("invalid_credentials"), "{}", seen[0].1);
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0], seen[2]);
        let events = app.platform_audit().await;
        let event = event(&events, "api.login", 401);
        assert_eq!(json!([event["reason"], event["actor"]["type"]]), json!(["invalid_credentials", "anonymous"]));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn known_or_unknown_email_has_five_tries_in_fifteen_minutes() {
        let app = App::with_cognito().await;
        for email in [app.email(Tenant::Acme, Role::Marketer), format!("unknown.{}", app.email(Tenant::Acme, Role::Marketer))] {
            for i in 0..5 {
                assert_eq!(login(&app, &email, WRONG, &format!("198.51.100.{i}")).await.status, 401);
            }
            let refused = login(&app, &email.to_uppercase(), PASSWORD, "198.51.100.9").await;
            assert_eq!((refused.status, refused.code()), (429, "rate_limited"));
            let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=180).contains(&wait), "{wait}");
            app.clock().advance(Duration::from_secs(wait));
            let status = login(&app, &email, PASSWORD, "198.51.100.10").await.status;
            assert_ne!(status, 429);
            app.clock().advance(Duration::from_secs(900));
        }
    }

    /// A hundred wrong passwords from one address, each for a different account.
    async fn spend(app: &App, ip: &str) {
        for i in 0..100 {
            let status = login(app, &format!("nobody{i}@birch-clinic.example"), WRONG, ip).await.status;
            assert_eq!(status, 401, "{i}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn success_is_free_for_an_address_and_a_sixth_of_a_failure_for_an_email() {
        let app = App::with_cognito().await;
        let email = app.email(Tenant::Acme, Role::Marketer);
        for i in 0..25 {
            let answer = login(&app, &email, PASSWORD, "203.0.113.4").await;
            assert_eq!((answer.status, answer.header("ratelimit-remaining")), (200, Some("100")), "{i}: {}", answer.text);
        }
        assert_eq!(login(&app, &email, PASSWORD, "203.0.113.4").await.code(), "rate_limited");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn address_with_a_hundred_failures_admits_only_accounts_known_there() {
        let app = App::with_cognito().await;
        let of = |tenant, role| app.email(tenant, role);
        let (known, other) = (of(Tenant::Birch, Role::Marketer), of(Tenant::Acme, Role::Marketer));
        let (typist, stranger) = (of(Tenant::Birch, Role::Viewer), of(Tenant::Acme, Role::Viewer));
        let knows = of(Tenant::Acme, Role::Analyst);
        for email in [&known, &other, &typist] {
            assert_eq!(login(&app, email, PASSWORD, "203.0.113.5").await.status, 200);
        }
        // A sign-in within the last moments changes the number of calls, from any address, so the clock advances.
        app.clock().advance(Duration::from_secs(60));
        spend(&app, "203.0.113.5").await;
        // The answer is the same for every kind of failure: a wrong password of an account that is known or unknown at this
        // address, a right password from an unknown one, and no account.
        let mut seen = Vec::new();
        for (email, password) in [(&typist, WRONG), (&stranger, WRONG), (&knows, PASSWORD), (&"no@one.example".into(), WRONG)] {
            app.reset_calls();
            let answer = login(&app, email, password, "203.0.113.5").await;
            let headers: Vec<_> = answer.headers.iter().filter(|(name, _)| *name != "x-correlation-id").cloned().collect();
            seen.push((answer.status, answer.without_correlation_id(), headers, app.calls()));
        }
        assert_eq!(seen[0].0, 429);
        for other in &seen[1..] {
            assert_eq!(*other, seen[0]);
        }
        // An account that is known at this address can sign in. An account whose last password was wrong cannot until an hour
        // later.
        for email in [&known, &other] {
            assert_eq!(login(&app, email, PASSWORD, "203.0.113.5").await.status, 200);
        }
        assert_eq!(login(&app, &typist, PASSWORD, "203.0.113.5").await.status, 429);
        // From another address all can sign in: the failures did not count against their accounts.
        for email in [&typist, &stranger] {
            assert_eq!(login(&app, email, PASSWORD, "203.0.113.6").await.status, 200);
        }
        let events = app.platform_audit().await;
        assert_eq!(event(&events, "api.login", 429)["count"], 5);
        // The address gets another try every 36 seconds.
        app.clock().advance(Duration::from_secs(36));
        assert_eq!(login(&app, &stranger, PASSWORD, "203.0.113.5").await.status, 200);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn concurrent_guesses_are_all_counted() {
        let app = App::with_cognito().await;
        let guess = |i: usize| {
            let body = json!({"email": format!("nobody{}@birch-clinic.example", 100 + i), "password": WRONG});
            app.anonymous().call(endpoint("login")).json(body).from_ip("203.0.113.8").into_future()
        };
        spend(&app, "203.0.113.8").await;
        app.clock().advance(Duration::from_secs(36));
        // The limit has room for one try.
        let mut answers = Vec::new();
        for wave in [0..8, 8..16] {
            answers.extend(join_all(wave.map(guess)).await);
        }
        assert!(answers.iter().all(|answer| [401, 429].contains(&answer.status)));
        let stranger = app.email(Tenant::Acme, Role::Viewer);
        app.clock().advance(Duration::from_secs(36));
        assert_eq!(login(&app, &stranger, PASSWORD, "203.0.113.8").await.status, 429, "each guess is counted");
        app.clock().advance(Duration::from_secs(36 * 20));
        assert_eq!(login(&app, &stranger, PASSWORD, "203.0.113.8").await.status, 200);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn suspended_tenant_is_reported_only_after_the_right_password() {
        let app = App::with_cognito().await;
        app.as_administrator(app.operator().set_status(app.tenant_id(Tenant::Birch), TenantStatus::Suspended)).await.unwrap();
        let email = app.email(Tenant::Birch, Role::Provider);
        assert_eq!(login(&app, &email, WRONG, "192.0.2.1").await.status, 401);
        let answer = login(&app, &email, PASSWORD, "192.0.2.1").await;
        assert_eq!((answer.status, answer.code()), (403, "tenant_inactive"));
        let events = app.audit(Tenant::Birch).await;
        assert_eq!(event(&events, "api.login", 403)["reason"], "tenant_inactive");
        assert!(app.dump("EphemeraTable").await.iter().all(|item| !item.contains_key("pool_token")));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn disabled_member_gets_the_answer_of_a_wrong_password() {
        let app = App::with_cognito().await;
        let email = app.email(Tenant::Acme, Role::Provider);
        let wrong = login(&app, &email, WRONG, "192.0.2.1").await;
        app.disable_member(Tenant::Acme, Role::Provider).await;
        let right = login(&app, &email, PASSWORD, "192.0.2.1").await;
        assert_eq!((right.status, right.without_correlation_id()), (401, wrong.without_correlation_id()));
        assert_eq!(app.log_lines().last().unwrap()["sign_in.refused"], "no_membership");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pool_groups_and_attributes_grant_nothing() {
        let app = App::with_cognito().await;
        let user = app.user_id(Tenant::Acme, Role::Viewer).to_string();
        app.cognito("AdminAddUserToGroup", json!({"Username": user, "GroupName": "super_admin"})).await;
        let birch = app.tenant_id(Tenant::Birch).to_string();
        let attributes = json!([{"Name": "custom:tenant_id", "Value": birch}, {"Name": "profile", "Value": birch}]);
        app.cognito("AdminUpdateUserAttributes", json!({"Username": user, "UserAttributes": attributes})).await;
        let answer = sign_in(&app, Tenant::Acme, Role::Viewer).await;
        let me = caller(&app, text(&answer, "access_token")).await.call(endpoint("me")).await;
        assert_eq!(
            (&me.json["tenant_id"], &me.json["roles"]),
            (&json!(app.tenant_id(Tenant::Acme).to_string()), &json!(["viewer"]))
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn sign_in_without_audit_event_returns_no_tokens() {
        let app = App::with_cognito().await;
        app.wire().fail("TransactWriteItems", 0, 100, testing::Fault::Gone);
        let answer = login(&app, &app.email(Tenant::Acme, Role::Marketer), PASSWORD, "192.0.2.1").await;
        assert_eq!((answer.status, answer.code()), (503, "dependency_unavailable"));
        assert!(!answer.text.contains("token"), "{}", answer.text);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn cognito_outage_stops_sign_in_but_not_open_sessions() {
        let app = App::with_cognito().await;
        let signed_in = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        app.wire().fail("cognito", 0, 100, testing::Fault::Gone);
        let answer = login(&app, &app.email(Tenant::Acme, Role::Marketer), PASSWORD, "192.0.2.1").await;
        assert_eq!((answer.status, answer.code(), answer.header("retry-after")), (503, "dependency_unavailable", Some("1")));
        let me = caller(&app, text(&signed_in, "access_token")).await.call(endpoint("me")).await;
        assert_eq!(me.status, 200, "{}", me.text);
        app.wire().heal();
        sign_in(&app, Tenant::Acme, Role::Marketer).await;
    }

    #[tokio::test]
    async fn input_errors_of_login_do_not_repeat_the_values() {
        let app = App::start().await;
        let given = json!({"email": "not an e-mail", "password": 4711, "extra": true});
        let answer = app.anonymous().call(endpoint("login")).json(given).await;
        assert_eq!(answer.status, 422);
        let fields: Vec<_> = answer.json["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
        assert_eq!(fields, ["email", "password", "extra"]);
        assert!(!answer.text.contains("4711") && !answer.text.contains("not an e-mail"), "{}", answer.text);
    }
}
