//! The first super_admin, cut at every call to AWS: the next run completes what the last one began, and its password opens.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::{Error, Role, TenantId, operator::NewUser};
use phi::Email;
use serde_json::json;
use std::time::Duration;
use suite::people;
use testing::{App, Fault, PASSWORD, Tenant::Acme};

/// The password of each run: only that of the run that said it was done is good.
const FIRST: &str = "Synthetic-First-1";
const SECOND: &str = "Synthetic-Second-2";
/// More than the SDK repeats a call.
const FOR_GOOD: usize = 20;

fn email(app: &App) -> Email {
    app.email(Acme, Role::SuperAdmin).parse().unwrap()
}

/// What a sign-in with this password leads to: nothing where it is refused.
async fn opens(app: &App, email: &Email, password: &str) -> Option<&'static str> {
    let answer = people::login(app, &email.normalised(), password).await;
    match (answer.status, answer.json["challenge"].as_str()) {
        (200, Some("NEW_PASSWORD_REQUIRED")) => Some("another password"),
        // Who runs the platform has a second factor to enrol.
        (200, _) => Some("the platform"),
        _ => None,
    }
}

/// The services that a bootstrap calls, each with how often.
async fn calls(permanent: bool) -> Vec<(&'static str, usize)> {
    let app = App::empty().await;
    app.operator().bootstrap(&email(&app), FIRST, permanent).await.unwrap();
    let calls = app.calls();
    assert!(calls.other.is_empty(), "{calls:?}");
    vec![("dynamodb", calls.dynamodb.len()), ("kms", calls.kms.len()), ("cognito", calls.cognito.len())]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_that_was_cut_at_any_call_is_completed_by_the_next_run() {
    let faults = [(Fault::Gone, FOR_GOOD), (Fault::LostAnswer, 1), (Fault::LostAnswer, FOR_GOOD)];
    let mut cuts = 0;
    for permanent in [false, true] {
        // A password for good is another call of the pool's.
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
                        // The guards leave a service alone that has just failed.
                        app.clock().advance(Duration::from_secs(120));
                        let second = app.operator().bootstrap(&email, SECOND, permanent).await;
                        assert!(second.is_ok(), "{at}: {first:?}, then {second:?}");
                        assert_eq!(opens(&app, &email, FIRST).await, None, "{at}");
                        SECOND
                    };
                    let expected = if permanent { "the platform" } else { "another password" };
                    assert_eq!(opens(&app, &email, good).await, Some(expected), "{at}");
                    let done = async |act| app.audit_of(TenantId::PLATFORM).await.iter().filter(|e| e["type"] == act).count();
                    // Where its end could not be noted, the next run gives another password, and notes it.
                    let noted = done("api.finish_bootstrap").await == 1;
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
async fn a_user_of_whom_the_pool_lost_an_answer_is_completed_and_one_who_has_signed_in_is_left_alone() {
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
async fn a_platform_from_before_there_were_marks_is_completed_until_somebody_has_signed_in() {
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
