//! Each end of a session is announced by an event and recorded in the audit log, with its reason.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue::{self, N, S};
use common::{
    background::AnySchedule,
    base::{Clock, Identity, Role, SessionId, TenantId, UserId},
};
use serde_json::{Value, json};
use std::time::Duration;
use suite::people::{
    catch_up, endpoint, enrol, identity, login, me, public, refresh, sign_in, text, waiting, with_second_factor,
};
use testing::{App, Client, Fault, PASSWORD, Tenant};

const CHOSEN: &str = "Chosen-Passw0rd-7!";
const MINUTE: Duration = Duration::from_secs(60);

fn schedule() -> &'static AnySchedule {
    registry::schedules().find(|schedule| schedule.name == "expire_sessions").unwrap()
}

/// The reasons in the announcements of a session's end, and in its audit events.
async fn ends(app: &App, tenant: TenantId, session: SessionId) -> (Vec<String>, Vec<String>) {
    let id = json!(session);
    let reasons = |event: &Value, at: &str| event[at].as_str().unwrap_or_default().to_owned();
    let announced: Vec<_> = outbox(app, tenant)
        .await
        .into_iter()
        .filter(|event| event["schema"] == "session.ended" && event["payload"]["session_id"] == id)
        .map(|event| reasons(&event["payload"], "reason"))
        .collect();
    let recorded: Vec<_> = app
        .audit_of(tenant)
        .await
        .into_iter()
        .filter(|event| event["type"].as_str().unwrap().ends_with(".session_ended"))
        .filter(|event| event["resources"].as_array().unwrap().iter().any(|r| r["type"] == "Session" && r["id"] == id))
        .map(|event| reasons(&event, "reason"))
        .collect();
    (announced, recorded)
}

async fn outbox(app: &App, tenant: TenantId) -> Vec<Value> {
    let rows = app.dump("LedgerTable").await;
    let events = rows.iter().filter(|row| *row["pk"].as_s().unwrap() == format!("{tenant}#EVENTS"));
    events.map(|row| serde_json::from_str(row["envelope"].as_s().unwrap()).unwrap()).collect()
}

/// Asserts that a session has ended once, for this reason, and that its due entry is gone.
async fn assert_ended(app: &App, who: &Identity, reason: &str) {
    let expected = (vec![reason.to_owned()], vec![reason.to_owned()]);
    assert_eq!(ends(app, who.tenant, who.session).await, expected, "{reason}");
    let item = item(app, who).await;
    assert_eq!((item["status"].as_s().unwrap().as_str(), item.contains_key("ix_due")), ("ended", false), "{reason}");
    assert_eq!(app.as_identity(who.clone()).call(endpoint("me")).await.status, 401, "{reason}");
}

async fn assert_lives(app: &App, who: &Identity) {
    assert_eq!(ends(app, who.tenant, who.session).await, (vec![], vec![]));
    assert_eq!(item(app, who).await["status"].as_s().unwrap(), "live");
}

async fn item(app: &App, who: &Identity) -> std::collections::HashMap<String, AttributeValue> {
    let pk = format!("{}#SESSIONS#{}", who.tenant, who.user);
    let rows = app.dump("EphemeraTable").await;
    rows.into_iter()
        .find(|row| *row["pk"].as_s().unwrap() == pk && *row["sk"].as_s().unwrap() == who.session.to_string())
        .unwrap()
}

async fn admin(app: &App) -> Client<'_> {
    app.as_identity(app.open_session(Tenant::Acme, Role::TenantAdmin).await)
}

async fn sweep(app: &App) {
    schedule().run(app.deps()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_session_is_announced_and_recorded_once_with_its_reason() {
    let app = App::with_cognito().await;
    let neighbour = app.open_session(Tenant::Birch, Role::Marketer).await;
    let roles = [Role::Marketer, Role::Viewer, Role::Provider, Role::Analyst];
    let mut ways = vec!["signed_out", "ended_by_owner", "ended_by_admin", "signed_out_by_admin", "password_changed"];
    ways.extend(["password_reset", "refresh_token_reuse", "second_factor_activated", "user_disabled"]);
    for (nth, way) in ways.into_iter().enumerate() {
        let role = roles[nth % roles.len()];
        let who = app.open_session(Tenant::Acme, role).await;
        let own = |name: &str| app.as_identity(who.clone()).call(endpoint(name));
        let (done, ended, reason) = match way {
            "signed_out" => (own("logout").await, who.clone(), way),
            "ended_by_owner" => {
                // The second call has nothing to end, and must not announce anything.
                let elsewhere = app.as_identity(app.open_session(Tenant::Acme, role).await);
                let end = || elsewhere.call(endpoint("end_session")).path("session_id", who.session);
                assert_eq!(end().await.status, 204);
                (end().await, who.clone(), way)
            }
            "ended_by_admin" => {
                (admin(&app).await.call(endpoint("end_user_sessions")).path("user_id", who.user).await, who.clone(), way)
            }
            "signed_out_by_admin" => {
                let call = admin(&app).await.call(endpoint("sign_out_user")).path("user_id", who.user).await;
                (call, who.clone(), "ended_by_admin")
            }
            "password_changed" => {
                let elsewhere = app.as_identity(app.open_session(Tenant::Acme, role).await);
                let body = json!({"current_password": PASSWORD, "new_password": CHOSEN});
                (elsewhere.call(endpoint("change_password")).json(body).await, who.clone(), way)
            }
            "password_reset" => {
                (admin(&app).await.call(endpoint("reset_user_password")).path("user_id", who.user).await, who.clone(), way)
            }
            "refresh_token_reuse" => {
                let first = sign_in(&app, Tenant::Acme, Role::Provider).await;
                let second = refresh(&app, &text(&first, "refresh_token")).await;
                app.clock().advance(Duration::from_secs(31));
                let reused = refresh(&app, &text(&first, "refresh_token")).await;
                assert_eq!(reused.status, 401);
                let thief = identity(&app, &text(&second, "access_token")).await.unwrap();
                // The session ends once, even if the token is used again.
                let again = refresh(&app, &text(&first, "refresh_token")).await;
                assert_eq!(again.status, 401);
                assert_ended(&app, &thief, way).await;
                continue;
            }
            "second_factor_activated" => {
                let before = app.open_session_without_mfa(Tenant::Acme, role).await;
                let here = app.open_session_without_mfa(Tenant::Acme, role).await;
                enrol(&app, &app.as_identity(here.clone())).await;
                assert_lives(&app, &here).await;
                assert_ended(&app, &before, way).await;
                continue;
            }
            _ => (admin(&app).await.call(endpoint("disable_user")).path("user_id", who.user).await, who.clone(), way),
        };
        assert!((200..300).contains(&done.status), "{way}: {}", done.text);
        assert_ended(&app, &ended, reason).await;
    }
    let who = app.open_session(Tenant::Acme, Role::Viewer).await;
    assert_eq!(admin(&app).await.call(endpoint("delete_user")).path("user_id", who.user).await.status, 204);
    assert_ended(&app, &who, "user_deleted").await;
    assert_lives(&app, &neighbour).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oldest_session_ended_by_the_twenty_first_is_announced_and_recorded() {
    let app = App::with_cognito().await;
    let neighbour = app.open_session(Tenant::Birch, Role::Marketer).await;
    let oldest = app.open_session(Tenant::Acme, Role::Marketer).await;
    for _ in 0..19 {
        app.clock().advance(Duration::from_secs(1));
        app.open_session(Tenant::Acme, Role::Marketer).await;
    }
    sign_in(&app, Tenant::Acme, Role::Marketer).await;
    assert_ended(&app, &oldest, "too_many_sessions").await;
    let others = app.dump("EphemeraTable").await.iter().filter(|row| row.get("status") == Some(&S("ended".to_owned()))).count();
    assert_eq!(others, 1);
    let told = app.audit(Tenant::Acme).await.into_iter().find(|e| e["type"] == "api.session_ended").unwrap();
    assert_eq!(told["actor"]["id"], json!(oldest.user), "the sign-in's user has ended it");
    assert_lives(&app, &neighbour).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enrolment_session_ended_by_its_sign_in_is_announced_and_recorded() {
    let app = App::with_cognito().await;
    // With nineteen others before and after, so that the session may also end as the oldest. It must not be announced twice.
    for _ in 0..19 {
        app.open_session(Tenant::Acme, Role::TenantAdmin).await;
    }
    let asked = login(&app, &app.email(Tenant::Acme, Role::TenantAdmin), PASSWORD).await;
    let handle = text(&asked, "session");
    let enrolling = identity(&app, &handle).await.unwrap();
    for _ in 0..19 {
        app.clock().advance(Duration::from_secs(1));
        app.open_session(Tenant::Acme, Role::TenantAdmin).await;
    }
    enrol(&app, &app.as_identity(enrolling.clone())).await;
    let done = public(&app, "challenge", json!({"challenge": "MFA_SETUP", "session": handle})).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_ended(&app, &enrolling, "enrolled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schedule_ends_announces_and_records_idle_and_old_sessions() {
    let app = App::start().await;
    let idle = app.open_session(Tenant::Acme, Role::Marketer).await;
    let busy = app.open_session(Tenant::Acme, Role::Viewer).await;
    let other = app.open_session(Tenant::Birch, Role::Marketer).await;
    let me = async |who: &Identity| app.as_identity(who.clone()).call(endpoint("me")).await.status;
    for minute in 1..=16 {
        app.clock().advance(MINUTE);
        assert_eq!(me(&busy).await, 200);
        if minute < 15 {
            sweep(&app).await;
            assert_lives(&app, &idle).await;
        }
    }
    sweep(&app).await;
    assert_ended(&app, &idle, "idle").await;
    assert_ended(&app, &other, "idle").await;
    assert_lives(&app, &busy).await;
    for _ in 0..(12 * 60 / 14) {
        assert_eq!(me(&busy).await, 200);
        app.clock().advance(MINUTE * 14);
        sweep(&app).await;
    }
    app.clock().advance(MINUTE * 14);
    sweep(&app).await;
    assert_ended(&app, &busy, "expired").await;
    // A second run finds nothing to end.
    app.reset_calls();
    sweep(&app).await;
    assert!(!app.calls().dynamodb.iter().any(|call| call == "TransactWriteItems"));
}

#[tokio::test(flavor = "multi_thread")]
async fn active_sessions_due_entry_is_moved_by_the_schedule_never_by_requests() {
    let app = App::start().await;
    let who = app.open_session(Tenant::Acme, Role::Marketer).await;
    let mut entries = vec![item(&app, &who).await["ix_due_at"].clone()];
    for _ in 0..60 {
        app.clock().advance(Duration::from_secs(30));
        let before = item(&app, &who).await["ix_due_at"].clone();
        assert_eq!(app.as_identity(who.clone()).call(endpoint("me")).await.status, 200);
        assert_eq!(item(&app, &who).await["ix_due_at"], before, "a request does not move the due entry");
        sweep(&app).await;
        entries.push(item(&app, &who).await["ix_due_at"].clone());
    }
    entries.dedup();
    assert!((5..=8).contains(&entries.len()), "{} entries in half an hour", entries.len());
    assert_lives(&app, &who).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_idle_timeout_applies_to_open_sessions() {
    for (minutes, early, late) in [(5_u64, 4_u64, 7_u64), (60, 59, 66)] {
        let app = App::start().await;
        let who = app.open_session(Tenant::Acme, Role::Marketer).await;
        let other = app.open_session(Tenant::Birch, Role::Marketer).await;
        let put = admin(&app).await.call(endpoint("put_settings")).path("tenant_id", who.tenant).header("If-Match", "*");
        let put = put.json(json!({"session_idle_minutes": minutes})).await;
        assert_eq!(put.status, 200, "{}", put.text);
        app.clock().advance(Duration::from_secs(6));
        for minute in 0..=late {
            sweep(&app).await;
            if minute <= early {
                assert_lives(&app, &who).await;
            }
            app.clock().advance(MINUTE);
        }
        assert_ended(&app, &who, "idle").await;
        assert_eq!(ends(&app, other.tenant, other.session).await.0.len(), usize::from(late > 15), "another tenant's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_without_a_due_entry_gets_one_at_its_next_request() {
    let app = App::start().await;
    let who = app.open_session(Tenant::Acme, Role::Marketer).await;
    let update = app.raw().update_item().table_name(&app.provisioned().tables["EphemeraTable"]);
    let update = update
        .key("pk", S(format!("{}#SESSIONS#{}", who.tenant, who.user)))
        .key("sk", S(who.session.to_string()))
        .update_expression("REMOVE ix_due, ix_due_at");
    update.send().await.unwrap();
    assert_eq!(app.as_identity(who.clone()).call(endpoint("me")).await.status, 200);
    app.clock().advance(MINUTE * 16);
    sweep(&app).await;
    assert_ended(&app, &who, "idle").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_used_during_the_schedules_run_is_not_ended() {
    let app = App::start().await;
    let who = app.open_session(Tenant::Acme, Role::Marketer).await;
    app.clock().advance(MINUTE * 15 - Duration::from_secs(1));
    let now = app.clock().now();
    app.clock().advance(Duration::from_secs(2));
    let mut held = app.wire().hold("TransactWriteItems", 0);
    let mut sweeping = Box::pin(schedule().run(app.deps()));
    tokio::select! {
        run = &mut sweeping => panic!("not held: {run:?}"),
        () = held.arrived() => {}
    }
    // A request of another process, which began a moment before, has touched the session.
    let update = app.raw().update_item().table_name(&app.provisioned().tables["EphemeraTable"]);
    let update = update
        .key("pk", S(format!("{}#SESSIONS#{}", who.tenant, who.user)))
        .key("sk", S(who.session.to_string()))
        .update_expression("SET last_seen = :now")
        .expression_attribute_values(":now", N(now.as_millis().to_string()));
    update.send().await.unwrap();
    held.let_go();
    sweeping.await.unwrap();
    assert_lives(&app, &who).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_session_does_not_keep_other_sessions_from_ending() {
    let app = App::start().await;
    let broken = app.open_session(Tenant::Acme, Role::Viewer).await;
    let colleague = app.open_session(Tenant::Acme, Role::Marketer).await;
    let other = app.open_session(Tenant::Birch, Role::Marketer).await;
    let update = app.raw().update_item().table_name(&app.provisioned().tables["EphemeraTable"]);
    let update = update
        .key("pk", S(format!("{}#SESSIONS#{}", broken.tenant, broken.user)))
        .key("sk", S(broken.session.to_string()))
        .update_expression("REMOVE last_seen");
    update.send().await.unwrap();
    app.clock().advance(MINUTE * 16);
    assert!(schedule().run(app.deps()).await.is_err(), "the run fails");
    assert_ended(&app, &colleague, "idle").await;
    assert_ended(&app, &other, "idle").await;
}

/// Creates a key. Returns its id, and the identity for its secret.
async fn key(app: &App, body: Value) -> (String, Identity) {
    let made = admin(app).await.call(endpoint("create_api_key")).key("key").json(body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    (text(&made, "key_id"), identity(app, &text(&made, "api_key")).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn end_of_a_revoked_rotated_or_expired_key_is_announced_and_recorded() {
    let app = App::with_cognito().await;
    catch_up(&app);
    let day = app.clock().now().plus(Duration::from_secs(24 * 60 * 60));
    let body = json!({"name": "synthetic", "scopes": ["shipments.read"], "purposes": [], "networks": [], "expires_at": day});
    let (id, first) = key(&app, body).await;
    let rotate = async |hours: u16| {
        let rotated =
            admin(&app).await.call(endpoint("rotate_api_key")).path("key_id", &id).json(json!({"overlap_hours": hours}));
        let rotated = rotated.await;
        assert_eq!(rotated.status, 200, "{}", rotated.text);
        identity(&app, &text(&rotated, "api_key")).await.unwrap()
    };
    let announced = async |who: &Identity| ends(&app, who.tenant, who.session).await;
    let once = |reason: &str| (vec![reason.to_owned()], vec![reason.to_owned()]);

    let second = rotate(0).await;
    assert_eq!(announced(&first).await, once("key_rotated"));
    let third = rotate(1).await;
    app.clock().advance(MINUTE * 59);
    sweep(&app).await;
    assert_eq!(announced(&second).await, (vec![], vec![]), "a key does not idle");
    app.clock().advance(MINUTE);
    sweep(&app).await;
    assert_eq!(announced(&second).await, once("expired"));
    let fourth = rotate(1).await;
    assert_eq!(admin(&app).await.call(endpoint("revoke_api_key")).path("key_id", &id).await.status, 204);
    for revoked in [&third, &fourth] {
        assert_eq!(announced(revoked).await, once("key_revoked"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn end_of_a_suspended_tenants_sessions_is_announced_and_recorded() {
    let app = App::start().await;
    let who = app.open_session(Tenant::Acme, Role::Marketer).await;
    let other = app.open_session(Tenant::Birch, Role::Marketer).await;
    let operator = app.as_identity(app.open_session(Tenant::Acme, Role::SuperAdmin).await);
    let stopped = operator.call(endpoint("suspend_organization")).path("tenant_id", who.tenant).await;
    assert_eq!(stopped.status, 200, "{}", stopped.text);
    app.clock().advance(Duration::from_secs(6));
    app.deliveries(registry::consumers().filter(|consumer| consumer.name == "stop_organization")).settle().await;
    assert_ended(&app, &who, "tenant_suspended").await;
    assert_lives(&app, &other).await;
}

/// The end and its announcement are one commit, so neither exists without the other.
#[tokio::test(flavor = "multi_thread")]
async fn session_stays_live_when_its_end_cannot_be_announced_and_recorded() {
    let app = App::start().await;
    let who = app.open_session(Tenant::Acme, Role::Marketer).await;
    app.wire().fail("TransactWriteItems", 0, 100, Fault::Gone);
    assert_eq!(app.as_identity(who.clone()).call(endpoint("logout")).await.status, 503);
    app.wire().heal();
    assert_lives(&app, &who).await;
    app.clock().advance(Duration::from_secs(5));
    assert_eq!(app.as_identity(who.clone()).call(endpoint("logout")).await.status, 204);
    assert_ended(&app, &who, "signed_out").await;
}

/// After a second factor is activated, no pending sign-in may open a session without it.
#[tokio::test(flavor = "multi_thread")]
async fn pending_sign_in_without_factor_is_rejected_after_factor_activation() {
    let app = App::with_cognito().await;
    let email = app.email(Tenant::Acme, Role::Marketer);
    let enrolling = app.as_identity(app.open_session_without_mfa(Tenant::Acme, Role::Marketer).await);
    let before = sign_in(&app, Tenant::Acme, Role::Marketer).await;
    let neighbour = sign_in(&app, Tenant::Birch, Role::Marketer).await;
    // The first transaction is the sign-in's.
    let mut held = app.wire().hold("TransactWriteItems", 0);
    let mut signing_in = Box::pin(login(&app, &email, PASSWORD));
    tokio::select! {
        answer = &mut signing_in => panic!("not held: {}", answer.text),
        () = held.arrived() => {}
    }
    enrol(&app, &enrolling).await;
    held.let_go();
    let late = signing_in.await;
    assert_eq!((late.status, late.code()), (401, "invalid_credentials"), "{}", late.text);
    assert_eq!(me(&app, &text(&before, "access_token")).await.0, 401);
    assert_eq!(refresh(&app, &text(&before, "refresh_token")).await.status, 401);
    assert_eq!(enrolling.call(endpoint("me")).await.status, 200);
    assert_eq!(me(&app, &text(&neighbour, "access_token")).await.0, 200);
    assert_eq!(login(&app, &email, PASSWORD).await.json["challenge"], "TOTP");
}

/// A sign-in that waits for a code gives the second factor, so its activation does not void it.
#[tokio::test(flavor = "multi_thread")]
async fn sign_in_that_waits_for_a_code_is_completed_by_the_code() {
    let app = App::with_cognito().await;
    let (secret, _) = with_second_factor(&app, Tenant::Acme, Role::Marketer).await;
    let handle = waiting(&app, Tenant::Acme, Role::Marketer).await;
    let code = secret.code_at(app.clock().now());
    assert_eq!(suite::people::give_code(&app, &handle, &code).await.status, 200);
}

/// A session that states that a second factor is enrolled, and was not given in this session.
async fn without_factor(app: &App, role: Role) -> (Identity, UserId) {
    let who = app.open_session_without_mfa(Tenant::Acme, role).await;
    let update = app.raw().update_item().table_name(&app.provisioned().tables["EphemeraTable"]);
    let update = update
        .key("pk", S(format!("{}#SESSIONS#{}", who.tenant, who.user)))
        .key("sk", S(who.session.to_string()))
        .update_expression("SET mfa_enrolled = :one")
        .expression_attribute_values(":one", N("1".to_owned()));
    update.send().await.unwrap();
    let user = who.user;
    (who, user)
}

#[tokio::test(flavor = "multi_thread")]
async fn enrolled_members_session_without_mfa_is_limited_off_trusted_networks() {
    let app = App::start().await;
    for role in [Role::Marketer, Role::Viewer, Role::Provider, Role::Analyst] {
        let (who, _) = without_factor(&app, role).await;
        let refused = app.as_identity(who.clone()).call(endpoint("list_sessions")).await;
        assert_eq!((refused.status, refused.code()), (403, "mfa_required"), "{role}");
        assert_eq!(app.as_identity(who.clone()).call(endpoint("me")).await.status, 200, "{role}");
        // A member without a second factor is not limited.
        let other = app.open_session_without_mfa(Tenant::Birch, role).await;
        assert_eq!(app.as_identity(other).call(endpoint("list_sessions")).await.status, 200, "{role}");
    }
    let put = admin(&app).await.call(endpoint("put_settings")).path("tenant_id", app.tenant_id(Tenant::Acme));
    let put = put.header("If-Match", "*").json(json!({"trusted_networks": ["192.0.2.0/24"]})).await;
    assert_eq!(put.status, 200, "{}", put.text);
    app.clock().advance(Duration::from_secs(6));
    let (who, _) = without_factor(&app, Role::Marketer).await;
    let list = || app.as_identity(who.clone()).call(endpoint("list_sessions"));
    assert_eq!(list().from_ip("192.0.2.7").await.status, 200);
    assert_eq!(list().from_ip("198.51.100.7").await.code(), "mfa_required");
}

/// A token that an older function replaced. Within the grace period its holder gets a new token, and the session does not end.
#[tokio::test(flavor = "multi_thread")]
async fn reused_refresh_token_without_stored_successor_gets_one_within_grace() {
    let app = App::with_cognito().await;
    let first = sign_in(&app, Tenant::Acme, Role::Marketer).await;
    let second = refresh(&app, &text(&first, "refresh_token")).await;
    let who = identity(&app, &text(&second, "access_token")).await.unwrap();
    let update = app.raw().update_item().table_name(&app.provisioned().tables["EphemeraTable"]);
    let update = update
        .key("pk", S(format!("{}#REFRESH#{}", who.tenant, who.session)))
        .key("sk", S("TOKENS".to_owned()))
        .update_expression("REMOVE successor, recent");
    update.send().await.unwrap();
    let again = refresh(&app, &text(&first, "refresh_token")).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!(me(&app, &text(&again, "access_token")).await.0, 200);
    let other = refresh(&app, &text(&second, "refresh_token")).await;
    assert_eq!((other.status, text(&other, "refresh_token")), (200, text(&again, "refresh_token")));
}

/// Earlier sessions have not given the new factor, so they end, as when the user activates a factor.
#[tokio::test(flavor = "multi_thread")]
async fn authenticator_from_an_operator_ends_sessions_and_pending_sign_ins() {
    let app = App::with_cognito().await;
    let neighbour = app.open_session_without_mfa(Tenant::Birch, Role::Marketer).await;
    let colleague = app.open_session_without_mfa(Tenant::Acme, Role::Viewer).await;
    let signed_in = sign_in(&app, Tenant::Acme, Role::Marketer).await;
    let before = [
        app.open_session_without_mfa(Tenant::Acme, Role::Marketer).await,
        identity(&app, &text(&signed_in, "access_token")).await.unwrap(),
    ];
    let email = app.email(Tenant::Acme, Role::Marketer);
    let mut held = app.wire().hold("TransactWriteItems", 0);
    let mut signing_in = std::pin::pin!(login(&app, &email, PASSWORD));
    tokio::select! {
        answer = &mut signing_in => panic!("not held: {}", answer.text),
        () = held.arrived() => {}
    }
    let authenticator = identity::domain::totp::Authenticator { secret: identity::domain::totp::TotpSecret::generate() };
    let operator = app.operator();
    app.as_administrator(operator.hand_out_authenticator(before[0].tenant, before[0].user, &authenticator)).await.unwrap();
    held.let_go();
    assert_eq!(signing_in.await.status, 401, "the pending sign-in opens no session");
    for session in &before {
        assert_ended(&app, session, "second_factor_activated").await;
    }
    assert_eq!(refresh(&app, &text(&signed_in, "refresh_token")).await.status, 401);
    assert_eq!(login(&app, &email, PASSWORD).await.json["challenge"], "TOTP");
    for other in [&neighbour, &colleague] {
        assert_lives(&app, other).await;
    }
}
