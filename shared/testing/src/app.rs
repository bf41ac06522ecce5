//! The backend of one test.

mod tables;

use crate::{
    call::Client,
    clock::ManualClock,
    log::Lines,
    wire::{Calls, Wire},
};
use aws_lambda_events::apigw::ApiGatewayCustomAuthorizerResponse;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_types::body::SdkBody;
use common::{
    aws::Aws,
    base::{Clock, Config, Grant, Identity, KeyBounds, Role, SessionId, SessionKind, TenantId, Timestamp, UserId, Uuid},
    request::{
        Deps,
        authorizer::{self, Authorizer},
    },
    run::operator::{NewUser, Operator},
};
use emulators::{
    Dynamo, Endpoints, Kms, MiniStack, MiniStackOptions, Overrides, Provisioned, Storage, Template, Which,
    apigateway::GatewayRequest,
    iam::{ADMINISTRATOR, Gate, OPERATOR, Refused, function_key},
    provision,
};
use http_body_util::BodyExt;
use phi::{Email, PhiText};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The password of every user, in a test with Cognito.
pub const PASSWORD: &str = "Synthetic-Passw0rd!";

/// The two tenants that every test has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tenant {
    Acme,
    Birch,
}

impl Tenant {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acme => "acme-health",
            Self::Birch => "birch-clinic",
        }
    }
}

#[derive(Debug)]
pub struct App {
    deps: Deps,
    aws: Aws,
    clock: Arc<ManualClock>,
    log: Arc<Lines>,
    wire: Wire,
    raw: aws_sdk_dynamodb::Client,
    provisioned: Provisioned,
    tenants: BTreeMap<Tenant, TenantId>,
    users: BTreeMap<(Tenant, Role), UserId>,
    sessions: Mutex<HashMap<(Tenant, Role), Identity>>,
    /// Makes e-mails unique among the apps that share one user pool.
    tag: String,
    roles: Arc<Roles>,
    emulators: Option<(Dynamo, Kms)>,
}

/// The credentials that sign a call: each function has its own role, and code outside of functions is an operator. While the test
/// is set up, an administrator signs, to whom no policy applies.
#[derive(Debug)]
struct Roles {
    gate: Arc<Gate>,
    setting_up: AtomicBool,
}

impl common::aws::Roles for Roles {
    fn access_key(&self, function: Option<&'static str>) -> String {
        match function {
            _ if self.setting_up.load(Ordering::SeqCst) => ADMINISTRATOR.to_owned(),
            // The templates have no role for a function that exists in tests only.
            Some(function) if !self.gate.has_function(function) => ADMINISTRATOR.to_owned(),
            Some(function) => function_key(function),
            None => OPERATOR.to_owned(),
        }
    }

    fn tenant_role(&self, function: Option<&'static str>) -> Option<String> {
        let judged = !self.setting_up.load(Ordering::SeqCst);
        self.gate.tenant_role_of(function.filter(|_| judged)?).map(str::to_owned)
    }
}

/// True if the tests use the services at `AWS_ENDPOINT_URL*` and start no emulators.
fn external() -> bool {
    std::env::var("CLOISTER_AWS").is_ok_and(|v| v == "external")
}

/// `AWS_ENDPOINT_URL_<SERVICE>`, or `AWS_ENDPOINT_URL`.
fn external_endpoint(service: &str) -> String {
    let own = std::env::var(format!("AWS_ENDPOINT_URL_{service}")).or_else(|_| std::env::var("AWS_ENDPOINT_URL"));
    own.expect("with CLOISTER_AWS=external, AWS_ENDPOINT_URL or one for each service is set")
}

/// The tests of this process share one Cognito, because it takes seconds to start.
fn ministack() -> &'static str {
    static SHARED: OnceLock<(MiniStack, String)> = OnceLock::new();
    static EXTERNAL: OnceLock<String> = OnceLock::new();
    if external() {
        return EXTERNAL.get_or_init(|| external_endpoint("COGNITO_IDENTITY_PROVIDER"));
    }
    let start = || {
        let stack = MiniStack::start(&MiniStackOptions::default()).expect("MiniStack starts");
        let endpoint = stack.endpoint();
        (stack, endpoint)
    };
    &SHARED.get_or_init(start).1
}

impl App {
    /// Starts DynamoDB and KMS, and creates the two tenants with a member for every role.
    pub async fn start() -> Self {
        Self::build(None, true, "on").await
    }

    /// The same without tenant sessions: each function reads every tenant's items with its own role.
    pub async fn without_tenant_sessions() -> Self {
        Self::build(None, true, "off").await
    }

    /// The same with Cognito: every member can sign in with [`PASSWORD`].
    pub async fn with_cognito() -> Self {
        let endpoint = tokio::task::spawn_blocking(ministack).await.expect("MiniStack starts");
        Self::build(Some(endpoint), true, "on").await
    }

    /// The same with Cognito, and empty: no platform, no tenants and no users.
    pub async fn empty() -> Self {
        let endpoint = tokio::task::spawn_blocking(ministack).await.expect("MiniStack starts");
        Self::build(Some(endpoint), false, "on").await
    }

    async fn build(cognito: Option<&str>, seeded: bool, sessions: &str) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
        let given = [("MailDomain", MAIL_DOMAIN), ("TenantSessions", sessions)];
        let mut overrides: Overrides = given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if external() || cognito.is_some() {
            // Other apps use the same services, so this one needs resource names of its own. A prefix has at most 20 characters.
            overrides.insert("Prefix".to_owned(), format!("t-{:016x}", u64::from_le_bytes(common::base::random::bytes())));
        }
        let (emulators, dynamodb, kms) = if external() {
            (None, external_endpoint("DYNAMODB"), external_endpoint("KMS"))
        } else {
            let timed_by = clock.clone();
            let now = move || Duration::from_millis(u64::try_from(timed_by.now().as_millis()).unwrap_or_default());
            let dynamo = Dynamo::start_with_late_indexes(Storage::Memory, INDEX_LAG, now).expect("dynoxide starts");
            let kms = Kms::start(None).expect("KMS starts");
            let endpoints = (dynamo.endpoint(), kms.endpoint());
            (Some((dynamo, kms)), endpoints.0, endpoints.1)
        };
        let template = Template::load_with(&path, &overrides).expect("the template loads");
        let endpoints = Endpoints { dynamodb, kms, other: cognito.map(str::to_owned) };
        let which = if cognito.is_some() { Which::Everything } else { Which::DataOnly };
        let provisioned = provision(&template, &endpoints, which).await.expect("the template is provisioned");

        let keys = emulators.as_ref().map(|(_, kms)| kms.keys());
        let gate = Arc::new(Gate::new(&template, &provisioned, keys).expect("the templates' policies are read"));
        let mut env = provisioned.env.clone();
        for (missing, resource) in NOT_MADE {
            let called = gate.reference(resource).unwrap_or("none");
            let called = if missing == "CLOISTER_QUEUES" { called.trim_end_matches("release-messages") } else { called };
            env.entry(missing.to_owned()).or_insert_with(|| called.to_owned());
        }
        let own = [
            ("CLOISTER_SOCKETS_URL", SOCKETS_URL),
            ("CLOISTER_MAIL_FROM", MAIL_FROM),
            ("CLOISTER_OPERATOR_NETWORKS", OPERATOR_NETWORKS),
        ];
        for (name, value) in own {
            env.insert(name.to_owned(), value.to_owned());
        }
        // Tests never call UPS itself, only its emulator.
        env.insert("CLOISTER_UPS_URL".to_owned(), crate::wire::CARRIER_URL.to_owned());
        let config = Config::from_env(env).expect("the template's environment is complete");
        let connector = match &emulators {
            Some((dynamo, _)) => dynamo.connector(common::aws::https()),
            None => common::aws::https(),
        };
        let raw = tables::raw_client(&endpoints.dynamodb, connector.clone());
        let wire = Wire::new(gate.clone(), connector);
        let roles = Arc::new(Roles { gate, setting_up: AtomicBool::new(seeded) });
        let aws = Aws::with_connector(aws_env(&endpoints), SharedHttpConnector::new(wire.clone()))
            .timed_by(&(clock.clone() as Arc<dyn Clock>))
            .of_all_functions(roles.clone());
        let log = Arc::new(Lines::default());
        let mut deps = Deps::new(config, &aws, clock.clone(), log.clone()).expect("the policies load");
        deps = deps.with_everything(&aws);
        if cognito.is_none() {
            deps = deps.without_cognito();
            wire.with_own_bucket();
        } else {
            // Cognito's tokens carry the real time.
            clock.set(common::base::SystemClock.now());
        }
        let tag = if cognito.is_some() {
            format!("+{}", Uuid::from_bytes(common::base::random::bytes()).simple())
        } else {
            String::new()
        };
        let mut app = Self {
            raw,
            tenants: BTreeMap::new(),
            users: BTreeMap::new(),
            sessions: Mutex::default(),
            deps,
            aws,
            clock,
            log,
            wire,
            provisioned,
            tag,
            roles,
            emulators,
        };
        if seeded {
            app.seed().await;
        }
        app.roles.setting_up.store(false, Ordering::SeqCst);
        app.settle_indexes();
        app.wire.reset_calls();
        app
    }

    /// The same with new processes, whose caches are empty.
    #[must_use]
    pub fn afresh(mut self) -> Self {
        let deps = Deps::new(self.deps.config().clone(), &self.aws, self.clock.clone(), self.log.clone());
        let deps = deps.expect("the policies load").with_everything(&self.aws);
        self.deps = if self.provisioned.user_pool_id.is_some() { deps } else { deps.without_cognito() };
        self
    }

    /// Runs `work` with an administrator's credentials, to set a test up. No function's role permits it.
    pub async fn as_administrator<T>(&self, work: impl Future<Output = T>) -> T {
        let before = self.roles.setting_up.swap(true, Ordering::SeqCst);
        let done = work.await;
        self.roles.setting_up.store(before, Ordering::SeqCst);
        done
    }

    /// Takes the calls that IAM has refused. A call that is left here fails the test when the app is dropped.
    pub fn take_refused(&self) -> Vec<Refused> {
        self.roles.gate.take_refused()
    }

    /// The functions of a deployment whose audit bucket deletes segments of this age.
    #[must_use]
    pub fn with_audit_expiry(mut self, after: Duration) -> Self {
        let config = Config { audit_expiry: Some(after), ..self.deps.config().clone() };
        let deps = Deps::new(config, &self.aws, self.clock.clone(), self.log.clone()).expect("the policies load");
        let deps = deps.with_everything(&self.aws);
        self.deps = if self.provisioned.user_pool_id.is_some() { deps } else { deps.without_cognito() };
        self
    }

    async fn seed(&mut self) {
        let operator = Operator::new(&self.deps, "test");
        let with_cognito = self.provisioned.user_pool_id.is_some();
        operator.create_platform().await.expect("the platform is created");
        for tenant in [Tenant::Acme, Tenant::Birch] {
            let id = operator.create_tenant(tenant.name()).await.expect("a tenant is created");
            self.tenants.insert(tenant, id);
            for role in Role::ALL {
                let home = if role == Role::SuperAdmin { TenantId::PLATFORM } else { id };
                let email = Email::parse(&self.email(tenant, role)).expect("an e-mail");
                let user = if with_cognito {
                    let new = NewUser { email: &email, password: PASSWORD, permanent: true, roles: &[role] };
                    operator.create_user(home, &new).await
                } else {
                    operator.create_membership(home, &email, &[role]).await
                };
                self.users.insert((tenant, role), user.expect("a member is created"));
            }
        }
    }

    pub fn deps(&self) -> &Deps {
        &self.deps
    }
    /// The AWS clients' configuration: the emulators, over this test's wire.
    pub fn aws(&self) -> &Aws {
        &self.aws
    }
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }
    pub fn wire(&self) -> &Wire {
        &self.wire
    }
    pub fn calls(&self) -> Calls {
        self.wire.calls()
    }
    pub fn reset_calls(&self) {
        self.wire.reset_calls();
    }
    pub fn log_lines(&self) -> Vec<Value> {
        self.log.all()
    }
    /// Drops the log lines so far. Otherwise they would fill the memory in a long test.
    pub fn forget_log_lines(&self) {
        self.log.forget();
    }
    pub fn email(&self, tenant: Tenant, role: Role) -> String {
        format!("{role}{}@{}.example", self.tag, tenant.name())
    }
    pub fn tenant_id(&self, tenant: Tenant) -> TenantId {
        self.tenants[&tenant]
    }
    pub fn user_id(&self, tenant: Tenant, role: Role) -> UserId {
        self.users[&(tenant, role)]
    }
    pub fn operator(&self) -> Operator<'_> {
        Operator::new(&self.deps, "test")
    }
    pub fn provisioned(&self) -> &Provisioned {
        &self.provisioned
    }

    /// Calls an authorizer as API Gateway does, with this `Authorization` header.
    ///
    /// # Errors
    /// As [`authorizer::authorize`].
    pub async fn authorize<A: Authorizer>(
        &self,
        authorizer: &A,
        header: &str,
    ) -> Result<ApiGatewayCustomAuthorizerResponse, authorizer::Refused> {
        let request = GatewayRequest {
            method: "GET".to_owned(),
            path: "/v1/me".to_owned(),
            resource: "/v1/me".to_owned(),
            headers: vec![("Authorization".to_owned(), header.to_owned())],
            source_ip: "192.0.2.7".to_owned(),
            ..GatewayRequest::default()
        };
        let event = serde_json::from_value(request.authorizer_event()).expect("an authorizer event");
        authorizer::authorize(&self.deps, authorizer, event).await
    }

    /// Calls Cognito directly, without the functions and the wire, as somebody with credentials for the AWS account may.
    pub async fn cognito(&self, action: &str, mut input: Value) -> Value {
        input["UserPoolId"] = self.provisioned.user_pool_id.clone().into();
        self.call("COGNITO_IDENTITY_PROVIDER", "cognito-idp", &format!("AWSCognitoIdentityProviderService.{action}"), &input)
            .await
    }

    /// Calls SQS in the same way. `queue` is the queue's name after the deployment's prefix. Only for tests with SQS.
    pub async fn sqs(&self, action: &str, queue: &str, mut input: Value) -> Value {
        input["QueueUrl"] = format!("{}{queue}", self.deps.config().queues).into();
        self.call("SQS", "sqs", &format!("AmazonSQS.{action}"), &input).await
    }

    /// Calls KMS in the same way.
    pub async fn kms(&self, action: &str, input: &Value) -> Value {
        self.call("KMS", "kms", &format!("TrentService.{action}"), input).await
    }

    /// The ARN of a tenant's own KMS key, if it has one.
    pub async fn own_key(&self, tenant: TenantId) -> Option<String> {
        let alias = format!("alias/{}-{tenant}", self.deps.config().deployment);
        let aliases = self.kms("ListAliases", &serde_json::json!({})).await;
        let known = aliases["Aliases"].as_array().into_iter().flatten().find(|known| known["AliasName"] == alias.as_str())?;
        let key = self.kms("DescribeKey", &serde_json::json!({"KeyId": known["TargetKeyId"]})).await;
        key["KeyMetadata"]["Arn"].as_str().map(str::to_owned)
    }

    /// True if automatic rotation is enabled for a tenant's own KMS key.
    pub async fn own_key_rotates(&self, tenant: TenantId) -> bool {
        let Some(key) = self.own_key(tenant).await else { return false };
        self.kms("GetKeyRotationStatus", &serde_json::json!({"KeyId": key})).await["KeyRotationEnabled"] == true
    }

    async fn call(&self, variable: &str, service: &str, target: &str, input: &Value) -> Value {
        let credential = format!("Credential=local/20000101/us-east-1/{service}/aws4_request");
        let request = http::Request::post(self.aws.endpoint(variable).expect("the service's endpoint"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .header("authorization", format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=00"))
            .body(SdkBody::from(input.to_string()))
            .expect("a request");
        let answer = common::aws::https().call(request.try_into().expect("a request")).await.expect("the service answers");
        let ok = answer.status().is_success();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let text = String::from_utf8_lossy(&body);
        assert!(ok, "{target}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Disables a membership, as `disable_user` does.
    pub async fn disable_member(&self, tenant: Tenant, role: Role) {
        let (home, user) = (self.tenant_id(tenant), self.user_id(tenant, role));
        let update = self
            .raw
            .update_item()
            .table_name(&self.provisioned.tables["RecordsTable"])
            .key("pk", AttributeValue::S(format!("{home}#MEMBER#{user}")))
            .key("sk", AttributeValue::S("MEMBERSHIP".to_owned()))
            .update_expression("SET #status = :disabled ADD version :one")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":disabled", AttributeValue::S("disabled".to_owned()))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        update.send().await.expect("the membership is disabled");
    }

    /// Gives a member an authenticator, without the wire: `active`, or `pending` while it is being enrolled. The membership does
    /// not change.
    pub async fn hand_out<T: phi::SealedFields>(&self, tenant: TenantId, user: UserId, sealed: &T, status: &str) {
        let operator = self.operator();
        let sealed = self.as_administrator(operator.seal_authenticator(tenant, user, sealed)).await;
        let sealed = sealed.expect("the authenticator is sealed");
        let number = |n: &str| AttributeValue::N(n.to_owned());
        let put = self
            .raw
            .put_item()
            .table_name(&self.provisioned.tables["RecordsTable"])
            .item("pk", AttributeValue::S(format!("{tenant}#MEMBER#{user}")))
            .item("sk", AttributeValue::S("MFA".to_owned()))
            .item("status", AttributeValue::S(status.to_owned()))
            .item("sealed", AttributeValue::B(sealed.into_bytes().into()))
            .item("recovery", AttributeValue::B(vec![0; 32].into()))
            .item("uses", number("0"));
        put.send().await.expect("the authenticator is put");
    }

    /// A caller with no credentials.
    pub fn anonymous(&self) -> Client<'_> {
        Client::new(self, None)
    }

    /// A caller with a live session, and the context that the authorizer returns for it.
    pub fn as_role(&self, tenant: Tenant, role: Role) -> Client<'_> {
        Client::new(self, Some((tenant, role)))
    }

    /// A caller for whom the authorizer returns `identity`.
    pub fn as_identity(&self, identity: Identity) -> Client<'_> {
        Client::announced(self, identity)
    }

    /// Opens a session as a sign-in does, with the member's grants.
    pub async fn open_session(&self, tenant: Tenant, role: Role) -> Identity {
        let home = if role == Role::SuperAdmin { TenantId::PLATFORM } else { self.tenant_id(tenant) };
        self.open_session_with(home, self.user_id(tenant, role), &[Grant::always(role)]).await
    }

    /// Opens a session as a sign-in by password alone does, for a user without a second factor.
    pub async fn open_session_without_mfa(&self, tenant: Tenant, role: Role) -> Identity {
        let identity = self.open_session(tenant, role).await;
        let update = self
            .raw
            .update_item()
            .table_name(&self.provisioned.tables["EphemeraTable"])
            .key("pk", AttributeValue::S(format!("{}#SESSIONS#{}", identity.tenant, identity.user)))
            .key("sk", AttributeValue::S(identity.session.to_string()))
            .update_expression("SET mfa_enrolled = :zero REMOVE mfa_at")
            .expression_attribute_values(":zero", AttributeValue::N("0".to_owned()));
        update.send().await.expect("the session is changed");
        identity
    }

    /// The current version of a member's record. A session copies it.
    async fn membership_version(&self, tenant: TenantId, user: UserId) -> i64 {
        let get = self.raw.get_item().table_name(&self.provisioned.tables["RecordsTable"]);
        let get = get.key("pk", AttributeValue::S(format!("{tenant}#MEMBER#{user}")));
        let item = get.key("sk", AttributeValue::S("MEMBERSHIP".to_owned())).send().await.expect("the membership is read").item;
        item.map_or(1, |item| item["version"].as_n().unwrap().parse().unwrap())
    }

    /// Opens a session with these grants. It is a user's session with a second factor given just now. If the first grant is a
    /// program's, it is an API key's session with every scope and purpose.
    pub async fn open_session_with(&self, tenant: TenantId, user: UserId, grants: &[Grant]) -> Identity {
        let now = self.clock.now();
        let session = SessionId::from_uuid(Uuid::from_bytes(common::base::random::bytes()));
        let text = |v: String| AttributeValue::S(v);
        let number = |v: i64| AttributeValue::N(v.to_string());
        let machine = grants.first().is_some_and(|grant| grant.role == Role::ApiUser);
        let mut put = self.raw.put_item().table_name(&self.provisioned.tables["EphemeraTable"]);
        if machine {
            put = put.item("bounds", text(serde_json::to_string(&KeyBounds::everything()).unwrap()));
        } else {
            put = put.item("mfa_at", text(now.to_string()));
        }
        let kind = if machine { SessionKind::ApiKey } else { SessionKind::Full };
        put.item("pk", text(format!("{tenant}#SESSIONS#{user}")))
            .item("sk", text(session.to_string()))
            .item("status", text("live".to_owned()))
            .item("user_id", text(user.to_string()))
            .item("kind", text(kind.as_str().to_owned()))
            .item("mfa_enrolled", number(i64::from(!machine)))
            .item("ip", text("192.0.2.7".to_owned()))
            .item("user_agent", text("testing/1".to_owned()))
            .item("grants", text(serde_json::to_string(grants).unwrap()))
            .item("membership_version", number(self.membership_version(tenant, user).await))
            .item("created_at", text(now.to_string()))
            .item("last_seen", number(now.as_millis()))
            .item("ends_at", number(now.as_millis() + 12 * 3_600_000))
            .item("ix_due", text(format!("{tenant}#SESSIONS")))
            .item("ix_due_at", text(now.plus(Duration::from_secs(5 * 60)).to_string()))
            .item("expires_at", number(now.as_secs() + 24 * 3600))
            .send()
            .await
            .expect("the session is written");
        Identity { tenant, user, session, expires_at: Timestamp::from_millis((now.as_secs() + 12 * 3600) * 1000) }
    }

    pub(crate) async fn identity(&self, tenant: Tenant, role: Role) -> Identity {
        let known = || self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = known().get(&(tenant, role)).cloned() {
            return identity;
        }
        let identity = self.open_session(tenant, role).await;
        known().insert((tenant, role), identity.clone());
        identity
    }
}

/// The sockets' URL, for which the wire itself answers, and the sender of our mail.
const SOCKETS_URL: &str = "wss://sockets.example/live";
const MAIL_FROM: &str = "no-reply@mail.example";
const MAIL_DOMAIN: &str = "mail.example";

/// The network of the tests' calls: one of those for documentation (RFC 5737).
const OPERATOR_NETWORKS: &str = "192.0.2.0/24";

/// Settings whose resources are not created in a test without Cognito, with the names of these resources.
const NOT_MADE: [(&str, &str); 7] = [
    ("CLOISTER_USER_POOL_ID", "UserPool"),
    ("CLOISTER_USER_POOL_CLIENT_ID", "UserPoolClient"),
    ("CLOISTER_QUEUES", "ReleaseMessagesQueue"),
    ("CLOISTER_AUDIT_BUCKET", "AuditBucket"),
    ("CLOISTER_CHECKPOINT_KEY_ARN", "CheckpointKey"),
    ("CLOISTER_PUBLIC_URL", "Api"),
    ("CLOISTER_UPS_SECRET", "UpsSecret"),
];

/// The delay between a write and its appearance in an index, by the test's clock. AWS guarantees none.
const INDEX_LAG: Duration = Duration::from_secs(1);

/// 2026-01-01T12:00:00Z.
const START: i64 = 1_767_268_800_000;

/// The environment that points the SDK at the emulators. They accept any credentials.
fn aws_env(endpoints: &Endpoints) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([
        ("AWS_REGION", emulators::REGION.to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", endpoints.dynamodb.clone()),
        ("AWS_ENDPOINT_URL_KMS", endpoints.kms.clone()),
    ]);
    if let Some(other) = &endpoints.other {
        env.insert("AWS_ENDPOINT_URL", other.clone());
    }
    env.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

impl Drop for App {
    /// A call that IAM refuses fails the test, even if the function handled the refusal.
    fn drop(&mut self) {
        let refused = self.take_refused();
        let lines: Vec<_> = refused.iter().map(ToString::to_string).collect();
        let lines = format!(
            "IAM has refused calls (add a new call of a table to policies/calls.txt and run `cargo xtask sync`):\n{}",
            lines.join("\n")
        );
        match (refused.is_empty(), std::thread::panicking()) {
            (true, _) => {}
            (false, true) => eprintln!("{lines}"),
            (false, false) => panic!("{lines}"),
        }
    }
}
