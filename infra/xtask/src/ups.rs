//! `cargo xtask ups`: controls the running stack's UPS emulator: moves packages and injects faults.

use std::{error::Error, path::PathBuf, process::ExitCode};

use axum::http::Method;
use clap::{Subcommand, ValueEnum};
use emulators::ups::{Endpoint, Fault, Rule, Seen, Speed, Status, When};
use local::{
    Handover,
    client::{Answer, Client},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Outcome, dev, paint::Paint};

/// Controls the UPS emulator of a running stack: moves packages, lists them, and makes calls fail
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The running stack's port [default: the port in the data directory]
    #[arg(long, global = true)]
    port: Option<u16>,
    /// The running stack's data directory [default: .cloister/data in the workspace]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Scan a package
    Advance {
        /// A 1Z number; an unknown one gets a label first
        tracking_number: String,
        /// LABEL_CREATED, PICKED_UP, IN_TRANSIT, OUT_FOR_DELIVERY, DELIVERED, EXCEPTION, RETURNED, or UPS's own `TYPE/CODE`
        #[arg(value_parser = a_status)]
        status: String,
    },
    /// List all packages of the emulator
    List,
    /// Move packages automatically from now on, N times faster than real
    Play {
        /// 600 makes a journey of seven minutes
        speed: Speed,
    },
    /// Inject a fault into coming calls, or clear all faults
    Script(Script),
}

#[derive(Debug, clap::Args)]
struct Script {
    /// The fault
    fault: Wrong,
    /// The number of calls from now that fail
    #[arg(long, value_name = "CALLS", default_value_t = 1, conflicts_with = "fraction")]
    next: u32,
    /// The share of all calls that fail, from 0 to 1, until `clear`
    #[arg(long, value_name = "SHARE")]
    fraction: Option<f64>,
    /// Only calls of this kind fail
    #[arg(long)]
    on: Option<On>,
    /// For `slow` and `push-late`: the delay in milliseconds
    #[arg(long, default_value_t = 5000)]
    millis: u64,
    /// For `rate-limited`: seconds in the answer's Retry-After; by default the header is absent
    #[arg(long, value_name = "SECONDS")]
    retry_after: Option<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wrong {
    /// 401
    Unauthorized,
    /// Every token expires now
    Revoked,
    /// 429
    RateLimited,
    /// 500
    ServerError,
    /// The answer is slow
    Slow,
    /// The answer is not valid JSON
    MalformedJson,
    /// The answer breaks off
    TruncatedBody,
    /// The answer is a web page
    #[value(name = "wrong-content-type")]
    NotJson,
    /// The connection closes without an answer
    Dropped,
    /// A Track Alert comes twice
    PushTwice,
    /// A Track Alert comes late
    PushLate,
    /// A Track Alert comes after the next one
    PushSwapped,
    /// A Track Alert is lost
    PushLost,
    /// Remove all faults
    Clear,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum On {
    Token,
    Track,
    Subscribe,
}

impl Script {
    /// The rule for the emulator; `None` if the word is an action of its own.
    fn rule(&self) -> Option<Rule> {
        let fault = match self.fault {
            Wrong::Revoked | Wrong::Clear => return None,
            Wrong::Unauthorized => Fault::Unauthorized,
            Wrong::RateLimited => Fault::RateLimited { retry_after: self.retry_after },
            Wrong::ServerError => Fault::ServerError,
            Wrong::Slow => Fault::Slow { millis: self.millis },
            Wrong::MalformedJson => Fault::MalformedJson,
            Wrong::TruncatedBody => Fault::TruncatedBody,
            Wrong::NotJson => Fault::WrongContentType,
            Wrong::Dropped => Fault::Dropped,
            Wrong::PushTwice => Fault::PushTwice,
            Wrong::PushLate => Fault::PushLate { millis: self.millis },
            Wrong::PushSwapped => Fault::PushSwapped,
            Wrong::PushLost => Fault::PushLost,
        };
        let on = self.on.map(|on| match on {
            On::Token => Endpoint::Token,
            On::Track => Endpoint::Track,
            On::Subscribe => Endpoint::Subscribe,
        });
        Some(Rule { fault, when: self.fraction.map_or(When::Next(self.next), When::Fraction), on })
    }
}

/// Checks that the emulator understands a status, and keeps the text as written.
fn a_status(text: &str) -> Result<String, emulators::ups::NotAStatus> {
    text.parse::<Status>().map(|_| text.to_owned())
}

pub(crate) fn run(args: Args) -> Outcome {
    let base = match args.port {
        Some(port) => format!("http://127.0.0.1:{port}"),
        None => Handover::read(&args.data_dir.unwrap_or_else(dev::default_data_dir))?.base_url,
    };
    let stack = Stack { client: Client::new(base.as_str()), base };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for line in runtime.block_on(told(&stack, args.what, Paint::of_stdout()))? {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn told(stack: &Stack, what: What, paint: Paint) -> Result<Vec<String>, Box<dyn Error>> {
    #[derive(Deserialize)]
    struct Packages {
        packages: Vec<Seen>,
    }

    match what {
        What::Advance { tracking_number, status } => {
            let body = json!({ "tracking_number": tracking_number, "status": status });
            let seen: Seen = serde_json::from_value(stack.call(Method::POST, "advance", body).await?)?;
            Ok(vec![line(&seen, paint)])
        }
        What::List => {
            let Packages { packages } = serde_json::from_value(stack.call(Method::GET, "packages", Value::Null).await?)?;
            if packages.is_empty() {
                return Ok(vec!["there is no package yet: `advance` one, or let the platform track one".to_owned()]);
            }
            Ok(packages.iter().map(|seen| line(seen, paint)).collect())
        }
        What::Play { speed } => {
            stack.call(Method::POST, "play", json!({ "speed": speed })).await?;
            Ok(vec![format!("packages move {}x faster than real", f64::from(speed))])
        }
        What::Script(script) => {
            let (method, path, body) = match (script.fault, script.rule()) {
                (_, Some(rule)) => (Method::POST, "faults", serde_json::to_value(rule)?),
                (Wrong::Revoked, None) => (Method::POST, "revoke", Value::Null),
                (_, None) => (Method::DELETE, "faults", Value::Null),
            };
            let answer = stack.call(method, path, body).await?;
            Ok(match answer["faults"].as_array() {
                None => vec!["every token has expired".to_owned()],
                Some(rules) if rules.is_empty() => vec!["all faults are removed".to_owned()],
                Some(rules) => rules.iter().map(|rule| format!("{} {rule}", paint.odd("to come:"))).collect(),
            })
        }
    }
}

/// One line about a package's current state.
fn line(seen: &Seen, paint: Paint) -> String {
    let Status { kind, code, description, .. } = &seen.newest;
    let place = if seen.city.is_empty() { String::new() } else { format!(" in {}", seen.city) };
    format!(
        "{}  {}  {description}{place} at {}  {}",
        paint.bold(&seen.tracking_number),
        paint.good(format!("{kind:<2} {code:<2}")),
        seen.at,
        paint.dim(notes(seen))
    )
}

fn notes(seen: &Seen) -> String {
    let mut notes = vec![if seen.activities == 1 { "1 scan".to_owned() } else { format!("{} scans", seen.activities) }];
    if seen.playing {
        notes.push("moving automatically".to_owned());
    }
    if seen.subscribed {
        notes.push("alerts on".to_owned());
    }
    if seen.current != seen.newest {
        notes.push(format!("its current status still says {}", seen.current.kind));
    }
    format!("({})", notes.join(", "))
}

struct Stack {
    client: Client,
    base: String,
}

impl Stack {
    async fn call(&self, method: Method, what: &str, body: Value) -> Result<Value, Box<dyn Error>> {
        let headers = [("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.client.send(&method, &format!("/_ups/{what}"), &headers, body).await;
        let Answer { status, json, text, .. } =
            answer.map_err(|error| format!("no stack answers at {}: {}; is `cargo dev` running?", self.base, error.why))?;
        match json["error"].as_str() {
            _ if status == 200 => Ok(json),
            Some(error) => Err(error.into()),
            None => Err(format!("the stack at {} answered {status}, not as the UPS emulator does: {text}", self.base).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(words: &str) -> Result<What, clap::Error> {
        Line::try_parse_from(std::iter::once("ups").chain(words.split_whitespace())).map(|line| line.args.what)
    }

    #[test]
    fn unknown_status_is_refused_before_a_request_is_sent() {
        let refused = parsed("advance 1ZCIETST0111111114 LOST").unwrap_err().to_string();
        assert!(refused.contains("`LOST` is not a status: give LABEL_CREATED"), "{refused}");
        assert!(parsed("--port 8787 advance 1ZCIETST0111111114 DELIVERED").is_ok());
        assert!(parsed("advance 1ZCIETST0111111114 ZZ/Q9 --port 8787").is_ok());
    }

    #[test]
    fn script_arguments_become_the_rule() {
        let What::Script(script) = parsed("script rate-limited --next 3 --on track --retry-after 2").unwrap() else {
            panic!("a script");
        };
        let fault = Fault::RateLimited { retry_after: Some(2) };
        assert_eq!(script.rule(), Some(Rule { fault, when: When::Next(3), on: Some(Endpoint::Track) }));
        let What::Script(script) = parsed("script slow --fraction 0.3 --millis 50").unwrap() else {
            panic!("a script");
        };
        let fault = Fault::Slow { millis: 50 };
        assert_eq!(script.rule(), Some(Rule { fault, when: When::Fraction(0.3), on: None }));
        assert!(parsed("script dropped --next 2 --fraction 0.5").is_err());
    }

    #[test]
    fn error_without_a_stack_names_the_address() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let args = Args { port: Some(free), data_dir: None, what: What::List };
        let error = run(args).unwrap_err().to_string();
        assert!(error.contains(&format!("no stack answers at http://127.0.0.1:{free}")), "{error}");
        assert!(error.ends_with("is `cargo dev` running?"), "{error}");
    }

    #[test]
    fn lagging_status_is_noted() {
        let status = |kind: &str, code: &str, text: &str| {
            serde_json::from_value::<Status>(json!({ "type": kind, "code": code, "status_code": "", "description": text }))
                .unwrap()
        };
        let seen = Seen {
            tracking_number: "1ZCIETST0111111114".to_owned(),
            newest: status("D", "FS", "DELIVERED"),
            city: "Springfield".to_owned(),
            at: "2026-01-31T09:30:00Z".to_owned(),
            activities: 2,
            current: status("M", "MP", "Label"),
            playing: false,
            subscribed: true,
        };
        assert_eq!(notes(&seen), "(2 scans, alerts on, its current status still says M)");
        let newest = Seen { current: seen.newest.clone(), subscribed: false, playing: true, ..seen };
        assert_eq!(notes(&newest), "(2 scans, moving automatically)");
    }
}
