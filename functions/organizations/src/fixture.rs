//! Helpers that this domain's tests share: operators, administrators, and their tenants.

use crate::{consumers::CONSUMERS, endpoints::ALL};
use common::base::{Role, TenantId, UserId};
use serde_json::{Value, json};
use std::collections::HashMap;
use testing::{Answer, App, Call};

pub(crate) use testing::Tenant::{self, Acme, Birch};

/// A call in a new session, whose rate limit is not used yet.
pub(crate) async fn call<'a>(app: &'a App, tenant: Tenant, role: Role, name: &str) -> Call<'a> {
    let who = app.open_session(tenant, role).await;
    app.as_identity(who).call(testing::find(ALL, name))
}

/// An operator's call about a tenant.
pub(crate) async fn operator<'a>(app: &'a App, name: &str, tenant: TenantId) -> Call<'a> {
    call(app, Acme, Role::SuperAdmin, name).await.path("tenant_id", tenant)
}

/// A call of Acme's administrator about a tenant.
pub(crate) async fn admin<'a>(app: &'a App, name: &str, tenant: TenantId) -> Call<'a> {
    call(app, Acme, Role::TenantAdmin, name).await.path("tenant_id", tenant)
}

pub(crate) async fn get(app: &App, tenant: TenantId) -> Value {
    let answer = operator(app, "get_organization", tenant).await.await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

pub(crate) async fn create(app: &App, name: &str, email: &str) -> Answer {
    let body = json!({"name": name, "display_name": "Cedar Clinic", "admin_email": email});
    call(app, Acme, Role::SuperAdmin, "create_organization").await.json(body).await
}

/// Creates a pending tenant; returns its id.
pub(crate) async fn created(app: &App, name: &str) -> TenantId {
    let answer = create(app, name, &format!("admin@{name}.example")).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json["tenant_id"].as_str().unwrap().parse().unwrap()
}

/// Asserts status and code.
#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.text);
}

/// Delivers the committed events through this domain's queues until nothing is left.
pub(crate) async fn settle(app: &App) {
    let mut queues = app.deliveries(CONSUMERS);
    queues.settle().await;
    assert_eq!(queues.dead(), []);
}

/// The items of one tenant.
pub(crate) async fn items(
    app: &App,
    table: &str,
    tenant: TenantId,
) -> Vec<HashMap<String, aws_sdk_dynamodb::types::AttributeValue>> {
    let mut rows = app.dump(table).await;
    rows.retain(|row| row["pk"].as_s().unwrap().starts_with(&format!("{tenant}#")));
    rows.sort_by_key(|row| format!("{:?}{:?}", row["pk"], row["sk"]));
    rows
}

/// The schemas of a tenant's domain events, oldest first.
pub(crate) async fn events(app: &App, tenant: TenantId) -> Vec<String> {
    let rows = items(app, "LedgerTable", tenant).await;
    rows.iter().filter_map(|row| row.get("schema")).map(|schema| schema.as_s().unwrap().clone()).collect()
}

/// The types of a log's audit events, oldest first.
pub(crate) async fn log(app: &App, tenant: TenantId) -> Vec<String> {
    app.audit_of(tenant).await.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

/// A user's grants in a tenant, from their membership.
pub(crate) async fn grants(app: &App, tenant: TenantId, user: UserId) -> Value {
    let rows = items(app, "RecordsTable", tenant).await;
    let pk = format!("{tenant}#MEMBER#{user}");
    let row = rows.iter().find(|row| row["pk"].as_s().unwrap() == &pk && row.contains_key("grants")).unwrap();
    serde_json::from_str(row["grants"].as_s().unwrap()).unwrap()
}
