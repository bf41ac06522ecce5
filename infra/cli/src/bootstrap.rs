//! `cloister bootstrap`: creates the platform's tenant and its first super_admin, once.

use crate::{Outcome, password};
use clap::Args;
use common::{base::Error, request::Deps, run::operator::Operator};
use phi::Email;
use serde_json::json;
use std::io;

/// The exit code of a second run.
const DONE_BEFORE: u8 = 3;

#[derive(Debug, Args)]
pub(crate) struct Bootstrap {
    /// Sign-in e-mail of the first super_admin
    #[arg(long)]
    email: Email,
    /// Read a permanent password from standard input; otherwise a temporary one is generated and printed
    #[arg(long)]
    password_stdin: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Your name, for the audit log
    #[arg(long = "as", value_name = "NAME", env = "USER", default_value = "operator")]
    operator: String,
}

impl Bootstrap {
    pub(crate) async fn run(&self, deps: &Deps, read_line: impl FnOnce() -> io::Result<String>) -> Outcome {
        let (password, temporary) = if self.password_stdin {
            match read_line() {
                Ok(password) if !password.is_empty() => (password, false),
                Ok(_) => return Outcome::failed("standard input has no password"),
                Err(e) => return Outcome::failed(format!("standard input: {e}")),
            }
        } else {
            (password::temporary(), true)
        };
        match Operator::new(deps, &self.operator).bootstrap(&self.email, &password, !temporary).await {
            Ok(user) => {
                let shown = temporary.then_some(&password);
                Outcome::done(if self.json { as_json(&user.to_string(), shown) } else { as_text(&user.to_string(), shown) })
            }
            Err(error) => self.refused(&error),
        }
    }

    fn refused(&self, error: &Error) -> Outcome {
        let exit = if matches!(error, Error::Conflict { code: "bootstrapped", .. }) { DONE_BEFORE } else { 1 };
        let why = match error {
            Error::Invalid(fields) => fields.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join("; "),
            Error::Unavailable { cause, .. } => format!("{error}: {}", cause.as_str()),
            Error::Internal { what, cause, at } => format!("{what}: {} ({at})", cause.as_str()),
            other => other.to_string(),
        };
        let text = if self.json { json!({"error": error.code(), "detail": why}).to_string() } else { why };
        Outcome { text, exit }
    }
}

fn as_json(user: &str, temporary: Option<&String>) -> String {
    let mut answer = json!({"user_id": user});
    if let Some(password) = temporary {
        answer["temporary_password"] = json!(password);
    }
    answer.to_string()
}

fn as_text(user: &str, temporary: Option<&String>) -> String {
    let made = format!("The platform is ready. Its first super_admin is {user}.");
    match temporary {
        None => made,
        Some(password) => format!(
            "{made}\n\n    Temporary password: {password}\n\nIt is shown only once and is valid for one sign-in within three days, which asks for a new password."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use common::base::{Role, TenantId};
    use serde_json::Value;
    use testing::{App, Fault, PASSWORD, Tenant};

    fn command(app: &App, password_stdin: bool) -> Bootstrap {
        let email = app.email(Tenant::Acme, Role::SuperAdmin).parse().unwrap();
        Bootstrap { email, password_stdin, json: true, operator: "ada".to_owned() }
    }

    fn nothing() -> io::Result<String> {
        Err(io::Error::other("standard input must not be read"))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn first_run_creates_the_platform_and_second_is_refused() {
        let app = App::empty().await;
        let first = command(&app, false).run(app.deps(), nothing).await;
        assert_eq!(first.exit, 0, "{}", first.text);
        let answer: Value = serde_json::from_str(&first.text).unwrap();
        assert!(answer["user_id"].as_str().unwrap().starts_with("usr_"));
        let password = answer["temporary_password"].as_str().unwrap();

        let events = app.platform_audit().await;
        // Ids of the same millisecond are not in chronological order.
        for act in ["api.bootstrap", "api.create_user", "api.finish_bootstrap"] {
            let done = |e: &&Value| e["type"] == act && e["actor"]["type"] == "operator" && e["actor"]["id"] == "ada";
            assert_eq!(events.iter().filter(done).count(), 1, "{act}: {events:?}");
        }
        assert!(!serde_json::to_string(&events).unwrap().contains(password));

        for other in [app.email(Tenant::Acme, Role::SuperAdmin), app.email(Tenant::Acme, Role::Viewer)] {
            let second = Bootstrap { email: other.parse().unwrap(), ..command(&app, false) }.run(app.deps(), nothing).await;
            assert_eq!(second.exit, DONE_BEFORE, "{}", second.text);
            assert_eq!(serde_json::from_str::<Value>(&second.text).unwrap()["error"], "bootstrapped");
        }
        assert_eq!(app.platform_audit().await.len(), 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn interrupted_run_is_completed_by_the_next() {
        let app = App::empty().await;
        app.wire().fail("AdminCreateUser", 0, 1, Fault::Refused("InvalidPasswordException"));
        let weak = command(&app, true).run(app.deps(), || Ok("weak".to_owned())).await;
        assert_eq!(weak.exit, 1);
        assert!(weak.text.contains("does not meet the pool's rules"), "{}", weak.text);
        let done = command(&app, true).run(app.deps(), || Ok(PASSWORD.to_owned())).await;
        assert_eq!(done.exit, 0, "{}", done.text);
        assert!(!done.text.contains("password"), "{}", done.text);
        assert_eq!(command(&app, true).run(app.deps(), || Ok(PASSWORD.to_owned())).await.exit, DONE_BEFORE);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn platform_with_a_user_is_not_bootstrapped_again() {
        let app = App::with_cognito().await;
        let again = command(&app, false).run(app.deps(), nothing).await;
        assert_eq!(again.exit, DONE_BEFORE, "{}", again.text);
        assert_eq!(app.audit_of(TenantId::PLATFORM).await.iter().filter(|e| e["type"] == "api.bootstrap").count(), 1);
    }

    /// The README's command; only the e-mail is this test's.
    #[tokio::test(flavor = "multi_thread")]
    async fn readmes_command_creates_the_first_operator_of_an_empty_account() {
        let readme = include_str!("../../../README.md");
        let path = readme.split_once("\n## Deploying\n").and_then(|(_, rest)| rest.split("\n## ").next()).unwrap();
        let line = path.lines().find_map(|line| line.strip_prefix("cargo run --release -p cloister -- ")).unwrap();
        let words = ["cloister"].into_iter().chain(line.split_whitespace()).chain(["--as", "ada"]);
        let crate::Command::Bootstrap(named) = crate::Cli::try_parse_from(words).unwrap().command else { panic!("{line}") };
        let app = App::empty().await;
        let command = Bootstrap { email: app.email(Tenant::Acme, Role::SuperAdmin).parse().unwrap(), ..named };
        let made = command.run(app.deps(), nothing).await;
        assert_eq!(made.exit, 0, "{}", made.text);
        let password = made.text.split_once("Temporary password: ").unwrap().1.lines().next().unwrap();
        let login = registry::all().find(|endpoint| endpoint.name == "login").unwrap();
        let credentials = json!({"email": command.email.normalised(), "password": password});
        let answer = app.anonymous().call(login).json(credentials).from_ip("2001:db8::1").await;
        assert_eq!(answer.json["challenge"], "NEW_PASSWORD_REQUIRED", "{}", answer.text);
        assert_eq!(command.run(app.deps(), nothing).await.exit, DONE_BEFORE);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn missing_password_on_standard_input_creates_nothing() {
        let app = App::empty().await;
        assert_eq!(command(&app, true).run(app.deps(), || Ok(String::new())).await.exit, 1);
        assert!(app.dump("RecordsTable").await.is_empty());
    }
}
