//! The AWS clients, built by hand: they read no profile file and call no metadata service, and the TLS roots are parsed once for
//! all of them.
//!
//! Endpoints come from the SDKs' own variables, `AWS_ENDPOINT_URL_<SERVICE>` before `AWS_ENDPOINT_URL`. So no code here depends
//! on whether AWS or an emulator answers.

use crate::{
    aws::{
        acting::{Acting, EachCall, Roles},
        calls::Calls,
        resilience::{Guarded, Resilience, Service},
        roots,
    },
    base::{Clock, SystemClock, error::Cause, telemetry::CallSpan},
};
use aws_credential_types::Credentials;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::{
    Connector,
    tls::{self, TlsContext, TrustStore},
};
use aws_smithy_runtime_api::{
    client::{
        behavior_version::BehaviorVersion,
        http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector, http_client_fn},
    },
    http::Request,
};
use aws_smithy_types::{body::SdkBody, retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::{SdkConfig, region::Region};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A client whose calls have spans.
macro_rules! client {
    ($sdk:ident, $config:expr, $service:expr) => {
        $sdk::Client::from_conf($sdk::config::Builder::from($config).interceptor(Calls::of($service)).build())
    };
}

const CONNECT: Duration = Duration::from_secs(1);
/// The extra time after which the SDK gives up an attempt. The guard has given up before, unless the body is still arriving.
const BODY: Duration = Duration::from_millis(500);
const READ: Duration = Duration::from_secs(8);
/// The timeout of one call of an operator's tool.
const TOOL: Duration = Duration::from_secs(30);

/// The endpoints of the services and our credentials.
#[derive(Clone, Debug)]
pub struct Aws {
    region: Region,
    credentials: Option<Credentials>,
    /// The identities of the functions, in a process that runs every function.
    acting: Option<Acting>,
    endpoints: BTreeMap<String, String>,
    function: Option<String>,
    connector: SharedHttpConnector,
    resilience: Arc<Resilience>,
}

impl Aws {
    /// Reads `AWS_REGION`, the credentials that Lambda puts into the environment, and the endpoint variables.
    pub fn from_env(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::with_connector(variables, https())
    }

    /// Like `from_env`, with another connector, for example one that counts or fails.
    pub fn with_connector(variables: impl IntoIterator<Item = (String, String)>, connector: SharedHttpConnector) -> Self {
        let env: BTreeMap<String, String> = variables.into_iter().filter(|(name, _)| name.starts_with("AWS_")).collect();
        let get = |name: &str| env.get(name).filter(|v| !v.is_empty()).cloned();
        let credentials = get("AWS_ACCESS_KEY_ID").zip(get("AWS_SECRET_ACCESS_KEY"));
        Self {
            region: Region::new(get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION")).unwrap_or_else(|| "us-east-1".into())),
            credentials: credentials
                .map(|(id, secret)| Credentials::new(id, secret, get("AWS_SESSION_TOKEN"), None, "environment")),
            acting: None,
            function: get("AWS_LAMBDA_FUNCTION_NAME"),
            endpoints: env.into_iter().filter(|(name, _)| name.starts_with("AWS_ENDPOINT_URL")).collect(),
            connector,
            resilience: Arc::new(Resilience::new(&(Arc::new(SystemClock) as Arc<dyn Clock>))),
        }
    }

    /// The same clients with another clock, and with fresh circuit breakers and budgets.
    #[must_use]
    pub fn timed_by(self, clock: &Arc<dyn Clock>) -> Self {
        Self { resilience: Arc::new(Resilience::new(clock)), ..self }
    }

    /// The same clients for a process that runs every function: each signs with its own role.
    #[must_use]
    pub fn of_all_functions(self, roles: Arc<dyn Roles>) -> Self {
        Self { credentials: None, acting: Some(Acting(roles)), ..self }
    }

    /// The tenant role of the current function, in a process that runs all of them.
    pub(crate) fn acting(&self) -> Option<&Acting> {
        self.acting.as_ref()
    }

    pub(crate) fn resilience(&self) -> Arc<Resilience> {
        self.resilience.clone()
    }

    /// The shared connector, with the guard of one service.
    fn guarded(&self, service: Service) -> SharedHttpConnector {
        Guarded::new(self.connector.clone(), &self.resilience, service).shared()
    }

    pub fn region(&self) -> &str {
        self.region.as_ref()
    }

    /// The name of the function in Lambda: `<deployment>-<function>`.
    pub(crate) fn function(&self) -> Option<&str> {
        self.function.as_deref()
    }

    /// Gets a small document over the same connections, if it is not part of an AWS protocol (a pool's public keys).
    ///
    /// # Errors
    /// A fixed text for the failure: a timeout, a status other than 200, more than `most` bytes.
    pub async fn get(&self, url: &str, most: usize) -> Result<Vec<u8>, &'static str> {
        let request = http::Request::get(url).body(Vec::new()).map_err(|_| "bad url")?;
        let (connector, time) = (self.guarded(Service::Jwks), Service::Jwks.policy().call);
        let answer = spanned(Service::Jwks, "get", send(&connector, request, most, time)).await.map_err(Unsent::as_str)?;
        if answer.status() == 200 { Ok(answer.into_body()) } else { Err("unexpected status") }
    }

    /// Sends one request of a tool to any address, once, with a timeout of half a minute.
    ///
    /// # Errors
    /// A fixed text for the failure: a timeout, more than `most` bytes.
    pub async fn fetch(&self, request: http::Request<Vec<u8>>, most: usize) -> Result<http::Response<Vec<u8>>, &'static str> {
        send(&self.connector, request, most, TOOL).await.map_err(Unsent::as_str)
    }

    /// The endpoint of `service` (such as `DYNAMODB`), if it is not AWS's own.
    pub fn endpoint(&self, service: &str) -> Option<&str> {
        let own = self.endpoints.get(&format!("AWS_ENDPOINT_URL_{service}"));
        own.or_else(|| self.endpoints.get("AWS_ENDPOINT_URL")).map(String::as_str)
    }

    fn config(&self, service: Service) -> SdkConfig {
        let policy = service.policy();
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(self.region.clone())
            .http_client({
                let connector = self.guarded(service);
                http_client_fn(move |_, _| connector.clone())
            })
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT)
                    .operation_attempt_timeout(policy.attempt + BODY)
                    .operation_timeout(policy.call)
                    .build(),
            )
            .retry_config(
                RetryConfig::standard().with_max_attempts(policy.attempts).with_initial_backoff(Duration::from_millis(50)),
            );
        config.set_endpoint_url(self.endpoint(service.variable()).map(str::to_owned));
        if let Some(credentials) = &self.credentials {
            config =
                config.credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(credentials.clone()));
        } else if let Some(acting) = &self.acting {
            config = config
                .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(acting.clone()))
                .identity_cache(EachCall);
        }
        config.build()
    }

    pub(crate) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        client!(aws_sdk_dynamodb, &self.config(Service::DynamoDb), Service::DynamoDb)
    }
    /// The same clients with other credentials, over the same connections.
    pub(crate) fn signed_by(&self, credentials: Credentials) -> Self {
        Self { credentials: Some(credentials), ..self.clone() }
    }
    pub(crate) fn sts(&self) -> aws_sdk_sts::Client {
        client!(aws_sdk_sts, &self.config(Service::Sts), Service::Sts)
    }
    pub(crate) fn kms(&self) -> aws_sdk_kms::Client {
        client!(aws_sdk_kms, &self.config(Service::Kms), Service::Kms)
    }
    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.config(Service::S3));
        // An emulator has no host name for each bucket.
        let config = config.interceptor(Calls::of(Service::S3)).force_path_style(self.endpoint("S3").is_some());
        aws_sdk_s3::Client::from_conf(config.build())
    }
    pub(crate) fn ses(&self) -> aws_sdk_sesv2::Client {
        client!(aws_sdk_sesv2, &self.config(Service::Ses), Service::Ses)
    }
    /// The management API of the socket API at `url`.
    pub(crate) fn sockets(&self, url: &str) -> aws_sdk_apigatewaymanagement::Client {
        let config = self.config(Service::Sockets).into_builder().endpoint_url(url).build();
        client!(aws_sdk_apigatewaymanagement, &config, Service::Sockets)
    }
    pub(crate) fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        client!(aws_sdk_secretsmanager, &self.config(Service::Secrets), Service::Secrets)
    }
    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        client!(aws_sdk_sqs, &self.config(Service::Sqs), Service::Sqs)
    }
    pub(crate) fn cognito(&self) -> aws_sdk_cognitoidentityprovider::Client {
        client!(aws_sdk_cognitoidentityprovider, &self.config(Service::Cognito), Service::Cognito)
    }
}

/// Sends one request over the same connections, once, and returns its answer for any status. Redirects are not followed.
async fn send(
    connector: &SharedHttpConnector,
    request: http::Request<Vec<u8>>,
    most: usize,
    within: Duration,
) -> Result<http::Response<Vec<u8>>, Unsent> {
    let request = Request::try_from(request.map(SdkBody::from)).map_err(|_| Unsent::Unreachable)?;
    let call = async {
        let answer =
            connector.call(request).await.map_err(|e| if e.is_timeout() { Unsent::Timeout } else { Unsent::Unreachable })?;
        let mut parts = http::Response::builder().status(answer.status().as_u16());
        for (name, value) in answer.headers() {
            parts = parts.header(name, value);
        }
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        while let Some(chunk) = std::future::poll_fn(|cx| http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx)).await {
            let Ok(data) = chunk.map_err(|_| Unsent::Unreachable)?.into_data() else { continue };
            if bytes.len() + data.len() > most {
                return Err(Unsent::TooLarge);
            }
            bytes.extend_from_slice(&data);
        }
        parts.body(bytes).map_err(|_| Unsent::Unreachable)
    };
    tokio::time::timeout(within, call).await.map_err(|_| Unsent::Timeout)?
}

/// A call without an SDK, in a span of its own.
async fn spanned(
    service: Service,
    operation: &'static str,
    sent: impl Future<Output = Result<http::Response<Vec<u8>>, Unsent>>,
) -> Result<http::Response<Vec<u8>>, Unsent> {
    let span = CallSpan::begin(service.policy().name, &Cause::code(operation));
    let answer = sent.await;
    let outcome = match &answer {
        Ok(answer) if answer.status().is_success() => Cause::code("ok"),
        Ok(answer) => Cause::code(answer.status().as_str()),
        Err(unsent) => Cause::code(unsent.as_str()),
    };
    span.ended(1, &outcome);
    answer
}

/// The reason why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsent {
    Timeout,
    Unreachable,
    TooLarge,
}

impl Unsent {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable => "no connection",
            Self::TooLarge => "answer too large",
        }
    }
}

impl ups::Transport for Aws {
    async fn send(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, ups::TransportError> {
        let (connector, time) = (self.guarded(Service::Ups), Service::Ups.policy().call);
        // The path may contain a tracking number.
        let operation = match request.uri().path() {
            path if path.ends_with("/oauth/token") => "token",
            path if path.contains("/details/") => "track",
            _ => "subscribe",
        };
        spanned(Service::Ups, operation, send(&connector, request, ups::MAX_ANSWER, time)).await.map_err(|e| match e {
            Unsent::Timeout => ups::TransportError::Timeout,
            Unsent::Unreachable => ups::TransportError::Unreachable,
            Unsent::TooLarge => ups::TransportError::TooLarge,
        })
    }
}

/// HTTPS over rustls and aws-lc, with the system's roots.
pub fn https() -> SharedHttpConnector {
    roots::trusted().and_then(trusting).unwrap_or_else(|| connector(TlsContext::default()))
}

/// `None` if the client cannot parse the given roots: it panics then.
fn trusting(roots: Vec<u8>) -> Option<SharedHttpConnector> {
    let store = TrustStore::empty().with_pem_certificate(roots);
    let context = TlsContext::builder().with_trust_store(store).build().ok()?;
    std::panic::catch_unwind(|| connector(context)).ok()
}

fn connector(trusting: TlsContext) -> SharedHttpConnector {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT).read_timeout(READ).build();
    let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
    let connector = Connector::builder().connector_settings(settings).sleep_impl(TokioSleep::new()).tls_provider(provider);
    SharedHttpConnector::new(connector.tls_context(trusting).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_that_cannot_be_parsed_fall_back_to_the_default() {
        let root = include_str!("roots/synthetic.pem");
        assert!(trusting(format!("# a root\n{root}{root}").into()).is_some());
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for roots in [no_certificate, &format!("{root}{no_certificate}"), &root[..root.len() / 2]] {
            assert!(trusting(roots.as_bytes().to_vec()).is_none(), "{roots}");
        }
    }
}
