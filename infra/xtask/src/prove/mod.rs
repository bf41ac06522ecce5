//! Proofs about the policies. `infra/prove` finds them with Cedar's symbolic compiler and the solver cvc5. `policies/proof.txt`
//! records the results and the policies that were proven.

mod record;
mod solver;

use crate::{Outcome, build, paint::Paint, workspace};
use common::policy::{POLICIES, PRINCIPALS, RESOURCES};
use record::{Basis, RECORD};
use serde::Deserialize;
use serde_json::json;
use solver::Solver;
use std::{
    error::Error,
    fs,
    io::Write,
    process::{ExitCode, Stdio},
};

const SCHEMA: &str = include_str!("../../../../policies/schema.cedarschema");
const PROPERTIES: &str = include_str!("../../../prove/properties.cedar");

/// The most counterexamples shown for a property.
const SHOWN: usize = 3;

/// The exit code of a run without a solver.
const NO_SOLVER: u8 = 2;

/// Prove the properties of infra/prove/properties.cedar for every possible request. Needs cvc5.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Prove nothing; fail if policies, schema or properties differ from the proven ones
    #[arg(long)]
    check: bool,
}

/// The output of `infra/prove`.
#[derive(Debug, Deserialize)]
struct Proofs {
    environments: usize,
    refused: usize,
    impossible: Vec<String>,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    id: String,
    says: String,
    about: usize,
    proven: usize,
    millis: u64,
    counterexamples: Vec<String>,
}

pub(crate) fn run(args: Args) -> Outcome {
    let root = workspace::root();
    let basis = Basis::current(&root)?;
    if args.check {
        return Ok(match basis.stale(&root) {
            Some(stale) => {
                println!("{stale}");
                ExitCode::FAILURE
            }
            None => ExitCode::SUCCESS,
        });
    }
    let solver = match Solver::find(&root) {
        Ok(solver) => solver,
        Err(missing) => {
            eprintln!("{missing}");
            return Ok(ExitCode::from(NO_SOLVER));
        }
    };
    eprintln!("running cvc5 {}: this takes a minute or two", solver.version);
    let answer = ask(&solver)?;
    show(&answer);
    if answer.findings.iter().any(|finding| !finding.counterexamples.is_empty()) {
        println!("\n{RECORD} is unchanged: the properties are not proven");
        return Ok(ExitCode::FAILURE);
    }
    fs::write(root.join(RECORD), record::text(&basis, &root, &solver.version, &answer)?)?;
    println!("\nwrote {RECORD}");
    Ok(ExitCode::SUCCESS)
}

/// Builds and runs `infra/prove` with the solver.
fn ask(solver: &Solver) -> Result<Proofs, Box<dyn Error>> {
    let root = workspace::root();
    let mut cargo = build::cargo(["run", "--locked", "--manifest-path", "infra/prove/Cargo.toml"]);
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        cargo.arg("--target-dir").arg(root.join("target"));
    }
    // The time limit is per query: one minute.
    cargo.arg("--").args(&solver.command).args(["--lang", "smt", "--tlimit-per=60000"]);
    let mut child = cargo.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let question = json!({
        "policies": POLICIES, "schema": SCHEMA, "properties": PROPERTIES, "principals": PRINCIPALS, "resources": RESOURCES,
    });
    if let Some(mut stdin) = child.stdin.take() {
        // The prover reads all input before it writes. If it does not start, its own error output explains why.
        let _ = stdin.write_all(question.to_string().as_bytes());
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err("the prover gave no answer".into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn show(answer: &Proofs) {
    let paint = Paint::of_stdout();
    let width = answer.findings.iter().map(|finding| finding.id.len()).max().unwrap_or(0);
    println!("{:<width$}  environments      time", "property");
    for finding in &answer.findings {
        let count = format!("{:>5} of {:>3}", finding.proven, finding.about);
        let count = if finding.proven == finding.about { paint.good(count) } else { paint.bad(count) };
        let seconds = finding.millis as f64 / 1e3;
        println!("{:<width$}  {count}   {seconds:>6.1} s  {}", finding.id, finding.says);
    }
    println!("of {} environments: an action by a type of principal on a type of resource", answer.environments);
    println!("and {} other combinations, which are refused because of their types", answer.refused);
    for environment in &answer.impossible {
        println!("{} {environment}", paint.odd("no caller may:"));
    }
    for finding in answer.findings.iter().filter(|finding| !finding.counterexamples.is_empty()) {
        println!("\n{} {}", paint.bad("not so:"), finding.says);
        for counterexample in finding.counterexamples.iter().take(SHOWN) {
            println!("{counterexample}");
        }
        let more = finding.counterexamples.len().saturating_sub(SHOWN);
        if more > 0 {
            println!("and in {more} more environments");
        }
    }
}
