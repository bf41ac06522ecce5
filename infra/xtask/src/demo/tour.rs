//! Plays steps and prints them.

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

/// The path of the sign-in.
const LOGIN: &str = "/v1/auth/login";

/// One request and its expected answer.
#[derive(Debug)]
pub(super) struct Step {
    what: String,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
    status: u16,
    /// The problem's code; empty if no problem is expected.
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
    /// States treatment as the purpose of use.
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
    /// Connects from one address, because a ticket opens a socket only from the address that requested it.
    client: Client,
    handover: Handover,
    logs: Vec<(String, AuditLog)>,
    paint: Paint,
    played: usize,
    wrong: usize,
    /// The body that was printed last. An equal one is not printed again.
    last_body: Option<Value>,
}

impl Tour {
    /// # Errors
    /// If the stack has no tenants.
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

    /// The current code of a seeded user's authenticator.
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

    /// Prints a step: its purpose, and the call.
    pub(super) fn act(&mut self, what: &str, verb: impl Display, object: &str) {
        self.played += 1;
        println!("\n{:>3}. {what}", self.played);
        println!("     {} {object}", self.paint.link(verb));
    }

    /// Prints the outcome of a step.
    pub(super) fn outcome(&self, text: &str) {
        println!("  {} {text}", self.paint.dim("=>"));
    }

    /// Prints an incoming frame or mail.
    pub(super) fn came(&self, text: &str, note: &str) {
        println!("  {} {text} {}", self.paint.good("<="), self.paint.dim(note));
    }

    /// A line below a step.
    pub(super) fn note(&self, text: &str) {
        println!("     {}", self.paint.dim(text));
    }

    /// Sends a request without printing it as a step.
    pub(super) async fn quietly(&self, step: Step) -> Result<Answer, NoAnswer> {
        let headers: Vec<_> = step.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = step.body.as_ref().map(Value::to_string).unwrap_or_default();
        self.client.send(&step.method, &step.path, &headers, body).await
    }

    /// The newest audit event of each tenant, for [`Tour::jobs_since`].
    pub(super) async fn mark(&self) -> Result<Mark, NoAnswer> {
        let mut newest = Vec::new();
        for (_, log) in &self.logs {
            newest.push(log.after(None).await?.pop().map(|seen| seen.id));
        }
        Ok(Mark(newest))
    }

    /// Prints the audit events of background work since then.
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
        // Sign-in is limited to five times in 15 minutes per address, so each sign-in comes from another one.
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

    /// Counts a failed expectation.
    pub(super) fn check(&mut self, holds: bool, what: &str) {
        if !holds {
            self.wrong += 1;
            println!("     {}", self.paint.bad(format_args!("NOT AS EXPECTED: {what}")));
        }
    }

    /// Whether all steps had the expected result.
    pub(super) fn end(&self) -> bool {
        match self.wrong {
            0 => println!("\n{}", self.paint.good(format_args!("{} steps, all as expected", self.played))),
            wrong => println!("\n{}", self.paint.bad(format_args!("{} steps, {wrong} not as expected", self.played))),
        }
        self.wrong == 0
    }

    /// The audit lines of this request, each with the tenant whose log has it.
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

/// The newest event of each tenant's audit log.
#[derive(Debug)]
pub(super) struct Mark(Vec<Option<String>>);

/// An answer on one line, and a line for each item of a list.
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

/// A random address of 127.0.0.0/8 on Linux. Other systems have one loopback address.
fn own_address() -> Ipv4Addr {
    let [a, b, c] = common::base::random::bytes::<3>();
    if cfg!(target_os = "linux") { Ipv4Addr::new(127, a, b, c.clamp(1, 254)) } else { Ipv4Addr::LOCALHOST }
}
