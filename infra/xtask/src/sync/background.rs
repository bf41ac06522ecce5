//! The triggers of functions without a route, in their domain's stack: a mapping from a queue, or a schedule.

use super::{
    function::{Function, Serves},
    queues, watch,
    yaml::{Node, attribute, list, map, reference, sub},
};
use common::background::{AnyConsumer, AnySchedule};

/// The root template's dead-letter queue for schedules that could not start and for failed runs.
pub(crate) const SCHEDULES_DEAD: &str = "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${Prefix}-schedules-dead";

/// The resources besides the function and its role.
pub(crate) fn resources(function: &Function) -> Vec<(String, Node)> {
    match function.serves {
        Serves::Consumer(consumer) => vec![(format!("{}Messages", function.logical()), mapping(function, consumer))],
        Serves::Schedule(schedule) => vec![
            (format!("{}Schedule", function.logical()), clock(function, schedule)),
            (format!("{}Failures", function.logical()), failures(function, schedule)),
        ],
        Serves::Endpoint(_) | Serves::Socket(_) | Serves::Other(_) => vec![],
    }
}

fn mapping(function: &Function, consumer: &AnyConsumer) -> Node {
    let queue = &consumer.queue;
    let mut properties = vec![
        ("EventSourceArn".to_owned(), queues::arn(queue)),
        ("FunctionName".to_owned(), reference(&function.logical())),
        ("BatchSize".to_owned(), u32::from(queue.batch).into()),
        ("FunctionResponseTypes".to_owned(), list!["ReportBatchItemFailures"]),
    ];
    // A FIFO queue has no batching window.
    if queue.window_secs > 0 && !queue.is_fifo() {
        properties.push(("MaximumBatchingWindowInSeconds".to_owned(), u32::from(queue.window_secs).into()));
    }
    if let Some(kept) = watch::at_once(function) {
        properties.push(kept);
    } else if let Some(most) = queue.most_at_once {
        properties.push(("ScalingConfig".to_owned(), map! { "MaximumConcurrency" => u32::from(most) }));
    }
    map! { "Type" => "AWS::Lambda::EventSourceMapping", "Properties" => Node::Map(properties) }
}

fn clock(function: &Function, schedule: &AnySchedule) -> Node {
    let unit = if schedule.every_minutes == 1 { "minute" } else { "minutes" };
    map! {
        "Type" => "AWS::Scheduler::Schedule",
        "Properties" => map! {
            "Name" => sub(format!("${{Prefix}}-{}", function.name)),
            "Description" => schedule.summary,
            "ScheduleExpression" => format!("rate({} {unit})", schedule.every_minutes),
            "FlexibleTimeWindow" => map! { "Mode" => "OFF" },
            "Target" => map! {
                "Arn" => attribute(&format!("{}.Arn", function.logical())),
                "RoleArn" => attribute("ClockRole.Arn"),
                // A run that does not start in time is left to the next one.
                "RetryPolicy" => map! { "MaximumEventAgeInSeconds" => in_time(schedule), "MaximumRetryAttempts" => 2u32 },
                "DeadLetterConfig" => map! { "Arn" => sub(SCHEDULES_DEAD) },
            },
        },
    }
}

fn failures(function: &Function, schedule: &AnySchedule) -> Node {
    map! {
        "Type" => "AWS::Lambda::EventInvokeConfig",
        "Properties" => map! {
            "FunctionName" => reference(&function.logical()),
            "Qualifier" => "$LATEST",
            "MaximumEventAgeInSeconds" => in_time(schedule),
            "MaximumRetryAttempts" => 1u32,
            "DestinationConfig" => map! { "OnFailure" => map! { "Destination" => sub(SCHEDULES_DEAD) } },
        },
    }
}

/// In seconds, between one minute and the longest time that AWS allows.
fn in_time(schedule: &AnySchedule) -> u32 {
    (schedule.every_minutes * 60).clamp(60, 6 * 60 * 60)
}

/// The scheduler's permissions for a domain: start its schedules' functions, and send failures to the dead-letter queue.
pub(crate) fn clock_role(domain: &str, functions: &[Function]) -> Option<(String, Node)> {
    let started: Vec<_> = functions.iter().filter(|function| matches!(function.serves, Serves::Schedule(_))).collect();
    if started.is_empty() {
        return None;
    }
    let role = map! {
        "Type" => "AWS::IAM::Role",
        "Properties" => map! {
            "RoleName" => sub(format!("${{Prefix}}-{domain}-clock")),
            "AssumeRolePolicyDocument" => map! {
                "Version" => "2012-10-17",
                "Statement" => list![map! {
                    "Effect" => "Allow",
                    "Principal" => map! { "Service" => "scheduler.amazonaws.com" },
                    "Action" => "sts:AssumeRole",
                    "Condition" => map! { "StringEquals" => map! { "aws:SourceAccount" => reference("AWS::AccountId") } },
                }],
            },
            "Policies" => list![map! {
                "PolicyName" => "clock",
                "PolicyDocument" => map! {
                    "Version" => "2012-10-17",
                    "Statement" => list![
                        map! {
                            "Sid" => "Start", "Effect" => "Allow", "Action" => "lambda:InvokeFunction",
                            "Resource" =>
                                started.iter().map(|function| attribute(&format!("{}.Arn", function.logical()))).collect::<Node>(),
                        },
                        map! { "Sid" => "GiveUp", "Effect" => "Allow", "Action" => "sqs:SendMessage", "Resource" => sub(SCHEDULES_DEAD) },
                        super::iam::use_data_key("OpenQueue", &["kms:Decrypt", "kms:GenerateDataKey"], &["sqs"]),
                    ],
                },
            }],
        },
    };
    Some(("ClockRole".to_owned(), role))
}
