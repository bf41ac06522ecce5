//! `cargo xtask mutants`: changes the code in small ways, one at a time, and checks whether a test fails. docs/quality.md has the
//! results of the last run.

use crate::{Outcome, build::cargo, workspace};
use std::process::{ExitCode, Stdio};

/// Code to change, and the tests that run besides those of its own crate: tests of crates that depend on it.
struct Area {
    name: &'static str,
    package: &'static str,
    /// Patterns of the files; empty means all of the package.
    files: &'static [&'static str],
    wider: &'static [&'static str],
    /// The tests of the dependent packages; empty means all.
    only: &'static [&'static str],
}

/// The suite without its longest runs, which test consumers and schedules.
const SUITE: [&str; 8] = ["--lib", "--test", "all", "--", "--skip", "background::", "--skip", "journeys::"];

const AREAS: [Area; 4] = [
    Area { name: "ledger", package: "ledger", files: &[], wider: &["auditor"], only: &[] },
    Area { name: "phi", package: "phi", files: &[], wider: &[], only: &[] },
    Area { name: "ups", package: "ups", files: &[], wider: &["shipments"], only: &[] },
    Area {
        name: "common",
        package: "common",
        files: &[
            "shared/common/src/base/budget.rs",
            "shared/common/src/store/tenant_quota.rs",
            "shared/common/src/store/cursor.rs",
            "shared/common/src/request/headers.rs",
            "shared/common/src/request/idempotency.rs",
            "shared/common/src/store/rate_limit.rs",
            "shared/common/src/base/network.rs",
            "shared/common/src/store/item.rs",
        ],
        wider: &["suite", "identity", "organizations"],
        only: &SUITE,
    },
];

/// Change phi, ledger, ups and parts of common in small ways, and list the changes that no test detects (cargo-mutants)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The areas: ledger, phi, ups, common; all by default
    areas: Vec<String>,
    /// One of N equal parts: `0/N` is the first, `1/N` the second. For parallel runs or a sample
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Only in these files
    #[arg(long, value_name = "FILE")]
    file: Vec<String>,
    /// Only changes whose names match this regular expression, in the form of docs/quality.md
    #[arg(long, value_name = "REGEX")]
    re: Option<String>,
    /// List the changes, and test none
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    if !cargo(["mutants", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
        return Err("there is no `cargo mutants`: cargo install --locked cargo-mutants".into());
    }
    if let Some(unknown) = args.areas.iter().find(|name| !AREAS.iter().any(|area| area.name == **name)) {
        return Err(format!("`{unknown}` is not one of {}", AREAS.map(|area| area.name).join(", ")).into());
    }
    let mut survived = false;
    for area in AREAS.iter().filter(|area| args.areas.is_empty() || args.areas.iter().any(|name| name == area.name)) {
        survived |= !mutate(area, &args)?;
    }
    Ok(if survived { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Whether tests detect every change. The crate's own tests run for all changes, the dependent crates' tests for those that are
/// left. The results are in `target/mutants/<area>/mutants.out`.
fn mutate(area: &Area, args: &Args) -> Result<bool, Box<dyn std::error::Error>> {
    let noticed = pass(area, args, Tests::Own)?;
    if noticed || args.list || area.wider.is_empty() { Ok(noticed) } else { pass(area, args, Tests::Wider) }
}

#[derive(Clone, Copy, PartialEq)]
enum Tests {
    Own,
    Wider,
}

fn pass(area: &Area, args: &Args, tests: Tests) -> Result<bool, Box<dyn std::error::Error>> {
    let target = workspace::root().join("target/mutants");
    let output = target.join(area.name);
    std::fs::create_dir_all(&output)?;
    let mut mutants = cargo(["mutants", "--package", area.package, "--no-shuffle", "--colors", "never", "--output"]);
    mutants.arg(&output);
    // Each change is compiled and run once, so compile time dominates. Do not rebuild third-party crates in each run.
    mutants.args(["--profile", "dev"]).env("CARGO_PROFILE_DEV_DEBUG", "0");
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        mutants.env("CARGO_TARGET_DIR", target.join("build"));
    }
    match tests {
        Tests::Own => mutants.args(["--timeout-multiplier", "3", "--minimum-test-timeout", "60", "--test-package", area.package]),
        // Detected changes are not tried again. The baseline run is skipped, because CI tests the unchanged tree.
        Tests::Wider => {
            mutants.args(["--iterate", "--baseline", "skip", "--timeout", "900", "--test-package"]).arg(area.wider.join(","))
        }
    };
    let files = area.files.iter().map(|file| (*file).to_owned());
    let chosen: Vec<_> = if args.file.is_empty() { files.collect() } else { args.file.clone() };
    for file in chosen {
        mutants.arg("--file").arg(file);
    }
    if let Some(re) = &args.re {
        mutants.arg("--re").arg(re);
    }
    if let Some(shard) = &args.shard {
        mutants.args(["--sharding", "round-robin", "--shard"]).arg(shard);
    }
    if args.list {
        mutants.arg("--list");
    }
    if tests == Tests::Wider && !area.only.is_empty() {
        mutants.arg("--").args(area.only);
    }
    // Exit codes of cargo-mutants: 2 is a missed change, 3 a timeout, which counts as detected.
    match mutants.status()?.code() {
        Some(0 | 3) => Ok(true),
        Some(2) => Ok(false),
        _ => Err(format!("cargo-mutants could not try the changes of `{}`", area.name).into()),
    }
}
