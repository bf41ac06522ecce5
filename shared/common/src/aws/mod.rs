//! The clients of AWS and of the carrier, and the guards of their calls.

pub(crate) mod acting;
mod calls;
pub(crate) mod carrier;
pub(crate) mod checkpoint_key;
pub(crate) mod clients;
pub mod cognito;
pub(crate) mod errors;
pub(crate) mod mailer;
pub(crate) mod objects;
pub(crate) mod push;
pub(crate) mod queues;
pub(crate) mod resilience;
pub(crate) mod roots;
pub(crate) mod tenant_credentials;

pub use acting::Roles;
pub use clients::{Aws, https};
pub use objects::ObjectVersion;
pub use resilience::{CircuitState, ServiceState};
