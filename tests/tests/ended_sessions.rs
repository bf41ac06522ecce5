//! When a session ends, for whatever cause, its tokens and tickets are refused, and pending sign-ins of its user are rejected.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::base::{Clock, Identity, Role};
use serde_json::json;
use std::time::Duration;
use suite::people::{
    self, endpoint, enrol, give_code, identity, login, me, public, refresh, sessions, sign_in, text, waiting, with_second_factor,
};
use testing::{App, PASSWORD, Tenant};

const CHOSEN: &str = "Chosen-Passw0rd-7!";

/// The cause that ends a session.
#[derive(Clone, Copy, Debug)]
enum End {
    Logout,
    EndedByOwner,
    EndedByAdmin,
    SignOut,
    PasswordChanged,
    PasswordReset,
    PasswordResetByAdmin,
    Disabled,
    DisabledAndEnabled,
    Deleted,
}

impl End {
    const ALL: [(Self, Role); 10] = [
        (Self::Logout, Role::Marketer),
        (Self::EndedByOwner, Role::Marketer),
        (Self::EndedByAdmin, Role::Marketer),
        (Self::SignOut, Role::Viewer),
        (Self::PasswordChanged, Role::Viewer),
        (Self::PasswordReset, Role::Provider),
        (Self::DisabledAndEnabled, Role::Analyst),
        (Self::Disabled, Role::Analyst),
        (Self::PasswordResetByAdmin, Role::Marketer),
        (Self::Deleted, Role::Marketer),
    ];

    async fn comes(self, app: &App, role: Role, who: &Identity) {
        let own = async |name: &str| app.as_identity(who.clone()).call(endpoint(name));
        let admin = async |name: &str| {
            let admin = app.open_session(Tenant::Acme, Role::TenantAdmin).await;
            app.as_identity(admin).call(endpoint(name)).path("user_id", who.user)
        };
        let done = match self {
            Self::Logout => own("logout").await.await,
            Self::EndedByOwner => own("end_session").await.path("session_id", who.session).await,
            Self::EndedByAdmin => admin("end_user_sessions").await.await,
            Self::SignOut => admin("sign_out_user").await.await,
            Self::PasswordChanged => {
                let elsewhere = app.as_identity(app.open_session(Tenant::Acme, role).await);
                let passwords = json!({"current_password": PASSWORD, "new_password": CHOSEN});
                elsewhere.call(endpoint("change_password")).json(passwords).await
            }
            Self::PasswordReset => {
                let asked = public(app, "forgot_password", json!({"email": app.email(Tenant::Acme, role)})).await;
                assert_eq!(asked.status, 202, "{}", asked.text);
                app.deliveries(identity::consumers::CONSUMERS).settle().await;
                public(app, "reset_password", json!({"token": mailed_token(app), "new_password": CHOSEN})).await
            }
            Self::PasswordResetByAdmin => admin("reset_user_password").await.await,
            Self::Disabled => admin("disable_user").await.await,
            Self::DisabledAndEnabled => {
                admin("disable_user").await.await;
                admin("enable_user").await.await
            }
            Self::Deleted => admin("delete_user").await.await,
        };
        assert!([200, 204].contains(&done.status), "{self:?}: {}", done.text);
    }
}

fn mailed_token(app: &App) -> String {
    let mails = app.mails();
    let text = mails.last().unwrap()["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap();
    text.split_once("token: ").unwrap().1.split_whitespace().next().unwrap().to_owned()
}

/// True if a ticket still opens a socket.
async fn opens_a_socket(app: &App, ticket: &str) -> bool {
    let Ok(context) = app.shake_hands(&people::authorizer(app), Some(ticket), "192.0.2.7").await else { return false };
    let text = |name: &str| context[name].as_str().unwrap();
    let who = Identity {
        tenant: text("tenant_id").parse().unwrap(),
        user: text("user_id").parse().unwrap(),
        session: text("session_id").parse().unwrap(),
        expires_at: app.clock().now().plus(Duration::from_secs(60)),
    };
    let connect = registry::sockets().find(|socket| socket.name == "connect").unwrap();
    app.socket(connect, &who, "connection-1", None).await == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_a_session_are_refused_however_it_ended() {
    let app = App::with_cognito().await;
    let neighbour = sign_in(&app, Tenant::Birch, Role::Marketer).await;
    for (end, role) in End::ALL {
        let first = sign_in(&app, Tenant::Acme, role).await;
        let second = refresh(&app, &text(&first, "refresh_token")).await;
        let who = identity(&app, &text(&second, "access_token")).await.unwrap();
        let tickets = async || {
            let asked = app.as_identity(who.clone()).call(endpoint("create_socket_ticket")).await;
            text(&asked, "ticket")
        };
        assert!(opens_a_socket(&app, &tickets().await).await, "{end:?}");
        let ticket = tickets().await;
        assert_eq!(me(&app, &text(&second, "access_token")).await.0, 200, "{end:?}");

        end.comes(&app, role, &who).await;
        for tokens in [&first, &second] {
            assert_eq!(me(&app, &text(tokens, "access_token")).await.0, 401, "{end:?}");
        }
        assert!(!opens_a_socket(&app, &ticket).await, "{end:?}");
        assert_eq!(refresh(&app, &text(&second, "refresh_token")).await.status, 401, "{end:?}");
        // A used refresh token is refused each time.
        for _ in 0..2 {
            assert_eq!(refresh(&app, &text(&first, "refresh_token")).await.status, 401, "{end:?}");
        }
        assert_eq!(me(&app, &text(&second, "access_token")).await.0, 401, "{end:?}");
    }
    assert_eq!(me(&app, &text(&neighbour, "access_token")).await.0, 200);
    assert_eq!(refresh(&app, &text(&neighbour, "refresh_token")).await.status, 200);
}

/// An attacker who has learned a password may have a pending sign-in when the user changes the password because of that.
#[tokio::test(flavor = "multi_thread")]
async fn pending_sign_in_is_rejected_after_password_change_or_sign_out() {
    let app = App::with_cognito().await;
    let roles = [Role::Marketer, Role::Viewer, Role::Provider, Role::Analyst];
    let ends = [End::PasswordChanged, End::PasswordReset, End::SignOut, End::DisabledAndEnabled];
    for (end, role) in ends.into_iter().zip(roles) {
        let (secret, _) = with_second_factor(&app, Tenant::Acme, role).await;
        let handle = waiting(&app, Tenant::Acme, role).await;
        app.clock().advance(Duration::from_secs(1));
        let who = app.open_session(Tenant::Acme, role).await;
        end.comes(&app, role, &who).await;
        let late = give_code(&app, &handle, &secret.code_at(app.clock().now())).await;
        assert_eq!((late.status, late.code()), (401, "invalid_credentials"), "{end:?}: {}", late.text);
    }
    // The pending sign-in is also rejected if the attacker enrols a second factor in the meantime.
    let asked = login(&app, &app.email(Tenant::Acme, Role::TenantAdmin), PASSWORD).await;
    let handle = text(&asked, "session");
    enrol(&app, &app.as_identity(identity(&app, &handle).await.unwrap())).await;
    app.clock().advance(Duration::from_secs(1));
    let who = app.open_session(Tenant::Acme, Role::TenantAdmin).await;
    End::SignOut.comes(&app, Role::TenantAdmin, &who).await;
    let late = public(&app, "challenge", json!({"challenge": "MFA_SETUP", "session": handle})).await;
    assert_eq!((late.status, late.code()), (401, "invalid_credentials"), "{}", late.text);
}

/// The same for a pending sign-in that needs no code.
#[tokio::test(flavor = "multi_thread")]
async fn sign_in_of_a_user_signed_out_meanwhile_opens_no_session() {
    let app = App::with_cognito().await;
    let email = app.email(Tenant::Acme, Role::Marketer);
    let who = app.open_session(Tenant::Acme, Role::Marketer).await;
    let mut held = app.wire().hold("TransactWriteItems", 0);
    let mut signing_in = std::pin::pin!(login(&app, &email, PASSWORD));
    tokio::select! {
        answer = &mut signing_in => panic!("not held: {}", answer.text),
        () = held.arrived() => {}
    }
    app.clock().advance(Duration::from_secs(1));
    End::SignOut.comes(&app, Role::Marketer, &who).await;
    let before = sessions(&app).await;
    held.let_go();
    let late = signing_in.await;
    assert_eq!((late.status, late.code()), (401, "invalid_credentials"), "{}", late.text);
    assert_eq!(sessions(&app).await, before);
    assert_eq!(login(&app, &email, PASSWORD).await.status, 200, "a sign-in that begins afterwards succeeds");
}

/// A sign-in between the query for the sessions to end, or to rewrite, and the commit would be missed. The commit must fail.
#[tokio::test(flavor = "multi_thread")]
async fn session_opened_while_others_end_conflicts_and_the_next_try_finds_it() {
    let app = App::with_cognito().await;
    let ends = [
        (Role::Marketer, "sign_out_user", None),
        (Role::Viewer, "disable_user", None),
        (Role::Provider, "grant_role", Some("viewer")),
        (Role::Analyst, "delete_user", None),
    ];
    for (role, name, given) in ends {
        let user = app.open_session(Tenant::Acme, role).await.user;
        let admin = app.as_identity(app.open_session(Tenant::Acme, Role::TenantAdmin).await);
        let end = || {
            let call = admin.call(endpoint(name)).path("user_id", user);
            if let Some(role) = given { call.path("role", role).json(json!({})) } else { call }
        };
        let mut held = app.wire().hold("TransactWriteItems", 0);
        let mut ending = end().into_future();
        tokio::select! {
            answer = &mut ending => panic!("{name} never commits: {}", answer.text),
            () = held.arrived() => {}
        }
        let come = sign_in(&app, Tenant::Acme, role).await;
        held.let_go();
        let late = ending.await;
        assert_eq!((late.status, late.code()), (409, "changed"), "{name}: {}", late.text);
        let before = me(&app, &text(&come, "access_token")).await;
        assert_eq!(before.0, 200, "{name}");
        let done = end().await;
        assert!([200, 204].contains(&done.status), "{name}: {}", done.text);
        let after = me(&app, &text(&come, "access_token")).await;
        match given {
            None => assert_eq!(after.0, 401, "{name}"),
            Some(_) => assert_ne!(after.1["roles"], before.1["roles"], "{name}: {}", after.1),
        }
    }
}

/// A session is idle by a setting of the tenant. If the setting changes, a session that was not ended would be live again.
#[tokio::test(flavor = "multi_thread")]
async fn idle_session_ends_when_the_others_are_ended() {
    let app = App::with_cognito().await;
    let session = sign_in(&app, Tenant::Acme, Role::Marketer).await;
    let who = identity(&app, &text(&session, "access_token")).await.unwrap();
    app.clock().advance(Duration::from_secs(20 * 60));
    let admin = async |name: &str| app.as_identity(app.open_session(Tenant::Acme, Role::TenantAdmin).await).call(endpoint(name));
    assert_eq!(admin("sign_out_user").await.path("user_id", who.user).await.status, 204);
    let patient = json!({"session_idle_minutes": 60});
    let put = admin("put_settings").await.path("tenant_id", who.tenant).header("If-Match", "*").json(patient).await;
    assert_eq!(put.status, 200, "{}", put.text);
    app.clock().advance(Duration::from_secs(6));
    assert_eq!(app.as_identity(who).call(endpoint("me")).await.status, 401);
    assert_eq!(refresh(&app, &text(&session, "refresh_token")).await.status, 401);
}

/// Until the temporary password is set, the old password still opens sessions.
#[tokio::test(flavor = "multi_thread")]
async fn session_by_the_old_password_ends_when_the_temporary_one_is_set() {
    let app = App::with_cognito().await;
    let user = app.open_session(Tenant::Acme, Role::Marketer).await.user;
    let admin = app.as_identity(app.open_session(Tenant::Acme, Role::TenantAdmin).await);
    assert_eq!(admin.call(endpoint("reset_user_password")).path("user_id", user).await.status, 204);
    app.clock().advance(Duration::from_secs(1));
    let thief = sign_in(&app, Tenant::Acme, Role::Marketer).await;
    assert_eq!(me(&app, &text(&thief, "access_token")).await.0, 200);
    app.clock().advance(Duration::from_secs(1));
    app.deliveries(users::consumers::CONSUMERS).settle().await;
    assert_eq!(me(&app, &text(&thief, "access_token")).await.0, 401);
    assert_eq!(refresh(&app, &text(&thief, "refresh_token")).await.status, 401);
    assert_eq!(login(&app, &app.email(Tenant::Acme, Role::Marketer), PASSWORD).await.status, 401);
}
