//! The carrier, UPS: its client, and our credentials there.

use crate::{
    aws::{Aws, errors::unavailable},
    base::{Config, Error, Result, Timestamp, error::Cause},
};
use phi::Zeroizing;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};
use ups::{Client, Token};

const SERVICE: &str = "secretsmanager";
/// Our name in requests to UPS.
const SOURCE: &str = "cloister";
/// The time for which the secret is cached.
const SECRET_FOR: Duration = Duration::from_secs(5 * 60);

/// The objects that the functions for the carrier share in a process.
pub(crate) struct Carrier {
    pub(crate) client: Client,
    pub(crate) aws: Aws,
    secrets: aws_sdk_secretsmanager::Client,
    secret_id: String,
    /// Whether the last call found the token bucket in use. It determines the branch that is tried first.
    pub(crate) busy: AtomicBool,
    secret: Mutex<Option<(Timestamp, Arc<CarrierSecret>)>>,
    /// Locked during a search for the token, so that a process searches once.
    pub(crate) token: tokio::sync::Mutex<Option<CarrierToken>>,
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier").field("client", &self.client).finish_non_exhaustive()
    }
}

/// The content of the secret: our credentials at UPS, and UPS's credentials for its pushes.
pub(crate) struct CarrierSecret {
    ups: ups::Secret,
    webhook: Option<(String, Zeroizing<String>)>,
}

impl CarrierSecret {
    /// A JSON object: the members of [`ups::Secret`], and `webhook_client_id` and `webhook_client_secret` if UPS was given some.
    fn parse(text: &str) -> Result<Self> {
        let refused = || Error::internal_because("carrier secret", Cause::code("not the json object expected"));
        let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|_| refused())?;
        let mut take = |name: &str| match object.remove(name) {
            Some(serde_json::Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        let webhook = take("webhook_client_id").zip(take("webhook_client_secret").map(Zeroizing::new));
        let rest = Zeroizing::new(serde_json::to_vec(&object).map_err(|_| refused())?);
        Ok(Self { ups: ups::Secret::parse(&rest).map_err(|_| refused())?, webhook })
    }

    /// Whether these are the credentials that UPS was given for its pushes.
    pub(crate) fn is_the_carrier(&self, id: &str, secret: &str) -> bool {
        let same = |a: &str, b: &str| aws_lc_rs::constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok();
        self.webhook.as_ref().is_some_and(|(own_id, own)| same(own_id, id) & same(own, secret))
    }
}

/// A token and its generation, which counts the fetched tokens.
#[derive(Clone)]
pub(crate) struct CarrierToken {
    pub(crate) token: Token,
    pub(crate) generation: i64,
}

impl Carrier {
    /// # Errors
    /// If the carrier's address is invalid.
    pub(crate) fn new(aws: &Aws, config: &Config) -> std::result::Result<Self, String> {
        Ok(Self {
            client: Client::new(&config.ups_url, SOURCE).map_err(|e| format!("`CLOISTER_UPS_URL`: {e}"))?,
            aws: aws.clone(),
            secrets: aws.secrets(),
            secret_id: config.ups_secret.clone(),
            busy: AtomicBool::default(),
            secret: Mutex::default(),
            token: tokio::sync::Mutex::default(),
        })
    }

    /// The secret, and whether it was read just now.
    pub(crate) async fn known(&self, now: Timestamp, anew: bool) -> Result<(Arc<CarrierSecret>, bool)> {
        let lock = || self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |read: &Timestamp| *read <= now && now.since(*read) < SECRET_FOR;
        if let Some((_, known)) = lock().as_ref().filter(|(read, _)| !anew && fresh(read)) {
            return Ok((known.clone(), false));
        }
        let answer = self.secrets.get_secret_value().secret_id(&self.secret_id).send().await.map_err(unavailable(SERVICE))?;
        let text = Zeroizing::new(answer.secret_string.ok_or(Error::internal("carrier secret"))?);
        let known = Arc::new(CarrierSecret::parse(&text)?);
        *lock() = Some((now, known.clone()));
        Ok((known, true))
    }

    /// Fetches a token with the cached secret, and if UPS refuses that, with the current secret.
    pub(crate) async fn fetch(&self, now: Timestamp) -> Result<Token, Failure> {
        let mut refused = ups::Error::Unauthorized { code: None };
        for anew in [false, true] {
            let (known, is_new) = self.known(now, anew).await.map_err(|e| Failure::Secret(Cause::code(&e.said())))?;
            for credentials in known.ups.candidates() {
                match self.client.token(&self.aws, credentials, instant(now)).await {
                    Err(error @ ups::Error::Unauthorized { .. }) => refused = error,
                    other => return other.map_err(Failure::Ups),
                }
            }
            if is_new {
                break;
            }
        }
        Err(Failure::Ups(refused))
    }
}

/// The reason why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    Ups(ups::Error),
    /// The secret cannot be read or is invalid.
    Secret(Cause),
}

impl Failure {
    /// Whether another token may help.
    pub(crate) const fn is_of_the_token(&self) -> bool {
        matches!(self, Self::Ups(ups::Error::Unauthorized { .. }))
    }
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Ups(error) if error.code().is_some_and(|code| code.as_str() == name))
    }
}

pub(crate) fn instant(t: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(t.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_contains_both_sides_credentials() {
        let both = r#"{"client_id":"a","client_secret":"b","webhook_client_id":"ups","webhook_client_secret":"c"}"#;
        let known = CarrierSecret::parse(both).unwrap();
        assert!(known.is_the_carrier("ups", "c"));
        for (id, secret) in [("ups", "b"), ("a", "c"), ("", ""), ("ups", "cc")] {
            assert!(!known.is_the_carrier(id, secret), "{id}:{secret}");
        }
        let one_side =
            CarrierSecret::parse(r#"{"client_id":"a","client_secret":"b","webhook_client_id":"","webhook_client_secret":""}"#);
        assert!(!one_side.unwrap().is_the_carrier("", ""));
        assert!(CarrierSecret::parse(r#"{"client_id":"a"}"#).is_err());
        assert!(CarrierSecret::parse("not json").is_err());
    }
}
