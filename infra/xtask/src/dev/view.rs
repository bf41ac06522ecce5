//! The live view: one line a request.

use crate::paint::Paint;
use common::{Clock, SystemClock};
use local::{Observer, Served, User};
use std::{collections::HashMap, io::Write, sync::OnceLock};

#[derive(Debug)]
pub(super) struct View {
    paint: Paint,
    /// By user id.
    users: OnceLock<HashMap<String, User>>,
}

impl View {
    pub(super) fn new(paint: Paint) -> Self {
        Self { paint, users: OnceLock::new() }
    }

    pub(super) fn know(&self, users: &[User]) {
        // Told once, when the stack is up.
        let _ = self.users.set(users.iter().map(|user| (user.user_id.clone(), user.clone())).collect());
    }

    fn line(&self, request: &Served) -> String {
        let Served { method, route, status, took, line } = request;
        let paint = self.paint;
        let now = SystemClock.now().to_string();
        let time = now.get(11..19).unwrap_or_default();
        let text = |name: &str| line.as_ref().and_then(|l| l[name].as_str());
        let known = text("user.id").and_then(|id| self.users.get()?.get(id));
        let who = match (known, text("user.id")) {
            (Some(user), _) => format!("{} {}", user.tenant, user.role),
            (None, Some(id)) => id.to_owned(),
            (None, None) => String::new(),
        };
        let code = if *status >= 400 { text("code").unwrap_or("refused by the gateway") } else { "" };
        let millis = took.as_secs_f64() * 1e3;
        let mut out = format!(
            "{}  {method:<7} {route:<36} {}  {}  {who:<26} {}",
            paint.dim(time),
            paint.status(*status),
            paint.dim(format_args!("{millis:>7.1} ms")),
            paint.odd(code),
        );
        if *status >= 500 {
            let cause = ["error.what", "error.service", "error.cause"].map(|name| text(name).unwrap_or_default()).join(" ");
            out.push_str(&paint.bad(cause.trim()));
        }
        out.trim_end().to_owned()
    }
}

impl Observer for View {
    fn served(&self, request: &Served) {
        // Nobody may be looking any more; the request has been served all the same.
        let _ = writeln!(std::io::stdout().lock(), "{}", self.line(request));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_refusal_says_who_was_refused_what_and_why() {
        let view = View::new(Paint::of_stdout());
        let user = User {
            tenant: "acme-health".into(),
            role: common::Role::Viewer,
            email: "viewer@acme-health.example".into(),
            user_id: "usr_1".into(),
        };
        view.know(&[user]);
        let line = serde_json::json!({"user.id": "usr_1", "code": "forbidden"});
        let request = Served {
            method: "POST".into(),
            route: "/v1/shipments".into(),
            status: 403,
            took: Duration::from_millis(12),
            line: Some(line),
        };
        let shown = view.line(&request);
        for part in ["POST", "/v1/shipments", "403", "12.0 ms", "acme-health viewer", "forbidden"] {
            assert!(shown.contains(part), "{shown}");
        }
    }
}
