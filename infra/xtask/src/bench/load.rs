//! Measures the local stack's throughput: create and get over HTTP, compared with a bare client that makes the same calls to the
//! same emulator. Callers, gateway, functions and emulators share this machine, so the ratio means more than the rate.
//!
//! Rate limits stay on, as high as the tenant's administrator may set them. Users are created and sign in through the API, each
//! from its own address and as often as the limits allow. Requests rotate over the sessions, so that a session's next request
//! comes after its interval, as a person's does.

use super::{
    Failed,
    backend::DynamoDb,
    events,
    figures::{ms, percentile, ratio},
};
use crate::{
    Outcome,
    limits::{self, MOST_TIMES},
};
use axum::http::Method;
use common::{
    aws::Aws,
    base::{Config, Role, SystemClock, TenantId, telemetry::Stdout},
    request::Deps,
    run::operator::{NewUser, Operator},
};
use local::{Options, Stack, client::Client};
use phi::{Email, PhiText};
use serde_json::{Value, json};
use std::{
    net::Ipv4Addr,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Sign-ins in a quarter of an hour, by address and by e-mail: the limit `auth_login`.
const SIGN_INS: usize = 5;
/// Requests of a session in one run: fewer than the 60 that `api_default` allows at once.
pub(super) const PER_SESSION: usize = 54;
/// The same with raised limits.
const PER_RAISED_SESSION: usize = PER_SESSION * MOST_TIMES as usize;

/// Measure create and get on a local stack, compared with a bare client that makes the same calls.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The longest duration of each phase.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=60))]
    seconds: u16,
    /// How many connections, each with one request at a time.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    connections: Vec<u8>,
    /// How many users sign in, five times each. More users make longer phases.
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u8).range(1..=240))]
    users: u8,
}

/// One of the measured operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Create,
    /// The calls of a create, without anything around them.
    BareCreate,
    Get,
    /// The calls of a get.
    BareGet,
}

/// Each operation of the API, and its yardstick.
const PAIRS: [(Work, Work, &str); 2] = [(Work::Create, Work::BareCreate, "create"), (Work::Get, Work::BareGet, "get")];

/// The state that the workers share.
#[derive(Debug)]
struct Plan {
    base: String,
    dynamodb: String,
    records: String,
    ledger: String,
    ephemera: String,
    tenant: String,
    tokens: Vec<String>,
    requests: AtomicUsize,
    shipments: Mutex<Vec<String>>,
}

/// The measurements of one phase.
#[derive(Debug, Default)]
struct Seen {
    took: Vec<Duration>,
    errors: usize,
    first_error: Option<String>,
    elapsed: Duration,
}

impl Seen {
    fn failed(&mut self, why: String) {
        self.errors += 1;
        self.first_error.get_or_insert(why);
    }
    fn rate(&self) -> f64 {
        self.took.len() as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }
}

pub(crate) async fn run(args: Args) -> Outcome {
    println!("starting a stack with {} users who sign in {SIGN_INS} times each", args.users);
    let stack = Stack::start(Options::default()).await?;
    let outcome = measure(&stack, &args).await;
    stack.stop().await?;
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn measure(stack: &Stack, args: &Args) -> Result<(), Failed> {
    let setting = |name: &str| stack.env().get(name).cloned().ok_or_else(|| format!("the stack does not say `{name}`"));
    let tenant = stack.handover().tenants.get(local::TENANTS[0]).cloned().ok_or("the stack has no tenant")?;
    limits::raise(stack, local::TENANTS[0]).await?;
    let plan = Arc::new(Plan {
        base: stack.base_url().to_owned(),
        dynamodb: setting("AWS_ENDPOINT_URL_DYNAMODB")?,
        records: setting("CLOISTER_RECORDS_TABLE")?,
        ledger: setting("CLOISTER_LEDGER_TABLE")?,
        ephemera: setting("CLOISTER_EPHEMERA_TABLE")?,
        tokens: sign_in(stack, tenant.parse().map_err(|_| "tenant id")?, args.users).await?,
        tenant,
        requests: AtomicUsize::new(0),
        shipments: Mutex::default(),
    });
    let phases = args.connections.len().max(1) * PAIRS.len();
    let most = plan.tokens.len() * PER_RAISED_SESSION / phases;
    let time = Duration::from_secs(args.seconds.into());
    println!(
        "each phase: {} s or {most} requests, whichever is first; each preceded by the bare calls, for as long\n",
        args.seconds
    );
    println!(
        "{:<12} {:>11} {:>9} {:>9} {:>8} {:>8} {:>8} {:>7} {:>14} {:>14}",
        "what", "connections", "requests", "per s", "p50 ms", "p95 ms", "p99 ms", "errors", "p50 / bare", "rate / bare"
    );
    for connections in &args.connections {
        for (ours, bare, name) in PAIRS {
            let reference = phase(&plan, bare, *connections, time, most).await;
            let seen = phase(&plan, ours, *connections, time, most).await;
            line(&format!("bare {name}"), *connections, &reference, None);
            line(name, *connections, &seen, Some(&reference));
        }
    }
    println!(
        "\nbare create: UpdateItem, TransactWriteItems of 6 items; bare get: UpdateItem, GetItem, UpdateItem; by the same client, \
         without SDK, gateway or function"
    );
    Ok(())
}

fn line(name: &str, connections: u8, seen: &Seen, bare: Option<&Seen>) {
    let at = |part| ms(percentile(&seen.took, part));
    let (slower, of_rate) =
        bare.map_or_else(Default::default, |c| (ratio(at(0.5), ms(percentile(&c.took, 0.5))), ratio(seen.rate(), c.rate())));
    println!(
        "{name:<12} {connections:>11} {:>9} {:>9.0} {:>8.2} {:>8.2} {:>8.2} {:>7} {slower:>14} {of_rate:>14}",
        seen.took.len(),
        seen.rate(),
        at(0.5),
        at(0.95),
        at(0.99),
        seen.errors,
    );
    if let Some(why) = &seen.first_error {
        println!("  the first error: {why}");
    }
}

/// Creates users and signs each in as often as the limits allow. Returns their access tokens.
pub(super) async fn sign_in(stack: &Stack, tenant: TenantId, users: u8) -> Result<Vec<String>, Failed> {
    let env = || stack.env().clone();
    let aws = Aws::from_env(env());
    let deps = Deps::new(Config::from_env(env())?, &aws, Arc::new(SystemClock), Arc::new(Stdout))?.with_cognito(&aws);
    let operator = Operator::new(&deps, "bench");
    let password = stack.password().ok_or("the stack has no users")?;
    let mut tokens = Vec::new();
    for user in 1..=users {
        let email = format!("load{user}@acme-health.example");
        let new = NewUser { email: &Email::parse(&email)?, password, permanent: true, roles: &[Role::Marketer] };
        operator.create_user(tenant, &new).await?;
        let client = Client::from_address(stack.base_url(), Ipv4Addr::new(127, 0, 1, user));
        let body = json!({"email": email, "password": password}).to_string();
        for _ in 0..SIGN_INS {
            let answer =
                client.send(&Method::POST, "/v1/auth/login", &[("content-type", "application/json")], body.clone()).await?;
            let token = answer.json["access_token"].as_str().ok_or_else(|| format!("no sign-in: {}", answer.text))?;
            tokens.push(token.to_owned());
        }
    }
    Ok(tokens)
}

async fn phase(plan: &Arc<Plan>, work: Work, connections: u8, time: Duration, most: usize) -> Seen {
    let left = Arc::new(AtomicUsize::new(most));
    let started = Instant::now();
    let worker = |_| {
        let (plan, left) = (plan.clone(), left.clone());
        tokio::spawn(async move {
            // A pool of its own, in which consecutive requests reuse one connection.
            let caller = Caller { http: Client::new(&plan.base), dynamodb: DynamoDb::new(&plan.dynamodb), plan };
            let mut seen = Seen::default();
            let takes = |left: usize| left.checked_sub(1);
            while started.elapsed() < time && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, takes).is_ok() {
                let asked = Instant::now();
                match caller.ask(work).await {
                    Ok(()) => seen.took.push(asked.elapsed()),
                    Err(error) => seen.failed(error.to_string()),
                }
            }
            seen
        })
    };
    let workers: Vec<_> = (0..connections).map(worker).collect();
    let mut all = Seen::default();
    for worker in workers {
        match worker.await {
            Ok(seen) => {
                all.took.extend(seen.took);
                all.errors += seen.errors;
                all.first_error = all.first_error.or(seen.first_error);
            }
            Err(error) => all.failed(error.to_string()),
        }
    }
    all.elapsed = started.elapsed();
    all
}

/// The caller of one connection.
#[derive(Debug)]
struct Caller {
    plan: Arc<Plan>,
    http: Client,
    dynamodb: DynamoDb,
}

impl Caller {
    async fn ask(&self, work: Work) -> Result<(), Failed> {
        let number = self.plan.requests.fetch_add(1, Ordering::Relaxed);
        match work {
            Work::Create => self.create(number).await,
            Work::Get => self.get(number).await,
            Work::BareCreate => {
                self.touch(number).await?;
                self.transact(number).await
            }
            Work::BareGet => {
                self.touch(number).await?;
                let id = self.some_shipment(number)?;
                let key = json!({"pk": {"S": format!("{}#SHIPMENT#{id}", self.plan.tenant)}, "sk": {"S": "SHIPMENT"}});
                let input = json!({"TableName": self.plan.records, "Key": key, "ConsistentRead": true});
                self.dynamodb.call("GetItem", &input).await?;
                let Plan { tenant, ledger, .. } = &*self.plan;
                self.update(ledger, &format!("{tenant}#BARE_AUDIT"), &format!("{number:012}"), 900).await
            }
        }
    }

    async fn create(&self, number: usize) -> Result<(), Failed> {
        let sample = registry::all().find(|e| e.name == "create_shipment").and_then(|e| e.sample.body).ok_or("no sample")?;
        let body = events::with_fresh_numbers(sample).to_string();
        let key = format!("load-{number}");
        let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
        let answer = self.send(&Method::POST, "/v1/shipments", number, &headers, body).await?;
        let id = answer["shipment_id"].as_str().ok_or("no shipment")?;
        self.shipments().push(id.to_owned());
        Ok(())
    }

    async fn get(&self, number: usize) -> Result<(), Failed> {
        let path = format!("/v1/shipments/{}", self.some_shipment(number)?);
        self.send(&Method::GET, &path, number, &[], String::new()).await.map(drop)
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        number: usize,
        more: &[(&str, &str)],
        body: String,
    ) -> Result<Value, Failed> {
        let bearer = format!("Bearer {}", self.plan.tokens[number % self.plan.tokens.len()]);
        let headers = [&[("authorization", bearer.as_str()), ("x-purpose-of-use", "TREAT")], more].concat();
        let answer = self.http.send(method, path, &headers, body).await?;
        if answer.status < 300 { Ok(answer.json) } else { Err(format!("{} {}", answer.status, answer.text).into()) }
    }

    /// The session's item.
    async fn touch(&self, number: usize) -> Result<(), Failed> {
        let Plan { tenant, ephemera, tokens, .. } = &*self.plan;
        self.update(ephemera, &format!("{tenant}#BARE_SESSION#{}", number % tokens.len()), "BARE", 300).await
    }

    async fn update(&self, table: &str, pk: &str, sk: &str, bytes: usize) -> Result<(), Failed> {
        let input = json!({
            "TableName": table, "Key": {"pk": {"S": pk}, "sk": {"S": sk}}, "ReturnValues": "ALL_NEW",
            "UpdateExpression": "SET #data = :data", "ExpressionAttributeNames": {"#data": "data"},
            "ExpressionAttributeValues": {":data": {"S": "x".repeat(bytes)}},
        });
        self.dynamodb.call("UpdateItem", &input).await.map(drop)
    }

    /// Claim, shipment with its indexes, membership, audit event, domain event and idempotency record, in the same tables and
    /// with the same partitions as the API's. The emulator is slower in a partition that has grown.
    async fn transact(&self, number: usize) -> Result<(), Failed> {
        let Plan { tenant, records, ledger, ephemera, .. } = &*self.plan;
        let text = |value: String| json!({ "S": value });
        let own = |what: &str| (format!("{tenant}#BARE_{what}#{number}"), "BARE".to_owned());
        let shared = |what: &str| (format!("{tenant}#BARE_{what}"), format!("{number:012}"));
        let put = |table: &str, (pk, sk): (String, String), bytes: usize, indexed: bool| {
            let mut item = json!({"pk": text(pk), "sk": text(sk), "data": text("x".repeat(bytes))});
            if indexed {
                for (index, partition) in
                    [("ix_all", "ALL"), ("ix_status", "STATUS"), ("ix_token_1", "TOKEN"), ("ix_token_2", "REFERENCE")]
                {
                    let partition =
                        if index.starts_with("ix_token") { format!("{partition}#{number}") } else { partition.to_owned() };
                    item[index] = text(format!("{tenant}#BARE_{partition}"));
                }
                item["ix_sort"] = text(format!("{number:012}"));
            }
            json!({"Put": {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}})
        };
        let items = [
            put(records, own("CLAIM"), 100, false),
            put(records, own("SHIPMENT"), 800, true),
            put(records, own("MEMBER"), 200, false),
            put(ledger, shared("AUDIT"), 900, false),
            put(ledger, shared("EVENTS"), 540, false),
            put(ephemera, own("IDEMPOTENCY"), 1100, false),
        ];
        self.dynamodb.call("TransactWriteItems", &json!({ "TransactItems": items })).await.map(drop)
    }

    fn some_shipment(&self, number: usize) -> Result<String, Failed> {
        let shipments = self.shipments();
        shipments.get(number % shipments.len().max(1)).cloned().ok_or_else(|| "no shipment was made".into())
    }

    fn shipments(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.plan.shipments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
