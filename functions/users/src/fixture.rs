//! Helpers that this domain's tests share: administrators, the users that they manage, and how those sign in.

use crate::{consumers::CONSUMERS, endpoints::ALL};
use aws_sdk_dynamodb::types::AttributeValue::{N, S};
use common::base::{Identity, Role, UserId};
use serde_json::{Value, json};
use testing::{Answer, App, Call, Deliveries, Tenant};

pub(crate) use testing::Tenant::{Acme, Birch};

/// A call in a new session, whose rate limit is not used yet.
pub(crate) async fn call<'a>(app: &'a App, tenant: Tenant, role: Role, name: &str) -> Call<'a> {
    let who = app.open_session(tenant, role).await;
    as_who(app, who, name)
}

pub(crate) fn as_who<'a>(app: &'a App, who: Identity, name: &str) -> Call<'a> {
    app.as_identity(who).call(testing::find(ALL, name))
}

/// A call of Acme's administrator.
pub(crate) async fn admin<'a>(app: &'a App, name: &str) -> Call<'a> {
    call(app, Acme, Role::TenantAdmin, name).await
}

pub(crate) async fn invite(app: &App, tenant: Tenant, email: &str) -> Answer {
    let body = json!({"email": email, "name": "Ada Sentinel", "roles": ["marketer"], "department": "Outreach"});
    call(app, tenant, Role::TenantAdmin, "invite_user").await.json(body).await
}

/// Invites a person; returns their id.
pub(crate) async fn invited(app: &App, tenant: Tenant, email: &str) -> UserId {
    let answer = invite(app, tenant, email).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json["user_id"].as_str().unwrap().parse().unwrap()
}

pub(crate) async fn get(app: &App, tenant: Tenant, user: impl ToString) -> Answer {
    call(app, tenant, Role::TenantAdmin, "get_user").await.path("user_id", user).await
}

/// Calls, as Acme's administrator, an endpoint about one user that takes no other input.
pub(crate) async fn about(app: &App, name: &str, user: impl ToString) -> Answer {
    admin(app, name).await.path("user_id", user).await
}

pub(crate) async fn grant(app: &App, user: impl ToString, role: &str, term: Value) -> Answer {
    admin(app, "grant_role").await.path("user_id", user).path("role", role).json(term).await
}

pub(crate) async fn revoke(app: &App, user: impl ToString, role: &str) -> Answer {
    admin(app, "revoke_role").await.path("user_id", user).path("role", role).await
}

/// The schemas of a tenant's domain events, oldest first, and the user of each.
pub(crate) async fn events(app: &App, tenant: Tenant) -> Vec<(String, String)> {
    let events = app.domain_events(tenant).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| (text(&event["schema"]), text(&event["payload"]["user_id"]))).collect()
}

pub(crate) fn queues(app: &App) -> Deliveries<'_> {
    app.deliveries(CONSUMERS)
}

/// Delivers the committed events through the queues until nothing is left.
pub(crate) async fn settle(app: &App) {
    let mut queues = queues(app);
    queues.settle().await;
    assert_eq!(queues.dead(), []);
}

/// An e-mail that no other user of the shared pool has.
pub(crate) fn fresh(app: &App, name: &str) -> String {
    let known = app.email(Acme, Role::Viewer);
    let (_, rest) = known.split_once("viewer").unwrap();
    format!("{name}{rest}")
}

/// The recipient of a mail.
pub(crate) fn to(mail: &Value) -> &str {
    mail["Destination"]["ToAddresses"][0].as_str().unwrap()
}

pub(crate) fn subject(mail: &Value) -> &str {
    mail["Content"]["Simple"]["Subject"]["Data"].as_str().unwrap()
}

/// The password in a mail, which is on a line of its own.
pub(crate) fn password_in(mail: &Value) -> String {
    let text = mail["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap();
    text.lines().find(|line| line.starts_with("Ta7-")).unwrap_or_else(|| panic!("no password in {text}")).to_owned()
}

/// The mails that were sent to an address.
pub(crate) fn mails_to(app: &App, email: &str) -> Vec<Value> {
    app.mails().into_iter().filter(|mail| to(mail) == email).collect()
}

/// The user in the pool, if it has one.
pub(crate) async fn in_pool(app: &App, user: UserId) -> Option<Value> {
    let users = app.cognito("ListUsers", json!({})).await;
    let found = users["Users"].as_array().unwrap().iter().find(|found| found["Username"] == user.to_string());
    found.cloned()
}

/// The user's groups in the pool, sorted.
pub(crate) async fn groups(app: &App, user: UserId) -> Vec<String> {
    let answer = app.cognito("AdminListGroupsForUser", json!({"Username": user.to_string()})).await;
    let groups = answer["Groups"].as_array().unwrap().iter();
    let mut names: Vec<_> = groups.map(|group| group["GroupName"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// The challenge that the pool returns for a right password.
pub(crate) async fn challenge(app: &App, email: &str, password: &str) -> Value {
    let parameters = json!({"USERNAME": email, "PASSWORD": password});
    let client = app.deps().config().user_pool_client_id.clone();
    let asked = json!({"ClientId": client, "AuthFlow": "ADMIN_USER_PASSWORD_AUTH", "AuthParameters": parameters});
    app.cognito("AdminInitiateAuth", asked).await["ChallengeName"].clone()
}

/// Sets the session's version of its membership, as a session that is opened now would have it.
pub(crate) async fn at_version(app: &App, who: &Identity, version: i64) {
    let update = app
        .raw()
        .update_item()
        .table_name(&app.provisioned().tables["EphemeraTable"])
        .key("pk", S(format!("{}#SESSIONS#{}", who.tenant, who.user)))
        .key("sk", S(who.session.to_string()))
        .update_expression("SET membership_version = :version")
        .expression_attribute_values(":version", N(version.to_string()));
    update.send().await.unwrap();
}
