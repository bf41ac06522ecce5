//! Tests that every resource is watched, and that each alarm names the steps to take.

use super::{
    function,
    tests::{Template, templates, texts},
    watch::Kept,
    yaml::Node,
};
use crate::workspace;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

const ALARM: &str = "AWS::CloudWatch::Alarm";

/// Every resource of one type: its logical name and its properties.
fn of_type<'a>(templates: &'a [Template], kind: &'a str) -> Vec<(&'a str, &'a Node)> {
    let all = templates.iter().flat_map(|template| &template.resources);
    let wanted = all.filter(|(_, resource)| resource.get("Type") == Some(&kind.into()));
    wanted.map(|(name, resource)| (name.as_str(), resource.get("Properties").unwrap())).collect()
}

fn text<'a>(node: &'a Node, name: &str) -> &'a str {
    node.get(name).map(texts).and_then(|texts| texts.first().copied()).unwrap_or_default()
}

/// The metrics of an alarm: name, dimensions, statistic.
fn metrics(alarm: &Node) -> Vec<(String, Vec<String>, String)> {
    let one = |metric: &Node, statistic: &str| {
        let dimensions = metric.get("Dimensions").map(texts).unwrap_or_default().into_iter().map(str::to_owned).collect();
        (text(metric, "MetricName").to_owned(), dimensions, statistic.to_owned())
    };
    match alarm.get("Metrics") {
        Some(Node::List(queries)) => {
            let asked = queries.iter().filter_map(|query| query.get("MetricStat"));
            asked.map(|stat| one(stat.get("Metric").unwrap(), text(stat, "Stat"))).collect()
        }
        _ => vec![one(alarm, [text(alarm, "Statistic"), text(alarm, "ExtendedStatistic")].concat().as_str())],
    }
}

/// GitHub's anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-')).collect::<String>();
    kept.replace(' ', "-")
}

#[test]
fn each_alarm_names_a_runbook_section_and_each_section_has_an_alarm() {
    let templates = templates();
    let mut sections = BTreeSet::new();
    for page in fs::read_dir(workspace::root().join("docs/runbooks")).unwrap().map(|page| page.unwrap().path()) {
        let name = page.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&page).unwrap();
        let mut of_page: Vec<_> = text.split("\n## ").skip(1).collect();
        assert!(name == "README.md" || !of_page.is_empty(), "{name} has no section");
        for section in of_page.drain(..) {
            let (heading, body) = section.split_once('\n').unwrap();
            // The section gives the meaning, the places to look, and the steps to take.
            assert!(body.trim().lines().count() >= 3, "{name}, {heading}: the section is too short");
            sections.insert(format!("docs/runbooks/{name}#{}", anchor(heading)));
        }
    }
    let alarms = of_type(templates, ALARM).into_iter().map(|(name, alarm)| (name, text(alarm, "AlarmDescription")));
    let rules = of_type(templates, "AWS::Events::Rule").into_iter().filter(|(_, rule)| rule.get("EventBusName").is_none());
    let mut linked = BTreeSet::new();
    for (name, description) in alarms.chain(rules.map(|(name, rule)| (name, text(rule, "Description")))) {
        let (says, section) = description.split_once(". Runbook: ").unwrap_or_else(|| panic!("{name}: {description}"));
        assert!(sections.contains(section) && says.len() > 20 && description.len() <= 512, "{name}: {description}");
        linked.insert(section.to_owned());
    }
    assert_eq!(sections, linked, "a section without an alarm, or an alarm without a section");
}

#[test]
fn each_function_queue_and_table_has_its_alarms() {
    let templates = templates();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, alarm) in of_type(templates, ALARM) {
        for (metric, dimensions, statistic) in metrics(alarm) {
            seen.entry(dimensions.join(" ")).or_default().insert(format!("{metric} {statistic}"));
        }
    }
    let of = |what: &str| seen.get(what).cloned().unwrap_or_default();
    for function in function::all() {
        let watched = of(&format!("FunctionName ${{Prefix}}-{}", function.name));
        for metric in ["Errors Sum", "Throttles Sum", "Duration p99"] {
            assert!(watched.contains(metric), "{}: {metric}", function.name);
        }
        assert_eq!(watched.contains("ConcurrentExecutions Maximum"), Kept::of(&function).is_some(), "{}", function.name);
    }
    for (name, queue) in of_type(templates, "AWS::SQS::Queue") {
        let dead = text(queue, "QueueName").trim_end_matches(".fifo").ends_with("-dead");
        let metric = if dead { "ApproximateNumberOfMessagesVisible Maximum" } else { "ApproximateAgeOfOldestMessage Maximum" };
        assert!(of(&format!("QueueName {name}.QueueName")).contains(metric), "{name}: {metric}");
    }
    for (name, table) in of_type(templates, "AWS::DynamoDB::Table") {
        let Node::List(indexes) = table.get("GlobalSecondaryIndexes").cloned().unwrap_or(Node::List(vec![])) else {
            panic!("{name}")
        };
        let indexes =
            indexes.iter().map(|index| format!("TableName {name} GlobalSecondaryIndexName {}", text(index, "IndexName")));
        for place in indexes.chain([format!("TableName {name}")]) {
            let watched = of(&place);
            assert!(watched.contains("ReadThrottleEvents Sum") && watched.contains("WriteThrottleEvents Sum"), "{place}");
        }
    }
    let api = "ApiName ${Prefix}-api Stage live";
    let sockets = "ApiId SocketApi Stage live";
    for (place, metric) in [
        (api, "5XXError Sum"),
        (api, "Latency p99"),
        (sockets, "IntegrationError Sum"),
        (sockets, "ExecutionError Sum"),
        (sockets, "IntegrationLatency p99"),
        ("", "ClaimedAccountConcurrency Maximum"),
        ("", "Reputation.BounceRate Average"),
        ("", "Reputation.ComplaintRate Average"),
        ("", "log-critical Sum"),
        ("", "log-errors Sum"),
    ] {
        assert!(of(place).contains(metric), "{place}: {metric}");
    }
}

/// CloudWatch evaluates at most a day, combines at most ten metrics in one alarm, and identifies an alarm by its name.
#[test]
fn each_alarm_is_one_that_cloudwatch_takes_and_somebody_hears() {
    let templates = templates();
    let mut names = BTreeSet::new();
    for (name, alarm) in of_type(templates, ALARM) {
        assert!(names.insert(text(alarm, "AlarmName")), "{name}: another alarm has the same name");
        for action in ["AlarmActions", "OKActions"] {
            assert_eq!(alarm.get(action).map(texts), Some(vec!["AlarmTopic"]), "{name}");
        }
        let number = |node: &Node, member: &str| match node.get(member) {
            Some(Node::Plain(number)) => number.parse::<f64>().unwrap(),
            other => panic!("{name}: {member} is {other:?}"),
        };
        let period = match alarm.get("Metrics") {
            Some(Node::List(queries)) => {
                let asked: Vec<_> = queries.iter().filter_map(|query| query.get("MetricStat")).collect();
                assert!((1..=10).contains(&asked.len()) && queries.len() == asked.len() + 1, "{name}");
                asked.iter().map(|stat| number(stat, "Period")).fold(0.0, f64::max)
            }
            _ => number(alarm, "Period"),
        };
        assert!(period * number(alarm, "EvaluationPeriods") <= 24.0 * 60.0 * 60.0, "{name}");
        assert!(number(alarm, "DatapointsToAlarm") <= number(alarm, "EvaluationPeriods"), "{name}");
        assert_eq!(text(alarm, "ComparisonOperator"), "GreaterThanThreshold", "{name}");
        number(alarm, "Threshold");
    }
}

#[test]
fn lines_of_level_error_and_critical_are_counted_in_every_domains_log() {
    let templates = templates();
    for domain in registry::DOMAINS {
        let stack = templates.iter().find(|t| t.name == format!("infra/stacks/{}.yaml", domain.name)).unwrap();
        let filters: BTreeSet<_> = of_type(std::slice::from_ref(stack), "AWS::Logs::MetricFilter")
            .into_iter()
            .map(|(_, filter)| (text(filter, "LogGroupName"), text(filter, "FilterPattern")))
            .collect();
        let wanted = [("Logs", "{ $.level = \"critical\" }"), ("Logs", "{ $.level = \"error\" }")];
        assert_eq!(filters, wanted.into(), "{}", domain.name);
    }
}

#[test]
fn disabled_or_deleted_key_is_alarmed() {
    let templates = templates();
    let rules = of_type(templates, "AWS::Events::Rule");
    let (_, rule) = rules.iter().find(|(name, _)| *name == "KeysRule").unwrap();
    assert!(rule.get("EventBusName").is_none(), "services publish on the account's default bus");
    let heard = texts(rule.get("EventPattern").unwrap());
    for event in ["DisableKey", "ScheduleKeyDeletion", "DisableKeyRotation", "KMS CMK Deletion", "aws.kms"] {
        assert!(heard.contains(&event), "{event}");
    }
    assert_eq!(rule.get("Targets").map(|targets| texts(targets).contains(&"AlarmTopic")), Some(true));
    let policies = of_type(templates, "AWS::SNS::TopicPolicy");
    let (_, policy) = policies.iter().find(|(name, _)| *name == "AlarmTopicPolicy").unwrap();
    let said = texts(policy);
    assert!(said.contains(&"events.amazonaws.com") && said.contains(&"KeysRule.Arn"), "{said:?}");
    let keys = of_type(templates, "AWS::KMS::Key");
    let (_, data) = keys.iter().find(|(name, _)| *name == "DataKey").unwrap();
    let Some(Node::List(statements)) = data.get("KeyPolicy").and_then(|policy| policy.get("Statement")) else {
        panic!("statements")
    };
    let publishes = statements.iter().find(|statement| text(statement, "Sid") == "PublishToOwnTopics").unwrap();
    assert!(texts(publishes).contains(&"events.amazonaws.com"), "the topic is encrypted");
}

/// Lambda keeps 100 of the account's concurrency unreserved, so by default nothing is reserved.
#[test]
fn concurrency_is_reserved_for_the_authorizer_and_the_audit_functions() {
    let kept: Vec<_> = function::all().iter().filter_map(|f| Kept::of(f).map(|kept| (f.name, kept))).collect();
    let wanted = [("sign_checkpoint", Kept::Audit), ("seal_audit", Kept::Audit), ("authorizer", Kept::Authorizer)];
    assert_eq!(kept.iter().copied().collect::<BTreeMap<_, _>>().len(), wanted.len(), "{kept:?}");
    for (name, kept) in wanted {
        let templates = templates();
        let functions = of_type(templates, "AWS::Serverless::Function");
        let (_, function) = functions.iter().find(|(_, f)| text(f, "FunctionName") == format!("${{Prefix}}-{name}")).unwrap();
        assert!(
            function.get("ReservedConcurrentExecutions").is_some_and(|kept_for| texts(kept_for).contains(&kept.parameter())),
            "{name}"
        );
    }
    let templates = templates();
    let mappings = of_type(templates, "AWS::Lambda::EventSourceMapping");
    let (_, sealer) = mappings.iter().find(|(name, _)| *name == "SealAuditMessages").unwrap();
    assert!(texts(sealer.get("ScalingConfig").unwrap()).contains(&"AuditConcurrency"));
    let text = fs::read_to_string(workspace::root().join("template.yaml")).unwrap();
    let yaml: serde_norway::Value = serde_norway::from_str(&text).unwrap();
    for parameter in ["AuthorizerConcurrency", "AuditConcurrency"] {
        assert_eq!(yaml["Parameters"][parameter]["Default"], "0", "{parameter}");
    }
}
