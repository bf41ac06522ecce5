//! Client credentials: <https://developer.ups.com>, OAuth Client Credentials.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::dice::Dice;
use super::reply::Reply;

/// In seconds: 4 hours minus one second.
const LIFE: i64 = 14_399;

#[derive(Debug)]
pub(super) struct Tokens {
    client_id: String,
    secret: String,
    seed: u64,
    issued: u64,
    /// The valid tokens and their expiry, in milliseconds since the epoch.
    ends: BTreeMap<String, i64>,
}

impl Tokens {
    pub(super) fn new(client_id: String, secret: String, seed: u64) -> Self {
        Self { client_id, secret, seed, issued: 0, ends: BTreeMap::new() }
    }

    /// Refuses the old secret from now on; tokens that it obtained stay valid.
    pub(super) fn rotate(&mut self, secret: String) {
        self.secret = secret;
    }

    /// Expires every token.
    pub(super) fn revoke(&mut self) {
        for end in self.ends.values_mut() {
            *end = i64::MIN;
        }
    }

    /// Answers a token request.
    pub(super) fn issue(&mut self, headers: &HeaderMap, form: &[u8], now: i64) -> Reply {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let pair = given.strip_prefix("Basic ").and_then(|encoded| STANDARD.decode(encoded).ok());
        if pair != Some(format!("{}:{}", self.client_id, self.secret).into_bytes()) {
            return refused_client();
        }
        if !form_urlencoded::parse(form).any(|(name, value)| name == "grant_type" && value == "client_credentials") {
            // The contract has a 400 here but no code for it.
            return Reply::error(StatusCode::BAD_REQUEST, "10400", "Invalid/Missing grant_type");
        }
        self.issued += 1;
        let token = format!("synthetic-{}-{:016x}", self.issued, Dice::new(self.seed, "token", self.issued).draw());
        self.ends.insert(token.clone(), now + LIFE * 1000);
        Reply::ok(&json!({
            "token_type": "Bearer",
            "issued_at": now.to_string(),
            "client_id": self.client_id,
            "access_token": token,
            "scope": "",
            "expires_in": LIFE.to_string(),
            "refresh_count": "0",
            "status": "approved",
        }))
    }

    /// Refuses a call without a valid token.
    pub(super) fn check(&self, headers: &HeaderMap, now: i64) -> Result<(), Reply> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match given.strip_prefix("Bearer ").and_then(|token| self.ends.get(token)) {
            None => Err(refused_token()),
            Some(end) if *end <= now => Err(Reply::error(StatusCode::UNAUTHORIZED, "251004", "Bearer Token expired")),
            Some(_) => Ok(()),
        }
    }
}

pub(super) fn refused_client() -> Reply {
    Reply::error(StatusCode::UNAUTHORIZED, "250002", "Invalid Authentication Information.")
}

pub(super) fn refused_token() -> Reply {
    Reply::error(StatusCode::UNAUTHORIZED, "UJ0001", "Invalid token or token is not present.")
}
