//! Clients come, listen, ask, and go, or are shut out.

use crate::fixture::*;
use aws_sdk_dynamodb::types::AttributeValue::{N, S};
use common::{Clock, Role};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::time::Duration;
use testing::{App, Fault};

/// For so long a connection may be opening.
const OPENING: Duration = Duration::from_secs(30);

/// The connections that are remembered, of anybody.
async fn remembered(app: &App) -> Vec<String> {
    let mut found: Vec<_> = app
        .dump("EphemeraTable")
        .await
        .iter()
        .filter(|i| i["pk"].as_s().unwrap().contains("#SOCKETS#"))
        .map(|i| i["sk"].as_s().unwrap().clone())
        .collect();
    found.sort();
    found
}

async fn end(app: &App, who: &common::Identity) {
    let payload = json!({"user_id": who.user, "session_id": who.session});
    let mut queues = queues(app);
    queues.send("close_sockets", &told(app, who.tenant, &who.user.to_string(), "session.ended", payload).body);
    while queues.step().await {}
    assert_eq!(queues.dead(), []);
}

fn seqs_of(frames: &[Value]) -> Vec<i64> {
    frames.iter().filter_map(|f| f["seq"].as_i64()).collect()
}

#[tokio::test]
async fn every_device_of_a_user_is_told_and_nobody_elses() {
    let app = App::start().await;
    for connection in ["L0SM9cOFvHcCIhw=", "desk"] {
        connect(&app, Acme, Role::Marketer, connection).await;
    }
    connect(&app, Acme, Role::Viewer, "viewer").await;
    connect(&app, Birch, Role::Marketer, "birch").await;
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    for (connection, frames) in [("L0SM9cOFvHcCIhw=", 1), ("desk", 1), ("viewer", 0), ("birch", 0)] {
        assert_eq!(app.frames(connection).len(), frames, "{connection}");
    }
    let connected = app.audit(Acme).await.iter().filter(|e| e["type"].as_str().unwrap().ends_with(".connect")).count();
    assert_eq!(connected, 3);
}

#[tokio::test]
async fn a_connection_that_is_gone_is_forgotten_and_the_others_are_told() {
    let app = App::start().await;
    for connection in ["phone", "desk"] {
        connect(&app, Acme, Role::Marketer, connection).await;
    }
    app.hang_up("phone");
    app.clock().advance(OPENING);
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    assert_eq!(remembered(&app).await, ["desk"]);
    assert_eq!((app.frames("phone").len(), app.frames("desk").len()), (0, 1));
}

#[tokio::test]
async fn a_connection_that_cannot_be_reached_misses_a_frame_and_sees_that_it_did() {
    let app = App::start().await;
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    app.wire().fail("sockets", 0, 3, Fault::Gone);
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    app.wire().heal();
    assert_eq!(app.frames("phone").len(), 0);
    say(&app, &who, "phone", json!({"type": "ping"})).await;
    assert_eq!(app.frames("phone"), [json!({"type": "pong", "latest_seq": 1})]);
    say(&app, &who, "phone", json!({"type": "replay", "from": 0})).await;
    assert_eq!(seqs_of(&app.frames("phone")), [1]);
}

#[tokio::test]
async fn what_was_missed_is_sent_again_in_order_a_hundred_at_a_time() {
    let app = App::start().await;
    let events: Vec<_> = (0..103).map(|_| status_changed(&app, "DELIVERED")).collect();
    deliver(&app, &events).await;
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    say(&app, &who, "phone", json!({"type": "replay", "from": 1})).await;
    let frames = app.frames("phone");
    assert_eq!(seqs_of(&frames), (2..=101).collect::<Vec<_>>());
    assert_eq!(frames[100], json!({"type": "replayed", "up_to": 101, "more": true}));
    say(&app, &who, "phone", json!({"type": "replay", "from": 101})).await;
    assert_eq!(seqs_of(&app.frames("phone")[101..]), [102, 103]);
    assert_eq!(app.frames("phone").last(), Some(&json!({"type": "replayed", "up_to": 103, "more": false})));
    // Whoever says the same in another tenant has an inbox of their own.
    let other = connect(&app, Birch, Role::Marketer, "birch").await;
    say(&app, &other, "birch", json!({"type": "replay", "from": 0})).await;
    assert_eq!(app.frames("birch"), [json!({"type": "replayed", "up_to": 0, "more": false})]);
}

#[tokio::test]
async fn what_is_not_understood_is_refused_by_a_frame() {
    let app = App::start().await;
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    let long = "x".repeat(2000);
    for (frame, code) in [
        (json!({"type": "subscribe"}), "malformed_frame"),
        (json!("hello"), "malformed_frame"),
        (json!({"type": "ping", "note": "Ada Sentinel"}), "malformed_frame"),
        (json!({"type": "ping", "note": long}), "payload_too_large"),
    ] {
        say(&app, &who, "phone", frame).await;
        assert_eq!(app.frames("phone").last(), Some(&json!({"type": "error", "code": code})));
    }
    assert!(!everything_told(&app).await.contains("Sentinel"));
}

#[tokio::test]
async fn a_client_that_says_too_much_is_told_to_wait() {
    let app = App::start().await;
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    for _ in 0..120 {
        app.socket(socket("message"), &who, "phone", Some(&json!({"type": "ping"}))).await;
    }
    let last = app.frames("phone").pop().unwrap();
    // 120 a minute: one more each half second.
    assert_eq!((&last["code"], &last["retry_after"]), (&json!("rate_limited"), &json!(1)), "{last}");
    say(&app, &who, "phone", json!({"type": "ping"})).await;
    assert_eq!(app.frames("phone").pop().unwrap()["type"], "pong");
    for _ in 0..80 {
        app.socket(socket("message"), &who, "phone", Some(&json!({"type": "ping"}))).await;
    }
    let last = app.frames("phone").pop().unwrap();
    assert_eq!(last, json!({"type": "error", "code": "temporarily_blocked", "retry_after": 300}));
}

#[tokio::test]
async fn a_page_that_is_open_is_no_person_who_is_there() {
    let app = App::start().await;
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    for _ in 0..16 {
        app.clock().advance(Duration::from_secs(59));
        app.socket(socket("message"), &who, "phone", Some(&json!({"type": "ping"}))).await;
    }
    assert_eq!(app.frames("phone").pop(), Some(json!({"type": "error", "code": "unauthenticated"})));
    assert_eq!((app.closed_sockets(), remembered(&app).await), (vec!["phone".to_owned()], vec![]));
}

#[tokio::test]
async fn a_session_that_is_over_opens_nothing_and_what_it_opened_is_closed() {
    let app = App::start().await;
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    assert_eq!(app.socket(socket("connect"), &who, "tablet", None).await, 200);
    connect(&app, Acme, Role::Marketer, "other-session").await;
    connect(&app, Birch, Role::Marketer, "birch").await;
    end(&app, &who).await;
    let mut closed = app.closed_sockets();
    closed.sort();
    assert_eq!(closed, ["phone", "tablet"]);
    assert_eq!(remembered(&app).await, ["birch", "other-session"]);
    // Told again, it is as it was.
    end(&app, &who).await;
    assert_eq!(app.closed_sockets().len(), 2);

    assert_eq!(app.socket(socket("connect"), &who, "late", None).await, 401);
    assert!(!remembered(&app).await.contains(&"late".to_owned()));
    let refused =
        app.audit(Acme).await.into_iter().filter(|e| e["type"].as_str().unwrap().ends_with(".connect") && e["status"] == 401);
    assert_eq!(refused.count(), 1);
}

/// Who closes the sockets may come before the socket is remembered, and before whoever told of the end has ended the session.
#[tokio::test]
async fn a_socket_that_opens_while_its_session_ends_is_refused_and_forgotten() {
    let app = App::start().await;
    let who = app.open_session(Acme, Role::Marketer).await;
    let mut held = app.wire().hold("PutItem", 0);
    let mut connecting = std::pin::pin!(app.socket(socket("connect"), &who, "late", None));
    tokio::select! {
        status = &mut connecting => panic!("not held: {status}"),
        () = held.arrived() => {}
    }
    end(&app, &who).await;
    held.let_go();
    assert_eq!((connecting.await, remembered(&app).await), (401, vec![]));
    assert_eq!(app.socket(socket("connect"), &who, "later", None).await, 401);
}

#[tokio::test]
async fn a_close_that_fails_is_tried_again() {
    let app = App::start().await;
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    app.wire().fail("sockets", 0, 3, Fault::Gone);
    end(&app, &who).await;
    assert_eq!((app.closed_sockets(), remembered(&app).await), (vec!["phone".to_owned()], vec![]));
}

#[tokio::test]
async fn a_user_has_twenty_sockets_and_the_oldest_gives_way() {
    let app = App::start().await;
    let who = app.open_session(Acme, Role::Marketer).await;
    for n in 0..22 {
        app.clock().advance(Duration::from_secs(1));
        assert_eq!(app.socket(socket("connect"), &who, &format!("socket-{n:02}"), None).await, 200);
    }
    assert_eq!(app.closed_sockets(), ["socket-00", "socket-01"]);
    assert_eq!(remembered(&app).await.len(), 20);
}

#[tokio::test]
async fn who_goes_is_forgotten_even_where_the_session_is_over() {
    let app = App::start().await;
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    app.clock().advance(Duration::from_secs(24 * 3600));
    assert_eq!(app.socket(socket("disconnect"), &who, "phone", None).await, 200);
    assert_eq!(remembered(&app).await, [""; 0]);
}

#[tokio::test]
async fn a_connection_that_cannot_be_put_on_record_is_refused() {
    let app = App::start().await;
    let who = app.open_session(Acme, Role::Marketer).await;
    // The session's touch passes; the audit event does not.
    app.wire().fail("UpdateItem", 1, 9, Fault::Gone);
    assert_eq!(app.socket(socket("connect"), &who, "phone", None).await, 503);
}

#[tokio::test]
async fn connections_are_forgotten_in_time() {
    let app = App::start().await;
    connect(&app, Acme, Role::Marketer, "phone").await;
    app.clock().advance(Duration::from_secs(2 * 3600 + 1));
    app.open_session(Acme, Role::Marketer).await;
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    assert_eq!(app.frames("phone").len(), 0);
    assert_eq!(app.calls().sockets.len(), 0, "{}", app.clock().now());
}

#[tokio::test]
async fn after_a_storm_of_a_thousand_only_those_who_stayed_are_told_and_miss_nothing() {
    const CONNECTS: usize = 1000;
    let app = App::start().await;
    let mut users = Vec::new();
    for tenant in [Acme, Birch] {
        for role in [Role::TenantAdmin, Role::Provider, Role::Marketer, Role::Analyst, Role::Viewer] {
            users.push((tenant, app.open_session(tenant, role).await));
        }
    }
    let name = |n: usize| format!("socket-{n:04}");
    let of_user = |user: usize, some: &[String]| -> Vec<String> {
        (user..CONNECTS).step_by(users.len()).map(name).filter(|one| some.contains(one)).collect()
    };
    // Of each user's, every third goes, every third goes without a word, every third stays.
    let fate = |n: usize| n / users.len() % 3;
    let storm = stream::iter(0..CONNECTS).map(|n| {
        let (app, who, connection) = (&app, &users[n % users.len()].1, name(n));
        async move {
            app.clock().advance(Duration::from_millis(1));
            assert_eq!(app.socket(socket("connect"), who, &connection, None).await, 200);
            match fate(n) {
                0 => assert_eq!(app.socket(socket("disconnect"), who, &connection, None).await, 200),
                1 => app.hang_up(&connection),
                _ => {}
            }
        }
    });
    let reactivated = |tenant| told(&app, app.tenant_id(tenant), "operator", "organization.reactivated", json!({}));
    let meanwhile = [reactivated(Acme)];
    futures_util::future::join(storm.buffer_unordered(50).collect::<()>(), deliver(&app, &meanwhile)).await;
    // Those who went without a word may have been opening still, and are remembered until that is sure.
    let connected = remembered(&app).await;
    let heard: Vec<_> = (0..CONNECTS).filter(|n| fate(*n) == 2).map(name).filter(|one| connected.contains(one)).collect();
    assert!((0..users.len()).all(|user| (1..=20).contains(&of_user(user, &heard).len())), "{connected:?}");

    let before = app.all_frames().len();
    app.clock().advance(OPENING);
    deliver(&app, &[reactivated(Acme), reactivated(Birch)]).await;
    // Whoever stayed and did not give way to a newer one is remembered and told once; nobody else is.
    let (left, closed) = (remembered(&app).await, app.closed_sockets());
    let stayed: Vec<_> = (0..CONNECTS).filter(|n| fate(*n) == 2).map(name).filter(|one| !closed.contains(one)).collect();
    assert_eq!(left, stayed);
    assert!((0..users.len()).all(|user| (1..=20).contains(&of_user(user, &left).len())), "{left:?}");
    let mut told: Vec<_> = app.all_frames().split_off(before).into_iter().map(|(connection, _)| connection).collect();
    told.sort();
    assert_eq!(told, left);
    // What was told before somebody came is not lost to them.
    for (user, (tenant, who)) in users.iter().enumerate() {
        let latest = if *tenant == Acme { 2 } else { 1 };
        for connection in of_user(user, &left) {
            let frames = app.frames(&connection);
            assert_eq!(seqs_of(&frames).last(), Some(&latest), "{connection}");
            say(&app, who, &connection, json!({"type": "replay", "from": 0})).await;
            assert_eq!(seqs_of(&app.frames(&connection)[frames.len()..]), (1..=latest).collect::<Vec<_>>());
        }
    }
}

/// API Gateway says 410 of a connection until its connect function has answered and it is open.
#[tokio::test]
async fn socket_that_is_pushed_to_while_it_opens_hears_the_next_push() {
    let app = App::start().await;
    app.still_opening("phone");
    connect(&app, Acme, Role::Marketer, "phone").await;
    connect(&app, Birch, Role::Marketer, "birch").await;
    deliver(&app, &[status_changed(&app, "IN_TRANSIT"), status_changed(&app, "DELIVERED")]).await;
    assert_eq!((app.frames("phone").len(), remembered(&app).await), (0, vec!["birch".to_owned(), "phone".to_owned()]));
    app.is_open("phone");
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    assert_eq!(app.frames("phone").len(), 1);
    // One that never opened is forgotten once it cannot be opening any more.
    app.still_opening("desk");
    connect(&app, Acme, Role::Marketer, "desk").await;
    app.clock().advance(OPENING - Duration::from_millis(1));
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    assert!(remembered(&app).await.contains(&"desk".to_owned()));
    app.clock().advance(Duration::from_millis(1));
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    assert!(!remembered(&app).await.contains(&"desk".to_owned()));
}

#[tokio::test]
async fn frame_of_a_client_whose_socket_was_forgotten_has_it_remembered_again() {
    let app = App::start().await;
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    for frame in [json!({"type": "ping"}), json!({"type": "replay", "from": 0}), json!({"type": "unknown"})] {
        app.hang_up("phone");
        app.clock().advance(OPENING);
        deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
        assert_eq!(remembered(&app).await, [""; 0]);
        app.is_open("phone");
        say(&app, &who, "phone", frame).await;
        assert_eq!(remembered(&app).await, ["phone"]);
        let before = app.frames("phone").len();
        deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
        assert_eq!(app.frames("phone").len(), before + 1);
    }
    // Not where the session is over: the client is told, and closed.
    end(&app, &who).await;
    app.socket(socket("message"), &who, "phone", Some(&json!({"type": "ping"}))).await;
    assert_eq!(remembered(&app).await, [""; 0]);
}

/// Whoever closes it in that moment is told that it is gone, and closes it when it is open.
#[tokio::test]
async fn socket_whose_session_ends_while_it_opens_is_closed_once_it_is_open() {
    let app = App::start().await;
    app.still_opening("phone");
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    let payload = json!({"user_id": who.user, "session_id": who.session});
    let mut queues = queues(&app);
    queues.send("close_sockets", &told(&app, who.tenant, &who.user.to_string(), "session.ended", payload).body);
    queues.step().await;
    assert_eq!(remembered(&app).await, ["phone"], "the message comes again");
    app.is_open("phone");
    while queues.step().await {}
    assert_eq!(queues.dead(), []);
    assert_eq!((app.closed_sockets(), remembered(&app).await), (vec!["phone".to_owned()], vec![]));
}

/// The end may not have been announced yet: whoever sends asks the session.
#[tokio::test]
async fn push_closes_sockets_whose_session_is_over_and_sends_to_the_others() {
    let app = App::start().await;
    for way in ["ended", "idle", "expired"] {
        let over = connect(&app, Acme, Role::Marketer, &format!("{way}-over")).await;
        let pk = format!("{}#SESSIONS#{}", over.tenant, over.user);
        let (name, value) = match way {
            "ended" => ("status", S("ended".to_owned())),
            "idle" => ("last_seen", N((app.clock().now().as_millis() - 15 * 60 * 1000).to_string())),
            _ => ("ends_at", N(app.clock().now().as_millis().to_string())),
        };
        let update = app.raw().update_item().table_name(&app.provisioned().tables["EphemeraTable"]);
        let update = update.key("pk", S(pk)).key("sk", S(over.session.to_string())).update_expression("SET #n = :v");
        update.expression_attribute_names("#n", name).expression_attribute_values(":v", value).send().await.unwrap();
        connect(&app, Acme, Role::Marketer, &format!("{way}-live")).await;
        deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
        assert_eq!(app.frames(&format!("{way}-over")).len(), 0, "{way}");
        assert_eq!(app.frames(&format!("{way}-live")).len(), 1, "{way}");
        assert_eq!(app.closed_sockets().last(), Some(&format!("{way}-over")), "{way}");
        assert!(!remembered(&app).await.contains(&format!("{way}-over")), "{way}");
        app.clock().advance(Duration::from_secs(16 * 60));
        deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    }
}

/// Has a tenant allow these networks, past its endpoint; and the gate be read anew.
async fn allow(app: &App, tenant: testing::Tenant, networks: Value) {
    let update = app.raw().update_item().table_name(&app.provisioned().tables["RecordsTable"]);
    let update = update
        .key("pk", S(format!("{}#TENANT", app.tenant_id(tenant))))
        .key("sk", S("PROFILE".to_owned()))
        .update_expression("SET allowed_networks = :networks")
        .expression_attribute_values(":networks", S(networks.to_string()));
    update.send().await.unwrap();
    app.clock().advance(Duration::from_secs(6));
}

#[tokio::test]
async fn allow_list_that_changes_reaches_open_sockets_of_its_tenant_at_the_next_push_and_frame() {
    for speaks in [false, true] {
        let app = App::start().await;
        let who = connect(&app, Acme, Role::Marketer, "phone").await;
        let other = connect(&app, Birch, Role::Marketer, "birch").await;
        // Where they are.
        allow(&app, Acme, json!(["192.0.2.0/24"])).await;
        deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
        assert_eq!(app.frames("phone").len(), 1);
        allow(&app, Acme, json!(["198.51.100.0/24"])).await;
        if speaks {
            app.socket(socket("message"), &who, "phone", Some(&json!({"type": "ping"}))).await;
            assert_eq!(app.frames("phone").last(), Some(&json!({"type": "error", "code": "network_not_allowed"})));
        } else {
            deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
            assert_eq!(app.frames("phone").len(), 1);
        }
        assert_eq!((app.closed_sockets(), remembered(&app).await), (vec!["phone".to_owned()], vec!["birch".to_owned()]));
        assert_eq!(app.socket(socket("connect"), &who, "again", None).await, 403);
        app.socket(socket("message"), &other, "birch", Some(&json!({"type": "ping"}))).await;
        assert_eq!(app.frames("birch").pop().unwrap()["type"], "pong");
    }
}

/// A connection whose address nobody has noted is closed where there is a list, and its client comes again.
#[tokio::test]
async fn socket_of_before_addresses_were_noted_hears_until_there_is_a_list() {
    let app = App::start().await;
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    let update = app.raw().update_item().table_name(&app.provisioned().tables["EphemeraTable"]);
    let key = S(format!("{}#SOCKETS#{}", who.tenant, who.user));
    update.key("pk", key).key("sk", S("phone".to_owned())).update_expression("REMOVE ip").send().await.unwrap();
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    assert_eq!(app.frames("phone").len(), 1);
    allow(&app, Acme, json!(["192.0.2.0/24"])).await;
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    assert_eq!((app.frames("phone").len(), app.closed_sockets()), (1, vec!["phone".to_owned()]));
}

#[tokio::test]
async fn operators_socket_hears_only_where_the_platform_is_operated_from() {
    let app = App::start().await;
    let who = app.open_session(Acme, Role::SuperAdmin).await;
    let member = app.open_session(Acme, Role::Marketer).await;
    for (ip, who, status) in [("192.0.2.7", &who, 200), ("198.51.100.7", &who, 403), ("198.51.100.7", &member, 200)] {
        assert_eq!(app.socket_from(ip, socket("connect"), who, ip, None).await, status, "{ip}");
    }
}

/// It cannot be closed before it is open. Forgotten, it would open and hear nothing for two hours.
#[tokio::test]
async fn oldest_socket_that_is_still_opening_when_too_many_come_is_closed_once_it_is_open() {
    let app = App::start().await;
    let who = app.open_session(Acme, Role::Marketer).await;
    connect(&app, Birch, Role::Marketer, "birch").await;
    app.still_opening("socket-00");
    for n in 0..22 {
        app.clock().advance(Duration::from_secs(1));
        assert_eq!(app.socket(socket("connect"), &who, &format!("socket-{n:02}"), None).await, 200);
    }
    deliver(&app, &[status_changed(&app, "IN_TRANSIT")]).await;
    assert!(remembered(&app).await.contains(&"socket-00".to_owned()), "nobody could close it");
    assert_eq!(app.closed_sockets(), ["socket-01"]);
    app.is_open("socket-00");
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    assert_eq!(app.closed_sockets(), ["socket-01", "socket-00"], "its client is told");
    let left = remembered(&app).await;
    assert_eq!((left.len(), &left[0], &left[1]), (21, &"birch".to_owned(), &"socket-02".to_owned()));
    assert!(left[1..].iter().all(|one| app.frames(one).len() == 2));
    // One that never opens is forgotten, and keeps no place of another's.
    app.still_opening("socket-22");
    for n in 22..44 {
        assert_eq!(app.socket(socket("connect"), &who, &format!("socket-{n}"), None).await, 200);
        app.clock().advance(Duration::from_secs(1));
    }
    app.clock().advance(OPENING);
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    let left = remembered(&app).await;
    assert_eq!((left.len(), &left[1]), (21, &"socket-24".to_owned()), "{left:?}");
}

/// The copy in the session is rewritten when a factor is activated; the socket was opened before.
#[tokio::test]
async fn push_closes_a_socket_whose_session_has_not_given_the_factor_that_is_enrolled() {
    let app = App::start().await;
    let who = app.open_session_without_mfa(Acme, Role::Marketer).await;
    assert_eq!(app.socket(socket("connect"), &who, "without", None).await, 200);
    connect(&app, Acme, Role::Marketer, "with").await;
    let neighbour = app.open_session_without_mfa(Birch, Role::Marketer).await;
    assert_eq!(app.socket(socket("connect"), &neighbour, "birch", None).await, 200);
    deliver(&app, &[status_changed(&app, "IN_TRANSIT")]).await;
    assert_eq!((app.frames("without").len(), app.frames("with").len()), (1, 1), "none is enrolled");
    let update = app.raw().update_item().table_name(&app.provisioned().tables["EphemeraTable"]);
    let update = update.key("pk", S(format!("{}#SESSIONS#{}", who.tenant, who.user))).key("sk", S(who.session.to_string()));
    let update = update.update_expression("SET mfa_enrolled = :one").expression_attribute_values(":one", N("1".to_owned()));
    update.send().await.unwrap();
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    assert_eq!((app.frames("without").len(), app.frames("with").len()), (1, 2));
    assert_eq!((app.closed_sockets(), remembered(&app).await), (vec!["without".to_owned()], vec!["birch".into(), "with".into()]));
}
