//! What requests share: made once, in init.

use crate::{
    Aws, Clock, Config, Need, Operation, Result, SystemClock, TenantId,
    cognito::Cognito,
    db::Db,
    endpoint::declares,
    keyring::Keyring,
    policy::Policies,
    table::Table,
    telemetry::{LogSink, Stdout},
    tenant::{self, Gates},
};
use std::{sync::Arc, time::Duration};

/// How long init waits for a table that does not answer.
const WARM_UP: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Deps {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) log: Arc<dyn LogSink>,
    pub(crate) db: Db,
    pub(crate) keyring: Keyring,
    pub(crate) gates: Gates,
    pub(crate) policies: Policies,
    pub(crate) cognito: Option<Arc<Cognito>>,
}

impl Deps {
    /// # Errors
    /// Says which policy file does not parse.
    pub fn new(config: Config, aws: &Aws, clock: Arc<dyn Clock>, log: Arc<dyn LogSink>) -> Result<Self, String> {
        let db = Db::new(aws.dynamodb(), config.tables.clone(), clock.clone());
        Ok(Self {
            keyring: Keyring::new(aws.kms(), db.clone(), clock.clone()),
            gates: Gates::new(db.clone(), clock.clone()),
            policies: Policies::load()?,
            cognito: None,
            config,
            clock,
            log,
            db,
        })
    }

    /// With Cognito, which few functions need.
    #[must_use]
    pub fn with_cognito(mut self, aws: &Aws) -> Self {
        self.cognito = Some(Arc::new(Cognito::new(aws.cognito(), &self.config)));
        self
    }

    /// From the process's environment, with what `E` needs: a client that nothing uses is not linked.
    pub(crate) fn from_env<E: Operation>() -> Result<Self, String> {
        let (deps, aws) = Self::and_aws_from_env()?;
        Ok(if const { declares(E::NEEDS, Need::SignIn) } { deps.with_cognito(&aws) } else { deps })
    }

    /// From the process's environment, with Cognito: for an operator's tools.
    ///
    /// # Errors
    /// Names each setting that is missing, malformed or not known.
    pub fn of_operator() -> Result<Self, String> {
        let (deps, aws) = Self::and_aws_from_env()?;
        Ok(deps.with_cognito(&aws))
    }

    pub(crate) fn and_aws_from_env() -> Result<(Self, Aws), String> {
        let config = Config::from_env(std::env::vars()).map_err(|e| e.to_string())?;
        let aws = Aws::from_env(std::env::vars());
        Ok((Self::new(config, &aws, Arc::new(SystemClock), Arc::new(Stdout))?, aws))
    }

    /// Does in init what every first request would pay for: Lambda's init has a whole CPU, its requests a part of one. The
    /// first call opens the connection and fills the SDK's caches; the first decision fills Cedar's. What fails here will
    /// fail, and be told, in a request.
    pub(crate) async fn warm_up(&self) {
        self.policies.warm_up();
        let key = tenant::key();
        let profile = self.db.get(TenantId::PLATFORM, Table::Records, &key);
        let _ = tokio::time::timeout(WARM_UP, profile).await;
    }

    pub fn config(&self) -> &Config {
        &self.config
    }
}
