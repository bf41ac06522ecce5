//! The objects that requests share, created once at start.

use crate::{
    aws::{
        carrier::Carrier, checkpoint_key::CheckpointKey, cognito::Cognito, mailer::Mailer, objects::Objects, push::Push,
        queues::Queues, resilience::Resilience,
    },
    base::{Clock, Config, Error, Result, telemetry::LogSink},
    identity::tenant::Gates,
    policy::Policies,
    store::{dynamodb::Db, keyring::Keyring, tenant_quota::Ceilings},
};
use std::sync::Arc;

#[derive(Debug)]
pub struct Deps {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) log: Arc<dyn LogSink>,
    pub(crate) db: Db,
    pub(crate) keyring: Keyring,
    pub(crate) gates: Gates,
    pub(crate) ceilings: Ceilings,
    pub(crate) policies: Policies,
    pub(crate) cognito: Option<Arc<Cognito>>,
    pub(crate) services: Services,
    pub(crate) resilience: Arc<Resilience>,
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
}
