//! The counter of unread notifications stays correct under concurrency.

use crate::{consumers::CONSUMERS, fixture::*};
use common::base::Role;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use serde_json::json;
use std::time::Duration;
use testing::{App, kill_after};

/// A generator of pseudo-random numbers: Marsaglia's xorshift, which gives the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// The last number, the counted unread ones, and the unread ones by their items.
async fn inventory(app: &App) -> (i64, i64, i64, usize) {
    let items = inbox(app, app.tenant_id(Acme), app.user_id(Acme, Role::Marketer)).await;
    let number = |item: &std::collections::HashMap<String, String>, name: &str| item[name].parse::<i64>().unwrap();
    let Some((_, state)) = items.iter().find(|(sk, _)| sk == "STATE") else { return (0, 0, 0, 0) };
    let watermark = number(state, "read_up_to");
    let notifications: Vec<_> = items.iter().filter(|(sk, _)| sk.starts_with("N#")).collect();
    let above = |(sk, item): &&&(String, std::collections::HashMap<String, String>)| {
        sk[2..].parse::<i64>().unwrap() > watermark && !item.contains_key("read_at")
    };
    let unread = notifications.iter().filter(above).count();
    (number(state, "seq"), number(state, "unread"), i64::try_from(unread).unwrap(), notifications.len())
}

#[tokio::test]
async fn unread_count_is_right_after_any_interleaving_and_kills() {
    let app = App::start().await;
    for seed in [0x9e37_79b9_7f4a_7c15, 0xdead_beef_cafe_f00d, 42] {
        let mut dice = Dice(seed);
        for round in 0..12 {
            let page = list(&app, Acme, Role::Marketer).await;
            let known: Vec<String> = page.json["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|n| n["notification_id"].as_str().unwrap().to_owned())
                .collect();
            let mut work: Vec<BoxFuture<'_, ()>> = Vec::new();
            for _ in 0..6 {
                let patience = usize::try_from(1 + dice.roll(24)).unwrap();
                match dice.roll(8) {
                    0 => work.push(
                        async {
                            let call = call(&app, Acme, Role::Marketer, "read_all_notifications").await;
                            let status = call.await.status;
                            assert!(matches!(status, 200 | 409), "{status}");
                        }
                        .boxed(),
                    ),
                    // One of the newest, so that two readers often read the same one.
                    1..=4 if !known.is_empty() => {
                        let id = known[usize::try_from(dice.roll(known.len().min(2) as u64)).unwrap()].clone();
                        let app = &app;
                        work.push(
                            async move {
                                let call = call(app, Acme, Role::Marketer, "read_notification").await.path("notification_id", id);
                                if let Some(answer) = kill_after(patience, call.into_future()).await {
                                    assert!(matches!(answer.status, 200 | 409), "{}", answer.text);
                                }
                            }
                            .boxed(),
                        );
                    }
                    _ => {
                        let mut queues = queues(&app);
                        queues.send("deliver_notification", &status_changed(&app, "DELIVERED").body);
                        let (consumer, message) = queues.take().unwrap();
                        let (app, deps) = (&app, app.deps());
                        work.push(
                            async move {
                                kill_after(patience, consumer.consume(deps, message.clone())).await;
                                app.clock().advance(Duration::from_secs(180));
                                assert!(consumer.consume(deps, message).await.batch_item_failures.is_empty());
                            }
                            .boxed(),
                        );
                    }
                }
            }
            join_all(work).await;
            let (seq, counted, unread, items) = inventory(&app).await;
            assert_eq!((counted, seq), (unread, i64::try_from(items).unwrap()), "seed {seed:x}, round {round}");
        }
    }
    let (seq, ..) = inventory(&app).await;
    assert!(seq > 30, "{seq}");
    assert!(CONSUMERS.iter().any(|consumer| consumer.name == "deliver_notification"));
}

#[tokio::test]
async fn reading_a_notification_twice_counts_it_once() {
    let app = App::start().await;
    deliver(&app, &[status_changed(&app, "DELIVERED"), status_changed(&app, "DELIVERED")]).await;
    let first = id(&list(&app, Acme, Role::Marketer).await, 0);
    for _ in 0..2 {
        let call = call(&app, Acme, Role::Marketer, "read_notification").await;
        let answer = call.path("notification_id", &first).await;
        assert_eq!((answer.status, &answer.json["read"]), (200, &json!(true)), "{}", answer.text);
        let page = unread(&app, Acme, Role::Marketer).await;
        assert_eq!((seqs(&page), &page.json["unread_count"]), (vec![1], &json!(1)));
    }
    assert_eq!(seqs(&list(&app, Acme, Role::Marketer).await), [2, 1]);
}

#[tokio::test]
async fn notification_of_another_user_is_not_found() {
    let app = App::start().await;
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    let id = id(&list(&app, Acme, Role::Marketer).await, 0);
    for (tenant, role) in [(Acme, Role::TenantAdmin), (Birch, Role::Marketer)] {
        let answer = call(&app, tenant, role, "read_notification").await.path("notification_id", &id).await;
        assert_eq!((answer.status, answer.code()), (404, "not_found"));
    }
    // An invented id with the same number is not found either.
    let made_up = format!("ntf_{}", "0".repeat(31) + "1");
    let answer = call(&app, Acme, Role::Marketer, "read_notification").await.path("notification_id", made_up).await;
    assert_eq!(answer.status, 404);
    assert_eq!(list(&app, Acme, Role::Marketer).await.json["unread_count"], 1);
}

#[tokio::test]
async fn reading_all_is_one_write_for_any_number() {
    let app = App::start().await;
    let events: Vec<_> = (0..15).map(|_| status_changed(&app, "DELIVERED")).collect();
    deliver(&app, &events).await;
    let call_all = call(&app, Acme, Role::Marketer, "read_all_notifications").await;
    app.reset_calls();
    let answer = call_all.await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json, json!({"unread_count": 0, "read_up_to": 15, "latest_seq": 15}));
    let written = app.wire().asked("TransactWriteItems");
    // The watermark, the check of the caller's membership, the audit event.
    assert_eq!(written[0]["TransactItems"].as_array().unwrap().len(), 3, "{written:#?}");
    assert_eq!(seqs(&unread(&app, Acme, Role::Marketer).await), [0; 0]);

    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    let page = unread(&app, Acme, Role::Marketer).await;
    assert_eq!((seqs(&page), &page.json["unread_count"]), (vec![16], &json!(1)));
    assert!(list(&app, Acme, Role::Marketer).await.json["items"].as_array().unwrap()[1..].iter().all(|n| n["read"] == true));
}

#[tokio::test]
async fn list_is_paged_with_bound_cursors() {
    let app = App::start().await;
    let events: Vec<_> = (0..5).map(|_| status_changed(&app, "DELIVERED")).collect();
    deliver(&app, &events).await;
    for unread in [true, false] {
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut page = call(&app, Acme, Role::Marketer, "list_notifications").await.query("limit", 2).query("unread", unread);
            if let Some(cursor) = &cursor {
                page = page.query("cursor", cursor);
            }
            let page = page.await;
            assert_eq!(page.status, 200, "{}", page.text);
            seen.extend(seqs(&page));
            cursor = page.json["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
            // Another list does not accept the cursor.
            let stolen = call(&app, Birch, Role::Marketer, "list_notifications").await.query("unread", unread);
            assert_eq!(stolen.query("cursor", cursor.as_ref().unwrap()).await.status, 422);
        }
        assert_eq!(seen, [5, 4, 3, 2, 1]);
    }
}
