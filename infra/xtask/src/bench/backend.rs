//! AWS for the benches: the emulators, the template's resources, a tenant and a member. They are either its own, or those of a
//! running local stack. Functions that call Cognito are left out.

use super::{Failed, counter::Counter};
use crate::workspace;
use common::{
    aws::Aws,
    base::{
        Clock, Config, Grant, Identity, Role, SessionId, SessionKind, SystemClock, TenantId, Timestamp, UserId, Uuid,
        telemetry::{LogSink, WideEvent},
    },
    request::Deps,
    run::operator::Operator,
};
use emulators::{Dynamo, Endpoints, Kms, MiniStack, MiniStackOptions, Storage, Template, Which, provision};
use local::{
    Stack,
    client::{Answer, Client},
};
use phi::{Email, PhiText};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug)]
pub(crate) struct Backend {
    deps: Deps,
    /// A function's environment.
    env: BTreeMap<String, String>,
    tenant: TenantId,
    /// A marketer of the tenant.
    user: UserId,
    dynamodb: DynamoDb,
    /// Its own emulators, if any.
    _emulators: Option<Emulators>,
}

#[derive(Debug)]
struct Emulators {
    _dynamo: Dynamo,
    _kms: Kms,
    _other: Option<MiniStack>,
}

/// Settings of a function whose resources are not created here and that nothing here uses.
const NOT_MADE: [(&str, &str); 7] = [
    ("CLOISTER_USER_POOL_ID", "none"),
    ("CLOISTER_USER_POOL_CLIENT_ID", "none"),
    ("CLOISTER_AUDIT_BUCKET", "none"),
    ("CLOISTER_AUDIT_EXPIRY_DAYS", "never"),
    ("CLOISTER_UPS_SECRET", "none"),
    ("CLOISTER_SOCKETS_URL", "ws://none.invalid/ws"),
    ("CLOISTER_PUBLIC_URL", "http://none.invalid"),
];

/// Drops the log lines of preparation.
#[derive(Debug)]
struct Unheard;

impl LogSink for Unheard {
    fn write(&self, _: &WideEvent) {}
}

impl Backend {
    /// Starts tables and keys only.
    pub(crate) async fn start() -> Result<Self, Failed> {
        Self::of_emulators(None, &Counter::new(), Arc::new(Unheard)).await
    }

    /// Starts the rest of AWS too, without background work: calls go through the counter, lines to the log.
    pub(crate) async fn with_everything(counter: &Counter, log: Arc<dyn LogSink>) -> Result<Self, Failed> {
        let other = tokio::task::spawn_blocking(|| MiniStack::start(&MiniStackOptions::default())).await??;
        Self::of_emulators(Some(other), counter, log).await
    }

    /// A stack's first tenant and its marketer. Calls bypass the gateway and its limits by address.
    pub(crate) fn of_stack(stack: &Stack) -> Result<Self, Failed> {
        let env = stack.env().clone();
        let deps =
            Deps::new(Config::from_env(env.clone())?, &Aws::from_env(env.clone()), Arc::new(SystemClock), Arc::new(Unheard))?;
        let marketer = |user: &&local::User| user.tenant == local::TENANTS[0] && user.role == Role::Marketer;
        let user = stack.users().iter().find(marketer).ok_or("the stack has no marketer")?;
        let tenant = stack.handover().tenants.get(&user.tenant).ok_or("the stack has no tenant")?;
        let dynamodb = DynamoDb::new(env.get("AWS_ENDPOINT_URL_DYNAMODB").ok_or("the stack has no tables")?);
        let (tenant, user) = (tenant.parse().map_err(|_| "tenant id")?, user.user_id.parse().map_err(|_| "user id")?);
        Ok(Self { deps, env, tenant, user, dynamodb, _emulators: None })
    }

    async fn of_emulators(other: Option<MiniStack>, counter: &Counter, log: Arc<dyn LogSink>) -> Result<Self, Failed> {
        let (dynamo, kms) = (Dynamo::start(Storage::Memory)?, Kms::start(None)?);
        let template = Template::load(&workspace::root().join("template.yaml"))?;
        let endpoints =
            Endpoints { dynamodb: dynamo.endpoint(), kms: kms.endpoint(), other: other.as_ref().map(MiniStack::endpoint) };
        let which = if other.is_some() { Which::Everything } else { Which::DataOnly };
        let mut env = provision(&template, &endpoints, which).await?.env;
        for (name, value) in NOT_MADE {
            env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        let mut set = |name: &str, value: &str| drop(env.insert(name.to_owned(), value.to_owned()));
        set("AWS_REGION", emulators::REGION);
        set("AWS_ACCESS_KEY_ID", "bench");
        set("AWS_SECRET_ACCESS_KEY", "bench");
        set("AWS_ENDPOINT_URL_DYNAMODB", &endpoints.dynamodb);
        set("AWS_ENDPOINT_URL_KMS", &endpoints.kms);
        if let Some(other) = &endpoints.other {
            set("AWS_ENDPOINT_URL", other);
        }
        let aws = Aws::with_connector(env.clone(), counter.connector());
        let deps = Deps::new(Config::from_env(env.clone())?, &aws, Arc::new(SystemClock), log)?;
        let deps = if other.is_some() { deps.with_everything(&aws) } else { deps };
        let operator = Operator::new(&deps, "bench");
        operator.create_platform().await?;
        let tenant = operator.create_tenant("bench").await?;
        let user = operator.create_membership(tenant, &Email::parse("marketer@bench.example")?, &[Role::Marketer]).await?;
        let dynamodb = DynamoDb::new(endpoints.dynamodb);
        let emulators = Emulators { _dynamo: dynamo, _kms: kms, _other: other };
        Ok(Self { deps, env, tenant, user, dynamodb, _emulators: Some(emulators) })
    }

    pub(crate) fn deps(&self) -> &Deps {
        &self.deps
    }
    pub(crate) fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    pub(crate) fn tenant(&self) -> TenantId {
        self.tenant
    }
    pub(crate) fn dynamodb(&self) -> &DynamoDb {
        &self.dynamodb
    }

    /// Opens a session of the marketer with some role, as a sign-in does. Returns the authorizer's identity.
    pub(crate) async fn open_session(&self, role: Role) -> Result<Identity, Failed> {
        self.open_session_of(self.user, role).await
    }

    /// The same for another member, who has just given a second factor.
    pub(crate) async fn open_session_of(&self, user: UserId, role: Role) -> Result<Identity, Failed> {
        let now = SystemClock.now();
        let session = SessionId::from_uuid(Uuid::from_bytes(common::base::random::bytes()));
        let number = |n: i64| json!({ "N": n.to_string() });
        let item = json!({
            "pk": {"S": format!("{}#SESSIONS#{}", self.tenant, user)},
            "sk": {"S": session.to_string()},
            "status": {"S": "live"},
            "user_id": {"S": user.to_string()},
            "kind": {"S": SessionKind::Full.as_str()},
            "mfa_enrolled": number(1),
            "mfa_at": {"S": now.to_string()},
            "ip": {"S": "127.0.0.1"},
            "user_agent": {"S": "cloister-bench/1"},
            "grants": {"S": serde_json::to_string(&[Grant::always(role)])?},
            "membership_version": number(1),
            "created_at": {"S": now.to_string()},
            "last_seen": number(now.as_millis()),
            "ends_at": number(now.as_millis() + 12 * 3_600_000),
            "expires_at": number(now.as_secs() + 24 * 3600),
        });
        self.dynamodb.call("PutItem", &json!({"TableName": self.deps.config().tables.ephemera, "Item": item})).await?;
        let expires_at = Timestamp::from_millis((now.as_secs() + 12 * 3600) * 1000);
        Ok(Identity { tenant: self.tenant, user, session, expires_at })
    }
}

/// A client of DynamoDB's own protocol, without the SDK.
#[derive(Clone, Debug)]
pub(crate) struct DynamoDb(Client);

impl DynamoDb {
    pub(crate) fn new(endpoint: impl Into<String>) -> Self {
        Self(Client::new(endpoint))
    }

    /// # Errors
    /// The answer, unless it is 200.
    pub(crate) async fn call(&self, action: &str, input: &Value) -> Result<Answer, Failed> {
        call(&self.0, &format!("DynamoDB_20120810.{action}"), "dynamodb", input).await
    }
}

/// A client of SQS's protocol.
#[derive(Clone, Debug)]
pub(crate) struct Sqs(Client);

impl Sqs {
    pub(crate) fn new(endpoint: impl Into<String>) -> Self {
        Self(Client::new(endpoint))
    }

    /// # Errors
    /// The answer, unless it is 200.
    pub(crate) async fn call(&self, action: &str, input: &Value) -> Result<Value, Failed> {
        Ok(call(&self.0, &format!("AmazonSQS.{action}"), "sqs", input).await?.json)
    }
}

async fn call(client: &Client, target: &str, scope: &str, input: &Value) -> Result<Answer, Failed> {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=bench/20260101/{}/{scope}/aws4_request, SignedHeaders=host;x-amz-date, Signature=00",
        emulators::REGION
    );
    let headers = [
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-date", "20260101T000000Z"),
        ("x-amz-target", target),
        ("authorization", authorization.as_str()),
    ];
    let answer = client.send(&axum::http::Method::POST, "/", &headers, input.to_string()).await?;
    if answer.status == 200 { Ok(answer) } else { Err(format!("{target}: {} {}", answer.status, answer.text).into()) }
}
