//! Isolates tenants in IAM. There is a role for each distinct set of calls that functions make on tables and on the audit bucket.
//! Its sessions are tagged with a tenant and reach only that tenant's partitions and objects. A function may assume only the role
//! of its own set; without a session it reaches only the platform's partition.
//!
//! A role's name is a hash of its permissions, so that a name never changes its meaning: during a deployment, old functions keep
//! the role that they use.

use super::{
    function::{Function, Serves, pascal},
    iam,
    yaml::{Node, attribute, list, map, reference, sub},
};
use aws_lc_rs::digest;
use common::{
    base::{Need, TenantId},
    request::Kind,
};
use std::collections::BTreeMap;

/// The templates' condition, and the parameter that it compares.
const ON: &str = "SeparatesTenants";
const PARAMETER: &str = "TenantSessions";
/// The tag on a function's role that names the tenant role it may assume. The functions' names would not fit into a trust policy,
/// which has at most 2,048 characters.
const TENANT_ROLE: &str = "tenant_role";

/// Functions that commit items of a tenant and of the platform in one transaction, which no tenant's session could. Their own
/// roles reach every partition. Pending sign-ins are in the platform's partition.
const ACROSS_TENANTS: [&str; 6] =
    ["challenge", "create_api_key", "lift_mail_suppression", "login", "reset_password", "rotate_api_key"];

/// Whether one transaction of the function may contain items of several tenants. Operators' changes of a tenant are audited in
/// both logs.
pub(crate) fn is_across_tenants(function: &Function) -> bool {
    let platform = matches!(function.serves, Serves::Endpoint(endpoint) if endpoint.kind == Kind::Platform);
    ACROSS_TENANTS.contains(&function.name) || (platform && function.needs(Need::Write))
}

/// The permissions of the function's tenant role; empty if the function uses no table.
pub(crate) fn statements(function: &Function) -> Vec<Node> {
    let data_key = attribute("DataKey.Arn");
    let mut statements = iam::tables(function, &data_key, &keys_begin_with("${aws:PrincipalTag/tenant}#*"));
    let folder = |kind: &str| folder_of(kind, "${!aws:PrincipalTag/tenant}/");
    let listed = |kind: &str| format!("{kind}/${{aws:PrincipalTag/tenant}}/*").into();
    statements.extend(iam::objects_in_a_tenant(function, &data_key, folder, listed));
    statements
}

/// A tenant's objects of one kind in the audit bucket; those of every tenant if `tenant` is empty.
fn folder_of(kind: &str, tenant: &str) -> Node {
    sub(format!("arn:${{AWS::Partition}}:s3:::${{AuditBucket}}/{kind}/{tenant}*"))
}

/// The audit bucket's objects that a function's own role reaches: the platform's log, if tenants are separated.
pub(crate) fn folder(kind: &str) -> Node {
    if_on(folder_of(kind, &format!("{}/", TenantId::PLATFORM)), folder_of(kind, ""))
}

/// The keys of one kind that it may list.
pub(crate) fn listed(kind: &str) -> Node {
    if_on(format!("{kind}/{}/*", TenantId::PLATFORM).into(), format!("{kind}/*").into())
}

/// The tenant role's name after the deployment's: `tenant-1f0c9a2b`.
fn name(function: &Function) -> Option<String> {
    let statements = statements(function);
    (!statements.is_empty()).then(|| {
        let hash = digest::digest(&digest::SHA256, Node::List(statements).write(0).as_bytes());
        let hex: String = hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("tenant-{hex}")
    })
}

/// The tenant role's logical name in the root template.
pub(crate) fn logical(function: &Function) -> Option<String> {
    name(function).map(|name| pascal(&name))
}

/// `then` if tenants are separated, else `otherwise`.
pub(crate) fn if_on(then: Node, otherwise: Node) -> Node {
    Node::Tag("If", Box::new(list![ON, then, otherwise]))
}

/// The node if tenants are separated (`on`), or if they are not: each choice becomes one side, and an `AWS::NoValue` is left out.
///
/// # Panics
/// If a choice depends on another condition.
pub(crate) fn decided(node: &Node, on: bool) -> Node {
    let some = |node: &Node| *node != nothing();
    match node {
        Node::Tag("If", sides) => match &**sides {
            Node::List(sides) if sides.len() == 3 && sides[0] == ON.into() => decided(&sides[if on { 1 } else { 2 }], on),
            other => panic!("unsupported condition: {other:?}"),
        },
        Node::List(items) => Node::List(items.iter().map(|item| decided(item, on)).filter(some).collect()),
        Node::Map(members) => {
            let members = members.iter().map(|(name, member)| (name.clone(), decided(member, on)));
            Node::Map(members.filter(|(_, member)| some(member)).collect())
        }
        other => other.clone(),
    }
}

pub(crate) fn nothing() -> Node {
    reference("AWS::NoValue")
}

/// `ForAllValues` also holds for a request without keys, such as a Scan. `Null` excludes it.
fn keys_begin_with(pattern: &str) -> Node {
    map! {
        "ForAllValues:StringLike" => map! { "dynamodb:LeadingKeys" => list![pattern] },
        "Null" => map! { "dynamodb:LeadingKeys" => "false" },
    }
}

/// Limits a function's own access to tables: to the platform's partition, if tenants are separated.
pub(crate) fn bounds(function: &Function) -> Option<Node> {
    let platform = || if_on(keys_begin_with(&format!("{}#*", TenantId::PLATFORM)), nothing());
    (!is_across_tenants(function)).then(platform)
}

/// Lets the function assume its tenant role with a tenant's tag and no other.
pub(crate) fn enter(function: &Function) -> Option<Node> {
    let statement = map! {
        "Sid" => "EnterTenant", "Effect" => "Allow", "Action" => list!["sts:AssumeRole", "sts:TagSession"],
        "Resource" => sub(arn(&name(function)?)), "Condition" => tagged(Vec::new()),
    };
    Some(if_on(statement, nothing()))
}

/// The tag that the trust policy requires.
pub(crate) fn tags(function: &Function) -> Option<Node> {
    let name = name(function)?;
    Some(list![map! { "Key" => TENANT_ROLE, "Value" => sub(format!("${{Prefix}}-{name}")) }])
}

/// The function's own part of the environment.
pub(crate) fn environment(function: &Function) -> Option<Node> {
    let role = if_on(sub(arn(&name(function)?)), "none".into());
    Some(map! { "Variables" => map! { "CLOISTER_TENANT_ROLE_ARN" => role } })
}

/// The parameter of a domain's stack, and the value that the root passes.
pub(crate) fn parameter() -> (&'static str, Node) {
    (PARAMETER, reference(PARAMETER))
}
pub(crate) fn conditions() -> Node {
    map! { ON => Node::Tag("Equals", Box::new(list![reference(PARAMETER), "on"])) }
}

fn arn(name: &str) -> String {
    format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/${{Prefix}}-{name}")
}

/// Requires a session with exactly one tag, a tenant's id, and the given conditions on the caller.
fn tagged(caller: Vec<(String, Node)>) -> Node {
    let mut condition = caller;
    condition.push(("StringLike".to_owned(), map! { "aws:RequestTag/tenant" => "ten_*" }));
    condition.push(("ForAllValues:StringEquals".to_owned(), map! { "aws:TagKeys" => list!["tenant"] }));
    Node::Map(condition)
}

/// The tenant roles of the root template. They exist also if tenants are not separated, because a stack cannot depend on a
/// resource that a condition leaves out. Then no function may assume them.
pub(crate) fn resources(functions: &[Function]) -> String {
    let roles: BTreeMap<_, _> = functions.iter().filter_map(role).collect();
    super::tags::write(roles.into_iter().collect())
}

fn role(function: &Function) -> Option<(String, Node)> {
    let name = name(function)?;
    // The principal is the account's root, which stands for its roles; the condition selects one. A pattern of names would match
    // roles of a deployment whose name begins with this one's.
    let role = sub(format!("${{Prefix}}-{name}"));
    let caller = vec![("StringEquals".to_owned(), map! { format!("aws:PrincipalTag/{TENANT_ROLE}") => role })];
    let trust = map! {
        "Sid" => "FunctionsOfThisSet", "Effect" => "Allow",
        "Principal" => map! { "AWS" => sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root") },
        "Action" => list!["sts:AssumeRole", "sts:TagSession"],
        "Condition" => tagged(caller),
    };
    let role = map! {
        "Type" => "AWS::IAM::Role",
        "Properties" => map! {
            "RoleName" => sub(format!("${{Prefix}}-{name}")),
            "AssumeRolePolicyDocument" => map! { "Version" => "2012-10-17", "Statement" => list![trust] },
            "Policies" => list![map! {
                "PolicyName" => "tenant",
                "PolicyDocument" => map! { "Version" => "2012-10-17", "Statement" => Node::List(statements(function)) },
            }],
        },
    };
    Some((pascal(&name), role))
}
