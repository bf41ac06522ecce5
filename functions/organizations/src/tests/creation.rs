//! The creation of a tenant, from its name to its activation, with faults at every step.

use crate::{consumers::CONSUMERS, fixture::*};
use common::base::Role;
use serde_json::json;
use testing::App;

#[tokio::test]
async fn new_tenant_is_pending_until_it_has_keys_and_an_invited_administrator() {
    let app = App::start().await;
    let answer = create(&app, "cedar-clinic", "first@cedar-clinic.example").await;
    let id: common::base::TenantId = answer.json["tenant_id"].as_str().unwrap().parse().unwrap();
    assert_eq!((answer.status, answer.header("etag")), (201, Some("\"1\"")), "{}", answer.text);
    assert_eq!(answer.header("location"), Some(format!("/v1/organizations/{id}").as_str()));
    assert_eq!(
        answer.json,
        json!({
            "tenant_id": id, "name": "cedar-clinic", "display_name": "Cedar Clinic", "status": "pending",
            "contacts": {"security": null, "technical": null, "billing": null}, "baa": null, "allowed_networks": [],
            "created_at": "2026-01-01T12:00:00.000Z", "version": 1,
        })
    );
    assert_eq!(get(&app, id).await, answer.json);
    assert_eq!(events(&app, id).await, ["organization.created"]);
    assert_eq!(items(&app, "KeysTable", id).await.len(), 0);
    // Only the system can change its state until it is active.
    for name in ["suspend_organization", "reactivate_organization", "archive_organization"] {
        refused(&operator(&app, name, id).await.await, 409, "wrong_status");
    }
    let patch = operator(&app, "update_organization", id).await.if_match(1).json(json!({"display_name": "x"})).await;
    refused(&patch, 409, "wrong_status");

    settle(&app).await;
    let now = get(&app, id).await;
    assert_eq!((&now["status"], &now["version"]), (&json!("active"), &json!(2)));
    assert_eq!(events(&app, id).await, ["organization.created", "user.invited", "organization.activated"]);
    assert_eq!(items(&app, "KeysTable", id).await.len(), 2);
    let records = items(&app, "RecordsTable", id).await;
    let members: Vec<_> = records.iter().filter(|row| row["pk"].as_s().unwrap().contains("#MEMBER#")).collect();
    assert_eq!(members.len(), 1);
    assert_eq!(members[0]["grants"].as_s().unwrap(), r#"[{"role":"tenant_admin"}]"#);
    let profile = records.iter().find(|row| row["sk"].as_s().unwrap() == "PROFILE").unwrap();
    assert!(!profile.contains_key("first_admin"), "only the membership has the e-mail now");
    let logged = log(&app, id).await;
    assert_eq!(logged.iter().filter(|kind| *kind == "job.provision_organization").count(), 2, "{logged:?}");
    // Other tenants are unchanged.
    assert_eq!(events(&app, app.tenant_id(Acme)).await, [""; 0]);
}

#[tokio::test]
async fn stored_data_does_not_show_the_invited_administrator() {
    let app = App::start().await;
    assert_eq!(create(&app, "cedar-clinic", "sentinel@cedar-clinic.example").await.status, 201);
    settle(&app).await;
    let mut kept = serde_json::to_string(&app.log_lines()).unwrap();
    for table in ["RecordsTable", "LedgerTable", "EphemeraTable"] {
        kept += &format!("{:?}", app.dump(table).await);
    }
    assert!(kept.contains("organization.created") && !kept.contains("sentinel"));
}

#[tokio::test]
async fn tenant_name_is_unique_even_for_concurrent_requests() {
    let app = App::start().await;
    let (one, other) = tokio::join!(create(&app, "cedar", "a@a.example"), create(&app, "cedar", "b@b.example"));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{} {}", one.text, other.text);
    for taken in ["cedar", "acme-health", "platform"] {
        refused(&create(&app, taken, "c@c.example").await, 409, "name_taken");
    }
    for none in ["ab", "Cedar", "ce_dar", "-cedar", "cedar-", "c\u{435}dar"] {
        let answer = create(&app, none, "c@c.example").await;
        refused(&answer, 422, "validation_failed");
        assert_eq!(answer.json["errors"][0]["field"], "name");
    }
}

#[tokio::test]
async fn creating_a_tenant_needs_an_operator_with_a_recent_second_factor() {
    let app = App::start().await;
    let body = json!({"name": "cedar", "admin_email": "a@a.example"});
    let asked = call(&app, Acme, Role::TenantAdmin, "create_organization").await.json(body.clone()).await;
    refused(&asked, 403, "forbidden");
    let who = app.open_session(Acme, Role::SuperAdmin).await;
    app.clock().advance(std::time::Duration::from_secs(601));
    let create = testing::find(crate::endpoints::ALL, "create_organization");
    refused(&app.as_identity(who).call(create).json(body).await, 403, "step_up_required");
}

#[tokio::test]
async fn provisioning_killed_at_any_await_completes_once_on_redelivery() {
    for after in 0.. {
        let app = App::start().await;
        let id = created(&app, "cedar").await;
        let mut queues = app.deliveries(CONSUMERS);
        queues.collect().await;
        let killed = queues.step_killed(after).await;
        queues.settle().await;
        assert_eq!(queues.dead(), [], "killed after {after}");
        assert_eq!(get(&app, id).await["status"], "active", "killed after {after}");
        assert_eq!(items(&app, "KeysTable", id).await.len(), 2, "killed after {after}");
        let invited = events(&app, id).await.iter().filter(|schema| *schema == "user.invited").count();
        assert_eq!(invited, 1, "killed after {after}");
        if !killed {
            assert!(after > 3, "the run was killed at several awaits");
            return;
        }
    }
}

#[tokio::test]
async fn repeated_and_reordered_messages_provision_a_tenant_once() {
    for seed in 1..=3 {
        let app = App::start().await;
        let (one, other) = (created(&app, "cedar").await, created(&app, "dogwood").await);
        app.deliveries(CONSUMERS).copies(3).shuffled(seed).settle().await;
        for id in [one, other] {
            assert_eq!(get(&app, id).await["version"], 2, "seed {seed}");
            assert_eq!(items(&app, "KeysTable", id).await.len(), 2, "seed {seed}");
            let invited = events(&app, id).await.iter().filter(|schema| *schema == "user.invited").count();
            assert_eq!(invited, 1, "seed {seed}");
        }
    }
}

#[tokio::test]
async fn key_stored_before_a_crash_is_found_again() {
    let app = App::start().await;
    created(&app, "cedar").await;
    let mut queues = app.deliveries(CONSUMERS);
    queues.collect().await;
    app.reset_calls();
    // The answer of the commit that stores the key's id is lost: all tables fail for this try.
    app.wire().fail("dynamodb", 1, 100, testing::Fault::Gone);
    queues.step().await;
    app.wire().heal();
    let made = app.calls().kms.iter().filter(|call| *call == "CreateKey").count();
    queues.settle().await;
    let all = app.calls().kms.iter().filter(|call| *call == "CreateKey").count();
    assert_eq!((made <= 1, all), (true, 1), "{:?}", app.calls().kms);
}

#[tokio::test]
async fn own_kms_key_of_a_tenant_has_automatic_rotation() {
    let app = App::start().await;
    let (cedar, dogwood) = (created(&app, "cedar").await, created(&app, "dogwood").await);
    settle(&app).await;
    for tenant in [cedar, dogwood, app.tenant_id(Acme)] {
        assert!(app.own_key_rotates(tenant).await, "{tenant}");
    }
    assert_ne!(app.own_key(cedar).await, app.own_key(dogwood).await);
}

/// AWS may take five minutes to apply a new key's tags in authorization; until then, conditions on them deny the calls.
#[tokio::test]
async fn denial_before_key_tags_apply_is_retried_without_a_second_key() {
    for denied in ["EnableKeyRotation", "GenerateDataKeyWithoutPlaintext"] {
        let app = App::start().await;
        let id = created(&app, "cedar").await;
        let mut queues = app.deliveries(CONSUMERS);
        queues.collect().await;
        app.reset_calls();
        // Five receives of the message, three minutes apart.
        app.wire().fail(denied, 0, 3, testing::Fault::Refused("AccessDeniedException"));
        queues.settle().await;
        assert_eq!(queues.dead(), [], "{denied}");
        assert_eq!(get(&app, id).await["status"], "active", "{denied}");
        assert!(app.own_key_rotates(id).await, "{denied}");
        let made = app.calls().kms.iter().filter(|call| *call == "CreateKey").count();
        assert_eq!(made, 1, "{denied}: {:?}", app.calls().kms);
    }
}

#[tokio::test]
async fn list_returns_every_tenant_once() {
    let app = App::start().await;
    let id = created(&app, "cedar").await;
    let (mut cursor, mut seen) = (None::<String>, Vec::new());
    loop {
        let mut ask = call(&app, Acme, Role::SuperAdmin, "list_organizations").await.query("limit", 2);
        if let Some(cursor) = &cursor {
            ask = ask.query("cursor", cursor);
        }
        let page = ask.await;
        assert_eq!(page.status, 200, "{}", page.text);
        seen.extend(page.json["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        cursor = page.json["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, ["acme-health", "birch-clinic", "cedar", "platform"]);
    for tenant in [Acme, Birch] {
        refused(&call(&app, tenant, Role::TenantAdmin, "list_organizations").await.await, 403, "forbidden");
    }
    assert!(log(&app, id).await.is_empty(), "only the platform's log audits a list");
}
