//! Each function of a test has its own caches, as its process on Lambda has. It fetches credentials, keys and the tenant's state
//! with the permissions of its own role, even if another function has fetched them before.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::base::Role;
use suite::{fixture::fresh, people::endpoint};
use testing::{
    App,
    Tenant::{self, Acme, Birch},
};

/// Creates a shipment, which needs the tenant's credentials, keys and state. Returns the numbers of calls to STS and KMS, and of
/// reads of the state.
async fn creates(app: &App, tenant: Tenant) -> (usize, usize, usize) {
    let create = endpoint("create_shipment");
    app.reset_calls();
    let answer = app.as_role(tenant, Role::Marketer).call(create).json(fresh(create.sample.body.unwrap())).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    fetched(app)
}

/// Searches, which needs the same in another function.
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
async fn function_fetches_credentials_keys_and_state_once_for_each_tenant() {
    let app = App::start().await;
    for tenant in [Acme, Birch] {
        let (sessions, keys, gates) = creates(&app, tenant).await;
        assert!(sessions == 1 && keys > 0 && gates == 1, "{tenant:?}: {sessions} {keys} {gates}");
        assert_eq!(creates(&app, tenant).await, (0, 0, 0), "{tenant:?}: the caches are warm");
    }
    for tenant in [Acme, Birch] {
        let (sessions, keys, gates) = searches(&app, tenant).await;
        assert!(sessions == 1 && keys > 0 && gates == 1, "{tenant:?}: {sessions} {keys} {gates}");
        assert_eq!(searches(&app, tenant).await, (0, 0, 0), "{tenant:?}: the caches are warm");
        assert_eq!(creates(&app, tenant).await, (0, 0, 0), "{tenant:?}: the caches are still warm");
    }
}
