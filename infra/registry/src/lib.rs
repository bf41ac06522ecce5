//! The list of all functions. The gateways, the templates, the API's description and the tests over all endpoints read it; there
//! is no other list.

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
    /// Its consumers.
    pub consumers: &'static [AnyConsumer],
    /// Its schedules.
    pub schedules: &'static [AnySchedule],
    /// The functions of its sockets.
    pub sockets: &'static [AnySocket],
    /// The events that it publishes.
    pub events: &'static [Schema],
}

pub const DOMAINS: &[Domain] = &[
    Domain {
        name: "identity",
        summary: "Sign-in, sessions and the caller's identity",
        endpoints: identity::endpoints::ALL,
        consumers: identity::consumers::CONSUMERS,
        schedules: identity::schedules::SCHEDULES,
        sockets: &[],
        events: identity::EVENTS,
    },
    Domain {
        name: "organizations",
        summary: "Tenants: their agreements, settings and administrators",
        endpoints: organizations::endpoints::ALL,
        consumers: organizations::consumers::CONSUMERS,
        schedules: organizations::schedules::SCHEDULES,
        sockets: &[],
        events: organizations::domain::EVENTS,
    },
    Domain {
        name: "users",
        summary: "Users, their roles and their permissions",
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
        summary: "Notifications of events to the users concerned",
        endpoints: notifications::endpoints::ALL,
        consumers: notifications::consumers::CONSUMERS,
        schedules: notifications::schedules::SCHEDULES,
        sockets: notifications::sockets::SOCKETS,
        events: &[],
    },
    Domain {
        name: "audit",
        summary: "The audit log: its events, sealed segments and signed checkpoints",
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

/// Every queue with a dead-letter queue: the consumers', domain by domain, then the others.
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

/// Every function's name: the endpoints', the background functions', the sockets', then the others'.
pub fn names() -> impl Iterator<Item = &'static str> {
    let background = consumers().map(|consumer| consumer.name).chain(schedules().map(|schedule| schedule.name));
    let background = background.chain(sockets().map(|socket| socket.name));
    all().map(|endpoint| endpoint.name).chain(background).chain(OTHERS.iter().map(|function| function.name))
}

/// Whether a caller needs no session.
pub fn is_public(endpoint: &AnyEndpoint) -> bool {
    endpoint.kind == Kind::Public
}

/// The names in a path's braces, in order: `shipment_id` of `/v1/shipments/{shipment_id}/void`.
pub fn path_parameters(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}
