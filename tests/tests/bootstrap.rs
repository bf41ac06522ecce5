//! The bootstrap of the first super_admin, interrupted at every call to AWS. The next run completes it, and the password of that
//! run works.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::{
    base::{Error, Role, TenantId},
    run::operator::NewUser,
};
use phi::Email;
use serde_json::json;
use std::{pin::pin, time::Duration};
use suite::people;
use testing::{
    App, Fault, PASSWORD,
    Tenant::{Acme, Birch},
};

/// The password of each run. Only the password of a run that succeeded works.
const FIRST: &str = "Synthetic-First-1";
const SECOND: &str = "Synthetic-Second-2";
/// More often than the SDK repeats a call.
const FOR_GOOD: usize = 20;

fn email(app: &App) -> Email {
    app.email(Acme, Role::SuperAdmin).parse().unwrap()
}

/// The result of a sign-in with this password. `None` if it is refused.
async fn opens(app: &App, email: &Email, password: &str) -> Option<&'static str> {
    let answer = people::login(app, &email.normalised(), password).await;
    match (answer.status, answer.json["challenge"].as_str()) {
        (200, Some("NEW_PASSWORD_REQUIRED")) => Some("another password"),
        // A super_admin must enrol a second factor first.
        (200, _) => Some("the platform"),
        _ => None,
    }
}

/// The services that a bootstrap calls, with the number of calls.
async fn calls(permanent: bool) -> Vec<(&'static str, usize)> {
    let app = App::empty().await;
    app.operator().bootstrap(&email(&app), FIRST, permanent).await.unwrap();
    let calls = app.calls();
    assert!(calls.other.is_empty(), "{calls:?}");
    vec![("dynamodb", calls.dynamodb.len()), ("kms", calls.kms.len()), ("cognito", calls.cognito.len())]
}

#[tokio::test(flavor = "multi_thread")]
async fn bootstrap_interrupted_at_any_call_is_completed_by_the_next_run() {
    let faults = [(Fault::Gone, FOR_GOOD), (Fault::LostAnswer, 1), (Fault::LostAnswer, FOR_GOOD)];
    let mut cuts = 0;
    for permanent in [false, true] {
        // A permanent password takes another call of the user pool.
        for (service, count) in calls(permanent).await.into_iter().filter(|(service, _)| !permanent || *service == "cognito") {
            for call in 0..count {
                for (fault, times) in faults {
                    let app = App::empty().await;
                    let email = email(&app);
                    let at = format!("{fault:?} {times} times at call {call} of {service}, permanent: {permanent}");
                    app.wire().fail(service, call, times, fault);
                    let first = app.operator().bootstrap(&email, FIRST, permanent).await;
                    app.wire().heal();
                    let good = if first.is_ok() {
                        FIRST
                    } else {
                        cuts += 1;
                        // The circuit breakers make no calls to a service that has just failed.
                        app.clock().advance(Duration::from_secs(120));
                        let second = app.operator().bootstrap(&email, SECOND, permanent).await;
                        assert!(second.is_ok(), "{at}: {first:?}, then {second:?}");
                        assert_eq!(opens(&app, &email, FIRST).await, None, "{at}");
                        SECOND
                    };
                    let expected = if permanent { "the platform" } else { "another password" };
                    assert_eq!(opens(&app, &email, good).await, Some(expected), "{at}");
                    let done = async |act| app.audit_of(TenantId::PLATFORM).await.iter().filter(|e| e["type"] == act).count();
                    // If the end could not be recorded, the next run after the lease sets another password, and records the end.
                    let noted = done("api.finish_bootstrap").await == 1;
                    app.clock().advance(LEASED);
                    let again = app.operator().bootstrap(&email, FIRST, permanent).await;
                    let refused = matches!(again, Err(Error::Conflict { code: "bootstrapped", .. }));
                    assert!(refused == noted && again.is_ok() != noted, "{at}: {again:?}");
                    for act in ["api.bootstrap", "api.create_user", "api.finish_bootstrap"] {
                        assert_eq!(done(act).await, 1, "{act}, {at}");
                    }
                }
            }
        }
    }
    assert!(cuts > 10, "{cuts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn user_creation_resumes_after_a_lost_pool_answer_until_first_sign_in() {
    for call in 0..3 {
        let app = App::with_cognito().await;
        let email: Email = format!("new.{}", app.email(Acme, Role::Viewer)).parse().unwrap();
        let new = |password| NewUser { email: &email, password, permanent: true, roles: &[Role::Viewer] };
        app.wire().fail("cognito", call, FOR_GOOD, Fault::LostAnswer);
        let _ = app.as_administrator(app.operator().create_user(app.tenant_id(Acme), &new(FIRST))).await.unwrap_err();
        app.wire().heal();
        app.clock().advance(Duration::from_secs(120));
        app.as_administrator(app.operator().create_user(app.tenant_id(Acme), &new(FIRST))).await.unwrap();
        assert_eq!(opens(&app, &email, FIRST).await, Some("the platform"), "call {call}");
        app.as_administrator(app.operator().create_user(app.tenant_id(Acme), &new(SECOND))).await.unwrap();
        assert_eq!(opens(&app, &email, SECOND).await, None, "call {call}");
        assert_eq!(opens(&app, &email, FIRST).await, Some("the platform"), "call {call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bootstrap_without_a_stored_state_is_resumed_until_first_sign_in() {
    use aws_sdk_dynamodb::types::AttributeValue::S;
    let app = App::empty().await;
    let email = email(&app);
    app.operator().bootstrap(&email, FIRST, false).await.unwrap();
    let unmark = async || {
        let update = app.raw().update_item().table_name(&app.provisioned().tables["RecordsTable"]);
        let update = update.key("pk", S(format!("{}#BOOTSTRAP", TenantId::PLATFORM))).key("sk", S("FIRST_USER".to_owned()));
        let update = update.update_expression("REMOVE #state").expression_attribute_names("#state", "state");
        update.condition_expression("attribute_exists(pk)").send().await.unwrap();
    };
    unmark().await;
    app.operator().bootstrap(&email, SECOND, false).await.unwrap();
    assert_eq!(opens(&app, &email, SECOND).await, Some("another password"));
    unmark().await;
    let asked = people::login(&app, &email.normalised(), SECOND).await;
    let body =
        json!({"challenge": "NEW_PASSWORD_REQUIRED", "session": people::text(&asked, "session"), "new_password": PASSWORD});
    let chosen = people::public(&app, "challenge", body).await;
    assert_eq!(chosen.status, 200, "{}", chosen.text);
    let again = app.operator().bootstrap(&email, FIRST, false).await.unwrap_err();
    assert!(matches!(again, Error::Conflict { code: "bootstrapped", .. }), "{again:?}");
}

/// Longer than the lease that keeps other runs from setting the first user's password.
const LEASED: Duration = Duration::from_secs(91);

/// The number of users of the platform.
async fn members(app: &App) -> usize {
    let place = format!("{}#MEMBER#", TenantId::PLATFORM);
    let rows = app.dump("RecordsTable").await;
    rows.iter().filter(|row| row["pk"].as_s().unwrap().starts_with(&place) && row["sk"].as_s().unwrap() == "MEMBERSHIP").count()
}

fn code<T>(result: &common::base::Result<T>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(error) => error.code(),
    }
}

/// The errors that a run may get during or after another run.
const REFUSED: [&str; 3] = ["bootstrap_in_progress", "bootstrap_pending", "bootstrapped"];

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_concurrent_bootstraps_shows_the_password_that_works() {
    let other: fn(&App) -> Email = |app| app.email(Birch, Role::SuperAdmin).parse().unwrap();
    let counts = calls(false).await;
    for second_email in [email as fn(&App) -> Email, other] {
        // The first run is held before each of its calls, while the second runs to its end.
        for (service, count) in counts.iter().copied().filter(|(service, _)| *service != "kms") {
            for call in 0..count {
                let app = App::empty().await;
                let emails = [email(&app), second_email(&app)];
                let at = format!("call {call} of {service}, {emails:?}");
                let operator = app.operator();
                let mut held = app.wire().hold(service, call);
                let mut first = pin!(operator.bootstrap(&emails[0], FIRST, false));
                tokio::select! {
                    done = &mut first => panic!("not held: {at}: {done:?}"),
                    () = held.arrived() => {}
                }
                // Both runs share the process, so the second may wait for the first's read of a key. That read must be released
                // then.
                let second = async {
                    let done = operator.bootstrap(&emails[1], SECOND, false).await;
                    held.let_go();
                    done
                };
                let (first, second) = futures_util::future::join(first, second).await;
                let said = [code(&first), code(&second)];
                assert_eq!(said.iter().filter(|said| **said == "done").count(), 1, "{at}: {said:?}");
                assert!(said.iter().all(|said| *said == "done" || REFUSED.contains(said)), "{at}: {said:?}");
                let (winner, password) = if first.is_ok() { (&emails[0], FIRST) } else { (&emails[1], SECOND) };
                assert_eq!(opens(&app, winner, password).await, Some("another password"), "{at}: {said:?}");
                assert_eq!(members(&app).await, 1, "{at}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_bootstraps_lease_blocks_others_until_it_expires() {
    let count = calls(false).await.into_iter().find(|(service, _)| *service == "cognito").unwrap().1;
    for call in 0..count {
        let app = App::empty().await;
        let (email, operator) = (email(&app), app.operator());
        let mut held = app.wire().hold("cognito", call);
        tokio::select! {
            done = operator.bootstrap(&email, FIRST, false) => panic!("not held: {done:?}"),
            () = held.arrived() => {}
        }
        for wait in [0, 89] {
            app.clock().advance(Duration::from_secs(wait));
            let early = operator.bootstrap(&email, SECOND, false).await;
            assert_eq!(code(&early), "bootstrap_in_progress", "call {call}, after {wait} s");
        }
        app.clock().advance(Duration::from_secs(2));
        operator.bootstrap(&email, SECOND, false).await.unwrap();
        assert_eq!(opens(&app, &email, SECOND).await, Some("another password"), "call {call}");
        assert_eq!(code(&operator.bootstrap(&email, FIRST, false).await), "bootstrapped");
        let resumed = app.audit_of(TenantId::PLATFORM).await.into_iter().filter(|event| event["type"] == "api.resume_bootstrap");
        assert_eq!(resumed.count(), 1, "the resumption has an audit event");
    }
}

/// A machine that slept has lost its lease. It must not overwrite the password that another run has shown since.
#[tokio::test(flavor = "multi_thread")]
async fn bootstrap_resumed_after_its_lease_makes_no_more_pool_calls() {
    let app = App::empty().await;
    let (email, operator) = (email(&app), app.operator());
    let mut held = app.wire().hold("cognito", 0);
    let mut late = pin!(operator.bootstrap(&email, FIRST, false));
    tokio::select! {
        done = &mut late => panic!("not held: {done:?}"),
        () = held.arrived() => {}
    }
    app.clock().advance(LEASED);
    operator.bootstrap(&email, SECOND, false).await.unwrap();
    held.let_go();
    let late = late.await;
    assert!(late.is_err(), "{late:?}");
    assert_eq!(opens(&app, &email, FIRST).await, None);
    assert_eq!(opens(&app, &email, SECOND).await, Some("another password"));
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_bootstrap_is_completed_with_its_own_email_only() {
    let app = App::empty().await;
    let (own, other): (Email, Email) = (email(&app), app.email(Birch, Role::Viewer).parse().unwrap());
    app.wire().fail("cognito", 0, FOR_GOOD, Fault::Gone);
    let cut_off = app.operator().bootstrap(&own, FIRST, false).await;
    assert_eq!(code(&cut_off), "dependency_unavailable");
    app.wire().heal();
    app.clock().advance(Duration::from_secs(120));
    let elsewhere = app.operator().bootstrap(&other, SECOND, false).await;
    assert_eq!(code(&elsewhere), "bootstrap_pending");
    assert_eq!((members(&app).await, opens(&app, &other, SECOND).await), (1, None));
    app.operator().bootstrap(&own, SECOND, false).await.unwrap();
    assert_eq!(opens(&app, &own, SECOND).await, Some("another password"));
}

/// The pool's password history refuses a password that an earlier attempt has set, although its response was lost.
#[tokio::test(flavor = "multi_thread")]
async fn bootstrap_with_a_password_set_by_a_lost_attempt_is_done() {
    for permanent in [false, true] {
        let app = App::empty().await;
        let email = email(&app);
        if !permanent {
            // The run calls AdminSetUserPassword with a temporary password only for a user that the pool already has.
            app.wire().fail("AdminCreateUser", 0, 1, Fault::LostAnswer);
        }
        app.wire().fail("AdminSetUserPassword", 0, 1, Fault::LostAnswer);
        let code = "PasswordHistoryPolicyViolationException";
        app.wire().fail("AdminSetUserPassword", 0, 1, Fault::Refused(code));
        app.operator().bootstrap(&email, FIRST, permanent).await.unwrap();
        let expected = if permanent { "the platform" } else { "another password" };
        assert_eq!(opens(&app, &email, FIRST).await, Some(expected));
        // A password in the history that is not the user's current one is refused.
        let app = App::empty().await;
        app.wire().fail("AdminCreateUser", 0, 1, Fault::LostAnswer);
        app.wire().fail("AdminSetUserPassword", 0, 1, Fault::Refused(code));
        app.wire().fail("AdminInitiateAuth", 0, 1, Fault::Refused("NotAuthorizedException"));
        let refused = app.operator().bootstrap(&email, FIRST, permanent).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
}
