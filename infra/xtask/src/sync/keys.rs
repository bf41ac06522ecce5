//! The principals that use the root template's keys, each by name: lines of the keys' policies.

use super::{
    function::Function,
    iam,
    yaml::{Node, sub},
};
use common::{background::Feed, base::Need};

/// The queues that services fill directly, each with its dead-letter queue.
pub(crate) fn fed_queues() -> String {
    let fed = |feed| matches!(feed, Feed::Events | Feed::AllEvents | Feed::Mail);
    let queues = registry::consumers().map(|consumer| consumer.queue).filter(|queue| fed(queue.feed));
    let names = queues.flat_map(|queue| [queue.full_name(), queue.dead_name()]);
    lines(
        "kms:EncryptionContext:aws:sqs:arn",
        names.map(|name| format!("sqs:${{AWS::Region}}:${{AWS::AccountId}}:${{Prefix}}-{name}")),
    )
}

/// The roles that wrap and unwrap branch keys with the pool's key: operators create the platform's.
pub(crate) fn wrappers(functions: &[Function]) -> String {
    let names = functions.iter().filter(|function| iam::uses_branch_keys(function)).map(|function| function.name);
    roles(names.chain(["operator"]))
}

/// The dead-letter queues that operators read.
pub(crate) fn dead_letters() -> String {
    queues(registry::queues().map(|queue| queue.dead_name()))
}

/// The queues to which operators return messages.
pub(crate) fn redriven_queues() -> String {
    queues(registry::consumers().map(|consumer| consumer.queue.full_name()))
}

fn queues(names: impl Iterator<Item = String>) -> String {
    lines("Resource", names.map(|name| format!("sqs:${{AWS::Region}}:${{AWS::AccountId}}:${{Prefix}}-{name}")))
}

/// The roles that sign checkpoints.
pub(crate) fn signers(functions: &[Function]) -> String {
    roles(functions.iter().filter(|function| function.needs(Need::SignLog)).map(|function| function.name))
}

fn roles(names: impl Iterator<Item = &'static str>) -> String {
    lines("aws:PrincipalArn", names.map(|name| format!("iam::${{AWS::AccountId}}:role/${{Prefix}}-{name}")))
}

fn lines(key: &str, arns: impl Iterator<Item = String>) -> String {
    let arns = arns.map(|arn| sub(format!("arn:${{AWS::Partition}}:{arn}"))).collect::<Node>();
    Node::Map(vec![(key.to_owned(), arns)]).write(16)
}
