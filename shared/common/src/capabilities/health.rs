//! The state of this process, for callers who may see whether the platform is ready.

use crate::{
    aws::{CircuitState, ServiceState},
    base::{CacheStats, Result, need::needs},
    capabilities::{carrier, mail},
    request::{Endpoint, Permit},
    store::BreakerState,
};
use futures_util::future::try_join;
use schemars::JsonSchema;
use serde::Serialize;

/// The counters of the answering process since it began; each process has its own. Also the circuit breakers that all processes
/// share.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Vitals")]
pub struct ProcessHealth {
    /// The called services.
    pub services: Vec<ServiceState>,
    /// The services that all processes call through a shared circuit breaker.
    pub gates: Vec<BreakerState>,
    pub caches: Vec<CacheStats>,
}

impl ProcessHealth {
    /// Whether any service is not called at the moment.
    pub fn is_cut_off(&self) -> bool {
        let services = self.services.iter().filter_map(|service| service.circuit);
        services.chain(self.gates.iter().map(|breaker| breaker.circuit)).any(|circuit| circuit != CircuitState::Closed)
    }
}

impl<E: Endpoint> Permit<'_, E> {
    /// The state of this process, and of the shared circuit breakers.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn health(&self) -> Result<ProcessHealth> {
        needs!(E, Breakers);
        let (deps, now) = (self.context.deps, self.now());
        let (ups, ses) = (carrier::breaker(&deps.config), mail::BREAKER);
        let (ups, ses) = try_join(ups.look(&deps.db, now), ses.look(&deps.db, now)).await?;
        let mut caches = vec![deps.gates.stats()];
        caches.extend(deps.keyring.stats());
        caches.extend(deps.db.tenant_credentials().map(|credentials| credentials.stats()));
        caches.push(deps.tenant_quotas.stats());
        Ok(ProcessHealth { services: deps.resilience.states(), gates: vec![ups, ses], caches })
    }
}
