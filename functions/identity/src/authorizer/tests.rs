use super::{issuer, keys_url};
use crate::fixtures::{authorizer, catch_up, endpoint, event, identity, sign_in, text};
use common::{
    aws::Aws,
    base::Role,
    request::authorizer::{Refused, authorize},
};
use serde_json::{Value, json};
use std::time::Duration;
use testing::{App, Fault, PASSWORD, Tenant};

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Signs a user in directly at Cognito, with cloud credentials and without the API.
async fn straight_from_cognito(app: &App, username: &str) -> String {
    let auth = json!({"USERNAME": username, "PASSWORD": PASSWORD});
    let client = app.provisioned().user_pool_client_id.clone();
    let input = json!({"ClientId": client, "AuthFlow": "ADMIN_USER_PASSWORD_AUTH", "AuthParameters": auth});
    let answer = app.cognito("AdminInitiateAuth", input).await;
    catch_up(app);
    answer["AuthenticationResult"]["AccessToken"].as_str().unwrap().to_owned()
}

/// Adds a user without a membership to the pool.
async fn stranger(app: &App, username: &str) {
    app.cognito("AdminCreateUser", json!({"Username": username, "MessageAction": "SUPPRESS", "TemporaryPassword": PASSWORD}))
        .await;
    app.cognito("AdminSetUserPassword", json!({"Username": username, "Password": PASSWORD, "Permanent": true})).await;
}

async fn refusals(app: &App) -> Vec<(String, u64)> {
    let events = app.platform_audit().await;
    let of = |e: &Value| (e["reason"].as_str().unwrap_or_default().to_owned(), e["count"].as_u64().unwrap());
    events.iter().filter(|e| e["type"] == "api.authorizer").map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn second_authorization_header_or_ticket_is_refused_even_if_one_is_valid() {
    let app = App::with_cognito().await;
    let tokens = sign_in(&app, Tenant::Acme, Role::Viewer).await;
    let good = bearer(text(&tokens, "access_token"));
    let authorizer = authorizer(&app);
    app.authorize(&authorizer, &good).await.unwrap();
    let socket = "arn:aws:execute-api:us-east-1:000000000000:sockets/live/$connect";
    let rest = "arn:aws:execute-api:us-east-1:000000000000:local/live/GET/v1/me";
    for (arn, headers, all, query, queries) in [
        (rest, json!({"Authorization": good}), json!({"Authorization": ["Bearer x", good]}), json!({}), json!({})),
        (rest, json!({"Authorization": "Bearer x"}), json!({"Authorization": [good, "Bearer x"]}), json!({}), json!({})),
        (rest, json!({"Authorization": good}), json!({"Authorization": [good, good]}), json!({}), json!({})),
        (
            rest,
            json!({"Authorization": good, "authorization": "Bearer x"}),
            json!({"Authorization": [good], "authorization": ["Bearer x"]}),
            json!({}),
            json!({}),
        ),
        (rest, json!({"authorization": good}), json!({"Authorization": ["Bearer x"]}), json!({}), json!({})),
        (
            rest,
            json!({"Authorization": format!("{good}, {good}")}),
            json!({"Authorization": [format!("{good}, {good}")]}),
            json!({}),
            json!({}),
        ),
        (
            rest,
            json!({"Authorization": format!("{good},{good}")}),
            json!({"Authorization": [format!("{good},{good}")]}),
            json!({}),
            json!({}),
        ),
        (
            socket,
            json!({"Authorization": good}),
            json!({"Authorization": [good, good]}),
            json!({"ticket": "t"}),
            json!({"ticket": ["t"]}),
        ),
        (socket, json!({}), json!({}), json!({"ticket": "t"}), json!({"ticket": ["u", "t"]})),
        (socket, json!({}), json!({}), json!({"ticket": "t"}), json!({"ticket": ["t", "t"]})),
        (socket, json!({}), json!({}), json!({"ticket": "t"}), json!({"ticket": ["u"]})),
    ] {
        let event = json!({
            "type": "REQUEST", "methodArn": arn, "headers": headers, "multiValueHeaders": all, "queryStringParameters": query,
            "multiValueQueryStringParameters": queries, "requestContext": {"identity": {"sourceIp": "192.0.2.7"}},
        });
        let refused = authorize(app.deps(), &authorizer, serde_json::from_value(event.clone()).unwrap()).await;
        assert_eq!(refused.unwrap_err(), Refused::Unauthorized, "{event}");
    }
    let events = app.platform_audit().await;
    let counted = events.iter().find(|e| e["reason"] == "repeated_credentials").unwrap();
    assert_eq!((&counted["type"], &counted["count"]), (&json!("api.authorizer"), &json!(9)));
    assert_eq!(
        app.authorize(&authorizer, &good).await.unwrap().principal_id,
        Some(app.user_id(Tenant::Acme, Role::Viewer).to_string())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_token_allows_every_route_and_passes_on_only_ids() {
    let app = App::with_cognito().await;
    let tokens = sign_in(&app, Tenant::Acme, Role::Marketer).await;
    for scheme in ["Bearer", "bearer"] {
        let allowed = app.authorize(&authorizer(&app), &format!("{scheme} {}", text(&tokens, "access_token"))).await.unwrap();
        let answer = serde_json::to_value(&allowed).unwrap();
        let user = app.user_id(Tenant::Acme, Role::Marketer).to_string();
        assert_eq!(answer["principalId"], json!(user));
        let statement = &answer["policyDocument"]["Statement"][0];
        assert_eq!(
            json!([statement["Effect"], statement["Action"], statement["Resource"]]),
            json!(["Allow", ["execute-api:Invoke"], ["arn:aws:execute-api:us-east-1:000000000000:local/live/*"]])
        );
        let context = answer["context"].as_object().unwrap();
        assert_eq!(context.keys().collect::<Vec<_>>(), ["exp", "session_id", "tenant_id", "user_id"]);
        assert!(context.values().all(Value::is_string));
        assert_eq!((&context["user_id"], &context["tenant_id"]), (&json!(user), &json!(app.tenant_id(Tenant::Acme).to_string())));
    }
    assert!(refusals(&app).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_token_is_unauthorized_and_one_counted_event() {
    let app = App::with_cognito().await;
    let tokens = sign_in(&app, Tenant::Acme, Role::Marketer).await;
    let good = text(&tokens, "access_token");
    stranger(&app, "bob").await;
    let unknown = common::base::UserId::new(common::base::Timestamp::from_millis(0)).to_string();
    stranger(&app, &unknown).await;
    let (bob, unknown) = (straight_from_cognito(&app, "bob").await, straight_from_cognito(&app, &unknown).await);
    let (head, signature) = good.rsplit_once('.').unwrap();
    let tampered = format!("{head}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    let authorizer = authorizer(&app);

    // All refusals fall into one minute, so that each reason is one event.
    let to_next_minute = 60_000 - common::base::Clock::now(app.clock()).as_millis() % 60_000;
    app.clock().advance(Duration::from_millis(u64::try_from(to_next_minute).unwrap()));
    let wrong = [
        ("Bearer x".to_owned(), "malformed"),
        (bearer(&tampered), "signature"),
        (bearer(text(&tokens, "id_token")), "token_use"),
        (bearer(&bob), "username"),
        (bearer(&unknown), "no_membership"),
        (bearer(&"x".repeat(9000)), "too_large"),
        (format!("Basic {good}"), "no_token"),
        (format!("Bearer {good} {good}"), "no_token"),
    ];
    for (header, _) in &wrong {
        for _ in 0..2 {
            let refused = app.authorize(&authorizer, header).await.unwrap_err();
            assert_eq!((refused, refused.to_string()), (Refused::Unauthorized, "Unauthorized".to_owned()), "{header}");
        }
    }
    let mut expected: Vec<_> =
        ["malformed", "signature", "token_use", "username", "no_membership", "too_large"].map(|r| (r.to_owned(), 2)).into();
    expected.push(("no_token".to_owned(), 4));
    let mut seen = refusals(&app).await;
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected);

    app.clock().advance(Duration::from_secs(900));
    assert_eq!(app.authorize(&authorizer, &bearer(good)).await.unwrap_err(), Refused::Unauthorized);
    assert!(refusals(&app).await.contains(&("expired".to_owned(), 1)));
    let lines = serde_json::to_string(&app.log_lines()).unwrap();
    assert!(!lines.contains(good) && !lines.contains(head), "a token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_issued_directly_by_the_pool_is_refused() {
    let app = App::with_cognito().await;
    let token = straight_from_cognito(&app, &app.user_id(Tenant::Acme, Role::TenantAdmin).to_string()).await;
    let answer = app.as_identity(identity(&app, &token).await).call(endpoint("me")).await;
    assert_eq!((answer.status, answer.code()), (401, "unauthenticated"));
    assert_eq!(event(&app.audit(Tenant::Acme).await, "api.me", 401)["reason"], "no_session");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_outage_affects_only_processes_without_cached_keys() {
    let app = App::with_cognito().await;
    let tokens = sign_in(&app, Tenant::Acme, Role::Marketer).await;
    let good = bearer(text(&tokens, "access_token"));
    let known = authorizer(&app);
    app.authorize(&known, &good).await.unwrap();

    app.wire().fail("other", 0, 100, Fault::Gone);
    let fresh = authorizer(&app);
    assert_eq!(app.authorize(&fresh, &good).await.unwrap_err(), Refused::Unavailable);
    app.authorize(&known, &good).await.unwrap();
    app.wire().heal();
    app.clock().advance(Duration::from_secs(30));
    app.authorize(&fresh, &good).await.unwrap();
    assert!(refusals(&app).await.is_empty(), "an outage is not recorded as a bad token");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_that_cannot_be_audited_is_unavailable() {
    let app = App::with_cognito().await;
    app.wire().fail("UpdateItem", 0, 100, Fault::Gone);
    assert_eq!(app.authorize(&authorizer(&app), "Bearer x").await.unwrap_err(), Refused::Unavailable);
}

#[test]
fn keys_come_from_the_endpoint_and_the_issuer_is_always_the_pools_name() {
    let env = |pairs: &[(&str, &str)]| Aws::from_env(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    let aws = env(&[("AWS_REGION", "eu-west-1")]);
    assert_eq!(issuer("eu-west-1_Abc", "us-east-1"), "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Abc");
    assert_eq!(
        keys_url("eu-west-1_Abc", &aws),
        "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Abc/.well-known/jwks.json"
    );
    let local = env(&[("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", "http://127.0.0.1:9/")]);
    assert_eq!(keys_url("us-east-1_Abc", &local), "http://127.0.0.1:9/us-east-1_Abc/.well-known/jwks.json");
}
