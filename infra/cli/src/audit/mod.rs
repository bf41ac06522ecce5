//! `cloister audit`: fetches and verifies a tenant's audit log. It needs the token of a user who may read the log, and no AWS
//! credentials. Verifying a bundle needs neither; `cloister-audit` does it without the rest of this command.

mod bundle;
mod remote;

use auditor::{Checks, Directory, verify_source};
use clap::{Args, Subcommand};
use remote::Remote;
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch the log into a directory that can be verified offline
    Bundle {
        #[command(flatten)]
        from: Deployment,
        /// The directory; created if missing
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Verify that the log is complete and unaltered
    #[command(after_help = auditor::EXIT_CODES)]
    Verify {
        /// A bundle on disk; by default the log is fetched from the deployment first
        #[arg(long, value_name = "DIR", conflicts_with = "endpoint", required_unless_present = "endpoint")]
        offline: Option<PathBuf>,
        /// The deployment's API, such as `https://api.example/live`; the token is in CLOISTER_TOKEN
        #[arg(long, value_name = "URL")]
        endpoint: Option<String>,
        #[command(flatten)]
        checks: Checks,
    },
}

/// The options for fetching a log.
#[derive(Debug, Args)]
struct Deployment {
    /// The deployment's API, such as `https://api.example/live`
    #[arg(long, value_name = "URL")]
    endpoint: String,
}

/// The exit code if the log could not be fetched.
const NOT_FETCHED: u8 = 1;

impl Audit {
    pub(crate) async fn run(self) -> ExitCode {
        match self.command {
            Command::Bundle { from, out } => match bundle::fetch(&from.endpoint, &out).await {
                Ok(fetched) => {
                    println!("{fetched}");
                    println!("Verify it: cloister audit verify --offline {}", out.display());
                    ExitCode::SUCCESS
                }
                Err(why) => failed(&why),
            },
            Command::Verify { offline: Some(bundle), checks, .. } => verify_source(&mut Directory::new(bundle), &checks),
            Command::Verify { endpoint, checks, .. } => match online(&endpoint.unwrap_or_default(), &checks).await {
                Ok(exit) => exit,
                Err(why) => failed(&why),
            },
        }
    }
}

/// Verifies a bundle in a temporary directory.
async fn online(endpoint: &str, checks: &Checks) -> Result<ExitCode, String> {
    let folder =
        tempfile::Builder::new().prefix("cloister-audit-").tempdir().map_err(|e| format!("a temporary directory: {e}"))?;
    bundle::fetch(endpoint, folder.path()).await?;
    Ok(verify_source(&mut Directory::new(folder.path()), checks))
}

fn failed(why: &str) -> ExitCode {
    eprintln!("cloister: {why}");
    ExitCode::from(NOT_FETCHED)
}
