//! Tests `cargo dev` as a user runs it, with its companions `demo` and `audit tail`.

#![expect(clippy::unwrap_used, reason = "a helper's failure is the test's")]

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

/// Dropping it ends the process, also if a test fails.
struct Dev {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Dev {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(XTASK).arg("dev").args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// The lines of its output until it is ready, including the last.
    fn until_ready(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for line in self.out.by_ref().lines().map(Result::unwrap) {
            let ready = line.starts_with("ready ");
            lines.push(line);
            if ready {
                return lines;
            }
        }
        panic!("it ended without being ready: {lines:?}");
    }

    fn interrupt(mut self, signal: &str) -> (Option<i32>, Duration) {
        let began = Instant::now();
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
        (self.child.wait().unwrap().code(), began.elapsed())
    }
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new(XTASK).args(arguments).output().unwrap();
    (status.code(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

#[test]
fn dev_prints_instructions_plays_the_demo_and_stops_on_interrupt() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let mut dev = Dev::start(&["--port", "0", "--data-dir", data]);
    let said = dev.until_ready();
    let base = said.last().unwrap().strip_prefix("ready ").unwrap();
    let port = base.strip_prefix("http://127.0.0.1:").unwrap();
    assert!(port.parse::<u16>().is_ok_and(|port| port > 0), "{base}");
    let said = said.join("\n");
    for part in [&format!("{base}/docs"), "marketer@acme-health.example", "viewer@birch-clinic.example", "password", "curl", data]
    {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }

    let (_, lines) = said.split_once("# Where").unwrap();
    let (lines, _) = lines.split_once("# Sign in as an administrator").unwrap();
    let pasted = Command::new("sh").args(["-c", lines]).output().unwrap();
    let answers = String::from_utf8_lossy(&pasted.stdout);
    let statuses: Vec<_> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "200", "200", "200", "404", "404"], "{answers}{}", String::from_utf8_lossy(&pasted.stderr));
    // Each lists its own shipment only.
    let listed: Vec<_> = answers.split("{\"items\":").skip(1).filter_map(|list| list.split_once("\"next_cursor\"")).collect();
    assert_eq!(listed.len(), 2, "{answers}");
    assert!(listed.iter().all(|(items, _)| items.matches("shipment_id").count() == 1), "{listed:?}");

    let (code, text) = run(&["dev", "--port", port, "--ephemeral"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("port {port} is in use")), "{text}");
    let (code, text) = run(&["dev", "--port", "0", "--data-dir", data]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(data) && text.contains("in use"), "{text}");

    let (code, text) = run(&["demo", "--data-dir", data]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("all as expected"), "{text}");
    // Earlier events are sealed by now.
    let (code, text) = run(&["audit", "tail", "--data-dir", data]);
    assert_eq!(code, Some(0), "{text}");
    let refused = text.lines().find(|line| line.contains("get_shipment") && line.contains("no_session")).unwrap();
    assert!(refused.contains("acme-health marketer") && refused.contains("refused 401"), "{refused}");
    // An administrator, who signs in with a second factor.
    let (code, token) = run(&["token", "tenant_admin@birch-clinic.example", "--data-dir", data]);
    assert_eq!((code, token.trim().split('.').count()), (Some(0), 3), "{token}");
    let me = format!("curl -s -w ' %{{http_code}}' {base}/v1/me -H 'authorization: Bearer {}'", token.trim());
    let me = Command::new("sh").args(["-c", &me]).output().unwrap();
    assert!(String::from_utf8_lossy(&me.stdout).ends_with(" 200"), "{me:?}");
    for function in ["update_shipment", "ups_webhook", "poll_tracking", "seal_audit", "sweep_outbox", "message"] {
        let (code, text) = run(&["event", function, "--data-dir", data]);
        assert_eq!((code, text.trim()), (Some(0), &*format!("target/events/{function}.json")));
    }

    let (code, took) = dev.interrupt("-TERM");
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn interrupted_first_run_leaves_no_installation_running() {
    // A fake Python: it creates an environment with itself in it, and installs for a minute.
    const PYTHON: &str = r#"#!/bin/sh
case "$2" in
venv) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
pip) echo $$ > "$CLOISTER_VENV/pip" && exec sleep 60 ;;
*) echo 3 12 ;;
esac
"#;
    let dir = tempfile::tempdir().unwrap();
    let (python, venv) = (dir.path().join("python"), dir.path().join("venv"));
    std::fs::write(&python, PYTHON).unwrap();
    std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut dev = Command::new(XTASK);
    dev.args(["dev", "--port", "0", "--ephemeral"]).env("CLOISTER_PYTHON", &python).env("CLOISTER_VENV", &venv);
    let mut child = dev.stdout(Stdio::piped()).spawn().unwrap();
    let dev = Dev { out: BufReader::new(child.stdout.take().unwrap()), child };
    let began = Instant::now();
    let pip = loop {
        match std::fs::read_to_string(venv.join("pip")) {
            Ok(pid) if pid.ends_with('\n') => break pid,
            _ => assert!(began.elapsed() < Duration::from_secs(60), "it installs nothing"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let (code, took) = dev.interrupt("-TERM");
    let began = Instant::now();
    assert_eq!(code, Some(143));
    assert!(took < Duration::from_secs(5), "{took:?}");
    // An ended process may remain until its parent reaps it.
    let runs = || {
        let Output { stdout, .. } = Command::new("ps").args(["-o", "stat=", "-p", pip.trim()]).output().unwrap();
        !stdout.is_empty() && !stdout.starts_with(b"Z")
    };
    while runs() {
        assert!(began.elapsed() < Duration::from_secs(5), "pip runs on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn interrupt_during_start_ends_it() {
    let dev = Dev::start(&["--port", "0", "--ephemeral"]);
    // The signal may come before a handler is set: then the system ends the process without an exit code.
    let (code, took) = dev.interrupt("-INT");
    assert!(matches!(code, None | Some(0 | 130)), "{code:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}
