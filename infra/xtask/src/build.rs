//! Builds the functions for deployment: `target/lambda/<function>/bootstrap`, which `template.yaml` and `sam` look for.

use crate::{Outcome, workspace};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    error::Error,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

/// The largest size of a function's binary, in bytes. Lambda fetches and maps it at each cold start.
pub(crate) const MOST_BYTES: u64 = 12_000_000;

/// Build the functions in release mode into target/lambda.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these functions.
    functions: Vec<String>,
    /// For another machine than this one, by cargo-lambda: `aarch64-unknown-linux-gnu` is what template.yaml deploys.
    #[arg(long)]
    target: Option<String>,
}

pub(crate) fn run(args: Args) -> Outcome {
    let lambda = workspace::root().join("target/lambda");
    let built = match &args.target {
        Some(target) => cross(&args.functions, target, &lambda)?,
        None => native(&args.functions, &lambda)?,
    };
    println!("{:<28} {:>10}", "function", "MB");
    let mut too_large = false;
    for (name, path) in &built {
        let bytes = fs::metadata(path)?.len();
        too_large |= bytes > MOST_BYTES;
        println!("{name:<28} {:>10.2}{}", megabytes(bytes), if bytes > MOST_BYTES { "  over 12 MB" } else { "" });
    }
    println!("{} in {}", built.len(), lambda.display());
    Ok(if too_large { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn native(functions: &[String], lambda: &Path) -> Result<BTreeMap<String, PathBuf>, Box<dyn Error>> {
    let mut built = binaries(functions)?;
    for (name, path) in &mut built {
        let bootstrap = bootstrap(lambda, name);
        fs::create_dir_all(lambda.join(name.as_str()))?;
        // Write beside the file and rename: a running function keeps its own file.
        let fresh = bootstrap.with_extension("new");
        fs::copy(&path, &fresh)?;
        fs::rename(&fresh, &bootstrap)?;
        *path = bootstrap;
    }
    Ok(built)
}

fn cross(functions: &[String], target: &str, lambda: &Path) -> Result<BTreeMap<String, PathBuf>, Box<dyn Error>> {
    let mut cargo = cargo(["lambda", "build", "--release", "--target", target]);
    cargo.arg("--lambda-dir").arg(lambda).args(selection(functions)?);
    if !cargo.status()?.success() {
        return Err("`cargo lambda build` failed; it comes with `pip install cargo-lambda ziglang`".into());
    }
    let names = registry::names().map(str::to_owned).filter(|name| functions.is_empty() || functions.contains(name));
    Ok(names.map(|name| (name.clone(), bootstrap(lambda, &name))).collect())
}

fn bootstrap(lambda: &Path, name: &str) -> PathBuf {
    lambda.join(name).join("bootstrap")
}

/// Builds the named functions, or all, for this machine. Returns the path of each binary.
pub(crate) fn binaries(functions: &[String]) -> Result<BTreeMap<String, PathBuf>, Box<dyn Error>> {
    let mut cargo = cargo(["build", "--release"]);
    cargo.args(selection(functions)?);
    executables(cargo)
}

/// Runs a `cargo build` and reads from its output which executables it made.
pub(crate) fn executables(mut cargo: Command) -> Result<BTreeMap<String, PathBuf>, Box<dyn Error>> {
    let output =
        cargo.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("the build failed".into());
    }
    let artifact = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let name = message.pointer("/target/name")?.as_str()?.to_owned();
        Some((name, PathBuf::from(message.get("executable")?.as_str()?)))
    };
    Ok(String::from_utf8(output.stdout)?.lines().filter_map(artifact).collect())
}

/// The cargo that runs this task, in the workspace's folder.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.current_dir(workspace::root()).args(args);
    cargo
}

fn selection(functions: &[String]) -> Result<Vec<String>, Box<dyn Error>> {
    if let Some(unknown) = functions.iter().find(|name| !registry::names().any(|known| known == *name)) {
        return Err(format!("`{unknown}` is not a function").into());
    }
    let mut selection: Vec<_> = registry::DOMAINS.iter().flat_map(|domain| ["-p".to_owned(), domain.name.to_owned()]).collect();
    if functions.is_empty() {
        selection.push("--bins".to_owned());
    }
    selection.extend(functions.iter().flat_map(|name| ["--bin".to_owned(), name.clone()]));
    Ok(selection)
}
