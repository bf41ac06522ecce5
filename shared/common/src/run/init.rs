//! Init: the objects that a function's process creates once, from its environment and its needs.

use crate::{
    aws::{
        Aws,
        carrier::Carrier,
        checkpoint_key::CheckpointKey,
        cognito::Cognito,
        mailer::Mailer,
        objects::Objects,
        push::{self, Push},
        queues::Queues,
        tenant_credentials::TenantCredentials,
    },
    background::{Background, Socket},
    base::{
        Clock, Config, Need, SystemClock, TenantId,
        need::declares,
        telemetry::{Log, LogSink, Stdout},
    },
    capabilities::audit_log,
    identity::tenant::{self, Gates},
    policy::Policies,
    request::{
        Deps, Operation,
        deps::{Functions, Services},
    },
    store::{dynamodb::Db, item::Table, keyring::Keyring, tenant_quota::TenantQuotas},
};
use std::{marker::PhantomData, sync::Arc, time::Duration};

/// The time for which init waits for a table that does not answer.
const WARM_UP: Duration = Duration::from_secs(1);

/// The declared needs of a function, of any kind.
pub(crate) trait Needs {
    const NEEDS: &'static [Need];
}

/// An endpoint's needs.
pub(crate) struct Of<E>(PhantomData<E>);
impl<E: Operation> Needs for Of<E> {
    const NEEDS: &'static [Need] = E::NEEDS;
}

/// The needs of a consumer or a schedule.
pub(crate) struct OfBackground<B>(PhantomData<B>);
impl<B: Background> Needs for OfBackground<B> {
    const NEEDS: &'static [Need] = B::NEEDS;
}

/// The needs of a socket's function.
pub(crate) struct OfSocket<S>(PhantomData<S>);
impl<S: Socket> Needs for OfSocket<S> {
    const NEEDS: &'static [Need] = S::NEEDS;
}

impl Deps {
    /// # Errors
    /// Names the policy file that does not parse.
    pub fn new(config: Config, aws: &Aws, clock: Arc<dyn Clock>, log: Arc<dyn LogSink>) -> Result<Self, String> {
        Ok(Self::with_policies(Arc::new(Policies::load()?), config, aws, clock, Log::new(log)))
    }

    fn with_policies(policies: Arc<Policies>, config: Config, aws: &Aws, clock: Arc<dyn Clock>, log: Log) -> Self {
        let is_used = config.tenant_role_arn.is_some() || aws.acting().is_some();
        let tenant_credentials =
            is_used.then(|| TenantCredentials::new(aws, config.tenant_role_arn.clone(), &config.deployment, clock.clone()));
        let db = Db::new(aws.dynamodb(), tenant_credentials, config.tables.clone(), clock.clone());
        Self {
            keyring: Keyring::new(aws.kms(), db.clone(), clock.clone()),
            gates: Gates::new(db.clone(), clock.clone()),
            tenant_quotas: TenantQuotas::new(db.clone(), clock.clone()),
            policies,
            cognito: None,
            services: Services::default(),
            resilience: aws.resilience(),
            functions: None,
            config,
            clock,
            log,
            db,
        }
    }

    /// Adds Cognito, which few functions need.
    #[must_use]
    pub fn with_cognito(mut self, aws: &Aws) -> Self {
        self.cognito = Some(Arc::new(Cognito::new(aws.cognito(), &self.config)));
        self
    }

    /// Adds every service, for the local stack and the tests, which run all functions in one process.
    #[must_use]
    pub fn with_everything(mut self, aws: &Aws) -> Self {
        self.functions = aws.acting().is_some().then(|| Functions::new(aws.clone(), Self::of_own_process));
        self.with_cognito(aws).with_mailer(aws).with_sockets(aws).with_queues(aws).with_audit_log(aws).with_carrier(aws)
    }

    /// The dependencies of one function of this process, which start cold. The policies are constant, so functions share them.
    fn of_own_process(&self, aws: &Aws) -> Self {
        let aws = aws.clone().timed_by(&self.clock);
        let (clock, log) = (self.clock.clone(), self.log.clone());
        let own = Self::with_policies(self.policies.clone(), self.config.clone(), &aws, clock, log).with_everything(&aws);
        Self { functions: None, cognito: own.cognito.filter(|_| self.cognito.is_some()), ..own }
    }

    /// The state of a function that signs nobody in.
    #[must_use]
    pub fn without_cognito(self) -> Self {
        Self { cognito: None, ..self }
    }

    fn with_mailer(mut self, aws: &Aws) -> Self {
        self.services.mailer = Some(Arc::new(Mailer::new(aws.ses(), self.config.mail_from.clone())));
        self
    }

    fn with_sockets(mut self, aws: &Aws) -> Self {
        let url = push::management_url(&self.config.sockets_url);
        self.services.sockets = Some(Arc::new(Push::new(aws.sockets(&url))));
        self
    }

    fn with_queues(mut self, aws: &Aws) -> Self {
        self.services.queues = Some(Arc::new(Queues::new(aws.sqs(), self.config.queues.clone())));
        self
    }

    fn with_carrier(mut self, aws: &Aws) -> Self {
        self.services.carrier = Carrier::new(aws, &self.config).ok().map(Arc::new);
        self
    }

    fn with_audit_log(mut self, aws: &Aws) -> Self {
        self.services.objects =
            Some(Arc::new(Objects::new(aws.s3(), self.db.tenant_credentials(), self.config.audit_bucket.clone())));
        self.services.checkpoint_key = Some(Arc::new(CheckpointKey::new(aws.kms(), self.config.checkpoint_key_arn.clone())));
        self
    }

    /// From the process's environment, with the clients that `N` needs: an unused client is not linked.
    pub(crate) fn from_env<N: Needs>() -> Result<Self, String> {
        let (mut deps, aws) = Self::and_aws_from_env()?;
        if const { declares(N::NEEDS, Need::SignIn) || declares(N::NEEDS, Need::Directory) } {
            deps = deps.with_cognito(&aws);
        }
        if const { declares(N::NEEDS, Need::Mail) } {
            deps = deps.with_mailer(&aws);
        }
        if const { declares(N::NEEDS, Need::Push) } {
            deps = deps.with_sockets(&aws);
        }
        if const { declares(N::NEEDS, Need::Enqueue) || declares(N::NEEDS, Need::Waiting) } {
            deps = deps.with_queues(&aws);
        }
        if const { declares(N::NEEDS, Need::Carrier) } {
            deps.services.carrier = Some(Arc::new(Carrier::new(&aws, &deps.config)?));
        }
        if const { audit_log::declared(N::NEEDS) } {
            deps = deps.with_audit_log(&aws);
        }
        Ok(deps)
    }

    /// From the process's environment, with Cognito and the queues, for an operator's tools. An operator's credentials work
    /// across tenants, so they assume no tenant role, even if the variables are those of a function.
    ///
    /// # Errors
    /// Names each setting that is missing, malformed or unknown.
    pub fn of_operator() -> Result<Self, String> {
        let (config, aws) = settings()?;
        let deps = Self::real(Config { tenant_role_arn: None, ..config }, &aws)?;
        Ok(deps.with_cognito(&aws).with_queues(&aws))
    }

    pub(crate) fn and_aws_from_env() -> Result<(Self, Aws), String> {
        let (config, aws) = settings()?;
        let deps = Self::real(config, &aws)?;
        Ok((Self { log: deps.log.of_process(), ..deps }, aws))
    }

    fn real(config: Config, aws: &Aws) -> Result<Self, String> {
        Self::new(config, aws, Arc::new(SystemClock), Arc::new(Stdout))
    }

    /// Does work in init that every first request would otherwise pay for: Lambda's init has a whole CPU, and its requests have a
    /// part of one. The first call opens the connection and fills the SDK's caches. A failure here is ignored; it will occur
    /// again in a request and be reported there.
    pub(crate) async fn warm_up(&self) {
        let key = tenant::profile_key();
        let profile = self.db.get(TenantId::PLATFORM, Table::Records, &key);
        let _ = tokio::time::timeout(WARM_UP, profile).await;
    }
}

pub(crate) fn settings() -> Result<(Config, Aws), String> {
    let config = Config::from_env(std::env::vars()).map_err(|e| e.to_string())?;
    Ok((config, Aws::from_env(std::env::vars())))
}
