//! `cloister-audit`: the auditor's command without the rest of `cloister`.

use auditor::VerifyArgs;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "cloister-audit", version, about = "Verify a Cloister audit log")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Verify that a log is complete and unaltered
    Verify(VerifyArgs),
}

fn main() -> ExitCode {
    let Command::Verify(args) = Cli::parse().command;
    auditor::run(&args)
}
