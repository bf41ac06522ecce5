//! The tag that identifies a resource's deployment.
//!
//! Each resource of the root template has it. CloudFormation passes a nested stack's tags on to its resources.

use super::yaml::{Node, list, map, reference};

pub(crate) const DEPLOYMENT: &str = "cloister:deployment";

/// The types in the root template that sync writes and that take tags, as a list or as a map.
const TAKE_A_LIST: &[&str] = &[
    "AWS::ApiGateway::DomainName",
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::Stage",
    "AWS::CloudFormation::Stack",
    "AWS::CloudWatch::Alarm",
    "AWS::Events::Rule",
    "AWS::IAM::Role",
    "AWS::Logs::LogGroup",
    "AWS::SQS::Queue",
    "AWS::WAFv2::WebACL",
];
const TAKE_A_MAP: &[&str] = &["AWS::Pipes::Pipe"];

/// These resources as lines of the root template, tagged.
pub(crate) fn write(resources: Vec<(String, Node)>) -> String {
    Node::Map(resources.into_iter().map(|(name, resource)| (name, tagged(resource))).collect()).write(2)
}

fn tagged(resource: Node) -> Node {
    let is_one_of = |types: &[&str]| matches!(resource.get("Type"), Some(Node::Text(kind)) if types.contains(&kind.as_str()));
    let tag = if is_one_of(TAKE_A_LIST) {
        list![map! { "Key" => DEPLOYMENT, "Value" => reference("Prefix") }]
    } else if is_one_of(TAKE_A_MAP) {
        map! { DEPLOYMENT => reference("Prefix") }
    } else {
        return resource;
    };
    let with_tag = |(name, value): &(String, Node)| match value {
        Node::Map(properties) if name == "Properties" => (name.clone(), Node::Map(with(properties, &tag))),
        other => (name.clone(), other.clone()),
    };
    Node::Map(resource.members().iter().map(with_tag).collect())
}

/// The properties with the tag added.
fn with(properties: &[(String, Node)], tag: &Node) -> Vec<(String, Node)> {
    let mut tags = tag.clone();
    let mut others = Vec::new();
    for (name, value) in properties {
        match (name.as_str(), value, &mut tags) {
            ("Tags", Node::List(own), Node::List(all)) => all.splice(0..0, own.iter().cloned()).for_each(drop),
            ("Tags", Node::Map(own), Node::Map(all)) => all.splice(0..0, own.iter().cloned()).for_each(drop),
            _ => others.push((name.clone(), value.clone())),
        }
    }
    others.push(("Tags".to_owned(), tags));
    others
}
