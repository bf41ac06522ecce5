//! Who is woken by what: something that was given up, a pipe that fails, a log that is not what it was, or not sealed in time.

use super::{
    function::pascal,
    queues,
    yaml::{Node, attribute, list, map, reference, sub},
};
use common::{Feed, Need};

pub(crate) fn resources() -> String {
    let mut resources: Vec<(String, Node)> = Vec::new();
    for queue in registry::queues() {
        let name = pascal(queue.name);
        resources.push((format!("{name}DeadAlarm"), given_up(&name, &queues::logical_dead(&queue))));
    }
    let mut pipes = vec![("DomainEvents".to_owned(), "domain-events")];
    let sealer = registry::consumers().find(|consumer| consumer.queue.feed == Feed::WakeUps);
    pipes.extend(sealer.map(|consumer| (pascal(consumer.queue.name), "audit-wake-ups")));
    for (name, pipe) in pipes {
        resources.push((format!("{name}PipeAlarm"), pipe_fails(pipe)));
    }
    if let Some(sealer) = sealer {
        resources.extend(watched(sealer.domain, "AuditTampered", &TAMPERED));
        resources.extend(watched(sealer.domain, "AuditLag", &LAGGING));
        // A sealer that does not run says nothing of lagging.
        resources.push(("AuditWaitsAlarm".to_owned(), waits(&queues::logical(&sealer.queue))));
    }
    if let Some(sweeper) = registry::schedules().find(|schedule| schedule.needs.contains(&Need::Outbox)) {
        resources.extend(watched(sweeper.domain, "OutboxMissed", &MISSED));
    }
    resources.extend(skipped());
    Node::Map(resources).write(2)
}

fn given_up(name: &str, queue: &str) -> Node {
    let metric = map! {
        "Namespace" => "AWS/SQS",
        "MetricName" => "ApproximateNumberOfMessagesVisible",
        "Dimensions" => list![map! { "Name" => "QueueName", "Value" => attribute(&format!("{queue}.QueueName")) }],
        "Statistic" => "Maximum",
    };
    alarm(&format!("{}-given-up", kebab(name)), "Messages were given up: `cloister dlq` says which and why", metric, 0, 60)
}

fn waits(queue: &str) -> Node {
    let metric = map! {
        "Namespace" => "AWS/SQS",
        "MetricName" => "ApproximateAgeOfOldestMessage",
        "Dimensions" => list![map! { "Name" => "QueueName", "Value" => attribute(&format!("{queue}.QueueName")) }],
        "Statistic" => "Maximum",
    };
    alarm("audit-waits", "Nobody seals the audit log: its wake-ups wait for more than five minutes", metric, 300, 60)
}

fn pipe_fails(pipe: &str) -> Node {
    let metric = map! {
        "Namespace" => "AWS/EventBridge/Pipes",
        "MetricName" => "ExecutionFailed",
        "Dimensions" => list![map! { "Name" => "PipeName", "Value" => sub(format!("${{Prefix}}-{pipe}")) }],
        "Statistic" => "Sum",
    };
    alarm(&format!("{pipe}-pipe"), "A pipe from the ledger's stream fails; what it misses is swept", metric, 0, 300)
}

/// Lines of a domain's log that somebody should see.
struct Watched {
    name: &'static str,
    pattern: &'static str,
    says: &'static str,
    /// In how many of the last minutes it may have been, for the alarm to be on.
    of_last: u32,
}

const TAMPERED: Watched = Watched {
    name: "audit-tampered",
    pattern: r#"{ $.event = "audit.tamper_detected" }"#,
    says: "The audit log is not what was sealed: a security incident, whoever caused it",
    // Most CloudWatch takes: a day. What is open is found again each hour.
    of_last: 24 * 60,
};

/// In milliseconds: the queue's delay, a run, and five minutes of patience.
const LAGGING: Watched = Watched {
    name: "audit-lag",
    pattern: "{ $.['audit.lag_ms'] > 300000 }",
    says: "Audit events wait for more than five minutes before they are sealed",
    of_last: 1,
};

/// Nothing is lost, but somebody heard of it late.
const MISSED: Watched = Watched {
    name: "outbox-missed",
    pattern: "{ $.['outbox.missed'] > 0 }",
    says: "Events did not come by the bus in time, and were told again by the sweeper: see the pipes and the bus",
    of_last: 1,
};

/// One broken tenant holds up no other, so that nobody would hear of it.
const SKIPPED: Watched = Watched {
    name: "tenants-skipped",
    pattern: r#"{ $.event = "tenant.skipped" }"#,
    says: "A schedule leaves a tenant out because something of it cannot be read: its log line says which tenant and what",
    of_last: 2 * 60,
};

/// Of every domain that has a schedule which looks over the tenants: one metric, and one alarm.
fn skipped() -> Vec<(String, Node)> {
    let looks = registry::schedules().filter(|schedule| schedule.needs.contains(&Need::Tenants));
    let domains: std::collections::BTreeSet<_> = looks.map(|schedule| schedule.domain).collect();
    let metric = |domain: &&str| (format!("{}SkippedMetric", pascal(domain)), filter(domain, &SKIPPED));
    domains.iter().map(metric).chain([("TenantsSkippedAlarm".to_owned(), of_metric(&SKIPPED))]).collect()
}

fn namespace() -> Node {
    sub("Cloister/${Prefix}")
}

/// A metric of the domain's log, and its alarm.
fn watched(domain: &str, name: &str, watched: &Watched) -> [(String, Node); 2] {
    [(format!("{name}Metric"), filter(domain, watched)), (format!("{name}Alarm"), of_metric(watched))]
}

/// The log group is in the domain's stack.
fn filter(domain: &str, watched: &Watched) -> Node {
    map! {
        "Type" => "AWS::Logs::MetricFilter",
        "DependsOn" => list![format!("{}Stack", pascal(domain))],
        "Properties" => map! {
            "LogGroupName" => sub(format!("/${{Prefix}}/{domain}")),
            "FilterPattern" => watched.pattern,
            "MetricTransformations" => list![map! {
                "MetricNamespace" => namespace(), "MetricName" => watched.name, "MetricValue" => "1",
            }],
        },
    }
}

fn of_metric(watched: &Watched) -> Node {
    let metric = map! { "Namespace" => namespace(), "MetricName" => watched.name, "Statistic" => "Sum" };
    alarm_of(watched.name, watched.says, metric, 0, 60, watched.of_last)
}

/// `metric` above a number in one period of so many seconds. No news is good news.
fn alarm(name: &str, says: &str, metric: Node, above: u32, period: u32) -> Node {
    alarm_of(name, says, metric, above, period, 1)
}

/// The same in one of so many last periods: what comes again at intervals is one alarm that stays on, not one each time.
fn alarm_of(name: &str, says: &str, metric: Node, above: u32, period: u32, of_last: u32) -> Node {
    let Node::Map(metric) = metric else { return metric };
    let mut properties =
        vec![("AlarmName".to_owned(), sub(format!("${{Prefix}}-{name}"))), ("AlarmDescription".to_owned(), says.into())];
    properties.extend(metric);
    let condition = map! {
        "Period" => period,
        "EvaluationPeriods" => of_last,
        "DatapointsToAlarm" => 1u32,
        "ComparisonOperator" => "GreaterThanThreshold",
        "Threshold" => above,
        "TreatMissingData" => "notBreaching",
        "AlarmActions" => list![reference("AlarmTopic")],
        "OKActions" => list![reference("AlarmTopic")],
    };
    properties.extend(condition.members().iter().cloned());
    map! { "Type" => "AWS::CloudWatch::Alarm", "Properties" => Node::Map(properties) }
}

/// `DeliverNotification` as `deliver-notification`.
fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
