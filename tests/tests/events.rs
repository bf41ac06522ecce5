//! The templates in `events/` are requests that succeed after their placeholders are filled.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::{
    base::{Clock, Identity, Role, SessionId, SystemClock, Uuid},
    request::{
        AnyEndpoint, Kind,
        authorizer::{Authorizer, authorize},
        token_generation::TokenGeneration,
    },
};
use identity::{
    authorizer::CognitoAuthorizer,
    domain::totp::{Authenticator, TotpSecret},
    pre_token_generation::NarrowTokens,
};
use registry::event::{FillError, fill};
use serde_json::{Value, json};
use std::{cell::Cell, collections::BTreeMap, path::Path};
use suite::fixture::Fixture;
use testing::{App, PASSWORD, Tenant};

/// A tenant's administrator may do everything that its members may. They sign in with an authenticator.
const ROLE: Role = Role::TenantAdmin;

/// UPS's own examples of numbers with a valid check digit. Each registration needs another.
const TRACKING_NUMBERS: [&str; 6] = [
    "1ZCIETST0111111114",
    "1ZCIETST0422222228",
    "1Z999AA10123456784",
    "1Z12345E0205271688",
    "1Z12345E6605272234",
    "1Z12345E0305271640",
];

fn template(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../events").join(format!("{name}.json"))).unwrap()
}

/// Fixed values, and values that only a running backend has.
struct Values {
    live: BTreeMap<String, String>,
    numbers_used: Cell<usize>,
}

impl Values {
    fn event(&self, name: &str) -> Result<Value, FillError> {
        fill(&template(name), |wanted| match wanted {
            "request_id" => Some("11111111-1111-4111-8111-111111111111".to_owned()),
            "idempotency_key" => Some(format!("replay-{name}")),
            "tracking_number" if name != "search_shipments" => {
                let used = self.numbers_used.replace(self.numbers_used.get() + 1);
                Some(TRACKING_NUMBERS[used].to_owned())
            }
            live => self.live.get(live).cloned(),
        })
    }

    async fn replay(&self, app: &App, endpoint: &AnyEndpoint) -> (u16, Value) {
        let event = serde_json::from_value(self.event(endpoint.name).unwrap()).unwrap();
        let answer = serde_json::to_value(endpoint.serve(app.deps(), event).await).unwrap();
        let body = answer["body"].as_str().filter(|body| !body.is_empty());
        let body = body.map_or(Value::Null, |body| serde_json::from_str(body).unwrap());
        (u16::try_from(answer["statusCode"].as_u64().unwrap()).unwrap(), body)
    }

    fn set(&mut self, name: &str, value: &Value) {
        self.live.insert(name.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
}

fn endpoint(name: &str) -> &'static AnyEndpoint {
    registry::all().find(|endpoint| endpoint.name == name).unwrap()
}

/// A backend with a user who has signed in with the template of `login`, and has created a shipment with that of
/// `create_shipment`.
async fn signed_in() -> (App, Values) {
    let app = App::with_cognito().await;
    let mut values = Values { live: BTreeMap::new(), numbers_used: Cell::new(0) };
    values.set("email", &app.email(Tenant::Acme, ROLE).into());
    values.set("password", &PASSWORD.into());
    let secret = TotpSecret::generate();
    let authenticator = Authenticator { secret: secret.clone() };
    let (home, user) = (app.tenant_id(Tenant::Acme), app.user_id(Tenant::Acme, ROLE));
    app.as_administrator(app.operator().hand_out_authenticator(home, user, &authenticator)).await.unwrap();
    let (status, asked) = values.replay(&app, endpoint("login")).await;
    assert_eq!((status, asked["challenge"].as_str()), (200, Some("TOTP")), "{asked}");
    let code = secret.code_at(app.clock().now());
    let answer = json!({"challenge": "TOTP", "session": asked["session"], "code": code});
    let tokens = app.anonymous().call(endpoint("challenge")).json(answer).await.json;
    values.set("access_token", &tokens["access_token"]);
    values.set("refresh_token", &tokens["refresh_token"]);

    // The tokens carry the real time. On a busy machine the setup takes so long that the test's clock falls behind.
    app.clock().set(SystemClock.now());
    let authorizer = CognitoAuthorizer::new(app.deps().config(), app.aws());
    let event = serde_json::from_value(values.event("authorizer").unwrap()).unwrap();
    let allowed = authorize(app.deps(), &authorizer, event).await.unwrap();
    for (name, value) in allowed.context.as_object().unwrap() {
        values.set(name, value);
    }
    let (status, shipment) = values.replay(&app, endpoint("create_shipment")).await;
    assert_eq!(status, 201, "{shipment}");
    for name in ["shipment_id", "tracking_number", "version"] {
        values.set(name, &shipment[name]);
    }
    let fixture = Fixture::new(&app).await;
    for (name, parameter) in [
        ("notification_id", "notification_id"),
        ("first_sequence", "first_sequence"),
        ("key_id", "key_id"),
        ("other_user_id", "user_id"),
    ] {
        values.set(name, &fixture.value(parameter).unwrap().into());
    }
    (app, values)
}

#[tokio::test]
async fn template_event_is_served_by_its_function() {
    let (app, values) = signed_in().await;
    // These are left out. Some were called above. Some answer a pending sign-in that does not exist, or take a token that was not
    // mailed. Some end the shipment, the user or the session. The carrier's endpoints take a credential from the carrier's
    // secret. Some need an authenticator's code, or the current password. Each has its own tests.
    let apart = [
        "login",
        "create_shipment",
        "challenge",
        "enrol_totp",
        "reset_password",
        "void_shipment",
        "delete_user",
        "logout",
        "end_session",
        "ups_webhook",
        "ups_webhook_token",
        "change_password",
        "activate_totp",
        "verify_mfa",
        "create_recovery_codes",
        "disable_totp",
        // Only a super_admin may call these.
        "create_organization",
        "list_organizations",
        "suspend_organization",
        "reactivate_organization",
        "archive_organization",
        "put_baa",
        "add_admin",
        "remove_admin",
    ];
    for endpoint in registry::all().filter(|endpoint| !apart.contains(&endpoint.name)) {
        let (status, body) = values.replay(&app, endpoint).await;
        assert_eq!(status, endpoint.status, "{}: {body}", endpoint.name);
    }
    let (status, body) = values.replay(&app, endpoint("void_shipment")).await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = values.replay(&app, endpoint("delete_user")).await;
    assert_eq!(status, 204, "{body}");
    let (status, body) = values.replay(&app, endpoint("challenge")).await;
    assert_eq!((status, body["code"].as_str()), (401, Some("invalid_credentials")), "{body}");
    let (status, body) = values.replay(&app, endpoint("reset_password")).await;
    assert_eq!((status, body["code"].as_str()), (401, Some("invalid_credentials")), "{body}");
    let (status, _) = values.replay(&app, endpoint("logout")).await;
    assert_eq!(status, 204);
    let (status, _) = values.replay(&app, endpoint("me")).await;
    assert_eq!(status, 401, "the session has ended");
}

#[test]
fn pre_token_generation_template_suppresses_all_scopes() {
    let event = fill(&template("pre_token_generation"), |name| Some(format!("synthetic-{name}"))).unwrap();
    let answer = NarrowTokens::answer(serde_json::from_value(event.clone()).unwrap()).unwrap();
    let answer = serde_json::to_value(answer).unwrap();
    let suppressed = &answer["response"]["claimsAndScopeOverrideDetails"]["accessTokenGeneration"]["scopesToSuppress"];
    assert_eq!(suppressed, &event["request"]["scopes"]);
    assert_eq!((&answer["request"], &answer["userName"]), (&event["request"], &event["userName"]));
}

#[test]
fn template_event_has_the_authorizers_context_keys() {
    let now = common::base::Clock::now(&common::base::SystemClock);
    let identity = Identity {
        tenant: common::base::TenantId::PLATFORM,
        user: common::base::UserId::from_uuid(Uuid::nil()),
        session: SessionId::from_uuid(Uuid::nil()),
        expires_at: now,
    };
    for endpoint in registry::all().filter(|endpoint| endpoint.kind != Kind::Public) {
        let event: Value = serde_json::from_str(&template(endpoint.name)).unwrap();
        let context = event["requestContext"]["authorizer"].as_object().unwrap();
        assert_eq!(context.keys().collect::<Vec<_>>(), identity.to_context().keys().collect::<Vec<_>>(), "{}", endpoint.name);
    }
}
