//! A client of a deployment's API: it uses a token and sends one request at a time. It retries a deployment that answers for
//! longer, and gives up within seconds if there is no answer at all. It reports each wait on standard error.

use common::aws::Aws;
use serde::de::DeserializeOwned;
use std::{cell::Cell, pin::Pin, time::Duration};

/// The largest answer: a segment, plus the overhead of JSON.
const MOST: usize = 12 << 20;
/// The most tries of a request that is rate-limited or that finds a dependency unavailable.
const TRIES: u32 = 8;
/// The most tries of a request without an answer. Before the first answer, each try waits one second for the connection; later,
/// the network may recover.
const TRIES_BEFORE_THE_FIRST_ANSWER: u32 = 3;
const TRIES_WITHOUT_ANSWER: u32 = 6;
/// The longest wait before the next try.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

pub(super) struct Remote {
    client: Aws,
    endpoint: String,
    token: String,
    has_answered: Cell<bool>,
    sleep: Sleep,
}

type Sleep = Box<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()>>>>;

/// The result of one try.
enum Tried {
    Nothing,
    /// Retry, after so many seconds if the answer says so.
    Later(Option<u64>),
}

/// The wait after try number `attempt`, counted from 1; `None` after the last.
fn wait(tried: &Tried, attempt: u32, has_answered: bool) -> Option<Duration> {
    let (tries, wait) = match tried {
        Tried::Nothing if !has_answered => (TRIES_BEFORE_THE_FIRST_ANSWER, Duration::from_millis(500 << attempt.min(5))),
        Tried::Nothing => (TRIES_WITHOUT_ANSWER, Duration::from_secs(1 << (attempt - 1).min(5))),
        Tried::Later(seconds) => (TRIES, Duration::from_secs(seconds.unwrap_or(1 << (attempt - 1).min(5)))),
    };
    (attempt < tries).then_some(wait.min(LONGEST_WAIT))
}

impl Remote {
    /// Reads the token from `CLOISTER_TOKEN`.
    pub(super) fn new(endpoint: &str) -> Result<Self, String> {
        let token = std::env::var("CLOISTER_TOKEN").unwrap_or_default();
        if token.is_empty() {
            return Err("CLOISTER_TOKEN has no access token: sign in as an auditor, and set it to the `access_token`".to_owned());
        }
        if !may_have_the_token(endpoint) {
            return Err(format!("`{endpoint}` is not an https address"));
        }
        Ok(Self::over(Aws::from_env([]), endpoint, token, Box::new(|wait| Box::pin(tokio::time::sleep(wait)))))
    }

    fn over(client: Aws, endpoint: &str, token: String, sleep: Sleep) -> Self {
        Self { client, endpoint: endpoint.trim_end_matches('/').to_owned(), token, has_answered: Cell::new(false), sleep }
    }

    /// An answer of `path` with status 200.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let request = http::Request::get(format!("{}{path}", self.endpoint))
                .header("authorization", format!("Bearer {}", self.token))
                .header("accept", "application/json")
                .body(Vec::new())
                .map_err(|_| format!("`{}{path}` is not an address", self.endpoint))?;
            let (why, tried) = match self.client.fetch(request, MOST).await {
                Ok(answer) if answer.status() == 200 => {
                    self.has_answered.set(true);
                    return serde_json::from_slice(answer.body())
                        .map_err(|e| format!("the answer of {path} cannot be parsed: {e}"));
                }
                Ok(answer) => {
                    self.has_answered.set(true);
                    let why = problem(path, &answer);
                    if !matches!(answer.status().as_u16(), 429 | 503) {
                        return Err(why);
                    }
                    (why, Tried::Later(answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok())))
                }
                Err(word) => (format!("`{}` cannot be reached: {word}", self.endpoint), Tried::Nothing),
            };
            match wait(&tried, attempt, self.has_answered.get()) {
                Some(wait) => {
                    eprintln!("cloister: {why}; trying again in {:.1} s", wait.as_secs_f32());
                    (self.sleep)(wait).await;
                }
                None if matches!(tried, Tried::Nothing) => {
                    return Err(format!("{why}, {attempt} times. Check the address and the network"));
                }
                None => return Err(why),
            }
        }
    }
}

/// Whether the connection is encrypted or local. The host must be equal, because other hosts may begin with the same text.
fn may_have_the_token(endpoint: &str) -> bool {
    let Ok(address) = endpoint.parse::<http::Uri>() else { return false };
    let plain = address.authority().is_some_and(|authority| !authority.as_str().contains('@')) && address.query().is_none();
    let loopback = matches!(address.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
    plain && (address.scheme_str() == Some("https") || address.scheme_str() == Some("http") && loopback)
}

fn problem(path: &str, answer: &http::Response<Vec<u8>>) -> String {
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or("-").to_owned();
    format!(
        "{path}: {} {}: {} (correlation id {})",
        answer.status().as_u16(),
        text("code"),
        text("detail"),
        text("correlation_id")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::{
        client::{
            http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
            orchestrator::{HttpRequest, HttpResponse},
            result::ConnectorError,
        },
        http::StatusCode,
    };
    use aws_smithy_types::body::SdkBody;
    use serde_json::Value;
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    /// A fake network that answers these statuses in turn and then nothing. It records the waits.
    #[derive(Clone, Debug, Default)]
    struct Network {
        statuses: Arc<Mutex<VecDeque<u16>>>,
        tries: Arc<Mutex<u32>>,
        waited: Arc<Mutex<Vec<Duration>>>,
    }

    impl Network {
        fn seen(&self) -> (u32, Duration) {
            (*self.tries.lock().unwrap(), self.waited.lock().unwrap().iter().sum())
        }
    }

    impl HttpConnector for Network {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            *self.tries.lock().unwrap() += 1;
            let Some(status) = self.statuses.lock().unwrap().pop_front() else {
                return HttpConnectorFuture::ready(Err(ConnectorError::io("unreachable".into())));
            };
            let mut answer = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from("{}"));
            answer.headers_mut().insert("retry-after", "7");
            HttpConnectorFuture::ready(Ok(answer))
        }
    }

    /// Records the wait.
    fn remote(statuses: impl Into<VecDeque<u16>>) -> (Remote, Network) {
        let network = Network { statuses: Arc::new(Mutex::new(statuses.into())), ..Network::default() };
        let (client, waited) = (Aws::with_connector([], SharedHttpConnector::new(network.clone())), network.waited.clone());
        let sleep: Sleep = Box::new(move |wait| {
            waited.lock().unwrap().push(wait);
            Box::pin(std::future::ready(()))
        });
        (Remote::over(client, "https://api.example/live", "synthetic".to_owned(), sleep), network)
    }

    #[tokio::test]
    async fn unreachable_deployment_is_an_error_within_seconds() {
        let (remote, network) = remote([]);
        let why = remote.get::<Value>("/v1/audit/checkpoint").await.unwrap_err();
        assert_eq!(
            why,
            "`https://api.example/live` cannot be reached: no connection, 3 times. Check the address and the network"
        );
        // Plus one second a try, if there is no answer at all.
        assert_eq!(network.seen(), (3, Duration::from_secs(3)));
    }

    #[tokio::test]
    async fn deployment_that_has_answered_is_retried_longer_but_bounded() {
        let (remote, network) = remote([200]);
        remote.get::<Value>("/v1/audit/checkpoint").await.unwrap();
        assert!(remote.get::<Value>("/v1/audit/segments").await.unwrap_err().contains("6 times"));
        assert_eq!(network.seen(), (7, Duration::from_secs(31)));
    }

    #[tokio::test]
    async fn busy_deployment_is_retried_after_its_retry_after() {
        let (busy, network) = remote([429, 503, 200]);
        busy.get::<Value>("/v1/audit/checkpoint").await.unwrap();
        assert_eq!(network.seen(), (3, Duration::from_secs(14)));
        let (away, network) = remote([503; 20]);
        assert!(away.get::<Value>("/v1/audit/checkpoint").await.is_err());
        assert_eq!(network.seen().0, TRIES);
        let (refusing, network) = remote([401, 200]);
        assert!(refusing.get::<Value>("/v1/audit/checkpoint").await.unwrap_err().contains("401"));
        assert_eq!(network.seen().0, 1, "a refusal for lack of permission is not retried");
    }

    /// A name that does not resolve (RFC 2606), and a port without a listener.
    #[tokio::test]
    async fn unresolvable_name_and_closed_port_cannot_be_reached() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for endpoint in ["https://api.invalid".to_owned(), format!("http://127.0.0.1:{port}")] {
            let sleep: Sleep = Box::new(|_| Box::pin(std::future::ready(())));
            let remote = Remote::over(Aws::from_env([]), &endpoint, "synthetic".to_owned(), sleep);
            let why = remote.get::<Value>("/v1/audit/checkpoint").await.unwrap_err();
            assert!(why.contains("cannot be reached: ") && why.contains("3 times"), "{why}");
        }
    }

    #[test]
    fn token_is_sent_unencrypted_to_this_machine_only() {
        for good in ["https://api.example/live", "http://127.0.0.1:9000", "http://localhost:9000/live", "http://[::1]:9000"] {
            assert!(may_have_the_token(good), "{good}");
        }
        for bad in [
            "http://api.example",
            "http://127.0.0.1.example",
            "http://localhost.example/live",
            "http://localhost@api.example",
            "http://127.0.0.1:9000@api.example",
            "https://api.example@other.example",
            "https://api.example/live?x=",
            "ftp://localhost",
            "api.example",
            "",
        ] {
            assert!(!may_have_the_token(bad), "{bad}");
        }
    }
}
