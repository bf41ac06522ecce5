//! Tests `/docs`, and a page of another origin, in a real browser.

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

/// Loads a page until its network is idle. Returns the page, and the console's output.
fn shown(url: &str, profile: &Path, more: &[&str]) -> (String, String) {
    let output = Command::new(browser())
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions"])
        .args(["--window-size=1400,20000", "--dump-dom", "--virtual-time-budget=20000", "--enable-logging=stderr"])
        // Nothing listens there, so that the browser reaches only loopback.
        .arg("--proxy-server=127.0.0.1:9")
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(more)
        .arg(url)
        .output()
        .unwrap();
    let (page, console) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{console}");
    (page.into_owned(), console.into_owned())
}

/// The hosts that the page requested, by the browser's own record. The browser's own requests (updates, its maker's services)
/// have no page as their initiator.
fn asked_by(origin: &str, record: &Path) -> Vec<String> {
    let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    let events = record["events"].as_array().unwrap().iter().map(|event| &event["params"]);
    let by_page = events.filter(|params| params["initiator"] == origin);
    by_page.filter_map(|params| params["url"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reference_shows_every_endpoint_and_requests_no_other_host() {
    let stack = Stack::start(Options { seed: false, ..Options::default() }).await.unwrap();
    let origin = stack.base_url();
    let profile = tempfile::tempdir().unwrap();
    let record = profile.path().join("requests.json");
    let (page, console) = shown(&format!("{origin}/docs"), profile.path(), &[&format!("--log-net-log={}", record.display())]);
    for endpoint in registry::all() {
        assert!(page.contains(endpoint.summary), "`{}` is not shown: {} bytes of page\n{console}", endpoint.summary, page.len());
    }
    let asked = asked_by(origin, &record);
    assert!(asked.contains(&format!("{origin}/v1/openapi.json")), "{asked:?}");
    assert!(asked.iter().all(|url| url.starts_with(&format!("{origin}/")) || url.starts_with("data:")), "{asked:?}");
    // It did not try either: the content security policy would have blocked and reported it.
    assert!(!console.contains("Content Security Policy"), "{console}");
    stack.stop().await.unwrap();
}

/// Signs in, registers a shipment, updates the version that it has read, and sends a request without a token. The page's text
/// contains the parts of the answers that it may read.
const PAGE: &str = r#"<!doctype html><title>A page of another origin</title><pre id="told">nothing</pre><script>
const told = document.getElementById("told");
const json = { "content-type": "application/json" };
(async () => {
    const post = (path, headers, body) => fetch("{api}" + path, { method: "POST", headers, body: JSON.stringify(body) });
    const login = await post("/v1/auth/login", json, { email: "{email}", password: "{password}" });
    const { access_token } = await login.json();
    const phi = { ...json, authorization: "Bearer " + access_token, "x-purpose-of-use": "TREAT" };
    const made = await post("/v1/shipments", { ...phi, "idempotency-key": "page-1" }, {create});
    const { shipment_id } = await made.json();
    const changed = await fetch("{api}/v1/shipments/" + shipment_id, { method: "PATCH", headers: { ...phi, "if-match": made.headers.get("etag") },
        body: '{"reference": "FROM-A-PAGE"}' });
    const nobody = await fetch("{api}/v1/me", { headers: { authorization: "Bearer none" } });
    const limit = changed.headers.get("ratelimit-limit") !== null && nobody.headers.get("x-correlation-id") !== null;
    told.textContent = ["told", login.status, made.status, changed.status, nobody.status, limit].join(" ");
})().catch((error) => told.textContent = "refused: " + error.name);
</script>"#;

/// Serves one page on its own port.
async fn serve(page: std::sync::Arc<std::sync::OnceLock<String>>) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            let _ = caller.read(&mut [0; 4096]).await;
            let page = page.get().map_or("", String::as_str);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                page.len()
            );
            let _ = caller.write_all((head + page).as_bytes()).await;
        }
    });
    origin
}

#[tokio::test(flavor = "multi_thread")]
async fn page_of_an_allowed_origin_uses_the_api_and_another_cannot() {
    let page = std::sync::Arc::default();
    let (allowed, other) = (serve(std::sync::Arc::clone(&page)).await, serve(std::sync::Arc::clone(&page)).await);
    let stack = Stack::start(Options { origins: vec![allowed.clone()], ..Options::default() }).await.unwrap();
    let create = registry::all().find(|endpoint| endpoint.name == "create_shipment").unwrap().sample.body.unwrap();
    let filled = PAGE
        .replace("{api}", stack.base_url())
        .replace("{email}", "marketer@acme-health.example")
        .replace("{password}", stack.password().unwrap())
        .replace("{create}", create);
    page.set(filled).unwrap();
    let profile = tempfile::tempdir().unwrap();
    let (text, console) = shown(&allowed, profile.path(), &[]);
    assert!(text.contains("told 200 201 200 401 true"), "{text}\n{console}");
    let (text, console) = shown(&other, profile.path(), &[]);
    assert!(text.contains("refused: TypeError"), "{text}\n{console}");
    stack.stop().await.unwrap();
}

#[test]
fn vendored_script_is_the_one_in_the_notice() {
    let script = include_bytes!("../assets/scalar.js");
    let sum: String =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, script).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert!(include_str!("../assets/NOTICE").contains(&sum), "{sum}");
}
