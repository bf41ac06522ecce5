//! Clients of AWS and of the carrier, and what guards their calls.

pub(crate) mod acting;
pub(crate) mod clients;
pub mod cognito;
pub(crate) mod objects;
pub(crate) mod resilience;
pub(crate) mod roots;
pub(crate) mod tenant_credentials;

pub use acting::Roles;
pub use clients::{Aws, https};
pub use objects::ObjectVersion;
pub use resilience::{CircuitState, ServiceState};
