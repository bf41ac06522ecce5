//! Claims in headers, paths and queries about the caller's address, method and identity. Only API Gateway's own context counts,
//! and no response, log line or audit event contains a caller's text that could pass for ours.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::{
    base::{Role, TenantId},
    request::Kind,
};
use local::{AuditLog, Data, Options, Stack, client::Client};
use serde_json::{Value, json};
use std::time::Duration;
use suite::{
    fixture::Fixture,
    matrix::{allowed_role, protected},
    people::{endpoint, identity},
    state,
};
use testing::{Answer, App, Call, Tenant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The callers' real address, and the address that they claim.
const HOME: &str = "192.0.2.7";
const CLAIMED: &str = "203.0.113.66";

/// Headers that some proxies, frameworks and gateways trust.
const CLAIMS: [(&str, &str); 21] = [
    ("X-Forwarded-For", CLAIMED),
    ("Forwarded", "for=203.0.113.66;proto=https;host=evil.example"),
    ("X-Real-IP", CLAIMED),
    ("X-Client-IP", CLAIMED),
    ("True-Client-IP", CLAIMED),
    ("CF-Connecting-IP", CLAIMED),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-User", "super_admin"),
    ("X-Original-URL", "/v1/organizations"),
    ("X-Rewrite-URL", "/v1/organizations"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("X-HTTP-Method", "DELETE"),
    ("X-Method-Override", "DELETE"),
    ("X-Amzn-Source-Ip", CLAIMED),
    ("X-Amzn-Request-Context", r#"{"identity":{"sourceIp":"203.0.113.66"},"authorizer":{"role":"super_admin"}}"#),
    ("X-Amzn-Oidc-Identity", "super_admin"),
    ("X-Amz-Security-Token", "synthetic"),
    ("X-Apigateway-Event", r#"{"httpMethod":"DELETE","requestContext":{"identity":{"sourceIp":"203.0.113.66"}}}"#),
    ("X-Tenant-Id", "ten_00000000000070008000000000000000"),
    ("X-User-Role", "super_admin"),
    ("X-Session-Id", "ses_00000000000070008000000000000000"),
];

fn claiming(call: Call<'_>) -> Call<'_> {
    CLAIMS.into_iter().fold(call, |call, (name, value)| call.header(name, value))
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_uses_the_gateways_context_and_ignores_claims_in_headers() {
    let app = App::with_cognito().await;
    let birch = app.tenant_id(Tenant::Birch);
    for endpoint in protected() {
        app.clock().advance(Duration::from_secs(1));
        let fixture = Fixture::of(&app, endpoint).await;
        let before = state::of(&app, birch, &["RecordsTable", "LedgerTable"]).await;
        let who = app.open_session(Tenant::Acme, allowed_role(endpoint)).await;
        let home = who.tenant;
        let answer = claiming(fixture.call(&app.as_identity(who.clone()), endpoint)).await;
        assert_eq!(answer.status, endpoint.status, "{}: {}", endpoint.name, answer.text);
        let line = app.log_lines().pop().unwrap();
        let route = json!([endpoint.name, endpoint.route.method.as_str(), endpoint.route.path, who.tenant]);
        // A super_admin's log line is about the tenant that they act on.
        if endpoint.kind != Kind::Platform {
            assert_eq!(json!([line["function"], line["http.method"], line["http.route"], line["tenant.id"]]), route);
        }
        let events = app.audit_of(home).await;
        let kind = format!("api.{}", endpoint.name);
        let event = events.iter().rfind(|e| e["type"] == kind.as_str()).unwrap();
        assert_eq!(
            json!([event["actor"]["ip"], event["actor"]["id"], event["actor"]["role"], event["actor"]["session_id"]]),
            json!([HOME, who.user, allowed_role(endpoint).as_str(), who.session]),
            "{}",
            endpoint.name
        );
        assert!(!answer.text.contains(CLAIMED) && !event.to_string().contains(CLAIMED) && !line.to_string().contains(CLAIMED));
        let after = state::of(&app, birch, &["RecordsTable", "LedgerTable"]).await;
        assert!(before == after, "{}: {:#?}", endpoint.name, state::difference(&before, &after));
        app.forget_log_lines();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn address_claimed_in_headers_changes_neither_limits_nor_networks() {
    let app = App::start().await;
    let body = json!({"challenge": "NEW_PASSWORD_REQUIRED", "session": "invented", "new_password": "Synthetic-Passw0rd!"});
    let mut statuses = Vec::new();
    for i in 0..62 {
        let call =
            app.anonymous().call(endpoint("challenge")).json(body.clone()).header("X-Forwarded-For", format!("10.0.0.{i}"));
        statuses.push(call.header("X-Real-IP", format!("10.0.0.{i}")).await.status);
    }
    assert_eq!(statuses, [[401; 60].as_slice(), &[429; 2]].concat());

    let admin = || async { app.as_identity(app.open_session(Tenant::Acme, Role::TenantAdmin).await) };
    let put = admin().await.call(endpoint("put_ip_allowlist")).path("tenant_id", app.tenant_id(Tenant::Acme));
    let put = put.if_match(1).json(json!({"networks": ["192.0.2.0/24"]})).await;
    assert_eq!(put.status, 200, "{}", put.text);
    let key = admin().await.call(endpoint("create_api_key"));
    let key = key.json(json!({"name": "a", "scopes": ["audit.read"], "purposes": [], "networks": ["192.0.2.0/24"]})).await;
    assert_eq!(key.status, 201, "{}", key.text);
    let key = identity(&app, key.json["api_key"].as_str().unwrap()).await.unwrap();
    app.clock().advance(Duration::from_secs(5));
    let person = app.open_session(Tenant::Acme, Role::Auditor).await;
    for who in [person, key] {
        for (address, says, status) in [(HOME, "198.51.100.1", 200), ("198.51.100.1", HOME, 403)] {
            let call = claiming(app.as_identity(who.clone()).call(endpoint("list_audit_events"))).from_ip(address);
            let call = call.header("X-Forwarded-For", says).header("X-Real-IP", says).header("Forwarded", format!("for={says}"));
            let answer = call.await;
            assert_eq!(answer.status, status, "from {address}, claiming {says}: {}", answer.text);
        }
    }
}

/// A mark in every injected text.
const MARK: &str = "injected-7c1";

/// Asserts that the response, the log lines and the audit events contain neither the mark nor a control character.
fn unseen(what: &str, answer: &Answer, written: &[Value]) {
    assert!(!answer.text.contains(MARK), "{what}: {}", answer.text);
    for (name, value) in &answer.headers {
        assert!(!name.contains(MARK) && !value.contains(MARK), "{what}: {name}: {value}");
        assert!(!value.bytes().any(|b| b.is_ascii_control()), "{what}: {name}");
    }
    for value in written {
        let text = value.to_string();
        // A control character in a text would be escaped in JSON.
        assert!(
            !text.contains(MARK) && !text.contains("\\r") && !text.contains("\\n") && !text.contains("\\u00"),
            "{what}: {text}"
        );
    }
}

async fn written(app: &App) -> Vec<Value> {
    let mut all = app.log_lines();
    for tenant in [app.tenant_id(Tenant::Acme), TenantId::PLATFORM] {
        all.extend(app.audit_of(tenant).await);
    }
    app.forget_log_lines();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn line_ends_in_paths_and_queries_are_not_echoed() {
    let app = App::start().await;
    let fixture = Fixture::new(&app).await;
    for endpoint in protected() {
        let hostile = format!("\r\nSet-Cookie: {MARK}=1\r\n\r\n\0<script>");
        let client = async || {
            app.clock().advance(Duration::from_secs(1));
            app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await)
        };
        for name in registry::path_parameters(endpoint.route.path) {
            // The id's prefix, to find a parser that checks nothing else.
            let prefix = fixture.value(name).unwrap_or("ses_");
            for value in [hostile.clone(), format!("{prefix}{hostile}")] {
                let answer = fixture.call(&client().await, endpoint).path(name, value).await;
                assert_eq!(answer.status, 404, "{} {name}: {}", endpoint.name, answer.text);
                unseen(endpoint.name, &answer, &written(&app).await);
            }
        }
        for (name, value) in [("cursor", &*hostile), (&*hostile, "1"), ("limit", &*hostile), ("user_id", &*hostile)] {
            let answer = fixture.call(&client().await, endpoint).query(name, value).await;
            assert!([400, 422].contains(&answer.status), "{}: {}", endpoint.name, answer.text);
            unseen(endpoint.name, &answer, &written(&app).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_header_value_is_not_echoed() {
    let app = App::start().await;
    let fixture = Fixture::new(&app).await;
    let update = endpoint("update_shipment");
    // A tab, and bytes past ASCII, are the worst that HTTP carries in a value.
    let hostile = format!("{MARK}\tSet-Cookie: a=1");
    for (name, value, status) in [
        ("X-Correlation-Id", hostile.clone(), 200),
        ("X-Correlation-Id", format!("{MARK}\u{85}\u{2028}"), 200),
        ("X-Correlation-Id", format!("{MARK} {{}}"), 200),
        ("X-Correlation-Id", MARK.repeat(10), 200),
        ("Origin", format!("https://{MARK}.example"), 200),
        ("Origin", hostile.clone(), 200),
        ("Idempotency-Key", hostile.clone(), 400),
        ("Idempotency-Key", format!("{MARK}\u{e9}"), 400),
        ("If-Match", hostile.clone(), 400),
        ("If-Match", format!("\"{MARK}\""), 400),
        ("X-Purpose-Of-Use", hostile.clone(), 400),
        ("Content-Type", format!("application/{MARK}"), 415),
    ] {
        let version = fixture_version(&app, &fixture).await;
        let marketer = app.as_identity(app.open_session(Tenant::Acme, Role::Marketer).await);
        let call = fixture.call(&marketer, update).if_match(version);
        let answer = call.json(json!({"reference": format!("R-{version}")})).header(name, &value).await;
        assert_eq!(answer.status, status, "{name}: {value:?}: {}", answer.text);
        unseen(name, &answer, &written(&app).await);
    }
    // A user agent may be any text, but its control characters are not kept.
    let viewer = app.as_role(Tenant::Acme, Role::Viewer);
    viewer.call(endpoint("me")).header("User-Agent", "a\tb\u{85}").await;
    assert!(written(&app).await.iter().all(|value| !value.to_string().contains("\\t")));
}

/// The headers that take one value: a valid value, and the response to a request with two.
const ONCE: [(&str, &str, u16, &str); 10] = [
    ("Authorization", "Bearer synthetic", 401, "unauthenticated"),
    ("Content-Length", "7", 400, "repeated_header"),
    ("Content-Type", "application/json", 400, "repeated_header"),
    ("X-Correlation-Id", "thread-1", 400, "repeated_header"),
    ("Host", "api.example", 400, "repeated_header"),
    ("Idempotency-Key", "key-1", 400, "invalid_idempotency_key"),
    ("If-Match", "\"1\"", 400, "invalid_if_match"),
    ("Origin", "https://app.example", 400, "repeated_header"),
    ("X-Purpose-Of-Use", "TREAT", 400, "repeated_header"),
    ("User-Agent", "synthetic/1", 400, "repeated_header"),
];

#[tokio::test(flavor = "multi_thread")]
async fn repeated_single_value_header_is_refused_before_anything_is_written() {
    let app = App::with_cognito().await;
    let fixture = Fixture::new(&app).await;
    let tenants = [Tenant::Acme, Tenant::Birch].map(|tenant| app.tenant_id(tenant));
    let stored = async || {
        let tables = ["RecordsTable", "KeysTable"];
        let events = [app.domain_events(Tenant::Acme).await, app.domain_events(Tenant::Birch).await];
        let [acme, birch] = tenants.map(|tenant| state::of(&app, tenant, &tables));
        (acme.await, birch.await, state::of(&app, TenantId::PLATFORM, &tables).await, events)
    };
    let before = stored().await;
    for (i, endpoint) in registry::all().enumerate() {
        for (j, (name, value, status, code)) in ONCE.into_iter().enumerate() {
            // Each request has its own address and session, since their budgets are small.
            let client = match endpoint.kind {
                Kind::Public => app.anonymous(),
                _ => app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await),
            };
            let call = fixture.call(&client, endpoint).from_ip(&format!("198.51.{i}.{j}")).header(name, value);
            // The same value again, another one, and another one under another spelling of the name.
            let answer = match (i + j) % 3 {
                0 => call.also(name, value).await,
                1 => call.also(name, "another").await,
                _ => call.also(&name.to_ascii_lowercase(), "another").await,
            };
            assert_eq!((answer.status, answer.code()), (status, code), "{} {name}: {}", endpoint.name, answer.text);
            let line = app.log_lines().pop().unwrap();
            let reason = if status == 401 { "repeated_credentials" } else { code };
            assert_eq!((&line["function"], &line["code"]), (&json!(endpoint.name), &json!(reason)), "{name}");
            assert_ne!(line["correlation_id"], "thread-1", "{}", endpoint.name);
        }
    }
    let after = stored().await;
    assert!(before.0 == after.0, "{:#?}", state::difference(&before.0, &after.0));
    assert!(before.1 == after.1, "{:#?}", state::difference(&before.1, &after.1));
    assert!(before.2 == after.2, "{:#?}", state::difference(&before.2, &after.2));
    assert_eq!(before.3, after.3);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tokens_over_http_are_refused_even_if_one_is_valid_and_cached() {
    let stack = stack().await;
    let client = Client::new(stack.base_url());
    let token = async |name: &str| {
        let user = stack.users().iter().find(|u| u.role == Role::Viewer && u.tenant == name).unwrap();
        let body = json!({"email": user.email, "password": stack.password().unwrap()}).to_string();
        let headers = [("content-type", "application/json")];
        let login = client.send(&"POST".parse().unwrap(), "/v1/auth/login", &headers, body).await.unwrap();
        format!("Bearer {}", login.json["access_token"].as_str().unwrap_or_else(|| panic!("{}", login.text)))
    };
    let (acme, birch) = (token("acme-health").await, token("birch-clinic").await);
    let get = async |path: &str, headers: &[(&str, &str)]| client.send(&"GET".parse().unwrap(), path, headers, "").await.unwrap();
    // From here on the gateway caches the authorizer's answer for each token.
    for token in [&acme, &birch] {
        assert_eq!(get("/v1/me", &[("authorization", token)]).await.status, 200);
    }
    for (first, second) in
        [(&*acme, &*birch), (&birch, &acme), (&acme, &acme), (&acme, "Bearer x"), ("Bearer x", &acme), (&acme, ""), ("", &acme)]
    {
        for path in ["/v1/me", "/v1/sessions", "/v1/shipments"] {
            let answer = get(path, &[("authorization", first), ("authorization", second)]).await;
            assert_eq!((answer.status, answer.code()), (401, "unauthenticated"), "{path}: {}", answer.text);
        }
    }
    let joined = format!("{acme}, {birch}");
    assert_eq!(get("/v1/me", &[("authorization", &joined)]).await.status, 401);
    let purposes = [("authorization", &*acme), ("x-purpose-of-use", "TREAT"), ("x-purpose-of-use", "HPAYMT")];
    assert_eq!(get("/v1/shipments", &purposes).await.code(), "repeated_header");
    assert_eq!(get("/v1/me", &[("authorization", &acme)]).await.status, 200, "one token alone is still accepted");
    // The platform's log has an event for the authorizer's refusal.
    let log = AuditLog::new(
        &stack.env()["AWS_ENDPOINT_URL_DYNAMODB"],
        &stack.env()["CLOISTER_LEDGER_TABLE"],
        &TenantId::PLATFORM.to_string(),
    );
    let events = log.after(None).await.unwrap();
    assert!(events.iter().any(|e| e.event["reason"] == "repeated_credentials" && e.event["type"] == "api.authorizer"));
    stack.stop().await.unwrap();
}

async fn fixture_version(app: &App, fixture: &Fixture) -> i64 {
    let viewer = app.as_identity(app.open_session(Tenant::Acme, Role::Viewer).await);
    let shown = viewer.call(endpoint("get_shipment")).path("shipment_id", fixture.value("shipment_id").unwrap()).await;
    shown.json["version"].as_i64().unwrap()
}

async fn stack() -> Stack {
    Stack::start(Options { data: Data::Ephemeral, ..Options::default() }).await.unwrap()
}

/// Sends these bytes, and reads the response.
async fn raw(stack: &Stack, request: &str) -> String {
    let address = stack.base_url().strip_prefix("http://").unwrap();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A peer may also close the connection, if the bytes are not HTTP.
    let _ = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_over_http_change_no_address_or_route_and_add_no_header_line() {
    let stack = stack().await;
    let client = Client::new(stack.base_url());
    let viewer = stack.users().iter().find(|u| u.role == Role::Viewer && u.tenant == "acme-health").unwrap();
    // API Gateway itself obeys one of these headers, and changes the request's method before our code runs.
    let (obeyed, claims): (Vec<_>, Vec<_>) = CLAIMS.into_iter().partition(|(name, _)| *name == "X-HTTP-Method-Override");
    let mut headers = claims.clone();
    headers.push(("content-type", "application/json"));
    let body = json!({"email": viewer.email, "password": stack.password().unwrap()}).to_string();
    let login = client.send(&"POST".parse().unwrap(), "/v1/auth/login", &headers, body).await.unwrap();
    assert_eq!(login.status, 200, "{}", login.text);
    let bearer = format!("Bearer {}", login.json["access_token"].as_str().unwrap());
    let mut headers = claims;
    headers.push(("authorization", &bearer));
    let me = client.send(&"GET".parse().unwrap(), "/v1/me", &headers, "").await.unwrap();
    assert_eq!((me.status, &me.json["user_id"]), (200, &json!(viewer.user_id)), "{}", me.text);
    assert_eq!(me.json["roles"], json!(["viewer"]));
    let overridden = [headers.as_slice(), &obeyed].concat();
    let by_other_method = client.send(&"GET".parse().unwrap(), "/v1/me", &overridden, "").await.unwrap();
    assert_eq!(by_other_method.status, 404, "there is no DELETE /v1/me: {}", by_other_method.text);
    let sessions = client.send(&"GET".parse().unwrap(), "/v1/sessions", &headers, "").await.unwrap();
    let seen: Vec<_> = sessions.json["items"].as_array().unwrap().iter().map(|session| &session["ip"]).collect();
    assert_eq!(seen, [&json!("127.0.0.1")], "{}", sessions.text);

    for request in [
        format!("GET /v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Correlation-Id: a\rSet-Cookie: {MARK}\r\n\r\n"),
        format!("GET /v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Correlation-Id: a\r\n Set-Cookie: {MARK}\r\n\r\n"),
        format!("GET /v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Correlation-Id: a\0{MARK}\r\n\r\n"),
        format!("GET /v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: https://a\r{MARK}\r\n\r\n"),
        format!(
            "GET /v1/shipments/%0d%0aSet-Cookie:{MARK} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: {bearer}\r\n\r\n"
        ),
        format!(
            "GET /v1/me?%0d%0a{MARK}=%0d%0a{MARK} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: {bearer}\r\n\r\n"
        ),
        format!("GET /v1/%0d%0a{MARK} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    ] {
        let answer = raw(&stack, &request).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{request:?}: {answer}");
        assert!(!answer.contains(MARK), "{request:?}: {answer}");
    }

    let acme = me.json["tenant_id"].as_str().unwrap();
    let log = AuditLog::new(&stack.env()["AWS_ENDPOINT_URL_DYNAMODB"], &stack.env()["CLOISTER_LEDGER_TABLE"], acme);
    let events = log.after(None).await.unwrap();
    let theirs: Vec<_> = events.iter().filter(|e| e.event["actor"]["id"] == json!(viewer.user_id)).collect();
    assert!(theirs.len() >= 3, "{events:?}");
    for seen in theirs {
        assert_eq!(seen.event["actor"]["ip"], "127.0.0.1");
        let text = seen.event.to_string();
        assert!(!text.contains(MARK) && !text.contains(CLAIMED), "{text}");
    }
    stack.stop().await.unwrap();
}
