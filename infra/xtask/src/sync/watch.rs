//! The alarms of a domain's stack on its own functions: errors, throttles, duration and concurrency of each, and the levels of
//! their log lines; and the functions' reserved concurrency.

use super::{
    alarms::{self, Alarm, Metric, Of},
    function::Function,
    yaml::{Node, list, map, reference, sub},
};
use common::{base::Need, request::FUNCTION_TIMEOUT_SECS};

/// The alarm's threshold for a function's slowest calls, in percent of its timeout.
const TIME_PERCENT: u32 = 80;

/// A parameter of the root template: the concurrency that is reserved for a function, which is also its maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Authorizer,
    Audit,
}

impl Kept {
    /// Functions that other load must not delay: those for access, and those of the audit log.
    pub(crate) fn of(function: &Function) -> Option<Self> {
        if function.is_authorizer() {
            Some(Self::Authorizer)
        } else if function.needs(Need::SealLog) || function.needs(Need::SignLog) {
            Some(Self::Audit)
        } else {
            None
        }
    }

    pub(crate) const fn parameter(self) -> &'static str {
        match self {
            Self::Authorizer => "AuthorizerConcurrency",
            Self::Audit => "AuditConcurrency",
        }
    }
    const fn condition(self) -> &'static str {
        match self {
            Self::Authorizer => "KeepsAuthorizerConcurrency",
            Self::Audit => "KeepsAuditConcurrency",
        }
    }

    /// The condition that the parameter is not 0.
    pub(crate) fn conditions(self) -> (String, Node) {
        let none = Node::Tag("Equals", Box::new(list![reference(self.parameter()), "0"]));
        (self.condition().to_owned(), Node::Tag("Not", Box::new(list![none])))
    }

    fn if_kept(self, then: Node) -> Node {
        Node::Tag("If", Box::new(list![self.condition(), then, reference("AWS::NoValue")]))
    }
}

/// The kinds of reserved concurrency of these functions.
pub(crate) fn kept(functions: &[Function]) -> Vec<Kept> {
    [Kept::Authorizer, Kept::Audit].into_iter().filter(|kept| functions.iter().any(|f| Kept::of(f) == Some(*kept))).collect()
}

/// The function's property.
pub(crate) fn reserved(function: &Function) -> Option<(String, Node)> {
    let kept = Kept::of(function)?;
    Some(("ReservedConcurrentExecutions".to_owned(), kept.if_kept(reference(kept.parameter()))))
}

/// The maximum concurrency of a queue's mapping. If the mapping asked for more than is reserved, its messages would be throttled
/// and given up.
pub(crate) fn at_once(function: &Function) -> Option<(String, Node)> {
    let kept = Kept::of(function)?;
    Some(("ScalingConfig".to_owned(), kept.if_kept(map! { "MaximumConcurrency" => reference(kept.parameter()) })))
}

/// The alarms of one function.
pub(crate) fn of_function(function: &Function) -> Vec<(String, Node)> {
    let metric = |name, statistic, period| {
        Metric::of("AWS/Lambda", name, statistic, period).by("FunctionName", sub(format!("${{Prefix}}-{}", function.name)))
    };
    let name = function.name;
    let timeout = u32::from(function.timeout().unwrap_or(FUNCTION_TIMEOUT_SECS));
    let most = (timeout * 10 * TIME_PERCENT).to_string();
    let mut alarms = vec![
        (
            "Errors",
            Alarm {
                name: &format!("{name}-errors"),
                says: &format!("`{name}` crashes or times out"),
                runbook: "functions#errors",
                of: Of::One(metric("Errors", "Sum", 300)),
                above: "0",
                of_last: 1,
                met: 1,
            },
        ),
        (
            "Throttles",
            Alarm {
                name: &format!("{name}-throttles"),
                says: &format!("Lambda throttles calls of `{name}`"),
                runbook: "functions#throttles",
                of: Of::One(metric("Throttles", "Sum", 300)),
                above: "0",
                of_last: 1,
                met: 1,
            },
        ),
        (
            "Slow",
            Alarm {
                name: &format!("{name}-slow"),
                says: &format!("1 % of the calls of `{name}` take more than {TIME_PERCENT} % of its timeout"),
                runbook: "functions#slow",
                of: Of::One(metric("Duration", "p99", 300)),
                above: &most,
                of_last: 3,
                met: 3,
            },
        ),
    ]
    .into_iter()
    .map(|(kind, alarm)| (format!("{}{kind}Alarm", function.logical()), alarms::resource(&alarm)))
    .collect::<Vec<_>>();
    if let Some(kept) = Kept::of(function) {
        let alarm = Alarm {
            name: &format!("{name}-busy"),
            says: &format!("`{name}` uses more than 80 % of its reserved concurrency"),
            runbook: "functions#concurrency",
            of: Of::Worked {
                out: sub(format!("busy / ${{{}}} * 100", kept.parameter())),
                from: vec![("busy".to_owned(), metric("ConcurrentExecutions", "Maximum", 60))],
            },
            above: "80",
            of_last: 5,
            met: 3,
        };
        let Node::Map(mut members) = alarms::resource(&alarm) else { return alarms };
        members.insert(1, ("Condition".to_owned(), kept.condition().into()));
        alarms.push((format!("{}BusyAlarm", function.logical()), Node::Map(members)));
    }
    alarms
}

/// Counts the domain's log lines of each level, for one alarm over all domains.
pub(crate) fn of_log() -> [(String, Node); 2] {
    [("LogCriticalMetric", "critical", alarms::LOG_CRITICAL), ("LogErrorsMetric", "error", alarms::LOG_ERRORS)].map(
        |(logical, level, metric)| {
            let filter = map! {
                "Type" => "AWS::Logs::MetricFilter",
                "Properties" => map! {
                    "LogGroupName" => reference("Logs"),
                    "FilterPattern" => format!("{{ $.level = \"{level}\" }}"),
                    "MetricTransformations" => list![map! {
                        "MetricNamespace" => alarms::namespace(), "MetricName" => metric, "MetricValue" => "1",
                    }],
                },
            };
            (logical.to_owned(), filter)
        },
    )
}
