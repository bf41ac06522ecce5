//! The one list of functions. The gateways, the templates, the API's description and the tests that quantify all read it;
//! nothing else says which functions there are.

mod edge;
pub mod event;
mod other;

pub use edge::{CORS_ALLOWED_HEADERS, CORS_MAX_AGE_SECONDS, GATEWAY_HEADERS, GATEWAY_RESPONSES, GatewayResponse, REQUEST_ID};
pub use other::{OTHERS, OtherFunction, Trigger};

use common::{AnyEndpoint, Kind};

/// A domain and its endpoints.
#[derive(Clone, Copy, Debug)]
pub struct Domain {
    /// Its crate, its nested stack and its tag in the API's description.
    pub name: &'static str,
    /// One line for the API's readers.
    pub summary: &'static str,
    pub endpoints: &'static [AnyEndpoint],
}

pub const DOMAINS: &[Domain] = &[
    Domain { name: "identity", summary: "Signing in, sessions and who one is", endpoints: identity::endpoints::ALL },
    Domain {
        name: "shipments",
        summary: "A patient's shipments, by the carrier's tracking number",
        endpoints: shipments::endpoints::ALL,
    },
    Domain { name: "system", summary: "Health, readiness and this description", endpoints: system::endpoints::ALL },
];

/// Every endpoint, domain by domain.
pub fn all() -> impl Iterator<Item = &'static AnyEndpoint> {
    DOMAINS.iter().flat_map(|domain| domain.endpoints)
}

/// Every function's name: the endpoints', then the others'.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|endpoint| endpoint.name).chain(OTHERS.iter().map(|function| function.name))
}

/// Whether whoever calls it need not have signed in.
pub fn is_public(endpoint: &AnyEndpoint) -> bool {
    endpoint.kind == Kind::Public
}

/// The names in a path's braces, in order: `shipment_id` of `/v1/shipments/{shipment_id}/void`.
pub fn path_parameters(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}
