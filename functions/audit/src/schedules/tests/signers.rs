//! Two runs of the signer at once, the log moving between them, and each may die between its note and the note's row.

use super::*;

/// Which of two runs die before they note what they have put into the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dies {
    Both,
    Second,
    First,
    Nobody,
}

/// Lets no run note its checkpoint.
fn noting_fails(app: &App) {
    app.wire().fail_about("TransactWriteItems", "CHECKPOINT#", Fault::Refused("AccessDenied"));
}

/// A run of the signer is held at a call; the log moves; another runs; and then the first goes on. Whether the first has such a call.
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
async fn signers_that_overlap_at_any_call_leave_one_unnoted_note_at_most_and_no_finding() {
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
                // One run finishes what was begun, and the next comes to the end.
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
        // What was signed is one tree: each note is the beginning of the next.
        let versions = app.objects();
        assert!(notes(&app, Acme).iter().all(|note| versions[note].len() == 1), "{dies:?}");
    }
}

#[tokio::test]
async fn write_that_meets_another_of_its_key_is_sent_again_and_nobody_hears_of_it() {
    const UNDER_WAY: &str = "<Error><Code>ConditionalRequestConflict</Code><Message>synthetic</Message></Error>";
    let app = log().await;
    app.reset_calls();
    app.wire().fail("PutObject", 0, 2, Fault::Says(409, UNDER_WAY));
    sign(&app).await;
    assert_eq!(notes(&app, Acme).len(), 4);
    assert_eq!(app.calls().s3.iter().filter(|call| *call == "PutObject").count(), 3);
    assert_eq!(alarms(&app), [""; 0]);
    // It is not sent for ever, and the next run does it.
    happen(&app, Acme, 1).await;
    assert!(wake(&app, Acme).await);
    app.wire().fail("PutObject", 0, 100, Fault::Says(409, UNDER_WAY));
    assert!(run(&app, "sign_checkpoint").await.is_err());
    app.wire().heal();
    sign(&app).await;
    assert_eq!((notes(&app, Acme).len(), alarms(&app).len()), (5, 0));
}
