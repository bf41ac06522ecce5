//! The one list of functions. The gateways, the templates, the API's description and the tests that quantify all read it;
//! nothing else says which functions there are.

mod edge;
pub mod event;
mod other;

pub use edge::{CORS_ALLOWED_HEADERS, CORS_MAX_AGE_SECONDS, GATEWAY_HEADERS, GATEWAY_RESPONSES, GatewayResponse, REQUEST_ID};
pub use other::{OTHERS, OtherFunction, Trigger};

use common::{
    background::{AnyConsumer, AnySchedule, AnySocket, Queue},
    request::{AnyEndpoint, Kind},
    run::Dead,
    store::Schema,
};

/// A domain and its endpoints.
#[derive(Clone, Copy, Debug)]
pub struct Domain {
    /// Its crate, its nested stack and its tag in the API's description.
    pub name: &'static str,
    /// One line for the API's readers.
    pub summary: &'static str,
    pub endpoints: &'static [AnyEndpoint],
    /// What its queues run.
    pub consumers: &'static [AnyConsumer],
    /// What the clock runs.
    pub schedules: &'static [AnySchedule],
    /// What its sockets run.
    pub sockets: &'static [AnySocket],
    /// What it publishes.
    pub events: &'static [Schema],
}

pub const DOMAINS: &[Domain] = &[
    Domain {
        name: "identity",
        summary: "Signing in, sessions and who one is",
        endpoints: identity::endpoints::ALL,
        consumers: identity::consumers::CONSUMERS,
        schedules: identity::schedules::SCHEDULES,
        sockets: &[],
        events: identity::EVENTS,
    },
    Domain {
        name: "organizations",
        summary: "Tenants: what was agreed with each, what it has chosen, who administers it",
        endpoints: organizations::endpoints::ALL,
        consumers: organizations::consumers::CONSUMERS,
        schedules: organizations::schedules::SCHEDULES,
        sockets: &[],
        events: organizations::domain::EVENTS,
    },
    Domain {
        name: "users",
        summary: "Users, their roles, and what the policies let somebody do",
        endpoints: users::endpoints::ALL,
        consumers: users::consumers::CONSUMERS,
        schedules: &[],
        sockets: &[],
        events: users::domain::EVENTS,
    },
    Domain {
        name: "shipments",
        summary: "A patient's shipments, by the carrier's tracking number",
        endpoints: shipments::endpoints::ALL,
        consumers: shipments::consumers::CONSUMERS,
        schedules: shipments::schedules::SCHEDULES,
        sockets: &[],
        events: shipments::domain::EVENTS,
    },
    Domain {
        name: "notifications",
        summary: "What has happened, told to those whom it concerns",
        endpoints: notifications::endpoints::ALL,
        consumers: notifications::consumers::CONSUMERS,
        schedules: notifications::schedules::SCHEDULES,
        sockets: notifications::sockets::SOCKETS,
        events: &[],
    },
    Domain {
        name: "audit",
        summary: "The audit log: sealed, signed, and shown to those who may see it",
        endpoints: audit::endpoints::ALL,
        consumers: audit::consumers::CONSUMERS,
        schedules: audit::schedules::SCHEDULES,
        sockets: &[],
        events: audit::EVENTS,
    },
    Domain {
        name: "system",
        summary: "Health, readiness and this description",
        endpoints: system::endpoints::ALL,
        consumers: system::consumers::CONSUMERS,
        schedules: system::schedules::SCHEDULES,
        sockets: &[],
        events: &[],
    },
];

/// Every endpoint, domain by domain.
pub fn all() -> impl Iterator<Item = &'static AnyEndpoint> {
    DOMAINS.iter().flat_map(|domain| domain.endpoints)
}

/// Every consumer, domain by domain.
pub fn consumers() -> impl Iterator<Item = &'static AnyConsumer> {
    DOMAINS.iter().flat_map(|domain| domain.consumers)
}

/// Every queue that has one for what is given up: the consumers', domain by domain, then the others.
pub fn queues() -> impl Iterator<Item = Queue> {
    consumers().map(|consumer| consumer.queue).chain(Dead::OTHERS)
}

/// Every schedule, domain by domain.
pub fn schedules() -> impl Iterator<Item = &'static AnySchedule> {
    DOMAINS.iter().flat_map(|domain| domain.schedules)
}

/// Every function of a socket, domain by domain.
pub fn sockets() -> impl Iterator<Item = &'static AnySocket> {
    DOMAINS.iter().flat_map(|domain| domain.sockets)
}

/// Every function's name: the endpoints', what runs by itself, the sockets', then the others'.
pub fn names() -> impl Iterator<Item = &'static str> {
    let background = consumers().map(|consumer| consumer.name).chain(schedules().map(|schedule| schedule.name));
    let background = background.chain(sockets().map(|socket| socket.name));
    all().map(|endpoint| endpoint.name).chain(background).chain(OTHERS.iter().map(|function| function.name))
}

/// Whether whoever calls it need not have signed in.
pub fn is_public(endpoint: &AnyEndpoint) -> bool {
    endpoint.kind == Kind::Public
}

/// The names in a path's braces, in order: `shipment_id` of `/v1/shipments/{shipment_id}/void`.
pub fn path_parameters(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}
