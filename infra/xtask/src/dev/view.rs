//! The live view: one line a request, and one a run of a consumer, schedule or trigger.

use crate::paint::Paint;
use common::base::{Clock, SystemClock};
use local::{Handover, Kind, Observer, Ran, Served, User};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Write,
    sync::OnceLock,
    time::Duration,
};

#[derive(Debug)]
pub(super) struct View {
    paint: Paint,
    names: OnceLock<Names>,
}

/// The most distinct items of a run that a line shows.
const SHOWN: usize = 3;

/// Names for ids.
#[derive(Debug)]
struct Names {
    users: HashMap<String, User>,
    tenants: HashMap<String, String>,
}

impl View {
    pub(super) fn new(paint: Paint) -> Self {
        Self { paint, names: OnceLock::new() }
    }

    pub(super) fn know(&self, handover: &Handover) {
        let users = handover.users.iter().map(|user| (user.user_id.clone(), user.clone())).collect();
        let tenants = handover.tenants.iter().map(|(name, id)| (id.clone(), name.clone())).collect();
        // Set once, when the stack is up.
        let _ = self.names.set(Names { users, tenants });
    }

    fn request(&self, request: &Served) -> String {
        let Served { method, route, status, took, line } = request;
        let paint = self.paint;
        let text = |name: &str| line.as_ref().and_then(|l| l[name].as_str());
        let code = if *status >= 400 { text("code").unwrap_or("refused by the gateway") } else { "" };
        let mut out = self.columns(method, route, paint.status(*status), *took, &self.who(text("user.id")));
        out.push_str(&paint.odd(code));
        if *status >= 500 {
            let cause =
                ["error.what", "error.service", "error.cause", "error.at"].map(|name| text(name).unwrap_or_default()).join(" ");
            out.push_str(&paint.bad(cause.trim()));
        }
        out.trim_end().to_owned()
    }

    fn run(&self, run: &Ran) -> String {
        let paint = self.paint;
        let woken_by = match run.kind {
            Kind::Consumer => "queue",
            Kind::Schedule => "clock",
            Kind::Socket => "socket",
        };
        let bad = run.failed > 0 || run.error.is_some();
        let mark = if bad { paint.bad("bad") } else { paint.good("ok ") };
        let mut out = self.columns(woken_by, run.name, mark, run.took, &self.for_whom(&run.lines));
        let noun = match run.kind {
            Kind::Consumer => "message",
            Kind::Schedule => "part",
            Kind::Socket => "frame",
        };
        let mut said = Vec::new();
        if run.kind != Kind::Socket && run.items > 0 {
            said.push(format!("{} {noun}{}", run.items, if run.items == 1 { "" } else { "s" }));
        }
        if bad && run.failed > 0 && run.kind == Kind::Consumer {
            said.push(format!("{} to be retried", run.failed));
        }
        said.extend(outcomes(&run.lines));
        out.push_str(&said.join(", "));
        for why in run.error.iter().map(String::as_str).chain(causes(&run.lines)) {
            out.push(' ');
            out.push_str(&paint.bad(why));
        }
        out.trim_end().to_owned()
    }

    fn columns(&self, what: &str, name: &str, mark: String, took: Duration, who: &str) -> String {
        let now = SystemClock.now().to_string();
        let time = self.paint.dim(now.get(11..19).unwrap_or_default());
        let millis = self.paint.dim(format_args!("{:>7.1} ms", took.as_secs_f64() * 1e3));
        format!("{time}  {what:<7} {name:<36} {mark}  {millis}  {who:<26} ")
    }

    fn who(&self, user_id: Option<&str>) -> String {
        let known = user_id.and_then(|id| self.names.get()?.users.get(id));
        match (known, user_id) {
            (Some(user), _) => format!("{} {}", user.tenant, user.role),
            (None, Some(id)) => id.to_owned(),
            (None, None) => String::new(),
        }
    }

    fn for_whom(&self, lines: &[Value]) -> String {
        if let Some(user) = lines.iter().find_map(|line| line["user.id"].as_str()) {
            return self.who(Some(user));
        }
        let ids: BTreeSet<_> = work(lines).filter_map(|line| line["tenant.id"].as_str()).collect();
        let name = |id: &str| self.names.get().and_then(|names| names.tenants.get(id)).map_or(id, String::as_str).to_owned();
        match ids.len() {
            0 => String::new(),
            1 => ids.first().map(|id| name(id)).unwrap_or_default(),
            many => format!("{many} tenants"),
        }
    }
}

/// Fields that every line has, or that the view shows elsewhere.
const COMMON: [&str; 12] = [
    "code",
    "correlation_id",
    "duration_ms",
    "error.cause",
    "event.age_ms",
    "event.schema",
    "function",
    "level",
    "outcome",
    "part",
    // The poller logs it before it does any work.
    "polls.quota",
    "timestamp",
];

/// The log lines of work. A schedule's scan for due items counts only if it logged more than the scan.
fn work(lines: &[Value]) -> impl Iterator<Item = &Value> {
    lines.iter().filter(|line| line["part"] != "due" || !extras(line).is_empty())
}

/// Whether a schedule has found nothing to do.
fn is_idle(run: &Ran) -> bool {
    let did_nothing = |line: &Value| line["outcome"] == "nothing" && extras(line).is_empty();
    run.kind == Kind::Schedule && run.error.is_none() && run.lines.iter().all(did_nothing)
}

/// The function's own fields: nonzero counts, and words; no ids.
fn extras(line: &Value) -> Vec<String> {
    let fields = line.as_object().into_iter().flatten();
    let own = fields.filter(|(name, _)| !COMMON.contains(&name.as_str()) && !name.ends_with(".id"));
    let said = own.filter_map(|(name, value)| match value {
        Value::String(word) => Some(format!("{name} {word}")),
        Value::Number(count) if count.as_f64() != Some(0.0) => Some(format!("{name} {count}")),
        _ => None,
    });
    said.collect()
}

/// The outcomes, equal ones together: `shipment.created committed ×2`.
fn outcomes(lines: &[Value]) -> Vec<String> {
    let mut counted = BTreeMap::<String, usize>::new();
    for line in work(lines) {
        let words = ["event.schema", "outcome", "code"].map(|name| line[name].as_str().unwrap_or_default().to_owned());
        let words = words.into_iter().filter(|word| !word.is_empty() && word != "nothing").chain(extras(line));
        let said = words.collect::<Vec<_>>().join(" ");
        if !said.is_empty() {
            *counted.entry(said).or_default() += 1;
        }
    }
    let others = counted.len().saturating_sub(SHOWN);
    let shown = counted.into_iter().take(SHOWN);
    let mut shown: Vec<_> = shown.map(|(said, times)| if times == 1 { said } else { format!("{said} ×{times}") }).collect();
    if others > 0 {
        shown.push(format!("and {others} more"));
    }
    shown
}

/// The reasons of failures, without repetitions.
fn causes(lines: &[Value]) -> impl Iterator<Item = &str> {
    let causes: BTreeSet<_> = lines.iter().filter_map(|line| line["error.cause"].as_str()).collect();
    causes.into_iter()
}

impl Observer for View {
    fn served(&self, request: &Served) {
        // Standard output may be closed; the request is served all the same.
        let _ = writeln!(std::io::stdout().lock(), "{}", self.request(request));
    }

    fn ran(&self, run: &Ran) {
        if is_idle(run) {
            return;
        }
        let _ = writeln!(std::io::stdout().lock(), "{}", self.run(run));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view() -> View {
        let view = View::new(Paint::of_stdout());
        let user = User {
            tenant: "acme-health".into(),
            role: common::base::Role::Viewer,
            email: "viewer@acme-health.example".into(),
            user_id: "usr_1".into(),
            authenticator: None,
        };
        view.know(&Handover {
            base_url: String::new(),
            password: None,
            tenants: [("acme-health".to_owned(), "ten_1".to_owned())].into(),
            users: vec![user],
            env: BTreeMap::new(),
            operator: BTreeMap::new(),
        });
        view
    }

    fn ran(kind: Kind, failed: usize, lines: Vec<Value>) -> Ran {
        let took = Duration::from_millis(7);
        Ran { kind, domain: "system", name: "settle_outbox", items: lines.len(), failed, took, error: None, lines }
    }

    #[test]
    fn refusal_shows_caller_action_and_reason() {
        let request = Served {
            method: "POST".into(),
            route: "/v1/shipments".into(),
            status: 403,
            took: Duration::from_millis(12),
            line: Some(json!({"user.id": "usr_1", "code": "forbidden"})),
        };
        let shown = view().request(&request);
        for part in ["POST", "/v1/shipments", "403", "12.0 ms", "acme-health viewer", "forbidden"] {
            assert!(shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn run_shows_its_tenant_and_outcomes() {
        let line = json!({"tenant.id": "ten_1", "event.schema": "shipment.created", "outcome": "committed"});
        let shown = view().run(&ran(Kind::Consumer, 0, vec![line.clone(), line]));
        for part in ["queue", "settle_outbox", "ok", "7.0 ms", "acme-health", "2 messages", "shipment.created committed ×2"] {
            assert!(shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn failure_shows_retries_and_reason() {
        let line =
            json!({"tenant.id": "ten_2", "outcome": "failed", "code": "internal", "error.cause": "message unknown_schema"});
        let shown = view().run(&ran(Kind::Consumer, 1, vec![line]));
        for part in ["bad", "ten_2", "1 message, 1 to be retried", "failed internal", "message unknown_schema"] {
            assert!(shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn idle_schedule_is_not_shown() {
        let due = json!({"tenant.id": "ten_0", "part": "due", "outcome": "nothing", "polls.quota": 60, "polls.queued": 0});
        let nothing = json!({"tenant.id": "ten_1", "part": "x", "outcome": "nothing"});
        assert!(is_idle(&ran(Kind::Schedule, 0, vec![due.clone(), nothing.clone()])));
        assert!(!is_idle(&ran(Kind::Consumer, 0, vec![nothing])));

        let part = json!({"tenant.id": "ten_1", "part": "x", "outcome": "committed", "shipment.id": "shp_1", "outbox.missed": 2});
        let run = ran(Kind::Schedule, 0, vec![due, part]);
        assert!(!is_idle(&run));
        let shown = view().run(&run);
        assert!(shown.contains("acme-health") && shown.contains(", committed outbox.missed 2"), "{shown}");
        assert!(!shown.contains("nothing") && !shown.contains("shp_1"), "{shown}");

        let queued = json!({"tenant.id": "ten_0", "part": "due", "outcome": "nothing", "polls.queued": 3});
        let run = ran(Kind::Schedule, 0, vec![queued]);
        assert!(!is_idle(&run) && view().run(&run).contains("polls.queued 3"));
    }
}
