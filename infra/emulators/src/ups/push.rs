//! Track Alert's other half: UPS calls its customer.
//!
//! One sender, one push after the other, so that their order is what it was told to be. A push has three attempts; then it is
//! forgotten, as UPS keeps no history.

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

/// How UPS names itself to a webhook.
pub const USER_AGENT: &str = "UPSPubSubTrackingService";

const ATTEMPTS: u32 = 3;
/// After the first refusal; twice as long after the second. UPS's own pauses are not documented.
const PAUSE: Duration = Duration::from_millis(50);
/// For a token, and for a push.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where pushes go. UPS's customers enter this in the portal, not in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Takes the pushes.
    pub url: LocalUrl,
    /// What UPS shows there.
    #[serde(flatten)]
    pub credential: Credential,
}

/// A webhook's credential. There is no signature in either.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "credentialType")]
pub enum Credential {
    /// A fixed token.
    Bearer {
        /// The token.
        credential: String,
    },
    /// A token that UPS fetches, by client credentials and HTTP Basic, and uses until it ends.
    OAuth {
        /// Gives the token.
        token_url: LocalUrl,
        /// Also sent as `x-api-key`.
        client_id: String,
        /// What proves the client.
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

/// `http` to this machine: the stand-in calls nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LocalUrl(Uri);

/// The text is no such URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no http URL of this machine")]
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

/// A push on its way.
#[derive(Debug, Clone)]
pub(super) struct Posted {
    /// The one that was entered when it was posted.
    pub(super) webhook: Webhook,
    pub(super) body: Value,
    /// Before the first attempt.
    pub(super) delay: Duration,
}

/// Sends what is posted, until nobody can post any more.
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
            // A stand-in that has stopped pushes no more.
            let _ = again.send(Posted { delay: Duration::ZERO, ..push });
        });
    }
}

struct Sender {
    shared: Arc<Shared>,
    hyper: Hyper<HttpConnector, Full<Bytes>>,
    /// Of which webhook, and until when on the stand-in's clock.
    token: Option<(Webhook, String, i64)>,
}

impl Sender {
    async fn push(&mut self, Posted { webhook, body, .. }: &Posted) {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(PAUSE * attempt).await;
            }
            if self.attempt(webhook, body).await.is_some() {
                self.shared.world().counters.totals.pushes_taken += 1;
                return;
            }
            self.shared.world().counters.totals.pushes_refused += 1;
        }
        self.shared.world().counters.totals.pushes_given_up += 1;
    }

    /// `None` where it was not taken, for whatever reason: UPS does not tell anybody either.
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
        let now = self.shared.world().now();
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
        // A number by RFC 6749; a string where somebody copies UPS.
        let lives = answer["expires_in"].as_i64().or_else(|| answer["expires_in"].as_str()?.parse().ok()).unwrap_or(0);
        self.token = Some((webhook.clone(), token.clone(), now.saturating_add(lives.saturating_mul(1000))));
        self.shared.world().counters.totals.webhook_tokens += 1;
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
    fn a_webhook_elsewhere_is_refused() {
        for elsewhere in ["https://127.0.0.1/x", "http://example.com/", "http://127.0.0.1.example.com/", "/path", ""] {
            assert_eq!(elsewhere.parse::<LocalUrl>(), Err(NotLocal(elsewhere.to_owned())));
        }
        assert!("http://127.0.0.1:9/v1/webhooks/ups".parse::<LocalUrl>().is_ok());
    }
}
