//! A caller loses their role, or their account is disabled, during their request. The session stated their permissions at its
//! beginning, and the commit checks that they still hold.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue::{N, S};
use common::{
    base::{Grant, Identity, Need, Role, TenantId, UserId},
    request::Kind,
};
use serde_json::{Value, json};
use std::{future::IntoFuture, time::Duration};
use suite::{
    fixture::Fixture,
    matrix::{matrix, protected},
    people::endpoint,
    state,
};
use testing::{Answer, App, Call, HeldCall, Tenant};

/// The change to the caller during the request.
#[derive(Clone, Copy, Debug)]
enum Blow {
    RoleRevoked,
    Disabled,
}

/// The progress of the request at that moment.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// It has touched its session, and has read nothing else.
    Touched,
    /// It has been allowed, and is about to commit.
    Commits,
}

impl Point {
    fn hold(self, app: &App) -> HeldCall {
        match self {
            Self::Touched => app.wire().hold("dynamodb", 1),
            Self::Commits => app.wire().hold("TransactWriteItems", 0),
        }
    }
}

/// The caller: a viewer who is also an administrator until the role is revoked.
struct Insider<'a> {
    app: &'a App,
    user: UserId,
}

impl Insider<'_> {
    async fn admin(&self, name: &str) -> Call<'_> {
        let admin = self.app.open_session(Tenant::Acme, Role::TenantAdmin).await;
        self.app.as_identity(admin).call(endpoint(name)).path("user_id", self.user)
    }

    /// Opens a session as a sign-in does, with the administrator's role.
    async fn comes_in(&self) -> Identity {
        let enabled = self.admin("enable_user").await.await;
        assert_eq!(enabled.status, 200, "{}", enabled.text);
        let given = self.admin("grant_role").await.path("role", "tenant_admin").json(json!({})).await;
        assert_eq!(given.status, 200, "{}", given.text);
        let grants = [Grant::always(Role::Viewer), Grant::always(Role::TenantAdmin)];
        self.app.open_session_with(self.app.tenant_id(Tenant::Acme), self.user, &grants).await
    }

    async fn suffers(&self, blow: Blow) {
        let (answer, status) = match blow {
            Blow::RoleRevoked => (self.admin("revoke_role").await.path("role", "tenant_admin").await, 204),
            Blow::Disabled => (self.admin("disable_user").await.await, 200),
        };
        assert_eq!(answer.status, status, "{}", answer.text);
    }

    /// The state that a write of theirs could change.
    async fn sees(&self) -> (Vec<String>, Vec<Value>) {
        let acme = self.app.tenant_id(Tenant::Acme);
        (state::of(self.app, acme, &["RecordsTable"]).await, self.app.domain_events(Tenant::Acme).await)
    }

    /// Sends `call`, and applies `blow` while it is at `point`. Asserts that the call changes nothing, and returns its response.
    /// `None` if it never reaches `point`.
    async fn struck(&self, blow: Blow, point: Point, call: Call<'_>, name: &str) -> Option<Answer> {
        let mut held = point.hold(self.app);
        let mut call = call.into_future();
        tokio::select! {
            _ = &mut call => {
                self.app.wire().heal();
                return None;
            }
            () = held.arrived() => {}
        }
        self.suffers(blow).await;
        let before = self.sees().await;
        held.let_go();
        let answer = call.await;
        let after = self.sees().await;
        let context = format!("{name}, {blow:?} at {point:?}: {}", answer.text);
        assert!(before.0 == after.0, "{context}: {:#?}", state::difference(&before.0, &after.0));
        assert_eq!(before.1, after.1, "{context}");
        Some(answer)
    }
}

/// The status of a response, or of the batch's only item.
fn status(answer: &Answer) -> u64 {
    answer.json["items"][0]["status"].as_u64().unwrap_or(answer.status.into())
}

/// Suppresses mail to a user's address.
async fn suppress(app: &App, user: &str) {
    let platform = common::base::TenantId::PLATFORM;
    let directory = format!("{platform}#DIRECTORY#{user}");
    let item = app.dump("RecordsTable").await.into_iter().find(|item| item["pk"].as_s() == Ok(&directory)).unwrap();
    let place = format!("{platform}#SUPPRESSED#{}", item["email_token"].as_s().unwrap());
    app.put_raw("RecordsTable", &place, "MAIL", &[("because", "bounced"), ("since", "2025-12-24T12:00:00.000Z")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caller_who_loses_their_role_during_a_request_changes_nothing() {
    let app = App::start().await;
    let insider = Insider { app: &app, user: app.user_id(Tenant::Acme, Role::Viewer) };
    let matrix = matrix();
    // Endpoints for passwords are left out: they call the user pool before the commit, so that call is done already.
    let writes = protected().filter(|e| e.needs.contains(&Need::Write) && !e.needs.contains(&Need::Passwords));
    let theirs = writes.filter(|e| matrix[e.action.unwrap().0]["tenant_admin"] != "-");
    let mut struck = 0;
    for endpoint in theirs {
        // No case changes anything, so one item is enough for all of them.
        let fixture = Fixture::of(&app, endpoint).await;
        let other = fixture.value("user_id").unwrap();
        for (blow, point) in [Blow::RoleRevoked, Blow::Disabled]
            .into_iter()
            .flat_map(|blow| [Point::Touched, Point::Commits].map(|point| (blow, point)))
        {
            // The lock after wrong codes is over by then.
            app.clock().advance(Duration::from_secs(3600));
            let identity = insider.comes_in().await;
            // A colleague's call caches the tenant's state in the function and leases calls, so that the function's first call for the
            // insider is the touch of the session, and the next holds no lease that the blow waits for.
            let colleague = app.open_session(Tenant::Acme, Role::Analyst).await;
            fixture.call(&app.as_identity(colleague), endpoint).await;
            let who = app.as_identity(identity);
            let mut call = fixture.call(&who, endpoint);
            // So that there is something to change.
            match endpoint.name {
                "enable_user" => {
                    let disabled = insider.admin("disable_user").await.path("user_id", other).await;
                    assert_eq!(disabled.status, 200, "{}", disabled.text);
                }
                "end_user_sessions" => {
                    let other = other.parse().unwrap();
                    app.open_session_with(app.tenant_id(Tenant::Acme), other, &[Grant::always(Role::Marketer)]).await;
                }
                "lift_mail_suppression" => {
                    let member = app.user_id(Tenant::Acme, Role::Marketer).to_string();
                    suppress(&app, &member).await;
                    call = call.path("user_id", member);
                }
                "revoke_role" => call = call.path("role", "marketer"),
                _ => {}
            }
            if endpoint.kind == Kind::Batch {
                let mut body = fixture.body(endpoint).unwrap();
                body["shipments"].as_array_mut().unwrap().truncate(1);
                call = call.json(body);
            }
            let answer = insider.struck(blow, point, call, endpoint.name).await;
            let Some(answer) = answer else { panic!("{} never reaches {point:?}", endpoint.name) };
            // 401 and 409 if the request would change their own membership.
            assert!([401, 403, 409].contains(&status(&answer)), "{}, {blow:?} at {point:?}: {}", endpoint.name, answer.text);
            struck += 1;
        }
        app.forget_log_lines();
    }
    assert!(struck > 100, "{struck}");
}

/// A request that changes the caller's own membership: its write must fail, since the membership has changed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn disabled_caller_cannot_enable_themselves_by_a_pending_request() {
    let app = App::start().await;
    let insider = Insider { app: &app, user: app.user_id(Tenant::Acme, Role::Viewer) };
    let who = app.as_identity(insider.comes_in().await);
    // The request reads their membership after it was disabled, so there is something to enable.
    let enable = who.call(endpoint("enable_user")).path("user_id", insider.user);
    let answer = insider.struck(Blow::Disabled, Point::Touched, enable, "enable_user").await.unwrap();
    assert_eq!((answer.status, answer.code()), (409, "changed"), "{}", answer.text);
    let seen = insider.admin("get_user").await.await;
    assert_eq!(seen.json["status"], "disabled", "{}", seen.text);
}

/// Sets the status of an operator's membership, which no endpoint can change.
async fn set_operator(app: &App, status: &str) {
    let update = app.raw().update_item().table_name(&app.provisioned().tables["RecordsTable"]);
    let user = app.user_id(Tenant::Acme, Role::SuperAdmin);
    let update = update.key("pk", S(format!("{}#MEMBER#{user}", TenantId::PLATFORM))).key("sk", S("MEMBERSHIP".to_owned()));
    let update =
        update.update_expression("SET #status = :status ADD version :one").expression_attribute_names("#status", "status");
    let update = update.expression_attribute_values(":status", S(status.to_owned()));
    update.expression_attribute_values(":one", N("1".to_owned())).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_disabled_during_a_request_changes_no_tenant() {
    let app = App::start().await;
    let matrix = matrix();
    let second = Insider { app: &app, user: app.user_id(Tenant::Acme, Role::Viewer) };
    second.comes_in().await;
    let writes = protected().filter(|e| e.kind == Kind::Platform && e.needs.contains(&Need::Write));
    let mut struck = 0;
    for endpoint in writes.filter(|e| matrix[e.action.unwrap().0]["super_admin"] != "-") {
        app.clock().advance(Duration::from_secs(60));
        let fixture = Fixture::of(&app, endpoint).await;
        let operator = app.as_identity(app.open_session(Tenant::Acme, Role::SuperAdmin).await);
        let call = match endpoint.name {
            // One of two administrators, so that there is one to remove.
            "remove_admin" => {
                operator.call(endpoint).path("tenant_id", app.tenant_id(Tenant::Acme)).query("user_id", second.user)
            }
            _ => fixture.call(&operator, endpoint),
        };
        let mut held = Point::Commits.hold(&app);
        let mut call = call.into_future();
        tokio::select! {
            answer = &mut call => panic!("{} never commits: {}", endpoint.name, answer.text),
            () = held.arrived() => {}
        }
        set_operator(&app, "disabled").await;
        let look = async || {
            let acme = state::of(&app, app.tenant_id(Tenant::Acme), &["RecordsTable", "LedgerTable"]).await;
            [acme, state::of(&app, TenantId::PLATFORM, &["RecordsTable"]).await].concat()
        };
        let before = look().await;
        held.let_go();
        let answer = call.await;
        assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{}: {}", endpoint.name, answer.text);
        // The only change is the audit event of the refused attempt.
        let after = look().await;
        let new: Vec<_> = state::difference(&before, &after);
        assert!(new.iter().all(|item| item.starts_with('+') && item.contains("#AUDIT")), "{}: {new:#?}", endpoint.name);
        set_operator(&app, "active").await;
        struck += 1;
    }
    assert!(struck > 8, "{struck}");
}
