//! Plays steps and tells of them.

use super::shown;
use crate::{audit, paint::Paint};
use axum::http::Method;
use local::{
    AuditLog, Handover,
    client::{Answer, Client, NoAnswer},
};
use serde_json::Value;
use std::net::Ipv4Addr;

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
        let client = Client::from_address(&handover.base_url, own_address());
        Ok(Self { client, handover, logs, paint, played: 0, wrong: 0, last_body: None })
    }

    pub(super) fn password(&self) -> &str {
        self.handover.password.as_deref().unwrap_or_default()
    }

    pub(super) fn chapter(&self, title: &str) {
        println!("\n{}", self.paint.bold(title));
    }

    pub(super) async fn play(&mut self, step: Step) -> Result<Answer, NoAnswer> {
        self.played += 1;
        let paint = self.paint;
        println!("\n{:>3}. {}", self.played, step.what);
        println!("     {} {}", paint.link(&step.method), step.path);
        for (name, value) in step.headers.iter().filter(|(name, _)| !matches!(*name, "authorization" | "content-type")) {
            println!("     {}", paint.dim(format_args!("{name}: {value}")));
        }
        if let Some(body) = &step.body {
            let same = self.last_body.as_ref() == Some(body);
            println!("     {}", paint.dim(if same { "(the same body)".to_owned() } else { shown(body).to_string() }));
        }
        let correlation_id = format!("demo-{}", common::Uuid::from_bytes(common::random::bytes()).simple());
        let mut headers: Vec<_> = step.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.push(("x-correlation-id", &correlation_id));
        let body = step.body.as_ref().map(Value::to_string).unwrap_or_default();
        let answer = self.client.send(&step.method, &step.path, &headers, body).await?;
        self.last_body = step.body;

        let replayed = if answer.header("idempotency-replayed").is_some() { ", replayed" } else { "" };
        let body = if answer.json.is_null() { String::new() } else { shown(&answer.json).to_string() };
        println!("  {} {}{replayed} {body}", paint.dim("=>"), paint.status(answer.status));
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

/// Sign-in is limited by address, five times in 15 minutes, so each run comes from another one. Linux has all of
/// 127.0.0.0/8; elsewhere there is one.
fn own_address() -> Ipv4Addr {
    let [a, b, c] = common::random::bytes::<3>();
    if cfg!(target_os = "linux") { Ipv4Addr::new(127, a, b, c.clamp(1, 254)) } else { Ipv4Addr::LOCALHOST }
}
