//! Each id from a response is sent to every endpoint and every consumer that takes an id. Among them are the ids of API keys, of
//! deleted and disabled users, of operators and of another tenant. No endpoint answers 5xx, and no message becomes a dead letter.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::{
    background::{AnyConsumer, Feed},
    base::{Clock, EventId, Grant, Role, TenantId, UserId},
    identity::ApiKeyId,
    request::{AnyEndpoint, Method},
};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use suite::{
    fixture::{self, Fixture, fresh},
    matrix::{allowed_role, protected},
    people::{endpoint, text},
    samples,
};
use testing::{
    Answer, App,
    Tenant::{self, Acme, Birch},
};

/// API keys, a deleted user, and the ids to try.
struct Cast {
    key: ApiKeyId,
    revoked: ApiKeyId,
    deleted: String,
    ids: BTreeMap<&'static str, Vec<String>>,
}

/// Every `usr_…`, `shp_…` and so on in a text, by its prefix.
fn ids_in(text: &str) -> BTreeSet<String> {
    let hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    let bytes = text.as_bytes();
    let is_id = |at: usize| {
        let (prefix, digits) = (&bytes[at - 3..at], bytes.get(at + 1..at + 33).unwrap_or_default());
        prefix.iter().all(u8::is_ascii_lowercase) && digits.len() == 32 && digits.iter().all(hex)
    };
    let marks = bytes.iter().enumerate().filter(|(at, b)| **b == b'_' && *at >= 3);
    marks.filter(|(at, _)| is_id(*at)).map(|(at, _)| text[at - 3..at + 33].to_owned()).collect()
}

/// The most ids of one kind that are tried.
const MOST: usize = 9;

const PREFIXES: [&str; 7] = ["evt", "key", "ntf", "ses", "shp", "ten", "usr"];

async fn ask(app: &App, tenant: Tenant, role: Role, name: &str, path: &[(&str, &str)], body: Option<Value>) -> Answer {
    let mut call = app.as_identity(app.open_session(tenant, role).await).call(endpoint(name));
    for (name, value) in path {
        call = call.path(name, value);
    }
    match body {
        Some(body) => call.json(body).await,
        None => call.await,
    }
}

fn sample(name: &str) -> Value {
    fresh(endpoint(name).sample.body.unwrap())
}

async fn api_key(app: &App) -> ApiKeyId {
    let body = json!({"name": "Warehouse", "scopes": ["shipments.read", "shipments.write"], "purposes": ["TREAT"]});
    let made = ask(app, Acme, Role::TenantAdmin, "create_api_key", &[], Some(body)).await;
    text(&made, "key_id").parse().unwrap()
}

/// A caller with the key, as the authorizer identifies it.
async fn as_key(app: &App, key: ApiKeyId) -> testing::Client<'_> {
    let session = app.open_session_with(app.tenant_id(Acme), key.user(), &[Grant::always(Role::ApiUser)]).await;
    app.as_identity(session)
}

/// Creates a user of each kind, and collects the ids in responses, audit logs and events.
async fn cast(app: &App) -> Cast {
    let mut seen = String::new();
    let (key, revoked) = (api_key(app).await, api_key(app).await);
    let ended = ask(app, Acme, Role::TenantAdmin, "revoke_api_key", &[("key_id", &revoked.to_string())], None).await;
    assert_eq!(ended.status, 204, "{}", ended.text);
    let shipped = as_key(app, key).await.call(endpoint("create_shipment")).json(sample("create_shipment")).await;
    assert_eq!(shipped.status, 201, "{}", shipped.text);
    assign_past_the_check(app, &text(&shipped, "shipment_id"), key.user()).await;
    seen += &shipped.text;
    let invite = async |tenant| {
        let body = Some(sample("invite_user"));
        text(&ask(app, tenant, Role::TenantAdmin, "invite_user", &[], body).await, "user_id")
    };
    let (deleted, disabled) = (invite(Acme).await, invite(Acme).await);
    for (name, user) in [("delete_user", &deleted), ("disable_user", &disabled)] {
        let done = ask(app, Acme, Role::TenantAdmin, name, &[("user_id", user)], None).await;
        assert!(done.status < 300, "{}", done.text);
    }
    let theirs = ask(app, Birch, Role::Marketer, "create_shipment", &[], Some(sample("create_shipment"))).await;
    seen += &theirs.text;
    Fixture::new(app).await;
    for shown in ["list_notifications", "list_sessions"] {
        seen += &ask(app, Acme, Role::Viewer, shown, &[], None).await.text;
    }
    for tenant in [app.tenant_id(Acme), app.tenant_id(Birch), TenantId::PLATFORM] {
        seen += &serde_json::to_string(&app.audit_of(tenant).await).unwrap();
    }
    for tenant in [Acme, Birch] {
        seen += &serde_json::to_string(&app.domain_events(tenant).await).unwrap();
    }
    // These ids come first, so that the limit of ids of one kind leaves none of them out.
    let operator = app.user_id(Acme, Role::SuperAdmin);
    let mut ordered: Vec<String> =
        [key.user().to_string(), revoked.user().to_string(), deleted.clone(), disabled, operator.to_string()].into();
    ordered.extend([key.to_string(), revoked.to_string(), app.user_id(Birch, Role::Viewer).to_string()]);
    ordered.extend([app.tenant_id(Acme), app.tenant_id(Birch), TenantId::PLATFORM].map(|tenant| tenant.to_string()));
    ordered.extend(ids_in(&shipped.text).into_iter().chain(ids_in(&theirs.text)));
    ordered.extend(ids_in(&seen));
    let mut ids: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for id in ordered {
        let prefix =
            PREFIXES.into_iter().find(|prefix| id.starts_with(prefix)).unwrap_or_else(|| panic!("unknown kind of id: {id}"));
        let of_prefix = ids.entry(prefix).or_default();
        if !of_prefix.contains(&id) && of_prefix.len() < MOST {
            of_prefix.push(id);
        }
    }
    assert_eq!(ids.keys().copied().collect::<Vec<_>>(), PREFIXES, "an id of every kind was collected");
    Cast { key, revoked, deleted, ids }
}

/// Assigns a shipment to a user whom the API refuses. Earlier versions did not refuse it.
async fn assign_past_the_check(app: &App, shipment: &str, user: UserId) {
    use aws_sdk_dynamodb::types::AttributeValue::S;
    let update = app.raw().update_item().table_name(&app.provisioned().tables["RecordsTable"]);
    let update = update.key("pk", S(format!("{}#SHIPMENT#{shipment}", app.tenant_id(Acme)))).key("sk", S("SHIPMENT".to_owned()));
    let update = update.condition_expression("attribute_exists(pk)").update_expression("SET assigned_to = :user");
    update.expression_attribute_values(":user", S(user.to_string())).send().await.unwrap();
}

/// The definition that a schema refers to, or the schema itself.
fn resolved<'a>(schema: &'a Value, definitions: &'a Map<String, Value>) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| resolved(&definitions[name], definitions))
}

/// The places of ids in a value of this schema, as JSON pointers, with the id's prefix.
fn places(schema: &Value, definitions: &Map<String, Value>, at: &str, found: &mut Vec<(String, String)>) {
    let schema = resolved(schema, definitions);
    let id = schema["pattern"].as_str().and_then(|pattern| pattern.strip_prefix('^')?.split_once('_'));
    if let Some((prefix, _)) = id.filter(|(prefix, _)| PREFIXES.contains(prefix)) {
        found.push((at.to_owned(), prefix.to_owned()));
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        places(member, definitions, &format!("{at}/{name}"), found);
    }
    if schema["items"].is_object() {
        places(&schema["items"], definitions, &format!("{at}/0"), found);
    }
    for choice in ["anyOf", "oneOf", "allOf"].iter().flat_map(|any| schema[any].as_array().into_iter().flatten()) {
        places(choice, definitions, at, found);
    }
}

/// A value of a schema, with all its optional members, and the first id of each kind.
fn some(schema: &Value, definitions: &Map<String, Value>, cast: &Cast, now: &str) -> Value {
    let schema = resolved(schema, definitions);
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    if !schema["const"].is_null() {
        return schema["const"].clone();
    }
    if let Some(choice) = ["anyOf", "oneOf"].iter().find_map(|any| schema[any].as_array()?.first()) {
        return some(choice, definitions, cast, now);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("object") => {
            let members = schema["properties"].as_object().into_iter().flatten();
            members.map(|(name, member)| (name.clone(), some(member, definitions, cast, now))).collect()
        }
        Some("array") => json!([]),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(false),
        _ if schema["format"] == "date-time" => json!(now),
        _ => {
            let prefix = schema["pattern"].as_str().and_then(|pattern| pattern.strip_prefix('^')?.get(..3));
            // `EXCEPTION` fits where the text is a shipment's status.
            prefix.and_then(|prefix| cast.ids.get(prefix)).map_or_else(|| json!("EXCEPTION"), |ids| json!(ids[0]))
        }
    }
}

fn schema_of(make: impl FnOnce(&mut SchemaGenerator) -> Schema) -> (Value, Map<String, Value>) {
    let mut schemas = SchemaGenerator::default();
    let schema = make(&mut schemas);
    let definitions = schemas.take_definitions(false);
    (schema.to_value(), definitions)
}

/// Sets the value at a JSON pointer, and creates objects on the path.
fn set(value: &mut Value, pointer: &str, to: Value) {
    let mut at = value;
    for name in pointer.split('/').skip(1) {
        at = match at {
            Value::Array(items) => &mut items[name.parse::<usize>().unwrap()],
            other => &mut other[name],
        };
    }
    *at = to;
}

/// Every place of an endpoint's input that takes an id, with the id's prefix.
fn ways(endpoint: &AnyEndpoint) -> Vec<(Way, String)> {
    let mut schemas = SchemaGenerator::default();
    let (input, _) = endpoint.schemas(&mut schemas);
    let definitions = schemas.take_definitions(false);
    let found = |schema: Option<Schema>| {
        let mut found = Vec::new();
        if let Some(schema) = schema {
            places(&schema.to_value(), &definitions, "", &mut found);
        }
        found
    };
    let mut ways = Vec::new();
    for (name, schema) in input.path {
        ways.extend(found(Some(schema)).into_iter().map(|(_, prefix)| (Way::Path(name), prefix)));
    }
    ways.extend(found(input.body).into_iter().map(|(pointer, prefix)| (Way::Body(pointer), prefix)));
    ways.extend(found(input.query).into_iter().map(|(pointer, prefix)| (Way::Query(pointer[1..].to_owned()), prefix)));
    ways
}

impl Cast {
    /// Every id of a kind, and one of each other kind.
    fn fitting<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a String> {
        self.ids.iter().flat_map(move |(kind, ids)| ids.iter().take(if *kind == prefix { MOST } else { 1 }))
    }
}

#[derive(Clone, Debug)]
enum Way {
    Path(&'static str),
    Body(String),
    Query(String),
}

async fn give(app: &App, fixture: &Fixture, endpoint: &AnyEndpoint, way: &Way, id: &str) -> Answer {
    // Each call has a session of its own, since some limits allow ten calls a minute.
    app.clock().advance(Duration::from_secs(1));
    let client = app.as_identity(app.open_session(Acme, allowed_role(endpoint)).await);
    let call = fixture.call(&client, endpoint);
    match way {
        Way::Path(name) => call.path(name, id).await,
        Way::Query(name) => call.query(name, id).await,
        Way::Body(pointer) => {
            let mut body = fixture.body(endpoint).unwrap();
            set(&mut body, pointer, json!(id));
            call.json(body).await
        }
    }
}

/// The endpoints for a user of the tenant. They answer 404 for an id of anything else.
fn is_about_users(endpoint: &AnyEndpoint) -> bool {
    endpoint.route.path.starts_with("/v1/users/{user_id}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_id_in_an_answer_is_among_those_tested() {
    let app = App::start().await;
    let fixture = Fixture::new(&app).await;
    let mut kinds = BTreeSet::new();
    for endpoint in protected() {
        let client = app.as_identity(app.open_session(Acme, allowed_role(endpoint)).await);
        let answer = fixture.call(&client, endpoint).await;
        let shown = ids_in(&format!("{} {:?}", answer.text, answer.headers));
        kinds.extend(shown.into_iter().map(|id| id[..3].to_owned()));
    }
    assert!(kinds.iter().all(|kind| PREFIXES.contains(&kind.as_str())) && kinds.len() >= 6, "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_id_sent_to_every_endpoint_gets_no_5xx() {
    let (mut given, mut kinds) = (0, BTreeSet::new());
    let ways_of = protected().map(|endpoint| (endpoint, ways(endpoint))).filter(|(_, ways)| !ways.is_empty());
    let (reading, writing): (Vec<_>, Vec<_>) = ways_of.partition(|(endpoint, _)| endpoint.route.method == Method::Get);
    // Endpoints that only read do not change the backend, so they share one.
    for group in std::iter::once(reading).chain(writing.into_iter().map(|one| vec![one])) {
        let app = fixture::backend(group[0].0).await;
        let fixture = Fixture::new(&app).await;
        let cast = cast(&app).await;
        let nobody = [cast.key.user(), cast.revoked.user(), app.user_id(Acme, Role::SuperAdmin)].map(|user| user.to_string());
        let all = group.iter().flat_map(|(endpoint, ways)| ways.iter().map(move |way| (*endpoint, way)));
        for (endpoint, (way, prefix), id) in
            all.flat_map(|(endpoint, way)| cast.fitting(&way.1).map(move |id| (endpoint, way, id)))
        {
            let answer = give(&app, &fixture, endpoint, way, id).await;
            kinds.insert(format!("{way:?} {prefix}"));
            assert!(answer.status < 500, "{} with {way:?} {id}: {}", endpoint.name, answer.text);
            if is_about_users(endpoint) && (nobody.contains(id) || *id == cast.deleted) {
                assert_eq!(answer.status, 404, "{} with {id}: {}", endpoint.name, answer.text);
            }
            if matches!(way, Way::Body(pointer) if pointer.ends_with("/assigned_to")) {
                let key = *id == cast.key.user().to_string() || *id == cast.revoked.user().to_string();
                // A batch has a result for each item.
                let answer = answer.json["items"][0]["error"]["errors"][0].as_object().or(answer.json["errors"][0].as_object());
                assert!(!key || answer.is_some_and(|e| e["field"] == "assigned_to"), "{} with {id}: {answer:?}", endpoint.name);
            }
            given += 1;
        }
    }
    for expected in [
        r#"Path("user_id") usr"#,
        r#"Path("session_id") ses"#,
        r#"Body("/shipments/0/assigned_to") usr"#,
        r#"Body("/assigned_to") usr"#,
        r#"Query("assigned_to") usr"#,
    ] {
        assert!(kinds.contains(expected), "{expected} is among {kinds:?}");
    }
    assert!(given > 300, "{given}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_id_in_a_permission_check_gets_no_5xx() {
    let app = App::start().await;
    let cast = cast(&app).await;
    let questions: Vec<_> = common::policy::RESOURCES
        .lines()
        .filter_map(|line| line.split_once(": "))
        .flat_map(|(action, kinds)| kinds.split(' ').map(move |kind| (action, kind)))
        .collect();
    for id in cast.ids.values().flatten().flat_map(|id| [id.clone(), format!("{id}/viewer")]) {
        for some in questions.chunks(100) {
            let check = |(action, kind): &(&str, &str)| json!({"action": action, "resource": {"type": kind, "id": id}});
            let checks: Vec<_> = some.iter().map(check).collect();
            app.clock().advance(Duration::from_secs(1));
            let answer = ask(&app, Acme, Role::TenantAdmin, "check_permissions", &[], Some(json!({"checks": checks}))).await;
            assert_eq!(answer.status, 200, "{id}: {}", answer.text);
        }
    }
    // The id of a key gets the same answer as an id that does not exist.
    let ask_of = async |user: UserId| {
        let body = json!({"checks": [{"action": "viewUser", "resource": {"type": "User", "id": user}}]});
        ask(&app, Acme, Role::Viewer, "check_permissions", &[], Some(body)).await.json["results"].clone()
    };
    assert_eq!(ask_of(cast.key.user()).await, ask_of(UserId::new(app.clock().now())).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_id_in_every_message_leaves_no_dead_letter() {
    for consumer in registry::consumers() {
        // These consumers need the carrier or Cognito.
        let asks = ["poll_tracking", "refresh_tracking", "mirror_user"].contains(&consumer.name);
        let (world, plain) =
            if asks { (Some(samples::world(consumer.name).await), None) } else { (None, Some(App::start().await)) };
        let app = world.as_ref().map(|world| &world.app).or(plain.as_ref()).unwrap();
        let cast = cast(app).await;
        let mut messages = messages(app, consumer, &cast);
        let many = messages.len();
        // The sample's own messages are not delivered here.
        while let Some(message) = messages.pop() {
            let mut queue = app.deliveries([consumer]);
            queue.send(consumer.name, &message);
            for _ in 0..consumer.queue.receives {
                if !queue.step().await {
                    break;
                }
                app.clock().advance(Duration::from_secs(1));
            }
            assert!(queue.dead().is_empty(), "{}: {message:#}", consumer.name);
        }
        assert!(many > 0 || consumer.queue.feed == Feed::Mail, "{}: no message names an id", consumer.name);
        let refused: Vec<_> = app.log_lines().into_iter().filter(|line| line["error.cause"] == "internal: grants").collect();
        assert!(refused.is_empty(), "{}: {refused:?}", consumer.name);
    }
}

/// The messages for a consumer. Each has another id in one of the places that take an id.
fn messages(app: &App, consumer: &AnyConsumer, cast: &Cast) -> Vec<Value> {
    if consumer.queue.feed == Feed::WakeUps {
        return cast.ids["ten"].iter().map(|tenant| json!({"wake_up": format!("{tenant}#AUDIT")})).collect();
    }
    let now = app.clock().now();
    let mut messages = Vec::new();
    // A consumer of all events takes any payload.
    let every: Vec<common::store::Schema> = {
        let all = registry::DOMAINS.iter().flat_map(|domain| domain.events).copied();
        all.filter(|_| consumer.queue.feed == Feed::AllEvents).collect()
    };
    for schema in consumer.schemas.iter().chain(&every) {
        let (json, definitions) = schema_of(schema.json);
        let envelope = || {
            json!({
                "id": EventId::new(now), "tenant_id": app.tenant_id(Acme), "actor": cast.key.user(), "on_behalf_of": null,
                "cause": EventId::new(now), "correlation_id": "test", "schema": schema.name, "version": schema.version,
                "occurred_at": now, "payload": some(&json, &definitions, cast, &now.to_string()),
            })
        };
        let mut found = vec![("/tenant_id".to_owned(), "ten".to_owned()), ("/actor".to_owned(), "usr".to_owned())];
        places(&json, &definitions, "/payload", &mut found);
        for (pointer, id) in found.iter().flat_map(|(at, prefix)| cast.ids[prefix.as_str()].iter().map(move |id| (at, id))) {
            let mut message = envelope();
            set(&mut message, pointer, json!(id));
            messages.push(message);
        }
    }
    messages
}

#[test]
fn ids_are_found_anywhere_in_a_text() {
    let id = "usr_019b76da100070008000000000000000";
    assert_eq!(ids_in(&format!("{{\"user_id\":\"{id}\",\"x\":\"/v1/users/{id}\"}}")), BTreeSet::from([id.to_owned()]));
    assert!(ids_in("user_id usr_019b _019b76da100070008000000000000000").is_empty());
}
