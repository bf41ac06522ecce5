//! Tenant credentials: which credentials sign each call to the tables, how seldom STS is called, and how functions behave without
//! STS. The templates define the permissions of the credentials, and `cargo xtask sync` tests them.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::base::{Identity, Role, TenantId};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use suite::fixture;
use testing::{Answer, App, Call, Fault, PASSWORD, SignedCall, Tenant, find};

const MINUTE: Duration = Duration::from_secs(60);

/// A create with a new idempotency key and a new tracking number.
fn create(app: &App, who: Identity) -> Call<'_> {
    let create = find(shipments::endpoints::ALL, "create_shipment");
    app.as_identity(who).call(create).json(fixture::fresh(create.sample.body.unwrap()))
}

async fn marketer(app: &App, tenant: Tenant) -> Identity {
    app.open_session(tenant, Role::Marketer).await
}

/// The tenants whose partitions a call names.
fn tenants_of(call: &SignedCall) -> BTreeSet<TenantId> {
    fn texts<'v>(value: &'v Value, out: &mut Vec<&'v str>) {
        match value {
            Value::String(text) => out.push(text),
            Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
            Value::Object(members) => members.values().for_each(|member| texts(member, out)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    texts(&call.body, &mut all);
    all.iter().filter_map(|text| text.split_once('#')?.0.parse().ok()).collect()
}

/// Asserts that each call names only the tenant whose credentials sign it, and that the function's own credentials sign the calls
/// that name the platform. Returns the number of the latter.
fn calls_by_the_function(app: &App) -> usize {
    let sessions = app.tenant_sessions();
    let mut by_function = 0;
    for call in app.wire().signed() {
        let session = sessions.iter().find(|session| session.access_key == call.access_key);
        assert_eq!(call.token.as_ref(), session.map(|session| &session.token), "{call:?}");
        assert_eq!(tenants_of(&call), [session.map_or(TenantId::PLATFORM, |session| session.tenant)].into(), "{call:?}");
        by_function += usize::from(session.is_none());
    }
    by_function
}

fn unavailable(answer: &Answer) {
    assert_eq!((answer.status, answer.code()), (503, "dependency_unavailable"), "{}", answer.text);
}

#[tokio::test]
async fn call_bears_the_credentials_of_the_tenant_whose_items_it_names() {
    let app = App::start().await;
    for tenant in [Tenant::Acme, Tenant::Birch] {
        let who = marketer(&app, tenant).await;
        assert_eq!(create(&app, who).await.status, 201);
    }
    app.as_role(Tenant::Acme, Role::SuperAdmin).call(find(shipments::endpoints::ALL, "list_shipments")).await;
    let (sessions, by_function) = (app.tenant_sessions(), calls_by_the_function(&app));
    assert!(by_function > 0, "the super_admin's session is the platform's");
    let seen: Vec<_> = sessions.iter().map(|session| session.tenant).collect();
    assert_eq!(seen, [app.tenant_id(Tenant::Acme), app.tenant_id(Tenant::Birch)]);
    assert_ne!(sessions[0].token, sessions[1].token);
}

/// The keys of a tenant's objects contain its id, as those of its items do.
#[tokio::test]
async fn sealed_log_of_a_tenant_is_accessed_with_its_credentials() {
    let app = App::start().await;
    app.deliveries(registry::consumers().filter(|consumer| consumer.name == "seal_audit")).settle().await;
    app.clock().advance(MINUTE);
    registry::schedules().find(|schedule| schedule.name == "sign_checkpoint").unwrap().run(app.deps()).await.unwrap();
    let auditor = app.as_role(Tenant::Birch, Role::Auditor);
    assert_eq!(auditor.call(find(audit::endpoints::ALL, "get_segment")).path("first_sequence", "0").await.status, 200);
    let (sessions, mut seen) = (app.tenant_sessions(), BTreeSet::new());
    for call in app.wire().signed_objects() {
        let session = sessions.iter().find(|session| session.access_key == call.access_key);
        let tenant = session.map_or(TenantId::PLATFORM, |session| session.tenant);
        assert_eq!(call.body.as_str().unwrap().split('/').nth(1), Some(tenant.to_string().as_str()), "{call:?}");
        assert_eq!(call.token.as_ref(), session.map(|session| &session.token), "{call:?}");
        seen.insert((tenant, call.operation));
    }
    let each = [TenantId::PLATFORM, app.tenant_id(Tenant::Acme), app.tenant_id(Tenant::Birch)];
    let operations = ["GetObject", "ListObjectVersions", "PutObject"];
    let all = each.into_iter().flat_map(|tenant| operations.map(|operation| (tenant, operation.to_owned())));
    assert_eq!(seen, all.collect());
}

#[tokio::test]
async fn tenant_session_is_requested_for_an_hour_with_the_tenant_tag_alone() {
    let app = App::start().await;
    let who = marketer(&app, Tenant::Acme).await;
    create(&app, who).await;
    let [session] = app.tenant_sessions().try_into().unwrap();
    let tenant = app.tenant_id(Tenant::Acme).to_string();
    let expected = [
        ("Tags.member.1.Key", "tenant"),
        ("Tags.member.1.Value", tenant.as_str()),
        ("DurationSeconds", "3600"),
        ("RoleSessionName", "cloister-process"),
    ];
    for (name, value) in expected {
        assert_eq!(session.asked.get(name).map(String::as_str), Some(value), "{name}: {:?}", session.asked);
    }
    assert!(session.asked["RoleArn"].starts_with("arn:aws:iam::000000000000:role/cloister-tenant-"), "{:?}", session.asked);
    assert!(!session.asked.keys().any(|name| name.starts_with("Tags.member.2") || name.starts_with("Policy")));
}

#[tokio::test]
async fn sts_is_called_once_a_tenant_and_hour_for_concurrent_requests() {
    let app = App::start().await;
    let who = marketer(&app, Tenant::Acme).await;
    let answers = join_all((0..8).map(|_| create(&app, who.clone()).into_future())).await;
    assert!(answers.iter().all(|answer| answer.status == 201));
    let other = marketer(&app, Tenant::Birch).await;
    create(&app, other).await;
    assert_eq!(app.calls().sts.len(), 2, "one a tenant");

    app.clock().advance(55 * MINUTE - Duration::from_millis(1));
    let who = marketer(&app, Tenant::Acme).await;
    assert_eq!(create(&app, who.clone()).await.status, 201);
    assert_eq!(app.calls().sts.len(), 2, "a moment before");
    app.clock().advance(Duration::from_millis(1));
    app.reset_calls();
    assert_eq!(create(&app, who).await.status, 201);
    let [.., renewed] = app.tenant_sessions().try_into().map_err(|all: Vec<_>| all.len()).map(|all: [_; 3]| all).unwrap();
    assert_eq!((renewed.tenant, app.calls().sts.len()), (app.tenant_id(Tenant::Acme), 1));
    assert!(app.wire().signed().iter().all(|call| call.access_key == renewed.access_key), "no call uses the old credentials");
}

#[tokio::test]
async fn cold_process_without_sts_answers_503_and_writes_nothing() {
    let app = App::start().await;
    let who = marketer(&app, Tenant::Acme).await;
    let before = [app.dump("RecordsTable").await, app.dump("LedgerTable").await];
    for fault in [
        Fault::Gone,
        Fault::LostAnswer,
        Fault::Says(403, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"),
    ] {
        app.reset_calls();
        app.wire().fail("sts", 0, usize::MAX, fault);
        unavailable(&create(&app, who.clone()).await);
        assert_eq!(app.wire().signed().len(), 0, "{fault:?}: no call uses other credentials");
        app.wire().heal();
    }
    assert_eq!([app.dump("RecordsTable").await, app.dump("LedgerTable").await], before);
    let line = app.log_lines().pop().unwrap().to_string();
    assert!(line.contains("sts") && !line.contains("token-"), "{line}");
    assert_eq!(create(&app, who).await.status, 201, "a failure is not cached");
}

#[tokio::test]
async fn warm_process_works_without_sts_until_its_session_expires() {
    let app = App::start().await;
    let who = marketer(&app, Tenant::Acme).await;
    assert_eq!(create(&app, who).await.status, 201);
    app.wire().fail("sts", 0, usize::MAX, Fault::Gone);
    app.reset_calls();
    app.clock().advance(57 * MINUTE);
    let who = marketer(&app, Tenant::Acme).await;
    assert_eq!(create(&app, who.clone()).await.status, 201, "the session is due for renewal, and still valid");
    let asked = app.calls().sts.len();
    assert!(asked > 0);
    assert_eq!(create(&app, who).await.status, 201);
    assert_eq!(app.calls().sts.len(), asked, "after a failed renewal the next one waits for a pause");

    app.clock().advance(3 * MINUTE);
    let who = marketer(&app, Tenant::Acme).await;
    unavailable(&create(&app, who.clone()).await);
    app.wire().heal();
    // The longest pause of its circuit breaker.
    app.clock().advance(MINUTE / 2);
    assert_eq!(create(&app, who).await.status, 201);
}

/// `refresh` is the only sign-in endpoint that needs no access across tenants. This test keeps it so.
#[tokio::test(flavor = "multi_thread")]
async fn refresh_accesses_its_tenant_with_tenant_credentials_alone() {
    let app = App::with_cognito().await;
    let ask = |name: &str, body: Value| app.anonymous().call(find(identity::endpoints::ALL, name)).json(body);
    let email = app.email(Tenant::Acme, Role::Marketer);
    let login = ask("login", json!({"email": email, "password": PASSWORD})).await;
    assert_eq!(login.status, 200, "{}", login.text);
    app.reset_calls();
    let refreshed = ask("refresh", json!({"refresh_token": login.json["refresh_token"]})).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    assert!(calls_by_the_function(&app) > 0, "its budget by address is the platform's");
    assert!(app.wire().signed().len() > 3);
}

/// A sign-in that waits for a new password is in the platform's partition, and the session that follows is in the tenant's.
#[tokio::test(flavor = "multi_thread")]
async fn commit_across_tenants_is_signed_by_the_function_itself() {
    const TEMPORARY: &str = "Temporary-Passw0rd!";
    let app = App::with_cognito().await;
    let user = app.user_id(Tenant::Acme, Role::Marketer).to_string();
    let password = json!({"Username": user, "Password": TEMPORARY, "Permanent": false});
    app.cognito("AdminSetUserPassword", password).await;
    app.reset_calls();
    let ask = |name: &str, body: Value| app.anonymous().call(find(identity::endpoints::ALL, name)).json(body);
    let email = app.email(Tenant::Acme, Role::Marketer);
    let login = ask("login", json!({"email": email, "password": TEMPORARY})).await;
    assert_eq!(login.json["challenge"], "NEW_PASSWORD_REQUIRED", "{}", login.text);
    let handle = &login.json["session"];
    let answer = json!({"challenge": "NEW_PASSWORD_REQUIRED", "session": handle, "new_password": "Chosen-Passw0rd-9!"});
    let challenge = ask("challenge", answer).await;
    assert_eq!(challenge.status, 200, "{}", challenge.text);
    let sessions = app.tenant_sessions();
    let (mut across, both) = (Vec::new(), [TenantId::PLATFORM, app.tenant_id(Tenant::Acme)].into());
    for call in app.wire().signed() {
        let named = tenants_of(&call);
        let by_function = sessions.iter().all(|session| session.access_key != call.access_key);
        assert_eq!(by_function, named != [app.tenant_id(Tenant::Acme)].into(), "{call:?}");
        if named == both {
            across.push(call.operation);
        }
    }
    assert_eq!(across, ["TransactWriteItems", "TransactWriteItems"], "one by login, one by challenge");
}

#[tokio::test]
async fn function_without_a_tenant_role_never_calls_sts() {
    let app = App::without_tenant_sessions().await;
    let who = marketer(&app, Tenant::Acme).await;
    assert_eq!(create(&app, who).await.status, 201);
    assert_eq!(app.calls().sts.len(), 0);
    assert!(app.wire().signed().iter().all(|call| call.token.is_none()));
}
