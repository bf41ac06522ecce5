//! `cargo xtask fuzz`: builds every fuzz target with a fuzzer's instrumentation and runs it for a while on its seeds.
//!
//! It does the same as `cargo fuzz run`, without the address sanitizer: the sanitizer needs a nightly compiler and finds nothing
//! in code without `unsafe`.

mod seeds;

use crate::{Outcome, build, workspace};
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::PathBuf,
    process::{Command, ExitCode, Output, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The workspaces of fuzz targets. Each has its seeds in `seeds/<target>/`.
const WORKSPACES: [&str; 2] = ["fuzz", "shared/phi/fuzz"];

/// Compiler flags that let libFuzzer see which branches an input takes, and with which values it is compared.
const INSTRUMENTED: [&str; 6] = [
    "--cfg fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Build every fuzz target and run it on its committed seeds
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these targets
    targets: Vec<String>,
    /// Seconds for which each target runs
    #[arg(long, value_name = "N", default_value_t = 20)]
    seconds: u32,
    /// How many targets run at once
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
    /// Write the seeds, and run nothing
    #[arg(long)]
    write_seeds: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    if args.write_seeds {
        return seeds::write(&workspace::root());
    }
    let mut targets = Vec::new();
    for of in WORKSPACES {
        targets.extend(build(of)?.into_iter().map(|(name, path)| Target {
            name,
            path,
            seeds: workspace::root().join(of).join("seeds"),
        }));
    }
    if let Some(unknown) = args.targets.iter().find(|name| !targets.iter().any(|target| target.name == **name)) {
        let known: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
        return Err(format!("`{unknown}` is not a fuzz target; there are: {}", known.join(", ")).into());
    }
    targets.retain(|target| args.targets.is_empty() || args.targets.contains(&target.name));
    let failed = Mutex::new(0);
    let queue = Mutex::new(targets.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|threads| {
        for _ in 0..args.jobs {
            threads.spawn(|| {
                while let Some(target) = next() {
                    let verdict = target.run(args.seconds).map_err(|error| error.to_string()).and_then(|verdict| verdict);
                    match verdict {
                        Ok(line) => println!("{:<16} {line}", target.name),
                        Err(why) => {
                            *failed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                            println!("{:<16} FAILED\n{why}", target.name);
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The directory for instrumented builds. It is separate, so that other builds stay cached.
fn target_dir() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace::root().join("target"), PathBuf::from);
    target.join("fuzz")
}

/// Builds a workspace's targets. Returns the path of each binary.
fn build(of: &str) -> Result<BTreeMap<String, PathBuf>, Box<dyn Error>> {
    let mut cargo = build::cargo(["build", "--locked", "--bins", "--target", host()?.as_str()]);
    cargo.current_dir(workspace::root().join(of)).env("CARGO_TARGET_DIR", target_dir()).env("RUSTFLAGS", INSTRUMENTED.join(" "));
    build::executables(cargo)
}

/// This machine's target triple. Cargo gets it as `--target`, so that build scripts are not instrumented.
fn host() -> Result<String, Box<dyn Error>> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not name its host")?.to_owned())
}

struct Target {
    name: String,
    path: PathBuf,
    seeds: PathBuf,
}

impl Target {
    /// Runs the target. Returns a line of its result, or the failure.
    fn run(&self, seconds: u32) -> Result<Result<String, String>, Box<dyn Error>> {
        let began = Instant::now();
        let seeds = self.seeds.join(&self.name);
        let count = fs::read_dir(&seeds).map_err(|e| format!("{}: {e}", seeds.display()))?.count();
        // Inputs that a run finds are dropped: every run begins with the seeds only.
        let corpus = target_dir().join("corpus").join(&self.name);
        let artifacts = target_dir().join("artifacts").join(&self.name);
        if corpus.exists() {
            fs::remove_dir_all(&corpus)?;
        }
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&artifacts)?;
        let output = Command::new(&self.path)
            .args([&corpus, &seeds])
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(format!("-max_total_time={seconds}"))
            .args(["-timeout=60", "-rss_limit_mb=2048", "-print_final_stats=1"])
            .stdin(Stdio::null())
            .output()?;
        Ok(verdict(&output, count, began.elapsed()))
    }
}

fn verdict(output: &Output, seeds: usize, took: Duration) -> Result<String, String> {
    let text = String::from_utf8_lossy(&output.stderr);
    let tail = || text.lines().rev().take(40).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
    let executed =
        text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")?.trim().parse::<usize>().ok());
    match executed {
        // If no more inputs ran than there are seeds, the target is not instrumented or reads no seed.
        Some(executed) if output.status.success() && executed > seeds => {
            Ok(format!("{executed:>9} inputs from {seeds} seeds in {:.0} s", took.as_secs_f64()))
        }
        _ => Err(format!("{}\n{}", output.status, tail())),
    }
}

/// The targets that a workspace declares.
#[cfg(test)]
fn declared(of: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(of.join("fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn every_fuzz_target_is_a_binary_and_has_its_generated_seeds() {
        let mut seeded: Vec<_> = seeds::all().unwrap().into_iter().map(|seed| (seed.of, seed.target.to_owned())).collect();
        seeded.sort();
        seeded.dedup();
        let mut known = Vec::new();
        for of in WORKSPACES {
            let dir = workspace::root().join(of);
            let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap();
            for target in declared(&dir) {
                assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
                known.push((of, target));
            }
        }
        known.sort();
        assert_eq!(seeded, known);
    }

    #[test]
    fn committed_seeds_equal_the_generated_ones() {
        for seed in seeds::all().unwrap() {
            let path = seed.path(&workspace::root());
            let committed = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}: cargo xtask fuzz --write-seeds", path.display()));
            assert!(seed.is_like(&committed), "{}: cargo xtask fuzz --write-seeds", path.display());
        }
    }

    #[test]
    fn run_that_executes_only_its_seeds_fails() {
        let output = |code: i32, stderr: &str| Output {
            status: std::process::ExitStatus::from_raw(code << 8),
            stdout: Vec::new(),
            stderr: stderr.as_bytes().to_vec(),
        };
        let judge = |output: Output| verdict(&output, 3, Duration::from_secs(20)).is_ok();
        assert!(judge(output(0, "INFO\nstat::number_of_executed_units: 1000\n")));
        assert!(!judge(output(0, "stat::number_of_executed_units: 3\n")));
        assert!(!judge(output(0, "")));
        assert!(!judge(output(77, "stat::number_of_executed_units: 1000\n")));
    }
}
