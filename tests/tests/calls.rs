//! The calls to services in log lines: which, how many attempts, and with what outcome.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use serde_json::{Value, json};
use std::time::Duration;
use suite::{
    fixture::Fixture,
    matrix::{allowed_role, protected},
    samples,
};
use testing::{App, Calls, Fault, Tenant};

/// The operations of a line's calls, by service, in order of their names.
fn listed(line: &Value) -> Vec<(String, String)> {
    let text = |call: &Value, name: &str| call[name].as_str().unwrap().to_owned();
    let calls = line["calls"].as_array().unwrap_or_else(|| panic!("no calls in {line}"));
    let mut listed: Vec<_> = calls.iter().map(|call| (text(call, "service"), text(call, "operation"))).collect();
    listed.sort();
    listed
}

/// The operations that the wire saw.
fn seen(calls: &Calls) -> Vec<(String, String)> {
    let services = [
        ("dynamodb", &calls.dynamodb),
        ("kms", &calls.kms),
        ("cognito", &calls.cognito),
        ("sqs", &calls.sqs),
        ("s3", &calls.s3),
        ("sts", &calls.sts),
        ("ups", &calls.ups),
        ("sockets", &calls.sockets),
        ("ses", &calls.ses),
    ];
    let of = |(service, names): (&str, &Vec<String>)| names.iter().map(|n| (service.to_owned(), n.clone())).collect::<Vec<_>>();
    let mut seen: Vec<_> = services.into_iter().flat_map(of).collect();
    seen.sort();
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn line_of_every_endpoint_lists_each_call_with_its_duration_and_outcome() {
    let app = App::with_cognito().await;
    for endpoint in protected() {
        let fixture = Fixture::of(&app, endpoint).await;
        let client = app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await);
        app.clock().advance(Duration::from_secs(1));
        let call = fixture.call(&client, endpoint);
        app.reset_calls();
        let answer = call.await;
        assert_eq!(answer.status, endpoint.status, "{}: {}", endpoint.name, answer.text);
        let line = app.log_lines().pop().unwrap();
        assert_eq!(line["function"], endpoint.name);
        assert_eq!(line["calls.more"], Value::Null, "{}", endpoint.name);
        assert_eq!(listed(&line), seen(&app.calls()), "{}", endpoint.name);
        for call in line["calls"].as_array().unwrap() {
            assert!(call["duration_us"].as_u64().unwrap() > 0, "{}: {call}", endpoint.name);
            assert_eq!((&call["attempts"], &call["outcome"]), (&json!(1), &json!("ok")), "{}: {call}", endpoint.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn line_of_every_endpoint_names_the_outcome_of_a_failed_call() {
    let app = App::with_cognito().await;
    for endpoint in protected() {
        let fixture = Fixture::of(&app, endpoint).await;
        for (fault, attempts, outcome) in [
            (Fault::Refused("ValidationException"), 1, "ValidationException"),
            (Fault::Says(503, "Ada Sample"), 3, "503"),
            (Fault::Gone, 3, "no connection"),
            (Fault::Throttled, 2, "ok"),
        ] {
            // The tenant's state is read again, and the circuit and the budget of retries are whole.
            app.clock().advance(Duration::from_secs(60));
            let client = app.as_identity(app.open_session(Tenant::Acme, allowed_role(endpoint)).await);
            let call = fixture.call(&client, endpoint);
            app.wire().fail("dynamodb", 0, if attempts == 2 { 1 } else { attempts }, fault);
            let answer = call.await;
            app.wire().heal();
            assert_eq!(answer.status == 503, attempts != 2, "{} {fault:?}: {}", endpoint.name, answer.text);
            let line = app.log_lines().pop().unwrap();
            assert_eq!(line["function"], endpoint.name);
            let calls = line["calls"].as_array().unwrap();
            let call = calls.iter().find(|call| call["service"] == "dynamodb").unwrap();
            let expected = (json!("dynamodb"), json!(attempts), json!(outcome));
            assert_eq!(
                (&call["service"], &call["attempts"], &call["outcome"]),
                (&expected.0, &expected.1, &expected.2),
                "{} {fault:?}: {line}",
                endpoint.name
            );
            assert!(!line.to_string().contains("Ada"), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn line_of_every_consumers_effect_lists_its_calls() {
    for consumer in registry::consumers() {
        let world = samples::world(consumer.name).await;
        let mut queue = world.queue(consumer, 1).await;
        world.app.forget_log_lines();
        queue.settle().await;
        let lines: Vec<_> = world.app.log_lines().into_iter().filter(|line| line["function"] == consumer.name).collect();
        assert!(lines.iter().any(|line| line["calls"].is_array()), "{}: {lines:#?}", consumer.name);
        for line in lines.iter().filter(|line| line["outcome"] == "committed") {
            assert!(listed(line).iter().any(|(service, _)| service == "dynamodb"), "{line}");
        }
    }
}
