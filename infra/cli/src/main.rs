//! `cloister`: the command for operators, who use AWS credentials, and for auditors, who fetch and verify an audit log with a
//! token.
//!
//! To operate, it reads a function's settings and credentials (`CLOISTER_…`, `AWS_…`) from the environment. Exit codes: 0
//! success, 1 failure, 2 invalid command, 3 refused because it was done before; for `audit verify`, see its help.

mod audit;
mod bootstrap;
mod dlq;
mod keys;
mod password;

use audit::Audit;
use bootstrap::Bootstrap;
use clap::{Parser, Subcommand};
use common::request::Deps;
use dlq::Dlq;
use keys::Keys;
use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

#[derive(Debug, Parser)]
#[command(version, about = "Operate a Cloister deployment")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create the platform's tenant and its first super_admin, once
    Bootstrap(Bootstrap),
    /// Fetch and verify a tenant's audit log
    Audit(Audit),
    /// List messages that were given up, and move them back
    Dlq(Dlq),
    /// Manage tenants' KMS keys
    Keys(Keys),
}

/// The result of a command.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// For standard output on success, else for standard error.
    text: String,
    exit: u8,
}

impl Outcome {
    fn done(text: String) -> Self {
        Self { text, exit: 0 }
    }
    fn failed(text: impl Into<String>) -> Self {
        Self { text: text.into(), exit: 1 }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Audit(command) => return command.run().await,
        Command::Bootstrap(command) => match Deps::of_operator() {
            Ok(deps) => command.run(&deps, read_line).await,
            Err(why) => Outcome::failed(why),
        },
        Command::Dlq(command) => match Deps::of_operator() {
            Ok(deps) => command.run(&deps).await,
            Err(why) => Outcome::failed(why),
        },
        Command::Keys(command) => match Deps::of_operator() {
            Ok(deps) => command.run(&deps).await,
            Err(why) => Outcome::failed(why),
        },
    };
    // The output may be closed; there is no other place for a message.
    let _ = if outcome.exit == 0 {
        writeln!(io::stdout(), "{}", outcome.text)
    } else {
        writeln!(io::stderr(), "cloister: {}", outcome.text)
    };
    ExitCode::from(outcome.exit)
}

/// The first line of standard input, of 1 KB at most.
fn read_line() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().lock().take(1024).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
