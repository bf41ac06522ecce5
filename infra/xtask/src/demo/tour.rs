//! Plays steps and tells of them.

use super::shown;
use crate::{audit, paint::Paint};
use axum::http::Method;
use common::base::{Clock, SystemClock};
use local::{
    AuditLog, Handover,
    client::{Answer, Client, NoAnswer},
};
use serde_json::Value;
use std::{fmt::Display, net::Ipv4Addr};

/// Where one signs in.
const LOGIN: &str = "/v1/auth/login";

/// One request and what should come of it.
#[derive(Debug)]
pub(super) struct Step {
    what: String,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
    status: u16,
    /// The problem's code; empty where there is no problem.
    code: &'static str,
}

impl Step {
    pub(super) fn new(method: Method, path: &str, status: u16) -> Self {
        Self { what: String::new(), method, path: path.to_owned(), headers: Vec::new(), body: None, status, code: "" }
    }
    pub(super) fn get(path: &str, status: u16) -> Self {
        Self::new(Method::GET, path, status)
    }
    pub(super) fn post(path: &str, status: u16) -> Self {
        Self::new(Method::POST, path, status)
    }
    pub(super) fn what(mut self, what: &str) -> Self {
        what.clone_into(&mut self.what);
        self
    }
    pub(super) fn by(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }
    /// For treatment.
    pub(super) fn phi(self) -> Self {
        self.header("x-purpose-of-use", "TREAT")
    }
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
    pub(super) fn body(mut self, body: &Value) -> Self {
        self.body = Some(body.clone());
        self.header("content-type", "application/json")
    }
    pub(super) fn code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }
}

#[derive(Debug)]
pub(super) struct Tour {
    /// From this machine's own address: a ticket opens a socket only for the address that asked for it.
    client: Client,
    handover: Handover,
    logs: Vec<(String, AuditLog)>,
    paint: Paint,
    played: usize,
    wrong: usize,
    /// Not told twice in a row.
    last_body: Option<Value>,
}

impl Tour {
    /// # Errors
    /// Where the stack has no tenants.
    pub(super) fn new(handover: Handover, paint: Paint) -> Result<Self, String> {
        if handover.password.is_none() {
            return Err("the running stack has no users: start it without --no-seed".to_owned());
        }
        let names = handover.tenants.keys();
        let logs = names.map(|name| Ok((name.clone(), audit::log(&handover, name)?))).collect::<Result<_, String>>()?;
        let client = Client::new(&handover.base_url);
        Ok(Self { client, handover, logs, paint, played: 0, wrong: 0, last_body: None })
    }

    pub(super) fn password(&self) -> &str {
        self.handover.password.as_deref().unwrap_or_default()
    }

    /// What a seeded user's authenticator shows now.
    pub(super) fn code(&self, email: &str) -> String {
        let user = self.handover.users.iter().find(|user| user.email == email);
        user.and_then(|user| user.code_at(SystemClock.now())).unwrap_or_default()
    }

    pub(super) fn base_url(&self) -> &str {
        &self.handover.base_url
    }

    pub(super) fn chapter(&self, title: &str) {
        println!("\n{}", self.paint.bold(title));
    }

    /// Announces a step: what it is for, and what is done.
    pub(super) fn act(&mut self, what: &str, verb: impl Display, object: &str) {
        self.played += 1;
        println!("\n{:>3}. {what}", self.played);
        println!("     {} {object}", self.paint.link(verb));
    }

    /// What came of a step.
    pub(super) fn outcome(&self, text: &str) {
        println!("  {} {text}", self.paint.dim("=>"));
    }

    /// What came unasked.
    pub(super) fn came(&self, text: &str, note: &str) {
        println!("  {} {text} {}", self.paint.good("<="), self.paint.dim(note));
    }

    /// A line below a step.
    pub(super) fn note(&self, text: &str) {
        println!("     {}", self.paint.dim(text));
    }

    /// A request that is no step of its own.
    pub(super) async fn quietly(&self, step: Step) -> Result<Answer, NoAnswer> {
        let headers: Vec<_> = step.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = step.body.as_ref().map(Value::to_string).unwrap_or_default();
        self.client.send(&step.method, &step.path, &headers, body).await
    }

    /// The newest audit event of each tenant, to be given to [`Tour::jobs_since`].
    pub(super) async fn mark(&self) -> Result<Mark, NoAnswer> {
        let mut newest = Vec::new();
        for (_, log) in &self.logs {
            newest.push(log.after(None).await?.pop().map(|seen| seen.id));
        }
        Ok(Mark(newest))
    }

    /// Shows what was put on record since then of work that nobody waited for.
    pub(super) async fn jobs_since(&self, mark: &Mark) -> Result<(), NoAnswer> {
        for ((tenant, log), newest) in self.logs.iter().zip(&mark.0) {
            let events = log.after(newest.as_deref()).await?;
            let is_job = |event: &Value| event["type"].as_str().is_some_and(|kind| kind.starts_with("job."));
            for seen in events.iter().filter(|seen| is_job(&seen.event)) {
                let line = audit::line(seen, &self.handover, self.paint);
                println!("     {} {line}", self.paint.dim(format_args!("audit of {tenant}:")));
            }
        }
        Ok(())
    }

    pub(super) async fn play(&mut self, step: Step) -> Result<Answer, NoAnswer> {
        let paint = self.paint;
        self.act(&step.what, &step.method, &step.path);
        for (name, value) in step.headers.iter().filter(|(name, _)| !matches!(*name, "authorization" | "content-type")) {
            println!("     {}", paint.dim(format_args!("{name}: {value}")));
        }
        if let Some(body) = &step.body {
            let same = self.last_body.as_ref() == Some(body);
            println!("     {}", paint.dim(if same { "(the same body)".to_owned() } else { shown(body).to_string() }));
        }
        let correlation_id = format!("demo-{}", common::base::Uuid::from_bytes(common::base::random::bytes()).simple());
        let mut headers: Vec<_> = step.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.push(("x-correlation-id", &correlation_id));
        let body = step.body.as_ref().map(Value::to_string).unwrap_or_default();
        // Sign-in is limited by address, five times in 15 minutes, so each comes from another one.
        let elsewhere = (step.path == LOGIN).then(|| Client::from_address(&self.handover.base_url, own_address()));
        let answer = elsewhere.as_ref().unwrap_or(&self.client).send(&step.method, &step.path, &headers, body).await?;
        self.last_body = step.body;

        let replayed = if answer.header("idempotency-replayed").is_some() { ", replayed" } else { "" };
        let (body, items) = told(&answer.json);
        self.outcome(&format!("{}{replayed} {body}", paint.status(answer.status)));
        for item in items {
            println!("       {item}");
        }
        for (tenant, line) in self.recorded(&correlation_id).await? {
            println!("     {} {line}", paint.dim(format_args!("audit of {tenant}:")));
        }
        if (answer.status, answer.code()) != (step.status, step.code) {
            let expected = format!("expected {} {}", step.status, step.code);
            self.check(false, expected.trim());
            if answer.status == 429 {
                println!(
                    "     an e-mail may sign in five times in 15 minutes: wait {} s",
                    answer.header("retry-after").unwrap_or("some")
                );
            }
        }
        Ok(answer)
    }

    /// Counts what is not as it should be.
    pub(super) fn check(&mut self, holds: bool, what: &str) {
        if !holds {
            self.wrong += 1;
            println!("     {}", self.paint.bad(format_args!("NOT AS EXPECTED: {what}")));
        }
    }

    /// Whether all went as expected.
    pub(super) fn end(&self) -> bool {
        match self.wrong {
            0 => println!("\n{}", self.paint.good(format_args!("{} steps, all as expected", self.played))),
            wrong => println!("\n{}", self.paint.bad(format_args!("{} steps, {wrong} not as expected", self.played))),
        }
        self.wrong == 0
    }

    /// The audit lines that this request has left, with the names of the tenants in whose logs they are.
    async fn recorded(&self, correlation_id: &str) -> Result<Vec<(&str, String)>, NoAnswer> {
        let mut lines = Vec::new();
        for (tenant, log) in &self.logs {
            let events = log.after(None).await?;
            let caused = events.iter().filter(|seen| seen.event["correlation_id"] == correlation_id);
            lines.extend(caused.map(|seen| (tenant.as_str(), audit::line(seen, &self.handover, self.paint))));
        }
        Ok(lines)
    }
}

/// Where each tenant's audit log had come to.
#[derive(Debug)]
pub(super) struct Mark(Vec<Option<String>>);

/// An answer on one line, and below it a line for each item of a list.
fn told(json: &Value) -> (String, Vec<String>) {
    let mut shown = shown(json);
    let items = shown
        .as_object_mut()
        .filter(|members| members.get("items").and_then(Value::as_array).is_some_and(|items| items.len() > 1));
    let items = items.and_then(|members| members.remove("items"));
    let lines = items.iter().filter_map(Value::as_array).flatten().map(Value::to_string).collect();
    let is_empty = shown.is_null() || shown.as_object().is_some_and(serde_json::Map::is_empty);
    (if is_empty { String::new() } else { shown.to_string() }, lines)
}

/// Linux has all of 127.0.0.0/8; elsewhere there is one.
fn own_address() -> Ipv4Addr {
    let [a, b, c] = common::base::random::bytes::<3>();
    if cfg!(target_os = "linux") { Ipv4Addr::new(127, a, b, c.clamp(1, 254)) } else { Ipv4Addr::LOCALHOST }
}
