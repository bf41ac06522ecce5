//! Who uses the root template's keys, each by its name: lines of the keys' policies.

use super::{
    function::Function,
    iam,
    yaml::{Node, sub},
};
use common::{background::Feed, base::Need};

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

/// The roles that have the pool's key wrap and unwrap branch keys: operators make the platform's.
pub(crate) fn wrappers(functions: &[Function]) -> String {
    let names = functions.iter().filter(|function| iam::uses_branch_keys(function)).map(|function| function.name);
    roles(names.chain(["operator"]))
}

/// The queues in which operators look at what was given up.
pub(crate) fn dead_letters() -> String {
    queues(registry::queues().map(|queue| queue.dead_name()))
}

/// The queues into which operators put it back.
pub(crate) fn redriven_queues() -> String {
    queues(registry::consumers().map(|consumer| consumer.queue.full_name()))
}

fn queues(names: impl Iterator<Item = String>) -> String {
    lines("Resource", names.map(|name| format!("sqs:${{AWS::Region}}:${{AWS::AccountId}}:${{Prefix}}-{name}")))
}

/// The roles that have checkpoints signed.
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
