//! Each function of a test has caches of its own, as its process on Lambda has: it fetches what it needs with the grants of its own
//! role, however much other functions have fetched before.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::base::Role;
use suite::{fixture::fresh, people::endpoint};
use testing::{
    App,
    Tenant::{self, Acme, Birch},
};

/// What fetches the tenant's session, its gate and its keys: how often STS and KMS were asked, and the gate was read.
async fn creates(app: &App, tenant: Tenant) -> (usize, usize, usize) {
    let create = endpoint("create_shipment");
    app.reset_calls();
    let answer = app.as_role(tenant, Role::Marketer).call(create).json(fresh(create.sample.body.unwrap())).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    fetched(app)
}

/// What fetches the same as another function.
async fn searches(app: &App, tenant: Tenant) -> (usize, usize, usize) {
    let search = endpoint("search_shipments");
    let body = serde_json::from_str(search.sample.body.unwrap()).unwrap();
    app.reset_calls();
    let answer = app.as_role(tenant, Role::Marketer).call(search).json(body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    fetched(app)
}

fn fetched(app: &App) -> (usize, usize, usize) {
    let gates = app
        .wire()
        .signed()
        .into_iter()
        .filter(|call| call.operation.contains("Get") && call.body.to_string().contains("PROFILE"));
    let calls = app.calls();
    (calls.sts.len(), calls.kms.len(), gates.count())
}

#[tokio::test]
async fn function_fetches_credentials_keys_and_gate_once_for_each_tenant() {
    let app = App::start().await;
    for tenant in [Acme, Birch] {
        let (sessions, keys, gates) = creates(&app, tenant).await;
        assert!(sessions == 1 && keys > 0 && gates == 1, "{tenant:?}: {sessions} {keys} {gates}");
        assert_eq!(creates(&app, tenant).await, (0, 0, 0), "{tenant:?}: it is warm");
    }
    for tenant in [Acme, Birch] {
        let (sessions, keys, gates) = searches(&app, tenant).await;
        assert!(sessions == 1 && keys > 0 && gates == 1, "{tenant:?}: {sessions} {keys} {gates}");
        assert_eq!(searches(&app, tenant).await, (0, 0, 0), "{tenant:?}: it is warm");
        assert_eq!(creates(&app, tenant).await, (0, 0, 0), "{tenant:?}: it still is");
    }
}
