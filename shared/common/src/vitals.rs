//! How this process is doing, for whoever may ask whether the platform is ready.

use crate::{CacheStats, Endpoint, Permit};
use schemars::JsonSchema;
use serde::Serialize;

/// What the process that answers has counted since it began. Another process has its own numbers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Vitals {
    pub caches: Vec<CacheStats>,
}

impl<E: Endpoint> Permit<'_, E> {
    /// What this process has counted.
    pub async fn vitals(&self) -> Vitals {
        let deps = self.inner.context.deps;
        Vitals { caches: vec![deps.gates.stats().await, deps.keyring.stats()] }
    }
}
