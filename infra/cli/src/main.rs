//! `cloister`: what is done by a person at a keyboard: with the cloud's credentials, to operate a deployment; with an auditor's
//! token, to fetch and prove an audit log.
//!
//! To operate, it reads the settings and credentials that a function has (`CLOISTER_…`, `AWS_…`) from the environment. Exit
//! codes: 0 done, 1 failed, 2 not understood, 3 refused because it was done before; of `audit verify`, see its help.

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
    /// Make the platform's tenant and its first super_admin, once
    Bootstrap(Bootstrap),
    /// Fetch a tenant's audit log, and prove it
    Audit(Audit),
    /// Look at messages that were given up, and put them back
    Dlq(Dlq),
    /// Look after tenants' KMS keys
    Keys(Keys),
}

/// What a command has come to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// For standard output where it worked, for standard error otherwise.
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
    // Where nobody reads, nothing is left to be said.
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
