//! The sessions that STS has issued, and the credentials that signed each call. The emulators accept any credentials, so only the
//! wire can record them.

use crate::App;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use common::base::TenantId;
use std::collections::BTreeMap;

/// A session that STS has issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantSession {
    pub tenant: TenantId,
    pub access_key: String,
    pub token: String,
    /// The parameters of the request to STS: `RoleArn`, `RoleSessionName`, `DurationSeconds`, `Tags.member.1.Key` …
    pub asked: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
pub(crate) struct Sts {
    sessions: Vec<TenantSession>,
}

impl Sts {
    /// Recognises a call to STS. It is the only service here whose requests are forms.
    pub(crate) fn operation(request: &HttpRequest) -> Option<(&'static str, &'static str)> {
        let body = request.body().bytes()?;
        body.starts_with(b"Action=AssumeRole&").then_some(("STS", "AssumeRole"))
    }

    /// Records a session that STS has issued.
    pub(crate) fn note(&mut self, request: &HttpRequest, answer: &HttpResponse) {
        let asked: BTreeMap<String, String> =
            form_urlencoded::parse(request.body().bytes().unwrap_or_default()).into_owned().collect();
        let body = String::from_utf8_lossy(answer.body().bytes().unwrap_or_default());
        let element = |name: &str| {
            let (_, rest) = body.split_once(&format!("<{name}>"))?;
            rest.split_once(&format!("</{name}>")).map(|(value, _)| value.to_owned())
        };
        let tenant = asked.get("Tags.member.1.Value").and_then(|tenant| tenant.parse().ok());
        if let (Some(tenant), Some(access_key), Some(token)) = (tenant, element("AccessKeyId"), element("SessionToken")) {
            self.sessions.push(TenantSession { tenant, access_key, token, asked });
        }
    }
}

/// A call to DynamoDB or S3, and the credentials that signed it.
#[derive(Clone, Debug)]
pub struct SignedCall {
    pub operation: String,
    /// For S3: an object's key, or the prefix of a list.
    pub body: serde_json::Value,
    pub access_key: String,
    pub token: Option<String>,
}

impl SignedCall {
    pub(crate) fn of(request: &HttpRequest, operation: &str) -> Self {
        let authorization = request.headers().get("authorization").unwrap_or_default();
        let access_key = authorization.split_once("Credential=").and_then(|(_, rest)| rest.split('/').next());
        Self {
            operation: operation.to_owned(),
            body: request.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default(),
            access_key: access_key.unwrap_or_default().to_owned(),
            token: request.headers().get("x-amz-security-token").map(str::to_owned),
        }
    }

    /// A call to S3. The host names the bucket, as there is no emulator. A list has a prefix instead of a key.
    pub(crate) fn of_object(request: &HttpRequest, operation: &str) -> Self {
        let uri: http::Uri = request.uri().parse().unwrap_or_default();
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let prefix = query.filter(|(name, _)| name == "prefix").map(|(_, prefix)| prefix.into_owned()).next();
        let key = prefix.unwrap_or_else(|| uri.path().trim_start_matches('/').to_owned());
        Self { body: key.into(), ..Self::of(request, operation) }
    }
}

impl App {
    /// The tenants' sessions that STS has issued, in order.
    pub fn tenant_sessions(&self) -> Vec<TenantSession> {
        self.wire().with_sts(|sts| sts.sessions.clone())
    }
}
