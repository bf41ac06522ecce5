//! Changes of a profile: names, contacts, settings and networks, by whom they are permitted, and one after another.

use crate::fixture::*;
use common::base::Role;
use serde_json::{Value, json};
use std::time::Duration;
use testing::App;

#[tokio::test]
async fn administrator_changes_own_profile_and_auditor_sees_it() {
    let app = App::start().await;
    let acme = app.tenant_id(Acme);
    let body = json!({"display_name": "Acme Health, Inc.", "contacts": {"security": "sentinel@acme.example"}});
    let answer = admin(&app, "update_organization", acme).await.if_match(1).json(body.clone()).await;
    assert_eq!((answer.status, answer.header("etag")), (200, Some("\"2\"")), "{}", answer.text);
    assert_eq!(answer.json["contacts"], json!({"security": "sentinel@acme.example", "technical": null, "billing": null}));
    // A request with unchanged values does not create a new version.
    let again = admin(&app, "update_organization", acme).await.if_match(2).json(body.clone()).await;
    assert_eq!((again.status, &again.json["version"]), (200, &json!(2)));
    let cleared = json!({"contacts": {"security": null, "billing": "billing@acme.example"}, "display_name": null});
    let answer = admin(&app, "update_organization", acme).await.if_match(2).json(cleared).await;
    assert_eq!(answer.json["contacts"], json!({"security": null, "technical": null, "billing": "billing@acme.example"}));
    assert_eq!((&answer.json["display_name"], &answer.json["version"]), (&Value::Null, &json!(3)));
    refused(&admin(&app, "update_organization", acme).await.json(body.clone()).await, 428, "precondition_required");
    refused(&admin(&app, "update_organization", acme).await.if_match(2).json(body.clone()).await, 412, "precondition_failed");

    let seen = call(&app, Acme, Role::Auditor, "get_organization").await.path("tenant_id", acme).await;
    assert_eq!(seen.json, answer.json);
    let asked = call(&app, Acme, Role::Auditor, "update_organization").await.path("tenant_id", acme).if_match(3).json(body);
    refused(&asked.await, 403, "forbidden");
    for table in ["RecordsTable", "LedgerTable"] {
        assert!(!format!("{:?}", app.dump(table).await).contains("sentinel@"), "{table}");
    }
    assert_eq!(get(&app, app.tenant_id(Birch)).await["version"], 1);
}

#[tokio::test]
async fn fields_that_administrators_may_not_change_are_refused() {
    let app = App::start().await;
    let acme = app.tenant_id(Acme);
    for field in ["name", "status", "tenant_id", "version", "baa", "allowed_networks", "settings", "created_at"] {
        let answer = admin(&app, "update_organization", acme).await.if_match(1).json(json!({field: "x"})).await;
        refused(&answer, 422, "validation_failed");
        assert_eq!(answer.json["errors"][0]["code"], "unknown_field", "{field}");
    }
    for name in ["suspend_organization", "reactivate_organization", "archive_organization"] {
        refused(&admin(&app, name, acme).await.await, 403, "forbidden");
        refused(&admin(&app, name, app.tenant_id(Birch)).await.await, 404, "not_found");
    }
}

#[tokio::test]
async fn settings_take_effect_within_five_seconds_for_this_tenant_only() {
    let app = App::start().await;
    let acme = app.tenant_id(Acme);
    let before = admin(&app, "get_settings", acme).await.await;
    let none = json!({"tenant_id": acme, "mfa_roles": [], "trusted_networks": [], "rate_limits": {}, "version": 1});
    assert_eq!(before.json, none);
    let body = json!({"session_idle_minutes": 5, "mfa_roles": ["viewer"], "rate_limits": {"api_default": 2}});
    let put = admin(&app, "put_settings", acme).await.if_match(1).json(body.clone()).await;
    assert_eq!((put.status, put.header("etag")), (200, Some("\"2\"")), "{}", put.text);
    assert_eq!(admin(&app, "get_settings", acme).await.await.json, put.json);
    app.clock().advance(Duration::from_secs(5));
    // Fewer calls, a second factor, and a shorter idle time.
    let limited = admin(&app, "get_settings", acme).await.await;
    assert_eq!(limited.header("ratelimit-limit"), Some("2"));
    let other = call(&app, Birch, Role::TenantAdmin, "get_settings").await.path("tenant_id", app.tenant_id(Birch)).await;
    assert_eq!((other.header("ratelimit-limit"), &other.json["version"]), (Some("60"), &json!(1)));
    let who = app.open_session(Acme, Role::TenantAdmin).await;
    app.clock().advance(Duration::from_secs(301));
    let get = testing::find(crate::endpoints::ALL, "get_settings");
    refused(&app.as_identity(who).call(get).path("tenant_id", acme).await, 401, "unauthenticated");
    // Settings are replaced as a whole: an absent setting has the default again.
    let put = admin(&app, "put_settings", acme).await.if_match(2).json(json!({})).await;
    assert_eq!(put.json, json!({"tenant_id": acme, "mfa_roles": [], "trusted_networks": [], "rate_limits": {}, "version": 3}));
    let wrong = admin(&app, "put_settings", acme).await.if_match(3).json(json!({"session_hours": 13})).await;
    assert_eq!((wrong.status, &wrong.json["errors"][0]["field"]), (422, &json!("session_hours")));
}

#[tokio::test]
async fn allowlist_without_the_callers_address_is_refused() {
    let app = App::start().await;
    let acme = app.tenant_id(Acme);
    let networks = |list: &[&str]| json!({"networks": list});
    let put = async |version: i64, list: &[&str]| {
        admin(&app, "put_ip_allowlist", acme).await.if_match(version).json(networks(list)).await
    };
    // Tests call from 192.0.2.7.
    for elsewhere in [&["198.51.100.0/24"][..], &["2001:db8::/32"], &["192.0.2.6", "192.0.2.8/29"]] {
        let answer = put(1, elsewhere).await;
        refused(&answer, 422, "would_lock_out");
        assert_eq!(answer.json["errors"][0]["field"], "networks");
    }
    for none in [
        json!({"networks": ["192.0.2.7/24"]}),
        json!({"networks": ["::ffff:192.0.2.0/120"]}),
        json!({"networks": ["010.0.0.0/8"]}),
    ] {
        refused(&admin(&app, "put_ip_allowlist", acme).await.if_match(1).json(none).await, 422, "validation_failed");
    }
    let answer = put(1, &["192.0.2.0/29", "198.51.100.0/24"]).await;
    assert_eq!((answer.status, &answer.json["allowed_networks"]), (200, &json!(["192.0.2.0/29", "198.51.100.0/24"])));
    app.clock().advance(Duration::from_secs(5));
    let outside = admin(&app, "get_organization", acme).await.from_ip("203.0.113.1").await;
    refused(&outside, 403, "network_not_allowed");
    assert_eq!(admin(&app, "get_organization", acme).await.from_ip("198.51.100.1").await.status, 200);
    let birch = app.tenant_id(Birch);
    let other = call(&app, Birch, Role::TenantAdmin, "get_organization").await.path("tenant_id", birch).from_ip("203.0.113.1");
    assert_eq!(other.await.status, 200);
    // An operator is not a member, so the list does not apply to them. An operator can unlock a tenant.
    let freed = operator(&app, "put_ip_allowlist", acme).await.if_match(2).json(networks(&["203.0.113.0/24"])).await;
    assert_eq!(freed.status, 200, "{}", freed.text);
    let freed = operator(&app, "put_ip_allowlist", acme).await.if_match(3).json(networks(&[])).await;
    assert_eq!((freed.status, &freed.json["allowed_networks"]), (200, &json!([])));
}
