//! Rules for every endpoint at the gateway, over HTTP: a request without a valid token goes no further, and CORS allows no
//! unknown origin.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::request::{AnyEndpoint, Kind};
use local::{
    AuditLog, Data, Options, Stack,
    client::{Answer, Client},
};
use serde_json::json;

const ORIGIN: &str = "https://app.example";

async fn stack() -> Stack {
    Stack::start(Options { data: Data::Ephemeral, origins: vec![ORIGIN.to_owned()], ..Options::default() }).await.unwrap()
}

fn path(endpoint: &AnyEndpoint) -> String {
    endpoint.route.path.replace("{shipment_id}", "shp_00000000000070008000000000000000")
}

async fn send(stack: &Stack, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    Client::new(stack.base_url()).send(&method.parse().unwrap(), path, headers, String::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn protected_endpoint_is_unreachable_without_a_valid_token() {
    let stack = stack().await;
    let bad = ["", "Bearer", "Bearer x", "Basic dXNlcjpwYXNz", "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer a b"];
    for endpoint in registry::all().filter(|e| e.kind != Kind::Public) {
        for token in [None].into_iter().chain(bad.map(Some)) {
            let headers: Vec<_> = token.map(|t| ("authorization", t)).into_iter().collect();
            let answer = send(&stack, endpoint.route.method.as_str(), &path(endpoint), &headers).await;
            assert_eq!(
                (answer.status, answer.code()),
                (401, "unauthenticated"),
                "{} with {token:?}: {}",
                endpoint.name,
                answer.text
            );
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", endpoint.name);
        }
    }
    // The platform's log has an event for refused credentials, one for each reason and minute, with a count.
    let log = AuditLog::new(
        &stack.env()["AWS_ENDPOINT_URL_DYNAMODB"],
        &stack.env()["CLOISTER_LEDGER_TABLE"],
        &common::base::TenantId::PLATFORM.to_string(),
    );
    let refused: Vec<_> = log.after(None).await.unwrap().into_iter().filter(|e| e.event["type"] == "api.authorizer").collect();
    assert!(!refused.is_empty() && refused.len() < 20, "{} events", refused.len());
    assert!(refused.iter().all(|e| e.event["status"] == json!(401) && e.event["outcome"] == "refused"));
    stack.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_needs_no_token_and_allows_only_known_origins() {
    let stack = stack().await;
    for endpoint in registry::all() {
        let ask = |origin| [("origin", origin), ("access-control-request-method", endpoint.route.method.as_str())];
        let known = send(&stack, "OPTIONS", &path(endpoint), &ask(ORIGIN)).await;
        assert_eq!(known.header("access-control-allow-origin"), Some(ORIGIN), "{}", endpoint.name);
        assert!(
            known.header("access-control-allow-methods").unwrap().contains(endpoint.route.method.as_str()),
            "{}",
            endpoint.name
        );
        for foreign in ["https://evil.example", "https://app.example.evil.example", "null", "http://app.example"] {
            let answer = send(&stack, "OPTIONS", &path(endpoint), &ask(foreign)).await;
            assert_eq!(answer.header("access-control-allow-origin"), None, "{} from {foreign}", endpoint.name);
        }
        // The same for the gateway's own refusals.
        let refused = send(&stack, endpoint.route.method.as_str(), &path(endpoint), &[("origin", "https://evil.example")]).await;
        assert_eq!(refused.header("access-control-allow-origin"), None, "{}", endpoint.name);
    }
    stack.stop().await.unwrap();
}
