//! AWS for the programs that are measured: the emulators in this process, what the template declares, a tenant and a
//! member. Functions that ask Cognito are left out.

use super::Failed;
use crate::workspace;
use common::{
    Aws, Clock, Config, Deps, Grant, Identity, Role, SessionId, SystemClock, TenantId, Timestamp, UserId, Uuid,
    operator::Operator,
    telemetry::{LogSink, WideEvent},
};
use emulators::{Dynamo, Endpoints, Kms, Storage, Template, Which, provision};
use local::client::{Answer, Client};
use phi::{Email, PhiText};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug)]
pub(crate) struct World {
    deps: Deps,
    /// A function's environment.
    env: BTreeMap<String, String>,
    tenant: TenantId,
    user: UserId,
    dynamodb: DynamoDb,
    _dynamo: Dynamo,
    _kms: Kms,
}

/// The log lines of what is only preparation.
#[derive(Debug)]
struct Unheard;

impl LogSink for Unheard {
    fn write(&self, _: &WideEvent) {}
}

impl World {
    pub(crate) async fn start() -> Result<Self, Failed> {
        let (dynamo, kms) = (Dynamo::start(Storage::Memory)?, Kms::start(None)?);
        let template = Template::load(&workspace::root().join("template.yaml"))?;
        let endpoints = Endpoints { dynamodb: dynamo.endpoint(), kms: kms.endpoint(), other: None };
        let mut env = provision(&template, &endpoints, Which::DataOnly).await?.env;
        let mut set = |name: &str, value: &str| drop(env.insert(name.to_owned(), value.to_owned()));
        for pool in ["CLOISTER_USER_POOL_ID", "CLOISTER_USER_POOL_CLIENT_ID"] {
            set(pool, "none");
        }
        set("AWS_REGION", emulators::REGION);
        set("AWS_ACCESS_KEY_ID", "bench");
        set("AWS_SECRET_ACCESS_KEY", "bench");
        set("AWS_ENDPOINT_URL_DYNAMODB", &endpoints.dynamodb);
        set("AWS_ENDPOINT_URL_KMS", &endpoints.kms);
        let deps =
            Deps::new(Config::from_env(env.clone())?, &Aws::from_env(env.clone()), Arc::new(SystemClock), Arc::new(Unheard))?;
        let operator = Operator::new(&deps, "bench");
        operator.create_platform().await?;
        let tenant = operator.create_tenant("bench").await?;
        let user = operator.create_membership(tenant, &Email::parse("marketer@bench.example")?, &[Role::Marketer]).await?;
        let dynamodb = DynamoDb::new(endpoints.dynamodb);
        Ok(Self { deps, env, tenant, user, dynamodb, _dynamo: dynamo, _kms: kms })
    }

    pub(crate) fn deps(&self) -> &Deps {
        &self.deps
    }
    pub(crate) fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// Opens a session as a sign-in would: who the authorizer says is calling.
    pub(crate) async fn open_session(&self) -> Result<Identity, Failed> {
        let now = SystemClock.now();
        let session = SessionId::from_uuid(Uuid::from_bytes(common::random::bytes()));
        let number = |n: i64| json!({ "N": n.to_string() });
        let item = json!({
            "pk": {"S": format!("{}#SESSIONS#{}", self.tenant, self.user)},
            "sk": {"S": session.to_string()},
            "status": {"S": "live"},
            "user_id": {"S": self.user.to_string()},
            "grants": {"S": serde_json::to_string(&[Grant::always(Role::Marketer)])?},
            "membership_version": number(1),
            "created_at": {"S": now.to_string()},
            "last_seen": number(now.as_millis()),
            "ends_at": number(now.as_millis() + 12 * 3_600_000),
            "expires_at": number(now.as_secs() + 24 * 3600),
        });
        self.dynamodb.call("PutItem", &json!({"TableName": self.deps.config().tables.ephemera, "Item": item})).await?;
        let expires_at = Timestamp::from_millis((now.as_secs() + 12 * 3600) * 1000);
        Ok(Identity { tenant: self.tenant, user: self.user, session, expires_at })
    }
}

/// DynamoDB's own protocol, past the SDK.
#[derive(Clone, Debug)]
pub(crate) struct DynamoDb(Client);

impl DynamoDb {
    pub(crate) fn new(endpoint: impl Into<String>) -> Self {
        Self(Client::new(endpoint))
    }

    /// # Errors
    /// The answer, unless it is 200.
    pub(crate) async fn call(&self, action: &str, input: &Value) -> Result<Answer, Failed> {
        let target = format!("DynamoDB_20120810.{action}");
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=bench/20260101/{}/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, Signature=00",
            emulators::REGION
        );
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-date", "20260101T000000Z"),
            ("x-amz-target", target.as_str()),
            ("authorization", authorization.as_str()),
        ];
        let answer = self.0.send(&axum::http::Method::POST, "/", &headers, input.to_string()).await?;
        if answer.status == 200 { Ok(answer) } else { Err(format!("{action}: {} {}", answer.status, answer.text).into()) }
    }
}
