use crate::{secret::Secret, sign_in::TokenSet};
use common::{
    aws::cognito::SignIn,
    base::{AuthFailure, Error, Need, Result},
    identity::RefreshToken,
    request::{Data, IdempotencyKey, Json, Operation, Public, PublicEndpoint, Route, Sample},
    store::RateLimit,
};

common::input! {
    /// A refresh token.
    pub struct Holder { required refresh_token: Secret }
}

/// Exchanges a refresh token for new tokens of the same session.
#[derive(Debug)]
pub struct Refresh;

impl Operation for Refresh {
    const NAME: &'static str = "refresh";
    const SUMMARY: &'static str = "Exchange a refresh token for new tokens";
    const ROUTE: Route = Route::post("/v1/auth/refresh");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Seal, Need::Sessions, Need::SignIn];
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    const LIMIT: RateLimit = RateLimit::FAILURES;
    const SAMPLE: Sample = Sample::body(r#"{"refresh_token":"the token of the login or refresh answer"}"#);
    type Input = Json<Holder>;
    type Output = TokenSet;
}

impl PublicEndpoint for Refresh {
    async fn handle(cx: &mut Public<'_, Self>, Json(given): Json<Holder>) -> Result<TokenSet> {
        let presented = cx.present(&RefreshToken::parse(given.refresh_token.expose())?).await?;
        // Cognito is called first: if it does not answer, the caller's token stays valid.
        match cx.cognito()?.refresh(presented.user, presented.pool_refresh()).await? {
            SignIn::Done(tokens) => {
                // A token of another sign-in would belong to another session.
                if tokens.subject()?.session != presented.session {
                    return Err(Error::internal("cognito changed origin_jti"));
                }
                let next = cx.rotate(&presented, tokens.refresh.as_deref()).await?;
                Ok(TokenSet::of(tokens, &next))
            }
            SignIn::Refused | SignIn::WeakPassword | SignIn::NewPasswordRequired { .. } => {
                Err(Error::Unauthenticated(AuthFailure::InvalidRefreshToken))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{caller, endpoint, identity, refresh, sign_in, text};
    use common::{
        base::{Clock, Role},
        identity::TenantStatus,
    };
    use futures_util::future::join_all;
    use serde_json::{Value, json};
    use std::time::Duration;
    use testing::{Answer, App, Fault, Tenant};

    /// The `User-Agent` of the device that signs in.
    const DEVICE: &str = "testing/1";

    async fn me(app: &App, tokens: &Answer) -> u16 {
        caller(app, text(tokens, "access_token")).await.call(endpoint("me")).await.status
    }

    fn critical(events: &[Value]) -> Vec<&Value> {
        events.iter().filter(|e| e["severity"] == "critical").collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn refresh_returns_new_tokens_of_the_same_session() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let second = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        assert_eq!(second.status, 200, "{}", second.text);
        assert_ne!(text(&first, "refresh_token"), text(&second, "refresh_token"));
        let session = identity(&app, text(&first, "access_token")).await.session;
        assert_eq!(identity(&app, text(&second, "access_token")).await.session, session);
        assert_eq!(me(&app, &second).await, 200);
        assert_eq!(refresh(&app, text(&second, "refresh_token"), DEVICE).await.status, 200);
        let event = app.audit(Tenant::Acme).await.into_iter().rfind(|e| e["type"] == "api.refresh").unwrap();
        assert_eq!(json!([event["outcome"], event["actor"]["session_id"]]), json!(["success", session.to_string()]));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn reused_token_ends_the_session_and_raises_a_critical_event() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let second = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        app.clock().advance(Duration::from_secs(31));
        let reused = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        assert_eq!((reused.status, reused.code()), (401, "unauthenticated"));
        assert_eq!(me(&app, &second).await, 401);
        assert_eq!(refresh(&app, text(&second, "refresh_token"), DEVICE).await.status, 401);

        let events = app.audit(Tenant::Acme).await;
        let [event] = critical(&events)[..] else { panic!("{events:?}") };
        let user = app.user_id(Tenant::Acme, Role::Marketer).to_string();
        assert_eq!(
            json!([event["type"], event["reason"], event["actor"]["id"], event["status"]]),
            json!(["api.refresh", "refresh_token_reused", user, 401])
        );
        assert!(critical(&app.audit(Tenant::Birch).await).is_empty() && critical(&app.platform_audit().await).is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn used_token_gets_the_same_successor_within_30_seconds_only() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let lost = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        for seconds in [0, 1, 29] {
            app.clock().advance(Duration::from_secs(seconds));
            let again = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
            assert_eq!(again.status, 200, "{}", again.text);
            assert_eq!(text(&again, "refresh_token"), text(&lost, "refresh_token"));
            assert_eq!(me(&app, &again).await, 200);
        }
        assert!(critical(&app.audit(Tenant::Acme).await).is_empty());
        app.clock().advance(Duration::from_millis(1));
        assert_eq!(refresh(&app, text(&first, "refresh_token"), DEVICE).await.status, 401);
        assert_eq!(me(&app, &lost).await, 401);
        assert_eq!(critical(&app.audit(Tenant::Acme).await).len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn successor_returned_twice_is_refreshed_like_any_other() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        let again = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        let next = refresh(&app, text(&again, "refresh_token"), DEVICE).await;
        assert_eq!(next.status, 200);
        let lost = refresh(&app, text(&again, "refresh_token"), DEVICE).await;
        assert_eq!((lost.status, me(&app, &lost).await), (200, 200));
        // A third tab, which missed both refreshes, gets the token that is valid now.
        let late = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        assert_eq!((late.status, text(&late, "refresh_token")), (200, text(&next, "refresh_token")));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn concurrent_refreshes_of_one_token_all_get_one_successor() {
        let app = App::with_cognito().await;
        let mut held = text(&sign_in(&app, Tenant::Acme, Role::Marketer).await, "refresh_token").to_owned();
        let neighbour = sign_in(&app, Tenant::Birch, Role::Marketer).await;
        let mut told = 0;
        for _ in 0..5 {
            // All requests are held after they read the token and before any of them replaces it.
            let answers = join_all((0..6).map(|_| refresh(&app, &held, DEVICE))).await;
            let mut successors = std::collections::BTreeSet::new();
            for answer in answers {
                match answer.status {
                    200 => drop(successors.insert(text(&answer, "refresh_token").to_owned())),
                    _ => {
                        assert_eq!((answer.status, answer.code()), (409, "refresh_in_progress"), "{}", answer.text);
                        told += 1;
                        let again = refresh(&app, &held, DEVICE).await;
                        assert_eq!(again.status, 200, "{}", again.text);
                        successors.insert(text(&again, "refresh_token").to_owned());
                    }
                }
            }
            assert_eq!(successors.len(), 1, "one successor");
            held = successors.pop_first().unwrap();
            app.clock().advance(Duration::from_secs(31));
        }
        assert!(told > 0, "the requests never raced");
        assert_eq!(refresh(&app, &held, DEVICE).await.status, 200);
        assert_eq!(refresh(&app, text(&neighbour, "refresh_token"), DEVICE).await.status, 200);
        assert!(critical(&app.audit(Tenant::Acme).await).is_empty());
    }

    /// If it were returned, it would be a used token, and its holder would end the session with it.
    #[tokio::test(flavor = "multi_thread")]
    async fn successor_used_during_the_call_to_the_pool_is_not_returned() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let second = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        let mut held = app.wire().hold("AdminInitiateAuth", 0);
        let mut again = std::pin::pin!(refresh(&app, text(&first, "refresh_token"), DEVICE));
        tokio::select! {
            answer = &mut again => panic!("not held: {}", answer.text),
            () = held.arrived() => {}
        }
        let third = refresh(&app, text(&second, "refresh_token"), DEVICE).await;
        assert_eq!(third.status, 200, "{}", third.text);
        held.let_go();
        let again = again.await;
        assert_eq!((again.status, again.code()), (409, "refresh_in_progress"), "{}", again.text);
        let late = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        assert_eq!((late.status, text(&late, "refresh_token")), (200, text(&third, "refresh_token")), "{}", late.text);
        app.clock().advance(Duration::from_secs(31));
        assert_eq!(refresh(&app, text(&third, "refresh_token"), DEVICE).await.status, 200, "the session was not ended");
    }

    #[tokio::test]
    async fn token_within_the_grace_gets_the_newest_successor() {
        let app = App::with_cognito().await;
        let first = text(&sign_in(&app, Tenant::Acme, Role::Marketer).await, "refresh_token").to_owned();
        let mut held = first.clone();
        for _ in 0..24 {
            held = text(&refresh(&app, &held, DEVICE).await, "refresh_token").to_owned();
        }
        let late = refresh(&app, &first, DEVICE).await;
        assert_eq!((late.status, text(&late, "refresh_token")), (200, &*held), "{}", late.text);
    }

    /// Tabs that lose answers or come late, in many orders: a tab that comes within the grace period stays signed in, and a tab
    /// that comes later ends the session.
    #[tokio::test(flavor = "multi_thread")]
    async fn tabs_in_any_order_stay_signed_in_within_the_grace() {
        let app = App::with_cognito().await;
        for seed in 0_u64..12 {
            let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut roll = move |below: u64| {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                dice % below
            };
            app.clock().advance(Duration::from_secs(900));
            let signed_in = sign_in(&app, Tenant::Acme, Role::Marketer).await;
            // The token of each tab, and the time at which that token was first used.
            let mut tabs = vec![text(&signed_in, "refresh_token").to_owned(); 3];
            let mut used: std::collections::HashMap<String, i64> = std::collections::HashMap::new();
            for step in 0..12 {
                let tab = usize::try_from(roll(3)).unwrap();
                app.clock().advance(Duration::from_secs(roll(25)));
                let (shown, now) = (tabs[tab].clone(), app.clock().now().as_millis());
                let answer = refresh(&app, &shown, DEVICE).await;
                if used.get(&shown).is_some_and(|at| now - at > 30_000) {
                    assert_eq!(answer.status, 401, "seed {seed}, step {step}");
                    for token in &tabs {
                        assert_eq!(refresh(&app, token, DEVICE).await.status, 401, "seed {seed}: the session has ended");
                    }
                    break;
                }
                assert_eq!(answer.status, 200, "seed {seed}, step {step}: {}", answer.text);
                used.entry(shown).or_insert(now);
                // Every fourth answer is lost.
                if roll(4) > 0 {
                    tabs[tab] = text(&answer, "refresh_token").to_owned();
                }
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn successor_is_stored_sealed_and_deleted_after_the_grace() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let second = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        let token = text(&second, "refresh_token").to_owned();
        let successors = async || {
            let rows = app.dump("EphemeraTable").await;
            assert!(!format!("{rows:?}").contains(&token[60..]), "the token is not stored in the clear");
            rows.iter().filter(|row| row.contains_key("successor")).count()
        };
        assert_eq!(successors().await, 1);
        let sweep = async || crate::schedules::SCHEDULES[0].run(app.deps()).await.unwrap();
        app.clock().advance(Duration::from_secs(5 * 60));
        sweep().await;
        assert_eq!(successors().await, 0);
        // The token itself stays valid, and the old one does not.
        let third = refresh(&app, &token, DEVICE).await;
        assert_eq!(third.status, 200, "{}", third.text);
        // The sealed successor does not outlive its session.
        let session = identity(&app, text(&third, "access_token")).await;
        app.as_identity(session).call(endpoint("logout")).await;
        for event in app.domain_events(Tenant::Acme).await.iter().filter(|e| e["schema"] == "session.ended") {
            assert_eq!(event["payload"]["reason"], json!("signed_out"));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn used_token_from_another_device_ends_the_session_at_once() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let second = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        assert_eq!(refresh(&app, text(&first, "refresh_token"), "stranger/1").await.status, 401);
        assert_eq!(me(&app, &second).await, 401);
        assert_eq!(critical(&app.audit(Tenant::Acme).await).len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn failed_reuse_event_is_written_at_the_next_attempt() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        // The session's end is stored, the event is not.
        app.wire().fail("UpdateItem", 0, 10, Fault::Gone);
        assert_eq!(refresh(&app, text(&first, "refresh_token"), "stranger/1").await.status, 503);
        app.wire().heal();
        assert!(critical(&app.audit(Tenant::Acme).await).is_empty());
        assert_eq!(refresh(&app, text(&first, "refresh_token"), "stranger/1").await.status, 401);
        assert_eq!(critical(&app.audit(Tenant::Acme).await).len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn refresh_token_stays_valid_during_a_cognito_outage() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        app.wire().fail("cognito", 0, 100, Fault::Gone);
        assert_eq!(refresh(&app, text(&first, "refresh_token"), DEVICE).await.status, 503);
        app.wire().heal();
        app.clock().advance(Duration::from_secs(60));
        assert_eq!(refresh(&app, text(&first, "refresh_token"), DEVICE).await.status, 200);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn disabled_member_suspended_tenant_or_idle_session_gets_no_tokens() {
        let app = App::with_cognito().await;
        let member = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let other = sign_in(&app, Tenant::Birch, Role::Marketer).await;
        let idle = sign_in(&app, Tenant::Acme, Role::Viewer).await;
        app.disable_member(Tenant::Acme, Role::Marketer).await;
        assert_eq!(refresh(&app, text(&member, "refresh_token"), DEVICE).await.status, 401);
        app.as_administrator(app.operator().set_status(app.tenant_id(Tenant::Birch), TenantStatus::Suspended)).await.unwrap();
        app.clock().advance(Duration::from_secs(5));
        assert_eq!(refresh(&app, text(&other, "refresh_token"), DEVICE).await.status, 403);
        app.clock().advance(Duration::from_secs(900));
        assert_eq!(refresh(&app, text(&idle, "refresh_token"), DEVICE).await.status, 401);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn invalid_refresh_token_is_refused_and_ends_no_session() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let token = text(&first, "refresh_token");
        // The same session with another secret. The last character but one has no unused bits.
        let at = token.len() - 2;
        let forged = format!("{}{}{}", &token[..at], if &token[at..=at] == "A" { "B" } else { "A" }, &token[at + 1..]);
        for wrong in ["x", &forged, &token[1..], text(&first, "id_token").get(..200).unwrap()] {
            assert_eq!(refresh(&app, wrong, DEVICE).await.status, 401, "{wrong}");
        }
        assert!(critical(&app.audit(Tenant::Acme).await).is_empty());
        assert_eq!(refresh(&app, token, DEVICE).await.status, 200);
    }
}
