//! A finding raises one alarm until it is resolved, and a reminder once a day.

use super::*;

/// The published findings, oldest first.
async fn told(app: &App, tenant: Tenant) -> Vec<Value> {
    let events = app.domain_events(tenant).await;
    events.into_iter().filter(|event| event["schema"] == "audit.tamper_detected").map(|event| event["payload"].clone()).collect()
}

async fn resolved(app: &App) -> usize {
    app.audit(Acme).await.iter().filter(|event| event["changes"] == json!(["resolved"])).count()
}

/// Advances a minute in which the log grows, and signs.
async fn move_on(app: &App) {
    happen(app, Acme, 1).await;
    let _ = wake(app, Acme).await;
    sign(app).await;
}

fn after(app: &App, hours: u64) {
    app.clock().advance(Duration::from_secs(hours * 3600));
}

#[tokio::test]
async fn finding_logs_each_time_and_publishes_once_a_day() {
    let app = log().await;
    sign(&app).await;
    let of_birch = unsealed(&app, Birch).await;
    app.lose_object(&segment_object(&app, Acme, segment(&app, 3).first()));
    for _ in 0..3 {
        verify(&app).await;
    }
    let lines = alarms(&app);
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["level"], &lines[0]["tenant.id"]), (&json!("critical"), &json!(app.tenant_id(Acme))));
    let events = critical_events(&app).await;
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["type"], &events[0]["reason"]), (&json!("job.verify_audit"), &json!("tampered_segment")));
    let events_told = app.domain_events(Acme).await;
    let events_told: Vec<_> = events_told.iter().filter(|event| event["schema"] == "audit.tamper_detected").collect();
    assert_eq!(events_told.len(), 1);
    assert_eq!(
        (&events_told[0]["payload"]["finding"], &events_told[0]["cause"]),
        (&json!("tampered_segment"), &events[0]["event_id"])
    );

    for (hours, alarmed) in [(1, 1), (22, 1), (1, 2), (1, 2), (23, 3)] {
        after(&app, hours);
        verify(&app).await;
        assert_eq!(critical_events(&app).await.len(), alarmed, "{hours} hours later");
    }
    assert_eq!(unsealed(&app, Birch).await, of_birch);
}

#[tokio::test]
async fn invalid_head_is_one_finding_while_the_log_grows() {
    let app = log().await;
    while sealed(&app, Acme).0.size() % 2 == 1 {
        happen(&app, Acme, 1).await;
        assert!(wake(&app, Acme).await);
    }
    sign(&app).await;
    // Another tree with the same last event: later segments follow it, but no root matches any more.
    let mut head: Value = serde_json::from_str(get(&app, Acme, "HEAD", "HEAD").await["head"].as_s().unwrap()).unwrap();
    head["peaks"][0] = "0".repeat(64).into();
    alter(&app, "HEAD", "HEAD", "head", text(head)).await;
    for minutes in 1..=6 {
        move_on(&app).await;
        assert_eq!((alarms(&app).len(), told(&app, Acme).await.len()), (minutes, 1), "after {minutes} minutes");
    }
    let sizes: std::collections::BTreeSet<_> = alarms(&app).iter().map(|line| line["audit.found_at"].as_u64().unwrap()).collect();
    assert_eq!(sizes.len(), 6, "the size moves, and the finding does not");
    assert_eq!(told(&app, Acme).await[0]["finding"], "tampered_head");
    after(&app, 24);
    move_on(&app).await;
    assert_eq!(told(&app, Acme).await.len(), 2);
    assert_eq!(told(&app, Birch).await, [""; 0]);
}

#[tokio::test]
async fn lost_checkpoints_are_one_finding_while_the_log_grows() {
    let app = log().await;
    anchor::forget_checkpoints(&app, 0).await;
    for minutes in 1..=6 {
        move_on(&app).await;
        assert_eq!((alarms(&app).len(), told(&app, Acme).await.len()), (minutes, 1), "after {minutes} minutes");
    }
}

#[tokio::test]
async fn each_different_finding_raises_an_alarm() {
    let app = log().await;
    sign(&app).await;
    for n in [0, 3] {
        let sort = format!("SEGMENT#{:012}", segment(&app, n).first());
        alter(&app, "SEGMENTS", &sort, "sha256", text("0".repeat(64))).await;
    }
    // One of four places is in the older one's range: each run misses it with a probability of (3/4)^4 or less.
    for _ in 0..60 {
        verify(&app).await;
    }
    let mut places: Vec<_> = told(&app, Acme).await.iter().map(|told| told["found_at"].as_u64().unwrap()).collect();
    places.sort_unstable();
    assert_eq!(places, [segment(&app, 0).first(), segment(&app, 3).first()]);
}

/// How many findings were resolved, also where the events of that are sealed by now.
fn resolutions(app: &App) -> usize {
    app.log_lines().iter().filter(|line| line["event"] == "audit.finding_resolved").count()
}

/// Alters what the table says of segment `n`: what stood there before.
async fn break_segment(app: &App, n: usize) -> Item {
    let sort = format!("SEGMENT#{:012}", segment(app, n).first());
    let before = get(app, Acme, "SEGMENTS", &sort).await;
    alter(app, "SEGMENTS", &sort, "sha256", text("0".repeat(64))).await;
    before
}

/// Verifies until so many findings have been told in all. A place is drawn: a run misses one span of four in a third of all cases.
async fn verify_until_told(app: &App, count: usize) {
    for _ in 0..60 {
        verify(app).await;
        if told(app, Acme).await.len() >= count {
            break;
        }
    }
    assert_eq!(told(app, Acme).await.len(), count);
}

#[tokio::test]
async fn two_findings_at_once_are_reminded_of_resolved_and_alarmed_anew_each_by_itself() {
    let app = log().await;
    sign(&app).await;
    let first = break_segment(&app, 0).await;
    let last = break_segment(&app, 3).await;
    verify_until_told(&app, 2).await;
    put(&app, first).await;
    for _ in 0..3 {
        move_on(&app).await;
        verify(&app).await;
        assert_eq!((told(&app, Acme).await.len(), resolutions(&app)), (2, 1), "the log moves, and one of them stands again");
    }
    // It comes back while the other is open: a new finding, although a day has not passed.
    let first = break_segment(&app, 0).await;
    verify_until_told(&app, 3).await;
    assert_eq!(told(&app, Acme).await[2]["found_at"], segment(&app, 0).first());
    after(&app, 24);
    for _ in 0..2 {
        move_on(&app).await;
        verify(&app).await;
        assert_eq!((told(&app, Acme).await.len(), resolutions(&app)), (5, 1), "a reminder of each");
    }
    put(&app, last).await;
    verify(&app).await;
    assert_eq!((told(&app, Acme).await.len(), resolutions(&app)), (5, 2));
    put(&app, first).await;
    for _ in 0..3 {
        move_on(&app).await;
        verify(&app).await;
        after(&app, 24);
        assert_eq!((told(&app, Acme).await.len(), resolutions(&app)), (5, 3));
    }
    assert_eq!(told(&app, Birch).await, [""; 0]);
}

/// Reading on ends at the first of two, so the second shows when that one is mended.
#[tokio::test]
async fn finding_behind_another_of_its_span_is_alarmed_when_that_one_is_mended() {
    let app = App::start().await;
    for _ in 0..3 {
        happen(&app, Acme, 3).await;
        assert!(wake(&app, Acme).await);
    }
    sign(&app).await;
    let (behind, before) = (break_segment(&app, 1).await, break_segment(&app, 0).await);
    let places = [segment(&app, 0).first(), segment(&app, 1).first()];
    for _ in 0..2 {
        verify(&app).await;
        assert_eq!(told(&app, Acme).await.iter().map(|told| &told["found_at"]).collect::<Vec<_>>(), [places[0]]);
    }
    put(&app, before).await;
    for _ in 0..2 {
        verify(&app).await;
        let told = told(&app, Acme).await;
        assert_eq!(told.iter().map(|told| &told["found_at"]).collect::<Vec<_>>(), places);
    }
    put(&app, behind).await;
    verify(&app).await;
    assert_eq!((told(&app, Acme).await.len(), resolutions(&app)), (2, 2));
    assert_eq!(told(&app, Birch).await, [""; 0]);
}

#[tokio::test]
async fn finding_of_the_sealer_is_resolved_when_the_log_has_passed_it_and_the_next_one_is_new() {
    let app = log().await;
    sign(&app).await;
    for n in 1..=2 {
        let next = segment_object(&app, Acme, sealed(&app, Acme).0.size());
        app.put_over(&next, "{}\n");
        happen(&app, Acme, 1).await;
        for _ in 0..3 {
            assert!(!wake(&app, Acme).await);
            sign(&app).await;
            verify(&app).await;
        }
        assert_eq!((told(&app, Acme).await.len(), resolutions(&app)), (n, n - 1));
        app.lose_object(&next);
        assert!(wake(&app, Acme).await);
        verify(&app).await;
        sign(&app).await;
        verify(&app).await;
        assert_eq!((told(&app, Acme).await.len(), resolutions(&app)), (n, n));
    }
    assert_eq!(told(&app, Birch).await, [""; 0]);
}

#[tokio::test]
async fn repaired_finding_is_resolved_and_its_return_is_a_new_one() {
    let app = App::start().await;
    happen(&app, Acme, 3).await;
    assert!(wake(&app, Acme).await);
    let earlier = get(&app, Acme, "HEAD", "HEAD").await["head"].clone();
    happen(&app, Acme, 3).await;
    assert!(wake(&app, Acme).await);
    // There is only one checkpoint, so every place leads to reading the whole log.
    sign(&app).await;
    let first = segment(&app, 1).first();
    let size = sealed(&app, Acme).0.size();
    let checkpoint = format!("CHECKPOINT#{size:012}");
    let segment_sort = format!("SEGMENT#{first:012}");
    let cases = [
        ("SEGMENTS", segment_sort.as_str(), "sha256", text("0".repeat(64)), "tampered_segment"),
        ("CHECKPOINTS", checkpoint.as_str(), "note", text("not signed"), "tampered_checkpoint"),
        ("HEAD", "HEAD", "head", earlier, "tampered_head"),
    ];
    for (n, (partition, sort, name, value, finding)) in cases.into_iter().enumerate() {
        let before = get(&app, Acme, partition, sort).await;
        for again in 1..=2 {
            alter(&app, partition, sort, name, value.clone()).await;
            verify(&app).await;
            verify(&app).await;
            let told = told(&app, Acme).await;
            assert_eq!((told.len(), &told.last().unwrap()["finding"]), (2 * n + again, &json!(finding)), "{finding} {again}");
            assert_eq!(resolved(&app).await, 2 * n + again - 1, "{finding} is not resolved while it persists");
            put(&app, before.clone()).await;
            verify(&app).await;
            verify(&app).await;
            assert_eq!(resolved(&app).await, 2 * n + again, "{finding} is resolved once");
        }
    }
    let resolutions = app.audit(Acme).await;
    let resolution = resolutions.iter().find(|event| event["changes"] == json!(["resolved"])).unwrap();
    assert_eq!((&resolution["type"], &resolution["outcome"]), (&json!("job.verify_audit"), &json!("success")));
    assert_eq!(resolution["resources"], json!([{"type": "Segment", "id": format!("{first:012}")}]));
    assert!(app.audit(Birch).await.iter().all(|event| event["changes"] != json!(["resolved"])));
}

#[tokio::test]
async fn finding_of_the_sealer_is_not_resolved_by_a_valid_older_log() {
    let app = log().await;
    sign(&app).await;
    let next = sealed(&app, Acme).0.size();
    app.put_over(&segment_object(&app, Acme, next), "{}\n");
    happen(&app, Acme, 1).await;
    for _ in 0..3 {
        assert!(!wake(&app, Acme).await);
        verify(&app).await;
    }
    assert_eq!((told(&app, Acme).await.len(), resolved(&app).await), (1, 0));
}

#[tokio::test]
async fn finding_recorded_by_an_older_version_raises_a_new_alarm() {
    let app = log().await;
    sign(&app).await;
    let first = segment(&app, 3).first();
    let (partition, sort) = (format!("{}#FINDINGS", app.tenant_id(Acme)), format!("tampered_segment#{first:012}"));
    let hour = (app.clock().now().as_secs() / 3600).to_string();
    let item = [("pk", text(partition)), ("sk", text(sort)), ("hour", AttributeValue::N(hour))];
    put(&app, item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()).await;
    verify(&app).await;
    assert_eq!((alarms(&app).len(), resolved(&app).await), (0, 0));
    app.lose_object(&segment_object(&app, Acme, first));
    verify(&app).await;
    assert_eq!(told(&app, Acme).await.len(), 1);
}

#[tokio::test]
async fn log_shorter_than_the_mailed_one_raises_an_alarm_until_the_next_mail() {
    let app = log().await;
    run(&app, "mail_checkpoints").await.unwrap();
    let size = checkpoint(&app, Acme).await["size"].as_u64().unwrap();
    let newest = get(&app, Acme, "CHECKPOINTS", &format!("CHECKPOINT#{size:012}")).await;
    lose(&app, "CHECKPOINTS", &format!("CHECKPOINT#{size:012}")).await;
    after(&app, 24);
    for _ in 0..3 {
        run(&app, "mail_checkpoints").await.unwrap();
        verify(&app).await;
        after(&app, 1);
    }
    assert_eq!((told(&app, Acme).await.len(), resolved(&app).await), (1, 0));
    put(&app, newest).await;
    move_on(&app).await;
    run(&app, "mail_checkpoints").await.unwrap();
    assert_eq!((told(&app, Acme).await.len(), resolved(&app).await), (1, 1));
}
