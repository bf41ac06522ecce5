//! Rate limits under load: concurrent callers, and callers who ignore refusals.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue;
use common::{base::Role, request::AnyEndpoint};
use futures_util::future::join_all;
use serde_json::json;
use std::{future::IntoFuture, time::Duration};
use testing::{Answer, App, Tenant};

fn endpoint(name: &str) -> &'static AnyEndpoint {
    registry::all().find(|e| e.name == name).unwrap()
}

/// Sets a tenant's settings, and moves the clock until the cached ones have expired.
async fn settings(app: &App, tenant: Tenant, settings: serde_json::Value) {
    let update = app
        .raw()
        .update_item()
        .table_name(&app.provisioned().tables["RecordsTable"])
        .key("pk", AttributeValue::S(format!("{}#TENANT", app.tenant_id(tenant))))
        .key("sk", AttributeValue::S("PROFILE".to_owned()))
        .update_expression("SET settings = :settings")
        .expression_attribute_values(":settings", AttributeValue::S(settings.to_string()));
    update.send().await.unwrap();
    app.clock().advance(Duration::from_secs(5));
}

fn passed(answers: &[Answer]) -> usize {
    assert!(
        answers.iter().all(|a| a.status == 200 || a.status == 429),
        "{:?}",
        answers.iter().map(|a| a.status).collect::<Vec<_>>()
    );
    answers.iter().filter(|a| a.status == 200).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_concurrent_calls_get_exactly_the_limit() {
    let app = App::start().await;
    let client = app.as_role(Tenant::Acme, Role::Viewer);
    client.call(endpoint("me")).await;
    app.clock().advance(Duration::from_secs(60));
    let me = endpoint("me");
    let answers = join_all((0..100).map(|_| client.call(me).into_future())).await;
    assert_eq!(passed(&answers), me.limit.calls as usize);
    // The other tenant's callers have their own budgets.
    assert_eq!(app.as_role(Tenant::Birch, Role::Viewer).call(me).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn call_that_costs_ten_is_refused_when_fewer_than_ten_are_left() {
    let app = App::start().await;
    let client = app.as_role(Tenant::Acme, Role::Marketer);
    let batch = endpoint("create_shipments");
    assert_eq!((batch.cost, batch.limit.calls), (10, 60));
    for _ in 0..51 {
        assert_eq!(client.call(endpoint("me")).await.status, 200);
    }
    let body = suite::fixture::fresh(batch.sample.body.unwrap());
    let refused = client.call(batch).json(body.clone()).await;
    assert_eq!((refused.status, refused.code()), (429, "rate_limited"));
    assert_eq!(client.call(endpoint("me")).await.status, 200, "the refused call cost nothing");
    let wait = refused.header("retry-after").unwrap().parse().unwrap();
    app.clock().advance(Duration::from_secs(wait));
    // The call to `me` has taken one more since the refusal.
    app.clock().advance(Duration::from_secs(1));
    assert_eq!(client.call(batch).json(body).await.status, batch.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn caller_who_ignores_refusals_is_blocked_five_minutes_and_recorded() {
    let app = App::start().await;
    let strict = endpoint("refresh_shipment");
    let client = app.as_role(Tenant::Acme, Role::Marketer);
    let ask = || client.call(strict).path("shipment_id", "shp_019b76da100070008000000000000001");
    for _ in 0..strict.limit.calls {
        assert_eq!(ask().await.status, 404);
    }
    for _ in 0..60 {
        assert_eq!(ask().await.code(), "rate_limited");
    }
    let blocked = ask().await;
    assert_eq!((blocked.status, blocked.code()), (429, "temporarily_blocked"));
    assert_eq!(blocked.header("retry-after"), Some("300"));
    // The block covers all endpoints for this session.
    assert_eq!(client.call(endpoint("me")).await.code(), "temporarily_blocked");
    // It covers no other session.
    assert_eq!(app.as_role(Tenant::Acme, Role::Viewer).call(endpoint("me")).await.status, 200);
    let events = app.audit(Tenant::Acme).await;
    let event = events.iter().find(|e| e["reason"] == "temporarily_blocked").unwrap();
    assert_eq!((&event["status"], &event["severity"]), (&json!(429), &json!("warning")));
    app.clock().advance(Duration::from_secs(300));
    assert_eq!(client.call(endpoint("me")).await.status, 200);
}

/// Deletes the session before each write that follows the refused step: the count of violations, and the block.
#[tokio::test(flavor = "multi_thread")]
async fn session_deleted_between_two_writes_of_a_refusal_is_not_written_anew() {
    let app = App::start().await;
    let strict = endpoint("refresh_shipment");
    for (refusals, writes) in
        [(0, ["tat_api_strict", "tat_violations"].as_slice()), (60, &["tat_api_strict", "tat_violations", "blocked_until"])]
    {
        let identity = app.open_session(Tenant::Acme, Role::Marketer).await;
        let (pk, sk) = (format!("{}#SESSIONS#{}", identity.tenant, identity.user), identity.session.to_string());
        let client = app.as_identity(identity);
        let ask = || client.call(strict).path("shipment_id", "shp_019b76da100070008000000000000001");
        for _ in 0..strict.limit.calls {
            assert_eq!(ask().await.status, 404);
        }
        for _ in 0..refusals {
            assert_eq!(ask().await.code(), "rate_limited");
        }
        app.reset_calls();
        let mut last = app.wire().hold("UpdateItem", writes.len() - 1);
        let delete = async {
            last.arrived().await;
            let table = &app.provisioned().tables["EphemeraTable"];
            let delete = app.raw().delete_item().table_name(table);
            let delete = delete.key("pk", AttributeValue::S(pk.clone())).key("sk", AttributeValue::S(sk.clone()));
            delete.send().await.unwrap();
            last.let_go();
        };
        let (refused, ()) = tokio::join!(ask().into_future(), delete);
        assert_eq!((refused.status, refused.code()), (429, "rate_limited"), "{writes:?}");
        let mut asked = app.wire().asked("UpdateItem");
        asked.retain(|call| call["Key"]["sk"]["S"] == sk);
        assert_eq!(asked.len(), writes.len(), "{asked:?}");
        for (call, attribute) in asked.iter().zip(writes) {
            assert!(call.to_string().contains(attribute), "{attribute}: {call}");
        }
        let rows = app.dump("EphemeraTable").await;
        assert!(rows.iter().all(|row| row["sk"] != AttributeValue::S(sk.clone())), "{writes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenant_has_its_own_rate_limits_and_another_the_default() {
    let app = App::start().await;
    settings(&app, Tenant::Acme, json!({"rate_limits": {"api_default": 3}})).await;
    let limit = |answer: &Answer| answer.header("ratelimit-limit").unwrap().to_owned();
    let client = app.as_role(Tenant::Acme, Role::Viewer);
    for _ in 0..3 {
        assert_eq!(limit(&client.call(endpoint("me")).await), "3");
    }
    assert_eq!(client.call(endpoint("me")).await.code(), "rate_limited");
    assert_eq!(limit(&app.as_role(Tenant::Birch, Role::Viewer).call(endpoint("me")).await), "60");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_a_tenant_together_get_no_more_than_its_quota() {
    let app = App::start().await;
    settings(&app, Tenant::Acme, json!({"rate_limits": {"tenant": 50}})).await;
    app.clock().set(common::base::Timestamp::from_millis(1_767_268_860_000));
    let mut calls = Vec::new();
    for role in [Role::Viewer, Role::Marketer, Role::Provider, Role::Analyst] {
        let client = app.as_identity(app.open_session(Tenant::Acme, role).await);
        calls.extend((0..25).map(|_| client.call(endpoint("me")).into_future()));
    }
    let answers = join_all(calls).await;
    assert_eq!(passed(&answers), 50);
    let refused = answers.iter().find(|a| a.status == 429).unwrap();
    assert_eq!((refused.code(), refused.header("retry-after")), ("tenant_rate_limited", Some("60")));
    assert_eq!(app.as_role(Tenant::Birch, Role::Viewer).call(endpoint("me")).await.status, 200);
    app.clock().advance(Duration::from_secs(60));
    let fresh = app.as_identity(app.open_session(Tenant::Acme, Role::Viewer).await);
    assert_eq!(fresh.call(endpoint("me")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenant_quota_leased_in_blocks_passes_exactly_its_calls_each_minute() {
    let app = App::start().await;
    settings(&app, Tenant::Acme, json!({"rate_limits": {"tenant": 300}})).await;
    for minute in 1..=2 {
        // 15.25 seconds past the full minute, so that the rest of it must be rounded up.
        app.clock().set(common::base::Timestamp::from_millis(1_767_268_800_000 + minute * 60_000 + 15_250));
        for _ in 0..5 {
            let client = app.as_identity(app.open_session(Tenant::Acme, Role::Viewer).await);
            for _ in 0..60 {
                assert_eq!(client.call(endpoint("me")).await.status, 200);
            }
        }
        for _ in 0..3 {
            let client = app.as_identity(app.open_session(Tenant::Acme, Role::Viewer).await);
            let refused = client.call(endpoint("me")).await;
            assert_eq!(told(&refused), (429, "tenant_rate_limited", 45, (300, 0, 45)), "{}", refused.text);
        }
        // The other tenant has its own quota.
        assert_eq!(app.as_role(Tenant::Birch, Role::Viewer).call(endpoint("me")).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_that_costs_more_than_the_tenant_quota_takes_all_and_passes() {
    let app = App::start().await;
    settings(&app, Tenant::Acme, json!({"rate_limits": {"tenant": 4}})).await;
    app.clock().set(common::base::Timestamp::from_millis(1_767_268_860_000));
    let client = app.as_role(Tenant::Acme, Role::Marketer);
    let batch = endpoint("create_shipments");
    let body = suite::fixture::fresh(batch.sample.body.unwrap());
    assert_eq!(client.call(batch).json(body.clone()).await.status, batch.status);
    assert_eq!(client.call(endpoint("me")).await.code(), "tenant_rate_limited");
    app.clock().advance(Duration::from_secs(60));
    assert_eq!(client.call(batch).json(body).await.status, batch.status, "in the next minute");
}

/// A refusal's status, code and `Retry-After`, and its budget: limit, remaining, reset.
fn told(answer: &Answer) -> (u16, &str, u64, (u64, u64, u64)) {
    let number = |name: &str| answer.header(name).unwrap_or_else(|| panic!("no {name}: {}", answer.text)).parse().unwrap();
    let budget = (number("ratelimit-limit"), number("ratelimit-remaining"), number("ratelimit-reset"));
    (answer.status, answer.code(), number("retry-after"), budget)
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_of_a_signed_in_caller_states_wait_and_budget_in_seconds() {
    let app = App::start().await;
    let me = endpoint("me");
    // 60 a minute: the budget regains one call a second, and is full after a minute.
    let client = app.as_identity(app.open_session(Tenant::Acme, Role::Viewer).await);
    for nth in 1..=60 {
        let answer = client.call(me).await;
        let left = |name: &str| answer.header(name).unwrap().parse::<u64>().unwrap();
        assert_eq!((left("ratelimit-limit"), left("ratelimit-remaining"), left("ratelimit-reset")), (60, 60 - nth, nth));
        assert_eq!(answer.header("retry-after"), None);
    }
    assert_eq!(told(&client.call(me).await), (429, "rate_limited", 1, (60, 0, 60)));
    app.clock().advance(Duration::from_millis(300));
    assert_eq!(told(&client.call(me).await), (429, "rate_limited", 1, (60, 0, 60)), "59.7 seconds are 60");
    app.clock().advance(Duration::from_millis(700));
    assert_eq!(client.call(me).await.status, 200);

    // A call that costs ten, with a budget of nine left.
    let client = app.as_identity(app.open_session(Tenant::Acme, Role::Marketer).await);
    for _ in 0..51 {
        client.call(me).await;
    }
    let batch = endpoint("create_shipments");
    let body = suite::fixture::fresh(batch.sample.body.unwrap());
    assert_eq!(told(&client.call(batch).json(body).await), (429, "rate_limited", 1, (60, 9, 51)));

    // 10 a minute, then blocked for five minutes.
    let client = app.as_identity(app.open_session(Tenant::Acme, Role::Marketer).await);
    let ask = || client.call(endpoint("refresh_shipment")).path("shipment_id", "shp_019b76da100070008000000000000001");
    for _ in 0..10 {
        assert_eq!(ask().await.status, 404);
    }
    for _ in 0..60 {
        assert_eq!(told(&ask().await), (429, "rate_limited", 6, (10, 0, 60)));
    }
    assert_eq!(told(&ask().await), (429, "temporarily_blocked", 300, (10, 0, 300)));
    app.clock().advance(Duration::from_millis(99_500));
    assert_eq!(told(&ask().await), (429, "temporarily_blocked", 201, (10, 0, 201)));
    assert_eq!(told(&client.call(me).await), (429, "temporarily_blocked", 201, (60, 0, 201)));
    app.clock().advance(Duration::from_secs(201));
    assert_eq!(ask().await.status, 404);

    // A budget of five in a quarter of an hour takes longer to refill than the block lasts.
    let client = app.as_identity(app.open_session(Tenant::Acme, Role::Marketer).await);
    let change = || client.call(endpoint("change_password")).query("no_such_parameter", "1");
    for _ in 0..5 {
        assert_eq!(change().await.status, 422);
    }
    for _ in 0..60 {
        assert_eq!(told(&change().await), (429, "rate_limited", 180, (5, 0, 900)));
    }
    assert_eq!(told(&change().await), (429, "temporarily_blocked", 300, (5, 0, 900)));

    // Seven do not divide a minute: 8.571… seconds each.
    settings(&app, Tenant::Birch, json!({"rate_limits": {"api_default": 7}})).await;
    let client = app.as_identity(app.open_session(Tenant::Birch, Role::Viewer).await);
    for _ in 0..7 {
        assert_eq!(client.call(me).await.status, 200);
    }
    assert_eq!(told(&client.call(me).await), (429, "rate_limited", 9, (7, 0, 60)));
    app.clock().advance(Duration::from_secs(8));
    assert_eq!(told(&client.call(me).await), (429, "rate_limited", 1, (7, 0, 52)));
    app.clock().advance(Duration::from_secs(1));
    assert_eq!(client.call(me).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_before_sign_in_states_wait_and_budget_in_seconds() {
    let app = App::with_cognito().await;
    let login = |email: &str, ip: &str| {
        let body = json!({"email": email, "password": "Wrong-Synthetic-0!"});
        app.anonymous().call(endpoint("login")).json(body).from_ip(ip)
    };
    // By network: a hundred failures an hour, for any account.
    for i in 0..100 {
        assert_eq!(login(&format!("nobody{i}@birch-clinic.example"), "203.0.113.5").await.status, 401);
    }
    for _ in 0..3 {
        assert_eq!(told(&login("another@birch-clinic.example", "203.0.113.5").await), (429, "rate_limited", 36, (100, 0, 3600)));
    }
    app.clock().advance(Duration::from_secs(36));
    assert_eq!(login("another@birch-clinic.example", "203.0.113.5").await.status, 401);
    // By e-mail, from any address: the e-mail's budget refuses, and not the address's, which is nearly full.
    for i in 0..5 {
        assert_eq!(login("somebody@birch-clinic.example", &format!("198.51.100.{i}")).await.status, 401);
    }
    assert_eq!(told(&login("somebody@birch-clinic.example", "198.51.100.9").await), (429, "rate_limited", 180, (5, 0, 900)));
    // 60 failures a minute. A refused call counts too.
    let body = json!({"challenge": "NEW_PASSWORD_REQUIRED", "session": "invented", "new_password": "Synthetic-Passw0rd!"});
    let challenge = || app.anonymous().call(endpoint("challenge")).json(body.clone());
    for _ in 0..60 {
        assert_eq!(challenge().await.status, 401);
    }
    assert_eq!(told(&challenge().await), (429, "rate_limited", 2, (60, 0, 61)));
    // Three an hour.
    let forgot = || app.anonymous().call(endpoint("forgot_password")).json(json!({"email": "other@birch-clinic.example"}));
    for _ in 0..3 {
        assert!(forgot().await.status < 300);
    }
    assert_eq!(told(&forgot().await), (429, "rate_limited", 1200, (3, 0, 3600)));
}

#[tokio::test(flavor = "multi_thread")]
async fn process_leases_tenant_quota_once_a_minute() {
    let app = App::start().await;
    let client = app.as_role(Tenant::Acme, Role::Viewer);
    client.call(endpoint("me")).await;
    let steady = ["UpdateItem", "GetItem", "GetItem", "UpdateItem"];
    for _ in 0..4 {
        // Long enough that the guess of the session's state holds, and not so long that the tenant's state is read again.
        app.clock().advance(Duration::from_millis(1100));
        app.reset_calls();
        assert_eq!(client.call(endpoint("me")).await.status, 200);
        assert_eq!(app.calls().dynamodb.len(), steady.len(), "session, membership, tenant, event: {:?}", app.calls().dynamodb);
    }
    app.clock().advance(Duration::from_secs(60));
    app.reset_calls();
    client.call(endpoint("me")).await;
    // One more call reads the tenant's state, which is cached for five seconds.
    assert_eq!(app.calls().dynamodb.len(), steady.len() + 2, "a lease for this minute: {:?}", app.calls().dynamodb);
}
