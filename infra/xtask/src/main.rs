//! The project's tasks: `cargo xtask <task>`. Each has a module with its `Args` and a `run`.

mod audit;
mod bench;
mod build;
mod demo;
mod dev;
mod event;
mod fuzz;
mod grants;
mod iam_oracle;
mod lambda;
mod limits;
mod mutants;
mod openapi;
mod paint;
mod prove;
mod rooms;
mod scale;
mod schemathesis;
mod sync;
mod token;
mod totp;
mod ups;
mod workspace;

use clap::Parser;
use std::{error::Error, process::ExitCode};

/// The result of a task: its exit code, or an error to print.
type Outcome = Result<ExitCode, Box<dyn Error>>;

/// The project's tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    Dev(dev::Args),
    Demo(demo::Args),
    Audit(audit::Args),
    Sync(sync::Args),
    Event(event::Args),
    Lambda(lambda::Args),
    Fuzz(fuzz::Args),
    Grants(grants::Args),
    IamOracle(iam_oracle::Args),
    Mutants(mutants::Args),
    Build(build::Args),
    Bench(bench::Args),
    Openapi(openapi::Args),
    Prove(prove::Args),
    Rooms(rooms::Args),
    Scale(scale::Args),
    Schemathesis(schemathesis::Args),
    Token(token::Args),
    Totp(totp::Args),
    Ups(ups::Args),
}

fn main() -> ExitCode {
    let outcome = match Task::parse() {
        Task::Dev(args) => dev::run(args),
        Task::Demo(args) => demo::run(args),
        Task::Audit(args) => audit::run(args),
        Task::Sync(args) => sync::run(args),
        Task::Event(args) => event::run(args),
        Task::Fuzz(args) => fuzz::run(args),
        Task::Grants(args) => grants::run(args),
        Task::IamOracle(args) => iam_oracle::run(args),
        Task::Mutants(args) => mutants::run(args),
        Task::Lambda(args) => lambda::run(args),
        Task::Build(args) => build::run(args),
        Task::Bench(args) => bench::run(args),
        Task::Openapi(args) => openapi::run(args),
        Task::Prove(args) => prove::run(args),
        Task::Rooms(args) => rooms::run(args),
        Task::Scale(args) => scale::run(args),
        Task::Schemathesis(args) => schemathesis::run(args),
        Task::Token(args) => token::run(args),
        Task::Totp(args) => totp::run(args),
        Task::Ups(args) => ups::run(args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
