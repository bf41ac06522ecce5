//! How this process is doing, for whoever may ask whether the platform is ready.

use crate::{
    aws::{CircuitState, ServiceState},
    base::{CacheStats, Need, Result, need::declares},
    capabilities::{carrier, mail},
    request::{Endpoint, Permit},
    store::GateState,
};
use futures_util::future::try_join;
use schemars::JsonSchema;
use serde::Serialize;

/// What the process that answers has counted since it began, of which another has its own; and the gates that all share.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Vitals {
    /// Those whom it calls.
    pub services: Vec<ServiceState>,
    /// Those whom all processes call through one gate.
    pub gates: Vec<GateState>,
    pub caches: Vec<CacheStats>,
}

impl Vitals {
    /// Whether anybody whom we call is left alone for now.
    pub fn is_cut_off(&self) -> bool {
        let services = self.services.iter().filter_map(|service| service.circuit);
        services.chain(self.gates.iter().map(|gate| gate.circuit)).any(|circuit| circuit != CircuitState::Closed)
    }
}

impl<E: Endpoint> Permit<'_, E> {
    /// How this process is doing, and the gates that it shares.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer.
    pub async fn vitals(&self) -> Result<Vitals> {
        const { assert!(declares(E::NEEDS, Need::Gates), "looks at the shared gates: add Need::Gates to NEEDS") }
        let (deps, now) = (self.inner.context.deps, self.now());
        let (ups, ses) = (carrier::gate(&deps.config), mail::GATE);
        let (ups, ses) = try_join(ups.look(&deps.db, now), ses.look(&deps.db, now)).await?;
        Ok(Vitals {
            services: deps.resilience.states(),
            gates: vec![ups, ses],
            caches: vec![deps.gates.stats().await, deps.keyring.stats()],
        })
    }
}
