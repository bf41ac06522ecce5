//! `cargo dev`: runs the platform on this machine until it is stopped.

mod banner;
mod view;

use crate::{Outcome, paint::Paint, workspace};
use emulators::{Venv, ups::Speed};
use local::{Account, Carrier, Data, Error, Options, Stack};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, timeout},
};
use view::View;

/// The longest time that stopping takes. The process then ends, even if a part hangs.
const STOP_WITHIN: Duration = Duration::from_millis(4900);

/// Runs the platform on this machine: no AWS account, no Docker, synthetic data
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Port on 127.0.0.1
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// The directory in which data is kept between runs [default: .cloister/data in the workspace]
    #[arg(long, value_name = "DIR", conflicts_with = "ephemeral")]
    data_dir: Option<PathBuf>,
    /// Keep no data
    #[arg(long)]
    ephemeral: bool,
    /// Create no tenants and users
    #[arg(long)]
    no_seed: bool,
    /// An origin whose pages may call the API, such as http://localhost:3000; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// The users' password; by default one is generated and kept with the data
    #[arg(long, env = "CLOISTER_DEMO_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    password: Option<String>,
    /// Moves packages automatically, N times faster than real: 600 makes a journey of seven minutes
    #[arg(long, value_name = "N", conflicts_with = "ups_client_id")]
    ups_speed: Option<Speed>,
    /// Runs schedules, ages sockets and retries failed messages N times faster
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    time_scale: u32,
    /// Delays writes in the tables' indexes by so many milliseconds, as on AWS
    #[arg(long, value_name = "MS", default_value_t = 0)]
    index_lag: u64,
    #[command(flatten)]
    ups: Ups,
}

/// A UPS account. With it the platform calls UPS itself, and the UPS emulator is not started.
#[derive(Debug, clap::Args)]
struct Ups {
    /// Calls UPS itself, with this account
    #[arg(long, env = "UPS_CLIENT_ID", hide_env_values = true, value_name = "ID", requires = "ups_client_secret")]
    ups_client_id: Option<String>,
    /// The account's secret. Set it in the environment: arguments stay in the shell's history
    #[arg(long, env = "UPS_CLIENT_SECRET", hide_env_values = true, value_name = "SECRET")]
    ups_client_secret: Option<String>,
    /// UPS's base URL; `https://wwwcie.ups.com` is its test environment
    #[arg(long, env = "UPS_BASE_URL", value_name = "URL", default_value = "https://onlinetools.ups.com")]
    ups_base_url: String,
}

impl Ups {
    fn carrier(self, speed: Option<Speed>) -> Carrier {
        let set = |value: Option<String>| value.filter(|text| !text.is_empty());
        match (set(self.ups_client_id), set(self.ups_client_secret)) {
            (Some(client_id), Some(client_secret)) => {
                Carrier::Real(Account { client_id, client_secret, base_url: self.ups_base_url })
            }
            _ => Carrier::StandIn { speed },
        }
    }
}

/// The default data directory.
pub(crate) fn default_data_dir() -> PathBuf {
    workspace::root().join(".cloister/data")
}

pub(crate) fn run(args: Args) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(args));
    // An interrupted start may still block a thread. It ends with the process.
    runtime.shutdown_background();
    outcome
}

/// Ends a start that was interrupted. An installation of a first run would otherwise continue.
fn abandoned(code: u8) -> ExitCode {
    Venv::abandon();
    ExitCode::from(code)
}

async fn serve(args: Args) -> Outcome {
    let began = Instant::now();
    let paint = Paint::of_stdout();
    let view = Arc::new(View::new(paint));
    let options = Options {
        port: args.port,
        data: match args.ephemeral {
            true => Data::Ephemeral,
            false => Data::Kept(args.data_dir.unwrap_or_else(default_data_dir)),
        },
        seed: !args.no_seed,
        password: args.password.filter(|p| !p.is_empty()),
        origins: args.allow_origin,
        progress: |line| eprintln!("{line}"),
        observer: Some(view.clone()),
        carrier: args.ups.carrier(args.ups_speed),
        time_scale: args.time_scale,
        index_lag: Duration::from_millis(args.index_lag),
    };
    let data = options.data.clone();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stack = tokio::select! {
        started = Stack::start(options) => match started {
            Ok(stack) => stack,
            Err(error @ (Error::PortInUse(_) | Error::DataDirInUse(_))) => return refused(&error),
            Err(error) => return Err(error.into()),
        },
        _ = interrupt.recv() => return Ok(abandoned(130)),
        _ = terminate.recv() => return Ok(abandoned(143)),
    };
    view.know(stack.handover());
    print!("{}", banner::banner(&stack, &data, began.elapsed(), paint));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("\nstopping");
    tokio::select! {
        ended = timeout(STOP_WITHIN, stack.stop()) => match ended {
            Ok(ended) => ended?,
            Err(_) => eprintln!("a part did not stop in time; ending without it"),
        },
        _ = interrupt.recv() => eprintln!("stopped without waiting: unsaved data is lost"),
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(error: &Error) -> Outcome {
    eprintln!("error: {error}");
    Ok(ExitCode::FAILURE)
}

/// A path as a user would write it in a shell.
pub(crate) fn short(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    relative.unwrap_or(path).display().to_string()
}
