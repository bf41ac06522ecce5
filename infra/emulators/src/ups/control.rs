//! The emulator's own routes, below `/_control/`, which UPS does not have. Each corresponds to the method of [`Ups`](super::Ups)
//! with that name.
//!
//! ```text
//! POST   advance     {"tracking_number": "1Z…", "status": "DELIVERED"}      what UPS says now
//! GET    packages                                                        {"packages": […]}
//! POST   faults      {"fault": "rate_limited", "next": 3, "on": "track"}    {"faults": […]}
//! GET    faults                                                          {"faults": […]}
//! DELETE faults                                                          {"faults": []}
//! POST   revoke                                                          {}
//! POST   webhook     {"url": "http://127.0.0.1:…", "credentialType": "OAuth", …}   {}
//! DELETE webhook                                                         {}
//! POST   play        {"speed": 600}                                       {}
//! GET    statistics                                                      its counters
//! ```
//! A refusal is 400 with `{"error": "…"}`.

use axum::http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::fault::Rule;
use super::push::Webhook;
use super::reply::Reply;
use super::server::Shared;
use super::simulation::Simulation;
use super::speed::Speed;

#[derive(Debug, Deserialize)]
struct Advance {
    tracking_number: String,
    status: String,
}

#[derive(Debug, Deserialize)]
struct Play {
    speed: Speed,
}

pub(super) fn answer(shared: &Shared, method: &Method, what: &str, body: &[u8]) -> Reply {
    match carry_out(&mut shared.simulation(), method, what, body) {
        Ok(Some(answer)) => Reply::ok(&answer),
        Ok(None) => Reply::new(StatusCode::NOT_FOUND, json!({ "error": format!("there is no `{method} {what}`") })),
        Err(error) => Reply::new(StatusCode::BAD_REQUEST, json!({ "error": error })),
    }
}

fn carry_out(simulation: &mut Simulation, method: &Method, what: &str, body: &[u8]) -> Result<Option<Value>, String> {
    match (method.as_str(), what) {
        ("POST", "advance") => {
            let Advance { tracking_number, status } = parse(body)?;
            let seen = simulation.advance(&tracking_number, &status).map_err(|refused| refused.to_string())?;
            return Ok(Some(json!(seen)));
        }
        ("GET", "packages") => return Ok(Some(json!({ "packages": simulation.seen_all() }))),
        ("GET", "statistics") => return Ok(Some(json!(simulation.counters.totals))),
        ("POST", "faults") => simulation.faults.add(parse::<Rule>(body)?).map_err(|refused| refused.to_string())?,
        ("DELETE", "faults") => simulation.faults.clear(),
        ("GET", "faults") => {}
        ("POST", "revoke") => simulation.tokens.revoke(),
        ("POST", "webhook") => simulation.webhook = Some(parse::<Webhook>(body)?),
        ("DELETE", "webhook") => simulation.webhook = None,
        ("POST", "play") => simulation.play(parse::<Play>(body)?.speed),
        _ => return Ok(None),
    }
    Ok(Some(if what == "faults" { json!({ "faults": simulation.faults.rules() }) } else { json!({}) }))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}
