//! `cargo xtask audit`: the audit record of a running stack, in lines for people.

use crate::{Outcome, dev, paint::Paint};
use local::{AuditLog, Handover, PLATFORM, Seen, TENANTS};
use serde_json::Value;
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// How often `--follow` looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Shows the audit record of a running stack
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Prints audit events that are not sealed yet, oldest first
    Tail {
        /// acme-health, birch-clinic or platform
        #[arg(long, default_value = TENANTS[0], conflicts_with = "all")]
        tenant: String,
        /// Every tenant's
        #[arg(long)]
        all: bool,
        /// Wait for more
        #[arg(long, short)]
        follow: bool,
        /// The running stack's data directory [default: .cloister/data in the workspace]
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
}

pub(crate) fn run(args: Args) -> Outcome {
    let What::Tail { tenant, all, follow, data_dir } = args.what;
    let handover = Handover::read(&data_dir.unwrap_or_else(dev::default_data_dir))?;
    let names = if all { handover.tenants.keys().cloned().collect() } else { vec![tenant] };
    let logs = names.iter().map(|name| log(&handover, name)).collect::<Result<Vec<_>, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tail(&handover, logs, follow))
}

/// The log of the tenant of this name.
pub(crate) fn log(handover: &Handover, name: &str) -> Result<AuditLog, String> {
    let tenant = handover.tenants.get(name).ok_or_else(|| {
        let known: Vec<_> = handover.tenants.keys().map(String::as_str).collect();
        format!("there is no tenant `{name}`: there are {}", known.join(", "))
    })?;
    let setting = |name: &str| handover.env.get(name).ok_or_else(|| format!("the running stack does not say its `{name}`"));
    Ok(AuditLog::new(setting("AWS_ENDPOINT_URL_DYNAMODB")?, setting("CLOISTER_LEDGER_TABLE")?, tenant))
}

async fn tail(handover: &Handover, logs: Vec<AuditLog>, follow: bool) -> Outcome {
    let paint = Paint::of_stdout();
    let mut cursors: Vec<Option<String>> = vec![None; logs.len()];
    loop {
        let mut fresh = Vec::new();
        for (log, cursor) in logs.iter().zip(&mut cursors) {
            let seen = log.after(cursor.as_deref()).await?;
            if let Some(last) = seen.last() {
                *cursor = Some(last.id.clone());
            }
            fresh.extend(seen);
        }
        fresh.sort_by(|a, b| a.id.cmp(&b.id));
        for seen in &fresh {
            println!("{}", line(seen, handover, paint));
        }
        if !follow {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// `12:30:01.250 info    create_shipment  acme-health marketer  success 201  Shipment shp_…  discloses …  TREAT  reason`.
pub(crate) fn line(seen: &Seen, handover: &Handover, paint: Paint) -> String {
    let event = &seen.event;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let time = text(&event["occurred_at"]);
    let severity = text(&event["severity"]);
    let severity = match severity.as_str() {
        "error" | "critical" => paint.bad(format_args!("{severity:<8}")),
        "warning" => paint.odd(format_args!("{severity:<8}")),
        _ => paint.dim(format_args!("{severity:<8}")),
    };
    let outcome = text(&event["outcome"]);
    let status = event["status"].as_u64().and_then(|s| u16::try_from(s).ok());
    let outcome = format!("{outcome:<7} {}", status.map(|s| paint.status(s)).unwrap_or_default());
    let kind = text(&event["type"]);
    let mut parts = vec![
        paint.dim(time.get(11..23).unwrap_or(&time)),
        severity,
        format!("{:<18}", kind.strip_prefix("api.").unwrap_or(&kind)),
        format!("{:<24}", who(&event["actor"], handover)),
        outcome,
    ];
    let listed = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(",");
    let resources = event["resources"].as_array().into_iter().flatten();
    parts.extend(resources.map(|r| format!("{} {}", text(&r["type"]), text(&r["id"]))));
    for (label, name) in [("discloses", "disclosed"), ("changes", "changes")] {
        let names = listed(&event[name]);
        if !names.is_empty() {
            parts.push(format!("{label} {names}"));
        }
    }
    parts.extend(event["purpose_of_use"].as_str().map(str::to_owned));
    parts.extend(event["reason"].as_str().map(|reason| paint.odd(reason)));
    if seen.count > 1 {
        parts.push(format!("{} times in this minute", seen.count));
    }
    parts.join(" ")
}

fn who(actor: &Value, handover: &Handover) -> String {
    let id = actor["id"].as_str();
    match handover.users.iter().find(|user| Some(user.user_id.as_str()) == id) {
        Some(user) if user.tenant == PLATFORM => user.role.to_string(),
        Some(user) => format!("{} {}", user.tenant, user.role),
        None => id.or(actor["type"].as_str()).unwrap_or_default().to_owned(),
    }
}
