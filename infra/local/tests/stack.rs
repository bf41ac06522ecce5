//! Tests the stack from outside: over HTTP, on free ports, with real tokens.

#![expect(clippy::unwrap_used, reason = "a helper's failure is the test's")]

use axum::http::Method;
use local::{
    Data, Error, Options, Stack,
    client::{Answer, Client},
};
use serde_json::{Value, json};
use std::path::Path;

const ORIGIN: &str = "http://localhost:3000";
const NUMBER: &str = "1ZCIETST0111111114";

async fn start(data: Data) -> Stack {
    Stack::start(options(data)).await.unwrap()
}

fn options(data: Data) -> Options {
    Options { data, origins: vec![ORIGIN.to_owned()], ..Options::default() }
}

async fn sign_in(stack: &Stack, email: &str) -> String {
    let client = Client::new(stack.base_url());
    let answer = local::sign_in(&client, stack.users(), email, stack.password().unwrap()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["access_token"].as_str().unwrap().to_owned()
}

async fn send(stack: &Stack, method: Method, path: &str, token: &str, body: Option<Value>) -> Answer {
    let authorization = format!("Bearer {token}");
    let mut headers =
        vec![("authorization", authorization.as_str()), ("x-purpose-of-use", "TREAT"), ("idempotency-key", "key-1")];
    if body.is_some() {
        headers.push(("content-type", "application/json"));
    }
    let body = body.map(|b| b.to_string()).unwrap_or_default();
    Client::new(stack.base_url()).send(&method, path, &headers, body).await.unwrap()
}

fn registration() -> Value {
    let address =
        json!({"line1": "100 Example Street", "city": "Springfield", "state": "IL", "postal_code": "62701", "country": "US"});
    json!({"tracking_number": NUMBER, "recipient": {"name": "Ada Sample", "address": address}})
}

/// Whether a process has ended, or waits to be reaped.
fn is_gone(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
}

async fn create(stack: &Stack, token: &str) -> String {
    let created = send(stack, Method::POST, "/v1/shipments", token, Some(registration())).await;
    assert_eq!(created.status, 201, "{}", created.text);
    created.json["shipment_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn shipment_is_visible_to_its_tenant_only_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let kept = || Data::Kept(dir.path().to_owned());
    let stack = start(kept()).await;
    let password = stack.password().unwrap().to_owned();
    let acme = sign_in(&stack, "marketer@acme-health.example").await;
    let birch = sign_in(&stack, "marketer@birch-clinic.example").await;
    let path = format!("/v1/shipments/{}", create(&stack, &acme).await);
    let (own, foreign) =
        (send(&stack, Method::GET, &path, &acme, None).await, send(&stack, Method::GET, &path, &birch, None).await);
    assert_eq!((own.status, foreign.status, foreign.code()), (200, 404, "not_found"));

    let refused = Stack::start(options(kept())).await.unwrap_err();
    assert!(matches!(&refused, Error::DataDirInUse(taken) if taken == dir.path()), "{refused}");
    let child = stack.child_id();
    assert!(!is_gone(child));
    stack.stop().await.unwrap();
    assert!(is_gone(child));
    assert!(!dir.path().join("dev.json").exists());

    let stack = start(kept()).await;
    assert_eq!(stack.password(), Some(password.as_str()));
    let acme = sign_in(&stack, "marketer@acme-health.example").await;
    let found = send(&stack, Method::GET, &path, &acme, None).await;
    assert_eq!((found.status, &found.json["tracking_number"]), (200, &json!(NUMBER)));
    stack.stop().await.unwrap();

    let other_password = Options { password: Some("Another-Passw0rd!".to_owned()), ..options(kept()) };
    assert!(matches!(Stack::start(other_password).await, Err(Error::OtherPassword(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_refusals_equal_those_of_api_gateway() {
    let stack = start(Data::Ephemeral).await;
    let client = Client::new(stack.base_url());
    let problem = |answer: &Answer| {
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json["status"], answer.status);
        assert_eq!(answer.json["correlation_id"].as_str(), answer.header("x-correlation-id"));
        (answer.status, answer.code().to_owned())
    };

    let missing = client.send(&Method::GET, "/v1/me", &[], "").await.unwrap();
    assert_eq!(problem(&missing), (401, "unauthenticated".to_owned()));
    let bad = client.send(&Method::GET, "/v1/me", &[("authorization", "Bearer bad")], "").await.unwrap();
    assert_eq!(problem(&bad), (401, "unauthenticated".to_owned()));
    for (method, path) in
        [(Method::GET, "/v1/nothing"), (Method::DELETE, "/v1/me"), (Method::GET, "/"), (Method::OPTIONS, "/v1/nothing")]
    {
        let unknown = client.send(&method, path, &[], "").await.unwrap();
        assert_eq!(problem(&unknown), (404, "not_found".to_owned()), "{method} {path}");
    }
    let large = client.send(&Method::POST, "/v1/shipments", &[], vec![b' '; 10 * 1024 * 1024 + 1]).await;
    // The gateway answers before it has read the whole body, and some systems then lose the answer. On AWS this answer cannot be
    // customized.
    let in_its_own_words = |answer: &Answer| (answer.status, answer.json["message"].as_str().unwrap_or_default().to_owned());
    let too_long = (413, "Request Too Long".to_owned());
    assert!(large.is_err() || large.as_ref().is_ok_and(|a| in_its_own_words(a) == too_long), "{large:?}");
    // Lambda's limit is 6 MB.
    let six =
        client.send(&Method::POST, "/v1/auth/login", &[("content-type", "application/json")], vec![b'x'; 6 * 1024 * 1024]).await;
    assert!(six.is_err() || six.as_ref().is_ok_and(|a| in_its_own_words(a) == too_long), "{six:?}");
    let long = "a".repeat(10_241);
    let head = client.send(&Method::GET, "/v1/health", &[("x-long", &long)], "").await.unwrap();
    assert_eq!(in_its_own_words(&head).0, 431);
    let url = client.send(&Method::GET, &format!("/v1/shipments/{long}"), &[], "").await.unwrap();
    assert_eq!(in_its_own_words(&url), (414, "Request URI too long".to_owned()));
    let arn = format!("/v1/shipments/{}", "a".repeat(1_600));
    let guarded = client.send(&Method::GET, &arn, &[("authorization", "Bearer x")], "").await.unwrap();
    assert_eq!(in_its_own_words(&guarded), (414, "Request URI too long".to_owned()));
    // The method override header is ignored.
    let overridden = client.send(&Method::GET, "/v1/health", &[("x-http-method-override", "DELETE")], "").await.unwrap();
    assert_eq!(problem(&overridden), (404, "not_found".to_owned()));
    stack.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pages_of_an_allowed_origin_may_call() {
    let stack = start(Data::Ephemeral).await;
    let client = Client::new(stack.base_url());
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").map(str::to_owned);
    for (method, path, status) in
        [(Method::OPTIONS, "/v1/shipments", 204), (Method::GET, "/v1/shipments", 401), (Method::GET, "/v1/health", 200)]
    {
        let own = client.send(&method, path, &[("origin", ORIGIN)], "").await.unwrap();
        assert_eq!((own.status, allowed(&own).as_deref()), (status, Some(ORIGIN)), "{method} {path}");
        let exposed = own.header("access-control-expose-headers").unwrap();
        assert!(
            ["ETag", "RateLimit-Limit", "Retry-After", "X-Correlation-Id"].iter().all(|name| exposed.contains(name)),
            "{exposed}"
        );
        for foreign in ["http://localhost:3001", "https://localhost:3000", "null", "*"] {
            let answer = client.send(&method, path, &[("origin", foreign)], "").await.unwrap();
            assert_eq!((answer.status, allowed(&answer)), (status, None), "{method} {path} {foreign}");
            assert_eq!(answer.header("vary"), Some("Origin"));
        }
    }
    let preflight = client.send(&Method::OPTIONS, "/v1/shipments", &[("origin", ORIGIN)], "").await.unwrap();
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, POST, OPTIONS"));
    for name in ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "X-Purpose-Of-Use", "X-Correlation-Id"] {
        assert!(preflight.header("access-control-allow-headers").unwrap().contains(name), "{name}");
    }
    stack.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn port_in_use_is_named_before_anything_is_started() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let refused = Stack::start(Options { port, ..options(Data::Kept(data.clone())) }).await.unwrap_err();
    assert!(matches!(refused, Error::PortInUse(address) if address.port() == port), "{refused}");
    assert!(refused.to_string().contains(&port.to_string()));
    assert!(!data.exists());
}

/// Sends a read with this access key as its signer.
async fn read_item(endpoint: &str, access_key: Option<&str>, table: &str, pk: &str) -> Answer {
    let key = json!({"pk": {"S": pk}, "sk": {"S": "TENANT"}});
    let signed = access_key.map(|key| {
        format!("AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=00")
    });
    let mut headers = vec![
        ("x-amz-target", "DynamoDB_20120810.GetItem"),
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-date", "20260101T000000Z"),
    ];
    headers.extend(signed.as_deref().map(|value| ("authorization", value)));
    let body = json!({"TableName": table, "Key": key}).to_string();
    Client::new(endpoint).send(&Method::POST, "/", &headers, body).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_call_beyond_its_role_is_refused_and_reported_at_stop() {
    let stack = start(Data::Ephemeral).await;
    let (operator, function) = (stack.handover().operator.clone(), stack.env());
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_KMS"] {
        assert_ne!(operator[name], function[name], "{name} bypasses IAM");
    }
    let (endpoint, table) = (&operator["AWS_ENDPOINT_URL_DYNAMODB"], &operator["CLOISTER_RECORDS_TABLE"]);
    let of_the_platform = format!("{}#TENANT", stack.handover().tenants[local::PLATFORM]);
    let own = read_item(endpoint, Some("operator"), table, &of_the_platform).await;
    assert_eq!(own.status, 200, "{}", own.text);
    let another = format!("{}#TENANT", stack.handover().tenants["acme-health"]);
    let refused = [
        (Some("operator"), &another, "AccessDeniedException"),
        (Some("somebody"), &of_the_platform, "UnrecognizedClientException"),
        (None, &of_the_platform, "UnrecognizedClientException"),
    ];
    for (who, pk, code) in refused {
        let answer = read_item(endpoint, who, table, pk).await;
        assert!(answer.status == 400 && answer.text.contains(code), "{who:?}: {} {}", answer.status, answer.text);
    }
    let Err(Error::Refused(told)) = stack.stop().await else { panic!("the refusal is not reported") };
    assert!(told.contains("cloister-operator") && told.contains("dynamodb:GetItem"), "{told}");
}
