//! `prove <solver> [argument]…`: reads the question from standard input and writes the answer to standard output, both as JSON.
//! `cargo xtask prove` calls it and prints the answer.

use prove::{Question, prove};
use std::{error::Error, io, process::ExitCode};
use tokio::process::Command;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let mut solver = Command::new(arguments.next().ok_or("which solver?")?);
    solver.args(arguments);
    let question: Question = serde_json::from_reader(io::stdin().lock())?;
    serde_json::to_writer(io::stdout().lock(), &prove(&question, solver).await?)?;
    Ok(())
}
