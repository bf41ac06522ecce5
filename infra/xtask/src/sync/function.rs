//! A function, whatever runs it, as the templates see it.

use common::{AnyEndpoint, Kind, Need};
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
    Other(&'static OtherFunction),
}

impl From<&'static AnyEndpoint> for Function {
    fn from(endpoint: &'static AnyEndpoint) -> Self {
        Self { domain: endpoint.domain, name: endpoint.name, needs: endpoint.needs, serves: Serves::Endpoint(endpoint) }
    }
}

impl From<&'static OtherFunction> for Function {
    fn from(other: &'static OtherFunction) -> Self {
        Self { domain: other.domain, name: other.name, needs: other.needs, serves: Serves::Other(other) }
    }
}

/// Every function there is.
pub(crate) fn all() -> Vec<Function> {
    registry::all().map(Function::from).chain(registry::OTHERS.iter().map(Function::from)).collect()
}

impl Function {
    /// The whole of its binary's source.
    pub(crate) fn main(&self) -> String {
        let (runner, type_name) = match self.serves {
            Serves::Endpoint(endpoint) => (runner(endpoint.kind), format!("endpoints::{}", endpoint.type_name)),
            Serves::Other(other) => (other.trigger.runner(), other.type_name.to_owned()),
        };
        format!("fn main() -> std::process::ExitCode {{\n    common::lambda::{runner}::<{}::{type_name}>()\n}}\n", self.domain)
    }

    /// Its logical name in its stack: `CreateShipment`.
    pub(crate) fn logical(&self) -> String {
        pascal(self.name)
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
