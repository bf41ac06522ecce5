//! `cargo xtask grants`: which grants of the templates' roles served no call while the tests ran, beside those that are known not to.
//! With `--write`, the calls that the tests made become the list that roles are written from.

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
    iam::{Gate, Grant, directory},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    process::ExitCode,
};

/// The grants that no call of the tests uses, each with its reason.
const LIST: &str = "policies/unused_grants.txt";

/// The calls that roles are written from.
const CALLS: &str = "policies/calls.txt";
/// How a role's name ends in the records, where it is a session of the function's tenant role.
const IN_A_TENANT: &str = " in a tenant";
/// What may do what, by role.
const MATRIX: &str = include_str!("../../../policies/matrix.txt");

/// Compare what roles grant with what the tests' calls used: run it after `cargo test`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Forget what was used so far: run it before `cargo test`
    #[arg(long, conflicts_with_all = ["add", "write"])]
    forget: bool,
    /// Add the calls that were made to the list that roles are written from
    #[arg(long)]
    add: bool,
    /// The same, and take out of the list what no call used: after a run of all tests only
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
    let unlisted: Vec<_> = grants.iter().filter(|grant| !serves(&used, grant) && !list.has(grant)).collect();
    if args.add || args.write {
        let path = workspace::root().join(CALLS);
        let text = list_of_calls(&grants, &used, &list, &fs::read_to_string(&path)?, args.add);
        fs::write(path, text)?;
        println!("wrote {CALLS}: now run `cargo xtask sync`");
        return Ok(ExitCode::SUCCESS);
    }
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

/// Whether a call used the grant; or the same grant in a tenant, where the platform's own people, messages and items go the same way.
fn serves(used: &BTreeSet<Grant>, grant: &Grant) -> bool {
    let (role, _, resource, action) = as_call(grant);
    let by_twin = || used.iter().any(|other| as_call(other) == (role, With::TenantSession, resource, action));
    used.contains(grant) || (works_for_the_platform(&grant.role) && by_twin())
}

/// Whether what the function does in tenants it does for the platform's own tenant too: all do but endpoints that no role of the
/// platform's may use.
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

/// A resource as the list of calls names it.
fn listed_as(resource: &str) -> &str {
    let bucket = resource.strip_prefix("s3:::${Prefix}-audit-");
    match (resource, bucket.map(|bucket| bucket.split('/').nth(1))) {
        ("UserPool", _) => "user_pool",
        ("CheckpointKey", _) => "checkpoint_key",
        (_, Some(Some("segments"))) => "audit/segments",
        (_, Some(Some("checkpoints"))) => "audit/checkpoints",
        (_, Some(_)) => "audit",
        // Its name is a hash of what it grants.
        _ if resource.starts_with("iam:role/${Prefix}-tenant-") => "tenant_role",
        _ => resource.strip_prefix("dynamodb:table/${Prefix}-").unwrap_or(resource),
    }
}

/// A grant as the list of calls has it: the role, how it is used, the resource and the action.
fn as_call(grant: &Grant) -> (&str, With, &str, &str) {
    let (role, with) = match grant.role.strip_suffix(IN_A_TENANT) {
        Some(function) => (function, With::TenantSession),
        None => (grant.role.as_str(), With::OwnRole),
    };
    let action = grant.action.split_once(':').map_or(grant.action.as_str(), |(_, action)| action);
    (role, with, listed_as(&grant.resource), action)
}

/// The list of calls anew, of the grants that served, and where `more` of what it has too. Its comment stays.
fn list_of_calls(grants: &[Grant], used: &BTreeSet<Grant>, list: &List, text: &str, more: bool) -> String {
    let mut calls = BTreeMap::<_, BTreeSet<&str>>::new();
    for (role, with, (resource, action)) in calls::all().filter(|_| more) {
        calls.entry((role, with, resource)).or_default().insert(action);
    }
    // Where every index is granted, only the record says which was asked.
    let served = grants.iter().filter(|grant| serves(used, grant) || list.has(grant)).chain(used);
    for grant in served.filter(|grant| !grant.resource.ends_with("/index/*")) {
        let (role, with, resource, action) = as_call(grant);
        // Only of these a role grants what the list of calls has; the others stand in one list.
        if list.has(grant) && !calls::DECIDED_BY_LIST.iter().any(|decided| resource.starts_with(decided)) {
            continue;
        }
        calls.entry((role, with, resource)).or_default().insert(action);
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

/// The lines of the list; in each part, `*` stands for anything.
#[derive(Debug)]
struct List(Vec<[String; 3]>);

impl List {
    /// A line that begins with `#` is the reason of those that follow.
    fn read(text: &str) -> Result<Self, Box<dyn Error>> {
        let mut reason = false;
        let mut lines = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if line.starts_with('#') {
                reason = true;
                continue;
            }
            let parts = Self::parts(line).ok_or_else(|| format!("{LIST}: `{line}` is no role | action | resource"))?;
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

/// `*` stands for any text at a part's end; a resource's own is written as it is.
fn like(pattern: &str, text: &str) -> bool {
    pattern == text || pattern.strip_suffix('*').is_some_and(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grant that neither list has is one that nobody has seen in use, nor argued.
    #[test]
    fn each_grant_is_in_the_list_of_calls_or_among_the_unused_with_a_reason() {
        let text = fs::read_to_string(workspace::root().join(LIST)).unwrap();
        let (grants, list) = (granted().unwrap(), List::read(&text).unwrap());
        let called: BTreeSet<_> = calls::all().map(|(role, with, (resource, action))| (role, with, resource, action)).collect();
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
