use crate::fixture::*;
use common::base::Role;
use ledger::Hash;
use serde_json::{Value, json};
use std::time::Duration;
use testing::{
    Answer, App, Fault,
    Tenant::{self, Acme, Birch},
    find,
};

async fn ask(app: &App, tenant: Tenant, name: &str, query: &[(&str, &str)]) -> Answer {
    let call = app.as_role(tenant, Role::Auditor).call(find(super::ALL, name));
    query.iter().fold(call, |call, (name, value)| call.query(name, value)).await
}

async fn get_segment(app: &App, tenant: Tenant, first: &str) -> Answer {
    app.as_role(tenant, Role::Auditor).call(find(super::ALL, "get_segment")).path("first_sequence", first).await
}

/// Seals this many segments of three events each. The first also has the events of the tenant's creation.
async fn segments(app: &App, n: usize) -> Vec<u64> {
    for _ in 0..n {
        happen(app, Acme, 3).await;
        assert!(wake(app, Acme).await);
    }
    let of_acme = format!("segments/{}/", app.tenant_id(Acme));
    app.objects().keys().filter_map(|key| key.strip_prefix(&of_acme)?.strip_suffix(".jsonl")?.parse().ok()).collect()
}

fn sequences(answer: &Answer) -> Vec<u64> {
    answer.json["items"].as_array().unwrap().iter().map(|event| event["sequence"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn only_auditors_and_tenant_admins_read_the_log() {
    let app = App::start().await;
    segments(&app, 1).await;
    for role in Role::ALL {
        for endpoint in super::ALL {
            let call = app.as_role(Acme, role).call(endpoint);
            let call = if endpoint.name == "get_segment" { call.path("first_sequence", 0) } else { call };
            let allowed = matches!(role, Role::Auditor | Role::TenantAdmin | Role::ApiUser);
            assert_eq!(call.await.status, if allowed { 200 } else { 403 }, "{role} {}", endpoint.name);
        }
    }
}

#[tokio::test]
async fn empty_log_is_shown_as_empty() {
    let app = App::start().await;
    let shown = ask(&app, Acme, "get_checkpoint", &[]).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    assert_eq!((&shown.json["size"], &shown.json["head_size"]), (&json!(0), &json!(0)));
    assert_eq!((&shown.json["checkpoint"], &shown.json["root"]), (&Value::Null, &Value::Null));
    for list in ["list_segments", "list_audit_events"] {
        assert_eq!(ask(&app, Acme, list, &[]).await.json, json!({"items": [], "next_cursor": null}), "{list}");
    }
    assert_eq!(get_segment(&app, Acme, "0").await.status, 404);
}

#[tokio::test]
async fn checkpoint_shows_the_sealing_lag() {
    let app = App::start().await;
    assert!(wake(&app, Acme).await);
    let shown = ask(&app, Acme, "get_checkpoint", &[]).await.json;
    assert_eq!((&shown["unsealed_since"], &shown["lag_seconds"]), (&Value::Null, &json!(0)));
    app.clock().advance(Duration::from_secs(90));
    let shown = ask(&app, Acme, "get_checkpoint", &[]).await.json;
    // The unsealed event is that of the previous request.
    assert_eq!((&shown["unsealed_since"], &shown["lag_seconds"]), (&json!("2026-01-01T12:00:00.000Z"), &json!(90)));
}

#[tokio::test]
async fn segment_is_returned_as_stored() {
    let app = App::start().await;
    let firsts = segments(&app, 2).await;
    let answer = get_segment(&app, Acme, &firsts[1].to_string()).await;
    let lines: Vec<_> = answer.json["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let kept = &app.objects()[&segment_object(&app, Acme, firsts[1])][0];
    assert_eq!(text.as_bytes(), kept.bytes);
    assert_eq!((&answer.json["sha256"], &answer.json["version_id"]), (&json!(Hash::of(text.as_bytes())), &json!(kept.id)));
    assert_eq!((&answer.json["first_sequence"], &answer.json["last_sequence"]), (&json!(firsts[1]), &json!(firsts[1] + 2)));

    // A segment is found only by its first event, and only in its own tenant.
    assert_eq!(get_segment(&app, Acme, &(firsts[1] + 1).to_string()).await.status, 404);
    assert_eq!(get_segment(&app, Acme, "-1").await.status, 404);
    assert_eq!(get_segment(&app, Birch, &firsts[1].to_string()).await.status, 404);
}

#[tokio::test]
async fn invalid_segment_is_returned_as_stored_but_not_listed() {
    let app = App::start().await;
    segments(&app, 1).await;
    let version = app.put_over(&segment_object(&app, Acme, 0), "no event\n");
    let mut entry = get(&app, Acme, "SEGMENTS", "SEGMENT#000000000000").await;
    entry.insert("version_id".to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(version));
    put(&app, entry).await;
    let shown = get_segment(&app, Acme, "0").await.json;
    assert_eq!(shown["lines"], json!(["no event"]));
    assert_ne!(shown["sha256"], json!(Hash::of(b"no event\n")));
    // The list of events does not show it as valid.
    assert_eq!(ask(&app, Acme, "list_audit_events", &[]).await.status, 500);
}

/// The log's cause for the one request since the log lines were cleared.
fn cause(app: &App) -> String {
    let line = app.log_lines().into_iter().find(|line| line["error.cause"].is_string()).unwrap();
    let said = ["error.what", "error.service", "error.cause"].map(|name| line[name].as_str().unwrap_or_default().to_owned());
    said.join(" ").trim().to_owned()
}

#[tokio::test]
async fn missing_denied_and_unavailable_objects_give_different_causes() {
    let app = App::start().await;
    segments(&app, 1).await;
    let ask = async |fault: Option<Fault>| {
        if let Some(fault) = fault {
            app.wire().fail("GetObject", 0, 100, fault);
        }
        app.forget_log_lines();
        let answer = get_segment(&app, Acme, "0").await;
        app.wire().heal();
        (answer.status, cause(&app))
    };
    let missing = "<Error><Code>NoSuchVersion</Code><Message>synthetic</Message></Error>";
    let denied = "<Error><Code>AccessDenied</Code><Message>synthetic</Message></Error>";
    let slow = "<Error><Code>SlowDown</Code><Message>synthetic</Message></Error>";
    assert_eq!(ask(Some(Fault::Says(404, missing))).await, (500, "segment is missing".to_owned()));
    assert_eq!(ask(Some(Fault::Says(403, denied))).await, (500, "s3 denied  AccessDenied".to_owned()));
    assert_eq!(ask(Some(Fault::Says(503, slow))).await.0, 503);
    assert_eq!(ask(Some(Fault::Gone)).await.0, 503);
    // Neither the version in the table nor the key exists.
    let mut entry = get(&app, Acme, "SEGMENTS", "SEGMENT#000000000000").await;
    entry.insert("version_id".to_owned(), aws_sdk_dynamodb::types::AttributeValue::S("synthetic".to_owned()));
    put(&app, entry).await;
    assert_eq!(ask(None).await, (500, "segment is missing".to_owned()));
    app.lose_object(&segment_object(&app, Acme, 0));
    assert_eq!(ask(None).await, (500, "segment is missing".to_owned()));
    assert_eq!(get_segment(&app, Birch, "0").await.status, 404);
}

#[tokio::test]
async fn segments_are_listed_oldest_first_in_pages() {
    let app = App::start().await;
    let firsts = segments(&app, 5).await;
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut query = vec![("limit", "2")];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = ask(&app, Acme, "list_segments", &query).await;
        assert_eq!(page.status, 200, "{}", page.text);
        found.extend(page.json["items"].as_array().unwrap().iter().map(|s| s["first_sequence"].as_u64().unwrap()));
        match page.json["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(found, firsts);
    assert_eq!(ask(&app, Birch, "list_segments", &[]).await.json["items"], json!([]));
    let foreign = ask(&app, Birch, "list_segments", &[("cursor", cursor.as_deref().unwrap())]).await;
    assert_eq!((foreign.status, foreign.json["errors"][0]["code"].as_str()), (422, Some("invalid_cursor")));
    let of_another_list = ask(&app, Acme, "list_audit_events", &[("cursor", cursor.as_deref().unwrap())]).await;
    assert_eq!(of_another_list.status, 422);
}

#[tokio::test]
async fn events_are_listed_newest_first_across_segments() {
    let app = App::start().await;
    segments(&app, 4).await;
    let size = sealed(&app, Acme).0.size();
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut query = vec![("limit", "4")];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = ask(&app, Acme, "list_audit_events", &query).await;
        assert_eq!(page.status, 200, "{}", page.text);
        found.extend(sequences(&page));
        match page.json["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(found, (0..size).rev().collect::<Vec<_>>());
    let last = ask(&app, Acme, "list_audit_events", &[("limit", "1")]).await;
    assert_eq!(last.json["items"][0]["event_id"], json!(sealed(&app, Acme).1.last().unwrap().event_id));
    assert_eq!(ask(&app, Birch, "list_audit_events", &[]).await.json["items"], json!([]));
}

#[tokio::test]
async fn events_after_a_given_one_are_listed_oldest_first() {
    let app = App::start().await;
    segments(&app, 4).await;
    let size = sealed(&app, Acme).0.size();
    for after in [0, 5, size - 4, size - 2, size - 1, size + 9] {
        let after_text = after.to_string();
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut query = vec![("limit", "3"), ("after_sequence", after_text.as_str())];
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page = ask(&app, Acme, "list_audit_events", &query).await;
            found.extend(sequences(&page));
            match page.json["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(found, (after + 1..size).collect::<Vec<_>>(), "after {after}");
    }
    let wrong = ask(&app, Acme, "list_audit_events", &[("after_sequence", "-1")]).await;
    assert_eq!((wrong.status, wrong.json["errors"][0]["field"].as_str()), (422, Some("after_sequence")));
}

#[tokio::test]
async fn many_small_segments_give_short_pages_without_a_gap() {
    let app = App::start().await;
    wake(&app, Acme).await;
    for _ in 0..12 {
        happen(&app, Acme, 1).await;
        assert!(wake(&app, Acme).await);
    }
    app.reset_calls();
    let page = ask(&app, Acme, "list_audit_events", &[("limit", "100")]).await;
    assert_eq!((sequences(&page).len(), app.calls().s3.len()), (8, 8));
    let next =
        ask(&app, Acme, "list_audit_events", &[("limit", "100"), ("cursor", page.json["next_cursor"].as_str().unwrap())]).await;
    assert_eq!(sequences(&next)[0] + 1, *sequences(&page).last().unwrap());
}

#[tokio::test]
async fn reading_the_log_is_audited_with_the_range_read() {
    let app = App::start().await;
    segments(&app, 1).await;
    assert_eq!(get_segment(&app, Acme, "0").await.status, 200);
    let events = app.audit(Acme).await;
    let read = events.iter().find(|event| event["type"] == "api.get_segment").unwrap();
    assert!(read["resources"].as_array().unwrap().contains(&json!({"type": "AuditSegment", "id": "000000000000"})), "{read}");
}
