//! Builds the functions for deployment: `target/lambda/<function>/bootstrap`, which `template.yaml` and `sam` look for.

use crate::{Outcome, workspace};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    error::Error,
    ffi::OsString,
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt,
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
    /// Unoptimised, into target/lambda-debug: a quick check of this command
    #[arg(long, conflicts_with = "target", requires = "functions")]
    debug: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    let lambda = workspace::root().join(if args.debug { "target/lambda-debug" } else { "target/lambda" });
    let built = match &args.target {
        Some(target) => cross(&args.functions, target, &lambda)?,
        None if args.debug => install(debug_binaries(&args.functions)?, &lambda)?,
        None => install(binaries(&args.functions)?, &lambda)?,
    };
    let arch = args.target.as_deref().and_then(|target| target.split('-').next());
    // Lambda does not run what is built for another system than Linux, but its binaries are useful there.
    if let Some(arch) = arch.or(cfg!(target_os = "linux").then_some(std::env::consts::ARCH)) {
        built.values().try_for_each(|bootstrap| check(bootstrap, arch))?;
    }
    println!("{:<28} {:>10}", "function", "MB");
    let mut too_large = false;
    for (name, path) in &built {
        let bytes = fs::metadata(path)?.len();
        let is_too_large = bytes > MOST_BYTES && !args.debug;
        too_large |= is_too_large;
        println!("{name:<28} {:>10.2}{}", megabytes(bytes), if is_too_large { "  over 12 MB" } else { "" });
    }
    println!("{} in {}", built.len(), lambda.display());
    Ok(if too_large { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Checks that Lambda can start the file: an executable 64-bit binary for this processor.
fn check(bootstrap: &Path, arch: &str) -> Result<(), Box<dyn Error>> {
    let mut header = [0; 20];
    File::open(bootstrap)?.read_exact(&mut header)?;
    if fs::metadata(bootstrap)?.permissions().mode() & 0o111 != 0o111 || !is_for(arch, &header) {
        return Err(format!("{} is not an executable for {arch}", bootstrap.display()).into());
    }
    Ok(())
}

/// Whether a file that begins so is an ELF binary for this processor.
fn is_for(arch: &str, header: &[u8; 20]) -> bool {
    let machine = match arch {
        "aarch64" => 183,
        "x86_64" => 62,
        _ => return false,
    };
    // 64 bits, little-endian.
    header.starts_with(b"\x7fELF\x02\x01") && header[18..] == [machine, 0]
}

/// Copies each binary to where the template looks for it.
fn install(mut built: BTreeMap<String, PathBuf>, lambda: &Path) -> Result<BTreeMap<String, PathBuf>, Box<dyn Error>> {
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

/// The same, unoptimised and with the features that the tests' build has: only the binaries themselves are new.
fn debug_binaries(functions: &[String]) -> Result<BTreeMap<String, PathBuf>, Box<dyn Error>> {
    let mut cargo = cargo(["build"]);
    cargo.args(bins(functions)?);
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
    let domains = registry::DOMAINS.iter().flat_map(|domain| ["-p".to_owned(), domain.name.to_owned()]);
    Ok(domains.chain(bins(functions)?).collect())
}

fn bins(functions: &[String]) -> Result<Vec<String>, Box<dyn Error>> {
    if let Some(unknown) = functions.iter().find(|name| !registry::names().any(|known| known == *name)) {
        return Err(format!("`{unknown}` is not a function").into());
    }
    Ok(match functions {
        [] => vec!["--bins".to_owned()],
        _ => functions.iter().flat_map(|name| ["--bin".to_owned(), name.clone()]).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(class: u8, machine: u8) -> [u8; 20] {
        let mut header = [0; 20];
        header[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1]);
        header[18] = machine;
        header
    }

    #[test]
    fn only_an_executable_for_the_functions_processor_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bootstrap");
        let is_accepted = |content: &[u8], mode: u32, arch: &str| {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            check(&path, arch).is_ok()
        };
        for (arch, machine, other) in [("aarch64", 183, 62), ("x86_64", 62, 183)] {
            assert!(is_accepted(&header(2, machine), 0o755, arch), "{arch}");
            assert!(!is_accepted(&header(2, machine), 0o644, arch), "{arch}: not executable");
            assert!(!is_accepted(&header(2, other), 0o755, arch), "{arch}: another processor");
            assert!(!is_accepted(&header(1, machine), 0o755, arch), "{arch}: 32 bits");
            assert!(!is_accepted(&header(2, machine)[..19], 0o755, arch), "{arch}: cut off");
            assert!(!is_accepted(b"#!/bin/sh\nexec /usr/bin/true\n", 0o755, arch), "{arch}: a script");
        }
        assert!(!is_accepted(&header(2, 62), 0o755, "riscv64"));
        fs::remove_file(&path).unwrap();
        assert!(check(&path, "x86_64").is_err(), "missing");
    }
}
