//! Each value has one spelling, and names have no invisible characters, in every input.

use common::{
    base::{Clock, Role},
    request::AnyEndpoint,
    run::operator::NewUser,
};
use phi::Email;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, time::Duration};
use suite::{
    fixture::Fixture,
    matrix::{allowed_role, protected},
    people::{self, endpoint},
};
use testing::{Answer, App, PASSWORD, Tenant::Acme};

fn resolved<'a>(schema: &'a Value, definitions: &'a Map<String, Value>) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| resolved(&definitions[name], definitions))
}

/// The places of texts in a value of this schema, as JSON pointers.
fn texts(schema: &Value, definitions: &Map<String, Value>, at: &str, found: &mut BTreeSet<String>) {
    let schema = resolved(schema, definitions);
    let kinds = &schema["type"];
    let is_text = kinds == "string" || kinds.as_array().is_some_and(|kinds| kinds.contains(&json!("string")));
    if is_text && !schema["enum"].is_array() && schema["format"] != "date-time" {
        found.insert(at.to_owned());
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        texts(member, definitions, &format!("{at}/{name}"), found);
    }
    if schema["items"].is_object() {
        texts(&schema["items"], definitions, &format!("{at}/0"), found);
    }
    for choice in ["anyOf", "oneOf", "allOf"].iter().flat_map(|any| schema[any].as_array().into_iter().flatten()) {
        texts(choice, definitions, at, found);
    }
}

fn texts_of(endpoint: &AnyEndpoint) -> BTreeSet<String> {
    let mut schemas = SchemaGenerator::default();
    let (input, _) = endpoint.schemas(&mut schemas);
    let definitions = schemas.take_definitions(false);
    let mut found = BTreeSet::new();
    if let Some(body) = input.body {
        texts(&body.to_value(), &definitions, "", &mut found);
    }
    found
}

/// Sets the value at a JSON pointer, and creates objects on the path.
fn set(value: &mut Value, pointer: &str, text: &str) {
    let mut at = value;
    for name in pointer.split('/').skip(1) {
        at = match at {
            Value::Array(items) => {
                items.truncate(1);
                if items.is_empty() {
                    items.push(Value::Null);
                }
                &mut items[0]
            }
            other => &mut other[name],
        };
    }
    *at = text.into();
}

#[tokio::test(flavor = "multi_thread")]
async fn invisible_text_is_refused_in_every_name() {
    let app = App::start().await;
    let fixture = Fixture::new(&app).await;
    let (mut taken, mut names) = (BTreeSet::new(), BTreeSet::new());
    for endpoint in protected().filter(|endpoint| endpoint.has_body) {
        for pointer in texts_of(endpoint) {
            for hidden in ["A\u{202e}b", "A\u{200b}b", "A\u{2028}b", "A\u{3164}b"] {
                let mut body = fixture.body(endpoint).unwrap();
                set(&mut body, &pointer, hidden);
                app.clock().advance(Duration::from_secs(1));
                let client = app.as_identity(app.open_session(Acme, allowed_role(endpoint)).await);
                let answer = fixture.call(&client, endpoint).json(body).await;
                let errors = answer.json["errors"].as_array().or(answer.json["items"][0]["error"]["errors"].as_array()).cloned();
                let field = pointer.rsplit('/').find(|part| *part != "0").unwrap();
                let named = errors.iter().flatten().any(|error| error["field"].as_str().unwrap().contains(field));
                let kind = format!("{} {pointer}", endpoint.name);
                if named {
                    names.insert(kind)
                } else {
                    taken.insert(kind)
                };
            }
        }
    }
    for name in
        ["create_api_key /name", "invite_user /department", "update_user /department", "update_organization /display_name"]
    {
        assert!(names.contains(name) && !taken.contains(name), "{name}: {names:?}");
    }
}

/// One password in two Unicode compositions, and with two kinds of space.
const COMPOSED: &str = "Caf\u{e9} \u{c5}ngstr\u{f6}m-1";
const DECOMPOSED: &str = "Cafe\u{301}\u{a0}A\u{30a}ngstro\u{308}m-1";

async fn opens(app: &App, email: &Email, password: &str) -> bool {
    people::login(app, &email.normalised(), password).await.json["access_token"].is_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn password_matches_in_any_unicode_composition() {
    let app = App::with_cognito().await;
    let email: Email = format!("new.{}", app.email(Acme, Role::Viewer)).parse().unwrap();
    let set = async |password, permanent| {
        let new = NewUser { email: &email, password, permanent, roles: &[Role::Viewer] };
        app.as_administrator(app.operator().create_user(app.tenant_id(Acme), &new)).await
    };
    // An operator sets a temporary password, and the user replaces it.
    let user = set("Temporary-Passw0rd!", false).await.unwrap();
    let waiting = people::login(&app, &email.normalised(), "Temporary-Passw0rd!").await;
    let answer = |password: &str| {
        let session = people::text(&waiting, "session");
        let body = json!({"challenge": "NEW_PASSWORD_REQUIRED", "session": session, "new_password": password});
        people::public(&app, "challenge", body)
    };
    let hidden = answer("Caf\u{e9}\u{200b}Passw0rd-1").await;
    assert_eq!((hidden.status, &hidden.json["errors"][0]["code"]), (422, &json!("weak")), "{}", hidden.text);
    let chosen = answer(DECOMPOSED).await;
    assert!(chosen.json["access_token"].is_string(), "{}", chosen.text);
    for password in [COMPOSED, DECOMPOSED] {
        assert!(opens(&app, &email, password).await, "{password:?}");
    }
    assert!(!opens(&app, &email, &COMPOSED.replace('C', "c")).await, "case counts");

    // The user changes it, and gives the old one in the other composition.
    let token = people::text(&people::login(&app, &email.normalised(), COMPOSED).await, "access_token");
    let who = app.as_identity(people::identity(&app, &token).await.unwrap());
    let body = json!({"current_password": DECOMPOSED, "new_password": format!("{DECOMPOSED}-b")});
    let changed = who.call(endpoint("change_password")).json(body).await;
    assert_eq!(changed.status, 204, "{}", changed.text);
    app.clock().advance(Duration::from_secs(900));
    assert!(opens(&app, &email, &format!("{COMPOSED}-b")).await && !opens(&app, &email, COMPOSED).await);

    // A password from before passwords were normalised.
    let old = json!({"Username": user.to_string(), "Password": DECOMPOSED, "Permanent": true});
    app.cognito("AdminSetUserPassword", old).await;
    app.clock().advance(Duration::from_secs(900));
    assert!(opens(&app, &email, DECOMPOSED).await, "in the composition that was typed");
    assert!(!opens(&app, &email, COMPOSED).await);
    let other = app.email(testing::Tenant::Birch, Role::Viewer).parse().unwrap();
    assert!(opens(&app, &other, PASSWORD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_code_is_422_and_costs_no_try_and_a_spaced_code_is_accepted() {
    let app = App::start().await;
    let (secret, recovery) = people::with_second_factor(&app, Acme, Role::Marketer).await;
    let give = async |body: Value| -> Answer {
        let session = app.open_session(Acme, Role::Marketer).await;
        app.as_identity(session).call(endpoint("verify_mfa")).json(body).await
    };
    for wrong in ["12345", "1234567", "12345a", "", "-", "abc"] {
        for body in [json!({"code": wrong}), json!({"recovery_code": wrong})] {
            let answer = give(body.clone()).await;
            assert_eq!((answer.status, answer.code()), (422, "validation_failed"), "{body}: {}", answer.text);
            assert!(wrong.len() < 3 || !answer.text.contains(wrong), "the answer does not quote the code");
        }
    }
    let code = secret.code_at(app.clock().now());
    let spaced = give(json!({"code": format!(" {}\u{a0}{} ", &code[..3], &code[3..])})).await;
    assert_eq!(spaced.status, 200, "{}", spaced.text);
    let spread = recovery[0].replace('-', " \u{2013} ").to_uppercase();
    let recovered = give(json!({"recovery_code": spread})).await;
    assert_eq!(recovered.status, 200, "{}", recovered.text);
    assert_eq!(give(json!({"recovery_code": recovery[0]})).await.status, 403, "once");
}
