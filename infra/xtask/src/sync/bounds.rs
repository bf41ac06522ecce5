//! Tests that evaluate the templates with the longest names that a deployment may have, and compare the result with each service's
//! bounds. Template checkers do not see these bounds, because they do not evaluate `!Sub` and `!Ref`.

use super::{api, samconfig};
use crate::workspace;
use serde_norway::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// The parameter's longest value.
const PREFIX: &str = "cloister-twenty-char";
const REGION: &str = "ap-northeast-1";
const PARTITION: &str = "aws-us-gov";
const ACCOUNT: &str = "123456789012";

fn of_parameter(name: &str) -> String {
    match name {
        "Prefix" => PREFIX.to_owned(),
        "AWS::Region" => REGION.to_owned(),
        "AWS::Partition" => PARTITION.to_owned(),
        "AWS::AccountId" => ACCOUNT.to_owned(),
        "AWS::URLSuffix" => "amazonaws.com".to_owned(),
        "AWS::NoValue" => String::new(),
        "AllowedOrigins" => "o".repeat(api::MOST_ORIGINS),
        "OperatorNetworks" => "9".repeat(samconfig::MOST_NETWORKS),
        "PublicUrl" | "SocketsUrl" | "MailFrom" | "UpsUrl" => "u".repeat(80),
        "RecordsTable" | "LedgerTable" | "KeysTable" | "EphemeraTable" => format!("{PREFIX}-ephemera"),
        "AuditBucket" | "AuditAccessBucket" => format!("{PREFIX}-audit-access-{ACCOUNT}-{REGION}"),
        "TenantKeyMode" | "TenantSessions" | "SessionIdleSeconds" | "AuditExpiryDays" | "UpsPerMinute" => "production".to_owned(),
        // A name, or an ARN that ends with one.
        _ => format!("arn:{PARTITION}:secretsmanager:{REGION}:{ACCOUNT}:secret:{PREFIX}-settle-outbox-dead-1a2b3c"),
    }
}

/// The value that CloudFormation deploys. If it depends on a condition, the longer of the two.
fn deployed(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Tagged(tagged) => match (tagged.tag.to_string().trim_start_matches('!'), &tagged.value) {
            ("Sub", Value::String(text)) => Json::String(substituted(text)),
            ("Sub", Value::Sequence(parts)) => Json::String(substituted(parts[0].as_str().unwrap_or_default())),
            ("Ref", Value::String(name)) => Json::String(of_parameter(name)),
            ("GetAtt", Value::String(path)) => Json::String(of_parameter(path)),
            ("If", Value::Sequence(parts)) => {
                let (one, other) = (deployed(&parts[1]), deployed(&parts[2]));
                if one.to_string().len() >= other.to_string().len() { one } else { other }
            }
            ("Join" | "Select", Value::Sequence(parts)) => deployed(&parts[1]),
            (tag, value) => panic!("!{tag} of {value:?}: add its value here"),
        },
        Value::Mapping(members) => {
            let text = |name: &Value| name.as_str().unwrap_or_default().to_owned();
            Json::Object(members.iter().map(|(name, value)| (text(name), deployed(value))).collect())
        }
        Value::Sequence(items) => items.iter().map(deployed).collect(),
        plain => serde_json::to_value(plain).unwrap(),
    }
}

fn substituted(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').unwrap();
        out.push_str(before);
        out.push_str(&name.strip_prefix('!').map_or_else(|| of_parameter(name), |kept| format!("${{{kept}}}")));
        rest = after;
    }
    out + rest
}

/// A policy's size as IAM counts it, without white space. No service counts less.
fn size(value: &serde_json::Value) -> usize {
    value.to_string().chars().filter(|c| !c.is_whitespace()).count()
}

/// Every template, by path.
fn templates() -> BTreeMap<String, Value> {
    let stacks = registry::DOMAINS.iter().map(|domain| format!("infra/stacks/{}.yaml", domain.name));
    let read = |path: String| {
        let text = fs::read_to_string(workspace::root().join(&path)).unwrap();
        (path, serde_norway::from_str(&text).unwrap())
    };
    stacks.chain(["template.yaml".to_owned()]).map(read).collect()
}

/// Every resource: its place, its type, and its deployed properties.
fn resources() -> Vec<(String, String, serde_json::Value)> {
    let mut found = Vec::new();
    for (path, template) in templates() {
        for (name, resource) in template["Resources"].as_mapping().unwrap() {
            let kind = resource["Type"].as_str().unwrap().to_owned();
            // The API's body is checked by other tests.
            if kind != "AWS::ApiGateway::RestApi" {
                found.push((format!("{path}: {}", name.as_str().unwrap()), kind, deployed(&resource["Properties"])));
            }
        }
    }
    assert!(found.len() > 700, "{}", found.len());
    found
}

/// "IAM and AWS STS quotas": 10,240 characters of inline policies a role, white space not counted; 2,048 of trust policy, which
/// may be raised. "AWS KMS resource quotas": 32 KB. "Bucket policy": 20 KB. "Amazon SQS policy quotas": 8,192 bytes, 20
/// statements, 7 actions in each. SNS documents no such quota, so a topic's policy is held to a queue's.
#[test]
fn policies_with_the_longest_names_are_within_what_each_service_takes() {
    let mut seen = BTreeSet::new();
    for (at, kind, properties) in resources() {
        let (found, most) = match kind.as_str() {
            "AWS::IAM::Role" => {
                let trust = size(&properties["AssumeRolePolicyDocument"]);
                assert!(trust <= 2_048, "{at}: {trust} of trust");
                let inline =
                    properties["Policies"].as_array().into_iter().flatten().map(|policy| size(&policy["PolicyDocument"]));
                (inline.sum(), 10_240)
            }
            "AWS::KMS::Key" => (size(&properties["KeyPolicy"]), 32 * 1024),
            "AWS::S3::BucketPolicy" => (size(&properties["PolicyDocument"]), 20 * 1024),
            "AWS::SQS::QueuePolicy" | "AWS::SNS::TopicPolicy" => {
                let statements = properties["PolicyDocument"]["Statement"].as_array().unwrap();
                let actions = |statement: &serde_json::Value| statement["Action"].as_array().map_or(1, Vec::len);
                assert!(statements.len() <= 20 && statements.iter().all(|statement| actions(statement) <= 7), "{at}");
                (size(&properties["PolicyDocument"]), 8_192)
            }
            // "Amazon EventBridge quotas": 2,048 characters.
            "AWS::Events::Rule" => (size(&properties["EventPattern"]), 2_048),
            _ => continue,
        };
        seen.insert(kind);
        // The test fails at nine tenths of a bound, before AWS refuses the policy.
        assert!(found * 10 <= most * 9, "{at}: {found} of {most}");
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
}

/// IAM refuses a policy with another character in a `Sid`, or with a duplicate one.
#[test]
fn statements_of_a_role_are_named_by_letters_and_digits_and_each_once() {
    for (at, _, properties) in resources().into_iter().filter(|(_, kind, _)| kind == "AWS::IAM::Role") {
        for policy in properties["Policies"].as_array().into_iter().flatten() {
            let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
            let names: Vec<_> = statements.iter().filter_map(|statement| statement["Sid"].as_str()).collect();
            assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_alphanumeric())), "{at}: {names:?}");
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{at}: {names:?}");
        }
    }
}

/// "Lambda quotas": 4 KB of environment variables a function.
#[test]
fn environment_with_the_longest_parameters_is_within_what_lambda_takes() {
    let mut most = 0;
    for (path, template) in templates() {
        let shared = deployed(&template["Globals"]["Function"]["Environment"]["Variables"]);
        for (name, resource) in template["Resources"].as_mapping().unwrap() {
            if resource["Type"] != "AWS::Serverless::Function" {
                continue;
            }
            let mut variables = shared.as_object().unwrap().clone();
            let own = deployed(&resource["Properties"]["Environment"]["Variables"]);
            variables.extend(own.as_object().cloned().unwrap_or_default());
            let length: usize = variables.iter().map(|(name, value)| name.len() + value.as_str().unwrap_or_default().len()).sum();
            assert!(length <= 4_096, "{path}: {name:?}: {length}");
            most = most.max(length);
        }
    }
    assert!(most > 2_000, "the parameters are not counted: {most}");
}

/// The bounds of each service's API reference.
#[test]
fn names_with_the_longest_prefix_are_within_what_each_service_takes() {
    let mut seen = 0;
    for (at, kind, properties) in resources() {
        let (member, most) = match kind.as_str() {
            "AWS::IAM::Role" => ("RoleName", 64),
            "AWS::Serverless::Function" => ("FunctionName", 64),
            "AWS::SQS::Queue" => ("QueueName", 80),
            "AWS::S3::Bucket" => ("BucketName", 63),
            "AWS::DynamoDB::Table" => ("TableName", 255),
            "AWS::SNS::Topic" => ("TopicName", 256),
            "AWS::Events::Rule" | "AWS::Pipes::Pipe" | "AWS::Scheduler::Schedule" => ("Name", 64),
            "AWS::WAFv2::WebACL" => ("Name", 128),
            "AWS::CloudWatch::Alarm" => ("AlarmName", 255),
            "AWS::Logs::LogGroup" => ("LogGroupName", 512),
            _ => continue,
        };
        // CloudFormation generates a name for a role without one.
        let Some(name) = properties[member].as_str() else { continue };
        assert!(name.contains(PREFIX) && name.len() <= most, "{at}: {name}: {} of {most}", name.len());
        seen += 1;
    }
    assert!(seen > 500, "{seen}");
}

/// "CloudFormation quotas": 200 parameters and outputs, and 4,096 bytes a parameter's value.
#[test]
fn no_template_exceeds_cloudformations_parameters_or_outputs() {
    for (path, template) in templates() {
        for section in ["Parameters", "Outputs", "Mappings"] {
            assert!(template[section].as_mapping().is_none_or(|members| members.len() <= 200), "{path}: {section}");
        }
    }
    for (at, _, properties) in resources().into_iter().filter(|(_, kind, _)| kind == "AWS::CloudFormation::Stack") {
        for (name, value) in properties["Parameters"].as_object().unwrap() {
            assert!(value.as_str().is_none_or(|value| value.len() <= 4_096), "{at}: {name}");
        }
    }
}

/// "Quotas for configuring and running a REST API": 300 resources, one for each part of a path; 3 KB for the format of a log
/// line. API Gateway takes only one variable below a resource: `/a/{id}` and `/a/{other}/b` are refused.
#[test]
fn paths_and_log_formats_are_such_as_api_gateway_takes() {
    let templates = templates();
    let root = &templates["template.yaml"]["Resources"];
    let mut parts = BTreeSet::new();
    let mut variables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in root["Api"]["Properties"]["Body"]["paths"].as_mapping().unwrap().keys() {
        let mut at = String::new();
        for part in path.as_str().unwrap().split('/').skip(1) {
            if part.starts_with('{') {
                variables.entry(at.clone()).or_default().insert(part.to_owned());
            }
            let plain = part.trim_start_matches('{').trim_end_matches('}');
            assert!(plain.chars().all(|c| c.is_ascii_alphanumeric() || "._-:".contains(c)), "{path:?}");
            at = format!("{at}/{part}");
            parts.insert(at.clone());
        }
    }
    assert!((60..=300).contains(&parts.len()), "{}", parts.len());
    assert!(variables.values().all(|names| names.len() == 1), "{variables:?}");
    for (stage, setting) in [("ApiStage", "AccessLogSetting"), ("SocketStage", "AccessLogSettings")] {
        let format = root[stage]["Properties"][setting]["Format"].as_str().unwrap();
        assert!(format.len() <= 3_072 && format.contains("$context.requestId"), "{stage}: {}", format.len());
    }
}

/// CloudFormation accepts such a parameter, and API Gateway or Lambda refuses it half-way through a deployment.
#[test]
fn parameters_that_api_gateway_or_lambda_would_refuse_are_refused_by_sync() {
    let check = |name: &str, value: &str| samconfig::check(&[(name.to_owned(), value.to_owned())]);
    let origins = |count: usize| vec!["https://app.acme-health.com"; count].join(",");
    assert_eq!(check("AllowedOrigins", &origins(1)), Ok(()));
    assert!(origins(18).len() <= 512 && check("AllowedOrigins", &origins(18)) == Ok(()));
    assert!(origins(19).len() > 512 && check("AllowedOrigins", &origins(19)).unwrap_err().contains("512"));
    // A stage variable may not contain brackets, so the template must refuse them.
    assert!(check("AllowedOrigins", "http://[::1]:3000").is_err());
    let templates = templates();
    let pattern = templates["template.yaml"]["Parameters"]["AllowedOrigins"]["AllowedPattern"].as_str().unwrap();
    assert!(!pattern.contains("::1"), "{pattern}");
    let networks = |count: usize| vec!["2001:db8:1234:5678::/64"; count].join(",");
    assert_eq!(check("OperatorNetworks", &networks(20)), Ok(()));
    assert!(check("OperatorNetworks", &networks(60)).is_err());
    assert_eq!(check("Prefix", &"p".repeat(2_000)), Ok(()), "CloudFormation has a pattern for it");
}
