//! Measures the time from `exec` to the first poll and to the first answer, compared with a function that does nothing and with
//! one that only makes the same calls.

use super::{
    Failed,
    backend::Backend,
    events,
    figures::{median, ms, ratio},
    quota::Quota,
    runtime_api::RuntimeApi,
};
use crate::{
    Outcome,
    build::{self, MOST_BYTES, megabytes},
    workspace,
};
use common::request::AnyEndpoint;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

/// The peers, in infra/bench-peers.
const BARE: &str = "bare_hello";
const SDK: &str = "sdk_hello";
/// The function that is compared with the second peer.
const HELD: &str = "create_shipment";
/// How much later than the peer's its first answer may come.
const MARGIN_MS: f64 = 3.0;

/// Measure the functions' cold starts, compared with two small functions that are built alike.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these functions.
    functions: Vec<String>,
    /// How often each program is started, with a whole CPU and again with a quarter of one.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=200))]
    runs: u16,
    /// How many further requests one of the processes gets.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(0..=2000))]
    warm: u16,
    /// Take the programs from this folder, `<name>` or `<name>/bootstrap`, instead of building them.
    #[arg(long)]
    built: Option<PathBuf>,
}

/// A program and its measurements.
#[derive(Debug)]
struct Subject {
    name: String,
    path: PathBuf,
    /// The endpoint to call. A function that cannot be called here is only started.
    endpoint: Option<&'static AnyEndpoint>,
    bytes: u64,
    first_poll: Vec<Duration>,
    first_answer: Vec<Duration>,
    throttled_answer: Vec<Duration>,
    warm: Vec<Duration>,
    peak_rss: u64,
}

impl Subject {
    fn new(name: &str, path: &Path, endpoint: Option<&'static AnyEndpoint>) -> Result<Self, Failed> {
        let (name, path, bytes) = (name.to_owned(), path.to_owned(), std::fs::metadata(path)?.len());
        let none = Vec::new;
        let (first_poll, first_answer, throttled_answer, warm) = (none(), none(), none(), none());
        Ok(Self { name, path, endpoint, bytes, first_poll, first_answer, throttled_answer, warm, peak_rss: 0 })
    }
}

pub(crate) async fn run(args: Args) -> Outcome {
    let quota = Quota::quarter();
    match &quota {
        Ok(quota) => println!("a quarter CPU after the first poll: {}", quota.method()),
        Err(why) => println!("a quarter CPU after the first poll: not measured, {why}"),
    }
    let quota = quota.ok();
    let backend = Backend::start().await?;
    let mut subjects = subjects(&args, &backend).await?;
    // In turns, so that other load on the machine affects all alike.
    for round in 0..args.runs {
        for subject in &mut subjects {
            let warm = if round + 1 == args.runs { args.warm } else { 0 };
            one_run(&backend, subject, warm, None).await.map_err(|e| format!("{}: {e}", subject.name))?;
            if let Some(quota) = &quota {
                one_run(&backend, subject, 0, Some(quota)).await.map_err(|e| format!("{}: {e}", subject.name))?;
            }
        }
    }
    report(&subjects, args.runs);
    Ok(ExitCode::SUCCESS)
}

/// The peers first, then the functions, all for this machine's architecture and built with the same profile.
async fn subjects(args: &Args, backend: &Backend) -> Result<Vec<Subject>, Failed> {
    let all: Vec<_> = registry::names().map(str::to_owned).collect();
    let functions = if args.functions.is_empty() { &all } else { &args.functions };
    let built = match &args.built {
        Some(folder) => found(folder, functions.iter().map(String::as_str).chain([BARE, SDK])),
        None => build::executables(peers())?.into_iter().chain(build::binaries(functions)?).collect(),
    };
    let subject = |name: &str, endpoint| match built.get(name) {
        Some(path) => Subject::new(name, path, endpoint),
        None => Err(format!("`{name}` was not built").into()),
    };
    let held = events::endpoint(HELD)?;
    let mut subjects = vec![subject(BARE, Some(held))?, subject(SDK, Some(held))?];
    for name in functions {
        let endpoint = match registry::all().find(|endpoint| endpoint.name == name) {
            Some(endpoint) if events::possible(backend, endpoint).await => Some(endpoint),
            _ => None,
        };
        subjects.push(subject(name, endpoint)?);
    }
    Ok(subjects)
}

fn found<'a>(folder: &Path, names: impl Iterator<Item = &'a str>) -> BTreeMap<String, PathBuf> {
    let path = |name: &str| [folder.join(name).join("bootstrap"), folder.join(name)].into_iter().find(|path| path.is_file());
    names.filter_map(|name| Some((name.to_owned(), path(name)?))).collect()
}

/// Cargo reads the root's manifest as a configuration file and takes its `[profile]`, so the peers have the same profile.
fn peers() -> Command {
    let root = workspace::root();
    let mut cargo = build::cargo(["build", "--release", "--locked"]);
    cargo.arg("--config").arg(root.join("Cargo.toml")).arg("--manifest-path").arg(root.join("infra/bench-peers/Cargo.toml"));
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        cargo.arg("--target-dir").arg(root.join("target"));
    }
    cargo
}

async fn one_run(backend: &Backend, subject: &mut Subject, warm: u16, quota: Option<&Quota>) -> Result<(), Failed> {
    let mut events = Vec::new();
    if let Some(endpoint) = subject.endpoint {
        for _ in 0..=warm {
            events.push(events::fresh(backend, endpoint).await?.to_string());
        }
    }
    let mut api = RuntimeApi::start().await?;
    let variables = [
        ("AWS_LAMBDA_RUNTIME_API", api.address()),
        ("AWS_LAMBDA_FUNCTION_NAME", subject.name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "bench".to_owned()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "bench".to_owned()),
    ];
    let env = backend.env().iter().map(|(name, value)| (name.as_str(), value.clone())).chain(variables);
    let started = Instant::now();
    let process = Process::start(&subject.path, env)?;
    let first_poll = api.polled().await? - started;
    if let Some(quota) = quota {
        quota.confine(process.0.id())?;
    }
    for (number, event) in events.into_iter().enumerate() {
        let (took, answer) = api.invoke(number, event).await?;
        succeeded(&answer)?;
        match (number, quota) {
            (0, Some(_)) => subject.throttled_answer.push(first_poll + took),
            (0, None) => subject.first_answer.push(first_poll + took),
            _ => subject.warm.push(took),
        }
        api.polled().await?;
    }
    if quota.is_none() {
        subject.first_poll.push(first_poll);
        subject.peak_rss = subject.peak_rss.max(process.peak_rss()?);
    }
    Ok(())
}

fn succeeded(answer: &[u8]) -> Result<(), Failed> {
    let answer: Value = serde_json::from_slice(answer)?;
    let status = answer["statusCode"].as_u64().unwrap_or_default();
    if (200..300).contains(&status) { Ok(()) } else { Err(format!("the answer is not a success: {answer}").into()) }
}

/// A function's process; dropping this value ends it.
#[derive(Debug)]
struct Process(Child);

impl Process {
    fn start<N: AsRef<OsStr>, V: AsRef<OsStr>>(path: &Path, env: impl IntoIterator<Item = (N, V)>) -> Result<Self, Failed> {
        let mut command = Command::new(path);
        command.env_clear().envs(env).stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    /// The peak resident set size in bytes.
    fn peak_rss(&self) -> Result<u64, Failed> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended already; it must be reaped all the same.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn report(subjects: &[Subject], runs: u16) {
    println!("\nmedians of {runs} starts, in turns; least first answer in brackets; times in ms, sizes in MB");
    println!(
        "{:<28} {:>6} {:>6} {:>11} {:>16} {:>14} {:>9} {:>13} {:>13}",
        "function", "size", "RSS", "first poll", "first answer", "at 1/4 CPU", "warm p50", "answer / (a)", "answer / (b)"
    );
    let first = |s: &Subject| ms(median(&s.first_answer));
    let of = |name: &str| subjects.iter().find(|s| s.name == name);
    for subject in subjects {
        let seen = |times: &[Duration]| if times.is_empty() { "-".to_owned() } else { format!("{:.2}", ms(median(times))) };
        let least = subject.first_answer.iter().min().map_or_else(String::new, |least| format!(" ({:.2})", ms(*least)));
        let to = |peer: &str| match of(peer) {
            Some(peer) if !subject.first_answer.is_empty() => ratio(first(subject), first(peer)),
            _ => "-".to_owned(),
        };
        let label = match subject.name.as_str() {
            BARE => "(a) bare_hello",
            SDK => "(b) sdk_hello",
            name => name,
        };
        println!(
            "{label:<28} {:>6.2} {:>6.1} {:>11} {:>16} {:>14} {:>9} {:>13} {:>13}",
            megabytes(subject.bytes),
            megabytes(subject.peak_rss),
            seen(&subject.first_poll),
            seen(&subject.first_answer) + &least,
            seen(&subject.throttled_answer),
            seen(&subject.warm),
            to(BARE),
            to(SDK),
        );
    }
    println!();
    let largest = subjects.iter().map(|s| s.bytes).max().unwrap_or_default();
    verdict("largest binary", megabytes(largest), megabytes(MOST_BYTES), "MB");
    if let (Some(ours), Some(peer)) = (of(HELD), of(SDK)) {
        verdict("first answer of create_shipment", first(ours), first(peer) + MARGIN_MS, "ms, (b)'s plus 3");
        if !ours.throttled_answer.is_empty() {
            let at_quarter = |s: &Subject| ms(median(&s.throttled_answer));
            verdict("the same at a quarter CPU", at_quarter(ours), at_quarter(peer) + MARGIN_MS, "ms, (b)'s plus 3");
        }
    }
}

fn verdict(what: &str, is: f64, most: f64, unit: &str) {
    println!("target {}: {what} {is:.2}, at most {most:.2} {unit}", if is <= most { "met" } else { "MISSED" });
}
