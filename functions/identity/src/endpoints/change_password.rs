use super::challenge::WEAK;
use crate::{account::User, secret::Secret};
use common::{
    base::{Error, Need, Result},
    policy::Action,
    request::{Data, Endpoint, IdempotencyKey, Json, Operation, Permit, Route, Sample, Scope},
    store::RateLimit,
};

common::input! {
    /// The current and the new password.
    pub struct Passwords { required current_password: Secret, required new_password: Secret }
}

/// Changes the caller's own password. Their other sessions end.
#[derive(Debug)]
pub struct ChangePassword;

impl Operation for ChangePassword {
    const NAME: &'static str = "change_password";
    const SUMMARY: &'static str = "Change the caller's password";
    const ROUTE: Route = Route::post("/v1/auth/password/change");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions, Need::SignIn, Need::Passwords];
    // Guessing a password here is limited as strictly as at sign-in.
    const LIMIT: RateLimit = RateLimit::AUTH_LOGIN;
    const STATUS: u16 = 204;
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    const SAMPLE: Sample =
        Sample::body(r#"{"current_password":"a synthetic password","new_password":"another synthetic password"}"#);
    type Input = Json<Passwords>;
    type Output = ();
}

impl Endpoint for ChangePassword {
    const ACTION: Action = Action("changePassword");
    type Target = User;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<User> {
        Ok(User::own(scope.principal()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Json(given): Self::Input) -> Result<()> {
        if !cx.change_password(given.current_password.expose(), given.new_password.expose()).await? {
            return Err(Error::invalid("new_password", "weak", WEAK));
        }
        cx.touched("User", cx.principal().user());
        cx.changes().changed(["password"]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{caller, endpoint, login, sign_in, text};
    use common::base::Role;
    use serde_json::json;
    use testing::{App, PASSWORD, Tenant};

    #[tokio::test(flavor = "multi_thread")]
    async fn password_change_needs_the_current_password_and_ends_other_sessions() {
        let app = App::with_cognito().await;
        let elsewhere = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let here = sign_in(&app, Tenant::Acme, Role::Marketer).await;
        let neighbour = sign_in(&app, Tenant::Birch, Role::Marketer).await;
        let here = caller(&app, text(&here, "access_token")).await;
        let change = |current: &str, new: &str| {
            here.call(endpoint("change_password")).json(json!({"current_password": current, "new_password": new}))
        };
        let wrong = change("Not-The-Passw0rd!", "Chosen-Passw0rd-7!").await;
        assert_eq!((wrong.status, wrong.code()), (401, "invalid_credentials"));
        assert_eq!(change(PASSWORD, "Chosen-Passw0rd-7!").await.status, 204);

        assert_eq!(here.call(endpoint("me")).await.status, 200);
        let gone = caller(&app, text(&elsewhere, "access_token")).await;
        assert_eq!(gone.call(endpoint("me")).await.status, 401);
        assert_eq!(caller(&app, text(&neighbour, "access_token")).await.call(endpoint("me")).await.status, 200);
        let email = app.email(Tenant::Acme, Role::Marketer);
        assert_eq!(login(&app, &email, PASSWORD, "192.0.2.9").await.status, 401);
        assert_eq!(login(&app, &email, "Chosen-Passw0rd-7!", "192.0.2.9").await.status, 200);
        let events = app.audit(Tenant::Acme).await;
        let event = events.iter().find(|e| e["type"] == "api.change_password" && e["status"] == 204).unwrap();
        assert_eq!(event["changes"], json!(["password"]));
    }
}
