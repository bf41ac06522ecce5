//! `cargo xtask schemathesis`: sends requests generated from the API's description to its own stack. It checks each answer
//! against the description and against rules that hold for every endpoint. Cloister's own hooks are in `infra/schemathesis`.

mod reception;
mod report;

use crate::{Outcome, limits, workspace};
use common::base::Role;
use emulators::Venv;
use local::{Observer, Options, Ran, Served, Stack, TENANTS};
use reception::Reception;
use report::Report;
use serde_json::json;
use std::{
    collections::BTreeMap,
    error::Error,
    fs::File,
    path::Path,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    process::Command,
    time::{Instant, timeout_at},
};

/// Tests the API with requests generated from its description, and checks each answer
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The most test cases per operation when fuzzing, and the most walks through several operations; boundary cases come on top
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    max_examples: u32,
    /// The same seed makes the same requests
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Time limit in minutes; a longer run fails
    #[arg(long, value_name = "MINUTES", default_value_t = 20)]
    time_limit: u64,
    /// Tests this operation only, such as `create_shipment`; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

pub(crate) fn run(args: Args) -> Outcome {
    let python = environment().python(|line| eprintln!("{line}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        eprintln!("starting a stack that keeps no data");
        let requests = Arc::new(Requests::default());
        let stack = Stack::start(Options { observer: Some(requests.clone()), ..Options::default() }).await?;
        let tried = attack(&stack, &python, &args, &requests).await;
        stack.stop().await?;
        tried
    });
    runtime.shutdown_background();
    outcome
}

/// The stack's answers.
#[derive(Debug, Default)]
struct Requests {
    all: AtomicUsize,
    /// By tenant and route: how often a tenant's users got 404.
    missing: Mutex<BTreeMap<String, BTreeMap<String, usize>>>,
}

impl Requests {
    fn missing(&self, tenant: &str) -> BTreeMap<String, usize> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned().unwrap_or_default()
    }
}

impl Observer for Requests {
    fn served(&self, request: &Served) {
        self.all.fetch_add(1, Ordering::Relaxed);
        if let (404, Some(tenant)) = (request.status, request.line.as_ref().and_then(|line| line["tenant.id"].as_str())) {
            let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
            *missing.entry(tenant.to_owned()).or_default().entry(request.route.clone()).or_default() += 1;
        }
        if let Served { method, route, status: status @ 500.., took, .. } = request {
            eprintln!("{method} {route}: {status} after {} ms", took.as_millis());
        }
    }
    fn ran(&self, run: &Ran) {
        if let Some(error) = &run.error {
            eprintln!("{}: {error}", run.name);
        }
    }
}

/// Schemathesis, in its own Python environment.
fn environment() -> Venv {
    Venv {
        dir: workspace::root().join(".cloister/schemathesis"),
        requirements: include_str!("../../schemathesis/requirements.txt"),
        what: "schemathesis, 130 MB",
        oldest: (3, 11),
    }
}

async fn attack(stack: &Stack, python: &Path, args: &Args, requests: &Requests) -> Outcome {
    let began = Instant::now();
    for tenant in TENANTS {
        limits::raise(stack, tenant).await?;
    }
    let reception = Reception::open(stack).await?;
    let dir = workspace::root().join("target/schemathesis");
    std::fs::create_dir_all(&dir)?;
    let tool = Tool { python, args, stack, dir: &dir, ends: began + Duration::from_secs(args.time_limit * 60) };
    let mut report = everything(&tool, &reception).await?;
    if args.only.is_empty() {
        report = report.and(compare(&tool, &reception, requests).await?);
    }
    print!("{}", report.summary(requests.all.load(Ordering::Relaxed), reception.people(), began.elapsed()));
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The command line of schemathesis.
struct Tool<'a> {
    python: &'a Path,
    args: &'a Args,
    stack: &'a Stack,
    dir: &'a Path,
    ends: Instant,
}

impl Tool<'_> {
    async fn run(&self, name: &str, config: &Path, more: impl FnOnce(&mut Command)) -> Result<Report, Box<dyn Error>> {
        let Self { args, stack, .. } = self;
        let events = self.dir.join(name).with_extension("ndjson");
        let mut command = Command::new(self.python.with_file_name("schemathesis"));
        command
            .current_dir(workspace::root())
            .arg("--config-file")
            .arg(config)
            .args(["run", "docs/openapi.json"])
            .args(["--url", stack.base_url()])
            .args(["--max-examples", &args.max_examples.to_string()])
            .args(["--seed", &args.seed.to_string()])
            .arg("--report-ndjson-path")
            .arg(&events)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HYPOTHESIS_STORAGE_DIRECTORY", self.dir.join("hypothesis"))
            .kill_on_drop(true);
        more(&mut command);
        let mut child = command.spawn()?;
        let Ok(status) = timeout_at(self.ends, child.wait()).await else {
            child.kill().await?;
            return Err(format!("not done after {} minutes (--time-limit)", args.time_limit).into());
        };
        Ok(Report::read(File::open(&events)?, status?.success())?)
    }
}

/// Runs every operation, as the users whom `hooks.py` chooses.
async fn everything(tool: &Tool<'_>, reception: &Reception) -> Result<Report, Box<dyn Error>> {
    let ours = workspace::root().join("infra/schemathesis");
    let config = ours.join("schemathesis.toml");
    tool.run("everything", &config, |command| {
        command
            .args(tool.args.only.iter().flat_map(|name| ["--include-operation-id", name]))
            .env("SCHEMATHESIS_HOOKS", ours.join("hooks.py"))
            .env("STACK_URL", tool.stack.base_url())
            .env("STACK_RECEPTION", reception.url());
    })
    .await
}

/// Operations whose item is compared. A list of these paths names items that another operation reads singly.
const COMPARED: [&str; 3] = ["/v1/shipments/{shipment_id}", "/v1/shipments/{shipment_id}/events", "/v1/users/{user_id}"];

/// Lets each tenant's administrator request the items that the other's has read, by schemathesis' own
/// `object_level_authorization`, which supports exactly two users. The items are those that the first run has left.
async fn compare(tool: &Tool<'_>, reception: &Reception, requests: &Requests) -> Result<Report, Box<dyn Error>> {
    let mut users = Vec::new();
    for tenant in TENANTS {
        let bearer = format!("Bearer {}", reception.token(tenant, Role::TenantAdmin).await?);
        users.push(json!({ "name": tenant, "fixedHeaders": [{ "name": "Authorization", "value": bearer }] }));
    }
    let (people, config) = (tool.dir.join("peers.json"), tool.dir.join("peers.toml"));
    std::fs::write(&people, json!({ "auth": users }).to_string())?;
    let settings = include_str!("../../schemathesis/peers.toml");
    std::fs::write(&config, format!("{settings}path = {people:?}\npeers = {TENANTS:?}\n"))?;
    let other = tool.stack.handover().tenants.get(TENANTS[1]).ok_or("the stack lacks a tenant")?;
    let before = requests.missing(other);
    let report = tool.run("peers", &config, |command| {
        command.args(["--checks", "object_level_authorization", "--include-method", "GET", "--phases", "fuzzing,stateful"]);
    });
    let report = report.await;
    std::fs::remove_file(&people)?;
    let (report, after) = (report?, requests.missing(other));
    let asked: Vec<_> = COMPARED.into_iter().filter(|route| after.get(*route) > before.get(*route)).collect();
    if asked.is_empty() {
        return Err("object_level_authorization compared nothing: no user requested an item of the other tenant".into());
    }
    println!("object_level_authorization compared GET {}", asked.join(", GET "));
    Ok(report)
}
