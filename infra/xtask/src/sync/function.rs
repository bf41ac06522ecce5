//! A function with any trigger, as the templates need it.

use common::{
    background::{AnyConsumer, AnySchedule, AnySocket},
    base::Need,
    request::{AnyEndpoint, Kind},
};
use registry::{OtherFunction, Trigger};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Function {
    pub(crate) domain: &'static str,
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) serves: Serves,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Serves {
    Endpoint(&'static AnyEndpoint),
    Consumer(&'static AnyConsumer),
    Schedule(&'static AnySchedule),
    Socket(&'static AnySocket),
    Other(&'static OtherFunction),
}

macro_rules! functions {
    ($($Variant:ident($Type:ty)),*) => {
        $(impl From<&'static $Type> for Function {
            fn from(it: &'static $Type) -> Self {
                Self { domain: it.domain, name: it.name, needs: it.needs, serves: Serves::$Variant(it) }
            }
        })*
    };
}
functions!(Endpoint(AnyEndpoint), Consumer(AnyConsumer), Schedule(AnySchedule), Socket(AnySocket), Other(OtherFunction));

/// All functions.
pub(crate) fn all() -> Vec<Function> {
    let background = registry::consumers().map(Function::from).chain(registry::schedules().map(Function::from));
    let background = background.chain(registry::sockets().map(Function::from));
    registry::all().map(Function::from).chain(background).chain(registry::OTHERS.iter().map(Function::from)).collect()
}

impl Function {
    /// The complete source of its binary.
    pub(crate) fn main(&self) -> String {
        let (runner, type_name) = match self.serves {
            Serves::Endpoint(endpoint) => (runner(endpoint.kind), format!("endpoints::{}", endpoint.type_name)),
            Serves::Consumer(consumer) => ("consumer", format!("consumers::{}", consumer.type_name)),
            Serves::Schedule(schedule) => ("schedule", format!("schedules::{}", schedule.type_name)),
            Serves::Socket(socket) => ("socket", format!("sockets::{}", socket.type_name)),
            Serves::Other(other) => (other.trigger.runner(), other.type_name.to_owned()),
        };
        format!("fn main() -> std::process::ExitCode {{\n    common::lambda::{runner}::<{}::{type_name}>()\n}}\n", self.domain)
    }

    /// Its logical name in its stack: `CreateShipment`.
    pub(crate) fn logical(&self) -> String {
        pascal(self.name)
    }

    /// Its timeout in seconds, if it differs from the default.
    pub(crate) const fn timeout(&self) -> Option<u16> {
        match self.serves {
            Serves::Consumer(consumer) => Some(consumer.timeout_secs),
            Serves::Schedule(schedule) => Some(schedule.timeout_secs),
            Serves::Socket(socket) => Some(socket.timeout_secs),
            // Cognito waits no longer than this.
            Serves::Other(OtherFunction { trigger: Trigger::PreTokenGeneration, .. }) => Some(5),
            Serves::Endpoint(_) | Serves::Other(_) => None,
        }
    }

    pub(crate) fn is_authorizer(&self) -> bool {
        matches!(self.serves, Serves::Other(other) if other.trigger == Trigger::Authorizer)
    }

    pub(crate) fn needs(&self, need: Need) -> bool {
        self.needs.contains(&need)
    }
}

const fn runner(kind: Kind) -> &'static str {
    match kind {
        Kind::Tenant => "tenant",
        Kind::Platform => "platform",
        Kind::Public => "public",
        Kind::Batch => "batch",
    }
}

/// `create_shipment` as `CreateShipment`.
pub(crate) fn pascal(name: &str) -> String {
    let word = |word: &str| {
        let mut chars = word.chars();
        chars
            .next()
            .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + &chars.as_str().to_ascii_lowercase())
    };
    name.split(['_', '-']).map(word).collect()
}
