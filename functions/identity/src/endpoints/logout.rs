use crate::account::Session;
use common::{
    base::{Need, Result},
    policy::Action,
    request::{Data, Endpoint, IdempotencyKey, Operation, Permit, Route, Sample, Scope},
    store::RateLimit,
};

/// Ends the caller's session. Its tokens become invalid at their next use.
#[derive(Debug)]
pub struct Logout;

impl Operation for Logout {
    const NAME: &'static str = "logout";
    const SUMMARY: &'static str = "End this session";
    const ROUTE: Route = Route::post("/v1/auth/logout");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    const LIMIT: RateLimit = RateLimit::API_DEFAULT;
    const STATUS: u16 = 204;
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = ();
}

impl Endpoint for Logout {
    const ACTION: Action = Action("logout");
    type Target = Session;

    async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<Session> {
        let who = scope.principal();
        Ok(Session::own(who, who.session()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<()> {
        cx.touched("Session", cx.target().id);
        cx.sign_out();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{caller, endpoint, refresh, sign_in, text};
    use common::base::Role;
    use serde_json::json;
    use testing::{App, Tenant};

    #[tokio::test(flavor = "multi_thread")]
    async fn tokens_are_invalid_after_logout() {
        let app = App::with_cognito().await;
        let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let second = refresh(&app, text(&first, "refresh_token"), "testing/1").await;
        let here = caller(&app, text(&second, "access_token")).await;
        let elsewhere = sign_in(&app, Tenant::Acme, Role::Marketer).await;

        let answer = here.call(endpoint("logout")).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        assert_eq!(here.call(endpoint("me")).await.status, 401);
        assert_eq!(caller(&app, text(&first, "access_token")).await.call(endpoint("me")).await.status, 401);
        assert_eq!(refresh(&app, text(&second, "refresh_token"), "testing/1").await.status, 401);
        assert_eq!(caller(&app, text(&elsewhere, "access_token")).await.call(endpoint("me")).await.status, 200);

        let event = app.audit(Tenant::Acme).await.into_iter().find(|e| e["type"] == "api.logout").unwrap();
        assert_eq!(
            json!([event["action"], event["outcome"], event["policy"]["ids"], event["resources"][0]["id"]]),
            json!(["logout", "success", ["identity.logout_self"], event["actor"]["session_id"]])
        );

        // The event tells consumers that keep something open for the session that it has ended.
        let ended: Vec<_> =
            app.domain_events(Tenant::Acme).await.into_iter().filter(|e| e["schema"] == "session.ended").collect();
        let (user, session) = (&event["actor"]["id"], &event["actor"]["session_id"]);
        let expected = json!({"user_id": user, "session_id": session, "reason": "signed_out"});
        assert_eq!((ended.len(), &ended[0]["payload"], &ended[0]["cause"]), (1, &expected, &event["event_id"]));
    }
}
