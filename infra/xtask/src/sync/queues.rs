//! Each consumer's queue, its dead-letter queue, and the source of its messages: a rule on the bus, the mail service's topic, a
//! pipe, or functions, whose roles allow it.
//!
//! They are in the root template, with the bus, the topic and the ledger. A domain's stack refers to queues by name.

use super::{
    function::pascal,
    yaml::{Node, attribute, list, map, reference, sub},
};
use common::background::{AnyConsumer, Feed, Queue};

/// AWS recommends a visibility timeout of six times the function's timeout.
const VISIBLE_AFTER_TIMEOUTS: u32 = 6;
/// A message is kept for four days. The dead-letter queue counts from the original send, so it keeps messages longer.
const KEPT_SECS: u32 = 4 * 24 * 60 * 60;
const DEAD_KEPT_SECS: u32 = 14 * 24 * 60 * 60;

/// The queue's logical name in the root template.
pub(crate) fn logical(queue: &Queue) -> String {
    format!("{}Queue", pascal(queue.name))
}

/// The logical name of the dead-letter queue.
pub(crate) fn logical_dead(queue: &Queue) -> String {
    format!("{}DeadQueue", pascal(queue.name))
}

/// The dead-letter queue's name after the deployment's.
fn dead_name(queue: &Queue) -> String {
    if queue.is_fifo() { format!("{}-dead.fifo", queue.name) } else { format!("{}-dead", queue.name) }
}

/// The queue's ARN, for a template that does not contain the queue.
pub(crate) fn arn(queue: &Queue) -> Node {
    sub(arn_text(&queue.full_name()))
}

fn arn_text(name: &str) -> String {
    format!("arn:${{AWS::Partition}}:sqs:${{AWS::Region}}:${{AWS::AccountId}}:${{Prefix}}-{name}")
}

pub(crate) fn resources() -> String {
    let resources: Vec<_> = registry::consumers().flat_map(of_consumer).collect();
    if resources.is_empty() { String::new() } else { super::tags::write(resources) }
}

fn of_consumer(consumer: &AnyConsumer) -> Vec<(String, Node)> {
    let queue = &consumer.queue;
    let name = pascal(queue.name);
    let mut resources = vec![(logical(queue), live(consumer)), (logical_dead(queue), dead(queue))];
    let mut statements = vec![tls_only(&[logical(queue), logical_dead(queue)])];
    match queue.feed {
        Feed::Events | Feed::AllEvents => {
            statements.push(may_send("BusSends", "events.amazonaws.com", queue, attribute(&format!("{name}Rule.Arn"))));
            resources.push((format!("{name}Rule"), rule(consumer)));
        }
        Feed::Mail => {
            statements.push(may_send("TopicSends", "sns.amazonaws.com", queue, reference("MailFeedbackTopic")));
            resources.push((format!("{name}Subscription"), subscription(queue)));
        }
        Feed::WakeUps => {
            resources.push((format!("{name}Pipe"), wake_ups(queue)));
            resources.push((format!("{name}PipeRole"), wake_ups_role(queue)));
        }
        Feed::Direct => {}
    }
    resources.push((
        format!("{name}QueuePolicy"),
        map! {
            "Type" => "AWS::SQS::QueuePolicy",
            "Properties" => map! {
                "Queues" => list![reference(&logical(queue)), reference(&logical_dead(queue))],
                "PolicyDocument" => map! { "Version" => "2012-10-17", "Statement" => Node::List(statements) },
            },
        },
    ));
    resources
}

/// For how long a message is hidden while a function handles it.
pub(crate) fn visible_secs(consumer: &AnyConsumer) -> u32 {
    VISIBLE_AFTER_TIMEOUTS * u32::from(consumer.timeout_secs) + u32::from(consumer.queue.window_secs)
}

fn live(consumer: &AnyConsumer) -> Node {
    let queue = &consumer.queue;
    let mut properties = named(queue, &queue.full_name());
    properties.push(("VisibilityTimeout".to_owned(), visible_secs(consumer).into()));
    properties.push(("MessageRetentionPeriod".to_owned(), KEPT_SECS.into()));
    if queue.delay_secs > 0 {
        properties.push(("DelaySeconds".to_owned(), u32::from(queue.delay_secs).into()));
    }
    properties.push((
        "RedrivePolicy".to_owned(),
        map! {
            "deadLetterTargetArn" => attribute(&format!("{}.Arn", logical_dead(queue))),
            "maxReceiveCount" => u32::from(queue.receives),
        },
    ));
    map! { "Type" => "AWS::SQS::Queue", "Properties" => Node::Map(properties) }
}

fn dead(queue: &Queue) -> Node {
    let mut properties = named(queue, &dead_name(queue));
    properties.push(("MessageRetentionPeriod".to_owned(), DEAD_KEPT_SECS.into()));
    properties.push((
        "RedriveAllowPolicy".to_owned(),
        map! { "redrivePermission" => "byQueue", "sourceQueueArns" => list![arn(queue)] },
    ));
    map! { "Type" => "AWS::SQS::Queue", "Properties" => Node::Map(properties) }
}

fn named(queue: &Queue, name: &str) -> Vec<(String, Node)> {
    let mut properties = vec![
        ("QueueName".to_owned(), sub(format!("${{Prefix}}-{name}"))),
        ("KmsMasterKeyId".to_owned(), attribute("DataKey.Arn")),
    ];
    if queue.is_fifo() {
        // A FIFO queue orders a tenant's messages and does not delay other tenants'.
        properties.push(("FifoQueue".to_owned(), true.into()));
        properties.push(("DeduplicationScope".to_owned(), "messageGroup".into()));
        properties.push(("FifoThroughputLimit".to_owned(), "perMessageGroupId".into()));
    }
    properties
}

/// Selects the events that its consumer understands, or all.
fn rule(consumer: &AnyConsumer) -> Node {
    let queue = &consumer.queue;
    let mut pattern = vec![("source".to_owned(), list!["cloister"])];
    if queue.feed == Feed::Events {
        let schemas: Node = consumer.schemas.iter().map(|schema| schema.route()).collect();
        pattern.push(("detail".to_owned(), map! { "schema" => schemas }));
    }
    map! {
        "Type" => "AWS::Events::Rule",
        "Properties" => map! {
            "Name" => sub(format!("${{Prefix}}-{}", queue.name)),
            "Description" => consumer.summary,
            "EventBusName" => reference("EventBus"),
            "EventPattern" => Node::Map(pattern),
            "Targets" => list![map! {
                "Id" => "queue",
                "Arn" => attribute(&format!("{}.Arn", logical(queue))),
                "RetryPolicy" => map! { "MaximumEventAgeInSeconds" => 86_400u32, "MaximumRetryAttempts" => 185u32 },
                "DeadLetterConfig" => map! { "Arn" => attribute(&format!("{}.Arn", logical_dead(queue))) },
            }],
        },
    }
}

fn subscription(queue: &Queue) -> Node {
    map! {
        "Type" => "AWS::SNS::Subscription",
        "Properties" => map! {
            "TopicArn" => reference("MailFeedbackTopic"),
            "Protocol" => "sqs",
            "Endpoint" => attribute(&format!("{}.Arn", logical(queue))),
            "RedrivePolicy" => map! { "deadLetterTargetArn" => attribute(&format!("{}.Arn", logical_dead(queue))) },
        },
    }
}

/// Lets a service send to the queue, and send undeliverable messages to its dead-letter queue.
fn may_send(sid: &str, service: &str, queue: &Queue, source: Node) -> Node {
    map! {
        "Sid" => sid,
        "Effect" => "Allow",
        "Principal" => map! { "Service" => service },
        "Action" => "sqs:SendMessage",
        "Resource" => list![attribute(&format!("{}.Arn", logical(queue))), attribute(&format!("{}.Arn", logical_dead(queue)))],
        "Condition" => map! { "ArnEquals" => map! { "aws:SourceArn" => source } },
    }
}

fn tls_only(queues: &[String]) -> Node {
    map! {
        "Sid" => "TlsOnly",
        "Effect" => "Deny",
        "Principal" => "*",
        "Action" => "sqs:*",
        "Resource" => queues.iter().map(|queue| attribute(&format!("{queue}.Arn"))).collect::<Node>(),
        "Condition" => map! { "Bool" => map! { "aws:SecureTransport" => false } },
    }
}

/// The pipe from the ledger's audit events to the sealer. It passes only the tenant whose log has grown.
fn wake_ups(queue: &Queue) -> Node {
    map! {
        "Type" => "AWS::Pipes::Pipe",
        "Properties" => map! {
            "Name" => sub("${Prefix}-audit-wake-ups"),
            "Description" => "Wakes a tenant's sealer when there are events to seal",
            "RoleArn" => attribute(&format!("{}PipeRole.Arn", pascal(queue.name))),
            "Source" => attribute("LedgerTable.StreamArn"),
            "SourceParameters" => map! {
                "FilterCriteria" => map! {
                    "Filters" => list![map! {
                        "Pattern" => r#"{"eventName":["INSERT","MODIFY"],"dynamodb":{"NewImage":{"kind":{"S":["audit"]}}}}"#,
                    }],
                },
                "DynamoDBStreamParameters" => map! {
                    "StartingPosition" => "TRIM_HORIZON",
                    "BatchSize" => 10u32,
                    "ParallelizationFactor" => 10u32,
                    "MaximumRetryAttempts" => 10u32,
                    "OnPartialBatchItemFailure" => "AUTOMATIC_BISECT",
                    "DeadLetterConfig" => map! { "Arn" => attribute("PipesDeadQueue.Arn") },
                },
            },
            "Target" => attribute(&format!("{}.Arn", logical(queue))),
            "TargetParameters" => map! {
                "SqsQueueParameters" => map! {
                    "MessageGroupId" => "$.dynamodb.Keys.pk.S",
                    "MessageDeduplicationId" => "$.dynamodb.NewImage.wake.S",
                },
                "InputTemplate" => r#"{"wake_up": <$.dynamodb.Keys.pk.S>}"#,
            },
        },
    }
}

fn wake_ups_role(queue: &Queue) -> Node {
    let via = |service: &str| sub(format!("{service}.${{AWS::Region}}.amazonaws.com"));
    map! {
        "Type" => "AWS::IAM::Role",
        "Properties" => map! {
            "RoleName" => sub("${Prefix}-audit-wake-ups-pipe"),
            "AssumeRolePolicyDocument" => map! {
                "Version" => "2012-10-17",
                "Statement" => list![map! {
                    "Effect" => "Allow",
                    "Principal" => map! { "Service" => "pipes.amazonaws.com" },
                    "Action" => "sts:AssumeRole",
                    "Condition" => map! {
                        "StringEquals" => map! { "aws:SourceAccount" => reference("AWS::AccountId") },
                        "ArnEquals" => map! {
                            "aws:SourceArn" =>
                                sub("arn:${AWS::Partition}:pipes:${AWS::Region}:${AWS::AccountId}:pipe/${Prefix}-audit-wake-ups"),
                        },
                    },
                }],
            },
            "Policies" => list![map! {
                "PolicyName" => "pipe",
                "PolicyDocument" => map! {
                    "Version" => "2012-10-17",
                    "Statement" => list![
                        map! {
                            "Sid" => "ReadStream", "Effect" => "Allow",
                            "Action" => list![
                                "dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams",
                            ],
                            "Resource" => attribute("LedgerTable.StreamArn"),
                        },
                        map! {
                            "Sid" => "WakeAndGiveUp", "Effect" => "Allow", "Action" => "sqs:SendMessage",
                            "Resource" => list![attribute(&format!("{}.Arn", logical(queue))), attribute("PipesDeadQueue.Arn")],
                        },
                        map! {
                            "Sid" => "OpenStreamAndQueues", "Effect" => "Allow",
                            "Action" => list!["kms:Decrypt", "kms:GenerateDataKey"],
                            "Resource" => attribute("DataKey.Arn"),
                            "Condition" => map! { "StringEquals" => map! { "kms:ViaService" => list![via("dynamodb"), via("sqs")] } },
                        },
                    ],
                },
            }],
        },
    }
}
