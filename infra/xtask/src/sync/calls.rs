//! What functions call, against what their roles allow. No emulator here checks IAM, so this does: each function runs on its
//! event, its calls are noted on the wire, and each must be in a statement of its role.

use super::{
    evaluate::{allows, decided},
    events,
    function::{self, Function, Serves},
    iam, second_wall,
    yaml::Node,
};
use common::{Identity, Role, Uuid};
use emulators::{Ups, UpsOptions};
use registry::event::fill;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use testing::{App, SignedCall, Tenant};

/// Longer than a process keeps a key, so that each run has to unwrap its own.
const KEYS_ARE_FORGOTTEN: Duration = Duration::from_secs(16 * 60);

/// Those who sign in, and who keeps users in line: what they do is behind Cognito, which is not here.
const WITH_COGNITO: [&str; 5] = ["login", "challenge", "refresh", "authorizer", "mirror_user"];

const DYNAMODB: &str = "dynamodb";
const S3: &str = "s3";

type Calls = BTreeSet<(String, String)>;

#[tokio::test]
async fn no_function_calls_what_its_role_does_not_allow() {
    let app = App::start().await;
    let secret = Uuid::from_bytes(common::random::bytes()).to_string();
    let ups = Ups::start(UpsOptions::new("synthetic", &secret)).unwrap();
    app.wire().with_carrier(ups.endpoint(), json!({ "client_id": "synthetic", "client_secret": secret }));
    let create = function::all().into_iter().find(|f| f.name == "create_shipment").unwrap();
    let made = run(&app, &create, &app.open_session(Tenant::Acme, Role::Marketer).await, "").await;
    let shipment = made["shipment_id"].as_str().unwrap_or_else(|| panic!("no shipment: {made}")).to_owned();
    let mut seen = 0;
    for function in function::all().into_iter().filter(|f| !WITH_COGNITO.contains(&f.name)) {
        // Who may, and who may not.
        for role in [Role::TenantAdmin, Role::Marketer, Role::Auditor] {
            app.clock().advance(KEYS_ARE_FORGOTTEN);
            let who = app.open_session(Tenant::Acme, role).await;
            app.reset_calls();
            run(&app, &function, &who, &shipment).await;
            let (called, allowed) = (called(&app), allowed(&function));
            let missing: Vec<_> = called.difference(&allowed).collect();
            assert!(missing.is_empty(), "{} calls {missing:?}, and its role allows {allowed:?}", function.name);
            seen += called.len();
        }
    }
    assert!(seen > 300, "the wire noted {seen} calls");
}

/// Behind the second wall each call must be one that the credentials allow which it bears, where tenants are separated: a
/// tenant's session its partitions, the function's own the platform's.
#[tokio::test]
async fn behind_the_second_wall_no_function_calls_what_its_credentials_do_not_open() {
    let app = App::start().await.behind_the_second_wall();
    let secret = Uuid::from_bytes(common::random::bytes()).to_string();
    let ups = Ups::start(UpsOptions::new("synthetic", &secret)).unwrap();
    app.wire().with_carrier(ups.endpoint(), json!({ "client_id": "synthetic", "client_secret": secret }));
    let create = function::all().into_iter().find(|f| f.name == "create_shipment").unwrap();
    let made = run(&app, &create, &app.open_session(Tenant::Acme, Role::Marketer).await, "").await;
    let shipment = made["shipment_id"].as_str().unwrap_or_else(|| panic!("no shipment: {made}")).to_owned();
    // By service, and whether a tenant's session asked.
    let mut seen = BTreeMap::new();
    for function in function::all().into_iter().filter(|f| !WITH_COGNITO.contains(&f.name)) {
        for role in [Role::TenantAdmin, Role::Marketer, Role::SuperAdmin] {
            app.clock().advance(KEYS_ARE_FORGOTTEN);
            let who = app.open_session(Tenant::Acme, role).await;
            app.reset_calls();
            run(&app, &function, &who, &shipment).await;
            let own = decided(&iam::statements(&function), true);
            let tenants = Node::List(second_wall::statements(&function));
            let of_tables = app.wire().signed().into_iter().map(|call| (DYNAMODB, asked(&app, &call), call));
            let of_objects = app.wire().signed_objects().into_iter().map(|call| (S3, vec![object(&call)], call));
            for (service, asked, call) in of_tables.chain(of_objects) {
                let session = app.tenant_sessions().into_iter().find(|session| session.access_key == call.access_key);
                let tag = session.as_ref().map(|session| ("aws:PrincipalTag/tenant", vec![session.tenant.to_string()]));
                let role = if session.is_some() { &tenants } else { &own };
                *seen.entry((service, session.is_some())).or_insert(0) += 1;
                for (action, resource, condition) in asked {
                    let context = tag.clone().into_iter().chain(condition).collect();
                    let may = allows(role, &format!("{service}:{action}"), &resource, &context);
                    assert!(may, "{} may not {action} {resource} with {context:?}", function.name);
                }
            }
        }
    }
    for (at_least, service, by_a_tenant) in [(101, DYNAMODB, true), (21, DYNAMODB, false), (6, S3, true), (1, S3, false)] {
        assert!(seen.get(&(service, by_a_tenant)).is_some_and(|calls| *calls >= at_least), "{seen:?}");
    }
}

fn arn(table: &str) -> String {
    let (table, index) = table.split_once("/index/").map_or((table, String::new()), |(t, index)| (t, format!("/index/{index}")));
    format!("arn:${{AWS::Partition}}:dynamodb:${{AWS::Region}}:${{AWS::AccountId}}:table/${{{table}}}{index}")
}

/// What a call asks of IAM: an action, of which resource, and of tables which partitions, of a list which prefix.
type Asked = (String, String, Option<(&'static str, Vec<String>)>);

fn object(call: &SignedCall) -> Asked {
    let (bucket, key) = ("arn:${AWS::Partition}:s3:::${AuditBucket}", call.body.as_str().unwrap());
    match action_of(&call.operation) {
        list if list == "ListBucketVersions" => (list, bucket.to_owned(), Some(("s3:prefix", vec![key.to_owned()]))),
        action => (action, format!("{bucket}/{key}"), None),
    }
}

/// What IAM calls an operation of S3's, where the names differ.
fn action_of(operation: &str) -> String {
    if operation == "ListObjectVersions" { "ListBucketVersions".to_owned() } else { operation.to_owned() }
}

fn asked(app: &App, call: &SignedCall) -> Vec<Asked> {
    let keys = |keys| Some(("dynamodb:LeadingKeys", keys));
    asked_of_tables(app, call).into_iter().map(|(action, table, names)| (action, arn(&table), keys(names))).collect()
}

/// The actions of a call to tables, each with its table or index and the partitions that it names.
fn asked_of_tables(app: &App, call: &SignedCall) -> Vec<(String, String, Vec<String>)> {
    let logical = |name: &Value| {
        let tables = &app.provisioned().tables;
        tables.iter().find(|(_, physical)| Some(physical.as_str()) == name.as_str()).unwrap().0.clone()
    };
    let pk = |key: &Value| key["pk"]["S"].as_str().unwrap().to_owned();
    let (body, action) = (&call.body, call.operation.clone());
    match action.as_str() {
        "Query" => {
            let table = logical(&body["TableName"]);
            let of = body["IndexName"].as_str().map_or(table.clone(), |index| format!("{table}/index/{index}"));
            vec![(action, of, vec![body["ExpressionAttributeValues"][":h"]["S"].as_str().unwrap().to_owned()])]
        }
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = body["RequestItems"].as_object().unwrap().iter();
            let each = tables.map(|(name, asked)| {
                let keys = asked["Keys"].as_array().or(asked.as_array()).unwrap().iter();
                let key = |item: &Value| pk(item["DeleteRequest"].get("Key").unwrap_or(item));
                (action.clone(), logical(&name.as_str().into()), keys.map(key).collect())
            });
            each.collect()
        }
        "TransactWriteItems" => {
            let items = body["TransactItems"].as_array().unwrap().iter();
            let each = items.map(|item| {
                let (kind, item) = item.as_object().unwrap().iter().next().unwrap();
                let action = if kind == "ConditionCheck" { "ConditionCheckItem".to_owned() } else { format!("{kind}Item") };
                (action, logical(&item["TableName"]), vec![pk(item.get("Key").unwrap_or(&item["Item"]))])
            });
            each.collect()
        }
        _ => vec![(action, logical(&body["TableName"]), vec![pk(body.get("Key").unwrap_or(&body["Item"]))])],
    }
}

/// Runs the function on its event: what an endpoint answers.
async fn run(app: &App, function: &Function, who: &Identity, shipment: &str) -> Value {
    let context = who.to_context();
    let fresh = || Uuid::from_bytes(common::random::bytes());
    let event = fill(&events::template(function).unwrap(), |name| {
        Some(match name {
            "shipment_id" => shipment.to_owned(),
            "event_id" => format!("evt_{}", fresh().simple()),
            "other_user_id" => app.user_id(Tenant::Acme, Role::Viewer).to_string(),
            "notification_id" => format!("ntf_{}", fresh().simple()),
            "now" => common::Clock::now(app.clock()).to_string(),
            "version" => "1".to_owned(),
            "first_sequence" => "0".to_owned(),
            "tracking_number" => "1Z12345E6605272234".to_owned(),
            "tenant_id" | "user_id" | "session_id" | "exp" => context[name].clone(),
            _ => fresh().to_string(),
        })
    })
    .unwrap();
    match function.serves {
        Serves::Endpoint(endpoint) => {
            let answer = endpoint.serve(app.deps(), serde_json::from_value(event).unwrap()).await;
            let answer = serde_json::to_value(answer).unwrap();
            return answer["body"].as_str().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
        }
        Serves::Consumer(consumer) => {
            consumer.consume(app.deps(), serde_json::from_value(event).unwrap()).await;
        }
        Serves::Socket(socket) => {
            socket.serve(app.deps(), serde_json::from_value(event).unwrap()).await;
        }
        // What fails was called all the same.
        Serves::Schedule(schedule) => drop(schedule.run(app.deps()).await),
        Serves::Other(_) => {}
    }
    Value::Null
}

/// What was called since the last reset, as IAM names it, and of which table or index.
fn called(app: &App) -> Calls {
    let mut called = Calls::new();
    let tables = &app.provisioned().tables;
    let logical = |name: &str| tables.iter().find(|(_, physical)| *physical == name).unwrap().0.clone();
    let mut note = |action: &str, table: &str| {
        called.insert((format!("dynamodb:{action}"), logical(table)));
    };
    for action in ["GetItem", "PutItem", "UpdateItem", "DeleteItem"] {
        for asked in app.wire().asked(action) {
            note(action, asked["TableName"].as_str().unwrap());
        }
    }
    for action in ["BatchGetItem", "BatchWriteItem"] {
        for asked in app.wire().asked(action) {
            asked["RequestItems"].as_object().unwrap().keys().for_each(|table| note(action, table));
        }
    }
    for asked in app.wire().asked("TransactWriteItems") {
        for item in asked["TransactItems"].as_array().unwrap() {
            let (kind, item) = item.as_object().unwrap().iter().next().unwrap();
            let action = if kind == "ConditionCheck" { "ConditionCheckItem".to_owned() } else { format!("{kind}Item") };
            note(&action, item["TableName"].as_str().unwrap());
        }
    }
    for asked in app.wire().asked("Query") {
        let table = logical(asked["TableName"].as_str().unwrap());
        let of = asked["IndexName"].as_str().map_or(table.clone(), |index| format!("{table}/index/{index}"));
        called.insert(("dynamodb:Query".to_owned(), of));
    }
    let calls = app.calls();
    let of_s3 = calls.s3.iter().map(|operation| action_of(operation)).collect();
    let elsewhere = [("kms", calls.kms), ("s3", of_s3), ("sqs", calls.sqs), ("ses", calls.ses)];
    for (service, operations) in elsewhere {
        called.extend(
            operations.iter().map(|operation| (format!("{service}:{}", operation.trim_end_matches("Batch")), String::new())),
        );
    }
    called.extend(calls.sockets.iter().map(|_| ("execute-api:ManageConnections".to_owned(), String::new())));
    called
}

/// What the role allows, in the same words: a table's index by its name, and nothing for what has no table.
fn allowed(function: &Function) -> Calls {
    let mut allowed = Calls::new();
    let Node::List(statements) = iam::statements(function) else { panic!("statements are a list") };
    for statement in statements {
        let texts = |name: &str| statement.get(name).map(super::tests::texts).unwrap_or_default();
        for action in texts("Action") {
            for resource in texts("Resource") {
                let table = resource.split_once(":table/${").map(|(_, rest)| rest.replacen('}', "", 1));
                match table.as_deref().map(|table| table.split_once("/index/*").map_or(table, |(table, _)| table)) {
                    // Every index, each by its name.
                    Some(table) if resource.ends_with("/index/*") => {
                        let names = ["all", "status", "assignee", "status_assignee", "token_1", "token_2", "due"];
                        allowed.extend(names.map(|index| (action.to_owned(), format!("{table}/index/{index}"))));
                    }
                    table => {
                        allowed.insert((action.to_owned(), table.unwrap_or_default().to_owned()));
                    }
                }
            }
        }
    }
    allowed
}
