//! Compares our events with AWS's own samples: the same members, of the same types, or a listed reason.

use super::super::function::{self, Serves};
use registry::Trigger;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A member that differs from the sample, and the reason.
type Listed = &'static [(&'static str, &'static str)];

const PROXY: Listed = &[
    ("/requestContext/resourceId", "API Gateway's own id of the route; no function reads it"),
    ("/requestContext/requestTime", "functions use their own clock; the access log has the gateway's time"),
    ("/requestContext/requestTimeEpoch", "as above"),
    ("/requestContext/identity/accessKey", "only in requests with an AWS signature, which the API does not use"),
    ("/requestContext/identity/accountId", "as above"),
    ("/requestContext/identity/caller", "as above"),
    ("/requestContext/identity/user", "as above"),
    ("/requestContext/identity/userArn", "as above"),
    ("/requestContext/identity/cognitoAuthenticationProvider", "only with identity pools, which Cloister does not use"),
    ("/requestContext/identity/cognitoAuthenticationType", "as above"),
    ("/requestContext/identity/cognitoIdentityId", "as above"),
    ("/requestContext/identity/cognitoIdentityPoolId", "as above"),
    ("/requestContext/authorizer", "the sample has no authorizer; ours returns a context of texts"),
];

const AUTHORIZER: Listed = &[
    ("/requestContext/resourceId", "API Gateway's own id of the route; no function reads it"),
    ("/requestContext/protocol", "AWS sends it, the sample lacks it"),
    ("/requestContext/identity/apiKey", "only with usage plans, which Cloister does not use"),
    ("/requestContext/identity/clientCert", "only with mutual TLS, which the API does not use"),
    ("/requestContext/identity/userAgent", "AWS sends it, the sample lacks it"),
    ("/multiValueHeaders", "AWS sends it, the sample lacks it"),
    ("/multiValueQueryStringParameters", "as above"),
];

const QUEUE: Listed = &[
    ("/Records/0/md5OfBody", "the body has placeholders; no function reads the hash"),
    ("/Records/0/attributes/MessageGroupId", "only of a FIFO queue; the sample's is a standard queue"),
    ("/Records/0/attributes/MessageDeduplicationId", "as above"),
    ("/Records/0/attributes/SequenceNumber", "as above"),
];

const SCHEDULE: Listed = &[
    ("/version", "AWS sends it, the sample lacks it"),
    ("/detail", "the sample is of a rule, whose detail is an object; Scheduler's is the text `{}`"),
];

/// The queue's message is the topic's notification itself, without Lambda's envelope.
const TOPIC: Listed = &[
    ("/Subject", "the mail service sets none"),
    ("/Signature", "the queue's policy authenticates SNS"),
    ("/SignatureVersion", "as above"),
    ("/SigningCertUrl", "as above"),
    ("/UnsubscribeUrl", "as above"),
    ("/MessageAttributes", "as above"),
];

const SOCKET: Listed = &[
    ("/body", "only of a message; the sample is a disconnect"),
    ("/requestContext/messageId", "as above"),
    ("/requestContext/disconnectReason", "of a disconnect only"),
    ("/requestContext/disconnectStatusCode", "as above"),
    ("/requestContext/identity/userAgent", "AWS sends it, the sample lacks it"),
    ("/requestContext/authorizer", "the sample has no authorizer; ours returns a context of texts"),
    ("/queryStringParameters", "only of a connect; the sample is a disconnect"),
    ("/headers", "a message has none"),
    ("/multiValueHeaders", "as above"),
];

const TOKENS: Listed = &[
    ("/request/clientMetadata", "only if the caller sends some, which Cloister does not"),
    ("/request/groupConfiguration/groupsToOverride/0", "no user of the event has a group"),
    ("/request/groupConfiguration/iamRolesToOverride/0", "as above"),
    ("/response/claimsOverrideDetails", "only in version 1; version 2 has the next member"),
    ("/response/claimsAndScopeOverrideDetails", "as above"),
];

/// Members whose own members are data: names of headers, parameters, attributes.
const OPEN: [&str; 9] = [
    "/headers",
    "/multiValueHeaders",
    "/queryStringParameters",
    "/multiValueQueryStringParameters",
    "/pathParameters",
    "/stageVariables",
    "/requestContext/authorizer",
    "/Records/0/messageAttributes",
    "/request/userAttributes",
];

/// Each member's path, and its type.
fn shape(value: &Value, place: &str, out: &mut BTreeMap<String, &'static str>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    out.insert(place.to_owned(), kind);
    match value {
        Value::Object(members) if !OPEN.contains(&place) => {
            members.iter().for_each(|(name, member)| shape(member, &format!("{place}/{name}"), out));
        }
        Value::Array(items) => items.iter().take(1).for_each(|item| shape(item, &format!("{place}/0"), out)),
        _ => {}
    }
}

/// Compares an event with a sample; records which of the listed differences occur.
fn compare(name: &str, event: &Value, sample: &str, listed: Listed, used: &mut BTreeSet<&'static str>) {
    let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
    shape(event, "", &mut ours);
    shape(&serde_json::from_str(sample).unwrap(), "", &mut theirs);
    for place in ours.keys().chain(theirs.keys()) {
        let (own, other) = (ours.get(place), theirs.get(place));
        // A member that can be absent may be null in either.
        let open = own.is_some() && other.is_some() && (own == Some(&"null") || other == Some(&"null"));
        if own == other || open {
            continue;
        }
        let known = listed.iter().find(|(known, _)| place == known || place.starts_with(&format!("{known}/")));
        let (known, _) = known.unwrap_or_else(|| panic!("{name}: `{place}` is {own:?} and in AWS's sample {other:?}"));
        used.insert(known);
    }
}

#[test]
fn each_event_matches_awss_sample_or_has_a_listed_reason() {
    let mut used: BTreeMap<&str, BTreeSet<&'static str>> = BTreeMap::new();
    let mut topics = 0;
    for function in function::all() {
        let event: Value = serde_json::from_str(&super::template(&function).unwrap()).unwrap();
        let (kind, sample, listed) = match function.serves {
            Serves::Endpoint(_) => ("proxy", include_str!("samples/proxy.json"), PROXY),
            Serves::Consumer(_) => ("queue", include_str!("samples/queue.json"), QUEUE),
            Serves::Schedule(_) => ("schedule", include_str!("samples/schedule.json"), SCHEDULE),
            Serves::Socket(_) => ("socket", include_str!("samples/socket_disconnect.json"), SOCKET),
            Serves::Other(other) => match other.trigger {
                Trigger::Authorizer => ("authorizer", include_str!("samples/authorizer.json"), AUTHORIZER),
                Trigger::PreTokenGeneration => ("tokens", include_str!("samples/pre_token_generation.json"), TOKENS),
            },
        };
        compare(function.name, &event, sample, listed, used.entry(kind).or_default());
        let body = event["Records"][0]["body"].as_str().and_then(|body| serde_json::from_str::<Value>(body).ok());
        if let Some(body) = body.filter(|body| body["Type"] == "Notification") {
            let sample: Value = serde_json::from_str(include_str!("samples/topic.json")).unwrap();
            compare(function.name, &body, &sample["Records"][0]["Sns"].to_string(), TOPIC, used.entry("topic").or_default());
            topics += 1;
        }
    }
    assert_eq!(topics, 1, "one consumer reads a topic");
    for (kind, listed) in [
        ("proxy", PROXY),
        ("queue", QUEUE),
        ("schedule", SCHEDULE),
        ("socket", SOCKET),
        ("authorizer", AUTHORIZER),
        ("tokens", TOKENS),
        ("topic", TOPIC),
    ] {
        let stale: Vec<_> = listed.iter().filter(|(place, _)| !used[kind].contains(place)).collect();
        assert!(stale.is_empty(), "{kind}: no longer a difference: {stale:?}");
        assert!(listed.iter().all(|(_, reason)| reason.len() >= 8), "{kind}: a reason for each");
    }
}
