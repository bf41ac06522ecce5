//! `cargo xtask demo`: plays the main use cases against a running stack and prints each step.

mod parcel;
mod proof;
mod tour;

use crate::{Outcome, dev, paint::Paint};
use axum::http::Method;
use local::{Handover, TENANTS, client::NoAnswer};
use serde_json::{Value, json};
use shipments::tracking_number::{Classified, TrackingNumber};
use std::{path::PathBuf, process::ExitCode};
use tour::{Step, Tour};

/// Plays the main use cases against a running stack: requests, a parcel that moves, and the audit log's proof
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The running stack's port [default: the port in the data directory]
    #[arg(long)]
    port: Option<u16>,
    /// The running stack's data directory [default: .cloister/data in the workspace]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> Outcome {
    let mut handover = Handover::read(&args.data_dir.unwrap_or_else(dev::default_data_dir))?;
    if let Some(port) = args.port {
        handover.base_url = format!("http://127.0.0.1:{port}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut tour = Tour::new(handover, Paint::of_stdout())?;
        let played = play(&mut tour).await;
        let as_expected = tour.end();
        played?;
        Ok(if as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

async fn play(tour: &mut Tour) -> Result<(), NoAnswer> {
    let [acme, birch] = TENANTS;
    let number = fresh_number();
    let registration = json!({
        "tracking_number": number,
        "reference": "ORDER-1001",
        "recipient": {
            "name": "Ada Sample",
            "phone": "+15555550100",
            "address": {"line1": "100 Example Street", "city": "Springfield", "state": "IL", "postal_code": "62701", "country": "US"},
        },
        "contents": "Blood pressure monitor",
    });

    tour.chapter("A marketer of acme-health registers a patient's shipment");
    let token = sign_in(tour, "marketer", acme).await?;
    tour.play(
        Step::get("/v1/me", 200).what("Show the caller; the tenant comes from the membership, not from the token").by(&token),
    )
    .await?;
    let create = |what, status, code, key| {
        Step::post("/v1/shipments", status)
            .what(what)
            .by(&token)
            .phi()
            .header("idempotency-key", key)
            .body(&registration)
            .code(code)
    };
    let key = format!("first-{number}");
    let created = tour.play(create("Register a shipment", 201, "", &key)).await?;
    let id = text(&created.json, "shipment_id");
    let path = format!("/v1/shipments/{id}");
    tour.play(create("Repeat with the same key after a lost answer: same answer, nothing is done twice", 201, "", &key)).await?;
    let other_key = format!("second-{number}");
    let what = "The same number under another key is a duplicate";
    tour.play(create(what, 409, "duplicate_tracking_number", &other_key)).await?;

    tour.chapter("She finds it again");
    tour.play(Step::get("/v1/shipments?limit=2", 200).what("List, newest first").by(&token).phi()).await?;
    let search =
        Step::post("/v1/shipments/search", 200).what("Search by the number; no URL and no table contains it in plain text");
    let found = tour.play(search.by(&token).phi().body(&json!({ "tracking_number": number }))).await?;
    tour.check(found.json["items"][0]["shipment_id"] == id.as_str(), "the search finds the shipment");

    tour.chapter("She updates the version that she has seen, and no other");
    let change = json!({ "reference": "ORDER-1002" });
    let version = seen_version(tour, &path, &token).await?;
    let update = |what, status, code| {
        Step::new(Method::PATCH, &path, status).what(what).by(&token).phi().header("if-match", &version).body(&change).code(code)
    };
    tour.play(update("Update the version that she has seen", 200, "")).await?;
    tour.play(update("Update that version again, although there is a newer one", 412, "precondition_failed")).await?;

    tour.chapter("A batch: each item succeeds or fails by itself");
    let second = fresh_number();
    let mut good = registration.clone();
    good["tracking_number"] = second.as_str().into();
    let mut wrong = registration.clone();
    wrong["tracking_number"] = "123".into();
    let batch = Step::post("/v1/shipments/batch", 200).what("Two shipments, of which one has no UPS number").by(&token).phi();
    let batch_key = format!("batch-{number}");
    let batch = batch.header("idempotency-key", &batch_key).body(&json!({ "shipments": [good, wrong] }));
    let done = tour.play(batch).await?;
    tour.check(done.json["succeeded"] == 1 && done.json["failed"] == 1, "one is registered and one is refused");

    tour.chapter("Others");
    let stranger = sign_in(tour, "marketer", birch).await?;
    tour.play(Step::get(&path, 404).what("A marketer of birch-clinic cannot find it").by(&stranger).phi().code("not_found"))
        .await?;
    let viewer = sign_in(tour, "viewer", acme).await?;
    tour.play(Step::get(&path, 200).what("A viewer of acme-health sees it").by(&viewer).phi()).await?;
    let refused = Step::post("/v1/shipments", 403).what("but may not register one").by(&viewer).phi().code("forbidden");
    tour.play(refused.header("idempotency-key", &format!("viewer-{number}")).body(&registration)).await?;
    tour.play(Step::get(&path, 401).what("A request without a token learns nothing").code("unauthenticated")).await?;

    let batched = text(&done.json["items"][0]["result"], "shipment_id");
    let batched = format!("/v1/shipments/{batched}");
    let admin = sign_in(tour, "tenant_admin", acme).await?;
    let people = parcel::People { marketer: &token, colleague: &admin };
    let mut socket = parcel::open_socket(tour, people).await?;
    parcel::arrives(tour, people, &mut socket, &parcel::Parcel { number: &number, path: &path }).await?;
    parcel::is_stuck(tour, people, &mut socket, &parcel::Parcel { number: &second, path: &batched }).await?;
    parcel::is_mailed(tour, [&number, &second]).await?;

    tour.chapter("An auditor verifies all of this");
    let auditor = sign_in(tour, "auditor", acme).await?;
    proof::play(tour, &auditor).await?;

    tour.chapter("The end");
    for (what, path) in [("Void the first and release its number", &path), ("and the second", &batched)] {
        let version = seen_version(tour, path, &token).await?;
        let void = Step::post(&format!("{path}/void"), 200).what(what).by(&token).phi().header("if-match", &version);
        tour.play(void).await?;
    }
    tour.play(Step::post("/v1/auth/logout", 204).what("Sign out").by(&token)).await?;
    let dead = "The token is rejected at once, although it has not expired and the gateway has cached it";
    tour.play(Step::get(&path, 401).what(dead).by(&token).phi().code("unauthenticated")).await?;
    parcel::closes(tour, socket).await;
    Ok(())
}

/// The version of the item, in the form of `If-Match`.
async fn seen_version(tour: &Tour, path: &str, token: &str) -> Result<String, NoAnswer> {
    let answer = tour.quietly(Step::get(path, 200).by(token).phi()).await?;
    Ok(answer.header("etag").unwrap_or_default().to_owned())
}

async fn sign_in(tour: &mut Tour, role: &str, tenant: &str) -> Result<String, NoAnswer> {
    let email = format!("{role}@{tenant}.example");
    let what = format!("Sign in as {email}");
    let credentials = json!({ "email": email, "password": tour.password() });
    let mut answer = tour.play(Step::post("/v1/auth/login", 200).what(&what).body(&credentials)).await?;
    if answer.json["challenge"] == "TOTP" {
        let code = tour.code(&email);
        let body = json!({ "challenge": "TOTP", "session": answer.json["session"], "code": code });
        let what = "and send the authenticator's code, without which no token is issued";
        answer = tour.play(Step::post("/v1/auth/challenge", 200).what(what).body(&body)).await?;
    }
    Ok(text(&answer.json, "access_token"))
}

fn text(json: &Value, name: &str) -> String {
    json[name].as_str().unwrap_or_default().to_owned()
}

/// A number with a right check digit that no earlier run has used.
fn fresh_number() -> String {
    let digits: String = common::base::random::bytes::<7>().iter().map(|b| char::from(b'0' + b % 10)).collect();
    let body = format!("1ZDEMO0101{digits}");
    match TrackingNumber::classify(&format!("{body}0")) {
        Classified::BadCheckDigit { expected, .. } => format!("{body}{expected}"),
        Classified::Valid(_) | Classified::NotUps => format!("{body}0"),
    }
}

/// The members of a shipment that are printed.
const SHIPMENT: [&str; 5] = ["shipment_id", "tracking_number", "reference", "status", "version"];
const NOTIFICATION: [&str; 4] = ["seq", "kind", "subject", "read"];
const SCAN: [&str; 4] = ["occurred_at", "status", "description", "location"];
const PREFERENCES: [&str; 3] = ["digest", "quiet_hours", "time_zone"];
/// The members of a problem that are printed besides its status.
const PROBLEM: [&str; 3] = ["code", "detail", "errors"];

/// The printed form of a value: passwords are left out, tokens are cut, and long objects show the members that identify them.
fn shown(value: &Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > 60 => {
            let most = if text.contains(' ') { 60 } else { 16 };
            format!("{}…", text.chars().take(most).collect::<String>()).into()
        }
        Value::Array(items) => items.iter().map(shown).collect(),
        Value::Object(members) => {
            let chosen: Option<&[&str]> = match () {
                () if members.contains_key("shipment_id") => Some(&SHIPMENT),
                () if members.contains_key("event_id") => Some(&NOTIFICATION),
                () if members.contains_key("carrier_type") => Some(&SCAN),
                () if members.contains_key("channels") => Some(&PREFERENCES),
                () if members.contains_key("correlation_id") => Some(&PROBLEM),
                () => None,
            };
            let shows = |name: &str, value: &Value| !value.is_null() && chosen.is_none_or(|chosen| chosen.contains(&name));
            let left_out = members.iter().filter(|(name, value)| !shows(name, value)).count();
            let mut kept: serde_json::Map<_, _> = members
                .iter()
                .filter(|(name, value)| shows(name, value))
                .map(|(name, value)| (name.clone(), if name == "password" { "…".into() } else { shown(value) }))
                .collect();
            if chosen == Some(&SHIPMENT) {
                kept.insert("…".to_owned(), format!("{left_out} more").into());
            }
            kept.into()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_number_has_a_valid_check_digit() {
        for _ in 0..20 {
            assert!(matches!(TrackingNumber::classify(&fresh_number()), Classified::Valid(_)));
        }
    }

    #[test]
    fn shipment_and_problem_are_shown_in_one_line() {
        let shipment = json!({"shipment_id": "shp_1", "status": "UNKNOWN", "eta": null, "contents": "x"});
        assert_eq!(shown(&shipment), json!({"shipment_id": "shp_1", "status": "UNKNOWN", "…": "2 more"}));
        let problem = json!({"type": "https://x", "code": "not_found", "correlation_id": "1"});
        assert_eq!(shown(&problem), json!({"code": "not_found"}));
    }

    #[test]
    fn passwords_and_tokens_are_not_shown() {
        let value = json!({"password": "secret", "items": [{"access_token": "x".repeat(100)}], "short": "kept"});
        assert_eq!(
            shown(&value),
            json!({"password": "…", "items": [{"access_token": format!("{}…", "x".repeat(16))}], "short": "kept"})
        );
    }
}
