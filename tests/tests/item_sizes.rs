//! What an item may grow to, with the most that callers can put into it, is far below what DynamoDB takes: `docs/scale.md`.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue;
use common::{Grant, MOST_ITEM_BYTES, Role, item_size};
use serde_json::{Value, json};
use std::collections::HashMap;
use suite::{people::endpoint, samples};
use testing::{
    App, Call,
    Tenant::{self, Acme, Birch},
};

/// The longest that a network is written, a hundred times.
fn networks() -> Vec<String> {
    (0..100).map(|n| format!("2001:db8:ffff:ffff:ffff:ffff:ffff:ff{n:02x}/128")).collect()
}

async fn call<'a>(app: &'a App, role: Role, name: &str) -> Call<'a> {
    app.as_identity(app.open_session(Acme, role).await).call(endpoint(name))
}

async fn done(call: Call<'_>) -> Value {
    let answer = call.await;
    assert!((200..300).contains(&answer.status), "{}", answer.text);
    answer.json
}

/// The largest item of a tenant's whose partition and sort key begin like this.
async fn largest(app: &App, tenant: Tenant, table: &str, partition: &str, sort: &str) -> usize {
    let prefix = format!("{}#{partition}", app.tenant_id(tenant));
    let rows = app.dump(table).await;
    let is_it = |row: &&HashMap<String, AttributeValue>| {
        row["pk"].as_s().unwrap().starts_with(&prefix) && row["sk"].as_s().unwrap().starts_with(sort)
    };
    rows.iter().filter(is_it).map(item_size).max().unwrap_or_else(|| panic!("no {partition} {sort}"))
}

/// `docs/scale.md` says the same of each.
fn assert_below(what: &str, bytes: usize, most: usize) {
    assert!(bytes <= most, "{what} weighs {bytes} bytes, and is said to have {most} at most");
    assert!(most * 4 < MOST_ITEM_BYTES, "{what}: {most} bytes are too near to what DynamoDB takes");
}

#[tokio::test]
async fn an_item_that_callers_fill_stays_within_its_bound() {
    let app = App::start().await;
    let acme = app.tenant_id(Acme);
    // The caller's own network, so that nobody is shut out, and 99 others.
    let own = [networks()[1..].to_vec(), vec!["192.0.2.0/24".to_owned()]].concat();
    let put = call(&app, Role::SuperAdmin, "put_ip_allowlist").await.path("tenant_id", acme);
    done(put.header("If-Match", "*").json(json!({ "networks": own }))).await;
    let limits: serde_json::Map<_, _> =
        common::RateLimit::PROFILES.iter().map(|p| (p.name.to_owned(), (p.calls * 10).into())).collect();
    let roles: Vec<_> = Role::ALL.into_iter().filter(|role| *role != Role::ApiUser).collect();
    let settings = json!({
        "session_idle_minutes": 60, "session_hours": 12, "mfa_roles": roles, "trusted_networks": networks(), "rate_limits": limits,
    });
    let put = call(&app, Role::SuperAdmin, "put_settings").await.path("tenant_id", acme);
    done(put.header("If-Match", "*").json(settings)).await;
    assert_below("a profile", largest(&app, Acme, "RecordsTable", "TENANT", "PROFILE").await, 16 * 1024);

    let key = json!({
        "name": "\u{1f4e6}".repeat(80), "scopes": common::KeyBounds::everything().scopes, "networks": networks(),
        "purposes": ["TREAT", "HPAYMT", "HOPERAT"],
    });
    done(call(&app, Role::TenantAdmin, "create_api_key").await.json(key)).await;
    assert_below("an API key", largest(&app, Acme, "RecordsTable", "API_KEY#", "API_KEY").await, 16 * 1024);

    let grants: Vec<_> = roles.into_iter().map(Grant::always).collect();
    app.open_session_with(acme, app.user_id(Acme, Role::Marketer), &grants).await;
    assert_below("a session", largest(&app, Acme, "EphemeraTable", "SESSIONS#", "").await, 16 * 1024);

    let body: Value = serde_json::from_str(endpoint("put_preferences").sample.body.unwrap()).unwrap();
    done(call(&app, Role::Marketer, "put_preferences").await.header("If-Match", "*").json(body)).await;
    assert_below("preferences", largest(&app, Acme, "RecordsTable", "INBOX#", "PREFERENCES").await, 4096);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_grows_by_itself_stays_within_its_bound() {
    let digests = samples::world_in("send_digests", &[Acme, Birch]).await;
    assert_below("an inbox", largest(&digests.app, Birch, "RecordsTable", "INBOX#", "STATE").await, 1024);
    let polls = samples::world_in("poll_tracking", &[Acme, Birch]).await;
    // With the scans that it remembers: `a_poll_remembers_the_newest_scans_and_grows_no_further`.
    assert_below("a poll", largest(&polls.app, Acme, "RecordsTable", "SHIPMENT#", "POLL").await + 12 * 1024, 16 * 1024);
    for world in [digests, polls] {
        for table in ["RecordsTable", "LedgerTable", "KeysTable", "EphemeraTable"] {
            for row in world.app.dump(table).await {
                assert!(item_size(&row) < 70_000, "{:?} {:?}", row["pk"], row["sk"]);
            }
        }
    }
}
