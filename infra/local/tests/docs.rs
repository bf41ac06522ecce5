//! `/docs` in a real browser.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper's failure is the test's")]

use local::{Options, Stack};
use serde_json::Value;
use std::{path::Path, process::Command};

const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

fn browser() -> &'static str {
    let runs = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    BROWSERS.into_iter().find(|name| runs(name)).expect(
        "this test drives a headless Chromium, and found none in PATH: install one (Debian, Ubuntu: `apt-get install chromium`; \
         macOS: `brew install --cask chromium`)",
    )
}

/// Whom the page asked, by the browser's own record. What the browser asks for itself (its updates, its maker's services) has
/// no page as its initiator.
fn asked_by(origin: &str, record: &Path) -> Vec<String> {
    let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    let events = record["events"].as_array().unwrap().iter().map(|event| &event["params"]);
    let by_page = events.filter(|params| params["initiator"] == origin);
    by_page.filter_map(|params| params["url"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_shows_every_endpoint_and_asks_nobody_else() {
    let stack = Stack::start(Options { seed: false, ..Options::default() }).await.unwrap();
    let origin = stack.base_url();
    let profile = tempfile::tempdir().unwrap();
    let record = profile.path().join("requests.json");
    let output = Command::new(browser())
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions"])
        .args(["--window-size=1400,20000", "--dump-dom", "--virtual-time-budget=20000", "--enable-logging=stderr"])
        // Nobody listens there: but for loopback, this browser is alone.
        .arg("--proxy-server=127.0.0.1:9")
        .arg(format!("--log-net-log={}", record.display()))
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("{origin}/docs"))
        .output()
        .unwrap();
    let (page, console) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{console}");
    for endpoint in registry::all() {
        assert!(page.contains(endpoint.summary), "`{}` is not shown: {} bytes of page\n{console}", endpoint.summary, page.len());
    }
    let asked = asked_by(origin, &record);
    assert!(asked.contains(&format!("{origin}/v1/openapi.json")), "{asked:?}");
    assert!(asked.iter().all(|url| url.starts_with(&format!("{origin}/")) || url.starts_with("data:")), "{asked:?}");
    // Nor did it try: the policy would have stopped it, and said so.
    assert!(!console.contains("Content Security Policy"), "{console}");
    stack.stop().await.unwrap();
}

#[test]
fn the_vendored_script_is_the_one_that_the_notice_names() {
    let script = include_bytes!("../assets/scalar.js");
    let sum: String =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, script).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert!(include_str!("../assets/NOTICE").contains(&sum), "{sum}");
}
