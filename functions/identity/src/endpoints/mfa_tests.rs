//! Second factors, from enrolment to removal, used by their owners and attacked by others.

use crate::domain::totp::TotpSecret;
use crate::fixtures::{caller, catch_up, endpoint, event, login, refresh, text};
use common::base::{Clock, Identity, Role};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::{future::IntoFuture, time::Duration};
use testing::{Answer, App, Client, PASSWORD, Tenant};

/// The code that an authenticator would show now.
fn code(app: &App, secret: &TotpSecret) -> String {
    secret.code_at(app.clock().now())
}

fn secret_of(enrolment: &Answer) -> TotpSecret {
    serde_json::from_value(enrolment.json["secret"].clone()).unwrap()
}

/// Advances the clock past the step whose code was used.
fn next_step(app: &App) {
    app.clock().advance(Duration::from_secs(30));
}

/// Enrols the caller; returns the authenticator and the recovery codes.
async fn enrol(app: &App, who: &Client<'_>) -> (TotpSecret, Vec<String>) {
    let enrolment = who.call(endpoint("enrol_totp")).await;
    assert_eq!(enrolment.status, 200, "{}", enrolment.text);
    let secret = secret_of(&enrolment);
    let active = who.call(endpoint("activate_totp")).json(json!({"code": code(app, &secret)})).await;
    assert_eq!(active.status, 200, "{}", active.text);
    let codes: Vec<String> = serde_json::from_value(active.json["recovery_codes"].clone()).unwrap();
    assert_eq!(codes.len(), 10);
    (secret, codes)
}

async fn verify(who: &Client<'_>, body: Value) -> Answer {
    who.call(endpoint("verify_mfa")).json(body).await
}

async fn challenge(app: &App, body: Value) -> Answer {
    app.anonymous().call(endpoint("challenge")).json(body).await
}

/// A caller with a new session and without a second factor.
async fn newcomer(app: &App, tenant: Tenant, role: Role) -> Identity {
    app.open_session_without_mfa(tenant, role).await
}

#[tokio::test]
async fn authenticator_is_enrolled_by_its_first_code_and_stored_sealed() {
    let app = App::start().await;
    let who = app.as_identity(newcomer(&app, Tenant::Acme, Role::Marketer).await);
    let enrolment = who.call(endpoint("enrol_totp")).await;
    let uri = text(&enrolment, "otpauth_uri");
    assert!(uri.starts_with("otpauth://totp/Cloister%20acme-health:marketer%40acme-health.example?secret="), "{uri}");
    assert!(text(&enrolment, "qr_svg").starts_with("<svg "));
    let before = who.call(endpoint("activate_totp")).json(json!({"code": "000000"})).await;
    assert_eq!((before.status, before.code()), (403, "invalid_code"));
    let secret = secret_of(&enrolment);
    let active = who.call(endpoint("activate_totp")).json(json!({"code": code(&app, &secret)})).await;
    assert_eq!(active.status, 200, "{}", active.text);

    let me = who.call(endpoint("me")).await;
    assert_eq!((&me.json["mfa_enrolled"], me.json["session"]["mfa_at"].is_string()), (&json!(true), true));
    let again = who.call(endpoint("enrol_totp")).await;
    assert_eq!((again.status, again.code()), (409, "totp_enrolled"));
    let mut all = format!("{:?}{:?}", app.dump("RecordsTable").await, app.dump("EphemeraTable").await);
    all += &serde_json::to_string(&app.log_lines()).unwrap();
    all += &serde_json::to_string(&app.audit(Tenant::Acme).await).unwrap();
    let recovery = active.json["recovery_codes"][0].as_str().unwrap();
    for hidden in [text(&enrolment, "secret"), recovery, &recovery.replace('-', "")] {
        assert!(!all.contains(hidden));
    }
    assert_eq!(event(&app.audit(Tenant::Acme).await, "api.activate_totp", 200)["changes"], json!(["second_factor"]));
    // The user with the same role in the other tenant has none.
    let other = app.as_identity(newcomer(&app, Tenant::Birch, Role::Marketer).await).call(endpoint("me")).await;
    assert_eq!(other.json["mfa_enrolled"], json!(false));
}

#[tokio::test]
async fn code_sent_concurrently_is_accepted_once() {
    let app = App::start().await;
    let who = app.as_identity(newcomer(&app, Tenant::Acme, Role::Marketer).await);
    let (secret, recovery) = enrol(&app, &who).await;
    let replayed = verify(&who, json!({"code": code(&app, &secret)})).await;
    assert_eq!((replayed.status, replayed.code()), (403, "invalid_code"), "the activating code counts as used");
    next_step(&app);
    for body in [json!({"code": code(&app, &secret)}), json!({"recovery_code": recovery[3]})] {
        // Each try comes from a different session, so that the limit of a session does not apply.
        let mut tries = Vec::new();
        for _ in 0..4 {
            let session = app.open_session(Tenant::Acme, Role::Marketer).await;
            let call = app.as_identity(session).call(endpoint("verify_mfa")).json(body.clone());
            tries.push(call.into_future());
        }
        let answers = join_all(tries).await;
        assert_eq!(
            answers.iter().filter(|a| a.status == 200).count(),
            1,
            "{:?}",
            answers.iter().map(|a| a.status).collect::<Vec<_>>()
        );
        next_step(&app);
        app.clock().advance(Duration::from_secs(3600));
    }
}

#[tokio::test]
async fn wrong_codes_lock_only_this_factor_for_longer_each_time() {
    let app = App::start().await;
    let (secret, _) = enrol(&app, &app.as_identity(newcomer(&app, Tenant::Acme, Role::Marketer).await)).await;
    let wrong = async || {
        let session = app.open_session(Tenant::Acme, Role::Marketer).await;
        verify(&app.as_identity(session), json!({"code": "000000"})).await
    };
    for _ in 0..5 {
        assert_eq!(wrong().await.code(), "invalid_code");
    }
    let locked = wrong().await;
    assert_eq!((locked.status, locked.code(), locked.header("retry-after")), (429, "second_factor_locked", Some("60")));
    // Five tries, none left; all five return when the wrong codes have expired.
    let budget = ["limit", "remaining", "reset"].map(|name| locked.header(&format!("ratelimit-{name}")).unwrap().to_owned());
    assert_eq!(budget, ["5", "0", "86400"]);
    next_step(&app);
    let session = app.open_session(Tenant::Acme, Role::Marketer).await;
    let right = verify(&app.as_identity(session), json!({"code": code(&app, &secret)})).await;
    assert_eq!(right.code(), "second_factor_locked", "a right code is refused too");
    let (other, _) = enrol(&app, &app.as_identity(newcomer(&app, Tenant::Birch, Role::Marketer).await)).await;
    next_step(&app);
    let neighbour = app.as_identity(app.open_session(Tenant::Birch, Role::Marketer).await);
    assert_eq!(verify(&neighbour, json!({"code": code(&app, &other)})).await.status, 200);

    app.clock().advance(Duration::from_secs(60));
    assert_eq!(wrong().await.code(), "invalid_code");
    assert_eq!(wrong().await.header("retry-after"), Some("120"));
    app.clock().advance(Duration::from_secs(120));
    let session = app.open_session(Tenant::Acme, Role::Marketer).await;
    assert_eq!(verify(&app.as_identity(session), json!({"code": code(&app, &secret)})).await.status, 200);
    assert_eq!(wrong().await.code(), "invalid_code", "a right code resets the count");
}

#[tokio::test]
async fn hundred_concurrent_guesses_are_limited_to_five() {
    let app = App::start().await;
    enrol(&app, &app.as_identity(newcomer(&app, Tenant::Acme, Role::Marketer).await)).await;
    let mut guesses = Vec::new();
    for i in 0..100 {
        let session = app.open_session(Tenant::Acme, Role::Marketer).await;
        let call = app.as_identity(session).call(endpoint("verify_mfa")).json(json!({"code": format!("{i:06}")}));
        guesses.push(call.into_future());
    }
    let answers = join_all(guesses).await;
    // On a busy machine a call may time out, and its answer does not say whether the code is right.
    let judged = answers.iter().filter(|a| ![429, 503].contains(&a.status)).count();
    assert!((1..=5).contains(&judged), "{judged} codes were checked");
}

#[tokio::test]
async fn sensitive_action_needs_a_second_factor_within_ten_minutes() {
    let app = App::start().await;
    let who = app.as_identity(newcomer(&app, Tenant::Acme, Role::Marketer).await);
    let without = who.call(endpoint("create_recovery_codes")).await;
    assert_eq!((without.status, without.code()), (403, "step_up_required"));
    let (secret, old) = enrol(&app, &who).await;
    app.clock().advance(Duration::from_secs(601));
    let late = who.call(endpoint("create_recovery_codes")).await;
    assert_eq!((late.status, late.code()), (403, "step_up_required"));
    assert_eq!(
        event(&app.audit(Tenant::Acme).await, "api.create_recovery_codes", 403)["policy"]["ids"],
        json!(["guard.step_up"])
    );
    assert_eq!(verify(&who, json!({"code": code(&app, &secret)})).await.status, 200);
    let new = who.call(endpoint("create_recovery_codes")).await;
    assert_eq!(new.status, 200, "{}", new.text);
    assert_eq!(verify(&who, json!({"recovery_code": old[0]})).await.code(), "invalid_code");
    assert_eq!(verify(&who, json!({"recovery_code": new.json["recovery_codes"][0]})).await.status, 200);

    assert_eq!(who.call(endpoint("disable_totp")).await.status, 204);
    let me = who.call(endpoint("me")).await;
    assert_eq!((&me.json["mfa_enrolled"], &me.json["session"]["mfa_at"]), (&json!(false), &Value::Null));
}

#[tokio::test]
async fn role_requiring_mfa_can_only_give_or_enrol_it_without() {
    let app = App::start().await;
    let who = app.as_identity(newcomer(&app, Tenant::Acme, Role::Auditor).await);
    let refused = who.call(endpoint("list_sessions")).await;
    assert_eq!((refused.status, refused.code()), (403, "mfa_required"));
    assert_eq!(who.call(endpoint("me")).await.status, 200);
    enrol(&app, &who).await;
    assert_eq!(who.call(endpoint("list_sessions")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn required_factor_is_enrolled_at_sign_in_before_anything_else() {
    let app = App::with_cognito().await;
    let email = app.email(Tenant::Acme, Role::TenantAdmin);
    let answer = login(&app, &email, PASSWORD, "192.0.2.1").await;
    assert_eq!((answer.status, &answer.json["challenge"]), (200, &json!("MFA_SETUP")), "{}", answer.text);
    assert_eq!(answer.json.as_object().unwrap().len(), 2, "the answer contains no token");
    let handle = text(&answer, "session").to_owned();
    let early = challenge(&app, json!({"challenge": "MFA_SETUP", "session": handle})).await;
    assert_eq!((early.status, early.code()), (409, "not_enrolled"));

    let enrolling = caller(&app, &handle).await;
    for name in ["me", "list_sessions", "verify_mfa", "change_password"] {
        let call = enrolling.call(endpoint(name));
        let call = match endpoint(name).sample.body {
            Some(body) => call.json(serde_json::from_str(body).unwrap()),
            None => call,
        };
        let refused = call.await;
        assert_eq!((refused.status, refused.code()), (403, "enrolment_only"), "{name}");
    }
    let (secret, _) = enrol(&app, &enrolling).await;
    let done = challenge(&app, json!({"challenge": "MFA_SETUP", "session": handle})).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let me = caller(&app, text(&done, "access_token")).await.call(endpoint("me")).await;
    assert!(me.json["session"]["mfa_at"].is_string(), "{}", me.text);
    // The handle is invalid now.
    assert_eq!(challenge(&app, json!({"challenge": "MFA_SETUP", "session": handle})).await.status, 401);
    assert!(app.authorize(&crate::fixtures::authorizer(&app), &format!("Bearer {handle}")).await.is_err());
    assert_eq!(enrolling.call(endpoint("enrol_totp")).await.status, 401);

    // From now on sign-in requires the second factor.
    next_step(&app);
    let second = login(&app, &email, PASSWORD, "192.0.2.1").await;
    assert_eq!(second.json["challenge"], json!("TOTP"), "{}", second.text);
    let handle = text(&second, "session").to_owned();
    assert!(app.authorize(&crate::fixtures::authorizer(&app), &format!("Bearer {handle}")).await.is_err());
    let wrong = challenge(&app, json!({"challenge": "TOTP", "session": handle, "code": "000000"})).await;
    assert_eq!((wrong.status, wrong.code()), (401, "invalid_credentials"));
    // The error does not mention a password for a code, and all failures of a challenge have one text.
    let detail = "the answer to the challenge is wrong, or the pending sign-in has ended";
    assert_eq!(wrong.json["detail"], detail);
    let recovery = challenge(&app, json!({"challenge": "TOTP", "session": handle, "recovery_code": "0000-0000-0000-0000"})).await;
    let unknown = challenge(&app, json!({"challenge": "TOTP", "session": "made up", "code": "000000"})).await;
    for other in [recovery, unknown] {
        assert_eq!(other.without_correlation_id(), wrong.without_correlation_id());
    }
    let confused = challenge(&app, json!({"challenge": "MFA_SETUP", "session": handle})).await;
    assert_eq!(confused.status, 401);
    let given = code(&app, &secret);
    let body = json!({"challenge": "TOTP", "session": handle, "code": given});
    let done = challenge(&app, body.clone()).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(challenge(&app, body).await.status, 401, "only one of the two answers is accepted");
    let third = login(&app, &email, PASSWORD, "192.0.2.1").await;
    let replayed = json!({"challenge": "TOTP", "session": text(&third, "session"), "code": given});
    assert_eq!(challenge(&app, replayed).await.status, 401, "a code works once");
    // A refresh keeps the session's second factor.
    let refreshed = refresh(&app, text(&done, "refresh_token"), "testing/1").await;
    catch_up(&app);
    let me = caller(&app, text(&refreshed, "access_token")).await.call(endpoint("me")).await;
    assert!(me.json["session"]["mfa_at"].is_string(), "{}", me.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_code_signs_in_only_its_owner_and_once() {
    let app = App::with_cognito().await;
    let (_, codes) = enrol(&app, &app.as_identity(newcomer(&app, Tenant::Acme, Role::Viewer).await)).await;
    enrol(&app, &app.as_identity(newcomer(&app, Tenant::Birch, Role::Viewer).await)).await;
    let sign_in = async |tenant: Tenant, code: &str| {
        let email = app.email(tenant, Role::Viewer);
        let answer = login(&app, &email, PASSWORD, "192.0.2.1").await;
        let body = json!({"challenge": "TOTP", "session": text(&answer, "session"), "recovery_code": code});
        challenge(&app, body).await.status
    };
    assert_eq!(sign_in(Tenant::Birch, &codes[0]).await, 401);
    assert_eq!(sign_in(Tenant::Acme, &codes[0].to_uppercase()).await, 200);
    assert_eq!(sign_in(Tenant::Acme, &codes[0]).await, 401);
    assert_eq!(sign_in(Tenant::Acme, &codes[1]).await, 200);
}

#[tokio::test]
async fn caller_lists_and_ends_only_their_own_sessions() {
    let app = App::start().await;
    let here = app.open_session(Tenant::Acme, Role::Viewer).await;
    app.clock().advance(Duration::from_secs(1));
    let there = app.open_session(Tenant::Acme, Role::Viewer).await;
    let colleague = app.open_session(Tenant::Acme, Role::Marketer).await;
    let stranger = app.open_session(Tenant::Birch, Role::Viewer).await;
    let who = app.as_identity(here.clone());
    let list = who.call(endpoint("list_sessions")).await;
    let seen: Vec<_> =
        list.json["items"].as_array().unwrap().iter().map(|s| (s["session_id"].clone(), s["current"].clone())).collect();
    assert_eq!(seen, [(json!(there.session), json!(false)), (json!(here.session), json!(true))], "{}", list.text);
    assert_eq!((&list.json["items"][0]["ip"], &list.json["items"][0]["user_agent"]), (&json!("192.0.2.7"), &json!("testing/1")));

    let end = |session| who.call(endpoint("end_session")).path("session_id", session);
    for others in [colleague.session, stranger.session] {
        assert_eq!(end(others).await.status, 404);
    }
    assert_eq!(end(there.session).await.status, 204);
    let me = |identity: &Identity| app.as_identity(identity.clone()).call(endpoint("me"));
    assert_eq!(me(&there).await.status, 401, "at its next request");
    assert_eq!([me(&here).await.status, me(&colleague).await.status, me(&stranger).await.status], [200; 3]);
    let ended = app.domain_events(Tenant::Acme).await.into_iter().filter(|e| e["schema"] == "session.ended").count();
    assert_eq!(ended, 1, "its sockets close");
}
