//! Measures what the tests do not time: cold starts, the stack's throughput, the delay of a push on a socket, and the speed of
//! sealing the audit log. All runs are on loopback, bounded in requests and seconds, and compared with a yardstick that shows
//! what the machine can do.

mod backend;
mod cold_start;
mod counter;
mod events;
mod figures;
mod load;
mod push;
mod quota;
mod runtime_api;
mod seal;

use crate::{Outcome, build};
use std::{error::Error, process::ExitCode};

type Failed = Box<dyn Error>;

/// Measure cold starts, throughput, pushes or sealing, beside a yardstick.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    ColdStart(cold_start::Args),
    Load(load::Args),
    Push(push::Args),
    Seal(seal::Args),
}

pub(crate) fn run(args: Args) -> Outcome {
    if cfg!(debug_assertions) {
        return optimised();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match args.what {
            What::ColdStart(args) => cold_start::run(args).await,
            What::Load(args) => load::run(args).await,
            What::Push(args) => push::run(args).await,
            What::Seal(args) => seal::run(args).await,
        }
    })
}

/// Runs the same command built with optimisation. Otherwise unoptimised emulators would dominate the figures.
fn optimised() -> Outcome {
    eprintln!("building the benches with optimisation; the first build takes some minutes");
    let mut cargo = build::cargo(["run", "--quiet", "--profile", "fast", "--package", "xtask", "--"]);
    let code = cargo.args(std::env::args_os().skip(1)).status()?.code();
    Ok(code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
