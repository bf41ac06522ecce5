//! Summarises a run of schemathesis from its events: one JSON object a line.

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    io::{BufRead, BufReader, Read},
    time::Duration,
};

#[derive(Debug, Default)]
pub(super) struct Report {
    operations: BTreeSet<String>,
    cases: usize,
    /// By check: how often it ran, and how often it failed.
    checks: BTreeMap<String, (usize, usize)>,
    /// Schemathesis' own result, which includes errors before a request.
    passed: bool,
}

impl Report {
    /// # Errors
    /// If a line cannot be read.
    pub(super) fn read(events: impl Read, passed: bool) -> std::io::Result<Self> {
        let mut report = Self { passed, ..Self::default() };
        for line in BufReader::new(events).lines() {
            // The last line of an interrupted run may be cut off.
            let Ok(event) = serde_json::from_str::<Value>(&line?) else { break };
            report.add(&event["ScenarioFinished"]["recorder"]);
        }
        Ok(report)
    }

    /// The sum of two runs.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.operations.extend(other.operations);
        self.cases += other.cases;
        for (name, (said, no)) in other.checks {
            let both = self.checks.entry(name).or_default();
            *both = (both.0 + said, both.1 + no);
        }
        self.passed &= other.passed && other.cases > 0;
        self
    }

    fn add(&mut self, recorder: &Value) {
        self.cases += recorder["interactions"].as_object().map_or(0, serde_json::Map::len);
        // Tests that span several operations have no operation's name.
        self.operations.extend(recorder["label"].as_str().filter(|label| label.contains(" /")).map(str::to_owned));
        let checks = recorder["checks"].as_object().into_iter().flatten();
        for check in checks.filter_map(|(_, checks)| checks.as_array()).flatten() {
            let (said, no) = self.checks.entry(check["name"].as_str().unwrap_or_default().to_owned()).or_default();
            *said += 1;
            *no += usize::from(check["status"] != "success");
        }
    }

    /// Whether at least one check ran and all held.
    pub(super) fn is_clean(&self) -> bool {
        self.passed && self.cases > 0 && self.checks.values().all(|(_, no)| *no == 0)
    }

    /// A summary for people. Schemathesis prints failures above it, each with a curl command.
    pub(super) fn summary(&self, requests: usize, people: u32, took: Duration) -> String {
        let mut text = format!("\n{:<36} {:>8} {:>8}\n", "check", "held", "failed");
        for (name, (said, no)) in &self.checks {
            let _ = writeln!(text, "{name:<36} {:>8} {no:>8}", said - no);
        }
        let Self { operations, cases, .. } = self;
        let operations = operations.len();
        let _ = writeln!(
            text,
            "\n{cases} test cases of {operations} operations; {requests} requests by {people} people in {} s",
            took.as_secs()
        );
        text.push_str(if self.is_clean() { "clean\n" } else { "failed: see above\n" });
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: &str = r#"{"ScenarioFinished": {"recorder": {
        "label": "GET /v1/me", "interactions": {"a": {}, "b": {}},
        "checks": {"a": [{"name": "ignored_auth", "status": "success"}, {"name": "not_a_server_error", "status": "success"}]}}}}"#;

    fn read(lines: &[&str], passed: bool) -> Report {
        let lines: Vec<_> = lines.iter().map(|line| line.replace('\n', " ")).collect();
        Report::read(lines.join("\n").as_bytes(), passed).unwrap()
    }

    #[test]
    fn results_are_counted_by_check() {
        let report = read(&[r#"{"EngineStarted": {}}"#, HELD, HELD, r#"{"cut o"#], true);
        assert!(report.is_clean());
        assert_eq!((report.cases, report.operations.len()), (4, 1));
        assert_eq!(report.checks["ignored_auth"], (2, 0));
        assert!(
            report.summary(9, 3, Duration::from_secs(5)).contains("4 test cases of 1 operations; 9 requests by 3 people in 5 s")
        );
    }

    #[test]
    fn two_runs_are_clean_if_both_are_and_both_ran_checks() {
        let both = read(&[HELD], true).and(read(&[HELD], true));
        assert!(both.is_clean());
        assert_eq!((both.cases, both.operations.len(), both.checks["ignored_auth"]), (4, 1, (2, 0)));
        assert!(!read(&[HELD], true).and(read(&[], true)).is_clean());
        assert!(!read(&[HELD], true).and(read(&[HELD], false)).is_clean());
        assert!(!read(&[&HELD.replacen("success", "failure", 1)], true).and(read(&[HELD], true)).is_clean());
    }

    #[test]
    fn failed_check_error_or_empty_run_is_not_clean() {
        let failed = HELD.replacen("success", "failure", 1);
        assert!(!read(&[HELD, &failed], true).is_clean());
        assert!(!read(&[HELD], false).is_clean());
        assert!(!read(&[], true).is_clean());
    }
}
