//! The permissions of a caller, according to the policies.

use crate::fixture::*;
use common::base::Role;
use serde_json::{Value, json};
use testing::App;

async fn permissions(app: &App, role: Role) -> Vec<Value> {
    let answer = call(app, Acme, role, "view_permissions").await.await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["items"].as_array().unwrap().clone()
}

fn of<'a>(items: &'a [Value], action: &str) -> &'a Value {
    items.iter().find(|item| item["action"] == action).unwrap_or_else(|| panic!("no answer for {action}"))
}

async fn check(app: &App, role: Role, checks: Value) -> testing::Answer {
    call(app, Acme, role, "check_permissions").await.json(json!({"checks": checks})).await
}

#[tokio::test]
async fn permissions_of_each_role_match_the_matrix() {
    const MATRIX: &str = include_str!("../../../../policies/matrix.txt");
    let app = App::start().await;
    let mut lines = MATRIX.lines();
    let roles: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    for role in Role::ALL.into_iter().filter(|role| *role != Role::ApiUser) {
        let items = permissions(&app, role).await;
        let column = roles.iter().position(|name| *name == role.as_str()).unwrap() + 1;
        for row in &rows {
            let said = of(&items, row[0])["allowed"].as_str().unwrap();
            let expected = if row[column] == "-" { "no" } else { row[column] };
            assert_eq!(said, expected, "{role} {}", row[0]);
        }
    }
}

#[tokio::test]
async fn missing_condition_is_named_in_the_answer() {
    let app = App::start().await;
    let who = app.open_session(Acme, Role::TenantAdmin).await;
    let ask = async || as_who(&app, who.clone(), "view_permissions").await.json["items"].as_array().unwrap().clone();
    let now = ask().await;
    assert_eq!((&of(&now, "grantRole")["now"], &of(&now, "grantRole")["code"]), (&json!("yes"), &json!(null)));
    app.clock().advance(std::time::Duration::from_secs(601));
    let later = ask().await;
    assert_eq!((&of(&later, "grantRole")["allowed"], &of(&later, "grantRole")["now"]), (&json!("yes"), &json!("no")));
    assert_eq!(of(&later, "grantRole")["code"], "step_up_required");
    assert_eq!(of(&later, "disableUser")["now"], "yes");
}

#[tokio::test]
async fn check_returns_the_deciding_policy() {
    let app = App::start().await;
    let checks = json!([
        {"action": "listShipments", "resource": {"type": "Shipments"}},
        {"action": "createShipment", "resource": {"type": "Shipments"}},
        {"action": "viewUser", "resource": {"type": "User", "id": app.user_id(Acme, Role::Viewer)}},
        {"action": "viewUser", "resource": {"type": "User", "id": app.user_id(Acme, Role::Marketer)}},
        {"action": "viewMe", "resource": {"type": "User", "id": app.user_id(Acme, Role::Viewer)}},
    ]);
    let answer = check(&app, Role::Viewer, checks).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        answer.json["results"],
        json!([
            // The request states no purpose of use.
            {"allowed": false, "policies": ["guard.purpose_of_use"]},
            {"allowed": false, "policies": ["guard.purpose_of_use"]},
            {"allowed": true, "policies": ["users.self"]},
            {"allowed": false, "policies": []},
            {"allowed": true, "policies": ["identity.view_self"]},
        ])
    );
    let grants = json!([
        {"action": "grantRole", "resource": {"type": "RoleGrant", "id": format!("{}/auditor", app.user_id(Acme, Role::Viewer))}},
        {"action": "grantRole", "resource": {"type": "RoleGrant", "id": format!("{}/super_admin", app.user_id(Acme, Role::Viewer))}},
        {"action": "grantRole", "resource": {"type": "RoleGrant", "id": format!("{}/auditor", app.user_id(Acme, Role::TenantAdmin))}},
    ]);
    let answer = check(&app, Role::TenantAdmin, grants).await;
    let decided: Vec<_> = answer.json["results"].as_array().unwrap().iter().map(|r| r["policies"][0].clone()).collect();
    assert_eq!(decided, ["users.tenant_admin", "guard.operators_are_made_elsewhere", "guard.no_self_grant"], "{}", answer.text);
}

#[tokio::test]
async fn check_does_not_reveal_which_resources_exist() {
    let app = App::start().await;
    let theirs = app.user_id(Birch, Role::Viewer);
    let nobody = common::base::UserId::new(common::base::Clock::now(app.clock()));
    for role in [Role::TenantAdmin, Role::Viewer] {
        let checks: Vec<_> =
            [theirs, nobody].iter().map(|id| json!({"action": "viewUser", "resource": {"type": "User", "id": id}})).collect();
        let answer = check(&app, role, json!(checks)).await;
        assert_eq!(answer.json["results"][0], answer.json["results"][1], "{role}");
    }
    let other = json!([{"action": "viewOrganization", "resource": {"type": "Organization", "id": app.tenant_id(Birch)}}]);
    let answer = check(&app, Role::TenantAdmin, other).await;
    assert_eq!(answer.json["results"], json!([{"allowed": false, "policies": ["guard.own_tenant"]}]));
}

#[tokio::test]
async fn invalid_questions_are_refused() {
    let app = App::start().await;
    let one = json!({"action": "listUsers", "resource": {"type": "Users"}});
    let cases = [
        (json!([]), "invalid"),
        (json!(vec![one.clone(); 101]), "invalid"),
        (json!([{"action": "listUsers", "resource": {"type": "Users", "id": "x".repeat(201)}}]), "invalid"),
        (json!([{"action": "flyAway", "resource": {"type": "Users"}}]), "unknown_action"),
        (json!([{"action": "listUsers", "resource": {"type": "Shipment"}}]), "unknown_action"),
        (json!([{"action": "users", "resource": {"type": "Users"}}]), "unknown_action"),
    ];
    for (checks, code) in cases {
        let answer = check(&app, Role::TenantAdmin, checks).await;
        assert_eq!((answer.status, &answer.json["errors"][0]["code"]), (422, &json!(code)), "{}", answer.text);
    }
    assert_eq!(check(&app, Role::TenantAdmin, json!(vec![one; 100])).await.json["results"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn listed_roles_require_mfa_as_in_the_policy() {
    let app = App::start().await;
    let answer = admin(&app, "list_roles").await.await;
    let roles = answer.json["items"].as_array().unwrap();
    assert_eq!(roles.len(), Role::ALL.len());
    let marketer = roles.iter().find(|role| role["role"] == "marketer").unwrap();
    assert_eq!((&marketer["inherits"], &marketer["grantable"]), (&json!(["viewer"]), &json!(true)));
    for role in Role::ALL.into_iter().filter(|role| *role != Role::ApiUser) {
        let who = app.open_session_without_mfa(Acme, role).await;
        let refused = as_who(&app, who, "view_permissions").await;
        let said = roles.iter().find(|described| described["role"] == role.as_str()).unwrap();
        assert_eq!(said["mfa_always"], json!(refused.status == 403), "{role}: {}", refused.text);
    }
}
