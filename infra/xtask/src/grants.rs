//! `cargo xtask grants`: which grants of the templates' roles served no call while the tests ran, beside those that are known not to.

use crate::{Outcome, workspace};
use emulators::{
    Provisioned, Template,
    iam::{Gate, Grant, directory},
};
use std::{collections::BTreeSet, error::Error, fs, process::ExitCode};

/// The grants that no call of the tests uses, each with its reason.
const LIST: &str = "policies/unused_grants.txt";

/// The reason under which `--write` lists what has none yet.
const UNREACHED: &str = "# No test reaches the call that needs it.";

/// Compare what roles grant with what the tests' calls used: run it after `cargo test`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Forget what was used so far: run it before `cargo test`
    #[arg(long, conflicts_with = "write")]
    forget: bool,
    /// Bring the list up to date: after a run of all tests only
    #[arg(long)]
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
    let unlisted: Vec<_> = grants.iter().filter(|grant| !used.contains(grant) && !list.has(grant)).collect();
    let served: Vec<_> = used.iter().filter(|grant| list.has(grant)).collect();
    if args.write {
        let stays = |line: &&str| List::parts(line).is_none_or(|parts| !served.iter().any(|grant| covers(&parts, grant)));
        let mut lines: Vec<_> = text.lines().filter(stays).map(str::to_owned).collect();
        if !unlisted.is_empty() {
            lines.retain(|line| line != UNREACHED);
            lines.extend([String::new(), UNREACHED.to_owned()]);
            lines.extend(unlisted.iter().map(|grant| line(grant)));
        }
        fs::write(path, lines.join("\n") + "\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    unlisted.iter().for_each(|grant| println!("{}: no call used it: remove it, or list it with a reason", line(grant)));
    served.iter().for_each(|grant| println!("{}: it is listed as unused, and a call used it", line(grant)));
    println!("{} grants; {} used, {} listed in {LIST}", grants.len(), used.len(), list.0.len());
    Ok(if unlisted.is_empty() && served.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

    #[test]
    fn each_grant_that_is_listed_as_unused_is_granted() {
        let text = fs::read_to_string(workspace::root().join(LIST)).unwrap();
        let (grants, list) = (granted().unwrap(), List::read(&text).unwrap());
        let stale: Vec<_> = list.0.iter().filter(|line| !grants.iter().any(|grant| covers(line, grant))).collect();
        assert!(stale.is_empty(), "no role grants what {LIST} lists: {stale:?}");
    }
}
