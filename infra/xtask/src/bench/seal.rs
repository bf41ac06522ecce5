//! Measures how fast the audit log is sealed. It does so twice, with the same events of real requests:
//!
//! - in a local stack, where the stream and a Pipe wake the sealer while events arrive: the lag;
//! - alone, with all events waiting, over a connector that counts calls: the rate, and the calls for a thousand events.

use super::{
    Failed,
    backend::Backend,
    counter::{Calls, Counter},
    events,
    figures::{ms, percentile},
};
use crate::Outcome;
use common::base::{
    Role, TenantId,
    telemetry::{LogSink, WideEvent},
};
use local::{Observer, Options, Ran, Served, Stack};
use serde_json::{Value, json};
use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Requests of one session: fewer than its limit allows at once.
const PER_SESSION: usize = 50;
/// The time limit for sealing: a wake-up is delayed for ten seconds, and a lost one is repeated within minutes.
const PATIENCE: Duration = Duration::from_secs(240);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A younger event may still change and is left to the next run: six seconds, and one more.
const SETTLED: Duration = Duration::from_secs(7);
/// The most calls for a thousand events.
const MOST_S3: f64 = 2.0;
const MOST_DYNAMODB: f64 = 50.0;
/// The function, and its attributes in the log line.
const SEALER: &str = "seal_audit";

/// Measure the sealing of a tenant's audit log: its rate, its lag, its calls.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many audit events are written, each by a request.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u16).range(100..))]
    events: u16,
    /// How many requests run at the same time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    writers: u8,
}

/// Keeps the sealer's log lines.
#[derive(Debug, Default)]
struct Sealer(Mutex<Vec<(Value, Duration)>>);

impl Sealer {
    fn hear(&self, line: Value, took: Duration) {
        if line["function"] == SEALER {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push((line, took));
        }
    }
    fn take(&self) -> Vec<(Value, Duration)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LogSink for Sealer {
    fn write(&self, line: &WideEvent) {
        self.hear(serde_json::from_str(&line.to_line()).unwrap_or_default(), Duration::ZERO);
    }
}

impl Observer for Sealer {
    fn served(&self, _: &Served) {}
    fn ran(&self, run: &Ran) {
        let last = run.lines.len().saturating_sub(1);
        for (n, line) in run.lines.iter().enumerate() {
            // Count a run's time once, for any number of tenants.
            self.hear(line.clone(), if n == last { run.took } else { Duration::ZERO });
        }
    }
}

pub(crate) async fn run(args: Args) -> Outcome {
    in_the_stack(&args).await?;
    println!();
    by_itself(&args).await?;
    Ok(ExitCode::SUCCESS)
}

async fn in_the_stack(args: &Args) -> Result<(), Failed> {
    println!("starting a stack");
    let sealer = Arc::new(Sealer::default());
    let stack = Stack::start(Options { observer: Some(sealer.clone()), ..Options::default() }).await?;
    let outcome = watch(&stack, &sealer, args).await;
    stack.stop().await?;
    outcome
}

async fn watch(stack: &Stack, sealer: &Sealer, args: &Args) -> Result<(), Failed> {
    let backend = Arc::new(Backend::of_stack(stack)?);
    // The seed's events are not part of the measurement.
    until_sealed(&backend, Instant::now()).await?;
    sealer.take();
    let began = Instant::now();
    write(&backend, args).await?;
    let written = began.elapsed();
    until_sealed(&backend, Instant::now()).await?;
    let all = began.elapsed();
    let mut total = Total::default();
    for (line, took) in sealer.take() {
        total.add(&backend.tenant(), &line, took);
    }
    let per_second = |n: u64, time: Duration| n as f64 / time.as_secs_f64();
    println!(
        "while they come: {} events written in {:.1} s, {:.0} a second; all sealed {:.1} s after the last",
        args.events,
        written.as_secs_f64(),
        per_second(args.events.into(), written),
        (all - written).as_secs_f64()
    );
    println!(
        "  {} events in {} segments ({:.1} for 1,000 events) by {} runs, {:.1} s in all: {:.0} events a second of running",
        total.events,
        total.segments,
        total.segments as f64 * 1e3 / total.events.max(1) as f64,
        total.runs,
        total.took.as_secs_f64(),
        per_second(total.events, total.took)
    );
    let lag = |part| ms(percentile(&total.lags, part)) / 1e3;
    println!(
        "  lag, of each run's oldest event, as logged: p50 {:.1} s, most {:.1} s; the queue's delay is 10 s of it",
        lag(0.5),
        lag(1.0)
    );
    Ok(())
}

/// The totals of a tenant's runs.
#[derive(Debug, Default)]
struct Total {
    events: u64,
    segments: u64,
    runs: usize,
    lags: Vec<Duration>,
    took: Duration,
}

impl Total {
    fn add(&mut self, tenant: &TenantId, line: &Value, took: Duration) {
        let number = |name: &str| line[name].as_u64().unwrap_or_default();
        if line["tenant.id"] != json!(tenant) || number("audit.sealed") == 0 {
            return;
        }
        self.events += number("audit.sealed");
        self.segments += number("audit.segments");
        self.runs += 1;
        self.took += took;
        self.lags.push(Duration::from_millis(number("audit.lag_ms")));
    }
}

async fn by_itself(args: &Args) -> Result<(), Failed> {
    let (counter, sealer) = (Counter::new(), Arc::new(Sealer::default()));
    let backend = Arc::new(Backend::with_everything(&counter, sealer.clone()).await?);
    let consumer = registry::consumers().find(|consumer| consumer.name == SEALER).ok_or("there is no sealer")?;
    let wake = async || {
        let tenant = backend.tenant();
        let began = Instant::now();
        let response = consumer.consume(backend.deps(), serde_json::from_value(wake_up(tenant))?).await;
        let took = began.elapsed();
        if !response.batch_item_failures.is_empty() {
            return Err(Failed::from(format!("the sealer failed: {:?}", sealer.take())));
        }
        let mut total = Total::default();
        for (line, _) in sealer.take() {
            total.add(&tenant, &line, took);
        }
        Ok::<_, Failed>(total)
    };
    // Seal the events of the tenant's creation first.
    wake().await?;
    write(&backend, args).await?;
    tokio::time::sleep(SETTLED).await;
    counter.take();
    let total = wake().await?;
    let calls = counter.take();
    println!(
        "all at once: {} events in {} segments, {:.2} s: {:.0} events a second",
        total.events,
        total.segments,
        total.took.as_secs_f64(),
        total.events as f64 / total.took.as_secs_f64()
    );
    for (call, count) in &calls {
        println!("  {count:>5} {call}");
    }
    let of = |service: &str| per_thousand(&calls, service, total.events);
    verdict("S3", of("s3 "), MOST_S3);
    verdict("DynamoDB", of("dynamodb "), MOST_DYNAMODB);
    if total.events < u64::from(args.events) {
        println!("  {} of {} events were left to the next run", u64::from(args.events) - total.events, args.events);
    }
    Ok(())
}

fn per_thousand(calls: &Calls, service: &str, events: u64) -> f64 {
    let count: usize = calls.iter().filter(|(name, _)| name.starts_with(service)).map(|(_, count)| count).sum();
    count as f64 * 1e3 / events.max(1) as f64
}

fn verdict(service: &str, calls: f64, most: f64) {
    let met = if calls <= most { "met" } else { "MISSED" };
    println!("target {met}: {calls:.1} calls to {service} for 1,000 events, at most {most:.0}");
}

/// The queue's event, as the Pipe makes it from an audit item.
fn wake_up(tenant: TenantId) -> Value {
    json!({ "Records": [{
        "messageId": "bench-1",
        "receiptHandle": "bench",
        "body": json!({ "wake_up": format!("{tenant}#AUDIT") }).to_string(),
        "attributes": { "ApproximateReceiveCount": "1", "MessageGroupId": format!("{tenant}#AUDIT") },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:{}:{}:bench-seal-audit.fifo", emulators::REGION, emulators::ACCOUNT),
        "awsRegion": emulators::REGION,
    }] })
}

/// Makes so many events: each is a request for a list, in a tenant that has no shipment.
async fn write(backend: &Arc<Backend>, args: &Args) -> Result<(), Failed> {
    let (events, writers) = (usize::from(args.events), usize::from(args.writers));
    let tasks = (0..writers).map(|n| {
        let backend = backend.clone();
        let own = events / writers + usize::from(n < events % writers);
        tokio::spawn(async move { write_some(&backend, own).await.map_err(|e| e.to_string()) })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    Ok(())
}

async fn write_some(backend: &Backend, mut left: usize) -> Result<(), Failed> {
    let list = events::endpoint("list_shipments")?;
    while left > 0 {
        let session = backend.open_session(Role::Marketer).await?;
        for _ in 0..left.min(PER_SESSION) {
            events::ask(backend, list, &session).await?;
        }
        left = left.saturating_sub(PER_SESSION);
    }
    Ok(())
}

/// Waits until none of the tenant's events is unsealed.
async fn until_sealed(backend: &Backend, began: Instant) -> Result<(), Failed> {
    let query = json!({
        "TableName": backend.deps().config().tables.ledger,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": { ":pk": { "S": format!("{}#AUDIT", backend.tenant()) } },
        "Select": "COUNT",
        "ConsistentRead": true,
    });
    while backend.dynamodb().call("Query", &query).await?.json["Count"] != 0 {
        if began.elapsed() > PATIENCE {
            return Err("the events were not sealed in time".into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_service_per_thousand_events() {
        let calls = Calls::from([("s3 PutObject".to_owned(), 5), ("dynamodb Query".to_owned(), 11)]);
        assert_eq!((per_thousand(&calls, "s3 ", 5000), per_thousand(&calls, "dynamodb ", 5000)), (1.0, 2.2));
    }

    #[test]
    fn only_runs_that_sealed_events_of_the_tenant_count() {
        let tenant = TenantId::PLATFORM;
        let mut total = Total::default();
        let line = |tenant: &str, sealed: u64| json!({"tenant.id": tenant, "audit.sealed": sealed, "audit.segments": 1, "audit.lag_ms": 1500});
        for (tenant, sealed) in [(tenant.to_string().as_str(), 7), (tenant.to_string().as_str(), 0), ("ten_other", 9)] {
            total.add(&TenantId::PLATFORM, &line(tenant, sealed), Duration::from_secs(1));
        }
        assert_eq!((total.events, total.runs, total.took), (7, 1, Duration::from_secs(1)));
        assert_eq!(total.lags, [Duration::from_millis(1500)]);
    }
}
