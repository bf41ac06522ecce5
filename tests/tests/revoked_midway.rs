//! A caller whose role is taken away, or whose account is disabled, while a request of theirs is under way: the session said at
//! its beginning what they may do, and the commit says that it is still so.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue::{N, S};
use common::{
    base::{Grant, Identity, Need, Role, SessionId, TenantId, UserId, Uuid},
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
use testing::{Answer, App, Call, Held, Tenant};

/// What happens to the caller meanwhile.
#[derive(Clone, Copy, Debug)]
enum Blow {
    RoleRevoked,
    Disabled,
}

/// Where the request is by then.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// It has touched its session, and read nothing.
    Touched,
    /// It has been allowed, and is about to commit.
    Commits,
}

impl Point {
    fn hold(self, app: &App) -> Held {
        match self {
            Self::Touched => app.wire().hold("dynamodb", 1),
            Self::Commits => app.wire().hold("TransactWriteItems", 0),
        }
    }
}

/// The caller: a viewer who administers the tenant as well, for as long as they are let.
struct Insider<'a> {
    app: &'a App,
    user: UserId,
}

impl Insider<'_> {
    async fn admin(&self, name: &str) -> Call<'_> {
        let admin = self.app.open_session(Tenant::Acme, Role::TenantAdmin).await;
        self.app.as_identity(admin).call(endpoint(name)).path("user_id", self.user)
    }

    /// A session of theirs, as a sign-in would open it now.
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

    /// What a write of theirs would change.
    async fn sees(&self) -> (Vec<String>, Vec<Value>) {
        let acme = self.app.tenant_id(Tenant::Acme);
        (state::of(self.app, acme, &["RecordsTable"]).await, self.app.domain_events(Tenant::Acme).await)
    }

    /// Sends `call`, and strikes while it is at `point`: its answer, and that nothing has come of it. Nothing where it never
    /// comes there.
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
        let context = format!("{name}, {blow:?} when it had {point:?}: {}", answer.text);
        assert!(before.0 == after.0, "{context}: {:#?}", state::difference(&before.0, &after.0));
        assert_eq!(before.1, after.1, "{context}");
        Some(answer)
    }
}

/// The status of an answer, or of the batch's only item.
fn status(answer: &Answer) -> u64 {
    answer.json["items"][0]["status"].as_u64().unwrap_or(answer.status.into())
}

/// Holds back mail to a user's address.
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
    // What is asked of the pool is asked before the commit: there the pool has the last word.
    let writes = protected().filter(|e| e.needs.contains(&Need::Write) && !e.needs.contains(&Need::Passwords));
    let theirs = writes.filter(|e| matrix[e.action.unwrap().0]["tenant_admin"] != "-");
    let mut struck = 0;
    for endpoint in theirs {
        // Nothing comes of any of the cases: one item is enough for all of them.
        let fixture = Fixture::of(&app, endpoint).await;
        let other = fixture.value("user_id").unwrap();
        for (blow, point) in [Blow::RoleRevoked, Blow::Disabled]
            .into_iter()
            .flat_map(|blow| [Point::Touched, Point::Commits].map(|point| (blow, point)))
        {
            // Codes that were tried in vain are forgiven by then.
            app.clock().advance(Duration::from_secs(3600));
            let identity = insider.comes_in().await;
            // So that the function knows the gate: its first call for the insider is the touch of the session.
            let gone =
                Identity { session: SessionId::from_uuid(Uuid::from_bytes(common::base::random::bytes())), ..identity.clone() };
            assert_eq!(fixture.call(&app.as_identity(gone), endpoint).await.status, 401, "{}", endpoint.name);
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
            let Some(answer) = answer else { panic!("{} never comes to {point:?}", endpoint.name) };
            // 401 and 409 where it is their own membership that they would change.
            assert!([401, 403, 409].contains(&status(&answer)), "{}, {blow:?} at {point:?}: {}", endpoint.name, answer.text);
            struck += 1;
        }
        app.forget_log_lines();
    }
    assert!(struck > 100, "{struck}");
}

/// Their own membership is what they change: then it is its change that must not be made of what has become of it.
#[tokio::test(flavor = "multi_thread")]
async fn disabled_caller_cannot_enable_themselves_by_a_pending_request() {
    let app = App::start().await;
    let insider = Insider { app: &app, user: app.user_id(Tenant::Acme, Role::Viewer) };
    let who = app.as_identity(insider.comes_in().await);
    // By the time that they are read they are disabled, and there is something to enable.
    let enable = who.call(endpoint("enable_user")).path("user_id", insider.user);
    let answer = insider.struck(Blow::Disabled, Point::Touched, enable, "enable_user").await.unwrap();
    assert_eq!((answer.status, answer.code()), (409, "changed"), "{}", answer.text);
    let seen = insider.admin("get_user").await.await;
    assert_eq!(seen.json["status"], "disabled", "{}", seen.text);
}

/// Says of an operator's membership, which no endpoint changes, that it is in this state now.
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
            // One of two, so that there is something to change.
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
        // What is on record about the tenant is that it was tried.
        let after = look().await;
        let new: Vec<_> = state::difference(&before, &after);
        assert!(new.iter().all(|item| item.starts_with('+') && item.contains("#AUDIT")), "{}: {new:#?}", endpoint.name);
        set_operator(&app, "active").await;
        struck += 1;
    }
    assert!(struck > 8, "{struck}");
}
