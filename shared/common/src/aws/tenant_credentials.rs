//! Tenant credentials: a tenant's items and objects are read and written with credentials that allow nothing else.
//!
//! The first protection is [`crate::store::item::prefixed`]: our own code uses no other tenant's key. With tenant credentials,
//! AWS refuses such a key even if our code is wrong. The credentials belong to a session that STS has tagged with the tenant. The
//! policy of its role allows only `dynamodb:LeadingKeys`, and folders of objects, that begin with that tag. There is one
//! AssumeRole for each tenant and hour; in between no calls are made.
//!
//! Not protected: the process chooses the tag. Code that runs in the process can request another tenant's session.

use crate::{
    aws::{Aws, errors::unavailable},
    base::{Clock, Error, Result, TenantId, Timestamp, error::Cause},
};
use aws_credential_types::Credentials;
use aws_sdk_sts::types::Tag;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

const SERVICE: &str = "sts";
/// The session tag that the policies compare: `aws:PrincipalTag/tenant`.
const TAG: &str = "tenant";
/// The requested lifetime of a session: the maximum for a role that was assumed by a role.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// The time for which a session is used before another is requested. The rest is for running calls and for differing clocks.
pub(crate) const USED_FOR: Duration = Duration::from_secs(55 * 60);
/// The time for which it is used if no other is available.
const GOOD_FOR: Duration = Duration::from_secs(59 * 60);
/// The time without requests after a refusal, while a valid session exists.
const PAUSE: Duration = Duration::from_secs(30);
/// The number of tenants whose sessions one process holds, each about 2 KB. A schedule visits all tenants in order, each minute.
/// If a process held fewer sessions than there are tenants, it would find none of them in the next round.
pub(crate) const SESSIONS_HELD: usize = 16_384;
/// The number of clients that it holds, which take some tens of KB each and are created quickly.
const CLIENTS_HELD: usize = 256;
/// The longest allowed name of a role session.
const LONGEST_NAME: usize = 64;

/// Provides clients of the tables and of the audit bucket, each for one tenant.
#[derive(Debug)]
pub(crate) struct TenantCredentials {
    aws: Aws,
    sts: aws_sdk_sts::Client,
    /// `None` in a process that runs every function, because there each function has its own.
    role_arn: Option<String>,
    session_name: String,
    clock: Arc<dyn Clock>,
    /// By role; a function has one.
    entries: Mutex<HashMap<(String, TenantId), Arc<TenantEntry>>>,
    clients: Mutex<HashMap<(String, TenantId), (Timestamp, aws_sdk_dynamodb::Client)>>,
    /// Counts the uses of sessions, to find the least recently used one.
    passed: AtomicU64,
}

/// One tenant's credentials. A caller without a valid session requests one while others wait for it.
#[derive(Debug)]
struct TenantEntry {
    used: AtomicU64,
    session: tokio::sync::Mutex<Option<Session>>,
}

#[derive(Debug)]
struct Session {
    credentials: Credentials,
    asked_at: Timestamp,
    renew_at: Timestamp,
}

impl Session {
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.asked_at <= now && now < self.renew_at
    }
    fn is_good(&self, now: Timestamp) -> bool {
        self.asked_at <= now && now < self.asked_at.plus(GOOD_FOR)
    }
}

impl TenantCredentials {
    /// Sessions of `role_arn`, with the function's name, so that CloudTrail shows which function acted.
    pub(crate) fn new(aws: &Aws, role_arn: Option<String>, deployment: &str, clock: Arc<dyn Clock>) -> Self {
        let mut session_name = aws.function().map_or_else(|| format!("{deployment}-process"), str::to_owned);
        session_name.truncate(LONGEST_NAME);
        Self {
            sts: aws.sts(),
            aws: aws.clone(),
            role_arn,
            session_name,
            clock,
            entries: Mutex::default(),
            clients: Mutex::default(),
            passed: AtomicU64::new(0),
        }
    }

    /// The tenant credentials for a call about `tenant`; `None` if the function's own role is used: if tenant credentials are
    /// switched off, and for the platform.
    pub(crate) fn needed_for(all: Option<&Arc<Self>>, tenant: TenantId) -> Option<&Self> {
        all.filter(|all| tenant != TenantId::PLATFORM && all.role().is_some()).map(Arc::as_ref)
    }

    /// The role of the requested sessions.
    fn role(&self) -> Option<String> {
        self.role_arn.clone().or_else(|| self.aws.acting()?.tenant_role())
    }

    /// A client that sees only `tenant`'s partitions.
    ///
    /// # Errors
    /// 503 if STS does not answer or refuses, and no valid session is left. Failures are not cached: the next call tries again.
    pub(crate) async fn tables(&self, tenant: TenantId) -> Result<aws_sdk_dynamodb::Client> {
        let (credentials, asked_at) = self.credentials_of(tenant).await?;
        let of = (self.role().unwrap_or_default(), tenant);
        // If a panic happened while the lock was held, the map is still valid.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.get(&of).filter(|(of, _)| *of == asked_at) {
            return Ok(client.clone());
        }
        if clients.len() >= CLIENTS_HELD && !clients.contains_key(&of) {
            clients.clear();
        }
        let client = self.aws.signed_by(credentials).dynamodb();
        clients.insert(of, (asked_at, client.clone()));
        Ok(client)
    }

    /// A client that sees only `tenant`'s objects.
    ///
    /// # Errors
    /// Like [`tables`](Self::tables).
    pub(crate) async fn objects(&self, tenant: TenantId) -> Result<aws_sdk_s3::Client> {
        Ok(self.aws.signed_by(self.credentials_of(tenant).await?.0).s3())
    }

    /// A tenant's credentials, and the time at which they were issued.
    async fn credentials_of(&self, tenant: TenantId) -> Result<(Credentials, Timestamp)> {
        let role = self.role().ok_or(Error::internal("no tenant role"))?;
        let entry = self.entry_of((role.clone(), tenant));
        let mut session = entry.session.lock().await;
        let now = self.clock.now();
        if let Some(session) = session.as_ref().filter(|session| session.is_fresh(now)) {
            return Ok((session.credentials.clone(), session.asked_at));
        }
        // Boxed, because it is rarely needed, and otherwise every call to a table would carry its size and depth.
        match Box::pin(self.assume(&role, tenant)).await {
            Ok(credentials) => {
                *session = Some(Session { credentials: credentials.clone(), asked_at: now, renew_at: now.plus(USED_FOR) });
                Ok((credentials, now))
            }
            Err(error) => {
                let good = session.as_mut().filter(|session| session.is_good(now)).ok_or(error)?;
                good.renew_at = now.plus(PAUSE);
                Ok((good.credentials.clone(), good.asked_at))
            }
        }
    }

    async fn assume(&self, role: &str, tenant: TenantId) -> Result<Credentials> {
        let tag = Tag::builder().key(TAG).value(tenant.to_string()).build().map_err(|_| Error::internal("session tag"))?;
        let seconds = i32::try_from(LIFETIME.as_secs()).unwrap_or(i32::MAX);
        let request = self.sts.assume_role().role_arn(role).role_session_name(&self.session_name);
        let answer = request.duration_seconds(seconds).tags(tag).send().await.map_err(unavailable(SERVICE))?;
        let without = Error::Unavailable { service: SERVICE, cause: Cause::code("no credentials") };
        let given = answer.credentials.ok_or(without)?;
        // The SDK gets no expiry: it is checked here, by the given clock.
        Ok(Credentials::new(given.access_key_id, given.secret_access_key, Some(given.session_token), None, "tenant session"))
    }

    fn entry_of(&self, of: (String, TenantId)) -> Arc<TenantEntry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= SESSIONS_HELD && !entries.contains_key(&of) {
            let unused = entries.iter().min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed)).map(|(of, _)| of.clone());
            unused.map(|of| entries.remove(&of));
        }
        let made = || Arc::new(TenantEntry { used: AtomicU64::new(0), session: tokio::sync::Mutex::default() });
        let entry = entries.entry(of).or_insert_with(made).clone();
        entry.used.store(self.passed.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{Uuid, config::TableNames},
        store::{
            changes::{Condition, Op},
            dynamodb::Db,
            item::{Key, Table},
        },
    };
    use aws_smithy_runtime_api::{
        client::{
            http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
            orchestrator::{HttpRequest, HttpResponse},
        },
        http::StatusCode,
    };
    use aws_smithy_types::body::SdkBody;

    const NOW: Timestamp = Timestamp::from_millis(1_767_268_800_000);

    #[derive(Debug)]
    struct Always;
    impl Clock for Always {
        fn now(&self) -> Timestamp {
            NOW
        }
    }

    /// An emulator of STS, which gives every caller the same credentials and records the requests, and of tables, which record
    /// the callers.
    #[derive(Clone, Debug, Default)]
    struct Sts(Arc<Mutex<Vec<String>>>);
    impl HttpConnector for Sts {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            if request.headers().get("x-amz-target").is_some() {
                let signed = request.headers().get("authorization").unwrap_or_default().to_owned();
                self.0.lock().unwrap().push(signed);
                return HttpConnectorFuture::ready(Ok(HttpResponse::new(
                    StatusCode::try_from(200).unwrap(),
                    SdkBody::from("{}"),
                )));
            }
            let asked = String::from_utf8_lossy(request.body().bytes().unwrap()).into_owned();
            self.0.lock().unwrap().push(asked);
            let answer = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A</AccessKeyId>\
                          <SecretAccessKey>very secret</SecretAccessKey><SessionToken>quite secret</SessionToken>\
                          <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
            HttpConnectorFuture::ready(Ok(HttpResponse::new(StatusCode::try_from(200).unwrap(), SdkBody::from(answer))))
        }
    }

    fn tenant_credentials(variables: &[(&str, &str)]) -> (TenantCredentials, Sts) {
        let (tenant_credentials, _, sts) = credentials_and_own(variables);
        (tenant_credentials, sts)
    }

    fn credentials_and_own(variables: &[(&str, &str)]) -> (TenantCredentials, aws_sdk_dynamodb::Client, Sts) {
        let sts = Sts::default();
        let own = [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "own"), ("AWS_SECRET_ACCESS_KEY", "synthetic")];
        let variables = own.iter().chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let aws = Aws::with_connector(variables, SharedHttpConnector::new(sts.clone()));
        let role = "arn:aws:iam::000000000000:role/test-tenant-00c0ffee".to_owned();
        (TenantCredentials::new(&aws, Some(role), "test", Arc::new(Always)), aws.dynamodb(), sts)
    }

    fn tenant(number: usize) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number as u128))
    }

    #[tokio::test]
    async fn schedule_over_ten_thousand_tenants_assumes_each_role_once() {
        let (tenant_credentials, sts) = tenant_credentials(&[]);
        let asked = || sts.0.lock().unwrap().len();
        for _ in 0..3 {
            for number in 0..10_000 {
                tenant_credentials.credentials_of(tenant(number)).await.unwrap();
            }
        }
        assert_eq!(asked(), 10_000);
        for number in 0..CLIENTS_HELD + 8 {
            tenant_credentials.tables(tenant(number)).await.unwrap();
        }
        assert!(tenant_credentials.clients.lock().unwrap().len() <= CLIENTS_HELD);
        assert_eq!(asked(), 10_000);
    }

    #[tokio::test]
    async fn full_process_drops_the_least_recently_used_session() {
        let (tenant_credentials, sts) = tenant_credentials(&[]);
        let asked = || sts.0.lock().unwrap().len();
        for number in 0..SESSIONS_HELD {
            tenant_credentials.credentials_of(tenant(number)).await.unwrap();
        }
        tenant_credentials.credentials_of(tenant(0)).await.unwrap();
        assert_eq!(asked(), SESSIONS_HELD);
        tenant_credentials.credentials_of(tenant(SESSIONS_HELD)).await.unwrap();
        tenant_credentials.credentials_of(tenant(0)).await.unwrap();
        assert_eq!((tenant_credentials.entries.lock().unwrap().len(), asked()), (SESSIONS_HELD, SESSIONS_HELD + 1));
        tenant_credentials.credentials_of(tenant(1)).await.unwrap();
        assert_eq!(asked(), SESSIONS_HELD + 2);
    }

    #[tokio::test]
    async fn transaction_of_several_tenants_uses_the_functions_own_role() {
        let (tenant_credentials, own, sts) = credentials_and_own(&[]);
        let [records, ledger, keys, ephemera] = ["r", "l", "k", "e"].map(str::to_owned);
        let db = Db::new(own, Some(tenant_credentials), TableNames { records, ledger, keys, ephemera }, Arc::new(Always));
        let check = |(n, of): (usize, TenantId)| {
            let key = Key::new("P", format!("S{n}"));
            (of, Op::Check { table: Table::Records, key, condition: Condition::Present })
        };
        let (one, other, platform) = (tenant(1), tenant(2), TenantId::PLATFORM);
        let cases = [
            (vec![one], "A"),
            (vec![one, one, one], "A"),
            (vec![platform, platform], "own"),
            (vec![one, platform], "own"),
            (vec![platform, one], "own"),
            (vec![one, one, other], "own"),
        ];
        for (tenants, credentials) in cases {
            let ops: Vec<_> = tenants.iter().copied().enumerate().map(check).collect();
            db.commit(&ops, "token", NOW.plus(LIFETIME)).await.unwrap();
            let signed = sts.0.lock().unwrap().pop().unwrap();
            assert!(signed.contains(&format!("Credential={credentials}/")), "{tenants:?}: {signed}");
        }
    }

    #[tokio::test]
    async fn session_has_the_functions_name_and_its_debug_is_redacted() {
        let function = "a-deployment-of-twent-a_function_whose_name_is_longer_than_names_may_be";
        let (tenant_credentials, sts) = tenant_credentials(&[("AWS_LAMBDA_FUNCTION_NAME", function)]);
        tenant_credentials.tables(tenant(1)).await.unwrap();
        let asked = sts.0.lock().unwrap().pop().unwrap();
        assert!(asked.contains(&format!("RoleSessionName={}&", &function[..LONGEST_NAME])), "{asked}");
        let printed = format!("{tenant_credentials:?}");
        assert!(!printed.contains("very secret") && !printed.contains("quite secret"), "{printed}");
    }
}
