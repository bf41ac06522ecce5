//! Clients connect, receive pushes, send frames and disconnect, or are disconnected.

use crate::fixture::*;
use aws_sdk_dynamodb::types::AttributeValue::{self, N, S};
use common::base::{Clock, Role};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::time::Duration;
use testing::{App, Fault};

/// The time for which a connection may still be opening.
const OPENING: Duration = Duration::from_secs(30);

/// The stored connections of all users.
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

async fn end(app: &App, who: &common::base::Identity) {
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
async fn push_reaches_every_socket_of_its_user_only() {
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
async fn gone_connection_is_removed_and_others_get_the_push() {
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
async fn missed_frame_is_visible_to_the_client_by_its_number() {
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
async fn missed_notifications_are_replayed_in_order_a_hundred_at_a_time() {
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
    // The same user in another tenant has a separate inbox.
    let other = connect(&app, Birch, Role::Marketer, "birch").await;
    say(&app, &other, "birch", json!({"type": "replay", "from": 0})).await;
    assert_eq!(app.frames("birch"), [json!({"type": "replayed", "up_to": 0, "more": false})]);
}

#[tokio::test]
async fn invalid_client_frame_gets_an_error_frame() {
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
async fn client_over_the_frame_limit_is_told_to_wait() {
    let app = App::start().await;
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    for _ in 0..120 {
        app.socket(socket("message"), &who, "phone", Some(&json!({"type": "ping"}))).await;
    }
    let last = app.frames("phone").pop().unwrap();
    // The limit is 120 a minute: one more each half second.
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
async fn pings_do_not_keep_a_session_alive() {
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
async fn ended_session_opens_no_socket_and_its_sockets_are_closed() {
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
    // A repeated event has no further effect.
    end(&app, &who).await;
    assert_eq!(app.closed_sockets().len(), 2);

    assert_eq!(app.socket(socket("connect"), &who, "late", None).await, 401);
    assert!(!remembered(&app).await.contains(&"late".to_owned()));
    let refused =
        app.audit(Acme).await.into_iter().filter(|e| e["type"].as_str().unwrap().ends_with(".connect") && e["status"] == 401);
    assert_eq!(refused.count(), 1);
}

/// The consumer that closes the sockets may run before the socket is stored, and before the session is marked as ended.
#[tokio::test]
async fn socket_opening_while_its_session_ends_is_refused() {
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
async fn failed_close_is_retried() {
    let app = App::start().await;
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    app.wire().fail("sockets", 0, 3, Fault::Gone);
    end(&app, &who).await;
    assert_eq!((app.closed_sockets(), remembered(&app).await), (vec!["phone".to_owned()], vec![]));
}

#[tokio::test]
async fn twenty_first_socket_closes_the_oldest() {
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
async fn disconnect_removes_the_socket_even_after_the_session_ended() {
    let app = App::start().await;
    let who = connect(&app, Acme, Role::Marketer, "phone").await;
    app.clock().advance(Duration::from_secs(24 * 3600));
    assert_eq!(app.socket(socket("disconnect"), &who, "phone", None).await, 200);
    assert_eq!(remembered(&app).await, [""; 0]);
}

#[tokio::test]
async fn connection_that_cannot_be_audited_is_refused() {
    let app = App::start().await;
    let who = app.open_session(Acme, Role::Marketer).await;
    // The session's update succeeds; the audit event fails.
    app.wire().fail("UpdateItem", 1, 9, Fault::Gone);
    assert_eq!(app.socket(socket("connect"), &who, "phone", None).await, 503);
}

#[tokio::test]
async fn connection_is_removed_after_two_hours() {
    let app = App::start().await;
    connect(&app, Acme, Role::Marketer, "phone").await;
    app.clock().advance(Duration::from_secs(2 * 3600 + 1));
    app.open_session(Acme, Role::Marketer).await;
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    assert_eq!(app.frames("phone").len(), 0);
    assert_eq!(app.calls().sockets.len(), 0, "{}", app.clock().now());
}

#[tokio::test]
async fn thousand_connects_leave_only_live_sockets_without_lost_frames() {
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
    // Of each user's sockets, a third disconnects, a third vanishes without a disconnect, and a third stays.
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
    // Vanished sockets could still be opening, so they stay stored until that time has passed.
    let connected = remembered(&app).await;
    let heard: Vec<_> = (0..CONNECTS).filter(|n| fate(*n) == 2).map(name).filter(|one| connected.contains(one)).collect();
    assert!((0..users.len()).all(|user| (1..=20).contains(&of_user(user, &heard).len())), "{connected:?}");

    let before = app.all_frames().len();
    app.clock().advance(OPENING);
    deliver(&app, &[reactivated(Acme), reactivated(Birch)]).await;
    // Sockets that stay and are not replaced by newer ones are stored and get one frame each; no other socket is.
    let (left, closed) = (remembered(&app).await, app.closed_sockets());
    let stayed: Vec<_> = (0..CONNECTS).filter(|n| fate(*n) == 2).map(name).filter(|one| !closed.contains(one)).collect();
    assert_eq!(left, stayed);
    assert!((0..users.len()).all(|user| (1..=20).contains(&of_user(user, &left).len())), "{left:?}");
    let mut told: Vec<_> = app.all_frames().split_off(before).into_iter().map(|(connection, _)| connection).collect();
    told.sort();
    assert_eq!(told, left);
    // Notifications before a connection are not lost to its user.
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

/// API Gateway answers 410 for a connection until its connect function has answered and it is open.
#[tokio::test]
async fn socket_pushed_to_while_opening_gets_the_next_push() {
    let app = App::start().await;
    app.still_opening("phone");
    connect(&app, Acme, Role::Marketer, "phone").await;
    connect(&app, Birch, Role::Marketer, "birch").await;
    deliver(&app, &[status_changed(&app, "IN_TRANSIT"), status_changed(&app, "DELIVERED")]).await;
    assert_eq!((app.frames("phone").len(), remembered(&app).await), (0, vec!["birch".to_owned(), "phone".to_owned()]));
    app.is_open("phone");
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    assert_eq!(app.frames("phone").len(), 1);
    // A connection that never opened is removed once it cannot be opening any more.
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
async fn frame_of_a_removed_socket_stores_it_again() {
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
    // If the session has ended, the client gets an error and the socket is closed.
    end(&app, &who).await;
    app.socket(socket("message"), &who, "phone", Some(&json!({"type": "ping"}))).await;
    assert_eq!(remembered(&app).await, [""; 0]);
}

/// A close during the opening gets 410, and is repeated once the socket is open.
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

/// The event of the end may not have arrived yet, so a push checks the session.
#[tokio::test]
async fn push_closes_sockets_of_ended_sessions_and_reaches_the_others() {
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

/// Sets an attribute of a tenant's profile directly in the table, and expires the cached profile.
async fn set(app: &App, tenant: testing::Tenant, name: &str, value: Value) {
    let update = app.raw().update_item().table_name(&app.provisioned().tables["RecordsTable"]);
    let update = update
        .key("pk", S(format!("{}#TENANT", app.tenant_id(tenant))))
        .key("sk", S("PROFILE".to_owned()))
        .update_expression("SET #name = :value")
        .expression_attribute_names("#name", name)
        .expression_attribute_values(":value", S(value.to_string()));
    update.send().await.unwrap();
    app.clock().advance(Duration::from_secs(6));
}

async fn allow(app: &App, tenant: testing::Tenant, networks: Value) {
    set(app, tenant, "allowed_networks", networks).await;
}

#[tokio::test]
async fn changed_allowlist_applies_to_open_sockets_of_its_tenant() {
    for speaks in [false, true] {
        let app = App::start().await;
        let who = connect(&app, Acme, Role::Marketer, "phone").await;
        let other = connect(&app, Birch, Role::Marketer, "birch").await;
        // The network of the clients.
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

/// Sets an attribute of the session that opened a socket.
async fn alter_session(app: &App, who: &common::base::Identity, name: &str, value: AttributeValue) {
    let update = app.raw().update_item().table_name(&app.provisioned().tables["EphemeraTable"]);
    let update = update.key("pk", S(format!("{}#SESSIONS#{}", who.tenant, who.user))).key("sk", S(who.session.to_string()));
    let update = update.update_expression("SET #name = :value").expression_attribute_names("#name", name);
    update.expression_attribute_values(":value", value).send().await.unwrap();
}

/// The member has a second factor and has not given it, which a trusted network allows.
#[tokio::test]
async fn socket_without_second_factor_is_closed_when_its_network_is_no_longer_trusted() {
    for speaks in [false, true] {
        let app = App::start().await;
        let who = app.open_session_without_mfa(Acme, Role::Marketer).await;
        alter_session(&app, &who, "mfa_enrolled", N("1".to_owned())).await;
        set(&app, Acme, "settings", json!({"trusted_networks": ["192.0.2.0/24"]})).await;
        assert_eq!(app.socket(socket("connect"), &who, "phone", None).await, 200);
        connect(&app, Birch, Role::Marketer, "birch").await;
        deliver(&app, &[status_changed(&app, "IN_TRANSIT")]).await;
        assert_eq!(app.frames("phone").len(), 1);
        set(&app, Acme, "settings", json!({"trusted_networks": ["198.51.100.0/24"]})).await;
        if speaks {
            app.socket(socket("message"), &who, "phone", Some(&json!({"type": "ping"}))).await;
            assert_eq!(app.frames("phone").last(), Some(&json!({"type": "error", "code": "mfa_required"})));
        } else {
            deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
            assert_eq!(app.frames("phone").len(), 1);
        }
        assert_eq!((app.closed_sockets(), remembered(&app).await), (vec!["phone".to_owned()], vec!["birch".to_owned()]));
    }
}

/// No policy allows a key a ticket. If one did, the key's own networks would apply to its sockets.
#[tokio::test]
async fn key_gets_no_ticket_and_its_socket_is_closed_when_its_networks_change() {
    let app = App::start().await;
    assert_eq!(call(&app, Acme, Role::ApiUser, "create_socket_ticket").await.await.status, 403);
    let who = app.open_session(Acme, Role::ApiUser).await;
    assert_eq!(app.socket(socket("connect"), &who, "key", None).await, 200);
    let mut bounds = serde_json::to_value(common::base::KeyBounds::everything()).unwrap();
    bounds["networks"] = json!(["198.51.100.0/24"]);
    alter_session(&app, &who, "bounds", S(bounds.to_string())).await;
    app.socket(socket("message"), &who, "key", Some(&json!({"type": "ping"}))).await;
    assert_eq!(app.frames("key").last(), Some(&json!({"type": "error", "code": "network_not_allowed"})));
    assert_eq!((app.closed_sockets(), remembered(&app).await), (vec!["key".to_owned()], vec![]));
}

/// A connection without a stored address is closed if there is an allowlist, and its client connects again.
#[tokio::test]
async fn socket_without_a_stored_address_is_closed_only_under_an_allowlist() {
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
async fn operator_socket_gets_pushes_only_on_operator_networks() {
    let app = App::start().await;
    let who = app.open_session(Acme, Role::SuperAdmin).await;
    let member = app.open_session(Acme, Role::Marketer).await;
    for (ip, who, status) in [("192.0.2.7", &who, 200), ("198.51.100.7", &who, 403), ("198.51.100.7", &member, 200)] {
        assert_eq!(app.socket_from(ip, socket("connect"), who, ip, None).await, status, "{ip}");
    }
}

/// It cannot be closed before it is open. If it were removed from the store, it would open and get no frames for two hours.
#[tokio::test]
async fn oldest_socket_still_opening_is_closed_once_it_is_open() {
    let app = App::start().await;
    let who = app.open_session(Acme, Role::Marketer).await;
    connect(&app, Birch, Role::Marketer, "birch").await;
    app.still_opening("socket-00");
    for n in 0..22 {
        app.clock().advance(Duration::from_secs(1));
        assert_eq!(app.socket(socket("connect"), &who, &format!("socket-{n:02}"), None).await, 200);
    }
    deliver(&app, &[status_changed(&app, "IN_TRANSIT")]).await;
    assert!(remembered(&app).await.contains(&"socket-00".to_owned()), "it could not be closed yet");
    assert_eq!(app.closed_sockets(), ["socket-01"]);
    app.is_open("socket-00");
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    assert_eq!(app.closed_sockets(), ["socket-01", "socket-00"], "both are closed");
    let left = remembered(&app).await;
    assert_eq!((left.len(), &left[0], &left[1]), (21, &"birch".to_owned(), &"socket-02".to_owned()));
    assert!(left[1..].iter().all(|one| app.frames(one).len() == 2));
    // A socket that never opens is removed, and takes no other socket's place.
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

/// Activating a factor updates the copy in the session; the socket was opened before.
#[tokio::test]
async fn push_closes_socket_of_a_session_without_the_enrolled_factor() {
    let app = App::start().await;
    let who = app.open_session_without_mfa(Acme, Role::Marketer).await;
    assert_eq!(app.socket(socket("connect"), &who, "without", None).await, 200);
    connect(&app, Acme, Role::Marketer, "with").await;
    let neighbour = app.open_session_without_mfa(Birch, Role::Marketer).await;
    assert_eq!(app.socket(socket("connect"), &neighbour, "birch", None).await, 200);
    deliver(&app, &[status_changed(&app, "IN_TRANSIT")]).await;
    assert_eq!((app.frames("without").len(), app.frames("with").len()), (1, 1), "no factor is enrolled");
    alter_session(&app, &who, "mfa_enrolled", N("1".to_owned())).await;
    deliver(&app, &[status_changed(&app, "DELIVERED")]).await;
    assert_eq!((app.frames("without").len(), app.frames("with").len()), (1, 2));
    assert_eq!((app.closed_sockets(), remembered(&app).await), (vec!["without".to_owned()], vec!["birch".into(), "with".into()]));
}
