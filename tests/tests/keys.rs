//! A process caches a tenant's keys for a quarter of an hour. It does not cache that a key is missing.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue;
use common::base::Role;
use std::collections::HashMap;
use suite::{fixture::fresh, people::endpoint};
use testing::{
    App,
    Tenant::{self, Acme, Birch},
};

type Item = HashMap<String, AttributeValue>;

/// Deletes a tenant's wrapped keys of one purpose from the table, and returns them.
async fn take(app: &App, tenant: Tenant, purpose: &str) -> Vec<Item> {
    let pk = format!("{}#KEYS", app.tenant_id(tenant));
    let is_it = |row: &Item| row["pk"].as_s().unwrap() == &pk && row["purpose"].as_s().unwrap() == purpose;
    let rows: Vec<_> = app.dump("KeysTable").await.into_iter().filter(is_it).collect();
    assert_eq!(rows.len(), 1);
    for row in &rows {
        let delete = app.raw().delete_item().table_name(&app.provisioned().tables["KeysTable"]);
        delete.key("pk", row["pk"].clone()).key("sk", row["sk"].clone()).send().await.unwrap();
    }
    rows
}

async fn put(app: &App, rows: Vec<Item>) {
    for row in rows {
        let put = app.raw().put_item().table_name(&app.provisioned().tables["KeysTable"]);
        put.set_item(Some(row)).send().await.unwrap();
    }
}

/// Lists users, which needs the branch key to open names and e-mails.
async fn opens(app: &App, tenant: Tenant) -> u16 {
    app.as_role(tenant, Role::TenantAdmin).call(endpoint("list_users")).await.status
}

/// Searches shipments, which needs the search key.
async fn searches(app: &App, tenant: Tenant) -> u16 {
    let search = endpoint("search_shipments");
    let body = serde_json::from_str(search.sample.body.unwrap()).unwrap();
    app.as_role(tenant, Role::Marketer).call(search).json(body).await.status
}

/// Creates a shipment, which needs both.
async fn creates(app: &App, tenant: Tenant) -> u16 {
    let create = endpoint("create_shipment");
    app.as_role(tenant, Role::Marketer).call(create).json(fresh(create.sample.body.unwrap())).await.status
}

#[tokio::test]
async fn key_stored_later_is_found_at_once_by_a_process_with_cached_keys() {
    for purpose in ["search", "branch"] {
        // A new process with empty caches.
        let app = App::start().await.afresh();
        let rows = take(&app, Acme, purpose).await;
        let (with, without) = if purpose == "search" { ((200, 500), "search") } else { ((500, 200), "branch") };
        for _ in 0..2 {
            assert_eq!((opens(&app, Acme).await, searches(&app, Acme).await), with, "without the {without} key");
        }
        assert_eq!(creates(&app, Acme).await, 500);
        assert_eq!((opens(&app, Birch).await, searches(&app, Birch).await, creates(&app, Birch).await), (200, 200, 201));
        put(&app, rows).await;
        assert_eq!(
            (opens(&app, Acme).await, searches(&app, Acme).await, creates(&app, Acme).await),
            (200, 200, 201),
            "{purpose}"
        );
        app.reset_calls();
        assert_eq!(
            (opens(&app, Acme).await, searches(&app, Acme).await, creates(&app, Acme).await),
            (200, 200, 201),
            "{purpose}"
        );
        assert!(app.calls().kms.is_empty(), "the keys are cached: {:?}", app.calls().kms);
    }
}

#[tokio::test]
async fn key_of_an_unknown_purpose_is_skipped_counted_and_kept() {
    let app = App::start().await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let pk = format!("{}#KEYS", app.tenant_id(Acme));
    // It sorts between the two known keys, has the highest version, and none of their other attributes.
    let key = [("pk", text(&pk)), ("sk", text("documents#0000000009"))];
    let item = [("purpose", text("documents")), ("version", AttributeValue::N("9".to_owned())), ("hpke", text("new"))];
    let later: Item = key.into_iter().chain(item).map(|(name, value)| (name.to_owned(), value)).collect();
    put(&app, vec![later.clone()]).await;
    // A new process with empty caches.
    let app = app.afresh();
    for tenant in [Acme, Birch] {
        assert_eq!(
            (opens(&app, tenant).await, searches(&app, tenant).await, creates(&app, tenant).await),
            (200, 200, 201),
            "{tenant:?}: {:?}",
            app.log_lines()
        );
    }
    let counted = app.log_lines().iter().filter_map(|line| line["stored.unknown"].as_u64()).sum::<u64>();
    assert_eq!(counted, 3, "each of the three functions reads the rows once");
    let rows: Vec<_> = app.dump("KeysTable").await.into_iter().filter(|row| row["pk"].as_s().unwrap() == &pk).collect();
    assert_eq!((rows.len(), rows.contains(&later)), (3, true));
    // It does not replace a missing key.
    let taken = take(&app, Acme, "branch").await;
    let app = app.afresh();
    assert_eq!((opens(&app, Acme).await, searches(&app, Acme).await), (500, 200));
    put(&app, taken).await;
    assert_eq!((opens(&app, Acme).await, opens(&app, Birch).await), (200, 200));
}
