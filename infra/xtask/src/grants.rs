//! `cargo xtask grants`: lists the grants of the templates' roles that no call used while the tests ran, apart from known
//! exceptions. With `--write`, the tests' calls become the list from which roles are generated.

use crate::{
    Outcome,
    sync::{
        calls::{self, With},
        function::{self, Serves},
    },
    workspace,
};
use common::{
    base::Role,
    request::{AnyEndpoint, Kind},
};
use emulators::{
    Provisioned, Template,
    iam::{Gate, Grant, IN_A_TENANT, directory},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    process::ExitCode,
};

/// The grants that no call of the tests uses, each with its reason.
const LIST: &str = "policies/unused_grants.txt";

/// The calls from which roles are generated.
const CALLS: &str = "policies/calls.txt";
/// The actions of each role.
const MATRIX: &str = include_str!("../../../policies/matrix.txt");

/// Compare the roles' grants with the calls that the tests made: run it after `cargo test`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Delete the recorded calls: run it before `cargo test`
    #[arg(long, conflicts_with_all = ["add", "write"])]
    forget: bool,
    /// Add the recorded calls to the list from which roles are generated
    #[arg(long)]
    add: bool,
    /// The same, and remove calls that were not recorded: only after a run of all tests
    #[arg(long, conflicts_with = "add")]
    write: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    let records = directory().ok_or("no directory for the records: this program was not built by cargo")?;
    if args.forget {
        if records.exists() {
            fs::remove_dir_all(&records)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let used = used(&records)?;
    if used.is_empty() {
        return Err(format!("`{}` has no records: run `cargo test` first", records.display()).into());
    }
    let (grants, path) = (granted()?, workspace::root().join(LIST));
    let text = fs::read_to_string(&path)?;
    let list = List::read(&text)?;
    if args.add || args.write {
        let path = workspace::root().join(CALLS);
        let text = list_of_calls(&grants, &used, &list, &fs::read_to_string(&path)?, args.add);
        fs::write(path, text)?;
        println!("wrote {CALLS}: now run `cargo xtask sync`");
        return Ok(ExitCode::SUCCESS);
    }
    let made: BTreeSet<_> = used.iter().map(as_call).collect();
    let unlisted: Vec<_> = grants.iter().filter(|grant| !serves(&made, grant) && !list.has(grant)).collect();
    unlisted.iter().for_each(|grant| println!("{}: no call used it: remove it, or list it with a reason", line(grant)));
    println!("{} grants; {} used, {} listed in {LIST}", grants.len(), used.len(), list.0.len());
    Ok(if unlisted.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn used(records: &std::path::Path) -> Result<BTreeSet<Grant>, Box<dyn Error>> {
    let mut used = BTreeSet::new();
    for file in fs::read_dir(records).into_iter().flatten() {
        let path = file?.path();
        if path.to_string_lossy().ends_with(".grants.jsonl") {
            for line in fs::read_to_string(path)?.lines() {
                used.insert(serde_json::from_str(line)?);
            }
        }
    }
    Ok(used)
}

/// Whether a call used the grant, or the same grant in a tenant: for users, messages and items of the platform's own tenant the
/// function makes the same calls by its own role.
fn serves(made: &BTreeSet<(&str, With, &str, &str)>, grant: &Grant) -> bool {
    let call = as_call(grant);
    let (role, _, resource, action) = call;
    made.contains(&call) || (works_for_the_platform(role) && made.contains(&(role, With::TenantSession, resource, action)))
}

/// Whether the function also works for the platform's own tenant. All functions do, except endpoints that no role of the platform
/// may use.
fn works_for_the_platform(function: &str) -> bool {
    let is = |it: &&function::Function| it.name == function;
    match function::all().iter().find(is).map(|function| function.serves) {
        Some(Serves::Endpoint(endpoint)) => endpoint.kind == Kind::Public || is_for_operators(endpoint),
        Some(_) => true,
        None => false,
    }
}

fn is_for_operators(endpoint: &AnyEndpoint) -> bool {
    let mut lines = MATRIX.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let column = lines.next().and_then(|roles| roles.iter().position(|role| *role == Role::SuperAdmin.as_str()));
    let row = lines.find(|row| row.first() == endpoint.action.as_ref().map(|action| &action.0));
    column.zip(row).is_some_and(|(column, row)| row.get(column + 1).is_some_and(|cell| *cell != "-"))
}

/// A resource in the notation of the list of calls.
fn listed_as(resource: &str) -> &str {
    let bucket = resource.strip_prefix("s3:::${Prefix}-audit-");
    match (resource, bucket.map(|bucket| bucket.split('/').nth(1))) {
        ("UserPool", _) => "user_pool",
        ("CheckpointKey", _) => "checkpoint_key",
        (_, Some(Some("segments"))) => "audit/segments",
        (_, Some(Some("checkpoints"))) => "audit/checkpoints",
        (_, Some(_)) => "audit",
        _ if resource.starts_with("execute-api:SocketApi/") => "socket_api",
        // Secrets Manager ends a secret's name with random characters.
        _ if resource.starts_with("secretsmanager:secret:${Prefix}/ups-") => "UpsSecret",
        // The role's name is a hash of its permissions.
        _ if resource.starts_with("iam:role/${Prefix}-tenant-") => "tenant_role",
        _ => resource.strip_prefix("dynamodb:table/${Prefix}-").unwrap_or(resource),
    }
}

/// A grant in the notation of the list of calls: role, credentials, resource and action.
fn as_call(grant: &Grant) -> (&str, With, &str, &str) {
    let (role, with) = match grant.role.strip_suffix(IN_A_TENANT) {
        Some(function) => (function, With::TenantSession),
        None => (grant.role.as_str(), With::OwnRole),
    };
    let action = grant.action.split_once(':').map_or(grant.action.as_str(), |(_, action)| action);
    (role, with, listed_as(&grant.resource), action)
}

/// The new list of calls: the grants that were used and, if `more`, also the current entries. Its leading comment stays.
fn list_of_calls(grants: &[Grant], used: &BTreeSet<Grant>, list: &List, text: &str, more: bool) -> String {
    let mut calls = BTreeMap::<_, BTreeSet<&str>>::new();
    for (role, with, (resource, action)) in calls::all().filter(|_| more) {
        calls.entry((role, with, resource)).or_default().insert(action);
    }
    let mut add = |(role, with, resource, action)| {
        calls.entry((role, with, resource)).or_default().insert(action);
    };
    // Only some resources are decided by the list of calls. Other grants are in one list.
    let decided = |grant: &&Grant| calls::DECIDED_BY_LIST.iter().any(|decided| as_call(grant).2.starts_with(decided));
    used.iter().filter(|grant| !list.has(grant) || decided(grant)).for_each(|grant| add(as_call(grant)));
    grants.iter().filter(|grant| list.has(grant)).filter(decided).for_each(|grant| add(as_call(grant)));
    let made: BTreeSet<_> = used.iter().map(as_call).collect();
    for &(role, with, resource, action) in &made {
        let own = made.contains(&(role, With::OwnRole, resource, action));
        if with == With::TenantSession && !own && works_for_the_platform(role) {
            add((role, With::OwnRoleInPlatform, resource, action));
        }
    }
    let mut lines: Vec<_> = text.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect();
    lines.push(String::new());
    for ((role, with, resource), actions) in calls {
        let actions: Vec<_> = actions.into_iter().collect();
        lines.push(format!("{role} {} {resource} {}", with.as_str(), actions.join(" ")));
    }
    lines.join("\n") + "\n"
}

fn granted() -> Result<Vec<Grant>, Box<dyn Error>> {
    let template = Template::load(&workspace::root().join("template.yaml"))?;
    Ok(Gate::new(&template, &Provisioned::default(), None)?.grants()?)
}

fn line(grant: &Grant) -> String {
    format!("{} | {} | {}", grant.role, grant.action, grant.resource)
}

/// The lines of the list. In each part, a trailing `*` matches any text.
#[derive(Debug)]
struct List(Vec<[String; 3]>);

impl List {
    /// A line that begins with `#` is the reason of the following lines.
    fn read(text: &str) -> Result<Self, Box<dyn Error>> {
        let mut reason = false;
        let mut lines = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if line.starts_with('#') {
                reason = true;
                continue;
            }
            let parts =
                Self::parts(line).ok_or_else(|| format!("{LIST}: `{line}` is not of the form role | action | resource"))?;
            if !reason {
                return Err(format!("{LIST}: `{line}` has no reason").into());
            }
            lines.push(parts);
        }
        Ok(Self(lines))
    }

    fn parts(line: &str) -> Option<[String; 3]> {
        line.split(" | ").map(str::to_owned).collect::<Vec<_>>().try_into().ok()
    }

    fn has(&self, grant: &Grant) -> bool {
        self.0.iter().any(|line| covers(line, grant))
    }
}

fn covers(line: &[String; 3], grant: &Grant) -> bool {
    line.iter().zip([&grant.role, &grant.action, &grant.resource]).all(|(pattern, text)| like(pattern, text))
}

/// A `*` at the end matches any text; a `*` that the resource itself contains is written as it is.
fn like(pattern: &str, text: &str) -> bool {
    pattern == text || pattern.strip_suffix('*').is_some_and(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grant in neither list is neither used by a test nor justified.
    #[test]
    fn each_grant_is_in_the_list_of_calls_or_among_the_unused_with_a_reason() {
        let text = fs::read_to_string(workspace::root().join(LIST)).unwrap();
        let (grants, list) = (granted().unwrap(), List::read(&text).unwrap());
        let own = |with| if with == With::OwnRoleInPlatform { With::OwnRole } else { with };
        let called: BTreeSet<_> =
            calls::all().map(|(role, with, (resource, action))| (role, own(with), resource, action)).collect();
        let unknown: Vec<_> =
            grants.iter().filter(|grant| !called.contains(&as_call(grant)) && !list.has(grant)).map(line).collect();
        assert!(unknown.is_empty(), "neither in {CALLS} nor in {LIST}:\n{}", unknown.join("\n"));
        let granted: BTreeSet<_> = grants.iter().map(as_call).collect();
        let stale: Vec<_> = called.difference(&granted).collect();
        assert!(stale.is_empty(), "no role grants what {CALLS} lists: {stale:?}");
        let stale: Vec<_> = list.0.iter().filter(|line| !grants.iter().any(|grant| covers(line, grant))).collect();
        assert!(stale.is_empty(), "no role grants what {LIST} lists: {stale:?}");
    }
}
