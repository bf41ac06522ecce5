//! Who uses the root template's keys, each by its name: lines of the keys' policies.

use super::{
    function::Function,
    iam,
    yaml::{Node, sub},
};
use common::{Feed, Need};

/// The queues that services fill on their own account, each with the queue of what could not be delivered.
pub(crate) fn fed_queues() -> String {
    let fed = |feed| matches!(feed, Feed::Events | Feed::AllEvents | Feed::Mail);
    let queues = registry::consumers().map(|consumer| consumer.queue).filter(|queue| fed(queue.feed));
    let names = queues.flat_map(|queue| [queue.full_name(), queue.dead_name()]);
    lines(
        "kms:EncryptionContext:aws:sqs:arn",
        names.map(|name| format!("sqs:${{AWS::Region}}:${{AWS::AccountId}}:${{Prefix}}-{name}")),
    )
}

/// The roles that have the pool's key wrap and unwrap branch keys.
pub(crate) fn wrappers(functions: &[Function]) -> String {
    roles(functions.iter().filter(|function| iam::uses_branch_keys(function)))
}

/// The roles that have checkpoints signed.
pub(crate) fn signers(functions: &[Function]) -> String {
    roles(functions.iter().filter(|function| function.needs(Need::SignLog)))
}

fn roles<'a>(functions: impl Iterator<Item = &'a Function>) -> String {
    lines("aws:PrincipalArn", functions.map(|function| format!("iam::${{AWS::AccountId}}:role/${{Prefix}}-{}", function.name)))
}

fn lines(key: &str, arns: impl Iterator<Item = String>) -> String {
    let arns = arns.map(|arn| sub(format!("arn:${{AWS::Partition}}:{arn}"))).collect::<Node>();
    Node::Map(vec![(key.to_owned(), arns)]).write(16)
}
