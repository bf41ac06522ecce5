//! Password resets and changes during failing calls, interrupted requests and concurrent requests.

use crate::{
    consumers::CONSUMERS,
    fixtures::{caller, catch_up, endpoint, login, sign_in, text},
    schedules::SCHEDULES,
};
use common::base::Role;
use futures_util::future::join;
use serde_json::json;
use std::{future::IntoFuture, time::Duration};
use testing::{Answer, App, Call, Client, Fault, PASSWORD, Tenant, kill_after, polls};

const CHOSEN: &str = "Chosen-Passw0rd-7!";
const OTHER: &str = "Another-Passw0rd-8!";
/// Longer than the time for which an interrupted request blocks other password changes.
const CLAIMED: Duration = Duration::from_secs(31);
const ROLE: Role = Role::Marketer;

/// A reset token from the mail.
async fn token(app: &App) -> String {
    let asked = app.anonymous().call(endpoint("forgot_password")).json(json!({"email": app.email(Tenant::Acme, ROLE)}));
    assert_eq!(asked.from_ip(&ip()).await.status, 202);
    app.deliveries(CONSUMERS).settle().await;
    let mails = app.mails();
    let text = mails.last().unwrap()["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap();
    text.split_once("token: ").unwrap().1.split_whitespace().next().unwrap().to_owned()
}

/// An address that has made no request yet.
fn ip() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("2001:db8:1:{:x}::1", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn reset<'a>(app: &'a App, token: &str, new: &str) -> Call<'a> {
    app.anonymous().call(endpoint("reset_password")).json(json!({"token": token, "new_password": new})).from_ip(&ip())
}

fn change<'a>(who: &Client<'a>, current: &str, new: &str) -> Call<'a> {
    who.call(endpoint("change_password")).json(json!({"current_password": current, "new_password": new}))
}

/// Whether a password signs in.
async fn opens(app: &App, tenant: Tenant, password: &str) -> bool {
    app.clock().advance(Duration::from_secs(181));
    login(app, &app.email(tenant, ROLE), password, &ip()).await.status == 200
}

/// The number of Cognito calls that set a password.
fn sets(app: &App) -> usize {
    app.calls().cognito.iter().filter(|call| *call == "AdminSetUserPassword").count()
}

/// Makes a reset or a change that sets [`CHOSEN`] and is interrupted before it ends any session. The claim has expired when this
/// returns, so that others may try again. Returns the reset's token.
async fn cut_off(app: &App, by_token: bool) -> String {
    let here = app.open_session(Tenant::Acme, ROLE).await;
    let token = token(app).await;
    app.wire().fail("TransactWriteItems", 1, 100, Fault::Gone);
    let cut_off =
        if by_token { reset(app, &token, CHOSEN).await } else { change(&app.as_identity(here), PASSWORD, CHOSEN).await };
    app.wire().heal();
    assert_eq!(cut_off.status, 503, "{}", cut_off.text);
    app.clock().advance(CLAIMED);
    token
}

async fn me(app: &App, tokens: &Answer) -> u16 {
    caller(app, text(tokens, "access_token")).await.call(endpoint("me")).await.status
}

async fn sweep(app: &App) {
    SCHEDULES[0].run(app.deps()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_resets_with_one_token_set_exactly_one_password() {
    let app = App::with_cognito().await;
    for _ in 0..4 {
        let token = token(&app).await;
        app.reset_calls();
        let news = [CHOSEN, OTHER].map(|new| format!("{new}{}", &token[..4]));
        let (a, b) = join(reset(&app, &token, &news[0]).into_future(), reset(&app, &token, &news[1]).into_future()).await;
        let mut statuses = [a.status, b.status];
        statuses.sort_unstable();
        assert!(statuses[0] == 204 && [401, 409].contains(&statuses[1]), "{} {}", a.text, b.text);
        assert_eq!(sets(&app), 1);
        let (won, lost) = if a.status == 204 { (&news[0], &news[1]) } else { (&news[1], &news[0]) };
        assert!(opens(&app, Tenant::Acme, won).await && !opens(&app, Tenant::Acme, lost).await);
        // The pool's history refuses earlier passwords, and an hour later three more mails may be sent.
        app.clock().advance(Duration::from_secs(3600));
    }
    assert!(opens(&app, Tenant::Birch, PASSWORD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_password_is_refused_and_keeps_the_token_valid() {
    let app = App::with_cognito().await;
    let token = token(&app).await;
    let before = sign_in(&app, Tenant::Acme, ROLE).await;
    for code in ["InvalidPasswordException", "PasswordHistoryPolicyViolationException"] {
        app.wire().fail("AdminSetUserPassword", 0, 1, Fault::Refused(code));
        let weak = reset(&app, &token, "weak").await;
        assert_eq!((weak.status, weak.code()), (422, "validation_failed"), "{}", weak.text);
        assert_eq!(weak.json["errors"][0]["code"], json!("weak"));
    }
    assert_eq!(me(&app, &before).await, 200, "nothing was reset");
    // The reset is possible immediately.
    assert_eq!(reset(&app, &token, CHOSEN).await.status, 204);
    assert_eq!(me(&app, &before).await, 401);
    assert_eq!(reset(&app, &token, OTHER).await.status, 401);
}

/// The token is used up before Cognito is called.
#[tokio::test(flavor = "multi_thread")]
async fn password_is_not_set_if_the_token_cannot_be_marked_used() {
    let app = App::with_cognito().await;
    let token = token(&app).await;
    app.reset_calls();
    app.wire().fail("TransactWriteItems", 0, 100, Fault::Gone);
    assert_eq!(reset(&app, &token, CHOSEN).await.status, 503);
    assert_eq!(sets(&app), 0);
    app.wire().heal();
    app.clock().advance(Duration::from_secs(5));
    assert_eq!(reset(&app, &token, CHOSEN).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_that_fails_at_any_call_is_completed_by_the_same_request() {
    let app = App::with_cognito().await;
    let warm = token(&app).await;
    app.reset_calls();
    assert_eq!(reset(&app, &warm, OTHER).await.status, 204);
    let calls = app.calls();
    let (dynamodb, cognito) = (calls.dynamodb.len(), calls.cognito.len());
    assert!(dynamodb > 5 && cognito > 0, "{calls:?}");
    for (service, count) in [("dynamodb", dynamodb), ("cognito", cognito)] {
        for index in 0..count {
            for fault in [Fault::Gone, Fault::LostAnswer] {
                let when = format!("{fault:?} at call {index} of {service}");
                app.clock().advance(Duration::from_secs(3600));
                catch_up(&app);
                let new = format!("Chosen-Passw0rd-{service}{index}{fault:?}!");
                let token = token(&app).await;
                let thief = app.open_session(Tenant::Acme, ROLE).await;
                app.wire().fail(service, index, 1000, fault);
                let failed = reset(&app, &token, &new).await;
                app.wire().heal();
                app.clock().advance(CLAIMED);
                if failed.status != 204 {
                    assert_eq!(failed.status, 503, "{when}: {}", failed.text);
                    let again = reset(&app, &token, &new).await;
                    // If only the answer was lost, the token is used up.
                    assert!(again.status == 204 || again.status == 401, "{when}: {}", again.text);
                }
                assert!(opens(&app, Tenant::Acme, &new).await, "{when}");
                assert_eq!(app.as_identity(thief).call(endpoint("me")).await.status, 401, "{when}");
                assert_eq!(reset(&app, &token, OTHER).await.status, 401, "{when}: the token works once");
            }
        }
    }
    assert!(opens(&app, Tenant::Birch, PASSWORD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_killed_at_any_await_can_be_repeated_and_ends_other_sessions() {
    let app = App::with_cognito().await;
    let warm = token(&app).await;
    let (answer, all) = polls(reset(&app, &warm, OTHER).into_future()).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    let mut killed = 0;
    for after in 0..all {
        let when = format!("killed after {after} polls");
        app.clock().advance(Duration::from_secs(3600));
        catch_up(&app);
        let new = format!("Chosen-Passw0rd-{after}!");
        let token = token(&app).await;
        let thief = app.open_session(Tenant::Acme, ROLE).await;
        killed += usize::from(kill_after(after, reset(&app, &token, &new).into_future()).await.is_none());
        // Requests that it had sent may still arrive.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        app.clock().advance(CLAIMED);
        let again = reset(&app, &token, &new).await;
        assert!([204, 401].contains(&again.status), "{when}: {}", again.text);
        assert!(opens(&app, Tenant::Acme, &new).await, "{when}");
        assert_eq!(app.as_identity(thief).call(endpoint("me")).await.status, 401, "{when}");
    }
    assert!(killed > 0);
}

/// If the request is never repeated, the sessions of the old password still end.
#[tokio::test(flavor = "multi_thread")]
async fn interrupted_password_change_still_ends_sessions_of_the_old_password() {
    let app = App::with_cognito().await;
    let neighbour = app.open_session(Tenant::Birch, ROLE).await;
    for by_token in [true, false] {
        let thief = app.open_session(Tenant::Acme, ROLE).await;
        let here = app.open_session(Tenant::Acme, ROLE).await;
        let token = token(&app).await;
        app.reset_calls();
        // The first transaction begins the change; the second would end the sessions.
        app.wire().fail("TransactWriteItems", 1, 100, Fault::Gone);
        let cut_off = if by_token {
            reset(&app, &token, CHOSEN).await
        } else {
            change(&app.as_identity(here.clone()), CHOSEN, OTHER).await
        };
        app.wire().heal();
        assert_eq!((cut_off.status, sets(&app)), (503, 1), "{}", cut_off.text);
        // The index shows the change, but it is not due yet.
        app.settle_indexes();
        sweep(&app).await;
        let status = async |who: &common::base::Identity| app.as_identity(who.clone()).call(endpoint("me")).await.status;
        assert_eq!(status(&thief).await, 200, "the interrupted request may still be completed");
        app.clock().advance(CLAIMED);
        sweep(&app).await;
        assert_eq!(status(&thief).await, 401);
        assert_eq!(status(&here).await, if by_token { 401 } else { 200 }, "the session that changed the password stays");
        let ended = app.audit(Tenant::Acme).await;
        let reasons = ended.iter().filter(|e| e["type"] == "job.session_ended").map(|e| e["reason"].as_str().unwrap());
        let reason = if by_token { "password_reset" } else { "password_changed" };
        assert_eq!(reasons.collect::<Vec<_>>().last(), Some(&reason), "{ended:?}");
        assert_eq!(status(&neighbour).await, 200);
        // Sessions that are opened afterwards stay.
        let new = if by_token { CHOSEN } else { OTHER };
        assert!(opens(&app, Tenant::Acme, new).await);
        let came = app.open_session(Tenant::Acme, ROLE).await;
        app.clock().advance(Duration::from_secs(61));
        sweep(&app).await;
        assert_eq!(status(&came).await, 200);
        app.clock().advance(Duration::from_secs(600));
    }
}

/// The failure of a later request does not show whether an earlier one set the password.
#[tokio::test(flavor = "multi_thread")]
async fn interrupted_request_still_ends_sessions_after_a_later_failure() {
    for by_token in [true, false] {
        let app = App::with_cognito().await;
        let thief = app.open_session(Tenant::Acme, ROLE).await;
        let token = cut_off(&app, by_token).await;
        let later = if by_token {
            reset(&app, &token, "weak").await
        } else {
            change(&app.as_identity(thief.clone()), PASSWORD, OTHER).await
        };
        assert_eq!(later.status, if by_token { 422 } else { 401 }, "{}", later.text);
        app.clock().advance(CLAIMED);
        sweep(&app).await;
        assert_eq!(app.as_identity(thief).call(endpoint("me")).await.status, 401, "by token: {by_token}");
        assert!(opens(&app, Tenant::Acme, CHOSEN).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_change_is_completed_by_the_same_request() {
    let app = App::with_cognito().await;
    let here = app.open_session(Tenant::Acme, ROLE).await;
    let elsewhere = app.open_session(Tenant::Acme, ROLE).await;
    let here = app.as_identity(here);
    app.wire().fail("TransactWriteItems", 1, 100, Fault::Gone);
    assert_eq!(change(&here, PASSWORD, CHOSEN).await.status, 503);
    app.wire().heal();
    app.clock().advance(Duration::from_secs(2));
    let early = change(&here, PASSWORD, CHOSEN).await;
    assert_eq!((early.status, early.code()), (409, "password_change_in_progress"), "{}", early.text);
    app.clock().advance(CLAIMED);
    assert_eq!(change(&here, PASSWORD, CHOSEN).await.status, 204);
    assert_eq!(app.as_identity(elsewhere).call(endpoint("me")).await.status, 401);
    assert!(opens(&app, Tenant::Acme, CHOSEN).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_changes_set_exactly_one_password() {
    let app = App::with_cognito().await;
    let (a, b) = (app.open_session(Tenant::Acme, ROLE).await, app.open_session(Tenant::Acme, ROLE).await);
    let (a, b) = (app.as_identity(a), app.as_identity(b));
    app.reset_calls();
    let (one, two) = join(change(&a, PASSWORD, CHOSEN).into_future(), change(&b, PASSWORD, OTHER).into_future()).await;
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert!(statuses[0] == 204 && [401, 409].contains(&statuses[1]), "{} {}", one.text, two.text);
    assert_eq!(sets(&app), 1);
    let (won, lost) = if one.status == 204 { (CHOSEN, OTHER) } else { (OTHER, CHOSEN) };
    assert!(opens(&app, Tenant::Acme, won).await && !opens(&app, Tenant::Acme, lost).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_or_weak_password_changes_nothing_and_a_retry_works_at_once() {
    let app = App::with_cognito().await;
    let here = app.as_identity(app.open_session(Tenant::Acme, ROLE).await);
    let elsewhere = app.open_session(Tenant::Acme, ROLE).await;
    assert_eq!(change(&here, "Not-The-Passw0rd!", CHOSEN).await.status, 401);
    app.wire().fail("AdminSetUserPassword", 0, 1, Fault::Refused("InvalidPasswordException"));
    assert_eq!(change(&here, PASSWORD, "weak").await.status, 422);
    assert_eq!(app.as_identity(elsewhere).call(endpoint("me")).await.status, 200);
    assert_eq!(change(&here, PASSWORD, CHOSEN).await.status, 204);
}

/// A later change is refused after an interrupted reset. The sessions are ended by the reset.
#[tokio::test(flavor = "multi_thread")]
async fn interrupted_reset_is_recorded_as_reset_after_a_later_change_fails() {
    for by_token in [true, false] {
        let app = App::with_cognito().await;
        let thief = app.open_session(Tenant::Acme, ROLE).await;
        let token = cut_off(&app, by_token).await;
        let later = if by_token {
            change(&app.as_identity(thief.clone()), PASSWORD, OTHER).await
        } else {
            reset(&app, &token, "weak").await
        };
        assert!([401, 422].contains(&later.status), "{}", later.text);
        app.clock().advance(CLAIMED);
        sweep(&app).await;
        let ended = app.audit(Tenant::Acme).await.into_iter().filter(|e| e["type"] == "job.session_ended");
        let reasons: Vec<_> = ended.map(|event| event["reason"].clone()).collect();
        assert_eq!(reasons, [json!(if by_token { "password_reset" } else { "password_changed" })], "by token: {by_token}");
        assert_eq!(app.as_identity(thief).call(endpoint("me")).await.status, 401);
    }
}

/// The errors with which the pool may refuse the repetition of a call that it has carried out.
const REFUSALS: [&str; 5] = [
    "PasswordHistoryPolicyViolationException",
    "InvalidPasswordException",
    "InvalidParameterException",
    "NotAuthorizedException",
    "UserNotFoundException",
];

/// The SDK repeats a call whose answer was lost, and the pool's history contains the password that the first attempt set.
#[tokio::test(flavor = "multi_thread")]
async fn password_set_by_a_lost_attempt_counts_even_if_its_retry_is_refused() {
    for code in REFUSALS {
        for by_token in [true, false] {
            let app = App::with_cognito().await;
            let (thief, here) = (app.open_session(Tenant::Acme, ROLE).await, app.open_session(Tenant::Acme, ROLE).await);
            let neighbour = app.open_session(Tenant::Birch, ROLE).await;
            let token = token(&app).await;
            app.wire().fail("AdminSetUserPassword", 0, 1, Fault::LostAnswer);
            app.wire().fail("AdminSetUserPassword", 0, 1, Fault::Refused(code));
            let set =
                if by_token { reset(&app, &token, CHOSEN).await } else { change(&app.as_identity(here), PASSWORD, CHOSEN).await };
            assert_eq!(set.status, 204, "{code}, by token: {by_token}: {}", set.text);
            assert_eq!(app.as_identity(thief).call(endpoint("me")).await.status, 401, "{code}");
            assert_eq!(app.as_identity(neighbour).call(endpoint("me")).await.status, 200, "{code}");
            assert!(opens(&app, Tenant::Acme, CHOSEN).await && !opens(&app, Tenant::Acme, PASSWORD).await, "{code}");
            assert_eq!(reset(&app, &token, OTHER).await.status, if by_token { 401 } else { 204 }, "{code}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn password_that_no_attempt_set_is_weak_if_the_retry_is_refused() {
    let app = App::with_cognito().await;
    let before = app.open_session(Tenant::Acme, ROLE).await;
    let token = token(&app).await;
    app.wire().fail("AdminSetUserPassword", 0, 1, Fault::Gone);
    app.wire().fail("AdminSetUserPassword", 0, 1, Fault::Refused("PasswordHistoryPolicyViolationException"));
    let weak = reset(&app, &token, CHOSEN).await;
    assert_eq!((weak.status, &weak.json["errors"][0]["code"]), (422, &json!("weak")), "{}", weak.text);
    assert_eq!(app.as_identity(before).call(endpoint("me")).await.status, 200, "nothing was reset");
    assert_eq!(reset(&app, &token, OTHER).await.status, 204, "the token was given back");
}

/// The pool refuses each of the last twelve passwords, and the current one is the last of them.
#[tokio::test(flavor = "multi_thread")]
async fn current_password_is_weak_if_the_pools_history_refuses_it() {
    let app = App::with_cognito().await;
    let (here, before) = (app.open_session(Tenant::Acme, ROLE).await, app.open_session(Tenant::Acme, ROLE).await);
    let token = token(&app).await;
    for by_token in [true, false] {
        app.wire().fail("AdminSetUserPassword", 0, 1, Fault::Refused("PasswordHistoryPolicyViolationException"));
        let here = app.as_identity(here.clone());
        let same = if by_token { reset(&app, &token, PASSWORD).await } else { change(&here, PASSWORD, PASSWORD).await };
        assert_eq!((same.status, &same.json["errors"][0]["code"]), (422, &json!("weak")), "{}", same.text);
    }
    assert_eq!(app.as_identity(before).call(endpoint("me")).await.status, 200, "nothing was set");
}

/// In this case it is unknown whether the password was set. It is not reported as weak, and the token is not returned at once.
#[tokio::test(flavor = "multi_thread")]
async fn refused_retry_during_a_pool_outage_is_completed_by_the_same_request() {
    for by_token in [true, false] {
        let app = App::with_cognito().await;
        let (thief, here) = (app.open_session(Tenant::Acme, ROLE).await, app.open_session(Tenant::Acme, ROLE).await);
        let token = token(&app).await;
        app.wire().fail("AdminSetUserPassword", 0, 1, Fault::LostAnswer);
        app.wire().fail("AdminSetUserPassword", 0, 1, Fault::Refused(REFUSALS[0]));
        // A change first verifies the old password.
        app.wire().fail("AdminInitiateAuth", usize::from(!by_token), 100, Fault::Gone);
        let here = app.as_identity(here);
        let set = async || if by_token { reset(&app, &token, CHOSEN).await } else { change(&here, PASSWORD, CHOSEN).await };
        let cut_off = set().await;
        assert_eq!(cut_off.status, 503, "{}", cut_off.text);
        app.wire().heal();
        app.clock().advance(CLAIMED);
        let again = set().await;
        assert_eq!(again.status, 204, "by token: {by_token}: {}", again.text);
        assert_eq!(app.as_identity(thief).call(endpoint("me")).await.status, 401);
        assert!(opens(&app, Tenant::Acme, CHOSEN).await);
    }
}
