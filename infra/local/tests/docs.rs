//! `/docs` in a real browser.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper's failure is the test's")]

use local::{Options, Stack};
use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::Command,
    sync::{Arc, Mutex},
};

const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

fn browser() -> &'static str {
    let runs = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    BROWSERS.into_iter().find(|name| runs(name)).expect(
        "this test drives a headless Chromium, and found none in PATH: install one (Debian, Ubuntu: `apt-get install chromium`; \
         macOS: `brew install --cask chromium`)",
    )
}

/// A proxy for all that is not loopback, which lets nothing through and notes what was asked for.
fn outside() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut first = String::new();
            let _ = BufReader::new(stream).read_line(&mut first);
            notes.lock().unwrap().push(first);
        }
    });
    (port, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_shows_every_endpoint_and_asks_nobody_else() {
    let stack = Stack::start(Options { seed: false, ..Options::default() }).await.unwrap();
    let (proxy, asked) = outside();
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser())
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions"])
        .args(["--window-size=1400,20000", "--dump-dom", "--virtual-time-budget=20000"])
        .arg(format!("--proxy-server=127.0.0.1:{proxy}"))
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("{}/docs", stack.base_url()))
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for endpoint in registry::all() {
        assert!(page.contains(endpoint.summary), "`{}` is not shown: {} bytes of page", endpoint.summary, page.len());
    }
    assert_eq!(*asked.lock().unwrap(), Vec::<String>::new());
    stack.stop().await.unwrap();
}

#[test]
fn the_vendored_script_is_the_one_that_the_notice_names() {
    let script = include_bytes!("../assets/scalar.js");
    let sum: String =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, script).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert!(include_str!("../assets/NOTICE").contains(&sum), "{sum}");
}
