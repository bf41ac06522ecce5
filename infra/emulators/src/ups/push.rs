//! Track Alert's pushes: UPS calls its customer.
//!
//! One sender sends one push after the other, so that their order is kept. A push has three attempts and is then dropped, because
//! UPS keeps no history.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::server::Shared;

/// UPS's user agent.
pub const USER_AGENT: &str = "UPSPubSubTrackingService";

const ATTEMPTS: u32 = 3;
/// The pause after the first refusal; twice as long after the second. UPS does not document its own.
const PAUSE: Duration = Duration::from_millis(50);
/// The time limit of a token request, and of a push.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The destination of pushes. UPS's customers enter it in the portal, not in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// The URL that receives pushes.
    pub url: LocalUrl,
    /// The credential that UPS sends.
    #[serde(flatten)]
    pub credential: Credential,
}

/// A webhook's credential. UPS signs neither kind.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "credentialType")]
pub enum Credential {
    /// A fixed token.
    Bearer {
        /// The token.
        credential: String,
    },
    /// A token that UPS obtains by client credentials and HTTP Basic, and uses until it expires.
    OAuth {
        /// The token endpoint.
        token_url: LocalUrl,
        /// Also sent as `x-api-key`.
        client_id: String,
        /// The client's secret.
        client_secret: String,
    },
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bearer { .. } => f.write_str("Bearer(..)"),
            Self::OAuth { token_url, client_id, .. } => {
                f.debug_struct("OAuth").field("token_url", token_url).field("client_id", client_id).finish_non_exhaustive()
            }
        }
    }
}

/// An `http` URL of this machine: the emulator calls no other host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LocalUrl(Uri);

/// The text is not such a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an http URL of this machine")]
pub struct NotLocal(pub String);

impl FromStr for LocalUrl {
    type Err = NotLocal;

    fn from_str(text: &str) -> Result<Self, NotLocal> {
        let local = |uri: &Uri| uri.scheme_str() == Some("http") && matches!(uri.host(), Some("127.0.0.1" | "localhost"));
        text.parse().ok().filter(local).map(Self).ok_or_else(|| NotLocal(text.to_owned()))
    }
}

impl TryFrom<String> for LocalUrl {
    type Error = NotLocal;

    fn try_from(text: String) -> Result<Self, NotLocal> {
        text.parse()
    }
}

impl From<LocalUrl> for String {
    fn from(url: LocalUrl) -> Self {
        url.0.to_string()
    }
}

/// A pending push.
#[derive(Debug, Clone)]
pub(super) struct Posted {
    /// The webhook at the time of the event.
    pub(super) webhook: Webhook,
    pub(super) body: Value,
    /// The delay before the first attempt.
    pub(super) delay: Duration,
}

/// Sends pushes until all senders are dropped.
pub(super) async fn deliver(shared: Arc<Shared>, mut posted: UnboundedReceiver<Posted>, again: UnboundedSender<Posted>) {
    let mut sender = Sender { shared, hyper: Hyper::builder(TokioExecutor::new()).build_http(), token: None };
    while let Some(push) = posted.recv().await {
        if push.delay.is_zero() {
            sender.push(&push).await;
            continue;
        }
        let again = again.clone();
        tokio::spawn(async move {
            tokio::time::sleep(push.delay).await;
            // A stopped emulator sends no more.
            let _ = again.send(Posted { delay: Duration::ZERO, ..push });
        });
    }
}

struct Sender {
    shared: Arc<Shared>,
    hyper: Hyper<HttpConnector, Full<Bytes>>,
    /// The webhook, its token, and the token's expiry on the emulator's clock.
    token: Option<(Webhook, String, i64)>,
}

impl Sender {
    async fn push(&mut self, Posted { webhook, body, .. }: &Posted) {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(PAUSE * attempt).await;
            }
            if self.attempt(webhook, body).await.is_some() {
                self.shared.simulation().counters.totals.pushes_taken += 1;
                return;
            }
            self.shared.simulation().counters.totals.pushes_refused += 1;
        }
        self.shared.simulation().counters.totals.pushes_given_up += 1;
    }

    /// `None` if it was refused for any reason: UPS reports no reason either.
    async fn attempt(&mut self, webhook: &Webhook, body: &Value) -> Option<()> {
        let token = self.token(webhook).await?;
        let mut request = Request::post(&webhook.url.0)
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        if let Credential::OAuth { client_id, .. } = &webhook.credential {
            request = request.header("x-api-key", client_id);
        }
        let (status, _) = self.send(request.body(Full::from(body.to_string())).ok()?).await?;
        if status == StatusCode::UNAUTHORIZED {
            self.token = None;
        }
        status.is_success().then_some(())
    }

    async fn token(&mut self, webhook: &Webhook) -> Option<String> {
        let (token_url, client_id, client_secret) = match &webhook.credential {
            Credential::Bearer { credential } => return Some(credential.clone()),
            Credential::OAuth { token_url, client_id, client_secret } => (token_url, client_id, client_secret),
        };
        let now = self.shared.simulation().now();
        if let Some((of, token, until)) = &self.token
            && of == webhook
            && now < *until
        {
            return Some(token.clone());
        }
        let basic = STANDARD.encode(format!("{client_id}:{client_secret}"));
        let request = Request::post(&token_url.0)
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::AUTHORIZATION, format!("Basic {basic}"))
            .body(Full::from("grant_type=client_credentials"));
        let (status, answer) = self.send(request.ok()?).await?;
        let answer: Value = serde_json::from_slice(&answer).ok().filter(|_| status.is_success())?;
        let token = answer["access_token"].as_str()?.to_owned();
        // A number by RFC 6749; a string from servers that copy UPS.
        let lives = answer["expires_in"].as_i64().or_else(|| answer["expires_in"].as_str()?.parse().ok()).unwrap_or(0);
        self.token = Some((webhook.clone(), token.clone(), now.saturating_add(lives.saturating_mul(1000))));
        self.shared.simulation().counters.totals.webhook_tokens += 1;
        Some(token)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Option<(StatusCode, Bytes)> {
        let exchange = async {
            let answer = self.hyper.request(request).await.ok()?;
            let status = answer.status();
            let body = answer.into_body().collect().await.ok()?;
            Some((status, body.to_bytes()))
        };
        tokio::time::timeout(TIMEOUT, exchange).await.ok()?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhook_on_another_host_is_refused() {
        for elsewhere in ["https://127.0.0.1/x", "http://example.com/", "http://127.0.0.1.example.com/", "/path", ""] {
            assert_eq!(elsewhere.parse::<LocalUrl>(), Err(NotLocal(elsewhere.to_owned())));
        }
        assert!("http://127.0.0.1:9/v1/webhooks/ups".parse::<LocalUrl>().is_ok());
    }
}
