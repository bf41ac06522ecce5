//! Signing and verification are tested together: verification finds the alterations that signing refuses.

use crate::fixture::*;
use aws_sdk_dynamodb::types::AttributeValue;
use common::base::{Clock, Role};
use ledger::{Event, Head, Origin, Segment, VerifierKey, Word, checkpoint::Signed};
use serde_json::{Value, json};
use std::time::Duration;
use testing::{
    App, Fault,
    Tenant::{self, Acme, Birch},
    find, kill_after,
};

mod anchor;
mod findings;
mod signers;

async fn sign(app: &App) {
    app.clock().advance(Duration::from_secs(60));
    assert!(run(app, "sign_checkpoint").await.unwrap() >= 3);
}

async fn verify(app: &App) {
    assert!(run(app, "verify_audit").await.unwrap() >= 3);
}

/// A log of three segments with a checkpoint after each, and one more segment.
async fn log() -> App {
    let app = App::start().await;
    for _ in 0..3 {
        happen(&app, Acme, 3).await;
        assert!(wake(&app, Acme).await);
        sign(&app).await;
    }
    happen(&app, Acme, 3).await;
    assert!(wake(&app, Acme).await);
    app
}

fn note_object(app: &App, tenant: Tenant, size: u64) -> String {
    format!("checkpoints/{}/{size:012}.txt", app.tenant_id(tenant))
}

fn notes(app: &App, tenant: Tenant) -> Vec<String> {
    let prefix = format!("checkpoints/{}/", app.tenant_id(tenant));
    app.objects().into_keys().filter(|key| key.starts_with(&prefix)).collect()
}

async fn checkpoint(app: &App, tenant: Tenant) -> Value {
    app.as_role(tenant, Role::Auditor).call(find(crate::endpoints::ALL, "get_checkpoint")).await.json
}

/// Replaces an attribute of an item of Acme's.
async fn alter(app: &App, partition: &str, sort: &str, name: &str, value: AttributeValue) {
    let mut item = get(app, Acme, partition, sort).await;
    item.insert(name.to_owned(), value);
    put(app, item).await;
}

/// Deletes an item of Acme's.
async fn lose(app: &App, partition: &str, sort: &str) {
    let key = |name: &str, value: String| (name.to_owned(), AttributeValue::S(value));
    let keys = [key("pk", format!("{}#{partition}", app.tenant_id(Acme))), key("sk", sort.to_owned())];
    let request = app.raw().delete_item().table_name(&app.provisioned().tables["LedgerTable"]);
    request.set_key(Some(keys.into())).send().await.unwrap();
}

fn text(text: impl ToString) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

/// Segment `n` of Acme's in its first version.
fn segment(app: &App, n: usize) -> Segment {
    let prefix = segment_object(app, Acme, 0);
    let prefix = prefix.rsplit_once('/').unwrap().0;
    let objects = app.objects();
    let segments: Vec<_> = objects.iter().filter(|(key, _)| key.starts_with(prefix)).collect();
    Segment::parse(segments[n].1[0].bytes.clone()).unwrap()
}

fn bare(event: Event) -> Event {
    Event { sequence: None, previous_hash: None, hash: None, ..event }
}

/// An attacker with every credential except the signing key alters an event of segment `n`, and everything that depends on it:
/// the later segments, their entries in the table, and the head. Signed data cannot be altered.
async fn rewrite_from(app: &App, n: usize) {
    let segments: Vec<_> = (0..).map_while(|n| (n < count(app)).then(|| segment(app, n))).collect();
    let mut head = Head::empty(Word::parse(app.tenant_id(Acme).to_string()).unwrap());
    for (i, segment) in segments.iter().enumerate() {
        let mut events: Vec<_> = segment.events().map(|event| bare(event.unwrap())).collect();
        if i == n {
            events[1].status = Some(404);
        }
        let forged = Segment::seal(&head, events).unwrap().unwrap();
        head = head.extend(&forged).unwrap();
        if i >= n {
            let (first, sha256) = (forged.first(), forged.sha256());
            let version = app.put_over(&segment_object(app, Acme, first), forged.into_body());
            let sort = format!("SEGMENT#{first:012}");
            alter(app, "SEGMENTS", &sort, "version_id", text(version)).await;
            alter(app, "SEGMENTS", &sort, "sha256", text(sha256)).await;
        }
    }
    alter(app, "HEAD", "HEAD", "head", text(head.to_text().unwrap())).await;
    let last = get(app, Acme, "SEGMENTS", &format!("SEGMENT#{:012}", segments.last().unwrap().first())).await;
    for name in ["version_id", "sha256"] {
        alter(app, "HEAD", "HEAD", name, last[name].clone()).await;
    }
}

fn count(app: &App) -> usize {
    let prefix = format!("segments/{}/", app.tenant_id(Acme));
    app.objects().keys().filter(|key| key.starts_with(&prefix)).count()
}

async fn critical_events(app: &App) -> Vec<Value> {
    app.audit(Acme).await.into_iter().filter(|event| event["severity"] == "critical").collect()
}

#[tokio::test]
async fn checkpoint_of_the_head_is_signed_and_stored_twice() {
    let app = App::start().await;
    happen(&app, Acme, 3).await;
    assert!(wake(&app, Acme).await);
    sign(&app).await;
    let (head, _) = sealed(&app, Acme);
    let shown = checkpoint(&app, Acme).await;
    assert_eq!((&shown["size"], &shown["root"]), (&json!(head.size()), &json!(head.root())));

    let key: VerifierKey = shown["public_key"].as_str().unwrap().parse().unwrap();
    let origin = Origin::new(app.deps().config().deployment.clone(), head.tenant_id().clone()).unwrap();
    let note = shown["checkpoint"].as_str().unwrap();
    let said = Signed::parse(note.as_bytes()).unwrap().verify(&[key], &origin).unwrap();
    assert_eq!((said.size, said.root), (head.size(), head.root()));
    assert_eq!(app.objects()[&note_object(&app, Acme, head.size())][0].bytes, note.as_bytes());

    // Birch's sealer was not woken, so there is nothing to sign.
    assert_eq!(notes(&app, Birch), [""; 0]);
    assert_eq!(checkpoint(&app, Birch).await["checkpoint"], Value::Null);
    assert_eq!(alarms(&app), [""; 0]);
}

#[tokio::test]
async fn unchanged_log_is_not_signed_again() {
    let app = log().await;
    sign(&app).await;
    let before = notes(&app, Acme);
    assert_eq!(before.len(), 4);
    app.reset_calls();
    sign(&app).await;
    assert_eq!(notes(&app, Acme), before);
    assert!(!app.calls().kms.iter().any(|call| call == "Sign"));
}

#[tokio::test]
async fn signing_reads_only_new_segments() {
    let app = log().await;
    app.reset_calls();
    sign(&app).await;
    // The last note, the newer versions, and one segment.
    assert_eq!(app.calls().s3, ["GetObject", "ListObjectVersions", "GetObject", "PutObject"]);
    assert_eq!(app.calls().kms, ["Sign"]);
}

#[tokio::test]
async fn signer_killed_at_any_await_is_completed_by_the_next_run() {
    let app = App::start().await;
    let mut signed = 0;
    for polls in 1.. {
        happen(&app, Acme, 1).await;
        assert!(wake(&app, Acme).await);
        let ended = kill_after(polls, run(&app, "sign_checkpoint")).await;
        sign(&app).await;
        signed += 1;
        assert_eq!(notes(&app, Acme).len(), signed, "killed after {polls} polls");
        assert_eq!(checkpoint(&app, Acme).await["size"], json!(sealed(&app, Acme).0.size()));
        if ended.is_some() {
            break;
        }
    }
    assert!(signed > 8, "there are more awaits than {signed}");
    verify(&app).await;
    assert_eq!(alarms(&app), [""; 0]);
}

#[tokio::test]
async fn concurrent_signers_sign_one_checkpoint() {
    let app = log().await;
    let (one, other) = tokio::join!(run(&app, "sign_checkpoint"), run(&app, "sign_checkpoint"));
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(notes(&app, Acme).len(), 4);
    assert_eq!(alarms(&app), [""; 0]);
}

#[tokio::test]
async fn service_outage_is_not_a_finding() {
    for call in ["GetObject", "ListObjectVersions", "PutObject", "Sign", "GetItem", "Query", "TransactWriteItems"] {
        let app = log().await;
        for fault in [Fault::Gone, Fault::Throttled, Fault::Refused("AccessDenied"), Fault::Says(404, "nothing of ours")] {
            app.wire().fail(call, 0, 100, fault);
            assert!(run(&app, "sign_checkpoint").await.is_err(), "{call} {fault:?}");
            app.wire().heal();
        }
        sign(&app).await;
        assert_eq!(notes(&app, Acme).len(), 4, "{call}");
        assert_eq!(alarms(&app), [""; 0], "{call}");
    }
}

#[tokio::test]
async fn valid_log_is_verified_without_a_finding() {
    let app = log().await;
    verify(&app).await;
    sign(&app).await;
    for _ in 0..5 {
        verify(&app).await;
    }
    assert_eq!(alarms(&app), [""; 0]);
    let lines = app.log_lines();
    let verified = |line: &&Value| line["function"] == "verify_audit" && line["audit.verified"].as_u64() > Some(0);
    assert!(lines.iter().any(|line| verified(&line)));
}

#[tokio::test]
async fn newer_object_version_of_a_segment_is_ignored() {
    let app = log().await;
    let first = segment(&app, 1).first();
    app.put_over(&segment_object(&app, Acme, first), "{}\n");
    sign(&app).await;
    verify(&app).await;
    assert_eq!(alarms(&app), [""; 0]);
    let get = app.as_role(Acme, Role::Auditor).call(find(crate::endpoints::ALL, "get_segment")).path("first_sequence", first);
    let lines = get.await.json["lines"].as_array().unwrap().len();
    assert_eq!(lines, segment(&app, 1).len());
}

#[tokio::test]
async fn log_rewritten_after_the_checkpoint_without_its_head_is_found() {
    let app = log().await;
    let unsigned = segment(&app, 3);
    let events = unsigned.events().map(|event| bare(event.unwrap())).take(2);
    let before = (0..3).fold(Head::empty(unsigned.tenant_id().clone()), |head, n| head.extend(&segment(&app, n)).unwrap());
    let forged = Segment::seal(&before, events).unwrap().unwrap();
    let sort = format!("SEGMENT#{:012}", forged.first());
    alter(&app, "SEGMENTS", &sort, "sha256", text(forged.sha256())).await;
    alter(&app, "SEGMENTS", &sort, "last", AttributeValue::N((forged.next() - 1).to_string())).await;
    let version = app.put_over(&segment_object(&app, Acme, forged.first()), forged.into_body());
    alter(&app, "SEGMENTS", &sort, "version_id", text(version)).await;
    sign(&app).await;
    assert_eq!(notes(&app, Acme).len(), 3, "nothing is signed");
    assert_eq!(alarms(&app)[0]["audit.finding"], "tampered_segment");
}

#[tokio::test]
async fn log_rewritten_before_a_checkpoint_is_found_and_not_signed() {
    let app = log().await;
    sign(&app).await;
    rewrite_from(&app, 0).await;
    happen(&app, Acme, 1).await;
    sign(&app).await;
    assert_eq!(notes(&app, Acme).len(), 4, "nothing is signed");
    assert_eq!(alarms(&app)[0]["audit.finding"], "tampered_head");
    verify(&app).await;
    assert_eq!(alarms(&app).last().unwrap()["function"], "verify_audit");
}

#[tokio::test]
async fn log_rewritten_with_checkpoint_heads_does_not_match_the_notes() {
    let app = log().await;
    sign(&app).await;
    rewrite_from(&app, 0).await;
    let head = get(&app, Acme, "HEAD", "HEAD").await["head"].clone();
    alter(&app, "CHECKPOINTS", &format!("CHECKPOINT#{:012}", sealed(&app, Acme).0.size()), "head", head).await;
    happen(&app, Acme, 1).await;
    assert!(wake(&app, Acme).await);
    sign(&app).await;
    assert_eq!(notes(&app, Acme).len(), 4, "nothing is signed");
    assert_eq!(alarms(&app)[0]["audit.finding"], "tampered_checkpoint");
}

#[tokio::test]
async fn segment_altered_between_checkpoints_is_found_by_sampling() {
    let app = log().await;
    sign(&app).await;
    let first = segment(&app, 1).first();
    let mut bytes = segment(&app, 1).into_body();
    let at = bytes.windows(5).position(|window| window == b"syn_1").unwrap();
    bytes[at + 4] = b'2';
    let hash = ledger::Hash::of(&bytes);
    let version = app.put_over(&segment_object(&app, Acme, first), bytes);
    let sort = format!("SEGMENT#{first:012}");
    alter(&app, "SEGMENTS", &sort, "version_id", text(version)).await;
    alter(&app, "SEGMENTS", &sort, "sha256", text(hash)).await;
    // One of four places is in the altered segment's range: each run misses it with a probability of (3/4)^4 or less.
    for _ in 0..60 {
        verify(&app).await;
    }
    let found = alarms(&app);
    assert_eq!((&found[0]["audit.finding"], &found[0]["audit.found_at"]), (&json!("tampered_segment"), &json!(first)));
}

#[tokio::test]
async fn altered_or_missing_data_is_named_in_the_finding() {
    let altered = |name: &'static str| async move {
        let app = log().await;
        sign(&app).await;
        let size = sealed(&app, Acme).0.size();
        let last = segment(&app, 3).first();
        let checkpoint = format!("CHECKPOINT#{size:012}");
        match name {
            "a lost segment" => app.lose_object(&segment_object(&app, Acme, last)),
            "a lost note" => app.lose_object(&note_object(&app, Acme, size)),
            "another note" => {
                let other = get(&app, Acme, "CHECKPOINTS", &format!("CHECKPOINT#{last:012}")).await;
                alter(&app, "CHECKPOINTS", &checkpoint, "note", other["note"].clone()).await;
            }
            "a checkpoint's head" => {
                let other = get(&app, Acme, "CHECKPOINTS", &format!("CHECKPOINT#{last:012}")).await;
                alter(&app, "CHECKPOINTS", &checkpoint, "head", other["head"].clone()).await;
            }
            "a forged note" => {
                let note = get(&app, Acme, "CHECKPOINTS", &checkpoint).await["note"].as_s().unwrap().clone();
                // The signature of another text.
                let other =
                    get(&app, Acme, "CHECKPOINTS", &format!("CHECKPOINT#{last:012}")).await["note"].as_s().unwrap().clone();
                let forged = format!("{}\n\n{}", note.split_once("\n\n").unwrap().0, other.split_once("\n\n").unwrap().1);
                let version = app.put_over(&note_object(&app, Acme, size), forged.clone());
                alter(&app, "CHECKPOINTS", &checkpoint, "note", text(forged)).await;
                alter(&app, "CHECKPOINTS", &checkpoint, "version_id", text(version)).await;
            }
            "a head that goes back" => {
                let other = get(&app, Acme, "CHECKPOINTS", &format!("CHECKPOINT#{last:012}")).await;
                alter(&app, "HEAD", "HEAD", "head", other["head"].clone()).await;
            }
            _ => unreachable!(),
        }
        verify(&app).await;
        alarms(&app).first().map(|line| line["audit.finding"].as_str().unwrap().to_owned())
    };
    assert_eq!(altered("a lost segment").await.as_deref(), Some("tampered_segment"));
    assert_eq!(altered("a lost note").await.as_deref(), Some("tampered_checkpoint"));
    assert_eq!(altered("another note").await.as_deref(), Some("tampered_checkpoint"));
    assert_eq!(altered("a checkpoint's head").await.as_deref(), Some("tampered_checkpoint"));
    assert_eq!(altered("a forged note").await.as_deref(), Some("tampered_checkpoint"));
    assert_eq!(altered("a head that goes back").await.as_deref(), Some("tampered_head"));
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The findings of a run `days` after the log was signed, with a bucket that keeps segments for `kept_for` days. The first
/// segment has been deleted or replaced.
async fn found_after(days: u32, kept_for: Option<u32>, alters: bool) -> usize {
    let mut app = log().await;
    if let Some(kept_for) = kept_for {
        app = app.with_audit_expiry(DAY * kept_for);
    }
    sign(&app).await;
    let first = segment(&app, 0).first();
    if alters {
        alter(&app, "SEGMENTS", &format!("SEGMENT#{first:012}"), "sha256", text("0".repeat(64))).await;
    } else {
        app.lose_object(&segment_object(&app, Acme, first));
    }
    app.clock().advance(DAY * days);
    // Each run misses the place with a probability of (3/4)^4 at most.
    for _ in 0..12 {
        verify(&app).await;
    }
    alarms(&app).len()
}

#[tokio::test]
async fn expired_segment_is_no_finding_and_earlier_loss_is() {
    assert_eq!(found_after(101, Some(100), false).await, 0, "it has expired");
    assert_ne!(found_after(98, Some(100), false).await, 0, "the lock still holds");
    assert_ne!(found_after(101, None, false).await, 0, "segments stay");
    assert_ne!(found_after(101, Some(100), true).await, 0, "the object exists and differs");
}

#[tokio::test]
async fn log_with_all_segments_expired_is_verified_without_a_finding() {
    let app = log().await.with_audit_expiry(DAY * 100);
    sign(&app).await;
    let all: Vec<_> = (0..4).map(|n| segment(&app, n).first()).collect();
    for first in all {
        app.lose_object(&segment_object(&app, Acme, first));
    }
    verify(&app).await;
    assert_ne!(alarms(&app).len(), 0, "nothing has expired yet");
    let before = alarms(&app).len();
    app.clock().advance(DAY * 101);
    verify(&app).await;
    assert_eq!(alarms(&app).len(), before);
}

#[tokio::test]
async fn second_checkpoint_of_the_same_size_is_a_finding() {
    let app = log().await;
    let size = sealed(&app, Acme).0.size();
    app.put_over(&note_object(&app, Acme, size), "another log\n");
    sign(&app).await;
    assert_eq!(alarms(&app)[0]["audit.finding"], "tampered_checkpoint");
    assert_eq!(checkpoint(&app, Acme).await["size"], json!(segment(&app, 3).first()));
}

/// The texts of the mails to a tenant's auditor, oldest first.
fn mailed(app: &App, tenant: Tenant) -> Vec<String> {
    let auditor = app.email(tenant, Role::Auditor);
    let theirs = |mail: &Value| mail["Destination"]["ToAddresses"][0] == auditor.as_str();
    let text = |mail: Value| mail["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap().to_owned();
    app.mails().into_iter().filter(theirs).map(text).collect()
}

/// The part of a mail that its reader saves, as the mail says.
fn saved(app: &App, tenant: Tenant, mail: &str) -> String {
    let origin = format!("{}/{}", app.deps().config().deployment, app.tenant_id(tenant));
    let from = mail.lines().skip_while(|line| *line != origin);
    let mut lines: Vec<_> = from.collect();
    lines.truncate(lines.iter().rposition(|line| line.starts_with('—')).unwrap() + 1);
    lines.join("\n") + "\n"
}

#[tokio::test]
async fn auditors_get_the_newest_checkpoint_once_a_day() {
    let app = log().await;
    assert!(wake(&app, Birch).await);
    sign(&app).await;
    for _ in 0..3 {
        run(&app, "mail_checkpoints").await.unwrap();
        app.clock().advance(Duration::from_secs(3600));
    }
    for tenant in [Acme, Birch] {
        let shown = checkpoint(&app, tenant).await;
        let mails = mailed(&app, tenant);
        assert_eq!(mails.len(), 1, "{tenant:?}");
        assert_eq!(saved(&app, tenant, &mails[0]), shown["checkpoint"].as_str().unwrap());
        assert!(mails[0].contains(shown["public_key"].as_str().unwrap()), "{}", mails[0]);
        assert!(!mails[0].contains("{{"), "{}", mails[0]);
    }
    assert_eq!(app.mails().len(), 2, "only auditors get a mail");

    // A day later one log has grown.
    happen(&app, Acme, 1).await;
    assert!(wake(&app, Acme).await);
    sign(&app).await;
    app.clock().advance(Duration::from_secs(22 * 3600));
    run(&app, "mail_checkpoints").await.unwrap();
    assert_eq!((mailed(&app, Acme).len(), mailed(&app, Birch).len()), (2, 1));
    assert_ne!(mailed(&app, Acme)[0], mailed(&app, Acme)[1]);
    let html = serde_json::to_string(&app.mails()).unwrap();
    assert!(html.contains("<pre>") && !html.contains("{{"), "{html}");
}

#[tokio::test]
async fn failed_checkpoint_mail_is_sent_within_the_hour() {
    let app = log().await;
    app.wire().fail("ses", 0, 9, Fault::Gone);
    let _ = run(&app, "mail_checkpoints").await;
    app.wire().heal();
    assert_eq!(app.mails().len(), 0);
    app.clock().advance(Duration::from_secs(3600));
    run(&app, "mail_checkpoints").await.unwrap();
    assert_eq!(mailed(&app, Acme).len(), 1);
}

#[tokio::test]
async fn unsigned_checkpoint_or_shortened_log_is_not_mailed() {
    let app = log().await;
    run(&app, "mail_checkpoints").await.unwrap();
    assert_eq!((mailed(&app, Acme).len(), alarms(&app).len()), (1, 0));
    // The newest checkpoint is removed, and an older one remains.
    let size = checkpoint(&app, Acme).await["size"].as_u64().unwrap();
    let sort = format!("CHECKPOINT#{size:012}");
    let newest = get(&app, Acme, "CHECKPOINTS", &sort).await;
    lose(&app, "CHECKPOINTS", &sort).await;
    app.clock().advance(Duration::from_secs(24 * 3600));
    run(&app, "mail_checkpoints").await.unwrap();
    assert_eq!((mailed(&app, Acme).len(), alarms(&app).len()), (1, 1));
    // The row is back, with other content.
    put(&app, newest).await;
    happen(&app, Acme, 1).await;
    assert!(wake(&app, Acme).await);
    sign(&app).await;
    let size = sealed(&app, Acme).0.size();
    alter(&app, "CHECKPOINTS", &format!("CHECKPOINT#{size:012}"), "note", text("<b>not signed</b>")).await;
    let before = alarms(&app).len();
    run(&app, "mail_checkpoints").await.unwrap();
    assert_eq!((mailed(&app, Acme).len(), alarms(&app).len()), (1, before + 1));
}
