//! Attacks on sign-in: sessions and handles that the caller presents, and guessed codes.

use common::base::{Clock, Identity, Role, SessionId, Uuid};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::{future::IntoFuture, time::Duration};
use suite::people::{
    self, endpoint, enrol, give_code, identity, login, me, public, refresh, sessions, text, waiting, with_second_factor,
};
use testing::{App, PASSWORD, Tenant, find};

const CHOSEN: &str = "Chosen-Passw0rd-7!";

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_never_adopts_a_session_that_the_caller_presents() {
    let app = App::with_cognito().await;
    let mallory = app.open_session(Tenant::Birch, Role::Viewer).await;
    let made_up = SessionId::from_uuid(Uuid::from_bytes([7; 16]));
    let known = sessions(&app).await;
    let email = app.email(Tenant::Acme, Role::Marketer);
    let credentials = json!({"email": email, "password": PASSWORD});
    let mut opened = Vec::new();
    for brought in [mallory.session, made_up] {
        people::catch_up(&app);
        // The caller presents their own token, the identity for it, and the session that they want.
        let call = app.as_identity(Identity { session: brought, ..mallory.clone() }).call(endpoint("login"));
        let call = call.header("Cookie", format!("session={brought}; session_id={brought}")).header("X-Session-Id", brought);
        let signed_in = call.header("Authorization", format!("Bearer {brought}")).json(credentials.clone()).await;
        assert_eq!(signed_in.status, 200, "{}", signed_in.text);
        people::catch_up(&app);
        let who = identity(&app, &text(&signed_in, "access_token")).await.unwrap();
        assert_eq!(who.user, app.user_id(Tenant::Acme, Role::Marketer));
        assert!(![mallory.session, made_up].contains(&who.session), "{who:?}");
        opened.push(who.session);
        for member in ["session", "session_id", "challenge", "refresh_token"] {
            let mut more = credentials.clone();
            more[member] = brought.to_string().into();
            let refused = public(&app, "login", more).await;
            assert_eq!((refused.status, &refused.json["errors"][0]["code"]), (422, &json!("unknown_field")), "{member}");
        }
    }
    assert_ne!(opened[0], opened[1], "each sign-in has a session of its own");
    let now = sessions(&app).await;
    assert_eq!(now.len(), known.len() + 2, "{now:?}");
    assert!(!now.iter().any(|session| session.ends_with(&made_up.to_string())));
    // Mallory's session is unchanged.
    let seen = app.as_identity(mallory.clone()).call(endpoint("me")).await;
    assert_eq!(seen.json["user_id"], json!(mallory.user), "{}", seen.text);
    let other = Identity { session: opened[0], ..mallory };
    assert_eq!(app.as_identity(other).call(endpoint("me")).await.status, 401, "a session is looked up under its user");
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_sign_in_is_completed_by_its_own_user_and_challenge_only() {
    let app = App::with_cognito().await;
    let (mallorys, _) = with_second_factor(&app, Tenant::Birch, Role::Viewer).await;
    let (victims, _) = with_second_factor(&app, Tenant::Acme, Role::Viewer).await;
    let (hers, theirs) = (waiting(&app, Tenant::Birch, Role::Viewer).await, waiting(&app, Tenant::Acme, Role::Viewer).await);
    let before = sessions(&app).await;
    let now = || app.clock().now();
    // Mallory makes the victim give a code for her sign-in, and gives hers for the victim's.
    assert_eq!(give_code(&app, &hers, &victims.code_at(now())).await.status, 401);
    assert_eq!(give_code(&app, &theirs, &mallorys.code_at(now())).await.status, 401);
    // A handle is not accepted for another challenge or as a token.
    for (challenge, more) in [("MFA_SETUP", Value::Null), ("NEW_PASSWORD_REQUIRED", json!(CHOSEN))] {
        let body = json!({"challenge": challenge, "session": theirs, "new_password": more});
        assert_eq!(public(&app, "challenge", body).await.status, 401, "{challenge}");
    }
    assert_eq!(refresh(&app, &theirs).await.status, 401);
    assert_eq!(me(&app, &theirs).await.0, 401);
    assert_eq!(sessions(&app).await, before, "no session was opened");
    // Her own code signs her in as herself.
    let done = give_code(&app, &hers, &mallorys.code_at(now())).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(me(&app, &text(&done, "access_token")).await.1["user_id"], json!(app.user_id(Tenant::Birch, Role::Viewer)));
    // A token is not accepted as a handle.
    for token in [text(&done, "access_token"), text(&done, "refresh_token"), text(&done, "id_token"), hers] {
        let refused = give_code(&app, &token, &mallorys.code_at(now())).await;
        // An access token is longer than a handle may be, hence the 422.
        assert!([401, 422].contains(&refused.status), "{}", refused.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_opened_after_enrolment_is_not_the_enrolling_session() {
    let app = App::with_cognito().await;
    let asked = login(&app, &app.email(Tenant::Acme, Role::TenantAdmin), PASSWORD).await;
    let handle = text(&asked, "session");
    let enrolling = identity(&app, &handle).await.unwrap();
    enrol(&app, &app.as_identity(enrolling.clone())).await;
    let body = json!({"challenge": "MFA_SETUP", "session": handle});
    let twice = join_all((0..4).map(|_| public(&app, "challenge", body.clone()))).await;
    let done: Vec<_> = twice.iter().filter(|a| a.status == 200).collect();
    assert_eq!(done.len(), 1, "{:?}", twice.iter().map(|a| a.status).collect::<Vec<_>>());
    let who = identity(&app, &text(done[0], "access_token")).await.unwrap();
    assert_ne!(who.session, enrolling.session);
    for name in ["me", "enrol_totp", "create_recovery_codes"] {
        assert_eq!(app.as_identity(enrolling.clone()).call(endpoint(name)).await.status, 401, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_can_be_guessed_five_times_across_sign_in_and_step_up() {
    let app = App::with_cognito().await;
    let (secret, _) = with_second_factor(&app, Tenant::Acme, Role::Marketer).await;
    with_second_factor(&app, Tenant::Birch, Role::Marketer).await;
    let mut guesses = Vec::new();
    let mut handles = Vec::new();
    for _ in 0..3 {
        handles.push(waiting(&app, Tenant::Acme, Role::Marketer).await);
    }
    let right = secret.code_at(app.clock().now());
    let wrong = |i: usize| format!("{:06}", (right.parse::<usize>().unwrap() + 1 + i) % 1_000_000);
    for (i, handle) in handles.iter().enumerate() {
        for j in 0..4 {
            let body = json!({"challenge": "TOTP", "session": handle, "code": wrong(100 * i + j)});
            let call = app.anonymous().call(endpoint("challenge")).from_ip(&format!("2001:db8:1:{i}{j}::1"));
            guesses.push(call.json(body).into_future());
        }
    }
    for i in 0..20 {
        let session = app.open_session(Tenant::Acme, Role::Marketer).await;
        let call = app.as_identity(session).call(endpoint("verify_mfa")).json(json!({"code": wrong(1000 + i)}));
        guesses.push(call.into_future());
    }
    let answers = join_all(guesses).await;
    let looked_at = answers.iter().filter(|a| a.status != 429).count();
    assert!((1..=5).contains(&looked_at), "{looked_at} were checked");
    assert!(answers.iter().filter(|a| a.status == 429).all(|a| a.code() == "second_factor_locked"));
    // The lock holds at sign-in and at step-up, for the right code too. It covers no other user.
    let locked = give_code(&app, &handles[0], &right).await;
    assert_eq!((locked.status, locked.code()), (429, "second_factor_locked"), "{}", locked.text);
    let inside = app.as_identity(app.open_session(Tenant::Acme, Role::Marketer).await);
    assert_eq!(inside.call(endpoint("verify_mfa")).json(json!({"code": right})).await.code(), "second_factor_locked");
    let neighbour = waiting(&app, Tenant::Birch, Role::Marketer).await;
    assert_eq!(give_code(&app, &neighbour, "000000").await.code(), "invalid_credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_code_given_twenty_times_at_once_is_accepted_once() {
    let app = App::with_cognito().await;
    let (_, codes) = with_second_factor(&app, Tenant::Acme, Role::Marketer).await;
    let mut tries = Vec::new();
    for i in 0..2 {
        let handle = waiting(&app, Tenant::Acme, Role::Marketer).await;
        for j in 0..5 {
            let body = json!({"challenge": "TOTP", "session": handle, "recovery_code": codes[0]});
            let call = app.anonymous().call(endpoint("challenge")).from_ip(&format!("2001:db8:2:{i}{j}::1"));
            tries.push(call.json(body).into_future());
        }
    }
    for _ in 0..10 {
        let session = app.open_session(Tenant::Acme, Role::Marketer).await;
        let call = app.as_identity(session).call(find(identity::endpoints::ALL, "verify_mfa"));
        tries.push(call.json(json!({"recovery_code": codes[0]})).into_future());
    }
    let answers = join_all(tries).await;
    let through = answers.iter().filter(|a| a.status == 200).count();
    assert_eq!(through, 1, "{:?}", answers.iter().map(|a| (a.status, a.code().to_owned())).collect::<Vec<_>>());
    // Only that code is used up.
    app.clock().advance(Duration::from_secs(3600));
    for (code, status) in [(&codes[1], 200), (&codes[0], 403)] {
        let session = app.open_session(Tenant::Acme, Role::Marketer).await;
        let call = app.as_identity(session).call(endpoint("verify_mfa")).json(json!({"recovery_code": code}));
        assert_eq!(call.await.status, status);
    }
}
