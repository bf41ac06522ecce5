//! Subscriptions to Track Alert, version 2: <https://developer.ups.com>, Track Alert.
//!
//! In this version the request contains no destination: the account has the webhook and its credentials
//! ([`Webhook`](super::Webhook)). UPS does not document in which order it checks a request.

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::reply::Reply;
use super::server::header_text;
use super::simulation::{SUBSCRIBED_FOR, Simulation, Subscription, is_1z};

/// The most numbers in one call.
const NUMBERS_MAX: usize = 100;
const TYPES: [&str; 2] = ["standard", "enhanced"];
const PREFERENCES: [&str; 4] = ["D", "I", "M", "X"];

pub(super) fn subscribe(simulation: &mut Simulation, kind: &str, headers: &HeaderMap, body: &[u8]) -> Reply {
    match parse(kind, headers, body) {
        Err(refusal) => refusal,
        Ok(Request { valid, invalid, preferences }) => {
            let until = simulation.now() + SUBSCRIBED_FOR;
            for number in &valid {
                simulation.meet(number);
                let subscription = Subscription { until, enhanced: kind == "enhanced", preferences: preferences.clone() };
                simulation.subscriptions.insert(number.clone(), subscription);
            }
            let mut answer = json!({ "validTrackingNumbers": valid });
            // UPS's own example omits an empty list.
            if !invalid.is_empty() {
                answer["invalidTrackingNumbers"] = invalid.into();
            }
            Reply::ok(&answer)
        }
    }
}

struct Request {
    valid: Vec<String>,
    invalid: Vec<String>,
    preferences: Vec<String>,
}

fn parse(kind: &str, headers: &HeaderMap, body: &[u8]) -> Result<Request, Reply> {
    if header_text(headers, "transId").is_empty() {
        return Err(refused("VSS002", "Missing transId"));
    }
    if header_text(headers, "transactionSrc").is_empty() {
        return Err(refused("VSS004", "Missing transactionSrc"));
    }
    if !TYPES.contains(&kind) {
        return Err(rejected("VSS930", "Type is missing or invalid,"));
    }
    if !header_text(headers, header::CONTENT_TYPE.as_str()).starts_with("application/json") {
        return Err(refused("10007", "Requested Content Type is not supported"));
    }
    if body.trim_ascii().is_empty() {
        return Err(rejected("VSS110", "Subscription request is empty or not present."));
    }
    let Ok(request @ Value::Object(_)) = serde_json::from_slice::<Value>(body) else {
        return Err(rejected("VSS000", "Invalid request and"));
    };
    check_place(&request)?;
    let Some(numbers) = request["trackingNumberList"].as_array().filter(|numbers| !numbers.is_empty()) else {
        return Err(rejected("VSS200", "Tracking Number List is required."));
    };
    if numbers.len() > NUMBERS_MAX {
        let message = "You have submitted over 100 tracking numbers which is not allowed. The entire submission of tracking \
                       numbers has been rejected.  Please resubmit your request again using groups of no more than 100 \
                       tracking numbers.";
        return Err(refused("VSS220", message));
    }
    let text = |number: &Value| number.as_str().map_or_else(|| number.to_string(), str::to_owned);
    let (valid, invalid): (Vec<_>, Vec<_>) = numbers.iter().map(text).partition(|number| is_subscribable(number));
    if valid.is_empty() {
        let refusal = rejected("VSS210", "The Subscription request should have at least one valid tracking number.");
        return Err(refusal.with("invalidTrackingNumbers", invalid.into()));
    }
    // A standard subscription ignores preferences.
    let preferences = match request["eventPreferences"].as_array() {
        Some(kinds) if kind == "enhanced" => kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    if preferences.iter().any(|wanted| !PREFERENCES.contains(&wanted.as_str())) {
        return Err(rejected("VSS000", "Invalid request and"));
    }
    Ok(Request { valid, invalid, preferences })
}

fn check_place(request: &Value) -> Result<(), Reply> {
    let locale = request["locale"].as_str().unwrap_or_default();
    if locale.is_empty() {
        return Err(rejected("VSS300", "Locale is required."));
    }
    if locale != "en_US" {
        return Err(refused("VSS310", "Please enter a valid locale. The Subscription request has been rejected"));
    }
    let country = request["countryCode"].as_str();
    if country.is_some_and(|code| code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_uppercase())) {
        return Err(rejected("VSS400", "Please enter a valid country code."));
    }
    Ok(())
}

/// `1Z` and 16, or `1R` and 14 or 26 capital letters and digits.
fn is_subscribable(number: &str) -> bool {
    let rest = number.strip_prefix("1R").filter(|rest| matches!(rest.len(), 14 | 26));
    is_1z(number) || rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()))
}

fn rejected(code: &str, message: &str) -> Reply {
    refused(code, &format!("{message} The Subscription request has been rejected."))
}

fn refused(code: &str, message: &str) -> Reply {
    Reply::error(StatusCode::BAD_REQUEST, code, message)
}
