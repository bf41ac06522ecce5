//! Raises a tenant's rate limits on a local stack.

use axum::http::Method;
use common::store::RateLimit;
use local::{Stack, client::Client, sign_in};
use serde_json::json;
use std::{collections::BTreeMap, error::Error};

/// The highest multiple of its profile's rate limits that a tenant may set.
pub(crate) const MOST_TIMES: u32 = 10;

/// Sets a tenant's rate limits as high as its own administrator may. The limits still apply.
pub(crate) async fn raise(stack: &Stack, tenant: &str) -> Result<(), Box<dyn Error>> {
    let client = Client::new(stack.base_url());
    let email = format!("tenant_admin@{tenant}.example");
    let signed_in = sign_in(&client, stack.users(), &email, stack.password().unwrap_or_default()).await?;
    let token = signed_in.json["access_token"].as_str().ok_or_else(|| format!("no sign-in: {}", signed_in.text))?;
    let bearer = format!("Bearer {token}");
    let mut limits: BTreeMap<_, _> = RateLimit::PROFILES.map(|profile| (profile.name, profile.calls * MOST_TIMES)).into();
    limits.insert("tenant", 60_000);
    let id = stack.handover().tenants.get(tenant).ok_or("the stack lacks a tenant")?;
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), ("if-match", "*")];
    let path = format!("/v1/organizations/{id}/settings");
    let set = client.send(&Method::PUT, &path, &headers, json!({ "rate_limits": limits }).to_string()).await?;
    if set.status == 200 { Ok(()) } else { Err(format!("answered {}: {}", set.status, set.text).into()) }
}
