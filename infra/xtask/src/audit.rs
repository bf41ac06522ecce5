//! `cargo xtask audit`: prints the audit record of a running stack, one line an event.

use crate::{Outcome, dev, paint::Paint};
use common::base::{Clock, EventId, SystemClock, Timestamp};
use local::{AuditLog, Handover, PLATFORM, Seen, TENANTS};
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, time::Duration};

/// How often `--follow` looks for new events.
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
    let setting = |name: &str| handover.env.get(name).ok_or_else(|| format!("the running stack's settings lack `{name}`"));
    Ok(AuditLog::new(setting("AWS_ENDPOINT_URL_DYNAMODB")?, setting("CLOISTER_LEDGER_TABLE")?, tenant))
}

async fn tail(handover: &Handover, logs: Vec<AuditLog>, follow: bool) -> Outcome {
    let paint = Paint::of_stdout();
    let mut shown = Shown::default();
    loop {
        let mut fresh = Vec::new();
        let since = shown.since();
        for log in &logs {
            fresh.extend(log.after(since.as_deref()).await?);
        }
        let mut fresh = shown.new_of(fresh, SystemClock.now());
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

/// The events that have been printed and may still change. Refusals of one kind share one event a minute, whose count grows.
#[derive(Debug, Default)]
struct Shown {
    /// The count of each event by id, as it was printed last.
    counts: BTreeMap<String, u64>,
    looked_at: Option<Timestamp>,
}

impl Shown {
    /// The id after which to look: events before it no longer change.
    fn since(&self) -> Option<String> {
        let minute = Duration::from_secs(60);
        self.looked_at.map(|at| EventId::first_at(at.minus(2 * minute)).to_string())
    }

    /// The events that have not been printed with this count.
    fn new_of(&mut self, seen: Vec<Seen>, now: Timestamp) -> Vec<Seen> {
        let fresh: Vec<_> = seen.into_iter().filter(|event| self.counts.get(&event.id) != Some(&event.count)).collect();
        self.counts.extend(fresh.iter().map(|event| (event.id.clone(), event.count)));
        self.looked_at = Some(now);
        if let Some(since) = self.since() {
            self.counts.retain(|id, _| *id > since);
        }
        fresh
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_with_a_new_count_are_shown_again() {
        let now = Timestamp::from_millis(1_800_000_030_000);
        let seen = |at: Timestamp, count| Seen { id: EventId::first_at(at).to_string(), event: Value::Null, count };
        let minute = Timestamp::from_millis(now.as_millis() / 60_000 * 60_000);
        let mut shown = Shown::default();
        assert_eq!(shown.new_of(vec![seen(now, 1)], now).len(), 1);
        // A refusal may still come with an earlier id, because it takes the id of the minute's first refusal.
        assert!(shown.since().unwrap() < seen(minute, 1).id);
        let counted = |shown: &mut Shown, count| shown.new_of(vec![seen(minute, count), seen(now, 1)], now).len();
        assert_eq!([1, 1, 2, 2].map(|count| counted(&mut shown, count)), [1, 0, 1, 0]);
        let later = now.plus(Duration::from_secs(600));
        assert!(
            shown.new_of(Vec::new(), later).is_empty() && shown.counts.is_empty(),
            "events that no longer change are dropped"
        );
    }
}
