//! `cargo xtask mutants`: changes the code in small ways, one at a time, and asks whether a test notices. docs/quality.md says what the
//! last run found.

use crate::{Outcome, build::cargo, workspace};
use std::process::{ExitCode, Stdio};

/// What is changed, and the tests that are asked: those of the crate itself and of others that stand on it.
struct Area {
    name: &'static str,
    package: &'static str,
    /// Patterns of the files; none are all of the package.
    files: &'static [&'static str],
    tests_of: &'static [&'static str],
    /// Which tests of these packages; none are all.
    only: &'static [&'static str],
}

/// The suite's files that hold `common` to what it says of limits, keys, requests and tables.
const SUITE: [&str; 11] =
    ["--lib", "--test", "every_endpoint", "--test", "limits", "--test", "attacks", "--test", "faults", "--test", "headers"];

const AREAS: [Area; 4] = [
    Area { name: "ledger", package: "ledger", files: &[], tests_of: &["ledger", "auditor"], only: &[] },
    Area { name: "phi", package: "phi", files: &[], tests_of: &["phi"], only: &[] },
    Area { name: "ups", package: "ups", files: &[], tests_of: &["ups", "shipments"], only: &[] },
    Area {
        name: "common",
        package: "common",
        files: &[
            "shared/common/src/budget.rs",
            "shared/common/src/ceiling.rs",
            "shared/common/src/cursor.rs",
            "shared/common/src/headers.rs",
            "shared/common/src/idempotency.rs",
            "shared/common/src/limit.rs",
            "shared/common/src/network.rs",
            "shared/common/src/table.rs",
        ],
        tests_of: &["common", "suite", "organizations"],
        only: &SUITE,
    },
];

/// Change phi, ledger, ups and parts of common in small ways, and list the changes that no test notices (cargo-mutants)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which of them: ledger, phi, ups, common; all without any
    areas: Vec<String>,
    /// The first of N equal parts as `0/N`, the second as `1/N`: for several runs, or a sample
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Only in these files
    #[arg(long, value_name = "FILE")]
    file: Vec<String>,
    /// List the changes, and test none
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    if !cargo(["mutants", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
        return Err("there is no `cargo mutants`: cargo install --locked cargo-mutants".into());
    }
    if let Some(unknown) = args.areas.iter().find(|name| !AREAS.iter().any(|area| area.name == **name)) {
        return Err(format!("`{unknown}` is none of {}", AREAS.map(|area| area.name).join(", ")).into());
    }
    let mut survived = false;
    for area in AREAS.iter().filter(|area| args.areas.is_empty() || args.areas.iter().any(|name| name == area.name)) {
        survived |= !mutate(area, &args)?;
    }
    Ok(if survived { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Whether every change was noticed. What was found lies in `target/mutants/<area>/mutants.out`.
fn mutate(area: &Area, args: &Args) -> Result<bool, Box<dyn std::error::Error>> {
    let output = workspace::root().join("target/mutants").join(area.name);
    std::fs::create_dir_all(&output)?;
    let mut mutants = cargo(["mutants", "--package", area.package, "--no-shuffle", "--colors", "never", "--output"]);
    mutants.arg(&output).arg("--test-package").arg(area.tests_of.join(","));
    // Each change is compiled once and run once: what matters is how long the compiler takes.
    mutants.args(["--profile", "dev", "--timeout-multiplier", "3", "--minimum-test-timeout", "60"]);
    let files = area.files.iter().map(|file| (*file).to_owned());
    let chosen: Vec<_> = if args.file.is_empty() { files.collect() } else { args.file.clone() };
    for file in chosen {
        mutants.arg("--file").arg(file);
    }
    if let Some(shard) = &args.shard {
        mutants.args(["--sharding", "round-robin", "--shard"]).arg(shard);
    }
    if args.list {
        mutants.arg("--list");
    }
    if !area.only.is_empty() {
        mutants.arg("--").args(area.only);
    }
    Ok(mutants.status()?.success())
}
