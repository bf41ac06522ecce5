//! Signs in at a running stack as a seeded user: with the password, and with the seed's authenticator.

use crate::{
    User,
    client::{Answer, Client, NoAnswer},
};
use axum::http::Method;
use common::base::{Clock, SystemClock};
use serde_json::json;
use std::time::Duration;

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// Signs in. Returns the answer with the tokens, or the error answer.
///
/// # Errors
/// [`NoAnswer`].
pub async fn sign_in(client: &Client, users: &[User], email: &str, password: &str) -> Result<Answer, NoAnswer> {
    let body = json!({ "email": email, "password": password }).to_string();
    let mut answer = client.send(&Method::POST, "/v1/auth/login", &JSON, body).await?;
    let user = users.iter().find(|user| user.email == email);
    if answer.json["challenge"] != "TOTP" {
        return Ok(answer);
    }
    let session = answer.json["session"].clone();
    // A code works once: if this step's code was just used, the next step's is already accepted.
    for ahead in [0, 30] {
        let Some(code) = user.and_then(|user| user.code_at(SystemClock.now().plus(Duration::from_secs(ahead)))) else { break };
        let body = json!({ "challenge": "TOTP", "session": session, "code": code }).to_string();
        answer = client.send(&Method::POST, "/v1/auth/challenge", &JSON, body).await?;
        if answer.status == 200 {
            break;
        }
    }
    Ok(answer)
}
