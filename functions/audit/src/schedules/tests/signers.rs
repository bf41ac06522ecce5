//! Two concurrent runs of the signer, with the log growing between them. Each may be killed between storing its note and the
//! note's row.

use super::*;

/// The runs that are killed before they record the note that they stored in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dies {
    Both,
    Second,
    First,
    Nobody,
}

/// Fails every write of a checkpoint's row.
fn noting_fails(app: &App) {
    app.wire().fail_about("TransactWriteItems", "CHECKPOINT#", Fault::Refused("AccessDenied"));
}

/// Holds a run of the signer at a call, lets the log grow, runs another signer, and then continues the first. Returns whether the
/// first run has such a call.
async fn interleaved(app: &App, (service, call): (&str, usize), dies: Dies) -> bool {
    let mut held = app.wire().hold(service, call);
    let mut first = Box::pin(run(app, "sign_checkpoint"));
    tokio::select! {
        _ = &mut first => return false,
        () = held.arrived() => {}
    }
    happen(app, Acme, 1).await;
    assert!(wake(app, Acme).await);
    if [Dies::Both, Dies::Second].contains(&dies) {
        noting_fails(app);
    }
    let _ = run(app, "sign_checkpoint").await;
    if dies == Dies::Second {
        app.wire().heal();
    } else if dies == Dies::First {
        noting_fails(app);
    }
    held.let_go();
    let _ = first.await;
    true
}

#[tokio::test]
async fn overlapping_signers_leave_at_most_one_unrecorded_note() {
    for dies in [Dies::Both, Dies::Second, Dies::First, Dies::Nobody] {
        let app = App::start().await;
        let mut calls = 0;
        for service in ["dynamodb", "s3", "kms"] {
            for call in 0.. {
                app.clock().advance(Duration::from_secs(60));
                happen(&app, Acme, 1).await;
                assert!(wake(&app, Acme).await);
                let there = interleaved(&app, (service, call), dies).await;
                app.wire().heal();
                // One run completes the started checkpoint, and the next reaches the head.
                sign(&app).await;
                sign(&app).await;
                let when = format!("{dies:?}, {service} {call}");
                assert_eq!(alarms(&app), [""; 0], "{when}");
                assert_eq!(checkpoint(&app, Acme).await["size"], json!(sealed(&app, Acme).0.size()), "{when}");
                if !there {
                    break;
                }
                calls += 1;
            }
        }
        assert!(calls > 12, "{dies:?}: {calls} calls");
        verify(&app).await;
        assert_eq!(alarms(&app), [""; 0], "{dies:?}");
        assert_eq!(notes(&app, Birch), [""; 0]);
        // All signed notes belong to one tree: each is a prefix of the next.
        let versions = app.objects();
        assert!(notes(&app, Acme).iter().all(|note| versions[note].len() == 1), "{dies:?}");
    }
}

#[tokio::test]
async fn conflicting_write_of_a_note_is_retried_without_a_finding() {
    const UNDER_WAY: &str = "<Error><Code>ConditionalRequestConflict</Code><Message>synthetic</Message></Error>";
    let app = log().await;
    app.reset_calls();
    app.wire().fail("PutObject", 0, 2, Fault::Says(409, UNDER_WAY));
    sign(&app).await;
    assert_eq!(notes(&app, Acme).len(), 4);
    assert_eq!(app.calls().s3.iter().filter(|call| *call == "PutObject").count(), 3);
    assert_eq!(alarms(&app), [""; 0]);
    // The write is not repeated for ever, and the next run completes it.
    happen(&app, Acme, 1).await;
    assert!(wake(&app, Acme).await);
    app.wire().fail("PutObject", 0, 100, Fault::Says(409, UNDER_WAY));
    assert!(run(&app, "sign_checkpoint").await.is_err());
    app.wire().heal();
    sign(&app).await;
    assert_eq!((notes(&app, Acme).len(), alarms(&app).len()), (5, 0));
}
