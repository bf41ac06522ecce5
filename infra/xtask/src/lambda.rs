//! `cargo xtask lambda`: builds and runs functions of every kind with the real `cargo lambda`, as README.md says, on an ephemeral
//! stack, and checks each answer.

use crate::{Outcome, build::cargo, event, workspace};
use common::request::SocketRoute;
use local::{Options, Stack};
use serde_json::Value;
use std::{
    error::Error,
    fs::File,
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, process::Child, time::timeout};

/// An endpoint that writes PHI, a consumer, a schedule, and the authorizer.
const OF_EACH_KIND: [&str; 4] = ["create_shipment", "settle_outbox", "sweep_outbox", "authorizer"];

/// The time that `cargo lambda watch` may take to listen, and to stop.
const STARTS_IN: Duration = Duration::from_secs(60);
const ENDS_IN: Duration = Duration::from_secs(10);

/// Invoke functions through `cargo lambda`, which builds them, on an ephemeral stack, and check their answers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The functions to invoke
    #[arg(default_values = OF_EACH_KIND)]
    functions: Vec<String>,
    /// Time limit of one invocation in minutes, including the build of its function
    #[arg(long, value_name = "MINUTES", default_value_t = 15)]
    time_limit: u64,
}

pub(crate) fn run(args: Args) -> Outcome {
    if !cargo(["lambda", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
        return Err("there is no `cargo lambda`: pip install cargo-lambda".into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let stack = Stack::start(Options::default()).await?;
        let invoked = invoke_all(&stack, &args).await;
        stack.stop().await?;
        invoked
    });
    runtime.shutdown_background();
    outcome
}

async fn invoke_all(stack: &Stack, args: &Args) -> Outcome {
    let watch = Watch::start(stack).await?;
    let mut wrong = 0;
    for function in &args.functions {
        let began = Instant::now();
        let file = event::write(function, stack.dir(), None, event::SOMEBODY.to_owned()).await?;
        let answer = watch.invoke(function, &file, Duration::from_secs(args.time_limit * 60)).await;
        let judged = answer.and_then(|answer| judge(function, &answer));
        wrong += usize::from(judged.is_err());
        let verdict = judged.map_or_else(|why| format!("WRONG: {why}"), |()| "ok".to_owned());
        println!("{function:<24} {:>6.1} s  {verdict}", began.elapsed().as_secs_f64());
    }
    if wrong > 0 {
        eprintln!("the output of `cargo lambda` and of the functions is in {}", watch.log.display());
    }
    watch.stop().await?;
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `cargo lambda watch`, which builds a function when it is first invoked.
struct Watch {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Watch {
    async fn start(stack: &Stack) -> Result<Self, Box<dyn Error>> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = workspace::root().join("target/cargo-lambda.log");
        std::fs::create_dir_all(workspace::root().join("target"))?;
        let output = File::create(&log)?;
        let mut watch = cargo(["lambda", "watch", "--ignore-changes", "--invoke-address", "127.0.0.1", "--invoke-port"]);
        watch.arg(port.to_string()).envs(stack.env());
        // In its own process group, so that the functions end with it.
        watch.process_group(0).stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
        let child = tokio::process::Command::from(watch).kill_on_drop(true).spawn()?;
        let mut watch = Self { child, port, log };
        match timeout(STARTS_IN, watch.listens()).await {
            Ok(Ok(())) => Ok(watch),
            Ok(Err(why)) => Err(why),
            Err(_) => {
                watch.stop().await?;
                Err("`cargo lambda watch` does not listen".into())
            }
        }
    }

    async fn listens(&mut self) -> Result<(), Box<dyn Error>> {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("`cargo lambda watch` ended with {status}: {}", std::fs::read_to_string(&self.log)?).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// The function's answer to an event.
    async fn invoke(&self, function: &str, event: &Path, within: Duration) -> Result<Value, String> {
        let mut invoke = cargo(["lambda", "invoke", "--invoke-address", "127.0.0.1", "--invoke-port"]);
        invoke.arg(self.port.to_string()).arg(function).arg("--data-file").arg(event).stdin(Stdio::null());
        let mut invoke = tokio::process::Command::from(invoke);
        let output = timeout(within, invoke.kill_on_drop(true).output()).await.map_err(|_| "no answer in time")?;
        let output = output.map_err(|e| e.to_string())?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            return Err(format!("{} {}", out.trim(), err.trim()));
        }
        serde_json::from_str(&out).map_err(|_| format!("no JSON: {out}"))
    }

    async fn stop(mut self) -> Result<(), Box<dyn Error>> {
        let Some(group) = self.child.id() else { return Ok(()) };
        let signal = |name: &str| Command::new("kill").args([name, "--", &format!("-{group}")]).status();
        signal("-TERM")?;
        if timeout(ENDS_IN, self.child.wait()).await.is_err() {
            signal("-KILL")?;
            self.child.wait().await?;
        }
        Ok(())
    }
}

/// Checks that a function did its work for this event.
fn judge(function: &str, answer: &Value) -> Result<(), String> {
    let status = |expected: u16| (answer["statusCode"] == expected).then_some(());
    let done = if let Some(endpoint) = registry::all().find(|endpoint| endpoint.name == function) {
        status(endpoint.status)
    } else if registry::consumers().any(|consumer| consumer.name == function) {
        answer["batchItemFailures"].as_array().filter(|failed| failed.is_empty()).map(|_| ())
    } else if registry::schedules().any(|schedule| schedule.name == function) {
        answer["parts"].as_u64().map(|_| ())
    } else if let Some(socket) = registry::sockets().find(|socket| socket.name == function) {
        // A message on a socket that nobody has opened cannot be answered, but a connect request can.
        matches!(socket.route, SocketRoute::Connect).then(|| status(200)).unwrap_or(Some(()))
    } else if function == "authorizer" {
        (answer["policyDocument"]["Statement"][0]["Effect"] == "Allow").then_some(())
    } else {
        answer["response"].as_object().map(|_| ())
    };
    done.ok_or_else(|| answer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_an_answer_that_shows_completed_work_is_accepted() {
        for (function, done, failed) in [
            ("create_shipment", json!({"statusCode": 201}), json!({"statusCode": 503, "body": "{}"})),
            ("settle_outbox", json!({"batchItemFailures": []}), json!({"batchItemFailures": [{"itemIdentifier": "1"}]})),
            ("sweep_outbox", json!({"parts": 0}), json!({"errorType": "Failed", "errorMessage": "dependency_unavailable"})),
            (
                "authorizer",
                json!({"policyDocument": {"Statement": [{"Effect": "Allow"}]}}),
                json!({"errorMessage": "Unavailable"}),
            ),
            ("connect", json!({"statusCode": 200}), json!({"statusCode": 503})),
            ("pre_token_generation", json!({"response": {}}), json!({"errorMessage": "no_username"})),
        ] {
            assert_eq!(judge(function, &done), Ok(()), "{function}");
            assert_eq!(judge(function, &failed), Err(failed.to_string()), "{function}");
            assert!(judge(function, &json!(null)).is_err(), "{function}");
        }
    }

    #[test]
    fn default_functions_cover_each_kind() {
        for function in OF_EACH_KIND {
            assert!(registry::names().any(|known| known == function), "{function}");
        }
        assert!(registry::all().any(|endpoint| endpoint.name == OF_EACH_KIND[0]));
        assert!(registry::consumers().any(|consumer| consumer.name == OF_EACH_KIND[1]));
        assert!(registry::schedules().any(|schedule| schedule.name == OF_EACH_KIND[2]));
    }
}
