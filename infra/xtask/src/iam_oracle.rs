//! `cargo xtask iam-oracle`: checks the tests' recorded IAM decisions with a second evaluator.

use crate::{Outcome, workspace};
use emulators::iam::{Judged, directory};
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

/// Check the calls that the tests recorded with a second evaluator: run it after `cargo test`; needs Node.js 20 with npm
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args) -> Outcome {
    let records = directory().ok_or("no directory for the records: this program was not built by cargo")?;
    let questions = questions(&records)?;
    if questions.is_empty() {
        return Err(format!("`{}` has no records: run `cargo test` first", records.display()).into());
    }
    let tool = installed(&records.with_file_name("iam-oracle"))?;
    let mut node = Command::new("node").arg("judge.mjs").current_dir(tool).stdin(Stdio::piped()).spawn()?;
    let mut input = node.stdin.take().ok_or("the evaluator has no standard input")?;
    for question in questions.into_values() {
        writeln!(input, "{}", serde_json::to_string(&question)?)?;
    }
    drop(input);
    Ok(if node.wait()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The distinct questions: calls that differ in ids and values only are checked once.
fn questions(records: &Path) -> Result<BTreeMap<String, Judged>, Box<dyn Error>> {
    let mut questions = BTreeMap::new();
    for file in fs::read_dir(records).into_iter().flatten() {
        let path = file?.path();
        if path.to_string_lossy().ends_with(".judged.jsonl") {
            for line in fs::read_to_string(path)?.lines() {
                let judged: Judged = serde_json::from_str(line)?;
                questions.entry(judged.kind()).or_insert(judged);
            }
        }
    }
    Ok(questions)
}

/// Installs the evaluator's packages as pinned by its lock file.
fn installed(to: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let from = workspace::root().join("infra/iam-oracle");
    fs::create_dir_all(to)?;
    let same = |name: &str| fs::read(from.join(name)).ok() == fs::read(to.join(name)).ok();
    let ready = same("package-lock.json") && to.join("node_modules").is_dir();
    for name in ["package.json", "package-lock.json", "judge.mjs"] {
        fs::copy(from.join(name), to.join(name))?;
    }
    if !ready {
        let done = Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(to).status()?;
        if !done.success() {
            return Err("npm could not install the evaluator".into());
        }
    }
    Ok(to.to_owned())
}
