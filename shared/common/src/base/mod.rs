//! The lowest floor: ids, time, errors, settings. It does not depend on AWS services or on tenants' data.

pub(crate) mod budget;
pub(crate) mod cache;
pub(crate) mod config;
pub(crate) mod digest;
pub(crate) mod error;
pub mod id;
pub(crate) mod need;
pub mod network;
pub(crate) mod number;
pub(crate) mod principal;
pub mod random;
pub(crate) mod stored;
pub mod telemetry;
pub(crate) mod time;
pub(crate) mod visible;

pub use budget::Budget;
pub use cache::CacheStats;
pub use config::TenantKeyMode;
pub use config::{Config, ConfigError};
pub use error::{AuthFailure, Cause, Error, FieldError, Problem, Refusal, Result};
pub use id::{EventId, SessionId, TenantId, UserId, Uuid};
pub use need::Need;
pub use principal::{ApiScope, Grant, Identity, KeyBounds, Principal, Purpose, Role, SessionKind};
pub use stored::{Kept, Listed, Stored};
pub use time::{Clock, SystemClock, Timestamp};
pub use visible::VisibleText;
