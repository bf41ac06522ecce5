//! The root template's alarms: given-up and waiting messages, failing pipes, a tampered log, a failing or slow API, tables, mail,
//! keys, and log lines by level. Alarms of single functions are in their domains' stacks (`watch`).
//!
//! An alarm's description names the section of a runbook with the steps to take.

use super::{
    function::pascal,
    queues,
    yaml::{Node, attribute, list, map, reference, sub},
};
use common::{
    background::{AnyConsumer, Feed},
    base::Need,
};

/// The metric and the texts of an alarm.
#[derive(Debug)]
pub(crate) struct Alarm<'a> {
    /// The suffix after the deployment's name.
    pub(crate) name: &'a str,
    pub(crate) says: &'a str,
    /// `queues#given-up`: a section of a page in `docs/runbooks`.
    pub(crate) runbook: &'a str,
    pub(crate) of: Of,
    pub(crate) above: &'a str,
    /// The number of recent periods that are evaluated. With several, a condition that recurs at intervals is one lasting alarm
    /// instead of one each time.
    pub(crate) of_last: u32,
    /// The number of these periods that must exceed the threshold.
    pub(crate) met: u32,
}

/// One metric, or an expression over several.
#[derive(Debug)]
pub(crate) enum Of {
    One(Metric),
    /// The metrics by their names in the expression.
    Worked {
        out: Node,
        from: Vec<(String, Metric)>,
    },
}

#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) namespace: Node,
    pub(crate) name: &'static str,
    pub(crate) dimensions: Vec<(&'static str, Node)>,
    /// `Sum`, `Maximum`, `p99`.
    pub(crate) statistic: &'static str,
    pub(crate) period: u32,
}

impl Metric {
    pub(crate) fn of(namespace: &str, name: &'static str, statistic: &'static str, period: u32) -> Self {
        Self { namespace: namespace.into(), name, dimensions: Vec::new(), statistic, period }
    }
    pub(crate) fn by(mut self, name: &'static str, value: Node) -> Self {
        self.dimensions.push((name, value));
        self
    }

    fn what(&self) -> Vec<(String, Node)> {
        let mut what = vec![("Namespace".to_owned(), self.namespace.clone()), ("MetricName".to_owned(), self.name.into())];
        if !self.dimensions.is_empty() {
            let each = self.dimensions.iter().map(|(name, value)| map! { "Name" => *name, "Value" => value.clone() });
            what.push(("Dimensions".to_owned(), each.collect()));
        }
        what
    }
}

/// The alarm as a resource. Missing data is not breaching.
pub(crate) fn resource(alarm: &Alarm<'_>) -> Node {
    let mut properties = vec![
        ("AlarmName".to_owned(), sub(format!("${{Prefix}}-{}", alarm.name))),
        ("AlarmDescription".to_owned(), described(alarm.says, alarm.runbook).into()),
    ];
    match &alarm.of {
        Of::One(metric) => {
            properties.extend(metric.what());
            let statistic = if metric.statistic.starts_with('p') { "ExtendedStatistic" } else { "Statistic" };
            properties.push((statistic.to_owned(), metric.statistic.into()));
            properties.push(("Period".to_owned(), metric.period.into()));
        }
        Of::Worked { out, from } => {
            let asked = from.iter().map(|(id, metric)| {
                map! {
                    "Id" => id.as_str(), "ReturnData" => false,
                    "MetricStat" => map! {
                        "Metric" => Node::Map(metric.what()), "Period" => metric.period, "Stat" => metric.statistic,
                    },
                }
            });
            let worked = map! { "Id" => "watched", "ReturnData" => true, "Expression" => out.clone() };
            properties.push(("Metrics".to_owned(), asked.chain([worked]).collect()));
        }
    }
    let condition = map! {
        "EvaluationPeriods" => alarm.of_last,
        "DatapointsToAlarm" => alarm.met,
        "ComparisonOperator" => "GreaterThanThreshold",
        "Threshold" => Node::Plain(alarm.above.to_owned()),
        "TreatMissingData" => "notBreaching",
        "AlarmActions" => list![reference("AlarmTopic")],
        "OKActions" => list![reference("AlarmTopic")],
    };
    properties.extend(condition.members().iter().cloned());
    map! { "Type" => "AWS::CloudWatch::Alarm", "Properties" => Node::Map(properties) }
}

/// The alarm's description, with the runbook's address.
fn described(says: &str, runbook: &str) -> String {
    let (page, section) = runbook.split_once('#').unwrap_or((runbook, ""));
    format!("{says}. Runbook: docs/runbooks/{page}.md#{section}")
}

/// `tables`: each table's logical name, and its indexes.
pub(crate) fn resources(tables: &[(String, Vec<String>)]) -> String {
    let mut resources: Vec<(String, Node)> = Vec::new();
    for queue in registry::queues() {
        let name = pascal(queue.name);
        resources.push((format!("{name}DeadAlarm"), given_up(&name, &queues::logical_dead(&queue))));
    }
    for consumer in registry::consumers() {
        resources.push((format!("{}WaitsAlarm", pascal(consumer.queue.name)), waits(consumer)));
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
    }
    if let Some(sweeper) = registry::schedules().find(|schedule| schedule.needs.contains(&Need::Outbox)) {
        resources.extend(watched(sweeper.domain, "OutboxMissed", &MISSED));
    }
    resources.extend(skipped());
    resources.extend(tables.iter().flat_map(|(table, indexes)| throttled(table, indexes)));
    resources.extend(apis());
    resources.extend(account());
    resources.extend(logged());
    resources.extend(keys());
    super::tags::write(resources)
}

fn given_up(name: &str, queue: &str) -> Node {
    resource(&Alarm {
        name: &format!("{}-given-up", kebab(name)),
        says: "Messages were given up: `cloister dlq` shows which and why",
        runbook: "queues#given-up",
        of: Of::One(
            Metric::of("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", 60)
                .by("QueueName", attribute(&format!("{queue}.QueueName"))),
        ),
        above: "0",
        of_last: 1,
        met: 1,
    })
}

/// The age of the oldest message. A sealer that does not run logs no lag, so its queue has a short limit; messages of other
/// queues may wait for all their retries.
fn waits(consumer: &AnyConsumer) -> Node {
    let queue = &consumer.queue;
    let sealer = queue.feed == Feed::WakeUps;
    let patience = if sealer { 300 } else { queues::visible_secs(consumer) * u32::from(queue.receives) + 300 };
    resource(&Alarm {
        name: &if sealer { "audit-waits".to_owned() } else { format!("{}-waits", queue.name) },
        says: &if sealer {
            "The audit log is not being sealed: the sealer's messages wait for more than five minutes".to_owned()
        } else {
            format!("The oldest message of `{}` waits for longer than all its retries take", queue.name)
        },
        runbook: "queues#waits",
        of: Of::One(
            Metric::of("AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", 60)
                .by("QueueName", attribute(&format!("{}.QueueName", queues::logical(queue)))),
        ),
        above: &patience.to_string(),
        of_last: 1,
        met: 1,
    })
}

fn pipe_fails(pipe: &str) -> Node {
    resource(&Alarm {
        name: &format!("{pipe}-pipe"),
        says: "A pipe from the ledger's stream fails; the sweeper sends the events that it misses",
        runbook: "queues#pipe",
        of: Of::One(
            Metric::of("AWS/EventBridge/Pipes", "ExecutionFailed", "Sum", 300).by("PipeName", sub(format!("${{Prefix}}-{pipe}"))),
        ),
        above: "0",
        of_last: 1,
        met: 1,
    })
}

/// Throttled reads and writes of the table and of each index: one alarm for reads, one for writes.
fn throttled(table: &str, indexes: &[String]) -> [(String, Node); 2] {
    let named = kebab(table.trim_end_matches("Table"));
    [("Read", "ReadThrottleEvents"), ("Write", "WriteThrottleEvents")].map(|(kind, metric)| {
        let of_table = || Metric::of("AWS/DynamoDB", metric, "Sum", 60).by("TableName", reference(table));
        let of_index = |index: &String| of_table().by("GlobalSecondaryIndexName", index.as_str().into());
        let from = [of_table()].into_iter().chain(indexes.iter().map(of_index)).enumerate();
        let from: Vec<_> = from.map(|(i, metric)| (format!("m{i}"), metric)).collect();
        let sum = from.iter().map(|(id, _)| format!("FILL({id}, 0)")).collect::<Vec<_>>().join(" + ");
        let alarm = Alarm {
            name: &format!("{named}-{}s-throttled", kind.to_lowercase()),
            says: &format!("DynamoDB throttles {}s of `{named}` or of one of its indexes", kind.to_lowercase()),
            runbook: "tables#throttled",
            of: Of::Worked { out: sum.into(), from },
            above: "0",
            of_last: 5,
            met: 3,
        };
        (format!("{}{kind}sThrottledAlarm", table.trim_end_matches("Table")), resource(&alarm))
    })
}

/// The answers of the REST API and of the sockets.
fn apis() -> Vec<(String, Node)> {
    let rest = |metric, statistic| {
        Metric::of("AWS/ApiGateway", metric, statistic, 300).by("ApiName", sub("${Prefix}-api")).by("Stage", "live".into())
    };
    let sockets = |metric, statistic| {
        Metric::of("AWS/ApiGateway", metric, statistic, 300).by("ApiId", reference("SocketApi")).by("Stage", "live".into())
    };
    let failed =
        |name: &str| (name.to_owned(), sockets(if name == "sent" { "IntegrationError" } else { "ExecutionError" }, "Sum"));
    let alarm =
        |name, says, runbook, of, above, periods| Alarm { name, says, runbook, of, above, of_last: periods, met: periods };
    [
        (
            "ApiErrorsAlarm",
            alarm("api-errors", "The API answers with 5xx", "api#errors", Of::One(rest("5XXError", "Sum")), "5", 1),
        ),
        (
            "ApiLatencyAlarm",
            alarm(
                "api-latency",
                "1 % of the requests take more than three seconds",
                "api#latency",
                Of::One(rest("Latency", "p99")),
                "3000",
                3,
            ),
        ),
        (
            "SocketErrorsAlarm",
            alarm(
                "socket-errors",
                "Sockets fail with execution or integration errors",
                "api#errors",
                Of::Worked { out: "FILL(sent, 0) + FILL(own, 0)".into(), from: vec![failed("sent"), failed("own")] },
                "5",
                1,
            ),
        ),
        (
            "SocketLatencyAlarm",
            alarm(
                "socket-latency",
                "1 % of the sockets' messages take more than three seconds",
                "api#latency",
                Of::One(sockets("IntegrationLatency", "p99")),
                "3000",
                3,
            ),
        ),
    ]
    .map(|(name, alarm)| (name.to_owned(), resource(&alarm)))
    .into()
}

/// Alarms for the whole account: its functions' concurrency, and its reputation as a sender of mail.
fn account() -> Vec<(String, Node)> {
    let mail = |metric| Of::One(Metric::of("AWS/SES", metric, "Average", 3600));
    let one = |name, says, runbook, of, above| Alarm { name, says, runbook, of, above, of_last: 1, met: 1 };
    [
        (
            "ConcurrencyAlarm",
            one(
                "concurrency",
                "Functions of this account use more than 80 % of its concurrency",
                "functions#concurrency",
                Of::Worked {
                    out: sub("claimed / ${LambdaConcurrency} * 100"),
                    from: vec![("claimed".to_owned(), Metric::of("AWS/Lambda", "ClaimedAccountConcurrency", "Maximum", 60))],
                },
                "80",
            ),
        ),
        (
            "MailBouncesAlarm",
            one(
                "mail-bounces",
                "More than 3 % of the mails bounce: SES reviews an account at 5 %",
                "mail#bounces",
                mail("Reputation.BounceRate"),
                "0.03",
            ),
        ),
        (
            "MailComplaintsAlarm",
            one(
                "mail-complaints",
                "More than 0.08 % of the mails cause complaints: SES reviews an account at 0.1 %",
                "mail#complaints",
                mail("Reputation.ComplaintRate"),
                "0.0008",
            ),
        ),
    ]
    .map(|(name, alarm)| (name.to_owned(), resource(&alarm)))
    .into()
}

/// Counts the log lines of all functions by level. Each domain's stack counts its own.
fn logged() -> Vec<(String, Node)> {
    let lines =
        |metric: &'static str, period| Of::One(Metric { namespace: namespace(), ..Metric::of("", metric, "Sum", period) });
    [
        (
            "LogCriticalAlarm",
            Alarm {
                name: "log-critical",
                says: "A function has logged a critical line",
                runbook: "logs#critical",
                of: lines(LOG_CRITICAL, 60),
                above: "0",
                of_last: 1,
                met: 1,
            },
        ),
        (
            "LogErrorsAlarm",
            Alarm {
                name: "log-errors",
                says: "Functions have logged more than five errors in five minutes",
                runbook: "logs#errors",
                of: lines(LOG_ERRORS, 300),
                above: "5",
                of_last: 1,
                met: 1,
            },
        ),
    ]
    .map(|(name, alarm)| (name.to_owned(), resource(&alarm)))
    .into()
}

pub(crate) const LOG_CRITICAL: &str = "log-critical";
pub(crate) const LOG_ERRORS: &str = "log-errors";

/// Reports a key that is disabled, scheduled for deletion, no longer rotated, or deleted. The rule covers every key of the
/// account, because a tenant's key has no name by which a pattern could select it.
fn keys() -> Vec<(String, Node)> {
    let says = described("A KMS key was disabled, scheduled for deletion, no longer rotated, or deleted", "keys#disabled");
    let pattern = map! {
        "source" => list!["aws.kms"],
        "$or" => list![
            map! {
                "detail-type" => list!["AWS API Call via CloudTrail"],
                "detail" => map! {
                    "eventSource" => list!["kms.amazonaws.com"],
                    "eventName" => list!["DisableKey", "DisableKeyRotation", "ScheduleKeyDeletion"],
                },
            },
            map! { "detail-type" => list!["KMS CMK Deletion"] },
        ],
    };
    let told = map! {
        "InputPathsMap" => map! { "event" => "$.detail.eventName", "key" => "$.resources", "at" => "$.time" },
        "InputTemplate" => format!("\"{says} (<event>, <key>, <at>)\""),
    };
    let rule = map! {
        "Type" => "AWS::Events::Rule",
        "Properties" => map! {
            "Name" => sub("${Prefix}-keys"),
            "Description" => says.as_str(),
            "EventPattern" => pattern,
            "Targets" => list![map! { "Id" => "alarms", "Arn" => reference("AlarmTopic"), "InputTransformer" => told }],
        },
    };
    vec![("KeysRule".to_owned(), rule)]
}

/// Log lines of one domain that raise an alarm.
struct Watched {
    name: &'static str,
    pattern: &'static str,
    says: &'static str,
    runbook: &'static str,
    /// The number of recent minutes in which such a line keeps the alarm on.
    of_last: u32,
}

const TAMPERED: Watched = Watched {
    name: "audit-tampered",
    pattern: r#"{ $.event = "audit.tamper_detected" }"#,
    says: "The audit log differs from what was sealed: this is a security incident",
    runbook: "audit#tampered",
    // A day is the most that CloudWatch takes. Open findings are logged again each hour.
    of_last: 24 * 60,
};

/// In milliseconds: the queue's delay, a run, and a tolerance of five minutes.
const LAGGING: Watched = Watched {
    name: "audit-lag",
    pattern: "{ $.['audit.lag_ms'] > 300000 }",
    says: "Audit events wait for more than five minutes before they are sealed",
    runbook: "audit#lag",
    of_last: 1,
};

/// Nothing is lost, but the consumers got the events late.
const MISSED: Watched = Watched {
    name: "outbox-missed",
    pattern: "{ $.['outbox.missed'] > 0 }",
    says: "Events did not arrive by the bus in time, and the sweeper sent them again: check the pipes and the bus",
    runbook: "queues#outbox-missed",
    of_last: 1,
};

/// The other tenants go on, so that only this alarm reports the broken one.
const SKIPPED: Watched = Watched {
    name: "tenants-skipped",
    pattern: r#"{ $.event = "tenant.skipped" }"#,
    says: "A schedule skips a tenant because it cannot read one of its items: the log line names both",
    runbook: "logs#tenants-skipped",
    of_last: 2 * 60,
};

/// One metric per domain with a schedule that iterates over the tenants, and one alarm for all.
fn skipped() -> Vec<(String, Node)> {
    let looks = registry::schedules().filter(|schedule| schedule.needs.contains(&Need::Tenants));
    let domains: std::collections::BTreeSet<_> = looks.map(|schedule| schedule.domain).collect();
    let metric = |domain: &&str| (format!("{}SkippedMetric", pascal(domain)), filter(domain, &SKIPPED));
    domains.iter().map(metric).chain([("TenantsSkippedAlarm".to_owned(), of_metric(&SKIPPED))]).collect()
}

pub(crate) fn namespace() -> Node {
    sub("Cloister/${Prefix}")
}

/// A metric filter on the domain's log, and its alarm.
fn watched(domain: &str, name: &str, watched: &Watched) -> [(String, Node); 2] {
    [(format!("{name}Metric"), filter(domain, watched)), (format!("{name}Alarm"), of_metric(watched))]
}

/// It depends on the domain's stack, which creates the log group.
fn filter(domain: &str, watched: &Watched) -> Node {
    map! {
        "Type" => "AWS::Logs::MetricFilter",
        "DependsOn" => list![super::stack::logical(domain)],
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
    let metric = Metric { namespace: namespace(), ..Metric::of("", watched.name, "Sum", 60) };
    let Watched { name, says, runbook, of_last, .. } = *watched;
    resource(&Alarm { name, says, runbook, of: Of::One(metric), above: "0", of_last, met: 1 })
}

/// `DeliverNotification` as `deliver-notification`.
pub(crate) fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
