//! Measures the time from a commit to the frame on a socket: a shipment is assigned to a user, whose open sockets get a frame.
//! The path is the stream, a Pipe, the bus, a queue, a function's transaction and the management API. The yardstick is two hops
//! through a queue of the same emulator, which every path from a commit to a consumer contains.
//!
//! A user's events come one after the other, so a frame's number identifies its event.

use super::{
    Failed,
    backend::{Backend, Sqs},
    events,
    figures::{ms, percentile, ratio},
    load::{PER_SESSION, sign_in},
};
use crate::Outcome;
use axum::http::Method;
use common::{
    aws::Aws,
    base::{Config, Role, SystemClock, UserId, telemetry::Stdout},
    request::Deps,
    run::operator::Operator,
};
use local::{Options, Socket, SocketInput, Stack, client::Client};
use phi::{Email, PhiText};
use serde_json::{Value, json};
use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

/// A frame that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a socket is read: longer than any run takes.
const LISTENING: Duration = Duration::from_secs(3600);

/// Measure the time from a commit to the frame on the socket, compared with two bare hops through a queue.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many sockets are open, one figure after the other, ascending.
    #[arg(long, value_delimiter = ',', default_value = "1,500")]
    connections: Vec<u16>,
    /// Sockets of one user; each gets every frame of the user.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=20))]
    per_user: u8,
    /// Events in each phase.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=1000))]
    events: u16,
    /// How many writers run at the same time in the last phase.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    writers: u8,
}

/// A user with open sockets.
#[derive(Debug)]
struct Listener {
    user: UserId,
    sockets: usize,
    /// The number of the last notification, which equals the number of events.
    told: i64,
    tell: UnboundedSender<Frame>,
    heard: UnboundedReceiver<Frame>,
}

/// A notification's number, and the time of its frame.
#[derive(Clone, Copy, Debug)]
struct Frame {
    seq: i64,
    at: Instant,
}

/// The writer, which assigns shipments by HTTP.
#[derive(Debug)]
struct Writer {
    http: Client,
    tokens: Vec<String>,
    requests: AtomicUsize,
}

/// The measurements of one phase: the duration of each commit's request, and the delay of each frame after it.
#[derive(Debug, Default)]
struct Seen {
    answers: Vec<Duration>,
    from_request: Vec<Duration>,
    from_answer: Vec<Duration>,
    lost: usize,
}

pub(crate) async fn run(args: Args) -> Outcome {
    println!("starting a stack");
    let stack = Stack::start(Options::default()).await?;
    let outcome = measure(&stack, &args).await;
    stack.stop().await?;
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn measure(stack: &Stack, args: &Args) -> Result<(), Failed> {
    let backend = Backend::of_stack(stack)?;
    let events = usize::from(args.events);
    let phases = args.connections.len() + 1;
    let sessions = (events * phases).div_ceil(PER_SESSION);
    let tokens = sign_in(stack, backend.tenant(), u8::try_from(sessions.div_ceil(5))?).await?;
    let writer = Arc::new(Writer { http: Client::new(stack.base_url()), tokens, requests: AtomicUsize::new(0) });
    let most = usize::from(args.connections.iter().copied().max().unwrap_or_default());
    let mut listeners = listeners(&backend, most.div_ceil(args.per_user.into())).await?;
    // Warm up: the first run of each function and the first key of each process are not steady state.
    phase(&writer, vec![listen(&backend, listeners.pop().ok_or("there is no listener")?, 1).await?], 10).await?;

    let bare = bare(stack, events).await?;
    println!("{:<34} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9}", "what, in ms", "samples", "p50", "p95", "p99", "most", "p50 ratio");
    line("two bare hops through a queue", &bare, None);
    let mut open: Vec<Listener> = Vec::new();
    for (round, connections) in args.connections.iter().enumerate() {
        let (mut left, mut all) = (usize::from(*connections), Vec::new());
        for mut listener in open.drain(..).chain(listeners.drain(..)) {
            let wanted = left.min(args.per_user.into());
            left -= wanted;
            if wanted > listener.sockets {
                let more = wanted - listener.sockets;
                listener = listen(&backend, listener, more).await?;
            }
            all.push(listener);
        }
        // Users without a socket wait for a later round.
        let (with, without): (Vec<_>, Vec<_>) = all.into_iter().partition(|listener| listener.sockets > 0);
        listeners = without;
        open = report(&writer, with, *connections, 1, events, &bare).await?;
        if round + 1 == args.connections.len() && open.len() > 1 {
            open = report(&writer, open, *connections, args.writers.into(), events, &bare).await?;
        }
    }
    Ok(())
}

/// Runs one phase and prints its measurements.
async fn report(
    writer: &Arc<Writer>,
    listeners: Vec<Listener>,
    connections: u16,
    writers: usize,
    events: usize,
    bare: &[Duration],
) -> Result<Vec<Listener>, Failed> {
    let writers = writers.min(listeners.len());
    let mut groups: Vec<Vec<Listener>> = (0..writers).map(|_| Vec::new()).collect();
    for (n, listener) in listeners.into_iter().enumerate() {
        groups[n % writers].push(listener);
    }
    let each = events.div_ceil(writers);
    let began = Instant::now();
    let tasks: Vec<_> = groups.into_iter().map(|group| tokio::spawn(run_phase(writer.clone(), group, each))).collect();
    let (mut all, mut back) = (Seen::default(), Vec::new());
    for task in tasks {
        let (seen, group) = task.await??;
        all.answers.extend(seen.answers);
        all.from_request.extend(seen.from_request);
        all.from_answer.extend(seen.from_answer);
        all.lost += seen.lost;
        back.extend(group);
    }
    let rate = all.answers.len() as f64 / began.elapsed().as_secs_f64();
    println!("{connections} open, {writers} writing, {rate:.1} events a second, {} frames lost", all.lost);
    line("  the committing request", &all.answers, None);
    line("  from its answer to the frame", &all.from_answer, Some(bare));
    line("  from before it to the frame", &all.from_request, Some(bare));
    Ok(back)
}

/// A phase as a task, whose error can be sent.
async fn run_phase(writer: Arc<Writer>, listeners: Vec<Listener>, events: usize) -> Result<(Seen, Vec<Listener>), String> {
    phase(&writer, listeners, events).await.map_err(|e| e.to_string())
}

/// So many events, one after the other, each for the next user.
async fn phase(writer: &Writer, mut listeners: Vec<Listener>, events: usize) -> Result<(Seen, Vec<Listener>), Failed> {
    let (mut seen, many) = (Seen::default(), listeners.len().max(1));
    for n in 0..events {
        let listener = listeners.get_mut(n % many).ok_or("there is no listener")?;
        let asked = Instant::now();
        writer.assign(listener.user).await?;
        let answered = Instant::now();
        seen.answers.push(answered - asked);
        listener.told += 1;
        for _ in 0..listener.sockets {
            match listener.frame().await? {
                Some(at) => {
                    seen.from_request.push(at - asked);
                    seen.from_answer.push(at.saturating_duration_since(answered));
                }
                None => seen.lost += 1,
            }
        }
    }
    Ok((seen, listeners))
}

impl Listener {
    /// The time of the last event's next frame; `None` if none comes.
    async fn frame(&mut self) -> Result<Option<Instant>, Failed> {
        loop {
            match timeout(PATIENCE, self.heard.recv()).await {
                Ok(Some(Frame { seq, at })) if seq == self.told => return Ok(Some(at)),
                // A frame that came after its time limit.
                Ok(Some(Frame { seq, .. })) if seq < self.told => {}
                Ok(other) => return Err(format!("expected number {}, got {other:?}", self.told).into()),
                Err(_) => return Ok(None),
            }
        }
    }
}

impl Writer {
    /// Registers a shipment that is assigned to a user, in the next of the sessions.
    async fn assign(&self, to: UserId) -> Result<(), Failed> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let sample = events::endpoint("create_shipment")?.sample.body.ok_or("no sample")?;
        let mut body = events::with_fresh_numbers(sample);
        body["assigned_to"] = json!(to);
        let (bearer, key) = (format!("Bearer {}", self.tokens[number % self.tokens.len()]), format!("push-{number}"));
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", key.as_str()),
            ("x-purpose-of-use", "TREAT"),
        ];
        let answer = self.http.send(&Method::POST, "/v1/shipments", &headers, body.to_string()).await?;
        if answer.status == 201 { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text).into()) }
    }
}

/// Members without a socket.
async fn listeners(backend: &Backend, count: usize) -> Result<Vec<Listener>, Failed> {
    let aws = Aws::from_env(backend.env().clone());
    let deps = Deps::new(Config::from_env(backend.env().clone())?, &aws, Arc::new(SystemClock), Arc::new(Stdout))?;
    let operator = Operator::new(&deps, "bench");
    let mut all = Vec::new();
    // One more than are measured: the one for the warm-up.
    for n in 0..=count {
        let email = Email::parse(&format!("listener{n}@acme-health.example"))?;
        let user = operator.create_membership(backend.tenant(), &email, &[Role::Provider]).await?;
        let (tell, heard) = unbounded_channel();
        all.push(Listener { user, sockets: 0, told: 0, tell, heard });
    }
    Ok(all)
}

/// Opens so many more sockets in one session, each with its own ticket.
async fn listen(backend: &Backend, mut listener: Listener, more: usize) -> Result<Listener, Failed> {
    let session = backend.open_session_of(listener.user, Role::Provider).await?;
    let tickets = events::endpoint("create_socket_ticket")?;
    for _ in 0..more {
        let ticket = events::ask(backend, tickets, &session).await?;
        let mut socket = Socket::open(ticket["url"].as_str().ok_or("the ticket has no URL")?).await?;
        let tell = listener.tell.clone();
        tokio::spawn(async move {
            while let SocketInput::Text(text) = socket.hear(LISTENING).await {
                let at = Instant::now();
                let frame: Value = serde_json::from_str(&text).unwrap_or_default();
                if let (Some("notification"), Some(seq)) = (frame["type"].as_str(), frame["seq"].as_i64()) {
                    // The measurement may be over.
                    let _ = tell.send(Frame { seq, at });
                }
            }
        });
        listener.sockets += 1;
    }
    Ok(listener)
}

/// Sends and receives twice, as from the commit to the bus's queue and on: the least time that the emulator takes for it.
async fn bare(stack: &Stack, times: usize) -> Result<Vec<Duration>, Failed> {
    let sqs = Sqs::new(stack.env().get("AWS_ENDPOINT_URL").ok_or("the stack has no queues")?);
    let made = sqs.call("CreateQueue", &json!({ "QueueName": "bench-bare" })).await?;
    let (url, mut took) = (&made["QueueUrl"], Vec::new());
    for _ in 0..times {
        let (began, mut received) = (Instant::now(), Vec::new());
        for _ in 0..2 {
            // As long as an event in its envelope.
            sqs.call("SendMessage", &json!({ "QueueUrl": url, "MessageBody": "x".repeat(600) })).await?;
            let message = loop {
                let answer = sqs.call("ReceiveMessage", &json!({ "QueueUrl": url, "MaxNumberOfMessages": 1 })).await?;
                if answer["Messages"][0].is_object() {
                    break answer["Messages"][0].clone();
                }
            };
            received.push(message);
        }
        took.push(began.elapsed());
        for message in received {
            sqs.call("DeleteMessage", &json!({ "QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"] })).await?;
        }
    }
    sqs.call("DeleteQueue", &json!({ "QueueUrl": url })).await?;
    Ok(took)
}

fn line(what: &str, values: &[Duration], bare: Option<&[Duration]>) {
    let at = |values: &[Duration], part| ms(percentile(values, part));
    println!(
        "{what:<34} {:>8} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>9}",
        values.len(),
        at(values, 0.5),
        at(values, 0.95),
        at(values, 0.99),
        at(values, 1.0),
        bare.map_or_else(String::new, |bare| ratio(at(values, 0.5), at(bare, 0.5))),
    );
}
