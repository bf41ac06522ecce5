//! The processing of a request: from the gateway's event to one commit and the answer.

pub(crate) mod any_endpoint;
pub mod authorizer;
pub(crate) mod batch;
pub(crate) mod commit;
pub(crate) mod deps;
pub(crate) mod endpoint;
pub(crate) mod headers;
pub(crate) mod http;
pub(crate) mod idempotency;
pub(crate) mod if_match;
pub mod input;
pub(crate) mod issued;
pub(crate) mod network_limit;
pub(crate) mod operation;
pub(crate) mod outcome;
pub(crate) mod permit;
pub(crate) mod pipeline;
pub(crate) mod public;
pub(crate) mod scheme;
pub(crate) mod scope;
pub mod token_generation;

pub use any_endpoint::{AnyEndpoint, Kind};
pub use batch::{BatchItem, BatchOutput};
pub use deps::Deps;
pub use endpoint::{BatchEndpoint, Endpoint, PlatformEndpoint, PublicEndpoint, Subject};
pub use http::{BODY_LIMIT, EXPOSED_HEADERS};
pub use input::{Entries, Input, Json, Limit, List, PageSize, Patch, Path, PathId, Query};
pub use issued::Issued;
pub use network_limit::{PerNetwork, SignInGuard};
pub use operation::{Data, FUNCTION_TIMEOUT_SECS, IdempotencyKey, IfMatch, Method, Operation, Route, Sample, SocketRoute};
pub use permit::{Batch, Permit, Platform, Work};
pub use public::{Public, SignInStep};
pub use scope::{FoundMember, Reader, Scope};
