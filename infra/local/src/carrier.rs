//! UPS: the emulator on this machine, or UPS itself with a real account.

use crate::{
    Error,
    calls::{Calls, SECRETS},
    client::Client,
};
use axum::{
    Router,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::any,
};
use common::base::random;
use emulators::{
    Ups, UpsOptions,
    ups::{Credential, Speed, Webhook},
};
use serde_json::{Value, json};
use std::{fmt, net::SocketAddr};

/// The provider of UPS's API.
#[derive(Clone, Debug)]
pub enum Carrier {
    /// The emulator. With a speed, packages move automatically, so many times faster than real.
    StandIn { speed: Option<Speed> },
    /// UPS itself, with real data: track only your own numbers.
    Real(Account),
}

/// An account at UPS.
#[derive(Clone)]
pub struct Account {
    pub client_id: String,
    pub client_secret: String,
    /// UPS's production URL, or `https://wwwcie.ups.com`, its test environment.
    pub base_url: String,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// The running provider.
#[derive(Debug)]
pub(crate) enum Running {
    StandIn(Ups),
    /// The account is in the emulated secret while the stack runs.
    Real {
        aws: Box<Calls>,
        secret: String,
    },
}

impl Running {
    /// Writes the secret that the functions read, and starts the emulator if it is used. `gateway` receives its pushes. Also
    /// returns UPS's URL.
    ///
    /// # Errors
    /// [`Error::Config`] if the secret cannot be read or written; [`Error::Emulator`] if no port is free.
    pub(crate) async fn start(
        carrier: &Carrier,
        aws: &Calls,
        secret: &str,
        gateway: SocketAddr,
    ) -> Result<(Self, String), Error> {
        let account = match carrier {
            Carrier::StandIn { .. } => json!({
                "client_id": "local-stack",
                "client_secret": generated(),
                "webhook_client_id": "ups-stand-in",
                "webhook_client_secret": generated(),
            }),
            Carrier::Real(account) => json!({ "client_id": account.client_id, "client_secret": account.client_secret }),
        };
        fill(aws, secret, &account).await?;
        let speed = match carrier {
            Carrier::Real(account) => {
                let running = Self::Real { aws: Box::new(aws.clone()), secret: secret.to_owned() };
                return Ok((running, account.base_url.clone()));
            }
            Carrier::StandIn { speed } => *speed,
        };
        let text = |name: &str| account[name].as_str().unwrap_or_default().to_owned();
        let url = |path: &str| format!("http://{gateway}{path}").parse().map_err(|e| Error::Config(format!("{e}")));
        let mut options = UpsOptions::new(text("client_id"), text("client_secret"));
        options.auto_create = true;
        options.speed = speed;
        options.webhook = Some(Webhook {
            url: url("/v1/webhooks/ups")?,
            credential: Credential::OAuth {
                token_url: url("/v1/webhooks/ups/token")?,
                client_id: text("webhook_client_id"),
                client_secret: text("webhook_client_secret"),
            },
        });
        let ups = Ups::start(options)?;
        let endpoint = ups.endpoint();
        Ok((Self::StandIn(ups), endpoint))
    }

    /// The emulator's control routes, below `/_ups/`.
    pub(crate) fn router(&self) -> Router {
        match self {
            Self::StandIn(ups) => Router::new().route("/_ups/{what}", any(forward)).with_state(Client::new(ups.endpoint())),
            Self::Real { .. } => Router::new(),
        }
    }

    /// Removes a real account from the stored secret.
    pub(crate) async fn forget_account(&self) {
        let Self::Real { aws, secret } = self else { return };
        if let Err(error) = fill(aws, secret, &json!({ "client_id": "not-set", "client_secret": "not-set" })).await {
            eprintln!("the account at UPS is still in the data directory: {error}");
        }
    }

    /// Stops the emulator, which may wait for its open connections.
    pub(crate) async fn stop(self) {
        if let Self::StandIn(ups) = self {
            // Nothing depends on how it ends.
            let _ = tokio::task::spawn_blocking(|| ups.stop()).await;
        }
    }
}

async fn fill(aws: &Calls, secret: &str, value: &Value) -> Result<(), Error> {
    let input = json!({ "SecretId": secret, "SecretString": value.to_string() });
    aws.call(SECRETS, "PutSecretValue", &input).await.map(drop).map_err(|e| Error::Config(e.to_string()))
}

fn generated() -> String {
    random::bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn forward(State(ups): State<Client>, Path(what): Path<String>, request: Request) -> Response {
    let method = request.method().clone();
    let Ok(body) = axum::body::to_bytes(request.into_body(), 64 * 1024).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    match ups.send(&method, &format!("/_control/{what}"), &[("content-type", "application/json")], body).await {
        Ok(answer) => {
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
            (status, [("content-type", "application/json")], answer.text).into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
