//! The second wall of tenancy, as IAM holds it: a role for each distinct set of what functions do with tables and with the audit
//! bucket, whose sessions are tagged with a tenant and see that tenant's partitions and objects. A function may open sessions of
//! its own set's role only, and without one it sees the platform's.
//!
//! A role's name is a hash of what it may do, so that a name never changes its meaning: while a deployment is under way the
//! old functions keep the role that they know.

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

/// The templates' condition, and what it compares.
const ON: &str = "SeparatesTenants";
const PARAMETER: &str = "TenantSessions";
/// The tag of a function's role that says which role's sessions it may open. In a trust policy, 2,048 characters long at most,
/// the functions' names would not fit.
const TENANT_ROLE: &str = "tenant_role";

/// Those that commit a tenant's items and the platform's in one transaction, which no tenant's session could: their own roles
/// see every partition. Sign-ins that wait lie in the platform's.
const ACROSS_TENANTS: [&str; 6] =
    ["challenge", "create_api_key", "lift_mail_suppression", "login", "reset_password", "rotate_api_key"];

/// Whether one transaction of the function's may name several tenants. What the platform does to a tenant is on record in both
/// logs.
pub(crate) fn is_across_tenants(function: &Function) -> bool {
    let platform = matches!(function.serves, Serves::Endpoint(endpoint) if endpoint.kind == Kind::Platform);
    ACROSS_TENANTS.contains(&function.name) || (platform && function.needs(Need::Write))
}

/// What the function's tenant role may do; nothing where the function sees no table.
pub(crate) fn statements(function: &Function) -> Vec<Node> {
    let data_key = attribute("DataKey.Arn");
    let mut statements = iam::tables(function, &data_key, &keys_begin_with("${aws:PrincipalTag/tenant}#*"));
    let folder = |kind: &str| folder_of(kind, "${!aws:PrincipalTag/tenant}/");
    let listed = |kind: &str| format!("{kind}/${{aws:PrincipalTag/tenant}}/*").into();
    statements.extend(iam::objects_in_a_tenant(function, &data_key, folder, listed));
    statements
}

/// A tenant's objects of one kind in the audit bucket; everybody's where `tenant` is empty.
fn folder_of(kind: &str, tenant: &str) -> Node {
    sub(format!("arn:${{AWS::Partition}}:s3:::${{AuditBucket}}/{kind}/{tenant}*"))
}

/// What a function's own role sees of the audit bucket: the platform's log, where tenants are separated.
pub(crate) fn folder(kind: &str) -> Node {
    if_on(folder_of(kind, &format!("{}/", TenantId::PLATFORM)), folder_of(kind, ""))
}

/// Which keys of one kind it may list.
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

/// What is there only where tenants are separated.
pub(crate) fn if_on(then: Node, otherwise: Node) -> Node {
    Node::Tag("If", Box::new(list![ON, then, otherwise]))
}

pub(crate) fn nothing() -> Node {
    reference("AWS::NoValue")
}

/// Of the condition's two halves the first holds where a request names no key at all, as a Scan's does: hence the second.
fn keys_begin_with(pattern: &str) -> Node {
    map! {
        "ForAllValues:StringLike" => map! { "dynamodb:LeadingKeys" => list![pattern] },
        "Null" => map! { "dynamodb:LeadingKeys" => "false" },
    }
}

/// What bounds a function's own access to tables: the platform's partition, where tenants are separated.
pub(crate) fn bounds(function: &Function) -> Option<Node> {
    let platform = || if_on(keys_begin_with(&format!("{}#*", TenantId::PLATFORM)), nothing());
    (!is_across_tenants(function)).then(platform)
}

/// That the function may open its tenant role's sessions, tagged with a tenant and with nothing else.
pub(crate) fn enter(function: &Function) -> Option<Node> {
    let statement = map! {
        "Sid" => "EnterTenant", "Effect" => "Allow", "Action" => list!["sts:AssumeRole", "sts:TagSession"],
        "Resource" => sub(arn(&name(function)?)), "Condition" => tagged(Vec::new()),
    };
    Some(if_on(statement, nothing()))
}

/// The tag without which no trust policy lets the function in.
pub(crate) fn tags(function: &Function) -> Option<Node> {
    let name = name(function)?;
    Some(list![map! { "Key" => TENANT_ROLE, "Value" => sub(format!("${{Prefix}}-{name}")) }])
}

/// The function's environment, besides what all functions are told.
pub(crate) fn environment(function: &Function) -> Option<Node> {
    let role = if_on(sub(arn(&name(function)?)), "none".into());
    Some(map! { "Variables" => map! { "CLOISTER_TENANT_ROLE_ARN" => role } })
}

/// What a domain's stack must be told, and what it makes of it.
pub(crate) fn parameter() -> (&'static str, Node) {
    (PARAMETER, reference(PARAMETER))
}
pub(crate) fn conditions() -> Node {
    map! { ON => Node::Tag("Equals", Box::new(list![reference(PARAMETER), "on"])) }
}

fn arn(name: &str) -> String {
    format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/${{Prefix}}-{name}")
}

/// A session with one tag, a tenant's id; and whatever else is asked of the caller.
fn tagged(caller: Vec<(String, Node)>) -> Node {
    let mut condition = caller;
    condition.push(("StringLike".to_owned(), map! { "aws:RequestTag/tenant" => "ten_*" }));
    condition.push(("ForAllValues:StringEquals".to_owned(), map! { "aws:TagKeys" => list!["tenant"] }));
    Node::Map(condition)
}

/// The tenant roles of the root template. They are there also where tenants are not separated, and then let nobody in, for no
/// function's own role may ask: a stack cannot wait for a resource that a condition leaves out.
pub(crate) fn resources(functions: &[Function]) -> String {
    let roles: BTreeMap<_, _> = functions.iter().filter_map(role).collect();
    super::tags::write(roles.into_iter().collect())
}

fn role(function: &Function) -> Option<(String, Node)> {
    let name = name(function)?;
    // The account's root stands for its roles; the condition says which. A pattern of their names would fit those of a deployment
    // whose name begins with this one's.
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
