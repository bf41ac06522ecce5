//! The objects that requests share, created once at start.

use crate::{
    aws::{
        Aws, carrier::Carrier, checkpoint_key::CheckpointKey, cognito::Cognito, mailer::Mailer, objects::Objects, push::Push,
        queues::Queues, resilience::Resilience,
    },
    base::{Clock, Config, Error, Result, telemetry::Log},
    identity::tenant::Gates,
    policy::Policies,
    store::{dynamodb::Db, keyring::Keyring, tenant_quota::TenantQuotas},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

#[derive(Debug)]
pub struct Deps {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) log: Log,
    pub(crate) db: Db,
    pub(crate) keyring: Keyring,
    pub(crate) gates: Gates,
    pub(crate) tenant_quotas: TenantQuotas,
    pub(crate) policies: Arc<Policies>,
    pub(crate) cognito: Option<Arc<Cognito>>,
    pub(crate) services: Services,
    pub(crate) resilience: Arc<Resilience>,
    pub(crate) functions: Option<Functions>,
}

/// The functions of a process that runs all of them, each with its own caches, clients and circuit breakers.
#[derive(Debug)]
pub(crate) struct Functions {
    aws: Aws,
    start: fn(&Deps, &Aws) -> Deps,
    started: Mutex<HashMap<&'static str, Arc<Deps>>>,
}

impl Functions {
    /// Each function is started by `start` before its first call.
    pub(crate) fn new(aws: Aws, start: fn(&Deps, &Aws) -> Deps) -> Self {
        Self { aws, start, started: Mutex::default() }
    }
}

/// The clients for background work, besides the tables. A function contains only the clients that it declares.
#[derive(Debug, Default)]
pub(crate) struct Services {
    pub(crate) mailer: Option<Arc<Mailer>>,
    pub(crate) sockets: Option<Arc<Push>>,
    pub(crate) queues: Option<Arc<Queues>>,
    pub(crate) objects: Option<Arc<Objects>>,
    pub(crate) checkpoint_key: Option<Arc<CheckpointKey>>,
    pub(crate) carrier: Option<Arc<Carrier>>,
}

impl Services {
    pub(crate) fn mailer(&self) -> Result<&Mailer> {
        self.mailer.as_deref().ok_or(Error::internal("no mailer"))
    }
    pub(crate) fn sockets(&self) -> Result<&Push> {
        self.sockets.as_deref().ok_or(Error::internal("no sockets"))
    }
    pub(crate) fn queues(&self) -> Result<&Queues> {
        self.queues.as_deref().ok_or(Error::internal("no queues"))
    }
    pub(crate) fn objects(&self) -> Result<&Objects> {
        self.objects.as_deref().ok_or(Error::internal("no objects"))
    }
    pub(crate) fn checkpoint_key(&self) -> Result<&CheckpointKey> {
        self.checkpoint_key.as_deref().ok_or(Error::internal("no checkpoint key"))
    }
    pub(crate) fn carrier(&self) -> Result<&Carrier> {
        self.carrier.as_deref().ok_or(Error::internal("no carrier"))
    }
}

impl Deps {
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The function's own dependencies in a process that runs every function. They are cold at its first call, because on Lambda
    /// each function has its own process. `None` in a process of one function.
    pub(crate) fn of_function(&self, name: &'static str) -> Option<Arc<Self>> {
        let Functions { aws, start, started } = self.functions.as_ref()?;
        // After a panic the map is still a map.
        let mut started = started.lock().unwrap_or_else(PoisonError::into_inner);
        Some(started.entry(name).or_insert_with(|| Arc::new(start(self, aws))).clone())
    }
}
