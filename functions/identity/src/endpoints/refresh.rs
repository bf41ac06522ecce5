use crate::{secret::Secret, sign_in::TokenSet};
use common::{
    AuthFailure, Data, Error, IdempotencyKey, Json, Need, Operation, Public, PublicEndpoint, RateLimit, RefreshToken, Result,
    Route, Sample, cognito::SignIn,
};

common::input! {
    /// A refresh token of ours.
    pub struct Holder { required refresh_token: Secret }
}

/// Trades a refresh token for new tokens of the same session.
#[derive(Debug)]
pub struct Refresh;

impl Operation for Refresh {
    const NAME: &'static str = "refresh";
    const SUMMARY: &'static str = "Trade a refresh token for new tokens";
    const ROUTE: Route = Route::post("/v1/auth/refresh");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Seal, Need::Sessions, Need::SignIn];
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    // A clinic's staff refresh every quarter of an hour from one address.
    const LIMIT: RateLimit = RateLimit::API_DEFAULT;
    const SAMPLE: Sample = Sample::body(r#"{"refresh_token":"as login or the last refresh answered it"}"#);
    type Input = Json<Holder>;
    type Output = TokenSet;
}

impl PublicEndpoint for Refresh {
    async fn handle(cx: &mut Public<'_, Self>, Json(given): Json<Holder>) -> Result<TokenSet> {
        let presented = cx.present(&RefreshToken::parse(given.refresh_token.expose())?).await?;
        // Cognito first: while it does not answer, the caller's token stays good.
        match cx.cognito()?.refresh(presented.user, presented.pool_refresh()).await? {
            SignIn::Done(tokens) => {
                // A token of another sign-in would name a session that is not this one.
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
    use common::{Role, TenantStatus};
    use serde_json::{Value, json};
    use std::time::Duration;
    use testing::{Answer, App, Fault, Tenant};

    /// The device that signs in.
    const DEVICE: &str = "testing/1";

    async fn me(app: &App, tokens: &Answer) -> u16 {
        caller(app, text(tokens, "access_token")).await.call(endpoint("me")).await.status
    }

    fn critical(events: &[Value]) -> Vec<&Value> {
        events.iter().filter(|e| e["severity"] == "critical").collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_is_traded_for_new_ones_of_the_same_session() {
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
    async fn a_used_token_ends_the_session_and_raises_a_critical_event_in_the_tenants_log_only() {
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
    async fn a_lost_answer_is_made_good_once_within_30_seconds_on_the_same_device() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let lost = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        app.clock().advance(Duration::from_secs(30));
        let again = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        assert_eq!(again.status, 200, "{}", again.text);
        assert_ne!(text(&again, "refresh_token"), text(&lost, "refresh_token"));
        assert_eq!(me(&app, &again).await, 200);

        // A second time it is a used token, and so is the answer that was lost.
        assert_eq!(refresh(&app, text(&first, "refresh_token"), DEVICE).await.status, 401);
        assert_eq!(me(&app, &again).await, 401);
        assert_eq!(critical(&app.audit(Tenant::Acme).await).len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_answer_that_was_made_good_is_refreshed_like_any_other() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        let again = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        let next = refresh(&app, text(&again, "refresh_token"), DEVICE).await;
        assert_eq!(next.status, 200);
        let lost = refresh(&app, text(&again, "refresh_token"), DEVICE).await;
        assert_eq!((lost.status, me(&app, &lost).await), (200, 200));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn another_device_with_a_used_token_ends_the_session_at_once() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let second = refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        assert_eq!(refresh(&app, text(&first, "refresh_token"), "stranger/1").await.status, 401);
        assert_eq!(me(&app, &second).await, 401);
        assert_eq!(critical(&app.audit(Tenant::Acme).await).len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reuse_whose_event_could_not_be_written_leaves_it_with_the_next_attempt() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        refresh(&app, text(&first, "refresh_token"), DEVICE).await;
        // The limit and the session's end pass, the event does not.
        app.wire().fail("UpdateItem", 2, 10, Fault::Gone);
        assert_eq!(refresh(&app, text(&first, "refresh_token"), "stranger/1").await.status, 503);
        app.wire().heal();
        assert!(critical(&app.audit(Tenant::Acme).await).is_empty());
        assert_eq!(refresh(&app, text(&first, "refresh_token"), "stranger/1").await.status, 401);
        assert_eq!(critical(&app.audit(Tenant::Acme).await).len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_stays_good_while_cognito_does_not_answer() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        app.wire().fail("cognito", 0, 100, Fault::Gone);
        assert_eq!(refresh(&app, text(&first, "refresh_token"), DEVICE).await.status, 503);
        app.wire().heal();
        app.clock().advance(Duration::from_secs(60));
        assert_eq!(refresh(&app, text(&first, "refresh_token"), DEVICE).await.status, 200);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_disabled_member_a_suspended_tenant_and_an_idle_session_get_no_new_tokens() {
        let app = App::with_cognito().await;
        let member = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let other = sign_in(&app, Tenant::Birch, Role::Marketer).await;
        let idle = sign_in(&app, Tenant::Acme, Role::Viewer).await;
        app.disable_member(Tenant::Acme, Role::Marketer).await;
        assert_eq!(refresh(&app, text(&member, "refresh_token"), DEVICE).await.status, 401);
        app.operator().set_status(app.tenant_id(Tenant::Birch), TenantStatus::Suspended).await.unwrap();
        app.clock().advance(Duration::from_secs(5));
        assert_eq!(refresh(&app, text(&other, "refresh_token"), DEVICE).await.status, 403);
        app.clock().advance(Duration::from_secs(900));
        assert_eq!(refresh(&app, text(&idle, "refresh_token"), DEVICE).await.status, 401);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_token_of_a_session_is_refused_and_ends_nothing() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let token = text(&first, "refresh_token");
        // The same session with another secret: its last character but one carries whole bits.
        let at = token.len() - 2;
        let forged = format!("{}{}{}", &token[..at], if &token[at..=at] == "A" { "B" } else { "A" }, &token[at + 1..]);
        for wrong in ["x", &forged, &token[1..], text(&first, "id_token").get(..200).unwrap()] {
            assert_eq!(refresh(&app, wrong, DEVICE).await.status, 401, "{wrong}");
        }
        assert!(critical(&app.audit(Tenant::Acme).await).is_empty());
        assert_eq!(refresh(&app, token, DEVICE).await.status, 200);
    }
}
