//! Signed checkpoints are found in the bucket, even if the table was altered.

use super::*;

/// Deletes Acme's checkpoints from the table, except for the `but` oldest.
pub(super) async fn forget_checkpoints(app: &App, but: usize) {
    for row in stored_checkpoints(app).await.into_iter().skip(but) {
        lose(app, "CHECKPOINTS", &row).await;
    }
}

async fn stored_checkpoints(app: &App) -> Vec<String> {
    let partition = format!("{}#CHECKPOINTS", app.tenant_id(Acme));
    let rows = app.dump("LedgerTable").await;
    let mut sorts: Vec<_> =
        rows.iter().filter(|row| row["pk"].as_s().unwrap() == &partition).map(|row| row["sk"].as_s().unwrap().clone()).collect();
    sorts.sort();
    sorts
}

/// An attacker who can write to the table and to the bucket, but has no signing key, leaves a history that is consistent in
/// itself.
#[tokio::test]
async fn rewritten_history_is_never_signed_for_any_altered_table_or_bucket() {
    for case in [
        "rows",
        "all rows but the oldest",
        "rows, and notes overwritten",
        "rows, and the head",
        "the newest row, and what follows",
    ] {
        let app = log().await;
        sign(&app).await;
        let (before, rewritten) = (notes(&app, Acme), if case.starts_with("the newest") { 3 } else { 1 });
        rewrite_from(&app, rewritten).await;
        forget_checkpoints(&app, if case == "rows" { 0 } else { rewritten.min(4) * usize::from(!case.starts_with("rows")) })
            .await;
        if case.ends_with("overwritten") {
            for note in &before {
                app.put_over(note, "another log\n");
            }
        }
        if case.ends_with("the head") {
            lose(&app, "HEAD", "HEAD").await;
        }
        happen(&app, Acme, 1).await;
        let sealed = wake(&app, Acme).await;
        assert_eq!(sealed, !case.ends_with("the head"), "{case}: without a head, sealing begins at an existing segment");
        for _ in 0..2 {
            sign(&app).await;
        }
        assert_eq!(notes(&app, Acme), before, "{case}: nothing is signed");
        let alarm = alarms(&app).pop().unwrap_or_else(|| panic!("{case}: no alarm"));
        if !case.ends_with("the head") {
            assert_eq!(alarm["audit.finding"], "tampered_checkpoint", "{case}");
        }
        assert!(critical_events(&app).await.iter().any(|event| event["reason"] == alarm["audit.finding"]), "{case}");
        verify(&app).await;
        let by_verifier = alarms(&app)
            .into_iter()
            .any(|line| line["function"] == "verify_audit" && line["audit.finding"] == "tampered_checkpoint");
        assert!(by_verifier, "{case}");
        assert!(app.audit(Birch).await.iter().all(|event| event["severity"] != "critical"), "{case}");
    }
}

#[tokio::test]
async fn shortened_log_is_not_signed() {
    let app = log().await;
    sign(&app).await;
    let before = notes(&app, Acme);
    // Back to the second checkpoint, with everything later removed.
    let kept = stored_checkpoints(&app).await[1].clone();
    let head = get(&app, Acme, "CHECKPOINTS", &kept).await["head"].clone();
    let size = segment(&app, 2).first();
    for n in 2..4 {
        let sort = format!("SEGMENT#{:012}", segment(&app, n).first());
        lose(&app, "SEGMENTS", &sort).await;
    }
    let last = get(&app, Acme, "SEGMENTS", &format!("SEGMENT#{:012}", segment(&app, 1).first())).await;
    for (name, value) in last.into_iter().filter(|(name, _)| !["pk", "sk"].contains(&name.as_str())) {
        alter(&app, "HEAD", "HEAD", &name, value).await;
    }
    alter(&app, "HEAD", "HEAD", "head", head).await;
    alter(&app, "HEAD", "HEAD", "size", AttributeValue::N(size.to_string())).await;
    for but in [2, 1, 0] {
        forget_checkpoints(&app, but).await;
        verify(&app).await;
        sign(&app).await;
        assert_eq!(notes(&app, Acme), before, "{but} rows are left");
        let found: Vec<_> = alarms(&app).iter().map(|line| line["audit.finding"].clone()).collect();
        assert!(found.contains(&json!("tampered_checkpoint")), "{but} rows are left: {found:?}");
    }
}

#[tokio::test]
async fn one_missing_row_is_restored_and_several_are_a_finding() {
    let app = log().await;
    sign(&app).await;
    let rows = stored_checkpoints(&app).await;
    let newest = get(&app, Acme, "CHECKPOINTS", rows.last().unwrap()).await;
    forget_checkpoints(&app, 3).await;
    verify(&app).await;
    sign(&app).await;
    assert_eq!((stored_checkpoints(&app).await, notes(&app, Acme).len()), (rows.clone(), 4));
    let again = get(&app, Acme, "CHECKPOINTS", rows.last().unwrap()).await;
    for name in ["note", "head", "version_id"] {
        assert_eq!(again[name], newest[name], "{name}");
    }
    assert_eq!(alarms(&app), [""; 0]);
    happen(&app, Acme, 1).await;
    assert!(wake(&app, Acme).await);
    forget_checkpoints(&app, 3).await;
    sign(&app).await;
    assert_eq!((notes(&app, Acme).len(), alarms(&app).len()), (5, 0), "the checkpoint is recorded, and signing continues");

    forget_checkpoints(&app, 3).await;
    sign(&app).await;
    assert_eq!((notes(&app, Acme).len(), stored_checkpoints(&app).await.len()), (5, 3));
    assert_eq!(alarms(&app)[0]["audit.finding"], "tampered_checkpoint");
}

#[tokio::test]
async fn other_objects_and_newer_versions_do_not_stop_signing() {
    let app = log().await;
    let folder = format!("checkpoints/{}/", app.tenant_id(Acme));
    for name in ["read.me", "999999999999.jsonl", "9.txt", "0000000000009.txt", "99999999999x.txt", "999999999999.txt.txt"] {
        app.put_over(&format!("{folder}{name}"), "synthetic");
    }
    app.put_over(&note_object(&app, Acme, segment(&app, 3).first()), "another log\n");
    let before = notes(&app, Acme).len();
    sign(&app).await;
    verify(&app).await;
    assert_eq!((notes(&app, Acme).len(), alarms(&app).len()), (before + 1, 0));
}

#[tokio::test]
async fn note_of_another_tenants_log_is_not_a_checkpoint() {
    let app = log().await;
    happen(&app, Birch, 40).await;
    assert!(wake(&app, Birch).await);
    sign(&app).await;
    let size = sealed(&app, Birch).0.size();
    let note = app.objects()[&note_object(&app, Birch, size)][0].bytes.clone();
    let before = notes(&app, Acme);
    app.put_over(&note_object(&app, Acme, size), note);
    happen(&app, Acme, 60).await;
    assert!(wake(&app, Acme).await);
    sign(&app).await;
    assert_eq!(notes(&app, Acme).len(), before.len() + 1, "only the foreign note was added");
    assert_eq!(alarms(&app)[0]["audit.finding"], "tampered_checkpoint");
    assert_eq!(checkpoint(&app, Acme).await["size"].as_u64(), Some(sealed(&app, Acme).0.size() - 60));
}
