//! STS itself: it hands out a tenant's session, and remembers whose each is. The emulators accept any credentials, so that what
//! a call was signed with is only seen on the wire.

use crate::App;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use common::TenantId;
use std::collections::BTreeMap;

/// The role that an app behind the second wall assumes.
pub(crate) const ROLE_ARN: &str = "arn:aws:iam::000000000000:role/test-tenant-00c0ffee";

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

    /// The answer's body, if STS is asked for a tenant's session.
    pub(crate) fn answer(&mut self, request: &HttpRequest) -> Option<String> {
        Self::operation(request)?;
        let asked: BTreeMap<String, String> = form_urlencoded::parse(request.body().bytes()?).into_owned().collect();
        let tenant = asked.get("Tags.member.1.Value")?.parse().ok()?;
        let number = self.sessions.len();
        let session = TenantSession { tenant, access_key: format!("ASIA{number}"), token: format!("token-{number}"), asked };
        let answer = format!(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
             <AccessKeyId>{}</AccessKeyId><SecretAccessKey>synthetic</SecretAccessKey><SessionToken>{}</SessionToken>\
             <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
            session.access_key, session.token
        );
        self.sessions.push(session);
        Some(answer)
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
    /// The same app behind the second wall: each tenant's items are seen with credentials of its own.
    #[must_use]
    pub fn behind_the_second_wall(self) -> Self {
        self.with_tenant_role(ROLE_ARN)
    }

    /// The tenants' sessions that were handed out, in order.
    pub fn tenant_sessions(&self) -> Vec<TenantSession> {
        self.wire().with_sts(|sts| sts.sessions.clone())
    }
}
