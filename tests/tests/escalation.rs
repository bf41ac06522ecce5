//! Attempts of every role at every endpoint: at another tenant's items, at actions that its own tenant does not permit, and with
//! members in bodies that only the backend may set.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::{
    base::{Role, TenantId},
    request::{AnyEndpoint, Kind},
};
use schemars::SchemaGenerator;
use serde_json::{Value, json};
use std::time::Duration;
use suite::{
    fixture::{self, Fixture},
    matrix::{allowed_role, matrix, protected},
    people, state,
};
use testing::{Answer, App, Tenant};

const TABLES: [&str; 3] = ["RecordsTable", "LedgerTable", "EphemeraTable"];

/// The endpoints with an item in their path. Two are left out: a segment has a number in the caller's own log, and a session has
/// an id in the caller's own list, so that neither can name another's.
fn about_an_item() -> impl Iterator<Item = &'static AnyEndpoint> {
    protected().filter(|e| e.route.path.contains('{') && !["get_segment", "end_session"].contains(&e.name))
}

fn header_names(answer: &Answer) -> Vec<&str> {
    answer.headers.iter().map(|(name, _)| name.as_str()).collect()
}

/// A decision refuses a type that its action is not declared for. With an undeclared view, items that the caller may see would
/// get a 404.
#[test]
fn view_action_is_declared_for_the_type_that_its_endpoint_acts_on() {
    let declared = |view: &str, kind: &str| {
        let line = common::policy::RESOURCES.lines().filter_map(|line| line.split_once(": ")).find(|(action, _)| *action == view);
        line.is_some_and(|(_, kinds)| kinds.split(' ').any(|known| known == kind))
    };
    for endpoint in protected() {
        let kind = endpoint.resource.unwrap();
        assert!(declared(endpoint.action.unwrap().0, kind), "{} acts on {kind}", endpoint.name);
        // A caller sees a role grant if they see the user who has it.
        if let Some(view) = endpoint.view.filter(|_| kind != "RoleGrant") {
            assert!(declared(view.0, kind), "{}: {} on {kind}", endpoint.name, view.0);
        }
    }
}

/// With an API key's session.
#[tokio::test(flavor = "multi_thread")]
async fn api_key_is_refused_at_endpoints_for_users_only() {
    let app = App::start().await;
    let key = app.open_session(Tenant::Acme, Role::ApiUser).await;
    let (list, users) = (people::endpoint("list_shipments"), people::endpoint("list_users"));
    assert_eq!(app.as_identity(key.clone()).call(list).await.status, 200);
    for (endpoint, status) in [(users, 403), (people::endpoint("me"), 403)] {
        let answer = app.as_identity(key.clone()).call(endpoint).await;
        assert_eq!(answer.status, status, "{}: {}", endpoint.name, answer.text);
        let log = app.audit(Tenant::Acme).await;
        let event = log.iter().rfind(|e| e["type"] == format!("api.{}", endpoint.name)).unwrap();
        assert_eq!((&event["policy"]["decision"], &event["policy"]["ids"]), (&json!("deny"), &json!([])), "{event:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn caller_of_another_tenant_neither_finds_nor_changes_an_item() {
    let app = App::start().await;
    let acme = app.tenant_id(Tenant::Acme);
    let fixture = Fixture::new(&app).await;
    let missing = fixture.missing(&app);
    let matrix = matrix();
    for endpoint in about_an_item() {
        let row = &matrix[endpoint.action.unwrap().0];
        let before = state::of(&app, acme, &TABLES).await;
        for role in Role::ALL {
            // A super_admin manages the profiles of all tenants.
            if role == Role::SuperAdmin && endpoint.kind == Kind::Platform {
                continue;
            }
            app.clock().advance(Duration::from_secs(1));
            let stranger = app.as_identity(app.open_session(Tenant::Birch, role).await);
            let theirs = fixture.call(&stranger, endpoint).await;
            let none = missing.call(&stranger, endpoint).await;
            // A role that may do it in its own tenant gets a 404. A role that may not gets a 403 or a 404.
            let expected: &[u16] = if row[role.as_str()] == "-" { &[403, 404] } else { &[404] };
            assert!(expected.contains(&theirs.status), "{} as {role}: {}", endpoint.name, theirs.text);
            assert_eq!(theirs.without_correlation_id(), none.without_correlation_id(), "{} as {role}", endpoint.name);
            assert_eq!(header_names(&theirs), header_names(&none), "{} as {role}", endpoint.name);
        }
        let after = state::of(&app, acme, &TABLES).await;
        assert!(before == after, "{}: {:#?}", endpoint.name, state::difference(&before, &after));
        app.forget_log_lines();
    }
}

/// An endpoint without an item in its path accesses the caller's own tenant only.
#[tokio::test(flavor = "multi_thread")]
async fn endpoint_without_an_item_in_its_path_leaves_other_tenants_alone() {
    let app = App::start().await;
    let acme = app.tenant_id(Tenant::Acme);
    let fixture = Fixture::new(&app).await;
    let ids = ["tenant_id", "shipment_id", "key_id", "user_id"].map(|name| fixture.value(name).unwrap());
    let before = state::of(&app, acme, &TABLES).await;
    for endpoint in protected().filter(|e| !e.route.path.contains('{')) {
        for role in Role::ALL {
            app.clock().advance(Duration::from_secs(1));
            let stranger = app.as_identity(app.open_session(Tenant::Birch, role).await);
            let answer = fixture.call(&stranger, endpoint).await;
            // A super_admin lists all tenants.
            let operator = role == Role::SuperAdmin && endpoint.kind == Kind::Platform;
            let shown = ids.iter().find(|id| answer.text.contains(**id));
            assert!(operator || shown.is_none(), "{} as {role}: {}", endpoint.name, answer.text);
        }
        let after = state::of(&app, acme, &TABLES).await;
        assert!(before == after, "{}: {:#?}", endpoint.name, state::difference(&before, &after));
        app.forget_log_lines();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn action_denied_to_a_role_in_its_own_tenant_changes_nothing() {
    let app = App::start().await;
    let matrix = matrix();
    let fixture = Fixture::new(&app).await;
    let tenants = [app.tenant_id(Tenant::Acme), app.tenant_id(Tenant::Birch), TenantId::PLATFORM];
    let look = async || {
        let mut seen = Vec::new();
        for tenant in tenants {
            seen.extend(state::of(&app, tenant, &["RecordsTable"]).await);
        }
        (seen, app.domain_events(Tenant::Acme).await.len())
    };
    for endpoint in protected() {
        let row = &matrix[endpoint.action.unwrap().0];
        let before = look().await;
        for role in Role::ALL.into_iter().filter(|role| row[role.as_str()] == "-") {
            app.clock().advance(Duration::from_secs(1));
            let caller = app.as_identity(app.open_session(Tenant::Acme, role).await);
            let answer = fixture.call(&caller, endpoint).await;
            assert!([403, 404].contains(&answer.status), "{} as {role}: {}", endpoint.name, answer.text);
        }
        let after = look().await;
        assert!(before == after, "{}: {:#?}", endpoint.name, state::difference(&before.0, &after.0));
        app.forget_log_lines();
    }
}

/// Members of items that only the backend sets.
const NOT_THEIRS: [&str; 8] = ["role", "roles", "tenant_id", "version", "created_by", "user_id", "status", "membership_version"];

/// Every object in a body, with its place and its schema's members.
fn objects(body: &Value, schema: &Value, defs: &Value, at: String, into: &mut Vec<(String, Vec<String>)>) {
    let schema = resolved(schema, defs);
    match body {
        Value::Object(members) => {
            let known = schema["properties"].as_object().map(|known| known.keys().cloned().collect()).unwrap_or_default();
            into.push((at.clone(), known));
            for (name, value) in members {
                objects(value, &schema["properties"][name], defs, format!("{at}/{name}"), into);
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                objects(item, &schema["items"], defs, format!("{at}/{i}"), into);
            }
        }
        _ => {}
    }
}

/// Follows a schema's references, and drops its `null`.
fn resolved<'a>(mut schema: &'a Value, defs: &'a Value) -> &'a Value {
    loop {
        if let Some(name) = schema["$ref"].as_str() {
            schema = &defs[name.rsplit('/').next().unwrap()];
        } else if let Some(other) = schema["anyOf"].as_array().and_then(|any| any.iter().find(|one| one["type"] != "null")) {
            schema = other;
        } else {
            return schema;
        }
    }
}

/// The name of a member in errors: `shipments.0.recipient.role`.
fn field(pointer: &str, name: &str) -> String {
    pointer.split('/').skip(1).chain([name]).collect::<Vec<_>>().join(".")
}

#[tokio::test(flavor = "multi_thread")]
async fn member_that_only_the_backend_sets_is_refused_in_any_body() {
    let app = App::start().await;
    let fixture = Fixture::new(&app).await;
    let look = async || {
        let mut seen = Vec::new();
        for tenant in [app.tenant_id(Tenant::Acme), TenantId::PLATFORM] {
            seen.extend(state::of(&app, tenant, &["RecordsTable"]).await);
        }
        (seen, app.domain_events(Tenant::Acme).await.len())
    };
    let (mut cases, mut nested) = (0, 0);
    // The carrier's endpoints check a token before they read the body.
    for endpoint in registry::all().filter(|e| e.has_body && !e.name.starts_with("ups_webhook")) {
        let mut generator = SchemaGenerator::default();
        let schema = json!(endpoint.schemas(&mut generator).0.body.expect("a body has a schema"));
        let defs = json!(generator.take_definitions(true));
        let body = fixture.body(endpoint).expect("a body has a sample");
        let mut places = Vec::new();
        objects(&body, &schema, &defs, String::new(), &mut places);
        let before = look().await;
        for (place, known) in places {
            nested += usize::from(!place.is_empty());
            for name in NOT_THEIRS.into_iter().filter(|name| !known.iter().any(|own| own == name)) {
                cases += 1;
                app.clock().advance(Duration::from_secs(60));
                let mut more = fixture.body(endpoint).unwrap();
                more.pointer_mut(&place).unwrap()[name] = "tenant_admin".into();
                let call = match endpoint.kind {
                    Kind::Public => app.anonymous().call(endpoint).from_ip(&format!("2001:db8:{cases:x}::1")),
                    _ => fixture.call(&app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await), endpoint),
                };
                let answer = call.json(more).await;
                assert_refused_for(&answer, endpoint, &field(&place, name));
            }
        }
        let after = look().await;
        assert!(before == after, "{}: {:#?}", endpoint.name, state::difference(&before.0, &after.0));
        app.forget_log_lines();
    }
    assert!(cases > 200 && nested > 3, "{cases} cases, {nested} nested objects");
}

/// Asserts that this member is the only error.
fn assert_refused_for(answer: &Answer, endpoint: &AnyEndpoint, field: &str) {
    let name = endpoint.name;
    // Each item of a batch has its own error, with paths from the item.
    let (problem, field) = match field.split_once(".0.") {
        Some((_, own)) if endpoint.kind == Kind::Batch => (&answer.json["items"][0]["error"], own),
        _ => (&answer.json, field),
    };
    assert_eq!(problem["status"], 422, "{name} with `{field}`: {}", answer.text);
    let [error] = &problem["errors"].as_array().unwrap()[..] else { panic!("{name} with `{field}`: {}", answer.text) };
    assert_eq!(error["field"], field, "{name}: {}", answer.text);
    assert_eq!(error["code"], "unknown_field", "{name} with `{field}`: {}", answer.text);
}

/// Checks the helpers above.
#[test]
fn place_in_a_body_is_named_as_in_errors() {
    let body = fixture::fresh(testing::find(shipments::endpoints::ALL, "create_shipments").sample.body.unwrap());
    assert!(body.pointer("/shipments/0").is_some());
    assert_eq!(field("/shipments/0/contents/1", "role"), "shipments.0.contents.1.role");
    assert_eq!(field("", "role"), "role");
}
