use crate::account::User;
use common::{
    base::{Grant, Need, Result, Role, SessionId, TenantId, Timestamp, UserId},
    identity::Membership,
    policy::Action,
    request::{Data, Endpoint, Operation, Permit, Route, Sample, Scope},
};
use phi::{Disclosed, Email, PhiValue};
use schemars::JsonSchema;
use serde::Serialize;

/// The caller.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Profile {
    pub user_id: UserId,
    pub tenant_id: TenantId,
    pub tenant_name: String,
    pub email: Disclosed<Email>,
    /// The roles that are valid now.
    pub roles: Vec<Role>,
    /// Every granted role with its term, including those that are not valid yet or no longer.
    pub grants: Vec<Grant>,
    /// Whether the caller has a second factor.
    pub mfa_enrolled: bool,
    pub session: CurrentSession,
}

/// The session of this request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CurrentSession {
    pub session_id: SessionId,
    pub created_at: Timestamp,
    /// The time at which it ends, even if it is used.
    pub expires_at: Timestamp,
    /// The time at which a second factor was last given in it.
    pub mfa_at: Option<Timestamp>,
}

/// Returns the caller's identity, roles and session.
#[derive(Debug)]
pub struct Me;

impl Operation for Me {
    const NAME: &'static str = "me";
    const SUMMARY: &'static str = "Show the caller's identity, roles and session";
    const ROUTE: Route = Route::get("/v1/me");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Seal];
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = Profile;
}

impl Endpoint for Me {
    const ACTION: Action = Action("viewMe");
    type Target = User;

    async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<User> {
        Ok(User::own(scope.principal()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<Profile> {
        let who = cx.principal();
        let (member, tenant) = cx.own_membership().await?;
        let pii = cx.open(&Membership::place(who.user()), &member.pii).await?;
        cx.touched("User", who.user());
        Ok(Profile {
            user_id: who.user(),
            tenant_id: who.tenant(),
            tenant_name: tenant.name,
            email: pii.email.disclose(),
            roles: who.roles().to_vec(),
            grants: who.grants().to_vec(),
            mfa_enrolled: member.mfa_enrolled,
            session: CurrentSession {
                session_id: who.session(),
                created_at: who.signed_in_at(),
                expires_at: who.session_ends_at(),
                mfa_at: who.mfa_at(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{endpoint, event};
    use common::base::{Grant, Role, Timestamp};
    use serde_json::json;
    use std::time::Duration;
    use testing::{App, Tenant};

    #[tokio::test]
    async fn me_returns_the_caller_and_audits_that_the_email_was_shown() {
        let app = App::start().await;
        for (tenant, role) in [(Tenant::Acme, Role::Marketer), (Tenant::Birch, Role::Auditor)] {
            let answer = app.as_role(tenant, role).call(endpoint("me")).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let shown = json!([
                answer.json["user_id"],
                answer.json["tenant_id"],
                answer.json["tenant_name"],
                answer.json["email"],
                answer.json["grants"]
            ]);
            let (user, home) = (app.user_id(tenant, role).to_string(), app.tenant_id(tenant).to_string());
            assert_eq!(shown, json!([user, home, tenant.name(), app.email(tenant, role), [{"role": role}]]));
            let events = app.audit(tenant).await;
            let event = event(&events, "api.me", 200);
            assert_eq!(
                json!([event["type"], event["action"], event["disclosed"], event["resources"]]),
                json!(["api.me", "viewMe", ["email", "name"], [{"type": "User", "id": user}]])
            );
        }
    }

    #[tokio::test]
    async fn grant_outside_its_term_is_shown_but_gives_no_role() {
        let app = App::start().await;
        let hour = Timestamp::from_millis(1_767_268_800_000 + 3_600_000);
        let later = Grant { role: Role::TenantAdmin, valid_from: Some(hour), valid_until: None };
        let user = app.user_id(Tenant::Acme, Role::Viewer);
        let who = app.open_session_with(app.tenant_id(Tenant::Acme), user, &[Grant::always(Role::Viewer), later]).await;
        let answer = app.as_identity(who).call(endpoint("me")).await;
        assert_eq!(answer.json["roles"], json!(["viewer"]), "{}", answer.text);
        assert_eq!(answer.json["grants"][1]["valid_from"], json!(hour.to_string()));
    }

    #[tokio::test]
    async fn session_unused_for_fifteen_minutes_is_refused() {
        let app = App::start().await;
        let caller = app.as_role(Tenant::Acme, Role::Viewer);
        assert_eq!(caller.call(endpoint("me")).await.status, 200);
        app.clock().advance(Duration::from_secs(899));
        assert_eq!(caller.call(endpoint("me")).await.status, 200);
        app.clock().advance(Duration::from_secs(900));
        assert_eq!(caller.call(endpoint("me")).await.status, 401);
        assert_eq!(event(&app.audit(Tenant::Acme).await, "api.me", 401)["reason"], "session_idle");
    }

    #[tokio::test]
    async fn session_ends_after_twelve_hours_even_if_used() {
        let app = App::start().await;
        let mut who = app.open_session(Tenant::Acme, Role::Viewer).await;
        who.expires_at = who.expires_at.plus(Duration::from_secs(24 * 3600));
        let caller = app.as_identity(who);
        for _ in 0..71 {
            app.clock().advance(Duration::from_secs(600));
            assert_eq!(caller.call(endpoint("me")).await.status, 200);
        }
        app.clock().advance(Duration::from_secs(600));
        assert_eq!(caller.call(endpoint("me")).await.status, 401);
        assert_eq!(event(&app.audit(Tenant::Acme).await, "api.me", 401)["reason"], "session_expired");
    }

    #[tokio::test]
    async fn token_that_expired_while_the_authorizers_answer_was_cached_is_refused() {
        let app = App::start().await;
        let mut who = app.open_session(Tenant::Acme, Role::Viewer).await;
        who.expires_at = who.expires_at.minus(Duration::from_secs(12 * 3600));
        let answer = app.as_identity(who).call(endpoint("me")).await;
        assert_eq!((answer.status, answer.code()), (401, "unauthenticated"));
        assert_eq!(event(&app.audit(Tenant::Acme).await, "api.me", 401)["reason"], "token_expired");
    }

    #[tokio::test]
    async fn request_without_authorizer_context_is_refused() {
        let app = App::start().await;
        assert_eq!(app.anonymous().call(endpoint("me")).await.status, 401);
    }

    #[tokio::test]
    async fn disabled_member_is_refused() {
        let app = App::start().await;
        let caller = app.as_role(Tenant::Acme, Role::Viewer);
        assert_eq!(caller.call(endpoint("me")).await.status, 200);
        app.disable_member(Tenant::Acme, Role::Viewer).await;
        assert_eq!(caller.call(endpoint("me")).await.status, 401);
    }
}
