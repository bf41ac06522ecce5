//! The code of a seeded user's authenticator: seeded users have no telephone.

use crate::{Outcome, workspace};
use common::base::{Clock, SystemClock};
use local::Handover;
use std::{path::PathBuf, process::ExitCode};

/// Print the code that a demo user's authenticator shows now
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The user's e-mail, such as `tenant_admin@acme-health.example`
    email: String,
    /// The running stack's data directory
    #[arg(long, default_value = ".cloister/data")]
    data_dir: PathBuf,
}

pub(crate) fn run(args: Args) -> Outcome {
    let handover = Handover::read(&workspace::root().join(args.data_dir))?;
    let now = SystemClock.now();
    let user = handover.users.iter().find(|user| user.email == args.email);
    let user = user.ok_or_else(|| format!("the running stack has no seeded user {}", args.email))?;
    let code = user.code_at(now).ok_or_else(|| format!("{} signs in with a password alone", user.email))?;
    println!("{code}");
    eprintln!("valid once, for {} more seconds and 30 seconds of grace", 30 - now.as_secs().rem_euclid(30));
    Ok(ExitCode::SUCCESS)
}
