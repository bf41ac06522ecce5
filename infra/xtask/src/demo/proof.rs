//! The audit log is sealed and signed in the background. A command that has no access to the platform verifies it.

use super::{Step, Tour};
use crate::{build, workspace};
use common::base::{Clock, SystemClock, Timestamp};
use local::client::NoAnswer;
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tokio::time::{Instant, sleep};

const CHECKPOINT: &str = "/v1/audit/checkpoint";
/// The time limit: ten seconds until an event is sealed, a minute until it is signed, and as much again for a slow machine.
const PATIENCE: Duration = Duration::from_secs(150);
const LOOK_EVERY: Duration = Duration::from_secs(3);
const TELL_EVERY: Duration = Duration::from_secs(10);
/// `cloister-audit verify`'s exit code for an altered event.
const MODIFIED: i32 = 10;
/// The text of a refusal's status, and the same text with one byte changed.
const REFUSED: &str = r#""status":403"#;
const SERVED: &str = r#""status":203"#;

pub(super) async fn play(tour: &mut Tour, token: &str) -> Result<(), NoAnswer> {
    signed(tour, token).await?;
    let bundle = workspace::root().join("target/demo-bundle");
    let altered = workspace::root().join("target/demo-bundle-altered");
    // Files of an earlier run.
    for old in [&bundle, &altered] {
        let _ = fs::remove_dir_all(old);
    }
    let base = tour.base_url().to_owned();
    let fetch = command("cloister", "cloister", &["audit", "bundle", "--endpoint", &base, "--out"], &bundle);
    let fetched = run(tour, "Fetch the log, with the token in CLOISTER_TOKEN", fetch.token(token));
    tour.check(fetched.code == Some(0), "the log is fetched");

    let what = "Verify it offline: this command needs neither a token nor AWS";
    let proven = run(tour, what, verify(&bundle));
    tour.check(proven.code == Some(0) && proven.text.contains("VERIFIED"), "the log is verified");

    let what = "Change one byte of a copy: a refusal (403) becomes a success (203)";
    tour.act(what, "change", &shown(&altered));
    match alter(&bundle, &altered) {
        Ok(line) => tour.outcome(&line),
        Err(why) => tour.check(false, &format!("a copy can be altered: {why}")),
    }
    let caught = run(tour, "Verify the altered copy", verify(&altered));
    tour.check(caught.code == Some(MODIFIED) && caught.text.contains("modified: segments/"), "the altered event is named");
    Ok(())
}

/// Waits until all earlier events are sealed and covered by a checkpoint.
async fn signed(tour: &mut Tour, token: &str) -> Result<(), NoAnswer> {
    let (began, since) = (Instant::now(), SystemClock.now());
    tour.act("Wait until events are sealed (10 seconds) and signed (one minute)", "GET", CHECKPOINT);
    let (mut wanted, mut last): (Option<u64>, Option<(Instant, u64)>) = (None, None);
    loop {
        let checkpoint = tour.quietly(Step::get(CHECKPOINT, 200).by(token)).await?;
        let number = |name: &str| checkpoint.json[name].as_u64().unwrap_or_default();
        let (sealed, signed) = (number("head_size"), number("size"));
        if last.is_none_or(|(told, before)| before != signed || told.elapsed() >= TELL_EVERY) {
            tour.note(&format!("{:>3} s  {sealed} events sealed, {signed} of them signed", began.elapsed().as_secs()));
            last = Some((Instant::now(), signed));
        }
        let unsealed = checkpoint.json["unsealed_since"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        // Reading the log is audited too, so there is always a newer event that is not sealed yet.
        if wanted.is_none() && checkpoint.status == 200 && unsealed.is_none_or(|at| at > since) {
            wanted = Some(sealed);
        }
        if wanted.is_some_and(|wanted| signed >= wanted) || began.elapsed() > PATIENCE {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    let wanted = wanted.unwrap_or(u64::MAX);
    let checkpoint = Step::get(CHECKPOINT, 200).what("Get a checkpoint; an auditor keeps it to verify all later states");
    let checkpoint = tour.play(checkpoint.by(token)).await?;
    for line in checkpoint.json["checkpoint"].as_str().unwrap_or_default().lines() {
        tour.note(line);
    }
    tour.check(checkpoint.json["size"].as_u64() >= Some(wanted), "a checkpoint covers all events so far");
    Ok(())
}

/// A command of the project: as a user types it, and as cargo runs it.
struct Call {
    told: String,
    command: Command,
}

impl Call {
    fn token(mut self, token: &str) -> Self {
        self.command.env("CLOISTER_TOKEN", token);
        self
    }
}

fn command(package: &str, binary: &str, words: &[&str], path: &Path) -> Call {
    let mut command = build::cargo(["run", "-q", "-p", package, "--bin", binary, "--"]);
    let path = shown(path);
    command.args(words).arg(&path);
    Call { told: format!("{} {path}", words.join(" ")), command }
}

fn verify(bundle: &Path) -> Call {
    command("auditor", "cloister-audit", &["verify", "--offline"], bundle)
}

/// The result of a command.
struct Ended {
    code: Option<i32>,
    text: String,
}

fn run(tour: &mut Tour, what: &str, Call { told, mut command }: Call) -> Ended {
    let program = command.get_args().nth(5).unwrap_or_default().to_string_lossy().into_owned();
    tour.act(what, program, &told);
    let ended = match command.output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Ended { code: output.status.code(), text: String::from_utf8_lossy(&text).into_owned() }
        }
        Err(why) => Ended { code: None, text: why.to_string() },
    };
    tour.outcome(&ended.code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}")));
    ended.text.lines().filter(|line| !line.trim().is_empty()).for_each(|line| tour.note(line));
    ended
}

/// Copies a bundle and changes one byte of the copy. Returns a description of the change.
fn alter(bundle: &Path, copy: &Path) -> io::Result<String> {
    let mut changed = None;
    for file in files(bundle)? {
        let to = copy.join(file.strip_prefix(bundle).map_err(io::Error::other)?);
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        let bytes = fs::read(&file)?;
        let found = bytes.windows(REFUSED.len()).position(|window| window == REFUSED.as_bytes());
        match found.filter(|_| changed.is_none()) {
            Some(at) => {
                let (before, after) = (&bytes[..at], &bytes[at + REFUSED.len()..]);
                fs::write(&to, [before, SERVED.as_bytes(), after].concat())?;
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                changed = Some(format!("{}, line {line}: {REFUSED} is now {SERVED}", shown(&to)));
            }
            None => fs::write(&to, bytes)?,
        }
    }
    changed.ok_or_else(|| io::Error::other("no refusal is in the log"))
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

/// A path relative to the workspace.
fn shown(path: &Path) -> String {
    path.strip_prefix(workspace::root()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn altered_copy_differs_in_one_byte() {
        let folder = tempfile::tempdir().unwrap();
        let (bundle, copy) = (folder.path().join("bundle"), folder.path().join("copy"));
        fs::create_dir_all(bundle.join("segments")).unwrap();
        fs::write(bundle.join("manifest.json"), "{}").unwrap();
        let segment = format!("{{{REFUSED}}}\n{{\"status\":201}}\n{{{REFUSED}}}\n");
        fs::write(bundle.join("segments/0.jsonl"), &segment).unwrap();
        assert!(alter(&bundle, &copy).unwrap().contains("segments/0.jsonl, line 1"));
        let altered = fs::read(copy.join("segments/0.jsonl")).unwrap();
        let differ = altered.iter().zip(segment.as_bytes()).filter(|(a, b)| a != b).count();
        assert_eq!((differ, altered.len()), (1, segment.len()));
        assert_eq!(fs::read(copy.join("manifest.json")).unwrap(), b"{}");
    }

    #[test]
    fn log_without_a_refusal_is_not_altered() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("manifest.json"), "{}").unwrap();
        assert!(alter(folder.path(), &folder.path().join("copy")).is_err());
    }
}
