use crate::fixture::*;
use aws_sdk_dynamodb::types::AttributeValue;
use common::base::{Clock, Timestamp};
use std::time::Duration;
use testing::{
    App, Fault,
    Tenant::{Acme, Birch},
    kill_after,
};

/// The events of the tenant's creation, and `n` more.
async fn some(app: &App, n: usize) -> Vec<String> {
    let mut ids = unsealed(app, Acme).await;
    ids.extend(happen(app, Acme, n).await);
    ids
}

#[tokio::test]
async fn events_are_sealed_once_in_order_and_removed_from_the_unsealed() {
    let app = App::start().await;
    let (mut expected, of_birch) = (some(&app, 5).await, unsealed(&app, Birch).await);
    assert!(wake(&app, Acme).await);
    assert_sealed_once(&app, Acme, &expected, "first").await;
    expected.extend(happen(&app, Acme, 3).await);
    assert!(wake(&app, Acme).await);
    assert_sealed_once(&app, Acme, &expected, "second").await;
    let sealed: Vec<_> = sealed(&app, Acme).1.iter().map(|event| event.event_id.to_string()).collect();
    assert_eq!(sealed, expected);
    assert_eq!(unsealed(&app, Birch).await, of_birch);
    assert!(app.objects().keys().all(|key| key.contains(&app.tenant_id(Acme).to_string())));
}

#[tokio::test]
async fn repeated_message_seals_nothing_twice() {
    let app = App::start().await;
    let expected = some(&app, 3).await;
    for _ in 0..3 {
        assert!(wake(&app, Acme).await);
    }
    assert_sealed_once(&app, Acme, &expected, "three times").await;
    assert_eq!(app.objects().len(), 1);
}

#[tokio::test]
async fn sealing_writes_no_audit_events() {
    let app = App::start().await;
    some(&app, 3).await;
    assert!(wake(&app, Acme).await);
    let own = |event: &ledger::Event| event.event_type.as_str().contains("seal_audit");
    assert!(!sealed(&app, Acme).1.iter().any(own));
    assert_eq!(unsealed(&app, Acme).await, [""; 0]);
}

#[tokio::test]
async fn log_line_has_the_number_of_sealed_events_and_the_lag() {
    let app = App::start().await;
    wake(&app, Acme).await;
    happen(&app, Acme, 3).await;
    app.clock().advance(Duration::from_millis(12_345));
    assert!(wake(&app, Acme).await);
    let lines = app.log_lines();
    let line = lines.iter().rfind(|line| line["function"] == "seal_audit").unwrap();
    // The first of the three is two milliseconds older than the last.
    assert_eq!((&line["audit.sealed"], &line["audit.lag_ms"]), (&3.into(), &12_347.into()));
}

#[tokio::test]
async fn sealer_killed_at_any_await_seals_each_event_once() {
    let app = App::start().await;
    let mut expected = unsealed(&app, Acme).await;
    let mut runs = 0;
    for polls in 1.. {
        expected.extend(happen(&app, Acme, 2).await);
        let ended = kill_after(polls, wake(&app, Acme)).await;
        assert!(wake(&app, Acme).await, "the repair after {polls} polls");
        assert_sealed_once(&app, Acme, &expected, &format!("killed after {polls} polls")).await;
        runs = polls;
        if ended.is_some() {
            break;
        }
    }
    assert!(runs > 8, "there are more awaits than {runs}");
    assert_eq!(alarms(&app), [""; 0]);
}

#[tokio::test]
async fn sealer_killed_repeatedly_seals_each_event_once() {
    let app = App::start().await;
    let mut expected = unsealed(&app, Acme).await;
    for round in 0..12 {
        // The runs are killed at different places each round, and more events arrive in between.
        for kill in 0..4 {
            expected.extend(happen(&app, Acme, 2).await);
            kill_after(2 + (round * 7 + kill * 5) % 23, wake(&app, Acme)).await;
        }
        assert!(wake(&app, Acme).await);
        assert_sealed_once(&app, Acme, &expected, &format!("round {round}")).await;
    }
}

#[tokio::test]
async fn concurrent_sealers_seal_each_event_once() {
    let app = App::start().await;
    let mut expected = unsealed(&app, Acme).await;
    for round in 0..8 {
        expected.extend(happen(&app, Acme, 3).await);
        let (one, other) = tokio::join!(wake(&app, Acme), wake(&app, Acme));
        assert!(one && other, "round {round}");
        assert_sealed_once(&app, Acme, &expected, &format!("round {round}")).await;
    }
    assert!(app.calls().s3.iter().any(|call| call == "GetObject"), "the runs never collided");
}

#[tokio::test]
async fn segment_of_a_killed_sealer_is_adopted_by_concurrent_runs() {
    let app = App::start().await;
    let mut expected = unsealed(&app, Acme).await;
    for polls in 4..16 {
        expected.extend(happen(&app, Acme, 2).await);
        kill_after(polls, wake(&app, Acme)).await;
        expected.extend(happen(&app, Acme, 2).await);
        let (one, other) = tokio::join!(wake(&app, Acme), wake(&app, Acme));
        assert!(one && other, "{polls} polls");
        assert_sealed_once(&app, Acme, &expected, &format!("killed after {polls} polls, then two")).await;
    }
}

#[tokio::test]
async fn lost_answer_of_any_call_does_not_seal_twice() {
    let calls = ["GetItem", "Query", "PutObject", "TransactWriteItems", "BatchWriteItem", "UpdateItem"];
    let app = App::start().await;
    let mut expected = unsealed(&app, Acme).await;
    for call in calls {
        for times in [1, 100] {
            for fault in [Fault::LostAnswer, Fault::Gone] {
                expected.extend(happen(&app, Acme, 2).await);
                app.wire().fail(call, 0, times, fault);
                let handled = wake(&app, Acme).await;
                app.wire().heal();
                assert_eq!(handled, times == 1, "{call} {fault:?} {times}");
                assert!(wake(&app, Acme).await);
                assert_sealed_once(&app, Acme, &expected, &format!("{call} {fault:?} {times} times")).await;
            }
        }
    }
    assert_eq!(alarms(&app), [""; 0]);
}

#[tokio::test]
async fn every_third_call_failing_seals_each_event_once() {
    let app = App::start().await;
    let mut expected = unsealed(&app, Acme).await;
    let mut random = 0x5eed_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut failed = 0;
    for round in 0..40 {
        expected.extend(happen(&app, Acme, 3).await);
        // Each rule lets some calls pass, fails one, and is replaced by the next.
        for _ in 0..60 {
            for service in ["dynamodb", "s3"] {
                let fault = [Fault::Gone, Fault::LostAnswer, Fault::Throttled][next(3) as usize];
                app.wire().fail(service, next(5) as usize, 1, fault);
            }
        }
        for _ in 0..3 {
            let (one, other) = tokio::join!(wake(&app, Acme), wake(&app, Acme));
            failed += u32::from(!one) + u32::from(!other);
        }
        app.wire().heal();
        assert!(wake(&app, Acme).await, "round {round}");
        assert_sealed_once(&app, Acme, &expected, &format!("round {round}")).await;
    }
    assert!(failed > 0, "some runs fail");
    assert_eq!(alarms(&app), [""; 0]);
}

#[tokio::test]
async fn clock_set_back_does_not_stop_sealing() {
    let app = App::start().await;
    let mut expected = some(&app, 2).await;
    assert!(wake(&app, Acme).await);
    app.clock().set(app.clock().now().minus(Duration::from_secs(3600)));
    expected.extend(happen(&app, Acme, 2).await);
    assert!(wake(&app, Acme).await);
    assert_sealed_once(&app, Acme, &expected, "an hour back").await;
    // The events are in the order of sealing and not in that of the clock.
    let sealed: Vec<_> = sealed(&app, Acme).1.iter().map(|event| event.event_id.to_string()).collect();
    assert_eq!(sealed, expected);
}

#[tokio::test]
async fn event_with_a_time_an_hour_ahead_is_sealed() {
    let app = App::start().await;
    wake(&app, Acme).await;
    let now = app.clock().now();
    put(&app, counted(app.tenant_id(Acme), now, 3, now.plus(Duration::from_secs(70)))).await;
    app.clock().set(now.minus(Duration::from_secs(3600)));
    assert!(wake(&app, Acme).await);
    assert_eq!(unsealed(&app, Acme).await, [""; 0]);
}

#[tokio::test]
async fn counted_event_is_not_sealed_before_its_count_is_final() {
    let app = App::start().await;
    wake(&app, Acme).await;
    let now = app.clock().now();
    let later = now.plus(Duration::from_secs(60));
    put(&app, counted(app.tenant_id(Acme), now, 7, later)).await;
    let other = happen(&app, Acme, 1).await;
    assert!(wake(&app, Acme).await);
    assert_eq!(unsealed(&app, Acme).await.len(), 1);
    assert_eq!(sealed(&app, Acme).1.last().unwrap().event_id.as_str(), other[0]);

    put(&app, counted(app.tenant_id(Acme), now, 9, later)).await;
    app.clock().set(later);
    assert!(wake(&app, Acme).await);
    assert_eq!(unsealed(&app, Acme).await, [""; 0]);
    assert_eq!(sealed(&app, Acme).1.last().unwrap().count.get(), 9);
}

#[tokio::test]
async fn over_a_thousand_events_are_sealed_in_two_segments() {
    let app = App::start().await;
    let expected = some(&app, 1_500).await;
    assert!(wake(&app, Acme).await);
    assert_sealed_once(&app, Acme, &expected, "1,500").await;
    let firsts: Vec<_> = app.objects().into_keys().collect();
    assert_eq!(firsts, [segment_object(&app, Acme, 0), segment_object(&app, Acme, 1000)]);
}

#[tokio::test]
async fn sealing_a_thousand_events_stays_within_its_call_limits() {
    let app = App::start().await;
    wake(&app, Acme).await;
    happen(&app, Acme, 1000).await;
    app.reset_calls();
    assert!(wake(&app, Acme).await);
    let calls = app.calls();
    assert_eq!(calls.s3, ["PutObject"]);
    assert!(calls.dynamodb.len() <= 50, "{} calls: {:?}", calls.dynamodb.len(), calls.dynamodb);
    assert_eq!(calls.kms, [""; 0]);
}

#[tokio::test]
async fn run_without_events_makes_two_reads() {
    let app = App::start().await;
    wake(&app, Acme).await;
    app.reset_calls();
    assert!(wake(&app, Acme).await);
    assert_eq!(app.calls().dynamodb, ["GetItem", "Query"]);
    assert_eq!(app.calls().s3, [""; 0]);
}

#[tokio::test]
async fn segment_with_other_events_than_the_unsealed_is_not_adopted() {
    let app = App::start().await;
    wake(&app, Acme).await;
    let (head, _) = sealed(&app, Acme);
    happen(&app, Acme, 2).await;
    // It follows the head, and contains an event that never happened.
    let invented = event(app.tenant_id(Acme), common::base::EventId::new(app.clock().now()), app.clock().now());
    let forged = ledger::Segment::seal(&head, [invented]).unwrap().unwrap();
    app.put_over(&segment_object(&app, Acme, head.size()), forged.into_body());
    assert!(!wake(&app, Acme).await);
    assert_eq!(get(&app, Acme, "HEAD", "HEAD").await["size"], AttributeValue::N(head.size().to_string()));
    assert_eq!(alarms(&app)[0]["audit.finding"], "tampered_segment");
    // The events stay unsealed, including the one that reports the finding.
    assert_eq!(unsealed(&app, Acme).await.len(), 3);
}

#[tokio::test]
async fn event_that_may_be_rewritten_is_sealed_only_at_its_wake_up() {
    let app = App::start().await;
    wake(&app, Acme).await;
    // The last moment whose wake-up is that of the event at the beginning of the same four seconds.
    let slot = Timestamp::from_millis((app.clock().now().as_millis() / 4000 + 1) * 4000);
    app.clock().set(slot.plus(Duration::from_millis(3999)));
    let read = app.as_role(Acme, common::base::Role::Auditor).call(testing::find(crate::endpoints::ALL, "list_segments")).await;
    assert_eq!(read.status, 200);
    assert!(wake(&app, Acme).await);
    assert_eq!(unsealed(&app, Acme).await.len(), 1, "its write may be repeated after a lost answer");
    let delay = <super::SealAudit as common::background::Consumer>::QUEUE.delay_secs;
    app.clock().set(slot.plus(Duration::from_secs(delay.into())));
    assert!(wake(&app, Acme).await);
    assert_eq!(unsealed(&app, Acme).await, [""; 0]);
}

#[tokio::test]
async fn malformed_unsealed_item_stays_and_does_not_block_sealing() {
    let app = App::start().await;
    wake(&app, Acme).await;
    let foreign = event(app.tenant_id(Birch), common::base::EventId::new(app.clock().now()), app.clock().now());
    let mut item = counted(app.tenant_id(Acme), app.clock().now(), 1, Timestamp::from_millis(0));
    item.insert("event".to_owned(), AttributeValue::S(String::from_utf8(foreign.to_json().unwrap()).unwrap()));
    let stays = item["sk"].as_s().unwrap().clone();
    put(&app, item).await;
    let good = happen(&app, Acme, 2).await;
    assert!(wake(&app, Acme).await);
    assert_eq!(unsealed(&app, Acme).await, [stays]);
    assert_eq!(sealed(&app, Acme).1.last().unwrap().event_id.as_str(), good[1]);
    let lines = app.log_lines();
    assert_eq!(lines.iter().rfind(|line| line["function"] == "seal_audit").unwrap()["audit.unreadable"], 1);
}

/// The tests above use an emulated bucket of their own; this one uses an S3 with versions and Object Lock.
#[tokio::test]
async fn log_in_an_object_lock_bucket_is_sealed_adopted_signed_and_read() {
    let app = App::with_cognito().await;
    let mut expected = unsealed(&app, Acme).await;
    for polls in [6, 9, 12, 1000] {
        expected.extend(happen(&app, Acme, 2).await);
        kill_after(polls, wake(&app, Acme)).await;
        let (one, other) = tokio::join!(wake(&app, Acme), wake(&app, Acme));
        assert!(one && other, "{polls} polls");
        run(&app, "sign_checkpoint").await.unwrap();
    }
    assert!(app.calls().s3.len() > 8);
    let auditor = app.as_role(Acme, common::base::Role::Auditor);
    let endpoint = |name| testing::find(crate::endpoints::ALL, name);
    let segments = auditor.call(endpoint("list_segments")).await.json;
    let (mut text, mut ids) = (String::new(), Vec::new());
    for segment in segments["items"].as_array().unwrap() {
        let got = auditor.call(endpoint("get_segment")).path("first_sequence", &segment["first_sequence"]).await.json;
        for line in got["lines"].as_array().unwrap() {
            text.push_str(line.as_str().unwrap());
            text.push('\n');
            ids.push(serde_json::from_str::<serde_json::Value>(line.as_str().unwrap()).unwrap()["event_id"].clone());
        }
    }
    assert_eq!(ids, expected);
    let log = ledger::Segment::parse(text.into_bytes()).unwrap();
    let shown = auditor.call(endpoint("get_checkpoint")).await.json;
    assert_eq!((&shown["size"], &shown["root"]), (&log.len().into(), &ledger::merkle::root(log.leaves()).to_string().into()));
    app.clock().advance(Duration::from_secs(60));
    run(&app, "verify_audit").await.unwrap();
    assert_eq!(alarms(&app), [""; 0]);
}
