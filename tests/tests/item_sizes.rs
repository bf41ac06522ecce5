//! The largest items that callers can create are far below DynamoDB's limit. `docs/scale.md` has the sizes.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue;
use common::{
    base::{Grant, Role, TenantId},
    store::{MOST_ITEM_BYTES, item_size},
};
use serde_json::{Value, json};
use std::collections::HashMap;
use suite::{fixture::Fixture, people::endpoint, samples};
use testing::{
    App, Call,
    Tenant::{self, Acme, Birch},
};

/// A hundred networks in the longest notation.
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

/// The size of a tenant's largest item whose partition and sort key have these prefixes.
async fn largest(app: &App, tenant: Tenant, table: &str, partition: &str, sort: &str) -> usize {
    largest_of(app, app.tenant_id(tenant), table, partition, sort).await
}

async fn largest_of(app: &App, tenant: TenantId, table: &str, partition: &str, sort: &str) -> usize {
    let prefix = format!("{tenant}#{partition}");
    let rows = app.dump(table).await;
    let is_it = |row: &&HashMap<String, AttributeValue>| {
        row["pk"].as_s().unwrap().starts_with(&prefix) && row["sk"].as_s().unwrap().starts_with(sort)
    };
    rows.iter().filter(is_it).map(item_size).max().unwrap_or_else(|| panic!("no {partition} {sort}"))
}

/// `docs/scale.md` states the same bounds.
fn assert_below(what: &str, bytes: usize, most: usize) {
    assert!(bytes <= most, "{what} has {bytes} bytes, more than the stated {most}");
    assert!(most * 4 < MOST_ITEM_BYTES, "{what}: {most} bytes are too near to DynamoDB's limit");
}

#[tokio::test]
async fn item_filled_by_callers_stays_within_its_bound() {
    let app = App::start().await;
    let acme = app.tenant_id(Acme);
    // The caller's own network, so that the list does not refuse them, and 99 others.
    let own = [networks()[1..].to_vec(), vec!["192.0.2.0/24".to_owned()]].concat();
    let put = call(&app, Role::SuperAdmin, "put_ip_allowlist").await.path("tenant_id", acme);
    done(put.header("If-Match", "*").json(json!({ "networks": own }))).await;
    let limits: serde_json::Map<_, _> =
        common::store::RateLimit::PROFILES.iter().map(|p| (p.name.to_owned(), (p.calls * 10).into())).collect();
    let roles: Vec<_> = Role::ALL.into_iter().filter(|role| *role != Role::ApiUser).collect();
    let settings = json!({
        "session_idle_minutes": 60, "session_hours": 12, "mfa_roles": roles, "trusted_networks": networks(), "rate_limits": limits,
    });
    let put = call(&app, Role::SuperAdmin, "put_settings").await.path("tenant_id", acme);
    done(put.header("If-Match", "*").json(settings)).await;
    assert_below("a profile", largest(&app, Acme, "RecordsTable", "TENANT", "PROFILE").await, 16 * 1024);

    let key = json!({
        "name": "\u{1f4e6}".repeat(80), "scopes": common::base::KeyBounds::everything().scopes, "networks": networks(),
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
async fn item_that_grows_by_itself_stays_within_its_bound() {
    let digests = samples::world_in("send_digests", &[Acme, Birch]).await;
    assert_below("an inbox", largest(&digests.app, Birch, "RecordsTable", "INBOX#", "STATE").await, 1024);
    let polls = samples::world_in("poll_tracking", &[Acme, Birch]).await;
    let waiting = samples::world_in("renew_track_alerts", &[Acme, Birch]).await;
    let renewed = registry::schedules().find(|schedule| schedule.name == "renew_track_alerts").unwrap();
    renewed.run(waiting.app.deps()).await.unwrap();
    let gate = largest_of(&waiting.app, TenantId::PLATFORM, "EphemeraTable", "GATE#", "GATE").await;
    assert_below("a gate", gate, 1024);
    assert_below("a watch", largest_of(&waiting.app, TenantId::PLATFORM, "EphemeraTable", "WATCH#", "").await, 1024);
    // 12 KiB more for the scans that it keeps: `poll_keeps_only_the_newest_scans` bounds them.
    assert_below("a poll", largest(&polls.app, Acme, "RecordsTable", "SHIPMENT#", "POLL").await + 12 * 1024, 16 * 1024);
    for world in [digests, polls, waiting] {
        for table in ["RecordsTable", "LedgerTable", "KeysTable", "EphemeraTable"] {
            for row in world.app.dump(table).await {
                assert!(item_size(&row) < 70_000, "{:?} {:?}", row["pk"], row["sk"]);
            }
        }
    }
}

#[tokio::test]
async fn member_with_the_longest_name_and_every_role_stays_within_its_bound() {
    let app = App::start().await;
    let email = format!("{}@{}.example", "a".repeat(64), ["b".repeat(60), "c".repeat(60), "d".repeat(55)].join("."));
    let new = json!({
        "email": email, "name": "\u{1f600}".repeat(200), "department": "\u{1f4e6}".repeat(100),
        "roles": ["tenant_admin", "provider", "marketer", "analyst", "viewer", "auditor"],
    });
    let user = done(call(&app, Role::TenantAdmin, "invite_user").await.json(new)).await["user_id"].as_str().unwrap().to_owned();
    for role in ["provider", "marketer", "analyst", "viewer", "auditor"] {
        let term = json!({"valid_from": "2098-12-31T23:59:59.999Z", "valid_until": "2099-12-31T23:59:59.999Z"});
        let grant = call(&app, Role::TenantAdmin, "grant_role").await.path("user_id", &user).path("role", role);
        done(grant.json(term)).await;
    }
    assert_below("a membership", largest(&app, Acme, "RecordsTable", &format!("MEMBER#{user}"), "MEMBERSHIP").await, 4096);
}

#[tokio::test]
async fn second_factor_with_all_its_recovery_codes_stays_within_its_bound() {
    let app = App::start().await;
    let codes = endpoint("create_recovery_codes");
    let fixture = Fixture::of(&app, codes).await;
    let client = app.as_identity(app.open_session(Acme, Role::Marketer).await);
    let made = fixture.call(&client, codes).await;
    assert_eq!((made.status, made.json["recovery_codes"].as_array().map(Vec::len)), (codes.status, Some(10)), "{}", made.text);
    assert_below("a second factor", largest(&app, Acme, "RecordsTable", "MEMBER#", "MFA").await, 1024);
}

#[tokio::test]
async fn longest_stored_answer_and_leased_minute_stay_within_their_bounds() {
    let app = App::start().await;
    let long = |n: usize| "\u{1f4e6}".repeat(n);
    let mut new: Value = suite::fixture::fresh(endpoint("create_shipment").sample.body.unwrap());
    let place = json!({"line1": long(100), "line2": long(100), "city": long(100), "state": "NV", "postal_code": "89501", "country": "US"});
    new["recipient"]["name"] = long(200).into();
    new["recipient"]["address"] = place;
    new["reference"] = long(100).into();
    new["contents"] = long(500).into();
    let create = call(&app, Role::Marketer, "create_shipment").await.key(&"k".repeat(255));
    done(create.json(new)).await;
    // 100 networks are the longest response that an endpoint stores.
    let own = [networks()[1..].to_vec(), vec!["192.0.2.0/24".to_owned()]].concat();
    let put = call(&app, Role::SuperAdmin, "put_ip_allowlist").await.path("tenant_id", app.tenant_id(Acme));
    done(put.key("k").header("If-Match", "*").json(json!({ "networks": own }))).await;
    for tenant in [app.tenant_id(Acme), TenantId::PLATFORM] {
        assert_below(
            "an idempotency record",
            largest_of(&app, tenant, "EphemeraTable", "IDEMPOTENCY#", "ANSWER").await,
            70 * 1024,
        );
    }
    assert_below("a leased minute", largest(&app, Acme, "EphemeraTable", "CEILING#", "LEASED").await, 1024);
}
