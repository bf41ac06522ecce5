//! Indexes lag behind their tables. Work that must reach all of a tenant's members must miss none.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue;
use common::base::{Role, TenantId, UserId};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use suite::{people::endpoint, samples, state};
use testing::{App, Tenant};

/// A member that no index shows yet.
async fn newcomer(app: &App, tenant: Tenant, role: Role) -> UserId {
    let email = format!("new.{}", app.email(tenant, role)).parse().unwrap();
    app.as_administrator(app.operator().create_membership(app.tenant_id(tenant), &email, &[role])).await.unwrap()
}

async fn suspend(app: &App, tenant: TenantId) {
    let operator = app.as_identity(app.open_session(Tenant::Acme, Role::SuperAdmin).await);
    let answer = operator.call(endpoint("suspend_organization")).path("tenant_id", tenant).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// The number of Acme's members in the index.
async fn shown(app: &App) -> usize {
    let query = app.raw().query().table_name(&app.provisioned().tables["RecordsTable"]).index_name("all");
    let query = query.key_condition_expression("ix_all = :list");
    let list = AttributeValue::S(format!("{}#MEMBERS", app.tenant_id(Tenant::Acme)));
    query.expression_attribute_values(":list", list).send().await.unwrap().items().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_apps_indexes_show_a_write_one_second_later() {
    for app in [App::start().await, App::without_tenant_sessions().await, App::with_cognito().await] {
        let before = shown(&app).await;
        assert!(before > 0, "the test's own members are in the index");
        newcomer(&app, Tenant::Acme, Role::Viewer).await;
        assert_eq!(shown(&app).await, before);
        app.clock().advance(Duration::from_millis(999));
        assert_eq!(shown(&app).await, before);
        app.clock().advance(Duration::from_millis(1));
        assert_eq!(shown(&app).await, before + 1);
        newcomer(&app, Tenant::Acme, Role::Marketer).await;
        assert_eq!(shown(&app).await, before + 1);
        app.settle_indexes();
        assert_eq!(shown(&app).await, before + 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn index_shows_earlier_writes_to_a_reading_request_and_not_to_a_changing_one() {
    let app = App::start().await;
    let admin = app.as_identity(app.open_session(Tenant::Acme, Role::TenantAdmin).await);
    let (before, user) = (shown(&app).await, newcomer(&app, Tenant::Acme, Role::Viewer).await);
    let granted = admin.call(endpoint("grant_role")).path("user_id", user).path("role", "auditor").json(json!({})).await;
    assert!(granted.status < 300, "{}", granted.text);
    assert_eq!(shown(&app).await, before);
    let listed = admin.call(endpoint("list_users")).query("limit", 100).await;
    assert_eq!((listed.json["items"].as_array().unwrap().len(), shown(&app).await), (before + 1, before + 1), "{}", listed.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn held_index_shows_old_items_until_it_is_released() {
    let app = App::start().await;
    let listed = async || {
        let admin = app.as_identity(app.open_session(Tenant::Acme, Role::TenantAdmin).await);
        let answer = admin.call(endpoint("list_users")).query("limit", 100).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["items"].as_array().unwrap().len()
    };
    let before = listed().await;
    app.hold_indexes(true);
    newcomer(&app, Tenant::Acme, Role::Viewer).await;
    app.clock().advance(Duration::from_secs(60));
    assert_eq!(listed().await, before, "a list may lag");
    app.hold_indexes(false);
    assert_eq!(listed().await, before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn member_missing_from_the_index_loses_their_session_on_suspension() {
    let app = App::start().await;
    app.hold_indexes(true);
    let mut sessions = Vec::new();
    for tenant in [Tenant::Acme, Tenant::Birch] {
        let user = newcomer(&app, tenant, Role::Viewer).await;
        let grants = [common::base::Grant::always(Role::Viewer)];
        sessions.push(app.open_session_with(app.tenant_id(tenant), user, &grants).await);
    }
    suspend(&app, app.tenant_id(Tenant::Birch)).await;
    app.clock().advance(Duration::from_secs(6));
    app.deliveries(registry::consumers().filter(|consumer| consumer.name == "stop_organization")).settle().await;
    let mut seen = Vec::new();
    for who in sessions {
        seen.push(app.as_identity(who).call(endpoint("me")).await.status);
    }
    assert_eq!(seen, [200, 401], "Birch's session has ended, not only its tenant is suspended");
}

fn told(app: &App, tenant: TenantId) -> Value {
    let now = common::base::Clock::now(app.clock());
    let id = common::base::EventId::new(now);
    let envelope = json!({
        "id": id, "tenant_id": tenant, "actor": "verify_audit", "on_behalf_of": null, "cause": id, "correlation_id": "test-1",
        "schema": "audit.tamper_detected", "version": 1, "occurred_at": now, "payload": {},
    });
    let detail = json!({"schema": "audit.tamper_detected", "envelope": envelope.to_string()});
    json!({"version": "0", "source": "cloister", "detail-type": "domain-event", "detail": detail})
}

#[tokio::test(flavor = "multi_thread")]
async fn alarm_reaches_current_role_holders_although_the_index_lags() {
    let app = App::start().await;
    app.hold_indexes(true);
    let newest = newcomer(&app, Tenant::Acme, Role::Auditor).await;
    let elsewhere = newcomer(&app, Tenant::Birch, Role::Auditor).await;
    // A member is granted the role, and another who had it is disabled.
    let promoted = app.user_id(Tenant::Acme, Role::Viewer);
    let admin = app.as_identity(app.open_session(Tenant::Acme, Role::TenantAdmin).await);
    let answer = admin.call(endpoint("grant_role")).path("user_id", promoted).path("role", "auditor").json(json!({})).await;
    assert!(answer.status < 300, "{}", answer.text);
    let gone = app.user_id(Tenant::Acme, Role::Auditor);
    app.disable_member(Tenant::Acme, Role::Auditor).await;

    let consumers = registry::consumers().filter(|consumer| consumer.name == "deliver_notification");
    let mut deliveries = app.deliveries(consumers);
    deliveries.send("deliver_notification", &told(&app, app.tenant_id(Tenant::Acme)));
    while deliveries.step().await {}
    let inbox = |row: &std::collections::HashMap<String, AttributeValue>| {
        let pk = row["pk"].as_s().unwrap();
        row.contains_key("notification_id").then(|| pk.split_once("INBOX#").map(|(_, user)| user.to_owned())).flatten()
    };
    let reached: BTreeSet<_> = app.dump("RecordsTable").await.iter().filter_map(inbox).collect();
    for user in [newest, promoted] {
        assert!(reached.contains(&user.to_string()), "{user} of {reached:?}");
    }
    for user in [elsewhere, gone] {
        assert!(!reached.contains(&user.to_string()), "{user} of {reached:?}");
    }
}

/// An index may still show what a run has just done.
#[tokio::test(flavor = "multi_thread")]
async fn schedule_that_runs_again_before_the_indexes_show_its_work_does_nothing_twice() {
    for schedule in registry::schedules() {
        let mut outcomes = Vec::new();
        for runs in [1, 2] {
            let world = samples::world(schedule.name).await;
            world.app.hold_indexes(true);
            for _ in 0..runs {
                schedule.run(world.app.deps()).await.unwrap();
            }
            outcomes.push((crate::background::outcome(&world).await, world.app.mails().len(), world.app.all_frames().len()));
        }
        let [once, again] = outcomes.try_into().unwrap();
        assert_eq!(state::difference(&once.0, &again.0), [""; 0], "{}", schedule.name);
        assert_eq!((once.0.len(), once.1, once.2), (again.0.len(), again.1, again.2), "{}", schedule.name);
    }
}
