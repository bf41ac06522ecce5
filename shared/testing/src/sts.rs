//! What STS has handed out, and what calls were signed with: the emulators accept any credentials, so that it is only seen on the
//! wire.

use crate::App;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use common::base::TenantId;
use std::collections::BTreeMap;

/// A session that was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantSession {
    pub tenant: TenantId,
    pub access_key: String,
    pub token: String,
    /// What was asked of STS: `RoleArn`, `RoleSessionName`, `DurationSeconds`, `Tags.member.1.Key` …
    pub asked: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
pub(crate) struct Sts {
    sessions: Vec<TenantSession>,
}

impl Sts {
    /// Whether the call is one to STS: the only service here that is asked by a form.
    pub(crate) fn operation(request: &HttpRequest) -> Option<(&'static str, &'static str)> {
        let body = request.body().bytes()?;
        body.starts_with(b"Action=AssumeRole&").then_some(("STS", "AssumeRole"))
    }

    /// Notes a session that was handed out.
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

/// What a call to DynamoDB or S3 was, and who signed it.
#[derive(Clone, Debug)]
pub struct SignedCall {
    pub operation: String,
    /// An object's key, or the prefix of a list, where it is S3.
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

    /// Of S3, whose host names the bucket where no emulator is. A list has a prefix in place of a key.
    pub(crate) fn of_object(request: &HttpRequest, operation: &str) -> Self {
        let uri: http::Uri = request.uri().parse().unwrap_or_default();
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let prefix = query.filter(|(name, _)| name == "prefix").map(|(_, prefix)| prefix.into_owned()).next();
        let key = prefix.unwrap_or_else(|| uri.path().trim_start_matches('/').to_owned());
        Self { body: key.into(), ..Self::of(request, operation) }
    }
}

impl App {
    /// The tenants' sessions that were handed out, in order.
    pub fn tenant_sessions(&self) -> Vec<TenantSession> {
        self.wire().with_sts(|sts| sts.sessions.clone())
    }
}
