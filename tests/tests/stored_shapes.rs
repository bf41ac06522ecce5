//! Old and new functions run side by side during a deployment, and after a rollback. Each reads the other's items, and writes
//! them back without a loss.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue::{self, S};
use common::base::{Role, TenantId};
use serde_json::{Value, json};
use suite::{
    fixture::{self, Fixture},
    later::{self, UNKNOWN, WORD},
    matrix::{allowed_role, protected},
    people::{self, endpoint},
    samples,
};
use testing::{App, Tenant};

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_handles_items_of_a_later_version_and_keeps_unknown_fields() {
    for endpoint in protected() {
        let app = fixture::backend(endpoint).await;
        let fixture = Fixture::of(&app, endpoint).await;
        let client = app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await);
        let before = later::write_all(&app).await;
        let answer = fixture.call(&client, endpoint).await;
        assert_eq!(answer.status, endpoint.status, "{}: {}", endpoint.name, answer.text);
        assert!(!answer.text.contains(UNKNOWN) && !answer.text.contains(WORD), "{}: {}", endpoint.name, answer.text);
        let line = app.log_lines().pop().unwrap();
        assert!(line["stored.unknown"].as_u64().is_some_and(|count| count > 0), "{}: {line}", endpoint.name);
        assert_eq!(later::lost(&before, &later::items(&app).await), [""; 0], "{}", endpoint.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn consumer_handles_items_of_a_later_version_and_keeps_unknown_fields() {
    for consumer in registry::consumers() {
        let world = samples::world(consumer.name).await;
        let mut queue = world.queue(consumer, 1).await;
        assert!(!queue.is_empty(), "{} receives nothing", consumer.name);
        let before = later::write_all(&world.app).await;
        while queue.step().await {}
        assert_eq!(queue.dead(), [], "{}", consumer.name);
        assert_eq!(later::lost(&before, &later::items(&world.app).await), [""; 0], "{}", consumer.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schedule_handles_items_of_a_later_version_and_keeps_unknown_fields() {
    for schedule in registry::schedules() {
        let world = samples::world(schedule.name).await;
        let before = later::write_all(&world.app).await;
        schedule.run(world.app.deps()).await.unwrap_or_else(|error| panic!("{}: {error:?}", schedule.name));
        assert_eq!(later::lost(&before, &later::items(&world.app).await), [""; 0], "{}", schedule.name);
    }
}

/// Sets an attribute of an item without the wire.
async fn set(app: &App, table: &str, (pk, sk): (String, String), name: &str, value: impl ToString) {
    let update = app.raw().update_item().table_name(&app.provisioned().tables[table]).key("pk", S(pk)).key("sk", S(sk));
    let update = update.update_expression("SET #name = :value").condition_expression("attribute_exists(pk)");
    let update = update.expression_attribute_names("#name", name);
    update.expression_attribute_values(":value", S(value.to_string())).send().await.unwrap();
}

async fn get(app: &App, table: &'static str, (pk, sk): (String, String)) -> std::collections::HashMap<String, AttributeValue> {
    later::items(app).await.remove(&(table, pk, sk)).unwrap()
}

fn at(tenant: TenantId, partition: impl std::fmt::Display, sort: impl ToString) -> (String, String) {
    (format!("{tenant}#{partition}"), sort.to_string())
}

async fn created(app: &App) -> String {
    let endpoint = endpoint("create_shipment");
    let body = fixture::fresh(endpoint.sample.body.unwrap());
    let answer = app.as_identity(app.open_session(Tenant::Acme, Role::Marketer).await).call(endpoint).json(body).await;
    people::text(&answer, "shipment_id")
}

#[tokio::test]
async fn unknown_shipment_status_is_shown_as_unknown_and_kept_until_it_changes() {
    let app = App::start().await;
    let (acme, id) = (app.tenant_id(Tenant::Acme), created(&app).await);
    let item = || at(acme, format!("SHIPMENT#{id}"), "SHIPMENT");
    set(&app, "RecordsTable", item(), "status", WORD).await;
    let call = |name: &str| app.as_role(Tenant::Acme, Role::Marketer).call(endpoint(name)).path("shipment_id", &id);
    assert_eq!(call("get_shipment").await.json["status"], "UNKNOWN");
    let assigned = json!({"assigned_to": app.user_id(Tenant::Acme, Role::Provider)});
    let updated = call("update_shipment").header("If-Match", "*").json(assigned).await;
    assert_eq!((updated.status, &updated.json["status"]), (200, &json!("UNKNOWN")), "{}", updated.text);
    let stored = get(&app, "RecordsTable", item()).await;
    assert_eq!(stored["status"], S(WORD.to_owned()));
    assert!(stored["ix_status_assignee"].as_s().unwrap().ends_with(WORD));
    let voided = call("void_shipment").await;
    assert_eq!((voided.status, &voided.json["status"]), (200, &json!("VOIDED")), "{}", voided.text);
    assert_eq!(get(&app, "RecordsTable", item()).await["status"], S("VOIDED".to_owned()));
}

#[tokio::test]
async fn session_of_an_unknown_kind_is_refused_and_can_be_ended() {
    let app = App::start().await;
    let who = app.open_session(Tenant::Acme, Role::Marketer).await;
    let item = || at(who.tenant, format!("SESSIONS#{}", who.user), who.session);
    set(&app, "EphemeraTable", item(), "kind", WORD).await;
    let refused = app.as_identity(who.clone()).call(endpoint("me")).await;
    assert_eq!(refused.status, 401, "{}", refused.text);
    let admin = app.as_role(Tenant::Acme, Role::TenantAdmin);
    let sessions = admin.call(endpoint("list_user_sessions")).path("user_id", who.user).await;
    assert_eq!(sessions.status, 200, "{}", sessions.text);
    let ended = admin.call(endpoint("end_user_sessions")).path("user_id", who.user).await;
    assert!(ended.status < 300, "{}", ended.text);
    assert_eq!(get(&app, "EphemeraTable", item()).await["status"], S("ended".to_owned()));
}

#[tokio::test]
async fn tenant_of_an_unknown_status_refuses_callers_and_keeps_messages() {
    let app = App::start().await;
    let acme = app.tenant_id(Tenant::Acme);
    created(&app).await;
    let mut queue = app.deliveries(notifications::consumers::CONSUMERS);
    queue.collect().await;
    set(&app, "RecordsTable", at(acme, "TENANT", "PROFILE"), "status", WORD).await;
    app.clock().advance(std::time::Duration::from_secs(6));
    assert_eq!(app.as_role(Tenant::Acme, Role::Marketer).call(endpoint("me")).await.code(), "tenant_inactive");
    while queue.step().await {}
    assert_eq!(queue.dead(), [], "{:#?}", app.log_lines().last());
    let waiting = later::items(&app).await.into_keys().filter(|(_, pk, _)| *pk == format!("{acme}#WAITING")).count();
    assert_eq!(waiting, 1);
    let operator = app.as_role(Tenant::Acme, Role::SuperAdmin);
    let settings = operator.call(endpoint("put_settings")).path("tenant_id", acme).header("If-Match", "*").json(json!({})).await;
    assert_eq!(settings.status, 200, "{}", settings.text);
    assert_eq!(get(&app, "RecordsTable", at(acme, "TENANT", "PROFILE")).await["status"], S(WORD.to_owned()));
}

#[tokio::test]
async fn member_of_an_unknown_status_is_shown_disabled_and_gets_no_work() {
    let app = App::start().await;
    let (acme, provider) = (app.tenant_id(Tenant::Acme), app.user_id(Tenant::Acme, Role::Provider));
    set(&app, "RecordsTable", at(acme, format!("MEMBER#{provider}"), "MEMBERSHIP"), "status", WORD).await;
    let admin = app.as_role(Tenant::Acme, Role::TenantAdmin);
    let shown = admin.call(endpoint("get_user")).path("user_id", provider).await;
    assert_eq!((shown.status, &shown.json["status"]), (200, &json!("disabled")), "{}", shown.text);
    let id = created(&app).await;
    let marketer = app.as_role(Tenant::Acme, Role::Marketer);
    let call = marketer.call(endpoint("update_shipment")).path("shipment_id", &id).header("If-Match", "*");
    assert_eq!(call.json(json!({"assigned_to": provider})).await.status, 422);
}

/// An unknown role gives no permission, whichever other roles are granted and revoked.
#[tokio::test]
async fn unknown_role_grants_nothing_and_survives_changes_of_other_roles() {
    let app = App::start().await;
    let (acme, viewer) = (app.tenant_id(Tenant::Acme), app.user_id(Tenant::Acme, Role::Viewer));
    let item = || at(acme, format!("MEMBER#{viewer}"), "MEMBERSHIP");
    let grants = json!([{"role": WORD}, {"role": "viewer", UNKNOWN: 1}]);
    set(&app, "RecordsTable", item(), "grants", &grants).await;
    let session = app.open_session(Tenant::Acme, Role::Viewer).await;
    let admin = app.as_role(Tenant::Acme, Role::TenantAdmin);
    let call = |name: &str, role: &str| admin.call(endpoint(name)).path("user_id", viewer).path("role", role);
    assert_eq!(call("grant_role", "auditor").json(json!({})).await.status, 200);
    assert_eq!(call("grant_role", "viewer").json(json!({"valid_until": "2027-01-01T00:00:00Z"})).await.status, 200);
    assert_eq!(call("revoke_role", "auditor").await.status, 204);
    let expected = json!([{"role": "viewer", "valid_until": "2027-01-01T00:00:00.000Z", UNKNOWN: 1}, {"role": WORD}]);
    let of = |item: &std::collections::HashMap<String, AttributeValue>| {
        serde_json::from_str::<Value>(item["grants"].as_s().unwrap()).unwrap()
    };
    assert_eq!(of(&get(&app, "RecordsTable", item()).await), expected);
    // Sessions copy all grants, unknown ones included.
    let copy = get(&app, "EphemeraTable", at(acme, format!("SESSIONS#{viewer}"), session.session)).await;
    assert_eq!(of(&copy), expected);
    let me = app.as_identity(session).call(endpoint("me")).await;
    assert_eq!((me.status, &me.json["roles"]), (200, &json!(["viewer"])), "{}", me.text);
}
