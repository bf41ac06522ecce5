//! `cargo xtask token`: prints an access token of a demo user, for requests by hand.

use crate::{Outcome, event, workspace};
use std::{path::PathBuf, process::ExitCode};

/// Sign in at the running local stack and print the access token
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The user who signs in
    #[arg(default_value = event::SOMEBODY)]
    email: String,
    /// The running stack's data directory
    #[arg(long, default_value = ".cloister/data")]
    data_dir: PathBuf,
}

pub(crate) fn run(args: Args) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let token = runtime.block_on(event::token(&workspace::root().join(args.data_dir), args.email))?;
    println!("{token}");
    Ok(ExitCode::SUCCESS)
}
