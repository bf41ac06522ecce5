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
    base::{
        CacheStats, Clock, Error, Result, TenantId, Timestamp,
        cache::{Cache, CacheClass, StaleIfError},
        error::Cause,
    },
};
use aws_credential_types::Credentials;
use aws_sdk_sts::types::Tag;
use std::{sync::Arc, time::Duration};

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
const SESSIONS: CacheClass = CacheClass {
    stale_if_error: Some(StaleIfError { usable_for: GOOD_FOR, retry_after: PAUSE }),
    ..CacheClass::new("tenant_credentials", USED_FOR, SESSIONS_HELD)
};
const CLIENTS: CacheClass = CacheClass::new("tenant_clients", GOOD_FOR, CLIENTS_HELD);
/// The longest allowed name of a role session.
const LONGEST_NAME: usize = 64;

/// Provides clients of the tables and of the audit bucket, each for one tenant.
#[derive(Debug)]
pub(crate) struct TenantCredentials {
    aws: Aws,
    sts: aws_sdk_sts::Client,
    /// `None` in a process that runs every function, because there each function has its own.
    role_arn: Option<Arc<str>>,
    session_name: String,
    clock: Arc<dyn Clock>,
    /// By role; a function has one.
    sessions: Cache<(Arc<str>, TenantId), Session>,
    /// By session, which the time of its request identifies.
    clients: Cache<(Arc<str>, TenantId, Timestamp), aws_sdk_dynamodb::Client>,
}

#[derive(Debug)]
struct Session {
    credentials: Credentials,
    requested_at: Timestamp,
}

impl TenantCredentials {
    /// Sessions of `role_arn`, with the function's name, so that CloudTrail shows which function acted.
    pub(crate) fn new(aws: &Aws, role_arn: Option<String>, deployment: &str, clock: Arc<dyn Clock>) -> Self {
        let mut session_name = aws.function().map_or_else(|| format!("{deployment}-process"), str::to_owned);
        session_name.truncate(LONGEST_NAME);
        Self {
            sts: aws.sts(),
            aws: aws.clone(),
            role_arn: role_arn.map(Arc::from),
            session_name,
            sessions: Cache::new(SESSIONS, clock.clone()),
            clients: Cache::new(CLIENTS, clock.clone()),
            clock,
        }
    }

    /// The tenant credentials for a call about `tenant`; `None` if the function's own role is used: if tenant credentials are
    /// switched off, and for the platform.
    pub(crate) fn needed_for(all: Option<&Arc<Self>>, tenant: TenantId) -> Option<&Self> {
        all.filter(|all| tenant != TenantId::PLATFORM && all.role().is_ok()).map(Arc::as_ref)
    }

    /// The role of the requested sessions.
    fn role(&self) -> Result<Arc<str>> {
        let acting = || self.aws.acting()?.tenant_role().map(Arc::from);
        self.role_arn.clone().or_else(acting).ok_or(Error::internal("no tenant role"))
    }

    /// A client that sees only `tenant`'s partitions.
    ///
    /// # Errors
    /// 503 if STS does not answer or refuses, and no valid session is left. Failures are not cached: the next call tries again.
    pub(crate) async fn tables(&self, tenant: TenantId) -> Result<aws_sdk_dynamodb::Client> {
        let role = self.role()?;
        let session = self.session_of(&role, tenant).await?;
        let key = (role, tenant, session.requested_at);
        let client = async { Ok(Some(self.aws.signed_by(session.credentials.clone()).dynamodb())) };
        let client = self.clients.get_or_load(key, client).await?.ok_or(Error::internal("no client"))?;
        Ok(aws_sdk_dynamodb::Client::clone(&client))
    }

    /// A client that sees only `tenant`'s objects.
    ///
    /// # Errors
    /// Like [`tables`](Self::tables).
    pub(crate) async fn objects(&self, tenant: TenantId) -> Result<aws_sdk_s3::Client> {
        let session = self.session_of(&self.role()?, tenant).await?;
        Ok(self.aws.signed_by(session.credentials.clone()).s3())
    }

    async fn session_of(&self, role: &Arc<str>, tenant: TenantId) -> Result<Arc<Session>> {
        let load = async {
            let requested_at = self.clock.now();
            // Boxed, because it is rarely needed, and otherwise every call to a table would carry its size and depth.
            let credentials = Box::pin(self.assume(role, tenant)).await?;
            Ok(Some(Session { credentials, requested_at }))
        };
        self.sessions.get_or_load((role.clone(), tenant), load).await?.ok_or(Error::internal("no session"))
    }

    pub(crate) fn stats(&self) -> CacheStats {
        self.sessions.stats()
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
    use std::sync::Mutex;

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
        let role = tenant_credentials.role().unwrap();
        let asked = || sts.0.lock().unwrap().len();
        for _ in 0..3 {
            for number in 0..10_000 {
                tenant_credentials.session_of(&role, tenant(number)).await.unwrap();
            }
        }
        assert_eq!(asked(), 10_000);
        for number in 0..CLIENTS_HELD + 8 {
            tenant_credentials.tables(tenant(number)).await.unwrap();
        }
        assert_eq!(tenant_credentials.clients.stats().entries, CLIENTS_HELD as u64);
        assert_eq!(asked(), 10_000);
    }

    #[tokio::test]
    async fn full_process_drops_a_session_that_was_not_used_again() {
        let (tenant_credentials, sts) = tenant_credentials(&[]);
        let role = tenant_credentials.role().unwrap();
        let asked = || sts.0.lock().unwrap().len();
        for number in 0..SESSIONS_HELD {
            tenant_credentials.session_of(&role, tenant(number)).await.unwrap();
        }
        tenant_credentials.session_of(&role, tenant(0)).await.unwrap();
        assert_eq!(asked(), SESSIONS_HELD);
        tenant_credentials.session_of(&role, tenant(SESSIONS_HELD)).await.unwrap();
        tenant_credentials.session_of(&role, tenant(0)).await.unwrap();
        assert_eq!((tenant_credentials.stats().entries, asked()), (SESSIONS_HELD as u64, SESSIONS_HELD + 1));
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
